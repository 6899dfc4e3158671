"""Random logs: sequences of events that a session could hold, and some that it could not."""

from __future__ import annotations

import random
from typing import Any

from holdfast.protocol import events as e
from holdfast.protocol.codec import utf16_len
from holdfast.protocol.events import Event

WORDS = [
    "tide",
    " and ",
    "🐚",
    "naïve",
    "e\u0301",
    "👩‍👩‍👧",
    "\n",
    "𝒳",
    "\u2028",
    '"',
    "\\",
    "",
    "\u0000",
    "ﬁ",
    "0",
    "</script>",
]
KEYS = ["a", "b", "é", "🐚", "\ufb01", "__proto__", "constructor", "0", "10", "x/y", "~t", ""]
NUMBERS = [0, 1, -1, 2**53 - 1, 1.5, -0.0, 3.0, 1e-7, 0.00001, 1e16, 1e21, 1.7976931348623157e308, 5e-324, 123456.789]
PATHS = ["", "/a", "/b/0", "/a/-", "/é", "/🐚/x~1y", "/__proto__", "/b/01", "/~0t", "/a/a", "/b/10", "/b"]


class RandomLog:
    """Writes events one after another; the same seed writes the same log."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.seq = 0
        self.ts = 1_764_000_000_000
        self.events: list[Event] = []
        self.lengths: dict[tuple[str, Any], int] = {}
        self.runs: list[str] = []
        self.inputs: list[str] = []

    def write(self, count: int) -> list[Event]:
        """``count`` more events."""
        steps = [
            (self._text, 12), (self._tool, 5), (self._run, 8), (self._control, 4), (self._input, 3), (self._approval, 3),
            (self._state, 4), (self._step, 3), (self._source, 2), (self._session, 1), (self._noise, 2),
        ]  # fmt: skip
        kinds, weights = [step for step, _ in steps], [weight for _, weight in steps]
        while len(self.events) < count:
            self.random.choices(kinds, weights)[0]()
        return self.events

    # --- parts
    def _emit(self, type_: str, data: dict[str, Any], run: str | None = None, offset: int | None = None) -> None:
        self.seq += 1
        self.ts += self.random.randrange(3)
        attempt = self.random.choice([None, 1, 2]) if run is not None else None
        actor = self.random.choice(["user:ann", "agent:writer", "agent:writer/search", "system:holdfast"])
        self.events.append(Event(self.seq, self.ts, actor, type_, data, run, attempt, offset))

    def _words(self) -> str:
        return "".join(self.random.choices(WORDS, k=self.random.randrange(4)))

    def _value(self, depth: int = 0) -> Any:
        kind = self.random.randrange(8 if depth < 3 else 6)
        if kind == 6:
            return {self.random.choice(KEYS): self._value(depth + 1) for _ in range(self.random.randrange(4))}
        if kind == 7:
            return [self._value(depth + 1) for _ in range(self.random.randrange(4))]
        return self.random.choice([None, True, False, self._words(), *self.random.sample(NUMBERS, 4)])

    def _maybe(self, data: dict[str, Any], **optional: Any) -> dict[str, Any]:
        return {**data, **{k: v for k, v in optional.items() if self.random.random() < 0.4}}

    def _known_run(self) -> str | None:
        return self.random.choice([None, "r404", *self.runs[-6:]])

    def _text(self) -> None:
        start, content, end = self.random.choice(
            [(e.TEXT_START, e.TEXT_CONTENT, e.TEXT_END), (e.REASONING_START, e.REASONING_CONTENT, e.REASONING_END)]
        )
        ident, run = f"m{self.random.randrange(8)}", self._known_run()
        match self.random.randrange(8):
            case 0 | 1:
                data = {"messageId": ident, "role": self.random.choice(["assistant", "", "tool"])}
                self._emit(start, self._maybe(data, name=self._value()), run)
                self.lengths.setdefault((start, ident), 0)
            case 2:
                self._emit(end, {"messageId": ident}, run)
            case _:
                self._delta(content, (start, ident), {"messageId": ident}, run)

    def _delta(self, type_: str, key: tuple[str, Any], data: dict[str, Any], run: str | None) -> None:
        offset = self.lengths.get(key)
        if self.random.random() < 0.04:
            offset = self.random.choice([None, 0, 7])
        words = self._words()
        if offset is not None and offset == self.lengths.get(key):
            self.lengths[key] += utf16_len(words)
        self._emit(type_, {**data, "delta": words}, run, offset)

    def _tool(self) -> None:
        ident, run = f"t{self.random.randrange(5)}", self._known_run()
        match self.random.randrange(6):
            case 0 | 1:
                data = {"toolCallId": ident, "toolCallName": "search"}
                self._emit(e.TOOL_START, self._maybe(data, parentMessageId="m1"), run)
                self.lengths[e.TOOL_START, ident] = 0
            case 2:
                self._emit(e.TOOL_END, {"toolCallId": ident}, run)
            case 3:
                data = self._maybe({"toolCallId": ident}, content=self._words(), error=self._value(), blob="b1")
                self._emit(e.TOOL_RESULT, data, run)
            case _:
                self._delta(e.TOOL_ARGS, (e.TOOL_START, ident), {"toolCallId": ident}, run)

    def _run(self) -> None:
        run = self._known_run()
        match self.random.randrange(7):
            case 0 | 1:
                data = {"agent": "writer", "attempts": self.random.choice([1, 3])}
                parent = self.random.choice(self.runs) if self.runs else None
                asked = self.random.choice(self.inputs) if self.inputs else None
                fields = self._maybe(data, name="search", input=asked, parent=parent, after=self.runs[-1:])
                self._emit(e.RUN_QUEUED, {k: v for k, v in fields.items() if v}, f"r{self.seq + 1}")
                self.runs.append(f"r{self.seq}")
            case 2:
                self._emit(e.RUN_STARTED, self._maybe({}, generation=self.random.randrange(3), worker="w1"), run)
            case 3:
                self._emit(e.RUN_WAITING, {"approvals": []}, run)
            case 4:
                self._emit(e.RUN_ATTEMPT_LOST, self._maybe({}, generation=2, reason="lease expired"), run)
            case 5:
                status = self.random.choice(["completed", "failed", "cancelled", "lost"])
                self._emit(e.RUN_ENDED, self._maybe({"status": status}, error={"code": "x", "message": "y"}), run)
            case _:
                self._emit(e.RUN_QUEUED, {"agent": "writer", "answers": ["a1"]}, run)

    def _control(self) -> None:
        run, ident = self._known_run(), f"s{self.random.randrange(4)}"
        match self.random.randrange(6):
            case 0:
                data = {"runs": self.random.sample(self.runs, min(2, len(self.runs)))}
                self._emit(e.CANCEL_REQUESTED, self._maybe(data, force=self._value()))
            case 1:
                self._emit(self.random.choice([e.CANCEL_DELIVERED, e.CANCEL_EFFECTIVE]), {}, run)
            case 2 | 3:
                self._emit(e.INPUT_STEER, {"steerId": ident, "text": self._words()}, run)
            case _:
                self._emit(self.random.choice([e.STEER_DELIVERED, e.STEER_DROPPED]), {"steerId": ident}, run)

    def _input(self) -> None:
        if self.inputs and self.random.random() < 0.4:
            chosen = self._maybe({}, input=self.random.choice(self.inputs), run=self._known_run())
            self._emit(e.BRANCH_SELECTED, chosen)
            return
        ident = self.random.choice([f"i{self.seq}", "__proto__", "42", *self.inputs[-1:]])
        parent = self.random.choice(self.inputs) if self.inputs else ""
        data = {"messageId": ident, "text": self._words()}
        fields = self._maybe(data, parent=parent, agent="writer", role="operator", attachments=[], edits=parent)
        if ident in self.inputs or parent != ident:
            self._emit(e.INPUT_MESSAGE, fields)
            self.inputs.append(ident)

    def _approval(self) -> None:
        ident, run = f"a{self.random.randrange(4)}", self._known_run()
        match self.random.randrange(3):
            case 0:
                data = {"approvalId": ident, "tool": "write", "args": {"n": self._value()}, "hash": "00"}
                self._emit(
                    e.APPROVAL_REQUESTED,
                    self._maybe(data, deadline=self.ts, default="denied", toolCallId=f"t{self.random.randrange(5)}"),
                    run,
                )
            case 1:
                data = {"approvalId": ident, "decision": self.random.choice(["approved", "denied"])}
                self._emit(e.APPROVAL_RESOLVED, self._maybe(data, by="user:ann", note=self._words()), run)
            case _:
                self._emit(e.APPROVAL_EXPIRED, {"approvalId": ident, "decision": "denied"}, run)

    def _patch(self) -> Any:
        ops = ["add", "remove", "replace", "move", "copy", "test", "shout"]
        steps = []
        for _ in range(self.random.randrange(1, 4)):
            step = {"op": self.random.choice(ops), "path": self.random.choice(PATHS)}
            steps.append(self._maybe(step, value=self._value(), **{"from": self.random.choice(PATHS)}))
        return self.random.choice([steps, steps, steps, self._value()])

    def _state(self) -> None:
        ident = f"c{self.random.randrange(2)}"
        match self.random.randrange(5):
            case 0:
                self._emit(e.STATE_SNAPSHOT, self._maybe({}, snapshot={"a": [1], "b": [self._value()] * 3}))
            case 1 | 2:
                self._emit(e.STATE_DELTA, {"delta": self._patch()})
            case 3:
                data = {"messageId": ident, "activityType": "PLAN", "content": {"a": self._value()}}
                self._emit(e.ACTIVITY_SNAPSHOT, self._maybe(data, replace=self._value()), self._known_run())
            case _:
                self._emit(e.ACTIVITY_DELTA, {"messageId": ident, "activityType": "PLAN", "patch": self._patch()})

    def _step(self) -> None:
        name, run = self.random.choice(["plan", "look"]), self._known_run()
        self._emit(self.random.choice([e.STEP_STARTED, e.STEP_FINISHED]), {"stepName": name}, run)

    def _source(self) -> None:
        data = {"messageId": f"m{self.random.randrange(8)}", "sourceId": "1", "title": self._words()}
        self._emit(e.SOURCE_CITED, self._maybe(data, uri="README.md", quote=self._words(), score=self._value()))

    def _session(self) -> None:
        match self.random.randrange(3):
            case 0:
                self._emit(e.SESSION_CREATED, self._maybe({}, title="t", agent="writer", meta=self._value()))
            case 1:
                self._emit(e.SESSION_RENAMED, {"title": self._words()})
            case _:
                self._emit(self.random.choice([e.HANDOFF_TAKEN, e.HANDOFF_RETURNED]), {"by": "user:ann"})

    def _noise(self) -> None:
        types = ["RAW", "CUSTOM", "toString", "hasOwnProperty", "made.up", e.USAGE_RECORDED]
        self._emit(self.random.choice(types), {"value": self._value()})
