"""What no run begins under, and what a running one is stopped by: on a real hub, with workers and people who watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from holdfast.agents.run import RunContext
from holdfast.client.session import Session
from holdfast.errors import HoldfastError
from holdfast.governance.start_guard import StartGuard
from holdfast.hub import operations
from holdfast.protocol import limits, wire
from holdfast.session.access import full_access
from holdfast.session.composed_policy import compose
from holdfast.session.labels import parse
from tests.unit.agents.conftest import House, items, refusal

from .conftest import FAILURE, REASON, Rules, Workflow, stop

pytestmark = pytest.mark.anyio

LABELS = {"workflow": "refunds"}


@asynccontextmanager
async def guarded(**labels: str) -> AsyncIterator[tuple[House, Rules, Session]]:
    """A house with the guard, and a session of a person whose work is of the workflow."""
    rules = Rules()
    house = House(30.0, compose([StartGuard(rules)]))
    await house.hub.open()
    try:
        person = await house.client("user:ann", labels=LABELS | labels)
        async with asyncio.timeout(30):
            yield house, rules, await person.create("s1", agent="writer")
    finally:
        await house.close()


def no_owner(rules: Rules) -> None:
    rules.workflows.workflows["refunds"] = Workflow()
    rules.gates.failures["refunds"] = FAILURE


def retired(rules: Rules) -> None:
    rules.workflows.workflows["refunds"] = Workflow("retired")


def not_launched(rules: Rules) -> None:
    rules.workflows.workflows["refunds"] = Workflow("registered")


def spent(rules: Rules) -> None:
    rules.spent.workflow = "refunds"


def stopped(rules: Rules) -> None:
    rules.stop(stop("workflow", "refunds"))


CASES: dict[str, tuple[Callable[[Rules], None], str, dict[str, Any]]] = {
    "stopped": (stopped, "workflow.stopped", {"workflow": "refunds", "by": "user:kim", "reason": REASON}),
    "no owner": (no_owner, "workflow.gate", {"workflow": "refunds", "gate": "6.a", "owner": "Customer care"}),
    "retired": (retired, "workflow.retired", {"workflow": "refunds", "owner": "ann"}),
    "not launched": (not_launched, "workflow.launch", {"workflow": "refunds", "state": "registered"}),
    "over its cap": (spent, "budget.exceeded", {"budget": "refunds", "payer": "Care"}),
}


async def ways(session: Session, run: str) -> dict[str, Callable[[], Awaitable[Any]]]:
    """Everything by which a person has a run begin."""
    ask = session.connection.request
    (message,) = [item["id"] for item in items(await session.state(), "message") if item["actor"] == "user:ann"]
    return {
        "send": lambda: session.send("again"),
        "edit": lambda: ask(wire.Send(session="s1", text="better", edits=message)),
        "regenerate": lambda: ask(wire.Regenerate(session="s1", input=message)),
        "interrupt": lambda: ask(wire.Interrupt(session="s1", text="stop, and do this", run=run)),
        "interrupt all": lambda: ask(wire.Interrupt(session="s1", text="stop, and do this")),
    }


@pytest.mark.parametrize("case", CASES)
async def test_no_run_begins_however_it_is_asked_for_and_all_say_why(case: str) -> None:
    rule, code, fields = CASES[case]
    async with guarded() as (_, rules, session):
        run = await session.send("hi")  # it waits for a worker
        asked = await ways(session, run.id)
        rule(rules)
        for name, ask in asked.items():
            error = await refusal(ask())
            assert error.code == code, name
            assert {field: error.fields.get(field) for field in fields} == fields, name
            assert error.fix, "it says what to do"
        assert list((await session.state()).runs) == [run.id], "and nothing began"
        await session.connection.request(wire.Send(session="s1", text="a note among people", silent=True))
        await session.connection.request(wire.Take(session="s1"))
        assert (await session.connection.request(wire.Send(session="s1", text="I answer myself")))["run"] is None
        await session.connection.request(wire.Cancel(session="s1", run=run.id))
        rules.__init__()  # type: ignore[misc]
        await session.connection.request(wire.GiveBack(session="s1"))
        assert (await session.send("now")).id, "without the rule it begins"


@pytest.mark.parametrize("case", [case for case in CASES if case != "stopped"])
async def test_a_running_attempt_begins_no_sub_run_and_goes_on_by_itself(case: str) -> None:
    rule, code, _ = CASES[case]
    async with guarded() as (house, rules, session):
        worker, errors = await house.worker(), []

        @worker.agent("writer")
        async def write(run: RunContext) -> None:
            first = await run.spawn("reader", "look", name="first")
            rule(rules)
            assert (await run.spawn("reader", "look", name="first")).id == first.id, "that one is there already"
            for local in ("reader", "stranger"):
                try:
                    await run.spawn(local, "look", name=local)
                except HoldfastError as error:
                    errors.append(error.code)
            await run.say("done without")

        @worker.agent("reader")
        async def read(run: RunContext) -> None:
            await run.say("seen")

        house.serve(worker)
        run = await session.send("hi")
        assert (await run.finished())["status"] == "completed"
        assert errors == [code, code]


async def test_a_stopped_attempt_is_cancelled_at_its_next_word_in_the_name_of_who_stopped_it() -> None:
    async with guarded() as (house, rules, session):
        worker = await house.worker()

        @worker.agent("writer")
        async def write(run: RunContext) -> None:
            async with run.message() as out:
                await out.write("so far")
                await run.flush()
                stopped(rules)
                await out.write(" and no further")
                await run.flush()
                await asyncio.Event().wait()

        house.serve(worker)
        run = await session.send("hi")
        over = await run.finished()
        assert over["status"] == "cancelled"
        assert over["cancel"]["by"] == "user:kim" and REASON in over["cancel"]["reason"]
        view = await session.state()
        assert [item["text"] for item in items(view, "message")] == ["hi", "so far"]
        (shown,) = items(view, "activity")
        assert (shown["name"], shown["actor"]) == ("stop", "user:kim")
        assert {name: shown["content"][name] for name in ("code", "by", "reason", "workflow")} == {
            "code": "workflow.stopped", "by": "user:kim", "reason": REASON, "workflow": "refunds",
        }  # fmt: skip


async def test_a_stopped_sub_agent_says_nothing_more_and_its_parent_goes_on() -> None:
    async with guarded() as (house, rules, session):
        worker, codes = await house.worker(), []

        @worker.agent("writer")
        async def write(run: RunContext) -> None:
            child = await run.spawn("reader", "look")
            codes.append((await child.finished())["status"])
            await run.say("done without")

        @worker.agent("reader")
        async def read(run: RunContext) -> None:
            rules.stop(stop("agent", "reader"))
            try:
                await run.say("words")
                await run.flush()
            finally:
                codes.append("told")

        house.serve(worker)
        run = await session.send("hi")
        while "told" not in codes:
            await asyncio.sleep(0)
        (child,) = [ident for ident, one in (await session.state()).runs.items() if one.get("parent")]
        await session.connection.request(wire.Cancel(session="s1", run=child, force=True))
        assert (await run.finished())["status"] == "completed"
        texts = [item["text"] for item in items(await session.state(), "message")]
        assert texts == ["hi", "done without"]


async def test_whoever_calls_a_stopped_tool_or_used_a_stopped_model_is_stopped() -> None:
    async with guarded() as (house, rules, session):
        worker, paid = await house.worker(), []
        rules.stop(stop("tool", "pay"), stop("model", "m-1"))

        @worker.agent("writer")
        async def write(run: RunContext) -> None:
            if run.input.text == "use":
                await run.usage("m-1", output_tokens=3)
                await run.flush()
            else:
                await run.tool("pay", {"usd": 5}, paid.append)
            await asyncio.Event().wait()

        house.serve(worker)
        for text in ("use", "pay"):
            over = await (await session.send(text)).finished()
            assert (over["status"], over["cancel"]["by"]) == ("cancelled", "user:kim")
        assert not paid, "the call is written before it is made, and so it was not"


async def test_what_waits_in_a_queue_is_not_given_to_a_worker_once_it_is_stopped() -> None:
    async with guarded() as (house, rules, session):
        run = await session.send("hi")
        stopped(rules)
        worker, begun = await house.worker(), []

        @worker.agent("writer")
        async def write(run: RunContext) -> None:
            begun.append(run.id)

        house.serve(worker)
        hot = house.hub.sessions[next(iter(house.hub.sessions))]
        while not house.hub.stats.refused:
            await asyncio.sleep(0)
        await hot.wait_until_idle()
        assert not begun and (await session.state()).runs[run.id]["status"] == "queued"
        rules.stop()
        await session.connection.request(wire.Rename(session="s1", title="again"))
        other = await session.send("more")  # whatever happens next in the session
        await other.finished()
        assert begun == [run.id, other.id]


async def test_old_facts_let_nothing_begin_and_end_nothing_that_runs() -> None:
    async with guarded() as (house, rules, session):
        worker, go = await house.worker(), asyncio.Event()

        @worker.agent("writer")
        async def write(run: RunContext) -> None:
            await go.wait()
            await run.say("still here")

        house.serve(worker)
        run = await session.send("hi")
        rules.workflows.workflows["refunds"] = Workflow()
        rules.age = 3 * 86_400.0
        once = msgspec.structs.replace(full_access("t", "user:ann"), labels=parse(LABELS))  # a client would try again
        say = wire.Send(session="s1", text="again", agent="writer")
        assert (await refusal(operations.submit(house.hub, once, say))).code == "policy.unavailable"
        go.set()
        assert (await run.finished())["status"] == "completed"
        rules.age = limits.POLICY_FACTS_S
        await operations.submit(house.hub, once, say)
        rules.spent.age = limits.POLICY_FACTS_S + 1
        assert (await refusal(operations.submit(house.hub, once, say))).code == "policy.unavailable", (
            "caps keep their own age"
        )


async def test_observing_refuses_nothing_and_tests_may_begin_before_a_launch_only() -> None:
    rules = Rules()
    for rule, code in ((not_launched, ""), (no_owner, "workflow.gate"), (retired, "workflow.retired")):
        rule(rules)
        refused = rules.refusal("t", LABELS | {"test": "yes"}, "writer")
        assert (refused.code if refused is not None else "") == code
        workflow = rules.workflows.workflows["refunds"]
        rules.workflows.workflows["refunds"] = workflow._replace(mode="observe")
        assert rules.refusal("t", LABELS, "writer") is None
    spent(rules)
    assert rules.refusal("t", LABELS | {"test": "yes"}, "writer") is not None
    stopped(rules)
    found = rules.refusal("t", LABELS | {"test": "yes"}, "writer")
    assert found is not None and found.code == "workflow.stopped"
    assert rules.refused == {"st-workflow-refunds": 1}


async def test_a_refusal_says_who_has_to_do_what() -> None:
    rules = Rules()
    no_owner(rules)
    refused = rules.refusal("t", LABELS, "writer")
    assert refused is not None
    assert refused.fix == "Customer care has to name another owner: holdfast workflow apply."


async def test_an_agent_without_a_label_is_held_by_its_manifest_also_where_money_is_meant() -> None:
    rules = Rules()
    rules.workflows.agents["teller"] = "refunds"
    spent(rules)
    for agent in ("teller", "teller/reader"):
        refused = rules.refusal("t", {}, agent)
        assert refused is not None and refused.code == "budget.exceeded", agent
    assert rules.refusal("t", {}, "writer") is None


@pytest.mark.parametrize("rule", [no_owner, not_launched, spent, stopped])
async def test_of_several_workflows_that_name_an_agent_none_may_stand_against_it(rule: Callable[[Rules], None]) -> None:
    rules = Rules()
    rules.workflows.workflows["mails"] = Workflow()
    rules.workflows.shared["teller"] = ("mails", "refunds")
    assert rules.refusal("t", {}, "teller") is None
    rule(rules)
    assert rules.refusal("t", {}, "teller") is not None
    assert rules.refusal("t", {"workflow": "mails"}, "teller") is None, "who says whose it is, is let through"


async def test_each_scope_stops_its_own_and_nothing_else() -> None:
    rules = Rules()
    rules.workflows.agents["teller"] = "refunds"

    def found(tenant: str, labels: dict[str, str], agent: str) -> bool:
        return rules.halt(tenant, labels, agent) is not None

    rules.stop(stop("workflow", "refunds"))
    assert found("t", LABELS, "writer") and found("t", {}, "teller")
    assert not found("t", {}, "writer") and not found("other", LABELS, "writer")
    rules.stop(stop("agent", "writer"))
    assert found("t", {}, "writer") and found("t", {}, "writer/reader")
    assert not found("t", LABELS, "writers") and not found("t", {}, "reader")
    rules.stop(stop("everything"))
    assert found("t", {}, "any") and not found("other", {}, "any")
    rules.stop(stop("model", "m"), stop("tool", "pay"))
    assert not found("t", LABELS, "writer")
    assert rules.halt_of_model("t", "m") and rules.halt_of_tool("t", "pay")
    assert not rules.halt_of_model("t", "pay") and not rules.halt_of_tool("other", "pay")
