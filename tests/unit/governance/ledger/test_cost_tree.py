"""A session's costs as a tree: each level sums to the one above, waiting and retries are where they happened."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.embed import EmbeddedHub
from holdfast.engines.port import Key
from holdfast.gateway.port import Served
from holdfast.governance.ledger import store as statements
from holdfast.governance.ledger.cost_tree import CostNode, RunTimes, TreeCost, build, walk
from holdfast.governance.ledger.hub_sessions import HubRuns, SessionSweep
from holdfast.governance.ledger.model import Row
from holdfast.governance.ledger.service import Ledger
from holdfast.protocol import wire
from holdfast.session.access import full_access
from tests.unit.governance.ledger.conftest import opening, used


def row(id_: str, call: str, run: str = "r1", **more: object) -> Row:
    facts = {"number": 1, "counts": {"input": 10, "output": 1}, "list_nano": 5, "billed_nano": 4, "model": "m"} | more
    return Row(id=id_, call=call, run=run, at_ms=1, day="2026-10-05", month="2026-10", **facts)


RUNS = [
    RunTimes(id="r1", agent="writer", status="completed", attempts=2, queued_ms=100, started_ms=400, ended_ms=900),
    RunTimes(id="r2", agent="critic", parent="r1", status="running", attempts=1, queued_ms=500),
]


def test_the_tree_shows_runs_sub_runs_calls_attempts_and_parts() -> None:
    rows = [
        row("a1", "c1", outcome="failed", reason="http.500", list_nano=0, billed_nano=0, counts={}),
        row("a2", "c1", number=2), row("a2/2", "c1", number=2, parent="a2", model="advisor"),
        row("b1", "c2", run="r2", billed_nano=None, list_nano=None), row("x1", "c3", run=""),
    ]  # fmt: skip
    tree = build("s", rows, RUNS)
    writer, loose = tree.nodes
    assert (writer.name, writer.waiting_ms, writer.took_ms, writer.retries) == ("writer", 300, 500, 1)
    call, critic = writer.children
    assert (call.kind, call.retries, call.status, [node.status for node in call.children]) == (
        "call", 1, "served", ["failed", "served"],
    )  # fmt: skip
    assert (call.children[0].reason, call.children[1].cost.billed_nano) == ("http.500", 8)
    assert [part.name for part in call.children[1].children] == ["advisor"]
    assert (critic.name, critic.waiting_ms, critic.cost.unpriced) == ("critic", None, 1)
    assert (loose.kind, loose.id) == ("call", "c3")
    assert (tree.cost.rows, tree.cost.billed_nano, tree.cost.unpriced, tree.cost.input_tokens) == (5, 12, 1, 40)
    assert len(tree.csv().splitlines()) == 1 + len(list(walk(tree.nodes)))


def test_a_run_that_is_forgotten_keeps_its_costs() -> None:
    rows = [row("a1", "c1", run="gone", agent="old"), row("a2", "c2", run="below", parent_run="gone")]
    (node,) = build("s", rows, []).nodes
    assert (node.name, node.status, node.cost.rows, node.waiting_ms) == ("old", "unknown", 2, None)
    assert node.children[1].id == "below"


def test_runs_that_call_each_other_parents_are_no_circle() -> None:
    rows = [row("a1", "c1", run="x", parent_run="y"), row("a2", "c2", run="y", parent_run="x")]
    tree = build("s", rows, [])
    assert tree.cost.rows == 2


def sums(node: CostNode) -> None:
    below = TreeCost()
    for child in node.children:
        below = below.plus(child.cost)
        sums(child)
    if node.kind in ("run", "call"):
        assert node.cost == below


@given(st.integers(0, 10_000))
def test_children_sum_to_their_parents(seed: int) -> None:
    chance = random.Random(seed)
    names = [f"r{n}" for n in range(6)]
    runs = [RunTimes(id=name, parent=chance.choice(["", *names, "nowhere"])) for name in names[: chance.randrange(6)]]
    rows = []
    for number in range(chance.randrange(20)):
        parent = f"a{number}" if chance.random() < 0.2 else ""
        call = f"c{chance.randrange(8)}"
        facts = {"number": chance.randrange(1, 4), "billed_nano": chance.choice([None, 0, 7])}
        rows.append(row(f"a{number}", call, chance.choice(["", *names]), **facts))
        if parent:
            rows.append(row(f"a{number}/2", call, rows[-1].run, parent=parent, number=facts["number"]))
    tree = build("s", rows, runs)
    assert tree.cost.rows == len(rows)
    assert tree.cost.billed_nano == sum(each.billed_nano or 0 for each in rows)
    assert sorted(node.row for _, node in walk(tree.nodes) if node.row) == sorted(each.id for each in rows)
    for node in tree.nodes:
        sums(node)


@pytest.mark.anyio
async def test_a_hub_tells_its_runs_and_which_sessions_are_gone(ledger: Ledger) -> None:
    async with EmbeddedHub("memory:") as embedded:
        hub, who = embedded.hub, full_access("default", "user:ann")
        runs, sweep = HubRuns(hub), SessionSweep(hub.engine, ledger)
        from holdfast.hub import operations

        await operations.execute(hub, who, wire.Create(session="s1"))
        await operations.execute(hub, who, wire.Send(session="s1", text="Go.", agent="writer"))
        (run,) = await runs.runs("default", "s1")
        assert (run.agent, run.status, run.started_ms) == ("writer", "queued", None)
        assert await runs.runs("default", "nobody") == []
        assert await hub.engine.head(Key("default", "nobody")) is None

        head = await hub.engine.head(Key("default", "s1"))
        assert head is not None
        for id_, session in (("a1", "s1"), ("a2", "never")):
            await ledger.open(opening(id_, session=session))
            await ledger.settle(Served(id_, "served", [used()], at_ms=head.created_ms + 5))
        assert await sweep.look() == 0
        assert (await ledger.row("default", "a1"))[0].session == "s1"
        assert (await ledger.row("default", "a2"))[0].session == "never", "it may be one of another server"
        await operations.execute(hub, who, wire.Delete(session="s1"))
        assert await sweep.look() == 1
        assert (await ledger.row("default", "a1"))[0].session.startswith("erased:")
        (left,) = await ledger.store.read(lambda c: statements.sessions_after(c, "", 5))
        assert left[2] == "never"
