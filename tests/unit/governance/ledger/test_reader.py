"""Sums that a database makes equal those of the rows added up one by one."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import pytest
from msgspec.structs import replace

from holdfast.errors import Refused
from holdfast.gateway.port import Served
from holdfast.governance import limits
from holdfast.governance.ledger import dates
from holdfast.governance.ledger.model import Row
from holdfast.governance.ledger.reader import LedgerReader
from holdfast.governance.ledger.service import Ledger
from holdfast.governance.ledger.spend import MONEY, TAG, Figures
from holdfast.governance.store.store import Store
from tests.unit.governance.ledger.conftest import NOON, opening, used

pytestmark = pytest.mark.anyio

DAY_MS = 86_400_000
SINCE, UNTIL = "2026-10-01", "2026-12-31"


async def fill(ledger: Ledger, seed: int, count: int = 60) -> list[Row]:
    """Random rows, some of them corrected; the answer is what counts."""
    chance = random.Random(seed)
    rows: list[Row] = []
    for number in range(count):
        row = Row(
            id=f"r{number:03}", call=f"c{number // 2}", at_ms=NOON + chance.randrange(40) * DAY_MS // 3, day="", month="",
            provider="openai", model=chance.choice(["m1", "m2", "unpriced-1"]), session=chance.choice(["", "s1", "s2"]),
            counts={"input": chance.randrange(100), "output": chance.randrange(9), "cache_read": chance.randrange(50)},
            basis=chance.choice(["exact", "estimated"]), tags={"region": chance.choice(["eu", "us"])},
        )  # fmt: skip
        labels = {"team": chance.choice(["a", "b"]), "workflow": chance.choice(["mail", "code", "x'; --"])}
        rows.append(ledger.complete(row, labels))
    await ledger.append(rows)
    last = {row.id: row for row in rows}
    for row in chance.sample(rows, count // 6):
        last[row.id] = await ledger.correct("default", row.id, why="t", counts={"input": chance.randrange(1000)})
        if chance.random() < 0.5:
            last[row.id] = await ledger.correct("default", row.id, why="t", billed_nano=chance.randrange(10**6))
    return list(last.values())


def figures(rows: list[Row]) -> Figures:
    reads = [row.counts.get("cache_read", 0) for row in rows]
    return Figures(
        len(rows), sum(row.billed_nano is None for row in rows), sum(row.basis == "estimated" for row in rows),
        sum(row.counts.get("input", 0) for row in rows) + sum(reads), sum(row.counts.get("output", 0) for row in rows),
        sum(reads), 0, 0, *(sum(getattr(row, name) or 0 for row in rows) for name in MONEY),
    )  # fmt: skip


def value(row: Row, name: str) -> str:
    return row.tags.get(name[4:], "") if TAG.fullmatch(name) else str(getattr(row, name))


@pytest.mark.parametrize("bucket", ["", "day", "week", "month"])
@pytest.mark.parametrize("by", [(), ("team",), ("workflow", "model"), ("session",), ("tag:region", "provider")])
async def test_sums_are_those_of_the_rows(ledger: Ledger, store: Store, bucket: Any, by: tuple[str, ...]) -> None:
    rows = await fill(ledger, 3)
    answer = await LedgerReader(store).spend("default", SINCE, UNTIL, by, bucket)
    expected: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        time = {"": "", "day": row.day, "month": row.month, "week": dates.week_of(row.day)}[bucket]
        expected[tuple(value(row, name) for name in by), time].append(row)
    assert {(group.values, group.bucket): group.figures for group in answer.groups} == {
        key: figures(found) for key, found in expected.items()
    }
    assert answer.total == figures(rows)


async def test_what_has_no_group_of_its_own_is_in_the_rest(ledger: Ledger, store: Store) -> None:
    rows = await fill(ledger, 4)
    answer = await LedgerReader(store).spend("default", SINCE, UNTIL, ("model",), "month", limit=2)
    assert sum(group.rest for group in answer.groups) >= 1
    total = Figures()
    for group in answer.groups:
        total = total.plus(group.figures)
    assert total == answer.total == figures(rows)


async def test_filters_days_and_tenants_hold(ledger: Ledger, store: Store) -> None:
    rows = await fill(ledger, 5)
    reader = LedgerReader(store)
    answer = await reader.spend("default", "2026-10-25", "2026-10-27", filters={"team": ["a"], "model": ["m1", "m2"]})
    kept = [r for r in rows if "2026-10-25" <= r.day <= "2026-10-27" and r.team == "a" and r.model in ("m1", "m2")]
    assert kept
    assert answer.total == figures(kept)
    one = await reader.spend("default", SINCE, UNTIL, filters={"session": ["s1"]})
    assert one.total == figures([row for row in rows if row.session == "s1"])
    assert (await reader.spend("default", SINCE, UNTIL, filters={"session": ["nobody"]})).total == Figures()
    assert (await reader.spend("other", SINCE, UNTIL)).total == Figures()


async def test_pages_of_rows_have_each_row_once(ledger: Ledger, store: Store) -> None:
    rows = await fill(ledger, 6)
    reader, found, cursor = LedgerReader(store), [], ""
    while True:
        page = await reader.rows("default", SINCE, UNTIL, cursor=cursor, limit=7)
        found += page.rows
        cursor = page.next
        if not cursor:
            break
    posted = [replace(row, period=row.month) for row in rows]
    assert sorted(found, key=lambda row: row.id) == sorted(posted, key=lambda row: row.id)
    assert [(row.at_ms, row.id) for row in found] == sorted(((row.at_ms, row.id) for row in found), reverse=True)
    both = await reader.rows("default", SINCE, UNTIL, limit=1_000, replaced=True)
    assert len(both.rows) > len(rows)


async def test_a_file_has_every_row(ledger: Ledger, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LEDGER_PAGE_ROWS", 7)
    rows = await fill(ledger, 7)
    text = "".join([piece async for piece in LedgerReader(store).row_file("default", SINCE, UNTIL)])
    assert text.count("\r\n") == len(rows) + 1
    assert text.startswith("id,call,at_ms")


async def test_a_session_leads_to_its_tokens(ledger: Ledger, store: Store) -> None:
    await ledger.open(opening(session="s9"))
    await ledger.settle(Served("a1", "served", [used(input=3, output=4)], at_ms=NOON))
    answer = await LedgerReader(store).spend("default", SINCE, UNTIL, ("session", "call"), filters={"session": ["s9"]})
    (group,) = answer.groups
    assert (group.values, group.figures.input_tokens, group.figures.output_tokens) == (("s9", "c-a1"), 3, 4)
    assert answer.csv().splitlines()[1].startswith("s9,c-a1,1,0,0,3,4,0,0,0,0.000023000")
    await ledger.forget_session("default", "s9")
    (group,) = (await LedgerReader(store).spend("default", SINCE, UNTIL, ("session",))).groups
    assert group.values[0].startswith("erased:")


@pytest.mark.parametrize(
    "changes",
    [
        {"by": ("person",)}, {"by": ("nothing",)}, {"by": ("tag:a\"b",)}, {"by": ("team", "team")}, {"bucket": "year"},
        {"since": "2026-13-01"}, {"since": "2027-01-01"}, {"since": "2020-01-01"}, {"limit": 0},
        {"by": ("team", "workflow", "model", "tier", "region")}, {"filters": {"team": ["x"] * 33}},
    ],
)  # fmt: skip
async def test_a_question_that_cannot_be_answered_is_refused(store: Store, changes: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        await LedgerReader(store).spend(**({"tenant": "default", "since": SINCE, "until": UNTIL} | changes))


@pytest.mark.parametrize("cursor", ["x", "1:", "-1:a", "１:a", "9999999999999999:a"])
async def test_a_cursor_that_is_none_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(Refused):
        await LedgerReader(store).rows("default", SINCE, UNTIL, cursor=cursor)
