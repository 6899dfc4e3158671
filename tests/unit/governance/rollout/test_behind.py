"""Behind every number of evidence are the runs, rows and outcomes that it counts: the list it leads to has as many of them."""

from __future__ import annotations

import shlex
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import click
import pytest
from sqlalchemy import insert
from typer.main import get_command

from holdfast.cli.parser import app
from holdfast.governance.actions import ActionCall
from holdfast.governance.ledger.model import Row
from holdfast.governance.ledger.reader import LedgerReader
from holdfast.governance.ledger.routes import filters_of
from holdfast.governance.ledger.store import add_rows, reference_of
from holdfast.governance.opening import workflow_desk
from holdfast.governance.organisation.dates import day_at
from holdfast.governance.outcomes import desk as outcome_desk
from holdfast.governance.outcomes.service import OutcomeService
from holdfast.governance.rollout.behind import COUNT_NOTHING, DOORS_OF, Behind, QueryParams, behind
from holdfast.governance.rollout.evidence import EvidenceReader
from holdfast.governance.rollout.model import EvidenceAnswer
from holdfast.governance.rollout.registry import GATES
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.outcomes import outcomes
from holdfast.governance.workflows import actions, journal_store
from holdfast.governance.workflows.run_record import JournalRun, RunCounts
from tests.unit.governance.rollout.conftest import DAY_MS, TENANT, WORKFLOW, Company

pytestmark = pytest.mark.anyio
BERLIN = ZoneInfo("Europe/Berlin")
Found = list[dict[str, Any]]


def run(name: str, at_ms: int, **facts: Any) -> JournalRun:
    facts = {"workflow": WORKFLOW, "root": name, "agent": "mailer", **facts}
    return JournalRun(id=f"i1:{name}", run=name, queued_ms=at_ms, **facts)


async def journal(company: Company) -> None:
    """Runs of every kind in the window, one before it, one of a test and one of somebody else."""
    now = company.clock.wall_ms()
    some = [
        (run("r1", now - 2 * DAY_MS, interactive=True), RunCounts(tools=1)),
        (run("r2", now - 2 * DAY_MS, interactive=True), RunCounts(tools=1)),
        (run("r3", now - 3 * DAY_MS), RunCounts(tools=2, side_effects=1, unclassified=1)),
        (run("r4", now - 3 * DAY_MS, parent="r3", usage="seated"), RunCounts(tools=1, memory=1)),
        (run("r5", now - 4 * DAY_MS), None),
        (run("r6", now - 40 * DAY_MS), RunCounts()),
        (run("r7", now - 2 * DAY_MS, test=True), RunCounts(side_effects=1)),
        (run("r8", now - 2 * DAY_MS, workflow="other", usage="seated"), RunCounts()),
    ]

    def put(connection: Any) -> None:
        for record, counts in some:
            journal_store.add(connection, record, f"s-{record.run}", "i1")
            if counts is not None:
                journal_store.end(connection, TENANT, record.id, record.queued_ms + 1, "completed", counts)

    await company.store.write(put)


async def ledger(company: Company) -> None:
    """Calls of two days, models and tasks; one that the journal does not have, one of a test."""
    now = company.clock.wall_ms()
    base: dict[str, Any] = {
        "tenant": TENANT, "workflow": WORKFLOW, "source": "gateway", "provider": "openai", "billed_nano": 5,
        "outcome": "served",
    }  # fmt: skip
    some: list[dict[str, Any]] = [
        {"id": "a1", "call": "c1", "at_ms": now - 2 * DAY_MS, "model": "m1", "asked": "m1", "task": "t"},
        {"id": "a2", "call": "c2", "at_ms": now - 2 * DAY_MS, "model": "m2", "asked": "m2", "task": "t"},
        {"id": "a3", "call": "c3", "at_ms": now - 5 * DAY_MS, "model": "m1", "asked": "m1", "task": "u", "usage": "seated"},
        {"id": "a4", "call": "c4", "at_ms": now - 5 * DAY_MS, "model": "m1", "asked": "m1", "tags": {"test": "yes"}},
        {"id": "a5", "call": "c5", "at_ms": now - 5 * DAY_MS, "workflow": "other", "model": "m1", "asked": "m1"},
        {"id": "a6", "call": "c6", "at_ms": now - 6 * DAY_MS, "model": "m1", "asked": "m1", "session": "s-lost", "run": "r99"},
    ]  # fmt: skip
    days = [day_at(one["at_ms"], BERLIN).isoformat() for one in some]
    rows = [Row(**{**base, **one}, day=day, month=day[:7]) for one, day in zip(some, days, strict=True)]
    await company.store.write(lambda connection: add_rows(connection, rows))


async def said(company: Company) -> None:
    now = company.clock.wall_ms()

    def put(connection: Any) -> None:
        for number, (model, ago, workflow) in enumerate(
            (("m1", 2, WORKFLOW), ("m1", 3, WORKFLOW), ("m2", 3, WORKFLOW), ("m1", 95, WORKFLOW), ("m1", 3, "other"))
        ):
            at_ms = now - ago * DAY_MS
            reference = reference_of(connection, TENANT, f"s-o{number}", at_ms)
            facts = {
                "id": f"o-{number}", "tenant": TENANT, "session": reference, "run": f"r{number}", "call": "", "verdict": "accepted",
                "by": "user:ann", "kind": "person", "at_ms": at_ms, "counts": True, "workflow": workflow, "task": "t",
                "model": model, "work_ms": at_ms,
            }  # fmt: skip
            connection.execute(insert(outcomes).values(**facts))

    await company.store.write(put)


class Lists:
    """The lists of a store, opened by a page's address as the console does."""

    def __init__(self, company: Company) -> None:
        self.company, self.store = company, company.store

    async def opened(self, page: str) -> Found:
        path, _, query = page.removeprefix("#/").partition("?")
        facts = parse_qsl(query, keep_blank_values=True)
        if path == "plan/runs":
            desk = await workflow_desk(self.store, self.company.clock.wall_ms)
            answer = await actions.RUNS.answer(desk, self._call(actions.RUNS.query, facts))
            return list(answer["runs"])
        if path == "outcomes":
            service = OutcomeService(self.store, self.company.clock.wall_ms)
            answer = await outcome_desk.LIST.answer(service, self._call(outcome_desk.LIST.query, facts))
            return list(answer["outcomes"])
        assert path == "rows"
        since, _, until = dict(facts)["period"].partition("/")
        where = filters_of([value for name, value in facts if name == "where"])
        found = await LedgerReader(self.store).rows(TENANT, since, until, where)
        return [{"id": one.id} for one in found.rows]

    def _call(self, names: tuple[str, ...], facts: list[tuple[str, str]]) -> ActionCall:
        assert {name for name, _ in facts} <= set(names), "the page asks only what the route reads"
        return ActionCall("user:ann", TENANT, dict.fromkeys(names, "") | dict(facts))


@pytest.fixture
async def lists(company: Company) -> Lists:
    await company.manifest()
    company.pass_days(60)
    await journal(company)
    await ledger(company)
    await said(company)
    return Lists(company)


async def evidence(company: Company, query: str) -> tuple[EvidenceAnswer, Behind]:
    scope = company.plan.scope(TENANT, WORKFLOW)
    answer = (await EvidenceReader(company.store, {}).answer([query], scope))[query]
    return answer, behind(answer, BERLIN)


NUMBERS = [
    ("stage_runs", "n", 5), ("stages", "runs", 5), ("seated_runs", "n", 4), ("unrecorded_runs", "n", 1), ("cap_calls", "calls", 4),
    ("served", "n", 4), ("task_spend", "calls", 4), ("spend", "n", 6), ("task_outcomes", "n", 3), ("seated_claims", "seated", 1),
]  # fmt: skip


@pytest.mark.parametrize(("query", "number", "whole"), NUMBERS)
async def test_a_number_opens_as_many_as_it_counts(
    company: Company, lists: Lists, query: str, number: str, whole: int
) -> None:
    answer, found = await evidence(company, query)
    assert sum(int(row[number] or 0) for row in answer.rows) == whole, "the query counts what the test has written"
    assert found.all is not None
    assert len(await lists.opened(found.all.page)) == whole, found.all.page
    for row, page in zip(answer.rows, found.rows, strict=bool(found.rows)):
        assert len(await lists.opened(page)) == row[number], page
    assert found.rows or len(answer.rows) == 1


async def test_runs_lead_to_their_sessions_newest_first_and_page_by_page(company: Company, lists: Lists) -> None:
    _, found = await evidence(company, "stage_runs")
    assert found.all is not None
    runs = await lists.opened(found.all.page)
    assert [one["session_name"] for one in runs] == ["s-r1", "s-r2", "s-r3", "s-r4", "s-r5"]
    desk = await workflow_desk(company.store, company.clock.wall_ms)
    paged: Found = []
    cursor = ""
    while True:
        facts = dict.fromkeys(actions.RUNS.query, "") | {"workflow": WORKFLOW, "limit": "2", "cursor": cursor}
        answer = await actions.RUNS.answer(desk, ActionCall("user:ann", TENANT, facts))
        paged += answer["runs"]
        if not (cursor := answer["next"]):
            break
    assert [one["run"] for one in paged] == ["r1", "r2", "r7", "r3", "r4", "r5", "r6"]
    (lost,) = await lists.opened((await evidence(company, "unrecorded_runs"))[1].all.page)  # type: ignore[union-attr]
    assert (lost["session_name"], lost["run"], lost["lost"]) == ("s-lost", "r99", True)


async def test_every_query_of_every_gate_says_what_it_counts_or_that_it_counts_nothing() -> None:
    names = {query for gate in GATES for query in gate.queries}
    assert names <= set(DOORS_OF) | COUNT_NOTHING, "a new query needs a door, or a word that it has none"
    assert not set(DOORS_OF) & COUNT_NOTHING


async def test_every_command_is_one_that_there_is(company: Company, lists: Lists) -> None:
    for query, _, _ in NUMBERS:
        _, found = await evidence(company, query)
        assert found.all is not None
        _parsed(found.all.command)
    more = {
        "weeks": {"week": "2026-10-05"}, "bill": {"kind": "line", "provider": "openai", "day": "2026-10-05", "model": "m", "key": ""},
        "refusals": {"budget": "b-1"}, "caps": {"id": "b-1"}, "inbox_due": {"id": "i"}, "passed": {"gate": "6.a", "workflow": "a b"},
    }  # fmt: skip
    for query, row in more.items():
        params: dict[str, int | str] = {"workflow": "a b", "month": "2026-10", "as_of_ms": company.clock.wall_ms()}
        door = DOORS_OF[query](QueryParams(params, BERLIN), row)
        assert door is not None
        _parsed(door.command)


def _parsed(line: str) -> None:
    words = shlex.split(line)
    assert words[0] == "holdfast"
    command: Any = get_command(app)
    rest = words[1:]
    while isinstance(command, click.Group):
        command, rest = command.commands[rest[0]], rest[1:]
    command.make_context(line, list(rest), resilient_parsing=False).close()


async def test_evidence_that_was_changed_leads_nowhere_and_is_explained_all_the_same(store: Store) -> None:
    forged = EvidenceAnswer("weeks", {"tenant": TENANT}, ({"week": "never"}, {"n": 1}))
    assert behind(forged, BERLIN) == Behind()
    assert behind(EvidenceAnswer("no_such_query", {}, ({"n": 1},)), BERLIN) == Behind()
    assert behind(EvidenceAnswer("stage_runs", {}, ()), BERLIN) == Behind()
