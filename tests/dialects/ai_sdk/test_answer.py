"""An answer told from anywhere is the same answer: on random legal histories, at every position."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from holdfast.edge.dialects.ai_sdk.answer import Answer, ClientPosition
from holdfast.edge.dialects.ai_sdk.calls import SdkClient
from holdfast.edge.dialects.ai_sdk.history import fold_chunks
from holdfast.edge.dialects.ai_sdk.request import UIMessage, client_position
from holdfast.edge.local_subscription import SubscriptionMessage
from holdfast.protocol import wire
from holdfast.protocol.browser_tools import CLAIM, RESULT
from holdfast.protocol.codec import encode
from holdfast.protocol.events import Draft, Event
from holdfast.protocol.fold import View
from holdfast.protocol.view import ENDED
from holdfast.session import run as runs
from tests.dialects.ai_sdk.lively import Lively, lively
from tests.dialects.ai_sdk.sdk_fold import FoldedMessage
from tests.property.histories import LIFE, SESSION, History

quick = settings(
    max_examples=60,
    database=None,
    phases=[Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def snapshot(events: list[Event]) -> SubscriptionMessage:
    """What a reader who joins after ``events`` is given."""
    view = View()
    view.apply_all(events)
    return SubscriptionMessage("snapshot", seq=len(events), incarnation=LIFE, view=json.loads(encode(view.export())))


def pending(events: list[Event], run: str) -> set[str]:
    """The approvals of a run and its sub-runs that people have not decided."""
    view = View()
    view.apply_all(events)
    approvals = [i for i in view.items if i["kind"] == "approval" and i["tool"] not in (CLAIM, RESULT)]
    return {i["id"] for i in approvals if i["status"] == "pending" and view.root(i["run"]) == run}


def fold_from(events: list[Event], at: int, run: str, version: int, step: int = 3) -> FoldedMessage:
    """The run's answer for a client that comes at ``at`` and, when let go at an approval, comes back at once."""
    folded_message, answer = FoldedMessage(), Answer(SESSION, run, version)
    folded_message.apply(answer.chunks(snapshot(events[:at])))
    position, answered = at, frozenset[str]()
    while position < len(events) and folded_message.ends in ([], ["finish"]):
        if answer.done:
            if folded_message.metadata.get("status"):
                break
            waiting = pending(events[:position], run) - answered
            if waiting and version >= 6:
                folded_message.answerable(waiting)
            folded_message.continue_stream()
            message = UIMessage(run, "assistant", metadata={"holdfast": folded_message.metadata})
            open_ = json.loads(folded_message.metadata["since"])["open"]
            folded_message.answer({k.partition(":")[2] for k in open_ if k.startswith("approval:")})
            answered = frozenset(p["approval"] for p in folded_message.parts if p.get("state") == "responded")
            answer = Answer(SESSION, run, version, client_position(message, answered))
            folded_message.apply(answer.chunks(snapshot(events[:position])))
        frame = events[position : position + step]
        position += len(frame)
        folded_message.apply(
            answer.chunks(
                SubscriptionMessage("events", to=position, events=events[max(0, position - step - 1) : position])
            )
        )
    return folded_message


def talking(history: History) -> str:
    """A run that thinks, calls a tool, cites, says something in pieces, and ends."""
    history.ask(wire.Send(session=SESSION, text="go"), "user:ann")
    run = next(iter(history.state.runs))
    history.ask(runs.Claim(session=SESSION, run=run, worker="w1", lease_s=15.0), "agent:writer")
    for type_, data in (
        ("REASONING_MESSAGE_START", {"messageId": "t1"}), ("REASONING_MESSAGE_CONTENT", {"messageId": "t1", "delta": "hm"}),
        ("TOOL_CALL_START", {"toolCallId": "c1", "toolCallName": "look"}), ("STEP_STARTED", {"stepName": "s"}),
        ("TOOL_CALL_ARGS", {"toolCallId": "c1", "delta": '{"a":'}), ("TOOL_CALL_ARGS", {"toolCallId": "c1", "delta": "1}"}),
        ("REASONING_MESSAGE_END", {"messageId": "t1"}), ("TOOL_CALL_END", {"toolCallId": "c1"}),
        ("TEXT_MESSAGE_START", {"messageId": "m1", "role": "assistant"}),
        ("TEXT_MESSAGE_CONTENT", {"messageId": "m1", "delta": "one 😀"}),
        ("source.cited", {"messageId": "m1", "sourceId": "s1", "uri": "https://example.com"}),
        ("TOOL_CALL_RESULT", {"toolCallId": "c1", "content": "[1]"}), ("STEP_FINISHED", {"stepName": "s"}),
        ("ACTIVITY_SNAPSHOT", {"messageId": "a1", "activityType": "plan", "content": {"n": 1}}),
        ("ACTIVITY_DELTA", {"messageId": "a1", "activityType": "plan", "patch": [{"op": "add", "path": "/m", "value": 2}]}),
        ("STATE_SNAPSHOT", {"snapshot": {"k": 1}}), ("TEXT_MESSAGE_CONTENT", {"messageId": "m1", "delta": " two"}),
    ):  # fmt: skip
        drafts = [Draft(type_, data)]
        assert (
            history.ask(wire.Append(session=SESSION, run=run, generation=1, events=drafts), "agent:writer") is not None
        )
    history.ask(wire.End(session=SESSION, run=run, generation=1), "agent:writer")
    return run


def ended_roots(history: History) -> list[str]:
    return [i for i, r in history.view.runs.items() if "parent" not in r and r["status"] in ENDED]


@quick
@given(lively(), st.data())
def test_a_client_that_comes_anywhere_is_told_the_same(live: Lively, data: st.DataObject) -> None:
    history = live.history
    for run in ended_roots(history):
        queued = history.view.runs[run]["seq"]
        for version in (5, 6, 7):
            first = fold_from(history.events, queued, run, version, step=1)
            assert first.ends and not first.open
            at = data.draw(st.integers(queued, len(history.events)))
            later = fold_from(history.events, at, run, version, step=data.draw(st.integers(1, 5)))
            one, other = first.content(), later.content()
            for content in (one, other):  # the shared state is what it was while somebody looked
                content["data"].pop("data-state state", None)
                if version >= 6:  # a call is one part with its approval when that was granted first, as far as one saw
                    content.pop("tools")
            assert one == other, (run, version, at)


@quick
@given(lively())
def test_an_answer_holds_what_the_fold_holds(live: Lively) -> None:
    """Every text of the run and its sub-runs once and whole, every tool call settled."""
    history = live.history
    view = history.view
    for run in ended_roots(history):
        folded_message = fold_from(history.events, view.runs[run]["seq"], run, 7, step=2)
        items = [i for i in view.items if view.root(i.get("run", "")) == run]
        words = {"message": "text", "reasoning": "reasoning"}
        texts = {f"{words[i['kind']]} {i['id']}": i["text"] for i in items if i["kind"] in words}
        assert folded_message.content()["texts"] == texts
        assert all(
            p["state"] in ("output", "tool-output-error", "tool-output-denied")
            for p in folded_message.parts
            if p["type"] == "tool"
        )
        status = view.runs[run]["status"]
        assert folded_message.ends == [{"completed": "finish", "cancelled": "abort"}.get(status, "error")]
        assert (folded_message.id, folded_message.starts >= 1) == (run, True)


@quick
@given(lively())
def test_the_history_is_what_a_stream_of_it_shows(live: Lively) -> None:
    history = live.history
    for run in ended_roots(history):
        chunks = list(Answer(SESSION, run, 7).chunks(snapshot(history.events)))
        folded_message, message = FoldedMessage().apply(chunks), fold_chunks(chunks)
        assert message["id"] == run
        texts = [p["text"] for p in message["parts"] if p["type"] in ("text", "reasoning")]
        assert texts == [p["text"] for p in folded_message.parts if p["type"] in ("text", "reasoning")]
        states = {p["toolCallId"]: p["state"] for p in message["parts"] if p["type"].startswith("tool-")}
        assert all(state.startswith("output-") for state in states.values())
        assert states.keys() == {p["id"] for p in folded_message.parts if p["type"] == "tool"}


def test_a_second_snapshot_repeats_nothing() -> None:
    """A slow reader gets one in the middle."""
    history = History()
    run = talking(history)
    answer, folded_message = Answer(SESSION, run, 7), FoldedMessage()
    for at in range(history.view.runs[run]["seq"], len(history.events) + 1):
        folded_message.apply(answer.chunks(snapshot(history.events[:at])))
        if answer.done:
            break
    assert folded_message.content() == fold_from(history.events, history.view.runs[run]["seq"], run, 7, 1).content()
    assert folded_message.starts == 1


@pytest.mark.parametrize("said", [None, 3, "", "{", "{}", '{"seq":-1,"open":[]}', '{"open":{"m":"x"}}', "[" * 10_000])
def test_what_a_client_says_of_itself_is_not_trusted(said: object) -> None:
    metadata = {"holdfast": {"since": said}}
    since = client_position(UIMessage("r1", "assistant", metadata=metadata), frozenset({"a1"}))
    assert since == ClientPosition(frozenset({"a1"}))
    for other in (None, [], {"holdfast": "x"}):
        assert client_position(UIMessage("r1", "assistant", metadata=other), frozenset({"a1"})) == since


def calling(history: History) -> str:
    """A run that calls a tool in a browser: offered, let go, lost by the tab that took it, offered again, answered."""
    history.ask(wire.Send(session=SESSION, text="go"), "user:ann")
    run = next(iter(history.state.runs))
    args: dict[str, Any] = {"toolCallId": "c1", "name": "pick", "args": {"n": 1}}

    def attempt(generation: int) -> None:
        history.ask(runs.Claim(session=SESSION, run=run, worker="w1", lease_s=15.0), "agent:writer")
        for type_, data in (
            ("TOOL_CALL_START", {"toolCallId": "c1", "toolCallName": "pick"}),
            ("TOOL_CALL_ARGS", {"toolCallId": "c1", "delta": '{"n":1}'}), ("TOOL_CALL_END", {"toolCallId": "c1"}),
        ):  # fmt: skip
            op = wire.Append(session=SESSION, run=run, generation=generation, events=[Draft(type_, data)])
            assert history.ask(op, "agent:writer") is not None

    def ask(generation: int, ident: str, tool: str, about: dict[str, Any], *, wait: bool) -> None:
        op = wire.Ask(
            session=SESSION, run=run, generation=generation, approval=ident, tool=tool, args=about, deadline_s=60,
            wait=wait,
        )  # fmt: skip
        assert history.ask(op, "agent:writer") is not None

    def resolve(ident: str, decision: Any, note: str) -> None:
        op = wire.Resolve(session=SESSION, approval=ident, decision=decision, note=note)
        assert history.ask(op, "user:ann") is not None

    attempt(1)
    ask(1, "a1", CLAIM, {**args, "try": 1}, wait=True)
    resolve("a1", "approved", "tab-1")
    attempt(2)
    ask(2, "a1", CLAIM, {**args, "try": 1}, wait=True)
    ask(2, "a2", RESULT, {**args, "try": 1, "claim": "tab-1"}, wait=False)
    resolve("a2", "denied", "")
    ask(2, "a3", CLAIM, {**args, "try": 2}, wait=False)
    resolve("a3", "approved", "tab-2")
    ask(2, "a4", RESULT, {**args, "try": 2, "claim": "tab-2"}, wait=False)
    resolve("a4", "approved", "7")
    done = Draft("TOOL_CALL_RESULT", {"toolCallId": "c1", "content": "7"})
    assert history.ask(wire.Append(session=SESSION, run=run, generation=2, events=[done]), "agent:writer") is not None
    history.ask(wire.End(session=SESSION, run=run, generation=2), "agent:writer")
    return run


@pytest.mark.parametrize("version", [5, 6, 7])
def test_a_call_for_a_browser_is_one_part_from_anywhere(version: int) -> None:
    history = History()
    run = calling(history)
    first = fold_from(history.events, history.view.runs[run]["seq"], run, version, 1).content()
    assert first["tools"] == {"c1": ("output", {"n": 1}, 7, None)}
    assert first["data"] == {}
    for at in range(history.view.runs[run]["seq"], len(history.events) + 1):
        assert fold_from(history.events, at, run, version, 1).content() == first, at


@pytest.mark.parametrize(
    ("client", "lets_go"),
    [
        (SdkClient(5, "user:ann"), True), (SdkClient(7, "user:ann", frozenset({"pick", "x"})), True),
        (SdkClient(7, "user:ann", frozenset()), False), (SdkClient(7, "user:ann", frozenset({"x"})), False),
    ],
)  # fmt: skip
def test_a_stream_ends_at_a_call_only_for_a_page_that_may_have_the_tool(client: SdkClient, lets_go: bool) -> None:
    history = History()
    run = calling(history)
    claimed = next(ev.seq for ev in history.events if ev.type == "approval.requested")
    chunks = list(Answer(SESSION, run, client).chunks(snapshot(history.events[:claimed])))
    offers = [c for c in chunks if c["type"] == "tool-input-available" and not c["providerExecuted"]]
    assert (chunks[-1]["type"] == "finish", len(offers)) == (lets_go, int(lets_go))
    assert not any("approval" in chunk["type"] for chunk in chunks)
