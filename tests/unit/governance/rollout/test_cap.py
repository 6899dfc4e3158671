"""Gate 4.b goes from unknown over red to green by what a payer does, and no cap is talked into holding."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast.errors import Refused
from holdfast.gateway.fingerprint import fingerprint
from holdfast.gateway.port import Stranger
from holdfast.governance import limits
from holdfast.governance.budgets.requests import Requester, Wish
from holdfast.governance.directory.model import Person
from holdfast.governance.directory.service import Directory
from holdfast.governance.keys.model import KeyRequest
from holdfast.governance.organisation.document import parse
from holdfast.governance.store.tables.ledger import ledger_rows
from holdfast.session.access import full_access
from tests.unit.governance.rollout.conftest import TEAMS, TENANT, WORKFLOW
from tests.unit.governance.rollout.till import NANO, ON_SQLITE, Till, sql, till

__all__ = ["till"]
pytestmark = pytest.mark.anyio


async def capped(till: Till, usd: str = "10", **terms: Any) -> None:
    """A manifest, and a cap that its payer set."""
    await till.manifest()
    await till.budget(**{"usd": usd, "run_usd": "1", "decider": "user:dee"} | terms)


async def test_from_unknown_over_red_to_green(till: Till) -> None:
    assert await till.verdict("4.b") == ("unknown", "the workflow has no manifest")
    await till.manifest()
    assert await till.verdict("4.b") == ("fail", "no budget covers the workflow")
    await till.budget(usd="10", mode="observe")
    assert await till.verdict("4.b") == ("fail", "mail refuses nothing: it is hard, and observes")
    failure = till.plan.failing(TENANT, WORKFLOW)
    assert failure is not None and (failure.gate, failure.owner) == ("4.b", "dee")
    await till.budget(mode="enforce")
    assert await till.verdict("4.b") == ("fail", "no run has a ceiling of its own")
    await till.budget(run_usd="1")
    assert await till.verdict("4.b") == ("fail", "nobody who pays agreed to $10.00 of mail")
    await till.budget(decider="user:dee")
    assert await till.verdict("4.b") == ("pass", "dee agreed to $10.00 (month); the fullest window came to $0.00")
    await till.spend(9 * NANO)
    till.pass_days(0.01)
    assert (await till.verdict("4.b"))[1].endswith("came to $9.00")
    await till.spend(2 * NANO)  # by an agent that asks a provider itself: nothing held it
    till.pass_days(0.01)
    assert await till.verdict("4.b") == ("fail", "mail came to $11.00 in a window, $1.00 more than it had")
    assert till.plan.failing(TENANT, WORKFLOW) is not None


@ON_SQLITE
async def test_whoever_answers_for_the_workflow_agrees_to_nothing_under_another_name(till: Till) -> None:
    directory = Directory(till.store, till.clock.wall_ms)
    await directory.refresh()
    await directory.bring(TENANT, [Person("ann", email="ann@acme.example"), Person("dee")])
    await directory.login(TENANT, Person("00u1", email="ann@acme.example"), till.clock.wall_ms())
    await capped(till)
    assert (await till.verdict("4.b"))[0] == "pass"
    for usd, name in (("11", "ann@acme.example"), ("12", "00u1")):
        await till.budget(usd=usd, by=f"user:{name}", decider="user:dee", approved_by="user:dee")
        assert await till.verdict("4.b") == ("fail", f"that dee agreed to mail is said by {name}")
        await till.budget(by=f"user:{name}", decider=f"user:{name}")
        assert await till.verdict("4.b") == ("fail", f"{name} answers for the workflow and agreed to mail")
        await till.budget(decider="user:dee", by="user:dee", approved_by="user:dee")
        assert (await till.verdict("4.b"))[0] == "pass"


@ON_SQLITE
async def test_whoever_answers_for_the_workflow_agrees_to_nothing(till: Till) -> None:
    await capped(till, by="user:ann", decider="user:ann")
    assert await till.verdict("4.b") == ("fail", "ann answers for the workflow and agreed to mail")
    await till.budget(by="user:ann", decider="user:dee", approved_by="user:dee")
    assert await till.verdict("4.b") == ("fail", "that dee agreed to mail is said by ann")
    await till.budget(by="agent:mailer", approved_by="user:dee")
    assert await till.verdict("4.b") == (
        "fail", "that dee agreed to mail is said by agent:mailer, which is no person",
    )  # fmt: skip
    await till.budget(by="user:dee")
    assert (await till.verdict("4.b"))[0] == "pass"
    await till.budget(by="user:ann", usd="11")
    assert await till.verdict("4.b") == ("fail", "nobody who pays agreed to $11.00 of mail"), "an approval is of a cap"
    await till.budget(by="user:eve", decider="user:eve")
    assert (await till.verdict("4.b"))[0] == "pass"
    await till.manifest(deputy="eve")
    assert await till.verdict("4.b") == ("fail", "eve answers for the workflow and agreed to mail")


@ON_SQLITE
async def test_who_agrees_and_does_not_pay_is_no_payer(till: Till) -> None:
    await capped(till, decider="", by="user:fin", approved_by="user:eve")
    assert await till.verdict("4.b") == ("fail", "eve agreed to mail, and does not pay")


@ON_SQLITE
async def test_an_endless_cap_is_one_whose_amount_the_payer_named(till: Till) -> None:
    await capped(till, usd="1000000", by="user:fin", approved_by="user:dee")
    assert await till.verdict("4.b") == ("unknown", "mail has no forecast, and dee named no amount")
    for _ in range(20):
        await till.spend(NANO // 10)
        till.pass_days(1)
    shown, reason = await till.verdict("4.b")
    assert shown == "fail" and "more than 2 times" in reason
    await till.budget(by="user:fin", usd="3", approved_by="user:dee")
    till.pass_days(0.01)
    assert (await till.verdict("4.b"))[0] == "pass", "near what is likely, somebody else may say that dee agreed"
    dee = Requester("user:dee", TENANT, full_access(TENANT, "user:dee"))
    asked = await till.desk.ask(Requester("user:ann", TENANT, None), Wish(budget="mail", to_usd="900000"))
    with pytest.raises(Refused):
        await till.desk.decide(Requester("user:ann", TENANT, None), asked["request"]["id"], "approved")
    await till.desk.decide(dee, asked["request"]["id"], "approved")
    till.pass_days(0.01)
    assert (await till.verdict("4.b"))[0] == "pass", "dee approved the very amount"


@ON_SQLITE
async def test_a_cap_that_was_passed_is_not_mended_by_another_one(till: Till) -> None:
    await capped(till, usd="1")
    await till.spend(2 * NANO)
    till.pass_days(0.01)
    assert (await till.verdict("4.b"))[0] == "fail"
    await till.budget("second", usd="50", run_usd="1", decider="user:dee")
    till.pass_days(0.01)
    assert (await till.verdict("4.b"))[0] == "fail", "a second budget excuses nothing"
    till.pass_days(31)
    await till.budget(usd="5")  # from the next window on it may be more; the one before had $1
    till.pass_days(0.01)
    assert (await till.verdict("4.b"))[0] == "fail"
    till.pass_days(100)
    assert (await till.verdict("4.b"))[0] == "pass", "three months later it is no evidence any more"


@ON_SQLITE
async def test_what_was_spent_before_a_cap_was_enforced_passed_nothing(till: Till) -> None:
    await till.manifest()
    await till.spend(5 * NANO)
    till.pass_days(0.01)
    await till.budget(usd="1", run_usd="1", decider="user:dee")
    assert (await till.verdict("4.b"))[0] == "pass"
    await till.spend(NANO // 2)
    till.pass_days(0.01)
    assert (await till.verdict("4.b"))[0] == "fail", "with $1, and $5 spent, nothing more may be"


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE budget_spent SET spent_nano = 1 WHERE spent_nano > 1", "the accounts of mail say something else"),
        ("DELETE FROM budget_spent", "the accounts of mail say something else"),
        ("UPDATE budgets SET cap_nano = 90000000000", "mail is not as its last change left it"),
        ("UPDATE budgets SET approved_by = 'user:eve'", "mail is not as its last change left it"),
    ],
)
@ON_SQLITE
async def test_what_was_changed_behind_its_back_is_unknown(till: Till, statement: str, why: str) -> None:
    await capped(till)
    await till.spend(9 * NANO)
    till.pass_days(0.01)
    assert (await till.verdict("4.b"))[0] == "pass"
    await sql(till, statement)
    shown, reason = await till.verdict("4.b")
    assert shown == "unknown" and reason.startswith(why)


async def test_a_ledger_that_is_not_as_it_was_written_proves_nothing(till: Till) -> None:
    await capped(till)
    (row,) = await till.spend(9 * NANO)
    named = ", ".join(f'"{one.name}"' for one in ledger_rows.c if one.name not in ("id", "billed_nano"))
    await sql(
        till,
        f'INSERT INTO ledger_rows ("id", "billed_nano", {named}) '
        f"SELECT 'forged', -8000000000, {named} FROM ledger_rows WHERE id = '{row.id}'",
    )
    shown, reason = await till.verdict("4.b")
    assert shown == "unknown" and "not as it was written" in reason


@ON_SQLITE
async def test_refusals_while_the_money_was_there_fail_once_there_are_enough_calls(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BUDGET_WAIT_S", 0.05)
    await capped(till, usd="0.01", run_usd="0.01")
    await till.budgets.start()
    first = till.opening(labels={"task": "long"})
    await till.budgets.open(first)
    await sql(till, "UPDATE budget_holds SET nano = 9999000")
    refused = [till.opening() for _ in range(3)]
    for one in await asyncio.gather(*map(till.budgets.open, refused), return_exceptions=True):
        assert isinstance(one, Refused)
    await till.calls_of(first)
    till.pass_days(0.01)
    assert (await till.verdict("4.b"))[0] == "pass", "3 of 4 calls, and so few say nothing"
    await till.spend(1_000, n=1_100)
    till.pass_days(0.01)
    shown, reason = await till.verdict("4.b")
    assert shown == "fail" and reason.startswith("3 of 1104 calls")
    await till.desk.refusals(TENANT)  # somebody looks, and they are judged
    till.pass_days(0.01)
    assert (await till.verdict("4.b"))[1].startswith("3 of 1104 calls")


@ON_SQLITE
async def test_a_key_that_nobody_knows_is_unknown_until_it_has_a_name(till: Till) -> None:
    await capped(till)
    secret = "sk-live-0123456789abcdefghijkl"
    till.keys.note(Stranger(fingerprint("EMPTY"), "10.0.0.1", "curl", "/v1", till.clock.wall_ms()))
    await till.keys.flush()
    assert (await till.verdict("4.b"))[0] == "pass", "a placeholder is no key"
    till.keys.note(Stranger(fingerprint(secret), "10.0.0.1", "curl", "/v1", till.clock.wall_ms()))
    await till.keys.flush()
    till.pass_days(0.01)
    assert await till.verdict("4.b") == ("unknown", "1 key came to the gateway that nobody knows")
    request = KeyRequest(name="curl", workflow=WORKFLOW, team="sales", task="reply")
    await till.keys.adopt(fingerprint(secret), request, by="user:root")
    till.pass_days(0.01)
    assert (await till.verdict("4.b"))[0] == "pass"


@ON_SQLITE
async def test_an_old_verdict_expires(till: Till) -> None:
    await capped(till)
    assert (await till.verdict("4.b"))[0] == "pass"
    till.pass_days(7.1)
    found = next(one for one in till.plan.gates(TENANT, WORKFLOW) if one.gate == "4.b")
    assert (found.shown, found.cause) == ("unknown", "stale")


@ON_SQLITE
async def test_a_file_of_the_organisation_takes_no_workflow_from_under_its_cap(till: Till) -> None:
    """What the organisation has no more no budget would refuse: whoever ends it there ends the cap."""
    await capped(till, by="user:dee")
    assert (await till.verdict("4.b"))[0] == "pass"
    await till.organisation.change(parse(TEAMS, "yaml"), complete=True)
    assert await till.verdict("4.b") == ("fail", "no budget covers the workflow")
