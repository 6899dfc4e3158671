"""A server with an extension of keys, an organisation and a login, and the commands that ask it or a store's file."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import httpx
import typer
from typer.testing import CliRunner

from holdfast.errors import HoldfastError
from holdfast.extensions import Extension, ExtensionMount, ExtensionRoute, ExtensionSettings, Services
from holdfast.governance.keys.routes import routes as key_routes
from holdfast.governance.keys.service import GatewayKeys
from holdfast.governance.organisation.routes import routes as organisation_routes
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.oversight.assembly import login_app, mounts
from holdfast.governance.oversight.minting import TokenMinter
from holdfast.governance.oversight.settings import LoginSettings, login_config
from holdfast.governance.store.changes import Changes
from holdfast.governance.store.store import Store
from holdfast.hub.clock import Clock
from tests.extensions.conftest import SETTINGS, served
from tests.unit.edge.conftest import Site


class Governed(Extension):
    """The three domains over one store."""

    name = "governed"

    def __init__(self, store: Store, login: dict[str, str], provider: httpx.AsyncBaseTransport | None) -> None:
        super().__init__(ExtensionSettings(), SETTINGS)
        self.store, self.clock, self._login, self._provider = store, Clock(), login, provider
        self.changes = Changes(store)
        self.organisation = Organisation(store, self.clock.wall_ms)
        self.keys = GatewayKeys(store, self.organisation, self.clock.wall_ms, self.changes, operator_tenant="acme")

    def routes(self, services: Services) -> Sequence[ExtensionRoute]:
        return [*organisation_routes(self.organisation), *key_routes(self.keys)]

    def mounts(self, services: Services) -> Sequence[ExtensionMount]:
        config = login_config(LoginSettings(**self._login))
        if config is None:
            return ()
        minter = TokenMinter(services.secret, services.settings, services.revocations)
        secret = services.secret or ""
        app = login_app(config, self.store, minter, secret, self.clock.wall_ms, self.clock.monotonic, self._provider)
        return mounts(app)

    async def start(self, services: Services) -> None:
        self.changes.follow("organisation", self.organisation.refresh)
        self.changes.follow("keys", self.keys.refresh)
        await self.changes.start()
        self.organisation.start()
        self.keys.start()

    async def stop(self) -> None:
        await self.changes.stop()
        await self.keys.stop()
        await self.organisation.stop()


@contextlib.asynccontextmanager
async def governed(
    path: Path, login: dict[str, str] | None = None, provider: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[tuple[Site, Governed]]:
    """A server with the store at a path."""
    store = await Store.open(str(path), Clock().wall_ms)
    extension = Governed(store, login or {}, provider)
    async with served([extension]) as site:
        yield site, extension
    await store.close()


class FakeScreen:
    """Remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.answers: list[Any] = []

    def say(self, *parts: Any, wrap: bool = True) -> None:
        self.lines.append(" ".join(map(str, parts)))

    def say_json(self, value: Any) -> None:
        self.answers.append(value)

    def table(self, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
        return "\n".join(" | ".join(map(str, row)) for row in (tuple(columns), *rows))


Run = Callable[..., Any]


def runner(app: typer.Typer, *options: str) -> Run:
    """Runs a command: what it said, or its JSON; an error of ours is raised."""

    def run(*arguments: str, as_json: bool = False) -> Any:
        screen = FakeScreen()
        done = CliRunner().invoke(app, [*options, *(["--json"] if as_json else []), *arguments], obj=screen)
        if isinstance(done.exception, HoldfastError):
            raise done.exception
        assert done.exit_code == 0, done.output or done.exception
        return screen.answers[0] if as_json else "\n".join(screen.lines)

    return run
