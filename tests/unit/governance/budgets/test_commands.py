"""``holdfast budget`` on a store's file and at a server, and the routes behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from holdfast.cli.parser import app as whole
from holdfast.errors import HoldfastError, Refused
from holdfast.governance.budgets.actions import ACTIONS, ROOT
from holdfast.governance.budgets.commands import group
from holdfast.governance.extension import GovernanceExtension
from holdfast.governance.opening import budget_desk
from holdfast.governance.settings import GovernanceSettings
from tests.extensions.conftest import SETTINGS, served
from tests.unit.governance.governed_server import Run, runner

app = group(budget_desk)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return runner(app, "--governance", str(tmp_path / "store.db"))


def test_a_budget_from_its_first_day_to_its_last(run: Run) -> None:
    assert "holdfast budget set" in run("list")
    said = run(
        "set", "support", "--usd", "25", "--per", "week", "--team", "support", "--decider", "user:ann", "--run-usd", "2"
    )
    assert "support (b-" in said and "$25.00 a week, team support; observed" in said and "$2.00 for each run" in said
    assert "not yet approved" in said and "--enforce refuses" in said
    assert "approved" not in run("set", "support", "--enforce", "--approved-by", "user:ann")
    assert "support | team support | a week, enforced | 0.00 | 25.00 | 0.00 | – | –" in run("list")
    shown = run("show", "support")
    assert "Paid by IT, user:ann decides; approved by user:ann." in shown and "made by user:" in shown
    ceiling = run("show", "support/run", as_json=True)["budget"]
    assert (ceiling["each"], ceiling["span"], ceiling["cap_nano"]) == ("run", "total", 2 * 10**9)
    assert "has ended" in run("end", "support/run") and "support/run" not in run("list")


def test_more_is_asked_for_and_decided(run: Run) -> None:
    run("set", "support", "--usd", "25", "--decider", "user:ann")
    said = run("request", "support", "--to-usd", "50", "--why", "a launch")
    ident = said.partition(":")[0]
    assert "user:ann is asked to raise support from $25.00 to $50.00" in said
    assert f"{ident} | support | 25.00 | 50.00" in run("requests", "--state", "waiting")
    assert f"{ident} concerns no single workflow" in run("radius", ident)
    with pytest.raises(HoldfastError) as refused:  # of one's own request the payer decides
        run("approve", ident)
    assert refused.value.code == "budget.not_payer"
    assert "is withdrawn; support has $25.00" in run("withdraw", ident)
    with pytest.raises(HoldfastError) as refused:
        run("withdraw", ident)
    assert refused.value.code == "budget.decided"


def test_the_rest_says_that_there_is_nothing_yet(run: Run, tmp_path: Path) -> None:
    assert "ends with an error" in run("brake")
    assert "refunds | ask | 60 s" in run("brake", "refunds", "--policy", "ask", "--wait", "60")
    for command, words in (
        ("refusals", "Everything fitted"), ("reservations", "Nothing is held"), ("alerts", "Nobody had to be told"),
        ("requests", "Nobody asks"), ("forecast", "No budget has a window"),
    ):  # fmt: skip
        assert words in run(command)
        assert isinstance(run(command, as_json=True), dict)
    file = tmp_path / "budgets.yaml"
    file.write_text("budgets: [{name: support, usd: 25}, {name: sales, usd: 5, mode: enforce}]\n")
    assert "sales (b-" in run("import", str(file)) and len(run("list", as_json=True)["accounts"]) == 2
    assert "0 days of history" in run("forecast", "sales")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("set", "support"), "budget.invalid"),
        (("set", "support", "--usd", "25", "--alert", "half"), "budget.invalid"),
        (("set", "a/b", "--usd", "25"), "budget.invalid"),
        (("show", "nothing"), "budget.not_found"),
        (("show", "nothing/run"), "budget.not_found"),
        (("end", "nothing"), "budget.not_found"),
        (("request", "nothing", "--to-usd", "5"), "budget.not_found"),
        (("approve", "br-nothing"), "budget.not_found"),
        (("refusals", "nothing"), "budget.not_found"),
        (("brake", "refunds", "--policy", "shrug"), "budget.invalid"),
        (("requests", "--state", "perhaps"), "budget.invalid"),
        (("import", "nowhere.yaml"), "config.invalid"),
    ],
)
def test_what_is_wrong_is_said(run: Run, arguments: tuple[str, ...], code: str) -> None:
    with pytest.raises(HoldfastError) as refused:
        run(*arguments)
    assert refused.value.code == code and refused.value.fix


def test_tables_fit_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_GOVERNANCE_URL", str(tmp_path / "store.db"))
    monkeypatch.setenv("COLUMNS", "80")

    def typed(*words: str) -> str:
        found = CliRunner().invoke(whole, ["budget", *words])
        assert found.exit_code == 0, found.output
        return found.output

    typed("set", "customer-support-emea", "--usd", "125000.50", "--team", "support", "--enforce", "--run-usd", "2")
    typed("request", "customer-support-emea", "--to-usd", "250000", "--why", "a campaign in spring")
    for command in ("list", "requests", "forecast"):
        lines = typed(command).splitlines()
        assert max(map(len, lines)) <= 80, lines
    assert "125000.50" in typed("list")


@pytest.mark.anyio
async def test_a_server_is_asked_and_its_doors_hold(tmp_path: Path) -> None:
    extension = GovernanceExtension(GovernanceSettings(url=str(tmp_path / "store.db")), SETTINGS)
    async with served([extension]) as site:

        def as_(subject: str, **capabilities: Any) -> Callable[..., Any]:
            asks = runner(app, "--url", site.url, "--token", site.token(subject, capabilities=capabilities))

            async def asked(*arguments: str, as_json: bool = False) -> Any:
                return await asyncio.to_thread(asks, *arguments, as_json=as_json)

            return asked

        lead, viewer = as_("user:bob", **{"*": ["spend", "budget"]}), as_("user:dee", **{"*": ["spend"]})
        chatter, payer = as_("user:cy", **{"chat-*": ["read", "append"]}), as_("user:ann", x=["read"])
        assert "support (b-" in await lead("set", "support", "--usd", "25", "--decider", "user:ann", "--run-usd", "2")
        assert "support | everything" in await viewer("list")
        assert "$2.00" in await viewer("show", "support/run"), "a name with a slash is found, too"
        for who, arguments in (
            (viewer, ("set", "support", "--usd", "50")), (viewer, ("end", "support")), (viewer, ("brake", "refunds")),
            (chatter, ("list",)), (chatter, ("refusals",)), (chatter, ("alerts",)), (chatter, ("forecast",)),
            (chatter, ("request", "support", "--to-usd", "50")),
            (chatter, ("request", "support", "--to-usd", "50", "--session", "other-1")),
        ):  # fmt: skip
            with pytest.raises(Refused) as refused:
                await who(*arguments)
            assert refused.value.code == "auth.denied", arguments
        said = await chatter("request", "support", "--to-usd", "50", "--session", "chat-1")
        ident = said.partition(":")[0]
        with pytest.raises(Refused) as refused:
            await chatter("approve", ident)
        assert refused.value.code == "budget.not_payer"
        assert ident in await payer("requests")
        assert "support has $50.00" in await payer("approve", ident, "--note", "for the launch")
        assert "approved" in await chatter("requests")
        file = tmp_path / "budgets.yaml"
        file.write_text("budgets: [{name: sales, usd: 5}]\n")
        assert "sales (b-" in await lead("import", str(file))
        assert "50.00" in await viewer("list")


def test_every_action_has_a_right_or_asks_for_it_itself() -> None:
    open_to_all = {action.name for action in ACTIONS if not action.verb}
    assert open_to_all == {"requests", "request", "radius", "decide"}, "these ask for themselves who may"
    assert {action.verb for action in ACTIONS if action.method == "GET"} == {"spend", ""}
    assert ROOT.endswith("/budgets")
