"""What a budget may be, what an approval is of, and which field is named where it may not."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.errors import Refused
from holdfast.governance.budgets.definitions import (
    BudgetTerms,
    Setting,
    UnitNames,
    brake_rule,
    check_name,
    counted_otherwise,
    defined,
    run_ceiling,
)
from holdfast.governance.budgets.model import Budget

NANO = 10**9
KNOWN = UnitNames(True, frozenset({"support"}), frozenset({"refunds"}), frozenset({"marketing"}))
ANN, BOB = Setting("user:ann", 2_000, "b-1"), Setting("user:bob", 2_000, "b-1")


def make(before: Budget | None = None, setting: Setting = BOB, known: UnitNames = KNOWN, **terms: Any) -> Budget:
    return defined("support", BudgetTerms(**terms), before, known, setting)


def test_a_new_budget_observes_and_says_what_it_was_asked() -> None:
    made = make(
        usd="25.10", per="week", zone="Asia/Tokyo", scope={"task": "answer", "team": "support"}, each="run",
        payer="marketing", decider="user:ann", alerts=(95, 50),
    )  # fmt: skip
    assert (made.mode, made.strength, made.span, made.zone) == ("observe", "hard", "week", "Asia/Tokyo")
    assert made.cap_nano == 25_100_000_000 and made.alerts == (50, 95) and list(made.scope) == ["team", "task"]
    assert (made.set_by, made.set_ms, made.since_ms, made.approved_by) == ("user:bob", 2_000, 2_000, "")
    assert make(usd="1").span == "month" and make(usd="1", per="rolling", rolling_s=3_600).rolling_s == 3_600


def test_what_is_not_named_stays() -> None:
    before = make(usd="25", per="rolling", rolling_s=600, scope={"team": "support"}, payer="marketing", mode="enforce")
    after = make(before, usd="20")
    assert (after.span, after.rolling_s, after.scope, after.payer) == ("rolling", 600, {"team": "support"}, "marketing")
    assert after.brakes and after.cap_nano == 20 * NANO and not counted_otherwise(before, after)
    assert make(before, per="day").rolling_s == 0 and counted_otherwise(before, make(before, per="day"))
    assert make(before, each="").each == "" and make(before, scope={}).scope == {}


def test_an_approval_is_of_the_cap_as_it_stands() -> None:
    agreed = make(usd="25", decider="user:ann", approved_by="user:ann")
    assert (agreed.approved_by, agreed.approved_ms) == ("user:ann", 2_000)
    assert make(agreed, usd="20").approved_by == "user:ann", "less than was agreed to"
    assert make(agreed, mode="enforce").approved_by == "user:ann"
    for otherwise in ({"usd": "26"}, {"per": "day"}, {"payer": "marketing"}, {"each": "run"}):
        assert make(agreed, **otherwise).approved_by == "", otherwise
    raised = make(agreed, ANN, usd="30")
    assert (raised.approved_by, raised.cap_nano) == ("user:ann", 30 * NANO), "the decider's own word"
    assert make(usd="1", approved_by="user:cy").approved_by == "user:cy", "nobody is named who decides"


@pytest.mark.parametrize(
    ("field", "terms"),
    [
        ("usd", {}),
        ("usd", {"usd": "much"}),
        ("usd", {"usd": "-1"}),
        ("usd", {"usd": "1e30"}),
        ("per", {"usd": "1", "per": "fortnight"}),
        ("rolling", {"usd": "1", "per": "rolling"}),
        ("rolling", {"usd": "1", "per": "rolling", "rolling_s": 59}),
        ("rolling", {"usd": "1", "per": "day", "rolling_s": 3_600}),
        ("zone", {"usd": "1", "zone": "Asia/Atlantis"}),
        ("zone", {"usd": "1", "zone": "../../etc/passwd"}),
        ("scope", {"usd": "1", "scope": {"planet": "earth"}}),
        ("scope", {"usd": "1", "scope": {"run": "r1"}}),
        ("team", {"usd": "1", "scope": {"team": "suport"}}),
        ("workflow", {"usd": "1", "scope": {"workflow": "refund"}}),
        ("task", {"usd": "1", "scope": {"task": ""}}),
        ("each", {"usd": "1", "each": "organisation"}),
        ("each", {"usd": "1", "each": "team", "scope": {"team": "support"}}),
        ("strength", {"usd": "1", "strength": "medium"}),
        ("mode", {"usd": "1", "mode": "maybe"}),
        ("payer", {"usd": "1", "payer": "legal"}),
        ("payer", {"usd": "1", "payer": ""}),
        ("decider", {"usd": "1", "decider": "ann"}),
        ("decider", {"usd": "1", "decider": "agent:x"}),
        ("alert", {"usd": "1", "alerts": (0,)}),
        ("alert", {"usd": "1", "alerts": (50, 50)}),
        ("alert", {"usd": "1", "alerts": tuple(range(1, 10))}),
        ("approved_by", {"usd": "1", "approved_by": "user:bob", "decider": "user:ann"}),
    ],
)
def test_what_cannot_be_is_refused_by_name(field: str, terms: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        make(**terms)
    assert refused.value.code == "budget.invalid" and refused.value.detail.startswith(field)


def test_a_close_name_is_offered_and_an_organisation_that_nobody_described_takes_all() -> None:
    with pytest.raises(Refused, match="it has 'support'"):
        make(usd="1", scope={"team": "suport"})
    made = make(usd="1", scope={"team": "suport"}, payer="legal", known=UnitNames())
    assert made.scope == {"team": "suport"} and made.payer == "legal"


@pytest.mark.parametrize("name", ["", " a", "a ", "a/b", "a\nb", "ü", "x" * 65])
def test_names(name: str) -> None:
    with pytest.raises(Refused, match="name"):
        check_name(name)


def test_a_ceiling_for_each_run_is_a_budget_of_its_own() -> None:
    parent = make(usd="25", scope={"team": "support"}, payer="marketing", decider="user:ann", mode="enforce")
    name, terms = run_ceiling(parent, "2")
    own = defined(name, terms, None, KNOWN, BOB._replace(id="b-2"))
    assert (own.name, own.each, own.span, own.cap_nano) == ("support/run", "run", "total", 2 * NANO)
    assert own.brakes and own.scope == {"team": "support"} and own.payer == "marketing" and own.alerts == ()


@pytest.mark.parametrize(("policy", "wait_s"), [("shrug", 300), ("ask", 5), ("ask", 601)])
def test_a_brake_that_cannot_be(policy: str, wait_s: int) -> None:
    with pytest.raises(Refused, match=r"policy|wait"):
        brake_rule("refunds", policy, wait_s, KNOWN, BOB)
    with pytest.raises(Refused, match="workflow"):
        brake_rule("refund", "error", 300, KNOWN, BOB)
    assert brake_rule("refunds", "ask", 60, KNOWN, BOB).by == "user:bob"
