"""Whatever somebody does to the ledger behind its back is found; what the ledger does itself is not."""

from __future__ import annotations

import importlib
import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from holdfast.errors import Refused
from holdfast.gateway.port import Served
from holdfast.governance.ledger import checks
from holdfast.governance.ledger import store as statements
from holdfast.governance.ledger.bookkeeping import Bookkeeper
from holdfast.governance.ledger.imports.service import Importer, ImportOptions
from holdfast.governance.ledger.model import Row
from holdfast.governance.ledger.service import Ledger
from holdfast.governance.ledger.verify import LedgerVerifier, Verification
from holdfast.governance.store.store import Store
from holdfast.providers.billing.model import BilledAttempt
from holdfast.providers.billing.usage_meter import of_response
from holdfast.testing import FakeClock
from tests.unit.governance.ledger.conftest import NOON, FlatPrices, opening, used
from tests.unit.governance.ledger.imports import reports

pytestmark = pytest.mark.anyio


_N = st.integers(0, 9) | st.integers(0, 9).map(float)
_TOKENS = {"total_tokens": _N, "prompt_tokens": _N, "completion_tokens": _N}
_REASONING = st.fixed_dictionaries({}, optional={"reasoning_tokens": _N})
USAGES: Any = [
    ("openai.chat", {**_TOKENS, "completion_tokens_details": _REASONING,
                     "prompt_tokens_details": st.fixed_dictionaries({}, optional={"cached_tokens": _N})}),
    ("openai.responses", {"total_tokens": _N, "input_tokens": _N, "output_tokens": _N, "output_tokens_details": _REASONING}),
    ("anthropic.messages", {
        "input_tokens": _N, "output_tokens": _N, "cache_read_input_tokens": _N, "cache_creation_input_tokens": _N,
        "cache_creation": st.fixed_dictionaries(
            {}, optional={"ephemeral_5m_input_tokens": _N, "ephemeral_1h_input_tokens": _N}),
        "output_tokens_details": st.fixed_dictionaries({}, optional={"thinking_tokens": _N}),
    }),
]  # fmt: skip
ANSWERS: dict[str, dict[str, Any]] = {
    "openai.chat": {"choices": []}, "openai.responses": {"object": "response"}, "anthropic.messages": {"type": "message"},
}  # fmt: skip


async def book_of(catalogue: str) -> FlatPrices:
    if catalogue != "c1":
        raise Refused("input.malformed", "no such catalogue")
    return FlatPrices()


async def verify(ledger: Ledger) -> Verification:
    return await LedgerVerifier(ledger, book_of).run()


CHAT = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}


@pytest.fixture
async def filled(ledger: Ledger, clock: FakeClock) -> Ledger:
    """Two months, one closed; parts, corrections, an estimate, a failure, imports, an open attempt."""
    clock.advance((NOON + 45 * 86_400_000 - clock.wall_ms()) / 1_000)
    chance = random.Random(2)
    for number in range(20):
        at_ms = NOON + number * 86_400_000
        counts = {"input": chance.randrange(1, 99), "output": chance.randrange(9)}
        raw = {"prompt_tokens": counts["input"], "completion_tokens": counts["output"]}
        parts = [BilledAttempt(model="m1", counts=counts, raw=raw)]
        if number % 5 == 0:
            parts.append(BilledAttempt(kind="advisor_message", model="m2", counts={"output": 3}))
        await ledger.open(opening(f"a{number:02}", at_ms=at_ms, session=f"s{number % 3}"))
        await ledger.settle(Served(f"a{number:02}", "served", parts, at_ms=at_ms))
    for id_, served in (("cut", Served("cut", "cut")), ("failed", Served("failed", "failed"))):
        await ledger.open(opening(id_))
        await ledger.settle(served)
    await ledger.correct("default", "a03", why="x", counts={"input": 5})
    await ledger.correct("default", "a03", why="x", billed_nano=-5)
    keeper = Bookkeeper(ledger)
    await keeper.allocate("default", "2026-10", "platform", 10**9, "tokens", "x")
    await keeper.close("default", "2026-10", "x")
    await ledger.correct("default", "a04", why="late", counts={"input": 5})
    await Importer(ledger).import_file(reports.file(reports.openai_page(reports.openai_cost())), ImportOptions())
    await Importer(ledger).import_file(reports.file(reports.SEATS), ImportOptions(use="spend"))
    await ledger.open(opening("open", at_ms=ledger.clock.wall_ms()))
    return ledger


async def damage(store: Store, database: str, *changes: str) -> None:
    """What somebody with the database's password can do."""

    def work(connection: Any) -> None:
        if database.startswith("sqlite"):
            for (name,) in connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
                connection.execute(text(f"DROP TRIGGER {name}"))
        else:
            for table in ("ledger_rows", "ledger_seals", "ledger_periods", "ledger_allocations", "ledger_gaps"):
                connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
        for change in changes:
            connection.exec_driver_sql(change)  # a colon in it is one

    await store.write(work)


async def test_what_the_ledger_wrote_itself_is_right(filled: Ledger) -> None:
    found = await verify(filled)
    assert found.findings == ()
    assert found.ok
    assert (found.periods, found.imports, found.estimated) == (1, 2, 1)
    assert found.rows > 25
    assert found.repriced > 20


OF_ROW = "WHERE id = 'a07'"
DAMAGE: Sequence[tuple[str, str, str]] = [
    ("negative", "a07", f"""UPDATE ledger_rows SET counts = '{{"input":-3}}', input_tokens = -3 {OF_ROW}"""),
    ("negative", "a07", f"UPDATE ledger_rows SET billed_nano = -1 {OF_ROW}"),
    ("class", "a07", f"""UPDATE ledger_rows SET counts = '{{"inputs":3}}' {OF_ROW}"""),
    ("total", "a07", f"""UPDATE ledger_rows SET raw = '{{"prompt_tokens":1000}}' {OF_ROW}"""),
    ("sum", "a07", f"UPDATE ledger_rows SET output_tokens = output_tokens + 1 {OF_ROW}"),
    ("parts", "a07", f"UPDATE ledger_rows SET list_nano = list_nano + 1 {OF_ROW}"),
    ("unknown", "a07", f"UPDATE ledger_rows SET unpriced = 'images' {OF_ROW}"),
    ("date", "a07", f"UPDATE ledger_rows SET day = '2026-12-01' {OF_ROW}"),
    ("parent", "a05/2", "UPDATE ledger_rows SET parent = 'gone' WHERE id = 'a05/2'"),
    ("parent", "a05/2", "UPDATE ledger_rows SET parent = 'a06' WHERE id = 'a05/2'"),
    ("price", "a07", f"""UPDATE ledger_rows SET parts = '{{"input":1}}', list_nano = 1 {OF_ROW}"""),
    ("price", "a07", f"UPDATE ledger_rows SET catalogue = 'c0' {OF_ROW}"),
    ("price", "a07", f"UPDATE ledger_rows SET contracted_nano = contracted_nano + 1 {OF_ROW}"),
    # what no other check can tell: it fits in everywhere
    ("seal", "a17", "UPDATE ledger_rows SET billed_nano = billed_nano - 1 WHERE id = 'a17'"),
    ("seal", "a17", "UPDATE ledger_rows SET effective_nano = effective_nano * 2 WHERE id = 'a17'"),
    ("seal", "a17", "UPDATE ledger_rows SET team = 'finance' WHERE id = 'a17'"),
    ("seal", "a17", "UPDATE ledger_rows SET period = '2026-12' WHERE id = 'a17'"),
    ("seal", "a17", "DELETE FROM ledger_rows WHERE id = 'a17'"),
    ("seal", "a04~1", "DELETE FROM ledger_rows WHERE id = 'a04~1'"),
    ("seal", "forged", "UPDATE ledger_rows SET id = 'forged' WHERE id = 'a17'"),
    ("chain", "a03~1", "UPDATE ledger_rows SET corrects = 'gone' WHERE id = 'a03~1'"),
    ("chain", "a03~1", "UPDATE ledger_rows SET corrects = 'a03~2' WHERE id = 'a03~1'"),
    ("chain", "a04~1", "UPDATE ledger_rows SET tenant = 'other' WHERE id = 'a04~1'"),
    ("opening", "a07", "INSERT INTO ledger_openings VALUES ('a07', 'c', 'p', 1893456000000, '{}')"),
    ("opening", "old", "INSERT INTO ledger_openings VALUES ('old', 'c', 'p', 1, '{}')"),
    ("period", "2026-10", "UPDATE ledger_rows SET task = 'x' WHERE id = 'a02'"),
    ("period", "2026-10", "DELETE FROM ledger_rows WHERE id = 'a02'"),
    ("period", "2026-10", "UPDATE ledger_periods SET billed_nano = billed_nano + 1"),
    ("period", "2026-10", "UPDATE ledger_allocations SET amount_nano = 5"),
    ("period", "2026-10", "UPDATE ledger_rows SET period = '2026-10' WHERE id = 'a19'"),
    ("import", "", "DELETE FROM ledger_bill_lines"),
    ("import", "", "UPDATE ledger_bill_lines SET amount_nano = amount_nano + 1"),
    ("import", "", "DELETE FROM ledger_rows WHERE kind = 'seat'"),
    ("gap", "g1", "INSERT INTO ledger_gaps VALUES ('g1', 1, 'a', 'b', 'usage was missed')"),
]


@pytest.mark.parametrize(("check", "row", "change"), DAMAGE)
async def test_damage_is_found_where_it_is(
    filled: Ledger, store: Store, database: str, check: str, row: str, change: str
) -> None:
    await damage(store, database, change)
    found = await verify(filled)
    assert check in found.found
    assert any(finding.check == check and finding.row.startswith(row) for finding in found.findings)


async def test_rows_from_before_there_were_seals_are_sealed_as_they_stand(
    filled: Ledger, store: Store, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = importlib.import_module("holdfast.governance.store.migrations.versions.ledger_0003")
    monkeypatch.setattr(step, "PAGE", 7)
    before = await store.read(lambda c: c.execute(text("SELECT * FROM ledger_seals ORDER BY 1")).all())
    await damage(store, database, "DELETE FROM ledger_seals")
    assert (await verify(filled)).found["seal"] == len(before)
    await store.write(step._seal_all)
    assert (await verify(filled)).ok
    assert await store.read(lambda c: c.execute(text("SELECT * FROM ledger_seals ORDER BY 1")).all()) == before


def test_there_is_damage_for_every_check() -> None:
    assert {check for check, _, _ in DAMAGE} | {"books"} == set(checks.CHECKS)


async def test_books_that_do_not_sum_to_the_rows_are_found(filled: Ledger, store: Store, database: str) -> None:
    # a row that is replaced by one that is in nobody's books any more
    await damage(store, database, "UPDATE ledger_rows SET corrects = 'a05', tenant = 'other' WHERE id = 'a06'")
    assert "books" in (await verify(filled)).found


async def test_a_gap_is_noted_once(ledger: Ledger, store: Store) -> None:
    for _ in range(2):
        await store.write(lambda c: statements.add_gap(c, "g1", 5, "a", "b", "words"))
    assert [gap["id"] for gap in await store.read(statements.list_gaps)] == ["g1"]


@pytest.mark.parametrize(
    ("wire", "raw", "expected"),
    [
        ("openai.chat", CHAT, (100, 10)),
        ("openai.chat", {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 160,
                         "completion_tokens_details": {"reasoning_tokens": 50}}, (100, 60)),
        ("openai.chat", {"prompt_tokens": 100, "completion_tokens": 60, "total_tokens": 160,
                         "completion_tokens_details": {"reasoning_tokens": 50}}, (100, 60)),
        ("openai.chat", {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 117}, (100, 17)),
        ("openai.responses", {"input_tokens": 7, "output_tokens": 8}, (7, 8)),
        ("openai.responses", {"input_tokens": 7, "output_tokens": 8, "total_tokens": 18}, (7, 11)),
        ("anthropic.messages", {"input_tokens": 5, "cache_creation_input_tokens": 0, "output_tokens": 2,
                                "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 1}}, (9, 2)),
        ("anthropic.messages", {"input_tokens": 5, "cache_read_input_tokens": 128_955, "cache_creation_input_tokens": 1_253,
                                "output_tokens": 2}, (130_213, 2)),
        ("anthropic.messages", {"output_tokens": 2}, (None, 2)),
        ("openai.embeddings", {"prompt_tokens": 4}, (4, None)),
        ("cohere.chat", {"input_tokens": 3}, (None, None)),
        ("openai.chat", {"prompt_tokens": True, "completion_tokens": "5"}, (None, None)),
    ],
)  # fmt: skip
def test_a_providers_totals_are_read_from_its_own_words(wire: str, raw: dict[str, Any], expected: Any) -> None:
    assert checks.totals(wire, raw) == expected


def test_xai_counts_reasoning_beside_the_completion_also_without_a_total() -> None:
    raw = {"prompt_tokens": 5, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 30}}
    assert [checks.totals("openai.chat", raw, provider) for provider in ("x-ai", "openai")] == [(5, 32), (5, 2)]


@given(st.data())
def test_verify_does_not_doubt_what_the_meter_reads_without_a_doubt(data: st.DataObject) -> None:
    """Two readers of one usage: classes that the one made sum to the totals of the other."""
    wire, names = data.draw(st.sampled_from(USAGES))
    usage = data.draw(st.fixed_dictionaries({}, optional=names))
    answer = msgspec.json.encode({**ANSWERS[wire], "model": "m", "usage": usage})
    provider = data.draw(st.sampled_from(["x-ai", "openai"]))
    for billed in of_response(wire, answer, provider=provider):
        if billed.reported and (not billed.odd or "counts as reasoning" in billed.odd):
            row = Row(id="r", call="c", at_ms=0, day="", month="", wire=wire, provider=provider, counts=billed.counts,
                      raw=billed.raw)  # fmt: skip
            assert list(checks._totals(row, lambda check, words: words)) == [], usage


async def test_a_total_that_does_not_add_up_is_found_when_it_comes(ledger: Ledger) -> None:
    await ledger.open(opening())
    await ledger.settle(
        Served("a1", "served", [BilledAttempt(model="m1", counts={"input": 90, "output": 10}, raw=CHAT)])
    )
    assert (await verify(ledger)).found == {"total": 1}
    assert used().counts
