"""The event: one immutable entry of a session's log, and the vocabulary of its types.

Wire shape (PROTOCOL.md, "Events")::

    {"seq":417,"ts":1764000000123,"actor":"agent:writer","type":"TEXT_MESSAGE_CONTENT","run":"r7","offset":212,
     "data":{"messageId":"m3","delta":" tide"}}

Agent output uses the event names and fields of AG-UI 1.0 as they are; what AG-UI leaves out is ours, in dotted
lower case. The vocabulary is open: a type that is not listed here is stored, delivered and skipped by folds.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec


class Event(msgspec.Struct, omit_defaults=True, gc=False):
    """One entry of a log.

    Attributes:
        seq: position in the session, from 1, contiguous (LOG-1). With ``to`` set, the event covers ``seq..to``.
        ts: when it was given its position, Unix milliseconds, never running backwards in a session (LOG-10).
        actor: the authenticated principal: ``user:…``, ``agent:…``, ``policy:…``, ``check:…`` or ``system:…``.
        type: a name of the vocabulary below, or any other.
        data: a JSON object.
        run: the run it belongs to.
        attempt: the attempt of that run, when an agent wrote it.
        offset: for text deltas, where the delta starts in UTF-16 code units (FOLD-3).
        to: last position covered, for events merged by compaction (FOLD-5).
    """

    seq: int
    ts: int
    actor: str
    type: str
    data: dict[str, Any]
    run: str | None = None
    attempt: int | None = None
    offset: int | None = None
    to: int | None = None

    @property
    def last(self) -> int:
        """The last position this event stands for."""
        return self.to or self.seq


class Draft(msgspec.Struct, gc=False):
    """An event before it has a position: what a client asks to append."""

    type: str
    data: dict[str, Any] = {}


# --- agent output: AG-UI 1.0 names -----------------------------------------------------------------------------
TEXT_START: Final = "TEXT_MESSAGE_START"  # {messageId, role, name?}
TEXT_CONTENT: Final = "TEXT_MESSAGE_CONTENT"  # {messageId, delta}
TEXT_END: Final = "TEXT_MESSAGE_END"  # {messageId, kept?}
REASONING_START: Final = "REASONING_MESSAGE_START"  # {messageId}
REASONING_CONTENT: Final = "REASONING_MESSAGE_CONTENT"  # {messageId, delta}
REASONING_END: Final = "REASONING_MESSAGE_END"  # {messageId, kept?}
TOOL_START: Final = "TOOL_CALL_START"  # {toolCallId, toolCallName, parentMessageId?}
TOOL_ARGS: Final = "TOOL_CALL_ARGS"  # {toolCallId, delta}
TOOL_END: Final = "TOOL_CALL_END"  # {toolCallId}
TOOL_RESULT: Final = "TOOL_CALL_RESULT"  # {toolCallId, content, error?, blob?}
TOOL_PAUSED: Final = "tool.paused"  # {toolCallId, why}
STEP_STARTED: Final = "STEP_STARTED"  # {stepName}
STEP_FINISHED: Final = "STEP_FINISHED"  # {stepName}
STATE_SNAPSHOT: Final = "STATE_SNAPSHOT"  # {snapshot}
STATE_DELTA: Final = "STATE_DELTA"  # {delta: RFC 6902 JSON Patch}
ACTIVITY_SNAPSHOT: Final = "ACTIVITY_SNAPSHOT"  # {messageId, activityType, content, replace?}
ACTIVITY_DELTA: Final = "ACTIVITY_DELTA"  # {messageId, activityType, patch: RFC 6902}
RAW: Final = "RAW"  # {event, source?}
CUSTOM: Final = "CUSTOM"  # {name, value}

# --- ours ---------------------------------------------------------------------------------------------------------
SESSION_CREATED: Final = "session.created"  # {title?, agent?, meta?}
SESSION_RENAMED: Final = "session.renamed"  # {title}
INPUT_MESSAGE: Final = "input.message"  # {messageId, text, agent?, parent?, edits?, role?, key?, attachments?, meta?}
INPUT_STEER: Final = "input.steer"  # {steerId, text}; run = the run steered
STEER_DELIVERED: Final = "steer.delivered"  # {steerId}
STEER_DROPPED: Final = "steer.dropped"  # {steerId, reason}
RUN_QUEUED: Final = "run.queued"  # {agent, input?, attempts?, concurrent?, after?, regenerates?, parent?, name?, task?, local?, answers?, labels?}
RUN_STARTED: Final = "run.started"  # {agent, generation, worker, lease_s, incarnation}
RUN_WAITING: Final = "run.waiting"  # {approvals: [id]}
RUN_ATTEMPT_LOST: Final = "run.attempt_lost"  # {generation, reason, retry}
RUN_ENDED: Final = "run.ended"  # {status, error?: {code, message}, forced?}
CANCEL_REQUESTED: Final = "cancel.requested"  # {scope, runs: [id], force, deadline, input?, reason?}
CANCEL_DELIVERED: Final = "cancel.delivered"  # {}; run = the run whose worker has it
CANCEL_EFFECTIVE: Final = "cancel.effective"  # {}; run = the run that ended by it
APPROVAL_REQUESTED: Final = "approval.requested"  # {approvalId, tool, args, hash, deadline, default, requester?, toolCallId?, purpose?, rule?, why?, command?} # fmt: skip
APPROVAL_USED: Final = "approval.used"  # {approvalId}
APPROVAL_RESOLVED: Final = "approval.resolved"  # {approvalId, decision: approved|denied, by, note?}
APPROVAL_EXPIRED: Final = "approval.expired"  # {approvalId, decision, reason?}
BRANCH_SELECTED: Final = "branch.selected"  # {input?: id, run?: id}
HANDOFF_TAKEN: Final = "handoff.taken"  # {by}
HANDOFF_RETURNED: Final = "handoff.returned"  # {by}
SOURCE_CITED: Final = "source.cited"  # {messageId, sourceId, uri, title?, quote?, score?}
USAGE_RECORDED: Final = "usage.recorded"  # {model, input_tokens, output_tokens, classes?, tier?, call?, …}
UPSTREAM_UNKNOWN: Final = "upstream.unknown"  # {adapter, events: {name: count}}

OPENING: Final = {TEXT_START: "messageId", REASONING_START: "messageId", TOOL_START: "toolCallId"}
"""Types that open an entity, and the field that names it."""

DELTAS: Final = {TEXT_CONTENT: "messageId", REASONING_CONTENT: "messageId", TOOL_ARGS: "toolCallId"}
"""Types whose ``data.delta`` is appended to an open entity; the hub stamps their ``offset``."""

CLOSING: Final = {TEXT_END: "messageId", REASONING_END: "messageId", TOOL_END: "toolCallId"}
"""Types that close an entity."""

APPENDABLE: Final = frozenset(
    {
        *OPENING, *DELTAS, *CLOSING, TOOL_RESULT, TOOL_PAUSED, STEP_STARTED, STEP_FINISHED, STATE_SNAPSHOT, STATE_DELTA,
        ACTIVITY_SNAPSHOT, ACTIVITY_DELTA, RAW, CUSTOM, SOURCE_CITED, USAGE_RECORDED,
        UPSTREAM_UNKNOWN,
    }
)  # fmt: skip
"""Known types that clients append, and folds and dialects understand. Who may write which others: ``session/families.py``."""

WHILE_STOPPING: Final = frozenset({*CLOSING, TOOL_RESULT, STEP_FINISHED, USAGE_RECORDED, UPSTREAM_UNKNOWN})
"""What a run may still append between its cancel and the end of the grace (CTL-3)."""

OPERATORS_ONLY: Final = frozenset({USAGE_RECORDED, UPSTREAM_UNKNOWN})
"""Types delivered to operators only; other readers get a skip."""
