"""What the desk answers from all that is known: drafts, inventory, blast radius, what changed, and who may do what."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from msgspec.structs import replace

from holdfast.errors import Refused
from holdfast.gateway.port import Served
from holdfast.governance.actions import ActionCall
from holdfast.governance.keys.model import KeyRequest
from holdfast.governance.ledger.imports.service import ImportOptions
from holdfast.governance.ledger.service import Ledger
from holdfast.governance.opening import workflow_desk
from holdfast.governance.organisation.document import parse
from holdfast.governance.outcomes.service import OutcomeRequest
from holdfast.governance.store.store import Store
from holdfast.governance.workflows import actions, inventory, journal_store
from holdfast.governance.workflows.blast import blast_radius
from holdfast.governance.workflows.desk import WorkflowDesk
from holdfast.governance.workflows.model import CurrentWorkflow, DataSource, ManifestTool, WorkflowManifest
from holdfast.governance.workflows.run_record import JournalRun, RunCounts, RunToolCount
from holdfast.session.access import Capability, Principal
from holdfast.testing import FakeClock
from tests.unit.governance.ledger.conftest import NOON, FlatPrices, opening, used

pytestmark = pytest.mark.anyio
DAY_MS = 86_400_000
MAIL = b"workflow: mail\nunit: sales\nowner: ann\ndeputy: bob\ntools: [{name: send, effect: write, limit: 100 a day}]\n"


@pytest.fixture
async def desk(store: Store, clock: FakeClock) -> WorkflowDesk:
    clock.advance((NOON - clock.wall_ms()) / 1_000)
    made = await workflow_desk(store, clock.wall_ms)
    await made.sources.organisation.change(parse(b"teams: [{name: sales}]", "yaml"), by="user:ann")
    return made


@pytest.fixture
def books(desk: WorkflowDesk, store: Store, clock: FakeClock) -> Ledger:
    return Ledger(store, FlatPrices(), desk.sources.organisation, clock)


async def work(books: Ledger, id_: str, model: str = "m1", *, at_ms: int = NOON, **more: Any) -> None:
    await books.open(opening(id_, asked=model, model=model, at_ms=at_ms, **more))
    await books.settle(Served(id_, "served", billed=(used(model),), at_ms=at_ms))


async def ran(store: Store, run: str, at_ms: int, *tools: str) -> None:
    record = JournalRun(id=f"i1:{run}", run=run, root=run, workflow="mail", agent="mailer", queued_ms=at_ms)
    counts = RunCounts(tools=len(tools), by_tool=tuple(RunToolCount(tool, "", 2) for tool in tools))

    def put(connection: Any) -> None:
        journal_store.add(connection, record, "s1", "i1")
        journal_store.end(connection, "default", record.id, at_ms, "completed", counts)

    await store.write(put)


async def ask(
    desk: WorkflowDesk, action: Any, body: Any = None, principal: Principal | None = None, **facts: str
) -> Any:
    by = principal.actor if principal is not None else "user:ops"
    call = ActionCall(by, "default", dict.fromkeys(action.query, "") | facts, body, principal)
    return await action.answer(desk, call)


async def test_a_manifest_is_drafted_from_what_was_seen(desk: WorkflowDesk, books: Ledger, store: Store) -> None:
    await work(books, "a1", labels={"usage": "headless"})
    await work(books, "a2", "m2", labels={"usage": "headless"})
    for number, tier in enumerate(("default", "standard", "batch")):
        opened = opening(f"t{number}", asked="alias", model="m2", at_ms=NOON, labels={"usage": "headless"})
        await books.open(opened)
        await books.settle(Served(f"t{number}", "served", billed=(replace(used("m2"), tier=tier),), at_ms=NOON))
    await work(books, "a3", "m3", labels={"workflow": "other"})
    await ran(store, "r1", NOON, "send")
    found = yaml.safe_load((await ask(desk, actions.DRAFT, name="mail", agents="helper"))["yaml"])
    assert found == {
        "workflow": "mail", "usage": "headless", "agents": ["helper", "mailer"], "models": [{"model": "m1"}, {"model": "m2"}],
        "tools": [{"name": "send", "effect": "write"}],
    }  # fmt: skip
    await ask(desk, actions.APPLY, MAIL)
    again = yaml.safe_load((await ask(desk, actions.DRAFT, name="mail"))["yaml"])
    assert (again["unit"], again["owner"], again["deputy"]) == ("sales", "ann", "bob")


async def test_what_belongs_to_nobody_is_listed_with_its_spend(desk: WorkflowDesk, books: Ledger) -> None:
    await ask(desk, actions.APPLY, MAIL)
    await work(books, "a1")  # of mail, which is declared
    await work(books, "a2", "m9", labels={"workflow": "made-up"})
    await work(books, "a3", "m9", labels={"workflow": "made-up"}, at_ms=NOON - 29 * DAY_MS)
    await desk.sources.keys.create(KeyRequest(workflow="mail", team="sales", task="x", name="fine"), by="user:ops")
    report = {
        "object": "page", "has_more": False, "next_page": None, "data": [{
            "object": "bucket", "start_time": NOON // 1_000 - 43_200, "end_time": NOON // 1_000 + 43_200, "results": [{
                "object": "organization.costs.result", "amount": {"value": 12.5, "currency": "usd"}, "line_item": "gpt-5, output",
                "project_id": "proj_a",
            }],
        }],
    }  # fmt: skip
    await desk.sources.importer.import_file(io.BytesIO(json.dumps(report).encode()), ImportOptions(by="user:ops"))
    found = {(one["kind"], one["name"]): one for one in (await ask(desk, actions.INVENTORY))["seen"]}
    cost = "0.000135"
    assert found["label", "made-up"]["spend_usd"] == cost, "of 28 days"
    assert found["model", "m9"]["calls"] == 1
    assert found["bill", "proj_a"]["spend_usd"] == "12.50"
    assert ("key", "fine") not in found and ("model", "m1") not in found
    assert all(one["next"] for one in found.values())
    rows = desk.sources.keys.rows("default")
    assert [(one.name, one.next) for one in inventory.keys(rows, {"other"}, {})] == [
        ("fine", "declare workflow mail: holdfast workflow init mail")
    ], "a key whose workflow is not declared any more"


async def test_a_blast_radius_is_of_what_is_declared_and_of_what_was_seen(
    desk: WorkflowDesk, books: Ledger, store: Store
) -> None:
    await ask(desk, actions.APPLY, MAIL + b"data: [{source: wiki, class: internal}, {source: crm, class: personal}]\n")
    await desk.workflows.set_tool("default", "crm.read", "read", by="user:eve")
    await work(books, "a1")
    await ran(store, "r1", NOON, "send", "crm.read")
    await ran(store, "r0", NOON - 29 * DAY_MS, "old")
    blast = await ask(desk, actions.BLAST, workflow="mail")
    assert (blast["data_class"], blast["runs"], blast["spend_usd"]) == ("personal", 1, "0.000135")
    assert [(one["tool"], one["effect"], one["classed"], one["declared"], one["calls"]) for one in blast["tools"]] == [
        ("crm.read", "read", True, False, 2), ("send", "write", False, True, 2),
    ]  # fmt: skip
    for words in (
        "writes with 1 tool (send)",
        "1 of its tools nobody has classed",
        "crm.read, which its manifest",
        "personal",
    ):
        assert words in blast["sentence"]


async def test_whoever_approves_sees_the_radius_of_the_run_and_money_only_with_the_right(
    desk: WorkflowDesk, books: Ledger, store: Store
) -> None:
    await ask(desk, actions.APPLY, MAIL + b"data: [{source: crm, class: personal}]\n")
    await work(books, "a1")
    await ran(store, "r1", NOON, "send")

    def put(connection: Any) -> None:
        for run, parent, workflow in (("r2", "r1", "unassigned"), ("r3", "", "made-up"), ("r4", "r3", "mail")):
            record = JournalRun(id=f"i1:{run}", run=run, root=run, parent=parent, workflow=workflow, queued_ms=NOON + 1)
            journal_store.add(connection, record, "s1" if run == "r2" else "s2", "i1")

    await store.write(put)
    blast = await ask(desk, actions.BLAST, workflow="mail")
    reader = Principal("user:bob", "default", (Capability("*", frozenset({"read", "approve"})),))
    payer = Principal("user:fin", "default", (Capability("*", frozenset({"read", "spend"})),))
    seen = await ask(desk, actions.RADIUS, principal=reader, session="s1", run="r1")
    assert seen["workflow"] == "mail" and seen["page"] == ""
    for words in ("writes with 1 tool (send)", "reads personal data", "ran once in 28 days."):
        assert words in seen["sentence"]
    assert "USD" not in seen["sentence"] and "cost" not in seen["sentence"] and "price" not in seen["sentence"]
    for principal in (payer, None):
        whole = await ask(desk, actions.RADIUS, principal=principal, session="s1", run="r1")
        assert whole == {"workflow": "mail", "sentence": blast["sentence"], "page": "#/plan/workflow/mail"}
    assert (await ask(desk, actions.RADIUS, session="s1", run="r2"))["workflow"] == "mail", "that of the run above"
    assert (await ask(desk, actions.RADIUS, session="s2", run="r4"))["workflow"] == "mail", "its own"
    assert (await ask(desk, actions.RADIUS, session="s1"))["workflow"] == "mail", "of what was begun last there"
    nobody = await ask(desk, actions.RADIUS, session="s2", run="r3")
    assert nobody["workflow"] == "" and "of no workflow" in nobody["sentence"]
    for facts in ({"session": "s3"}, {"session": "s1", "run": "r9"}, {"session": "s2", "run": "r1"}):
        assert "no run of it is on record" in (await ask(desk, actions.RADIUS, **facts))["sentence"]
    assert actions.RADIUS.verb == "read" and "{session}" in actions.RADIUS.path, "whoever may read that session"


def test_a_tool_that_nobody_classed_writes_in_a_blast_radius() -> None:
    manifest = WorkflowManifest(
        workflow="w",
        tools=(ManifestTool("a", "read"),),
        data=(DataSource("x", "public"), DataSource("y", "confidential")),
    )
    one = CurrentWorkflow(workflow="w", since_ms=0, manifest=manifest)
    found = blast_radius(one, {}, {}, runs=0, spend_nano=0)
    assert [tool.tool for tool in found.writing] == ["a"], "whatever its owner declares"
    assert found.data_class == "confidential"
    assert blast_radius(one, {"a": "read"}, {}, runs=0, spend_nano=0).writing == []


@pytest.mark.parametrize(
    ("runs", "rate"),
    [(0, "not at all in 28 days"), (1, "once in 28 days"), (27, "27 times in 28 days"), (28, "1.0 times a day")],
)
def test_a_blast_radius_says_no_rate_of_nought(runs: int, rate: str) -> None:
    one = CurrentWorkflow(workflow="w", since_ms=0)
    assert f"ran {rate} and cost" in blast_radius(one, {}, {}, runs=runs, spend_nano=0).sentence


async def test_what_changed_is_said_beside_as_long_a_time_before(
    desk: WorkflowDesk, books: Ledger, store: Store, clock: FakeClock
) -> None:
    await ask(desk, actions.APPLY, MAIL)
    await work(books, "a1", "m1")
    await work(books, "a2", "m0")
    await ran(store, "r1", NOON, "send")
    for call in ("c-a1", "c-a2"):
        await desk.sources.outcomes.record(
            OutcomeRequest(outcome="accepted", call=call), by="user:ann", tenant="default"
        )
    clock.advance(6 * 86_400)
    since_ms = clock.wall_ms()
    clock.advance(86_400)
    await ask(desk, actions.APPLY, MAIL + b"models: [{model: m2}]\n", reason="a better one")
    await work(books, "b1", "m1", at_ms=clock.wall_ms())
    await work(books, "b2", "m2", at_ms=clock.wall_ms())
    await ran(store, "r2", clock.wall_ms(), "send", "crm.read")
    for call, verdict in (("c-b1", "accepted"), ("c-b2", "rejected")):
        await desk.sources.outcomes.record(OutcomeRequest(outcome=verdict, call=call), by="user:ann", tenant="default")
    clock.advance(6 * 86_400)
    found = await ask(desk, actions.CHANGES, workflow="mail", since_ms=str(since_ms))
    lines = {(one["area"], one["what"], one["before"], one["after"]) for one in found["changes"]}
    assert {
        ("model", "m2 served for the first time", "", "1 rows"), ("model", "m0 served no more", "1 rows", ""),
        ("tool", "crm.read called for the first time", "", "2 calls"), ("model", "manifest: models.m2", "", "yes"),
        ("outcome", "accepted", "100 % of 2", "50 % of 2"),
    } <= lines  # fmt: skip
    assert any(one["what"] == "version: a better one" and one["by"] == "user:ops" for one in found["changes"])
    assert not any("send" in one["what"] or "m1" in one["what"] for one in found["changes"])
    with pytest.raises(Refused, match=r"input\.malformed"):
        await ask(desk, actions.CHANGES, workflow="mail", since_ms=str(clock.wall_ms() + 1))


async def test_everybody_takes_on_a_role_for_themselves(desk: WorkflowDesk) -> None:
    await ask(desk, actions.APPLY, MAIL)
    spend = (Capability("*", frozenset({"spend"})),)
    for principal, person in (
        (Principal("user:bob", "default", spend), "ann"), (Principal("agent:ann", "default", spend), "ann"),
        (Principal("user:ann", "default", spend, minters=("agent:x",)), ""),
    ):  # fmt: skip
        with pytest.raises(Refused, match=r"auth\.denied"):
            await ask(desk, actions.ACCEPT, actions.AcceptRequest(person), principal, workflow="mail")
    made = await ask(
        desk, actions.ACCEPT, actions.AcceptRequest(), Principal("user:ann", "default", spend), workflow="mail"
    )
    assert made["acceptance"].role == "owner"


async def test_enforcement_is_lifted_by_an_auditor_with_a_reason(desk: WorkflowDesk) -> None:
    await ask(desk, actions.APPLY, MAIL)
    budget = Principal("user:ops", "default", (Capability("*", frozenset({"budget"})),))
    await ask(desk, actions.MODE, actions.ModeRequest("enforce"), budget, workflow="mail")
    with pytest.raises(Refused, match=r"auth\.denied"):
        await ask(desk, actions.MODE, actions.ModeRequest("observe", "I want to"), budget, workflow="mail")
    both = Principal("user:eve", "default", (Capability("*", frozenset({"budget", "audit"})),))
    with pytest.raises(Refused, match="needs a reason"):
        await ask(desk, actions.MODE, actions.ModeRequest("observe"), both, workflow="mail")
    made = await ask(desk, actions.MODE, actions.ModeRequest("observe", "a trial"), both, workflow="mail")
    assert made["workflow"]["mode"] == "observe"


async def test_whoever_answers_for_a_workflow_classes_none_of_its_tools_nor_does_an_agent(desk: WorkflowDesk) -> None:
    await ask(desk, actions.APPLY, MAIL)
    audit = (Capability("*", frozenset({"audit"})),)
    body = actions.ToolRequest("send", "read")
    for principal, code in (
        (Principal("user:Ann", "default", audit), "workflow.invalid"), (Principal("agent:eve", "default", audit), "auth.denied"),
        (Principal("user:eve", "default", audit, minters=("agent:x",)), "auth.denied"),
    ):  # fmt: skip
        with pytest.raises(Refused) as refused:
            await ask(desk, actions.SET_TOOL, body, principal)
        assert refused.value.code == code
    made = await ask(desk, actions.SET_TOOL, body, Principal("user:eve", "default", audit))
    assert made["tool"].effect == "read"
    other = actions.ToolRequest("of.somebody.else", "write")
    assert await ask(desk, actions.SET_TOOL, other, Principal("user:ann", "default", audit))


async def test_one_workflow_is_shown_with_where_the_organisation_says_otherwise(desk: WorkflowDesk) -> None:
    await ask(desk, actions.APPLY, MAIL)
    assert (await ask(desk, actions.SHOW, workflow="mail"))["elsewhere"] == []
    change = b"workflows: [{name: mail, team: sales, owner: cat, deputy: bob}]"
    await desk.sources.organisation.change(parse(change, "yaml"), by="user:ops")
    found = await ask(desk, actions.SHOW, workflow="mail")
    assert found["elsewhere"] == ["owner: ann here, cat there"]
    assert found["manifest"]["owner"] == "ann"
    with pytest.raises(Refused, match=r"workflow\.not_found"):
        await ask(desk, actions.SHOW, workflow="nothing")


async def test_a_plan_is_made_from_what_is_known(desk: WorkflowDesk) -> None:
    await ask(desk, actions.APPLY, MAIL)
    plan = await ask(desk, actions.PLAN, use_case="mail")
    done = [one["what"] for one in plan["steps"] if one["done"]]
    assert done == [
        "Name an owner and a deputy of the unit that does the work",
        "Write and apply its manifest: agents, models, tools, data",
    ]
    assert "(send)" in next(one["what"] for one in plan["steps"] if one["what"].startswith("Class its tools"))
