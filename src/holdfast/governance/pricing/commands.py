"""``holdfast prices``: what models cost here, and how that is changed.

The commands ask the desk of a server by REST when ``--url`` is given, and that of the store's file itself when no server has
it. What they print is said by the speaker that the command line puts into the context: it alone writes to a terminal.
"""

from __future__ import annotations

import asyncio
import getpass
import json
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Protocol
from urllib.parse import quote

import httpx
import msgspec
import typer
import yaml  # type: ignore[import-untyped]

from holdfast.errors import CHECK_THE_PATH, HoldfastError, Unavailable, from_wire
from holdfast.governance import limits
from holdfast.governance.pricing.currency import CSV_BYTES
from holdfast.governance.pricing.desk import (
    ACTIONS,
    Calculation,
    CurrencyTable,
    PriceDecision,
    PriceDesk,
    Proposal,
    WaiverRequest,
)
from holdfast.governance.pricing.rates import NANO, invalid
from holdfast.governance.pricing.service import Prices
from holdfast.governance.store.store import Store
from holdfast.hub.clock import Clock

REST: Final = "/v1/x/governance/prices"
_SECONDS: Final = 30.0
_BY_NAME: Final = {action.name: action for action in ACTIONS}

Governance = Annotated[
    str,
    typer.Option(envvar="HOLDFAST_GOVERNANCE_URL", help="The store: a file, or the address of a PostgreSQL database."),
]
Url = Annotated[str, typer.Option(envvar="HOLDFAST_URL", help="A server that has the store open.")]
Token = Annotated[str, typer.Option(envvar="HOLDFAST_TOKEN", help="Access token for it.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Why = Annotated[str, typer.Option(help="The reason, in a sentence.")]


class CommandSpeaker(Protocol):
    """Who writes to the terminal: ``cli/output.py``."""

    @property
    def say(self) -> Callable[..., None]: ...
    @property
    def say_json(self) -> Callable[[Any], None]: ...
    @property
    def table(self) -> Callable[[Iterable[str], Iterable[Iterable[Any]]], Any]: ...


app = typer.Typer(no_args_is_help=True, help="What models cost here: prices, changes of them, rate cards, waivers.")


@app.callback()
def _options(
    ctx: typer.Context,
    governance: Governance = "holdfast-governance.db",
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    ctx.meta["prices"] = _Asker(ctx.obj, governance, url, token, as_json)


@app.command("list")
def list_models(ctx: typer.Context, provider: str = "", model: str = "*") -> None:
    """List the models that have a price."""
    asker = _asker(ctx)
    rows = asker.ask("models", {"provider": provider, "model": model})
    asker.show(rows, ("provider", "model", "from"), ((row["provider"], row["model"], row["from"]) for row in rows))


@app.command()
def show(
    ctx: typer.Context, model: str, provider: Annotated[str, typer.Option(help="Whose model it is.")],
    at: Annotated[str, typer.Option(help="On which day; today by default.")] = "",
) -> None:  # fmt: skip
    """Show the prices of a model, in US dollars for a million tokens."""
    asker = _asker(ctx)
    answer = asker.ask("show", {"provider": provider, "model": model, "at": at})
    lines = (
        (row["tier"], f"above {step['above']:,}" if step["above"] else "", name, price)
        for row in answer["prices"] for step in row["steps"] for name, price in step["prices"].items()
    )  # fmt: skip
    asker.show(answer, ("tier", "context", "class", "USD"), lines)


@app.command()
def changes(
    ctx: typer.Context, state: Annotated[str, typer.Option(help="proposed, approved or rejected.")] = ""
) -> None:
    """List changes of prices, the newest first."""
    asker = _asker(ctx)
    rows = asker.ask("changes", {"state": state})
    asker.show(
        rows, ("id", "kind", "state", "by", "why"), ((r["id"], r["kind"], r["state"], r["by"], r["why"]) for r in rows)
    )


@app.command()
def diff(ctx: typer.Context, change: str) -> None:
    """Show what a change would do to prices, and to what was used in the last thirty days."""
    asker = _asker(ctx)
    asker.show_diff(asker.ask("diff", {"change": change}))


@app.command()
def propose(
    ctx: typer.Context, file: Annotated[Path, typer.Argument(help="An override or a rate card, in YAML or JSON; - for none.")], why: Why,
    kind: Annotated[str, typer.Option(help="override, card, withdraw, end_card or catalogue.")] = "override",
    value: Annotated[list[str], typer.Option("--set", help="NAME=VALUE, instead of a file.")] = [],  # noqa: B006
) -> None:  # fmt: skip
    """Propose a change of prices. It happens when somebody else approves it."""
    document = _document(file) if str(file) != "-" else dict(_pair(one) for one in value)
    body = _body({"kind": kind, "document": document, "why": why}, Proposal)
    asker = _asker(ctx)
    answer = asker.ask("propose", {}, body)
    asker.show_diff(answer["diff"], answer, f"proposed as {answer['change']['id']}")


@app.command()
def approve(
    ctx: typer.Context, change: str, words: Annotated[str, typer.Option(help="What you say to it.")] = ""
) -> None:
    """Let a change of prices happen, which somebody else proposed."""
    asker = _asker(ctx)
    answer = asker.ask("approve", {"change": change}, PriceDecision(words))
    asker.tell(
        answer,
        f"{change} is approved" + (", by the one who proposed it: there is nobody else" if answer["alone"] else ""),
    )


@app.command()
def reject(ctx: typer.Context, change: str, words: Annotated[str, typer.Option(help="Why not.")] = "") -> None:
    """Decide that a change of prices does not happen."""
    asker = _asker(ctx)
    asker.tell(asker.ask("reject", {"change": change}, PriceDecision(words)), f"{change} is rejected")


@app.command()
def cards(ctx: typer.Context, upstream: str = "") -> None:
    """List the rate cards of upstreams."""
    asker = _asker(ctx)
    rows = asker.ask("cards", {"upstream": upstream})
    asker.show(
        rows, ("id", "upstream", "currency", "note"), ((r["id"], r["upstream"], r["currency"], r["note"]) for r in rows)
    )


@app.command()
def waivers(ctx: typer.Context) -> None:
    """List who let which model be called without a price, and why."""
    asker = _asker(ctx)
    rows = asker.ask("waivers", {})
    asker.show(
        rows,
        ("id", "model", "workflow", "by", "why"),
        ((r["id"], r["model"], r["workflow"], r["by"], r["why"]) for r in rows),
    )


@app.command()
def waive(
    ctx: typer.Context, model: str, why: Why,
    until: Annotated[str, typer.Option(help="A date, or a number of days such as 14d; at most thirty.")],
    provider: str = "", workflow: str = "",
    rate: Annotated[list[str], typer.Option(help="CLASS=USD that is reckoned meanwhile, such as input=3.")] = [],  # noqa: B006
    renews: Annotated[str, typer.Option(help="The waiver that it renews.")] = "",
) -> None:  # fmt: skip
    """Let a model be called that nobody has priced."""
    asker = _asker(ctx)
    rates = dict(_pair(one) for one in rate)
    answer = asker.ask("waive", {}, WaiverRequest(model, why, until, provider, workflow, rates, renews))
    asker.tell(answer, f"{model} may be called: {answer['id']}")


@app.command()
def revoke(ctx: typer.Context, waiver: str) -> None:
    """Take a waiver back."""
    asker = _asker(ctx)
    asker.tell(asker.ask("revoke", {"waiver": waiver}), f"{waiver} does not hold any more")


@app.command()
def currency(ctx: typer.Context, file: Path, source: Annotated[str, typer.Option(help="Who says so.")]) -> None:
    """Import rates of currencies: CSV with the columns day, currency and usd."""
    asker = _asker(ctx)
    answer = asker.ask("currencies", {}, CurrencyTable(_read(file, CSV_BYTES), source))
    asker.tell(answer, f"{answer['added']} rates that were not there before")


@app.command()
def calc(
    ctx: typer.Context, model: Annotated[str, typer.Option()], usage: Annotated[str, typer.Option(help="The provider's usage, as JSON.")],
    provider: Annotated[str, typer.Option()], wire: Annotated[str, typer.Option(help="How it is written; `classes` for counts by class.")],
    tier: str = "", upstream: str = "", at: str = "",
) -> None:  # fmt: skip
    """Calculate what a usage costs, by class."""
    try:
        read = msgspec.json.decode(usage)
    except msgspec.MsgspecError as error:
        raise invalid(f"the usage is no JSON: {error}", "Quote it: --usage '{…}'.") from None
    if not isinstance(read, dict):
        raise invalid("the usage is no JSON object", "Give the provider's usage object.")
    asker = _asker(ctx)
    answer = asker.ask("calc", {}, Calculation(read, provider, model, wire, upstream, tier, at))
    lines = []
    for part in answer:
        billed, priced = part["billed"], part["priced"]
        for name, count in billed["counts"].items():
            lines.append((billed["model"], name, f"{count:,}", _usd(priced["parts"].get(name))))
        lines.append((billed["model"], "in all", priced["tier"], _usd(priced["list_nano"])))
        lines += [(billed["model"], name, "", "no price") for name in priced["unpriced"]]
    asker.show(answer, ("model", "class", "units", "USD"), lines)


class _Asker:
    """Asks a desk, here or at a server, and says what it answers."""

    def __init__(self, speaker: CommandSpeaker, governance: str, url: str, token: str, as_json: bool) -> None:
        self._speaker = speaker
        self._governance, self._url, self._token, self._as_json = governance, url.rstrip("/"), token, as_json

    def ask(self, name: str, facts: Mapping[str, str], body: msgspec.Struct | None = None) -> Any:
        """The answer of an action. Raises what the desk raises."""
        return self._remote(name, facts, body) if self._url else asyncio.run(self._local(name, facts, body))

    async def _local(self, name: str, facts: Mapping[str, str], body: msgspec.Struct | None) -> Any:
        clock = Clock()
        store = await Store.open(self._governance, clock.wall_ms)
        try:
            prices = Prices(store, clock.wall_ms)
            await prices.open()
            return await PriceDesk(prices, clock.wall_ms).answer(
                _BY_NAME[name], f"user:{getpass.getuser()}", facts, body
            )
        finally:
            await store.close()

    def _remote(self, name: str, facts: Mapping[str, str], body: msgspec.Struct | None) -> Any:
        action = _BY_NAME[name]
        path = action.path.replace("{model:path}", "{model}")
        for fact, value in facts.items():
            path = path.replace(f"{{{fact}}}", quote(value, safe="/" if fact == "model" else ""))
        query = {fact: value for fact, value in facts.items() if fact in action.query and value}
        content = None if body is None else msgspec.json.encode(body)
        headers = {"authorization": f"Bearer {self._token}", "content-type": "application/json"}
        try:
            answer = httpx.request(
                action.method,
                f"{self._url}{REST}{path}",
                params=query,
                content=content,
                headers=headers,
                timeout=_SECONDS,
            )
            found = answer.json()
        except (httpx.HTTPError, json.JSONDecodeError) as error:
            raise Unavailable(
                "connection.lost", f"{self._url} does not answer as a server of Holdfast: {error}"
            ) from None
        if answer.is_error:
            raise from_wire(found.get("error", {}) if isinstance(found, dict) else {})
        return found

    def show(self, answer: Any, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
        """A table, or the whole answer as JSON."""
        if self._as_json:
            return self._speaker.say_json(answer)
        listed = [tuple(row) for row in rows]
        return self._speaker.say(self._speaker.table(columns, listed)) if listed else self._speaker.say("nothing")

    def tell(self, answer: Any, words: str) -> None:
        """A sentence, or the whole answer as JSON."""
        self._speaker.say_json(answer) if self._as_json else self._speaker.say(words)

    def show_diff(self, found: Any, answer: Any = None, words: str = "") -> None:
        """A difference: prices, then its effect."""
        if self._as_json:
            return self._speaker.say_json(found if answer is None else answer)
        columns = ("", "model", "tier", "price", "before", "after")
        rows = [
            ("used" if r["used"] else "", r["model"], r["tier"], r["name"], r["before"], r["after"])
            for r in found["lines"]
        ]
        self.show(found, columns, rows)
        if found["count"] > len(rows):
            self._speaker.say(f"and {found['count'] - len(rows):,} more")
        self._speaker.say(
            f"the last thirty days: {_usd(found['before_nano'])} before, {_usd(found['after_nano'])} after"
        )
        if found["unknown"]:
            self._speaker.say(f"of {found['unknown']} models that were used one of the two is not known")
        return self._speaker.say(words) if words else None


def _asker(ctx: typer.Context) -> _Asker:
    found: _Asker = ctx.meta["prices"]
    return found


def _usd(nano: int | None) -> str:
    return "unknown" if nano is None else f"{Decimal(nano) / NANO:f}"


def _pair(written: str) -> tuple[str, str]:
    name, mark, value = written.partition("=")
    if not mark or not name:
        raise invalid(f"{written!r} is no NAME=VALUE", "Write input=3.")
    return name, value


def _body(value: Any, kind: type[Proposal]) -> Proposal:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise invalid(str(error), "See holdfast prices propose --help.") from None


def _document(file: Path) -> dict[str, Any]:
    try:
        read = yaml.load(_read(file, limits.PRICE_DOCUMENT_BYTES), Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise invalid(f"{file} is neither YAML nor JSON: {error}", CHECK_THE_PATH) from None
    if not isinstance(read, dict):
        raise invalid(f"{file} holds no document", "See docs/reference/prices.md.")
    return read


def _read(file: Path, largest: int) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(largest + 1)
        if len(content) > largest:
            raise HoldfastError("input.too_large", f"{file} has more than {largest:,} bytes")
        return content.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise HoldfastError("config.invalid", f"cannot read {file}: {error}", fix=CHECK_THE_PATH) from None
