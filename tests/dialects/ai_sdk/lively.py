"""Random histories in which one run does a lot: texts in pieces, tools, sub-agents, approvals, lost attempts, and an end."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from holdfast.protocol import wire
from holdfast.protocol.events import Draft
from holdfast.session import run as runs
from holdfast.session.run import LeaseExpired
from tests.property.histories import SESSION, WORDS, History

WHAT = (
    *("text",) * 8, *("grow",) * 12, *("close",) * 4, *("tool",) * 4, *("result",) * 4, "source", "activity", "state", "step",
    "spawn", *("ask",) * 2, *("granted",) * 2, *("resolve",) * 3, "wait", "lose", "steer", "child ends",
    *("ask about",) * 4, *("make",) * 3,
)  # fmt: skip


class Lively:
    """One run, and what may be done in it now."""

    def __init__(self, steps: list[tuple[str, int, int]], end: int) -> None:
        self.history = History()
        self._do(wire.Send(session=SESSION, text="go", attempts=9), "user:ann")
        self.run = next(iter(self.history.state.runs))
        self._number = 0
        for what, a, b in steps:
            self._claim()
            getattr(self, "_" + what.replace(" ", "_"))(a, b)
        self._finish(end)

    def _do(self, op: Any, actor: str) -> Any:
        return self.history.ask(op, actor)

    def _claim(self) -> None:
        for run in list(self.history.state.runs.values()):
            if runs.claimable(self.history.state, run):
                self._do(runs.Claim(session=SESSION, run=run.id, worker="w1", lease_s=15.0), f"agent:{run.agent}")

    def _pick(self, a: int) -> Any:
        live = [run for run in self.history.state.runs.values() if run.status == "running"]
        return live[a % len(live)] if live else None

    def _write(self, a: int, type_: str, data: dict[str, Any]) -> None:
        run = self._pick(a)
        if run is not None:
            drafts = [Draft(type_, data)]
            op = wire.Append(session=SESSION, run=run.id, generation=run.generation, events=drafts)
            self._do(op, f"agent:{run.agent}")

    def _new(self) -> str:
        self._number += 1
        return f"e{self._number}"

    def _open(self, a: int, b: int, kinds: str) -> str | None:
        run = self._pick(a)
        found = [key for key in run.open if key[0] in kinds] if run is not None else []
        return found[b % len(found)] if found else None

    def _args(self, call: str) -> Any:
        self.history.view.export()
        return self.history.view.by_id["tool", call]["args"]

    # --- steps
    def _text(self, a: int, b: int) -> None:
        word = "TEXT" if b % 3 else "REASONING"
        self._write(a, f"{word}_MESSAGE_START", {"messageId": self._new(), **({"role": "assistant"} if b % 3 else {})})

    def _tool(self, a: int, b: int) -> None:
        name = ("look", "send")[b % 2]
        ident = self._new()
        self._write(a, "TOOL_CALL_START", {"toolCallId": ident, "toolCallName": name})
        self._write(a, "TOOL_CALL_ARGS", {"toolCallId": ident, "delta": '{"n":'})
        if b % 3:
            self._write(a, "TOOL_CALL_ARGS", {"toolCallId": ident, "delta": "1}"})
            self._write(a, "TOOL_CALL_END", {"toolCallId": ident})

    def _grow(self, a: int, b: int) -> None:
        key = self._open(a, b, "mr")
        if key is not None:
            word = "TEXT" if key[0] == "m" else "REASONING"
            self._write(a, f"{word}_MESSAGE_CONTENT", {"messageId": key[2:], "delta": WORDS[b % len(WORDS)]})

    def _close(self, a: int, b: int) -> None:
        key = self._open(a, b, "mrt")
        if key is not None and (key[0] != "t" or self._args(key[2:]) == '{"n":1}'):
            type_ = {"m": "TEXT_MESSAGE_END", "r": "REASONING_MESSAGE_END", "t": "TOOL_CALL_END"}[key[0]]
            self._write(a, type_, {"toolCallId" if key[0] == "t" else "messageId": key[2:]})

    def _result(self, a: int, b: int) -> None:
        run = self._pick(a)
        waiting = [ident for ident, call in run.journal.items() if not call.done] if run is not None else []
        if waiting:
            error = {"error": {"message": "no"}} if b % 3 == 0 else {}
            self._write(a, "TOOL_CALL_RESULT", {"toolCallId": waiting[b % len(waiting)], "content": "[1]", **error})

    def _source(self, a: int, b: int) -> None:
        said = [i["id"] for i in self.history.view.items if i["kind"] == "message" and "run" in i]
        if said:
            about = {
                "messageId": said[b % len(said)],
                "sourceId": self._new(),
                "uri": ("https://e.org", "file:x")[b % 2],
            }
            self._write(a, "source.cited", about)

    def _activity(self, a: int, b: int) -> None:
        self._write(a, "ACTIVITY_SNAPSHOT", {"messageId": f"a{b % 3}", "activityType": "plan", "content": {"n": b}})

    def _state(self, a: int, b: int) -> None:
        self._write(a, "STATE_SNAPSHOT", {"snapshot": {"n": b}})

    def _step(self, a: int, b: int) -> None:
        self._write(a, ("STEP_STARTED", "STEP_FINISHED")[b % 2], {"stepName": f"s{b % 3}"})

    def _spawn(self, a: int, b: int) -> None:
        run = self._pick(a)
        if run is not None:
            op = wire.Spawn(
                session=SESSION,
                run=run.id,
                generation=run.generation,
                agent="critic",
                name=self._new(),
                local=bool(b % 2),
            )
            self._do(op, f"agent:{run.agent}")

    def _child_ends(self, a: int, b: int) -> None:
        run = self._pick(a)
        if run is not None and run.id != self.run:
            op = wire.End(session=SESSION, run=run.id, generation=run.generation)
            self._do(op, f"agent:{run.agent}")

    def _request(self, a: int, args: dict[str, Any], *, wait: bool) -> str:
        run, ident = self._pick(a), self._new()
        if run is not None:
            op = wire.Ask(
                session=SESSION,
                run=run.id,
                generation=run.generation,
                approval=ident,
                tool="send",
                args=args,
                wait=wait,
            )
            self._do(op, f"agent:{run.agent}")
        return ident

    def _ask(self, a: int, b: int) -> None:
        self._request(a, {"n": b}, wait=False)

    def _granted(self, a: int, b: int) -> None:
        """Asked, approved and done: as a gated tool."""
        ident = self._request(a, {"n": 1}, wait=False)
        self._do(wire.Resolve(session=SESSION, approval=ident, decision="approved"), "user:bob")
        self._tool(a, 3 * b + 1)

    def _ask_about(self, a: int, b: int) -> None:
        """Asked about a call that was written down: mostly the very action, sometimes something beside it."""
        run = self._pick(a)
        made = run.journal.items() if run is not None else ()
        calls = [ident for ident, call in made if not call.done and self._args(ident) == '{"n":1}']
        if run is None or not calls:
            return
        call = calls[b % len(calls)]
        op = wire.Ask(
            session=SESSION, run=run.id, generation=run.generation, approval=self._new(), call=call,
            tool=run.journal[call].name if b % 5 else "confirm", args={"n": 1}, wait=b % 3 == 0,
        )  # fmt: skip
        self._do(op, f"agent:{run.agent}")

    def _make(self, a: int, b: int) -> None:
        """A call that people were asked about is made."""
        run = self._pick(a)
        calls = [ident for ident, call in run.journal.items() if call.paused] if run is not None else []
        if run is not None and calls:
            ident = calls[b % len(calls)]
            about = {"toolCallId": ident, "toolCallName": run.journal[ident].name}
            self._write(a, "TOOL_CALL_START", about)
            self._write(a, "TOOL_CALL_ARGS", {"toolCallId": ident, "delta": '{"n":1}'})
            if b % 3:
                self._write(a, "TOOL_CALL_END", {"toolCallId": ident})

    def _wait(self, a: int, b: int) -> None:
        self._request(a, {"n": b}, wait=True)

    def _resolve(self, a: int, b: int) -> None:
        pending = [ident for ident, approval in self.history.state.approvals.items() if not approval.decision]
        if pending:
            decision = "approved" if b % 3 else "denied"
            self._do(wire.Resolve(session=SESSION, approval=pending[a % len(pending)], decision=decision), "user:bob")

    def _steer(self, a: int, b: int) -> None:
        run = self._pick(a)
        if run is not None:
            self._do(wire.Steer(session=SESSION, run=run.id, text="this way"), "user:ann")

    def _lose(self, a: int, b: int) -> None:
        run = self.history.state.runs.get(self.run)
        if run is not None and run.status == "running":
            self._do(LeaseExpired(session=SESSION, run=run.id, generation=run.generation, reason="lease"), "system:hub")

    def _finish(self, end: int) -> None:
        self._claim()
        run = self.history.state.runs.get(self.run)
        if run is None:
            return
        status = ("completed", "completed", "failed", "cancelled")[end % 4]
        if run.status != "running" or status == "cancelled":
            self._do(wire.Cancel(session=SESSION, run=self.run, force=True), "user:ann")
        else:
            error = {"code": "agent.failed", "message": "no"} if status == "failed" else None
            op = wire.End(session=SESSION, run=self.run, generation=run.generation, status=status, error=error)  # type: ignore[arg-type]
            self._do(op, f"agent:{run.agent}")


STEPS = st.lists(st.tuples(st.sampled_from(WHAT), st.integers(0, 99), st.integers(0, 99)), min_size=4, max_size=45)


def lively() -> st.SearchStrategy[Lively]:
    """Such histories."""
    return st.builds(Lively, STEPS, st.integers(0, 99))
