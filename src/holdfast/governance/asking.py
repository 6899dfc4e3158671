"""How commands ask a domain: the store itself, or a server that has it open.

What they print is said by the speaker that the command line puts into the context (``ctx.obj``): it alone writes to a terminal.
"""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Generic, NamedTuple, Protocol, TypeVar
from urllib.parse import quote

import httpx
import msgspec
import typer

from holdfast.errors import CHECK_THE_PATH, HoldfastError, Unavailable, from_wire
from holdfast.governance.actions import ActionCall, DomainAction
from holdfast.governance.store.store import Store
from holdfast.hub.clock import Clock

S = TypeVar("S")
T = TypeVar("T")
STORE: Final = "holdfast-governance.db"
_TIMEOUT_S: Final = 30.0

StoreUrl = Annotated[
    str, typer.Option("--governance", envvar="HOLDFAST_GOVERNANCE_URL", help="The store: a file, or postgresql://….")
]
ServerUrl = Annotated[str, typer.Option("--url", help="A running server that has the store open.")]
ServerToken = Annotated[
    str, typer.Option("--token", envvar="HOLDFAST_TOKEN", help="Access token for it.", show_default=False)
]
Tenant = Annotated[str, typer.Option(help="Whose it is; over --url the token says it.")]
JsonOutput = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


class Screen(Protocol):
    """Who writes to the terminal: ``cli/output.py``."""

    @property
    def say(self) -> Callable[..., None]: ...
    @property
    def say_json(self) -> Callable[[Any], None]: ...
    @property
    def table(self) -> Callable[[Iterable[str], Iterable[Iterable[Any]]], Any]: ...


class Target(NamedTuple):
    """Whom a command asks: the server at ``url`` where there is one, else the store."""

    store: str
    url: str
    token: str
    tenant: str
    as_json: bool


class Asker(Generic[S]):
    """Asks a domain and shows what it answers.

    Args:
        root: of the domain's routes.
        opened: makes the domain's service on an open store.
    """

    def __init__(
        self,
        screen: Screen,
        target: Target,
        root: str,
        opened: Callable[[Store, Callable[[], int]], Awaitable[S]],
    ) -> None:
        self._screen = screen
        self._target = target
        self._root = root
        self._opened = opened

    def beside(self, root: str, opened: Callable[[Store, Callable[[], int]], Awaitable[T]]) -> Asker[T]:
        """Who asks another domain of the same store, or the same server."""
        return Asker(self._screen, self._target, root, opened)

    @property
    def remote(self) -> bool:
        """Whether it asks a server."""
        return bool(self._target.url)

    @property
    def as_json(self) -> bool:
        """Whether the whole answer is shown, as JSON."""
        return self._target.as_json

    def ask(
        self,
        action: DomainAction[S],
        facts: Mapping[str, str] | None = None,
        body: msgspec.Struct | bytes | None = None,
    ) -> Any:
        """What the action answers, as plain values. Raises what it raises."""
        if self._target.url:
            return self._remote(action, facts or {}, body)
        return msgspec.to_builtins(asyncio.run(self._local(action, facts or {}, body)))

    async def _local(self, action: DomainAction[S], facts: Mapping[str, str], body: Any) -> Any:
        clock = Clock()
        try:
            store = await Store.open(self._target.store, clock.wall_ms)
        except HoldfastError as error:
            if error.code == "engine.locked":
                fix = "A server has it open: ask that one, with --url and --token. A gateway alone answers no commands: stop it first."
                raise HoldfastError("engine.locked", error.detail, fix=fix) from None
            raise
        try:
            service = await self._opened(store, clock.wall_ms)
            defaults = dict.fromkeys(action.query, "")
            call = ActionCall(f"user:{getpass.getuser()}", self._target.tenant, defaults | dict(facts), body)
            return await action.answer(service, call)
        finally:
            await store.close()

    def _remote(self, action: DomainAction[S], facts: Mapping[str, str], body: msgspec.Struct | bytes | None) -> Any:
        path = action.path
        for name, value in facts.items():
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        url = self._target.url.rstrip("/")
        headers = {"authorization": f"Bearer {self._target.token}", "content-type": "application/json"}
        try:
            answer = httpx.request(
                action.method,
                f"{url}{self._root}{path}",
                params={name: value for name, value in facts.items() if name in action.query and value},
                content=body if isinstance(body, bytes) else msgspec.json.encode(body) if body is not None else None,
                headers=headers,
                timeout=_TIMEOUT_S,
                trust_env=False,
            )
            found = msgspec.json.decode(answer.content)
        except (httpx.HTTPError, httpx.InvalidURL, msgspec.DecodeError) as error:
            raise Unavailable("connection.lost", f"{url} does not answer as a server: {type(error).__name__}") from None
        if answer.is_error:
            raise from_wire(found.get("error", {}) if isinstance(found, dict) else {})
        return found

    def show(self, answer: Any, columns: Sequence[str], rows: Iterable[Iterable[Any]], nothing: str) -> None:
        """A table, ``nothing`` where it would be empty, or the whole answer as JSON."""
        if self._target.as_json:
            return self._screen.say_json(answer)
        listed = [tuple(str(cell) for cell in row) for row in rows]
        return self._screen.say(self._screen.table(columns, listed) if listed else nothing)

    def tell(self, answer: Any, *lines: str) -> None:
        """Sentences, or the whole answer as JSON."""
        if self._target.as_json:
            return self._screen.say_json(answer)
        for line in lines:
            self._screen.say(line, wrap=False)
        return None


def ask_by(
    app: typer.Typer, name: str, root: str, opened: Callable[[Store, Callable[[], int]], Awaitable[S]]
) -> None:  # fmt: skip
    """Give a group of commands the options that say whom they ask; they find the asker in ``ctx.meta[name]``.

    Args:
        root, opened: as of ``Asker``.
    """

    @app.callback()
    def _options(
        ctx: typer.Context, governance: StoreUrl = STORE, url: ServerUrl = "", token: ServerToken = "",
        tenant: Tenant = "default", as_json: JsonOutput = False,
    ) -> None:  # fmt: skip
        ctx.meta[name] = Asker(ctx.obj, Target(governance, url, token, tenant, as_json), root, opened)


def read_file(path: Path, most: int) -> bytes:
    """A file within a size. Raises ``config.invalid`` and ``input.too_large``."""
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise HoldfastError("config.invalid", f"cannot read {path}: {error.strerror}", fix=CHECK_THE_PATH) from None
    if len(data) > most:
        raise HoldfastError("input.too_large", f"{path} is larger than {most:,} bytes")
    return data
