"""Waste of each kind is found where it is, in the money it cost, and what cannot be told is unknown."""

from __future__ import annotations

from typing import Any

from holdfast.governance.ledger.bills.waste.finder import find_waste
from holdfast.governance.ledger.bills.waste.model import Waste, WasteItem
from holdfast.governance.ledger.model import Row

MINUTE = 60_000
RATES = {"input": 3_000, "cache_read": 300, "cache_write_5m": 3_750, "cache_write_1h": 6_000, "output": 15_000}


def row(number: int, minute: float = 0, *, rates: dict[str, int] = RATES, off: int = 0, **more: Any) -> Row:
    counts = {name: more.pop(name) for name in RATES if name in more}
    parts = {name: count * rates[name] for name, count in counts.items()}
    amount = sum(parts.values()) * (100 - off) // 100
    facts: dict[str, Any] = {
        "id": f"r{number}", "call": f"c{number}", "at_ms": round(minute * MINUTE), "day": "2026-09-01", "month": "2026-09",
        "model": "m", "asked": "m", "provider": "p", "session": "s", "run": f"run{number}", "counts": counts, "parts": parts,
        "list_nano": sum(parts.values()), "contracted_nano": amount, "billed_nano": amount, "usage": "seated", **more,
    }  # fmt: skip
    return Row(**facts)


SEEN = row(99, 900, session="elsewhere", cache_read=5_000, cache_write_5m=5_000, input=10, output=1)
"""Some row that shows what reading and writing costs."""


def item(waste: Waste, kind: str) -> WasteItem:
    return next(each for each in waste.items if each.kind == kind)


def test_a_prefix_that_is_written_again_costs_what_writing_costs_beyond_reading() -> None:
    rows = [
        row(1, 0, cache_write_5m=10_000, input=100, output=50),
        row(2, 2, cache_write_5m=12_000, input=100, output=50),
    ]
    found = item(find_waste([*rows, SEEN]), "cache")
    assert found.amount_nano == 10_000 * (3_750 - 300)
    assert found.parts == {"broken": found.amount_nano}
    assert [(each.session, each.rows) for each in found.sessions] == [("s", 1)]


def test_a_prefix_that_is_read_is_no_waste() -> None:
    rows = [
        row(1, 0, cache_write_5m=10_000, input=100, output=50),
        row(2, 2, cache_read=10_000, cache_write_5m=2_000, input=100, output=50),
        row(3, 4, cache_read=12_000, input=300, output=50),
    ]
    assert item(find_waste(rows), "cache").amount_nano == 0


def test_after_its_lifetime_nothing_could_be_read() -> None:
    rows = [
        row(1, 0, cache_write_5m=10_000, input=100, output=50),
        row(2, 6, cache_write_5m=12_000, input=100, output=50),
    ]
    assert item(find_waste([*rows, SEEN]), "cache").amount_nano == 0
    hour = [
        row(1, 0, cache_write_1h=10_000, input=100, output=50),
        row(2, 59, cache_write_1h=12_000, input=100, output=50),
    ]
    assert (item(find_waste([*hour, SEEN]), "cache").amount_nano or 0) > 0


def test_a_lifetime_begins_when_the_prompt_is_read_however_long_the_answer_takes() -> None:
    slow = row(1, 4, cache_write_5m=10_000, input=100, output=50, took_ms=200_000)
    late = row(2, 7, cache_write_5m=12_000, input=100, output=50)
    assert late.at_ms - late.took_ms - slow.at_ms < 300_000, (
        "three minutes after its end, and more than five after it began"
    )
    assert item(find_waste([slow, late, SEEN]), "cache").amount_nano == 0


def test_a_cache_that_is_never_used_costs_less_what_writing_would_have_cost() -> None:
    rows = [row(n, n, input=10_000 + n, output=50) for n in range(3)]
    found = item(find_waste([*rows, SEEN]), "cache")
    writing = 10_000 * 750 + 1 * 750
    assert found.parts == {"unused": 10_000 * 2_700 + 10_001 * 2_700 - writing}


def test_another_agent_model_or_a_smaller_prompt_has_another_prefix() -> None:
    first = row(1, 0, cache_write_5m=10_000, input=100, output=50)
    for other in (
        row(2, 1, agent="sub", cache_write_5m=12_000, input=1),
        row(2, 1, model="n", cache_write_5m=12_000, input=1),
        row(2, 1, cache_write_5m=2_000, input=1),
        row(2, 1, session="t", cache_write_5m=12_000, input=1),
    ):
        assert item(find_waste([first, other, SEEN]), "cache").amount_nano == 0


def test_without_a_price_of_reading_it_is_unknown() -> None:
    rows = [row(1, 0, input=10_000, output=50), row(2, 1, input=12_000, output=50)]
    found = item(find_waste(rows), "cache")
    assert (found.amount_nano, found.unknown_nano) == (0, rows[1].billed_nano)
    assert "reading from the cache" in found.why


def test_a_discount_makes_waste_cheaper() -> None:
    rows = [
        row(1, 0, off=50, cache_write_5m=10_000, input=100, output=50),
        row(2, 2, off=50, cache_write_5m=12_000, input=100, output=50),
    ]
    assert item(find_waste([*rows, SEEN]), "cache").amount_nano == 10_000 * (3_750 - 300) // 2


def test_failed_cut_and_replaced_attempts_are_retries_and_what_people_stop_is_not() -> None:
    rows = [
        row(1, 0, input=100, output=10, outcome="failed", reason="upstream.failed", call="a"),
        row(2, 1, input=100, output=10, call="a"),
        row(3, 20, input=100, output=10, outcome="cut", reason="run.cancelled"),
        row(4, 40, input=100, output=10, outcome="cut", reason="gateway.lost"),
        row(5, 60, input=100, output=10, run="again", run_attempt=1),
        row(6, 80, input=100, output=10, run="again", run_attempt=2),
        row(7, 90, outcome="refused", reason="upstream.refused"),
    ]
    found = item(find_waste(rows), "retries")
    cost = 100 * 3_000 + 10 * 15_000
    assert found.parts == {"failed": cost, "cut": cost, "tried again": cost}


def test_beyond_the_long_context_limit_the_same_units_cost_more() -> None:
    dearer = {name: 2 * rate for name, rate in RATES.items()}
    rows = [
        row(1, 0, input=100_000, output=100),
        row(2, 60, rates=dearer, input=250_000, output=100),
        row(3, 120, rates=dearer, input=200, output=100, catalogue="another"),
    ]
    found = item(find_waste(rows), "context")
    assert found.amount_nano == 250_000 * 3_000 + 100 * 15_000
    assert found.rows == 1


def test_an_answer_that_is_made_three_times_wasted_two() -> None:
    rows = [row(n, 5 * n, input=8_000, output=100 * n) for n in (1, 2, 3)]
    found = item(find_waste(rows), "regenerated")
    assert found.amount_nano == sum(each.billed_nano or 0 for each in rows[:2])
    assert item(find_waste(rows[:2]), "regenerated").amount_nano == 0
    for change in ({"usage": "headless"}, {"parent_run": "r"}):
        assert (
            item(find_waste([row(n, 5 * n, input=8_000, output=100, **change) for n in (1, 2, 3)]), "regenerated").rows
            == 0
        )
    growing = [row(n, 5 * n, input=8_000 * n, output=100) for n in (1, 2, 3)]
    assert item(find_waste(growing), "regenerated").amount_nano == 0


def test_a_long_conversation_that_goes_on_is_none_that_is_made_again() -> None:
    """Its input grows by each answer, which is far less than two percent of it."""
    rows = [row(n, 5 * n, input=275_000 + 620 * n, output=600) for n in range(4)]
    assert item(find_waste(rows), "regenerated").rows == 0
    rows = [row(n, 5 * n, input=275_000 + 20 * n, output=600) for n in range(4)]  # the time of day is in it
    assert item(find_waste(rows), "regenerated").rows == 3


class Marks:
    """Reader of session ``s`` sends read marks; that of others none."""

    def read(self, session: str, run: str) -> bool | None:
        return run == "run1" if session == "s" else None


def test_unread_text_is_unknown_without_read_marks() -> None:
    rows = [row(1, 0, input=10, output=1_000), row(2, 60, input=10, output=2_000), row(3, 0, session="t", output=4_000)]
    nobody = item(find_waste(rows), "unread")
    assert nobody.amount_nano is None
    assert nobody.unknown_nano == sum(each.billed_nano or 0 for each in rows)
    found = item(find_waste(rows, marks=Marks()), "unread")
    assert (found.amount_nano, found.unknown_nano) == (2_000 * 15_000, rows[2].billed_nano)


class Accepted:
    """The cheap sessions were accepted."""

    def accepted(self, session: str) -> bool | None:
        return None if session == "t3" else not session.endswith("9")


def test_the_costliest_tenth_stands_beside_its_share_of_outcomes() -> None:
    rows = [
        row(n, n, session=f"t{n}", output=1_000 if n % 10 != 9 else 50_000, workflow="w", task="k", person=f"p{n % 6}")
        for n in range(20)
    ]
    (tenth,) = find_waste(rows, outcomes=Accepted()).tenths
    assert (tenth.workflow, tenth.task, tenth.sessions, tenth.tenth) == ("w", "k", 20, 2)
    assert tenth.tenth_nano == 2 * 50_000 * 15_000
    assert (tenth.judged, tenth.accepted, tenth.tenth_accepted) == (19, 17, 0)
    (unjudged,) = find_waste(rows).tenths
    assert (unjudged.accepted, unjudged.tenth_accepted) == (None, None)


def test_a_group_of_fewer_than_five_people_is_not_shown() -> None:
    rows = [row(n, n, session=f"t{n}", output=1_000, workflow="w", task="k", person=f"p{n % 4}") for n in range(20)]
    (tenth,) = find_waste(rows, outcomes=Accepted()).tenths
    assert tenth.withheld and not tenth.examples and tenth.cost_nano == 0


def test_kinds_overlap_and_no_row_counts_twice() -> None:
    rows = [row(n, n, input=8_000, output=100, outcome="failed", reason="x") for n in (1, 2, 3)]
    found = find_waste([*rows, SEEN])
    assert sum(each.amount_nano or 0 for each in found.items) > found.any_nano
    assert found.any_nano == sum(each.billed_nano or 0 for each in rows)
    assert found.cost_nano == sum(each.billed_nano or 0 for each in [*rows, SEEN])
