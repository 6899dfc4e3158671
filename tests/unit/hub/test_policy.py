"""The policy port: what an owner denies, wants approved, or cannot be asked about, on commands of any kind (ACC-8)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast.engines.memory import MemoryEngine
from holdfast.hub.hub import Hub
from holdfast.protocol import events as e
from holdfast.protocol import limits, wire
from holdfast.protocol.events import Draft
from holdfast.session.access import Principal
from holdfast.session.policy import Allow, DefaultPolicy, Deny, Facts, RequireApproval, Verdict
from holdfast.session.state import ApprovalState

from .conftest import Pipe, agent, user

pytestmark = pytest.mark.anyio
S = {"session": "s1"}


class HousePolicy(DefaultPolicy):
    """An owner's: nobody renames to a swear word, sends with a price need an approval, and the requester is not the
    approver; an agent may say that silence means yes."""

    age = 0.0
    rule = "prices"

    def age_s(self) -> float:
        return self.age

    def judge(self, facts: Facts, principal: Principal, command: wire.Op) -> Verdict:
        if isinstance(command, wire.Rename) and command.title == "raise":
            raise ValueError("secret words")
        if isinstance(command, wire.Rename) and command.title == "damn":
            return Deny("policy.denied", "mind your language")
        if isinstance(command, wire.Steer) and facts.run is not None and facts.labels.get("team") == "sales":
            return Deny("no.such.code", f"{facts.run.agent} is not to be steered")
        if isinstance(command, wire.Send) and "$" in command.text:
            return RequireApproval(self.rule, "it names a price")
        if isinstance(command, wire.Append) and any(draft.type == e.TOOL_START for draft in command.events):
            return Deny("policy.denied", "no tools today")
        return Allow()

    def may_ask(self, facts: Facts, ask: wire.Ask) -> Allow | Deny:
        return Deny("approval.rule", "never for oneself") if ask.self_approve else Allow("house-7")

    def may_decide(self, facts: Facts, approval: ApprovalState, decider: Principal) -> Allow | Deny:
        if approval.command and decider.actor == approval.requester:
            return Deny("approval.self", "four eyes")
        return super().may_decide(facts, approval, decider)


@pytest.fixture
async def owned() -> AsyncIterator[Hub]:
    hub = Hub(MemoryEngine(), policy=HousePolicy())
    await hub.open()
    yield hub
    await hub.close(drain_s=2.0)


async def begin(hub: Hub) -> Pipe:
    ann = Pipe(hub, user())
    await ann.ask(wire.Create(**S, agent="writer"))
    await ann.ask(wire.Subscribe(**S))
    await ann.until(lambda m: m["op"] == "live")
    return ann


def code(answer: dict[str, Any]) -> str:
    return str(answer["error"]["code"]) if answer["op"] == "error" else ""


async def heard(pipe: Pipe, type_: str) -> dict[str, Any]:
    message = await pipe.until(lambda m: any(event["type"] == type_ for event in m.get("events", [])))
    return next(event for event in message["events"] if event["type"] == type_)


async def test_what_it_denies_is_refused_with_its_reason_and_writes_nothing(owned: Hub) -> None:
    ann = await begin(owned)
    answer = await ann.ask(wire.Rename(**S, title="damn"))
    assert code(answer) == "policy.denied" and "mind your language" in answer["error"]["message"]
    assert code(await ann.ask(wire.Rename(**S, title="tides"))) == ""
    assert [event["data"] for event in ann.events()] == [{"title": "tides"}]


async def test_one_that_fails_denies_and_says_nothing_of_why(owned: Hub) -> None:
    ann = await begin(owned)
    answer = await ann.ask(wire.Rename(**S, title="raise"))
    assert code(answer) == "policy.unavailable" and answer["error"]["retry"]
    assert "secret" not in str(answer)


async def test_facts_that_are_old_deny_everything_it_judges(owned: Hub) -> None:
    ann = await begin(owned)
    owned.runtime.policy.age = limits.POLICY_FACTS_S + 1  # type: ignore[attr-defined]
    for op in (wire.Rename(**S, title="x"), wire.Send(**S, text="x"), wire.Delete(**S), wire.Cancel(**S, scope="all")):
        assert code(await ann.ask(op)) == "policy.unavailable"
    owned.runtime.policy.age = 0.0  # type: ignore[attr-defined]
    assert code(await ann.ask(wire.Rename(**S, title="x"))) == ""


async def test_it_is_told_the_run_and_its_labels(owned: Hub) -> None:
    await begin(owned)
    seller = Principal("user:sue", "acme", user().capabilities, labels=(("team", "sales"),))
    sue, bob = Pipe(owned, seller), Pipe(owned, user("bob"))
    theirs = (await sue.ask(wire.Send(**S, text="x")))["run"]
    others = (await bob.ask(wire.Send(**S, text="x", agent="clerk")))["run"]
    answer = await bob.ask(wire.Steer(**S, run=theirs, text="y"))
    assert code(answer) == "policy.denied", "a code that is none counts as this one"
    assert "writer is not to be steered" in answer["error"]["message"]
    assert code(await bob.ask(wire.Steer(**S, run=others, text="y"))) == ""


async def test_what_needs_an_approval_passes_once_when_it_has_it(owned: Hub) -> None:
    ann, bob = await begin(owned), Pipe(owned, user("bob"))
    op = wire.Send(**S, text="it costs $5", agent="writer")
    first = await ann.ask(op)
    assert code(first) == "approval.needed" and "names a price" in first["error"]["message"]
    ident = first["error"]["approval"]
    assert (await ann.ask(op))["error"]["approval"] == ident, "asked once"
    asked = (await heard(ann, e.APPROVAL_REQUESTED))["data"]
    assert (asked["tool"], asked["rule"], asked["requester"]) == ("command.send", "prices", "user:ann")
    assert asked["args"] == {"text": "it costs $5", "agent": "writer"}
    assert code(await ann.ask(wire.Resolve(**S, approval=ident, decision="approved"))) == "approval.self"
    assert code(await bob.ask(wire.Resolve(**S, approval=ident, decision="approved", hash=asked["hash"]))) == ""
    other = await ann.ask(wire.Send(**S, text="it costs $6", agent="writer"))
    assert other["error"]["approval"] != ident, "it is about exactly this"
    assert code(await bob.ask(op)) == "approval.needed", "and about who asked"
    assert (await ann.ask(op))["run"]
    again = await ann.ask(op)
    assert code(again) == "approval.needed" and again["error"]["approval"] != ident, "once"
    used = [event["data"] for event in ann.events() if event["type"] == e.APPROVAL_USED]
    assert used == [{"approvalId": ident}]


async def test_an_approval_is_for_the_rule_that_asked(owned: Hub) -> None:
    ann, bob = await begin(owned), Pipe(owned, user("bob"))
    op = wire.Send(**S, text="it costs $5", agent="writer")
    first = (await ann.ask(op))["error"]["approval"]
    await bob.ask(wire.Resolve(**S, approval=first, decision="approved"))
    owned.runtime.policy.rule = "exports"  # type: ignore[attr-defined]
    second = await ann.ask(op)
    assert code(second) == "approval.needed" and second["error"]["approval"] != first
    await bob.ask(wire.Resolve(**S, approval=second["error"]["approval"], decision="approved"))
    assert (await ann.ask(op))["run"]


async def test_a_denied_command_stays_denied_and_a_key_is_not_spent(owned: Hub) -> None:
    ann, bob = await begin(owned), Pipe(owned, user("bob"))
    op = wire.Send(**S, text="$1", agent="writer", key="k1")
    ident = (await ann.ask(op))["error"]["approval"]
    await bob.ask(wire.Resolve(**S, approval=ident, decision="denied", note="too cheap"))
    answer = await ann.ask(op)
    assert code(answer) == "policy.denied" and "too cheap" in answer["error"]["message"]
    other = wire.Send(**S, text="$2", agent="writer", key="k2")
    ident = (await ann.ask(other))["error"]["approval"]
    await bob.ask(wire.Resolve(**S, approval=ident, decision="approved"))
    done = await ann.ask(other)
    assert done["run"] and (await ann.ask(other))["duplicate"]


async def test_it_survives_a_restart_and_its_deadline_denies(owned: Hub) -> None:
    ann = await begin(owned)
    op = wire.Send(**S, text="$3", agent="writer")
    ident = (await ann.ask(op))["error"]["approval"]
    session = owned.sessions.hot(next(iter(owned.sessions)))
    session.forget()  # folded again from the log
    assert (await ann.ask(op))["error"]["approval"] == ident
    card = session.index.card
    assert card["approvals"] == 1, "it waits for a person"


async def test_attempts_are_judged_where_the_call_is_journalled(owned: Hub) -> None:
    ann, worker = await begin(owned), Pipe(owned, agent())
    await worker.ask(wire.Serve(agents=["writer"]))
    await ann.ask(wire.Send(**S, text="x"))
    given = await worker.until(lambda m: m["op"] == "assigned")
    attempt = {"run": given["run"], "generation": given["generation"]}
    call = [Draft(e.TOOL_START, {"toolCallId": "c1", "toolCallName": "pay"})]
    assert code(await worker.ask(wire.Append(**S, events=call, **attempt))) == "policy.denied"
    assert code(await worker.ask(wire.Append(**S, events=[Draft(e.CUSTOM, {"value": 1})], **attempt))) == ""


async def test_an_owner_may_let_silence_mean_yes_and_says_by_which_rule(owned: Hub) -> None:
    ann, worker = await begin(owned), Pipe(owned, agent())
    await worker.ask(wire.Serve(agents=["writer"]))
    await ann.ask(wire.Send(**S, text="x"))
    given = await worker.until(lambda m: m["op"] == "assigned")
    ask = {**S, "tool": "t", "args": {}, "run": given["run"], "generation": given["generation"], "deadline_s": 1.0}
    assert code(await worker.ask(wire.Ask(**ask, approval="a", self_approve=True))) == "approval.rule"
    await worker.ask(wire.Ask(**ask, approval="a", default="approved"))
    asked = (await heard(ann, e.APPROVAL_REQUESTED))["data"]
    assert (asked["default"], asked["rule"]) == ("approved", "house-7")
    assert (await heard(ann, e.APPROVAL_EXPIRED))["data"]["decision"] == "approved"


async def test_without_one_nothing_changes(hub: Hub) -> None:
    ann = await begin(hub)
    assert (await ann.ask(wire.Send(**S, text="$5", agent="writer")))["run"]
    await asyncio.sleep(0)


async def test_a_deletion_waits_for_no_approval(owned: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = await begin(owned)
    monkeypatch.setattr(HousePolicy, "judge", lambda self, facts, principal, command: RequireApproval("all"))
    answer = await ann.ask(wire.Delete(**S))
    assert code(answer) == "policy.denied" and "deletion" in answer["error"]["message"]
    monkeypatch.undo()
    assert code(await ann.ask(wire.Delete(**S))) == ""


async def test_a_session_that_is_not_there_yet_waits_for_no_approval(
    owned: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HousePolicy, "judge", lambda self, facts, principal, command: RequireApproval("all"))
    ann = Pipe(owned, user())
    answer = await ann.ask(wire.Create(**S, agent="writer"))
    assert code(answer) == "policy.denied" and "no session yet" in answer["error"]["message"]
    monkeypatch.undo()
    assert code(await ann.ask(wire.Create(**S, agent="writer"))) == ""
