"""The commands and routes of bills: what they say, their exit codes, what they refuse."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from msgspec.structs import replace
from typer.testing import CliRunner

from holdfast.errors import Refused
from holdfast.extensions import RouteCall
from holdfast.governance.ledger.bills import commands
from holdfast.governance.ledger.bills.focus.export import export
from holdfast.governance.ledger.bills.routes import routes
from holdfast.governance.ledger.bills.service import BillQuestion, Bills
from holdfast.governance.ledger.imports.service import Importer
from holdfast.governance.ledger.service import Ledger
from holdfast.governance.store.store import Store
from holdfast.testing import FakeClock
from tests.unit.governance.ledger.bills import month as plants
from tests.unit.governance.ledger.bills.month import Month
from tests.unit.governance.ledger.conftest import FlatOrganisation, FlatPrices


class Spoken:
    """A terminal that keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, *parts: Any, **_: Any) -> None:
        self.lines += [str(part) for part in parts]

    def say_json(self, value: Any) -> None:
        self.lines.append(json.dumps(value))

    def table(self, head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
        return "\n".join(" | ".join(map(str, row)) for row in [head, *rows])

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


class Site:
    """A store on disk with a month in it, and the commands that open it."""

    def __init__(self, folder: Path) -> None:
        self.address = f"sqlite:///{folder / 'ledger.db'}"
        self.month = Month(1, keys=2, models=3, busy=3, days=30, step=1)
        self.month.rows = [
            replace(row, key=f"k-{row.upstream}", card="c", catalogue="c1")
            for row in self.month.rows
        ]  # fmt: skip

    @contextlib.asynccontextmanager
    async def open(self, address: str) -> AsyncIterator[Bills]:
        clock = FakeClock()
        store = await Store.open(address, clock.wall_ms)
        ledger = Ledger(store, FlatPrices(), FlatOrganisation(), clock)
        try:
            await ledger.recorder.refresh()
            yield Bills(ledger, Importer(ledger))
        finally:
            await store.close()

    def fill(self) -> None:
        async def append() -> None:
            async with self.open(self.address) as bills:
                ledger = bills._ledger
                rows = [ledger.complete(row, {"workflow": "w", "team": "t"}, price=False) for row in self.month.rows]
                await ledger.append(rows)

        asyncio.run(append())

    def run(self, *arguments: str) -> tuple[int, str, BaseException | None]:
        app, spoken = typer.Typer(), Spoken()

        @app.callback()
        def _start(ctx: typer.Context) -> None:
            ctx.obj = spoken

        commands.add_to(app, self.open)
        # Typer's own exit code is what a command returns, as ``holdfast`` makes of it
        done = CliRunner().invoke(app, [*arguments, "--governance", self.address], standalone_mode=False)
        return done.return_value or 0, spoken.text, done.exception


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    made.fill()
    return made


def report(site: Site, to: Path, change: Callable[[str], str] = lambda text: text) -> str:
    text, _ = export(lambda: [row for row in site.month.rows if site.month.inside(row)])
    to.write_text(change(text))
    return str(to)


def test_a_report_that_agrees_ends_with_0(site: Site, tmp_path: Path) -> None:
    path = report(site, tmp_path / "bill.csv")
    keys = [part for key in site.month.keys for part in ("--key", f"k-{key}={key}")]
    code, text, error = site.run("reconcile", path, "--provider", "anthropic", *keys)
    assert (code, error) == (0, None), text
    assert "pass" in text and "100.0 % of the bill explained" in text


def test_a_report_that_differs_says_what_and_the_next_step(site: Site, tmp_path: Path) -> None:
    def without_a_day(text: str) -> str:
        return "".join(line + "\n" for line in text.splitlines() if ",2026-09-12T00:00:00Z," not in line)

    path = report(site, tmp_path / "bill.csv", without_a_day)
    code, text, error = site.run("reconcile", path, "--provider", "anthropic", "--month", "2026-09")
    assert (code, error) == (3, None)
    assert "missed_day" in text and "Export the report of these days again." in text
    code, text, _ = site.run("reconcile", path, "--provider", "anthropic", "--month", "2026-09", "--json")
    found = json.loads(text)
    assert (code, found["verdict"]) == (3, "unknown")
    assert found["explained_ppm"] < 1_000_000


def test_variance_waste_and_focus(site: Site, tmp_path: Path) -> None:
    code, text, error = site.run("variance", "2026-09-01/2026-09-15", "2026-09-16/2026-09-30", "--by", "model")
    assert (code, error) == (0, None) and "total" in text and "price | volume | mix | cache" in text
    code, text, error = site.run("waste", "2026-09")
    assert (code, error) == (0, None) and "retries" in text and "unknown" in text
    to = tmp_path / "focus.csv"
    code, text, error = site.run("focus", "2026-09", "--to", str(to), "--version", "1.3")
    assert (code, error) == (0, None) and to.read_text().startswith("BilledCost,") and "FOCUS 1.3" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("reconcile",), "no bill is named"),
        (("reconcile", "--provider", "anthropic"), "no period is named"),
        (("reconcile", "--provider", "a", "--month", "2026-09", "--key", "nothing"), "no pair"),
        (("reconcile", "/nowhere/bill.csv"), "No such file"),
        (("variance", "2026-13", "2026-09"), "no month"),
        (("variance", "2026-08", "2026-09", "--by", "person"), "no dimension"),
        (("variance", "2026-08", "2026-09", "--measure", "paid"), "none of list"),
        (("focus", "2026-09", "--version", "2.0"), "none of 1.2"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_sentence(site: Site, arguments: tuple[str, ...], words: str) -> None:
    _, _, error = site.run(*arguments)
    assert error is not None and words in str(error)


# --- routes -------------------------------------------------------------------------------------------------------------
def ask(site: Site, path: str, body: Any = None, **query: str) -> Any:
    async def answer() -> Any:
        async with site.open(site.address) as bills:
            route = next(route for route in routes(bills) if route.path.endswith(path))
            request: Any = SimpleNamespace(query_params=query)
            principal: Any = SimpleNamespace(tenant="default", actor="user:ann")
            found = await route.handler(RouteCall(request, principal, body))
            if hasattr(found, "body_iterator"):
                return "".join([piece async for piece in found.body_iterator]), found.headers
            return found if isinstance(found, dict) else found.body

    return asyncio.run(answer())


def test_every_route_needs_a_capability_that_only_money_has(site: Site) -> None:
    async def verbs() -> dict[str, str]:
        async with site.open(site.address) as bills:
            return {route.path.rsplit("/", 1)[1]: route.verb for route in routes(bills)}

    found = asyncio.run(verbs())
    assert found.pop("settle") == "budget"
    assert set(found.values()) == {"spend"}


def test_routes_answer_with_figures_and_series(site: Site) -> None:
    plants.missed_day(site.month)
    asked = BillQuestion(since="2026-09-01", until="2026-09-30", provider="anthropic")
    found = json.loads(ask(site, "/reconcile", asked))
    assert found["reconciliation"]["verdict"] == "unknown" and found["by_day"][0]["day"] == "2026-09-01"
    assert ask(site, "/reconcile", asked, format="csv").startswith(b"day,model,key,")
    halves = {"before": "2026-09-01/2026-09-15", "after": "2026-09-16/2026-09-30"}
    found = json.loads(ask(site, "/variance", **halves))
    assert [step["name"] for step in found["waterfall"]] == ["before", "price", "volume", "mix", "cache", "after"]
    assert ask(site, "/variance", **halves, format="csv").startswith(b"total,before_usd")
    found = json.loads(ask(site, "/waste", since="2026-09-01", until="2026-09-30"))
    assert {item["kind"] for item in found["waste"]["items"]} == {
        "cache",
        "retries",
        "context",
        "regenerated",
        "unread",
    }
    text, headers = ask(site, "/focus", since="2026-09-01", until="2026-09-30")
    assert text.startswith("BilledCost,") and headers["x-holdfast-left-out"] == "0"
    assert ask(site, "/bills", since="2026-09-01", until="2026-09-30") == {"providers": []}
    assert ask(site, "/settle", asked) == {"settled": [], "proposed": 0}


def test_routes_refuse_what_is_no_period(site: Site) -> None:
    with pytest.raises(Refused, match="no period"):
        ask(site, "/variance", before="2026-09", after="2026-10")
