"""The fold alone: numbers do not depend on how the log is cut or merged, and every number resumes exactly."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.edge.dialects.openai_responses.fold import ResponseFold
from holdfast.edge.dialects.openai_responses.ids import Ref
from holdfast.edge.dialects.openai_responses.items import EmittedEvent
from holdfast.protocol import events as e
from holdfast.protocol.codec import utf16_len
from holdfast.protocol.compaction import merge
from holdfast.protocol.events import Event

REF = Ref("s", "0a1b2c3d4e", "r2-0a1b2c3d4e")
KINDS = {
    "m": (e.TEXT_START, e.TEXT_CONTENT, e.TEXT_END, "messageId"),
    "r": (e.REASONING_START, e.REASONING_CONTENT, e.REASONING_END, "messageId"),
    "t": (e.TOOL_START, e.TOOL_ARGS, e.TOOL_END, "toolCallId"),
}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from("mrt"), st.integers(0, 2), TEXT),
        st.tuples(st.sampled_from(["end", "result", "source", "lost", "other", "approval"]), st.integers(0, 2), TEXT),
    ),
    max_size=40,
)


class History:
    """A log of one run, written step by step."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.open: dict[tuple[str, str], int] = {}
        self.attempt = 1
        self.write("input.message", {"messageId": "m"}, run=None)
        self.write(e.RUN_QUEUED, {"agent": "writer", "input": "m"})
        self.write(e.RUN_STARTED, {"generation": 1})

    def write(self, type_: str, data: dict[str, Any], *, run: str | None = REF.run, offset: int | None = None) -> None:
        seq = len(self.events) + 1
        self.events.append(Event(seq, seq, "agent:writer", type_, data, run, self.attempt, offset))

    def step(self, kind: str, number: int, text: str) -> None:
        ident = f"{number}.{self.attempt}"
        if kind in KINDS:
            start, grows, _, field = KINDS[kind]
            if (kind, ident) not in self.open:
                self.open[kind, ident] = 0
                self.write(start, {field: ident, "toolCallName": "weather" if number else "own"})
            self.write(grows, {field: ident, "delta": text}, offset=self.open[kind, ident])
            self.open[kind, ident] += utf16_len(text)
        elif kind == "end" and self.open:
            one, ident = list(self.open)[number % len(self.open)]
            del self.open[one, ident]
            self.write(KINDS[one][2], {KINDS[one][3]: ident})
        elif kind == "result":
            self.open.pop(("t", ident), None)
            self.write(e.TOOL_RESULT, {"toolCallId": ident, "content": text})
        elif kind == "source":
            self.write(e.SOURCE_CITED, {"messageId": ident, "uri": text})
        elif kind == "lost":
            self.write(e.RUN_ATTEMPT_LOST, {"generation": self.attempt})
            self.attempt += 1
            self.open.clear()
            self.write(e.RUN_STARTED, {"generation": self.attempt})
        elif kind == "approval":
            self.write(e.APPROVAL_REQUESTED, {"approvalId": f"a{len(self.events)}", "tool": "t", "args": {"x": text}})
        else:
            self.write(e.TEXT_CONTENT, {"messageId": ident, "delta": "of somebody else"}, run="r99", offset=0)


def fold(events: list[Event]) -> tuple[list[EmittedEvent], dict[str, Any]]:
    folding = ResponseFold(REF, {}, frozenset({"weather"}))
    emitted = [one for event in events for one in folding.apply(event)]
    assert folding.ended
    return emitted, folding.response()


def flat(emitted: list[dict[str, Any]]) -> list[Any]:
    """Events with neighbouring deltas of one text joined: what a client has in the end."""
    found: list[Any] = []
    for data in emitted:
        data = dict(data)
        number, delta = data.pop("sequence_number"), data.pop("delta", None)
        if delta is not None and found and found[-1][0] == data:
            found[-1] = (data, found[-1][1] + delta, number)
        else:
            found.append((data, delta, number))
    return found


@settings(deadline=None)
@given(STEPS, st.data())
def test_numbers_are_the_logs_and_every_number_resumes(steps: list[tuple[str, int, str]], data: st.DataObject) -> None:
    history = History()
    for step in steps:
        history.step(*step)
    history.write(e.RUN_ENDED, {"status": "completed"})
    emitted, response = fold(history.events)
    merged, same = fold(merge(history.events))
    assert same == response
    assert flat([one.data for one in merged]) == flat([one.data for one in emitted])
    numbers = [one.data["sequence_number"] for one in emitted]
    assert numbers == sorted(set(numbers)) and emitted[0].data["sequence_number"] == 0
    for way in (emitted, merged):  # read from one, cut anywhere, go on from the other
        place = data.draw(st.integers(0, len(way) - 1))
        seen = [one.data for one in way[: place + 1]]
        for rest in (emitted, merged):
            after = [one.after(seen[-1]["sequence_number"]) for one in rest]
            assert flat([*seen, *(one for one in after if one is not None)]) == flat([one.data for one in emitted])


def test_what_is_open_at_the_end_is_incomplete_and_keeps_its_text() -> None:
    history = History()
    history.step("m", 0, "half")
    history.write(e.RUN_ENDED, {"status": "cancelled"})
    emitted, response = fold(history.events)
    assert emitted[-1].data["type"] == "response.incomplete" and response["status"] == "cancelled"
    assert [(item["status"], item["content"][0]["text"]) for item in response["output"]] == [("incomplete", "half")]


def test_a_response_id_names_what_it_was_made_from() -> None:
    ref = Ref("a_b:c~1.x", "0a1b2c3d4e", "r7-0a1b2c3d4e", 12)
    assert Ref.parse(ref.id) == ref and ref.queued_seq == 7
    local = Ref("__LOCALID_aB3", "0a1b2c3d4e", "r7-0a1b2c3d4e", 12)
    assert Ref.parse(local.id) == local
    assert Ref.parse("resp_7_12_0f3a_s") == Ref("s", "0f3a", "r7", 12), "as version 0.1 named it"


def test_what_is_asked_of_pages_is_not_asked_of_people() -> None:
    history = History()
    for tool in ("mail", "browser.claim", "browser.result"):
        asked = {
            "approvalId": tool,
            "tool": tool,
            "args": {"toolCallId": "c", "name": "pick_file", "args": {}, "try": 1},
        }
        history.write(e.APPROVAL_REQUESTED, asked)
    history.write(e.RUN_ENDED, {"status": "completed"})
    _, response = fold(history.events)
    assert [(item["type"], item["name"]) for item in response["output"]] == [("mcp_approval_request", "mail")]
