"""Which events are notable, and what the feed says of each: facts of bounded size, and nothing that anybody said.

A notice is written with the append of its event, and names it by ``incarnation`` and ``seq``, by which whoever reads the
feed twice knows what it has seen. Whoever needs more of an event reads it in its session.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from holdfast.protocol import browser_tools
from holdfast.protocol import events as e
from holdfast.protocol.events import Event
from holdfast.session import families
from holdfast.session.state import EndedRun, RunState, State

_NUMBERS: Final = 32  # of an event that a client has written, the first
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,63}")
_CHARS: Final = 200  # of a name


Facts = Callable[[Event, State], dict[str, Any]]
"""What a notice says of an event beyond what it says of every one."""


def is_notable(type_: str) -> bool:
    """Whether an event of a type has a notice: a kind of ``KINDS``, or a family that a recorder or a policy writes."""
    if type_ in KINDS:
        return True
    writers = families.writers_of(type_)
    return writers is not None and bool(writers.kinds)


def build(state: State, events: Iterable[Event], actors_connected: Callable[[], set[str]]) -> list[dict[str, Any]]:
    """The notices of events that ``state`` has folded already.

    Args:
        state: the control state after the events.
        events: all that are written in one append.
        actors_connected: who reads the session now; asked only where somebody may have to be called.
    """
    notices = []
    for event in events:
        if not is_notable(event.type):
            continue
        notice = {
            "type": event.type,
            "session": state.session,
            "incarnation": state.incarnation,
            "seq": event.seq,
            "ts": event.ts,
            "actor": event.actor,
        }
        if event.type in CALLS_PEOPLE:
            people = list(state.participants)
            connected = actors_connected()
            notice |= {"participants": people, "connected": any(person in connected for person in people)}
        notices.append(notice | KINDS.get(event.type, _recorded)(event, state))
    return notices


CALLS_PEOPLE: Final = frozenset({e.RUN_ENDED, e.APPROVAL_REQUESTED})
"""Kinds that those who take part may have to hear of while they are away; their notices name them."""


# --- facts of each kind
def _run(event: Event, state: State) -> dict[str, Any]:
    """The run an event belongs to: its agent, its parent and its labels, as far as it is remembered."""
    run: RunState | EndedRun | None = state.runs.get(event.run or "") or state.ended.get(event.run or "")
    facts: dict[str, Any] = {"run": event.run}
    if run is not None:
        facts["agent"] = run.agent
        if run.parent is not None:
            facts["parent"] = run.parent
        if run.labels:
            facts["labels"] = dict(run.labels)
    return facts


def _queued(event: Event, state: State) -> dict[str, Any]:
    facts = _run(event, state) | {"agent": event.data["agent"]}
    return facts | _named(event.data, "input")


def _attempt_lost(event: Event, state: State) -> dict[str, Any]:
    return _run(event, state) | _named(event.data, "generation", "reason", "retry")


def _ended(event: Event, state: State) -> dict[str, Any]:
    facts = _run(event, state) | _named(event.data, "status", "forced")
    error = event.data.get("error")
    if isinstance(error, dict) and _NAME.fullmatch(str(error.get("code", ""))):
        facts["error"] = error["code"]
    return facts


def _requested(event: Event, state: State) -> dict[str, Any]:
    facts = _run(event, state) | {"approval": event.data["approvalId"], **_named(event.data, "tool", "deadline")}
    return facts | {"purpose": browser_tools.purpose(event.data) or "decision"}


def _decided(event: Event, state: State) -> dict[str, Any]:
    return _run(event, state) | {"approval": event.data["approvalId"], **_named(event.data, "decision", "by")}


def _cancelled(event: Event, state: State) -> dict[str, Any]:
    return {"runs": event.data["runs"], **_named(event.data, "scope", "force", "deadline", "input")}


def _recorded(event: Event, state: State) -> dict[str, Any]:
    """Of what a client has written: numbers and truths under plain names, the first of them."""
    numbers = {
        name: value for name, value in event.data.items() if type(value) in (int, float, bool) and _NAME.fullmatch(name)
    }
    facts = _run(event, state) if event.run is not None else {}
    if event.attempt is not None:
        facts["attempt"] = event.attempt
    return facts | {"numbers": dict(list(numbers.items())[:_NUMBERS])}


def _used(event: Event, state: State) -> dict[str, Any]:
    return _recorded(event, state) | _named(event.data, "model")


def _named(data: dict[str, Any], *names: str) -> dict[str, Any]:
    """These fields, where they are there; of a text its beginning."""
    return {name: value[:_CHARS] if isinstance(value := data[name], str) else value for name in names if name in data}


KINDS: Final[dict[str, Facts]] = {
    e.RUN_QUEUED: _queued,
    e.RUN_ATTEMPT_LOST: _attempt_lost,
    e.RUN_ENDED: _ended,
    e.APPROVAL_REQUESTED: _requested,
    e.APPROVAL_RESOLVED: _decided,
    e.APPROVAL_EXPIRED: _decided,
    e.APPROVAL_USED: _decided,
    e.CANCEL_REQUESTED: _cancelled,
    e.USAGE_RECORDED: _used,
}
"""What is said of each kind. Families that recorders and policies write (``session/families.py``) have ``_recorded``."""
