"""Where the shared state stands in each answer, and what it was: so that an answer sent again looks as it did before.

The view has the state as it is now. When an answer first showed it, and what it was at the answer's end, only the log says.
"""

from __future__ import annotations

import copy
from typing import Any, Final, NamedTuple

import msgspec

from holdfast.edge.local_subscription import SubscriptionMessage
from holdfast.errors import Refused
from holdfast.hub.hub import Hub
from holdfast.protocol import events as e
from holdfast.protocol import limits
from holdfast.protocol.events import Event
from holdfast.protocol.fold import View
from holdfast.protocol.patch import PatchError, apply_patch
from holdfast.session.access import Principal

_MESSAGE: Final = msgspec.json.Decoder(SubscriptionMessage)
_STATE_MARKERS: Final = (b'"STATE_', b'"run.ended"')


class AnswerState(NamedTuple):
    """The state in one answer: the position at which it was first shown, 0 for its beginning, and what it became."""

    seq: int
    value: Any


NO_STATE: Final = AnswerState(0, {})
"""Of an answer in which there was none."""


async def answer_states(hub: Hub, principal: Principal, session: str, view: View) -> dict[str, AnswerState]:
    """The state in each answer of a view, by root run; nothing where there is none, or the log is too long to ask.

    The view may go on meanwhile: what is needed of it is taken at once. The fold replaces a state and never changes one.
    """
    roots = {ident: run["seq"] for ident, run in view.runs.items() if "parent" not in run}
    state_now, at = view.state, 0 if not view.older else min(roots.values(), default=1) - 1
    if not state_now or not roots:
        return {}
    fold = _StateFold(roots, from_start=not view.older)
    read = 0
    try:
        while read < limits.STATES_LOG_BYTES:
            _, tail, frames = await hub.read(principal, session, at)
            for frame in frames:
                read += len(frame)
                message = _MESSAGE.decode(frame) if any(marker in frame for marker in _STATE_MARKERS) else None
                for event in message.events if message is not None else ():
                    fold.apply(event)
            if not frames:
                return fold.result(state_now)
            at = _frame_end(frames[-1])
            if at >= tail:
                return fold.result(state_now)
    except Refused as error:
        if error.code != "session.compacted":
            raise
    return {}


class _FrameEnd(msgspec.Struct):
    to: int


_FRAME_END: Final = msgspec.json.Decoder(_FrameEnd)


def _frame_end(frame: bytes) -> int:
    return _FRAME_END.decode(frame).to


class _StateFold:
    """Folds what the log says of the state."""

    def __init__(self, roots: dict[str, int], *, from_start: bool) -> None:
        self._not_started = roots  # not begun yet
        self._live: set[str] = set()
        self._first_shown: dict[str, int] = {}
        self._at_end: dict[str, Any] = {}
        self._state: Any = {}
        self._is_known = from_start

    def apply(self, event: Event) -> None:
        """One event; others than those of the state and the ends of runs are of no interest."""
        self._begin(event.seq)
        if event.type == e.STATE_SNAPSHOT:
            self._state, self._is_known = event.data.get("snapshot"), True
        elif event.type == e.STATE_DELTA:
            try:
                self._state = apply_patch(self._state, event.data.get("delta")) if self._is_known else self._state
            except PatchError:
                return
        elif event.type == e.RUN_ENDED and event.run in self._live:
            self._live.discard(event.run)
            self._at_end[event.run] = copy.deepcopy(self._state) if self._is_known else None
            return
        else:
            return
        for run in self._live:
            self._first_shown.setdefault(run, event.seq)

    def _begin(self, seq: int) -> None:
        for run in [run for run, queued in self._not_started.items() if queued < seq]:
            del self._not_started[run]
            self._live.add(run)
            if self._state or not self._is_known:
                self._first_shown[run] = 0

    def result(self, state_now: Any) -> dict[str, AnswerState]:
        """What was found, at the end of the log, where the state is this."""
        self._begin(limits.INTEGER_MAX)
        values = {run: value if value is not None else state_now for run, value in self._at_end.items()}
        states = {run: AnswerState(seq, values.get(run, state_now)) for run, seq in self._first_shown.items()}
        return dict.fromkeys(self._at_end, NO_STATE) | states
