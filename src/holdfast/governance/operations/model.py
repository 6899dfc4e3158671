"""What a stop is, and an incident. Pure."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import msgspec

from holdfast.errors import Refused
from holdfast.governance import limits

StopScope = Literal["workflow", "agent", "model", "tool", "everything"]
SCOPES: Final[tuple[StopScope, ...]] = get_args(StopScope)
StopState = Literal["stopping", "stopped", "lifted"]
"""Runs are being ended; none is left, and none begins; the stop holds no more."""
AT_FIRST: Final = ("running", "queued", "waiting")
"""How a run stood when the stop found it."""


class StopOrder(msgspec.Struct, frozen=True):
    """A stop: what is ended, and does not begin again until it is lifted.

    Attributes:
        subject: name of the workflow, agent, model or tool; empty for everything.
        reason: in a sentence, for everybody whose work it ends.
        by: who stopped it: runs end in this name.
        at_ms: Unix ms.
        grace_ms: what an agent has to end by itself, before its run is ended without it.
        done_ms: when no run of it was left; None until then.
        left: how many had not ended at the last look.
        refused: how often something was not begun for it, so far.
        calls: calls of the gateway that it ended.
        incident: id of the record of it, where there is one.
    """

    id: str
    tenant: str
    scope: StopScope
    subject: str
    reason: str
    by: str
    at_ms: int
    grace_ms: int
    state: StopState = "stopping"
    done_ms: int | None = None
    lifted_ms: int | None = None
    lifted_by: str = ""
    lifted_reason: str = ""
    left: int = 0
    refused: int = 0
    calls: int = 0
    incident: str = ""

    @property
    def holds(self) -> bool:
        """Whether nothing of it may begin."""
        return self.state != "lifted"

    @property
    def what(self) -> str:
        """What it stops, in words."""
        return "everything" if self.scope == "everything" else f"{self.scope} {self.subject!r}"

    def refusal(self, workflow: str = "") -> Refused:
        """What whoever would use it is told."""
        lift = f"`holdfast stop lift {self.id}` lets it begin again"
        fields = {
            "stop": self.id, "scope": self.scope, "subject": self.subject, "by": self.by, "reason": self.reason, "at_ms": self.at_ms,
        }  # fmt: skip
        if workflow or self.scope == "workflow":
            fields["workflow"] = workflow or self.subject
        fix = f"Ask {self.by}; `holdfast stop show {self.id}` says how things stand, and {lift}."
        return Refused("workflow.stopped", f"{self.by} stopped {self.what}: {self.reason}", **fields, fix=fix)


class StopReceipt(msgspec.Struct, frozen=True):
    """What a stop has done so far.

    Attributes:
        running, queued, waiting: runs, sub-runs included, by how they stood when it found them.
        forced: of them, how many did not end by themselves.
        sessions, people: in which they were, and who took part in those.
        took_ms: from the stop until no run was left; None until then.
        listed: the first sessions, each with its runs by how they stood.
    """

    stop: StopOrder
    running: int = 0
    queued: int = 0
    waiting: int = 0
    forced: int = 0
    sessions: int = 0
    people: int = 0
    took_ms: int | None = None
    listed: tuple[dict[str, Any], ...] = ()


class StopPreview(msgspec.Struct, frozen=True):
    """What a stop would end if it were made now.

    Attributes:
        known: whether the sessions could be looked at from here; without, runs are not counted.
        calls: of the gateway, under way in this process.
    """

    scope: StopScope
    subject: str
    known: bool
    running: int = 0
    queued: int = 0
    waiting: int = 0
    sessions: int = 0
    people: int = 0
    calls: int = 0


class Incident(msgspec.Struct, frozen=True):
    """Something that went wrong, what it touched and what was done.

    Attributes:
        stop: id of the stop it is of; empty for one by hand.
        from_ms, to_ms: Unix ms; ``to_ms`` is None while it goes on.
        stopped_ms: from the stop until no run was left; None where nothing was stopped.
        sessions, people, outputs: sessions and people that took part in the runs it touched, and those runs.
        cost_nano: of those runs and of the workflow's calls in its time, nano-USD; None where some of it has no price.
        by: who recorded it.
    """

    id: str
    tenant: str
    workflow: str
    from_ms: int
    by: str
    at_ms: int
    notes: str = ""
    stop: str = ""
    to_ms: int | None = None
    stopped_ms: int | None = None
    sessions: int = 0
    people: int = 0
    outputs: int = 0
    cost_nano: int | None = 0


def check_stop(scope: str, subject: str, reason: str, grace_s: float) -> StopScope:
    """The scope of a stop that is asked for. Raises ``input.malformed``."""
    for one in SCOPES:
        if one == scope:
            break
    else:
        raise Refused("input.malformed", f"scope {scope!r:.80}: one of {', '.join(SCOPES)}")
    if bool(subject) == (one == "everything"):
        raise Refused("input.malformed", "everything has no name" if subject else f"name the {one} that is stopped")
    if len(subject) > limits.ORG_NAME_CHARS or not subject.isprintable():
        raise Refused("input.malformed", f"a name has at most {limits.ORG_NAME_CHARS} characters, in one line")
    check_reason(reason)
    if not 0 <= grace_s <= limits.STOP_GRACE_MOST_S:
        raise Refused("input.malformed", f"grace: 0 to {limits.STOP_GRACE_MOST_S:g} seconds")
    return one


def check_reason(reason: str) -> str:
    """A reason: everybody reads it. Raises ``input.malformed``."""
    if not reason.strip() or len(reason) > limits.STOP_REASON_CHARS or not reason.isprintable():
        raise Refused("input.malformed", f"say why, in one line of at most {limits.STOP_REASON_CHARS} characters")
    return reason


def check_notes(notes: str) -> str:
    """What is written down of an incident. Raises ``input.malformed``."""
    if not notes.strip() or len(notes) > limits.INCIDENT_NOTES_CHARS:
        raise Refused("input.malformed", f"say what happened, in at most {limits.INCIDENT_NOTES_CHARS:,} characters")
    return notes


def check_span(incident: Incident, now_ms: int) -> None:
    """Refuse an incident without a workflow, or whose time is none (``input.malformed``)."""
    if not 1 <= len(incident.workflow) <= limits.ORG_NAME_CHARS:
        raise Refused("input.malformed", f"a workflow has a name of 1 to {limits.ORG_NAME_CHARS} characters")
    until_ms = incident.to_ms if incident.to_ms is not None else now_ms
    if not 0 <= incident.from_ms <= until_ms <= now_ms + 1:
        raise Refused("input.malformed", "an incident begins before it ends, and both have passed")
