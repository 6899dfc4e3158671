"""The operations a client may ask for: one struct each, the same on a WebSocket, over REST and in process.

On a WebSocket an operation is one JSON object with ``op`` (the tag below) and ``id`` (chosen by the client, echoed in the
``ok`` or ``error`` that answers it). Over REST the same fields are the body and the path. PROTOCOL.md states the rules.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from holdfast.errors import Refused
from holdfast.protocol import limits
from holdfast.protocol.bounds import too_large
from holdfast.protocol.codec import ENTITY_ID, SESSION_ID, decode
from holdfast.protocol.events import Draft

SessionId = Annotated[str, msgspec.Meta(pattern=SESSION_ID)]
EntityId = Annotated[str, msgspec.Meta(pattern=ENTITY_ID)]
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.NAME_CHARS)]
Name = Annotated[str, msgspec.Meta(max_length=limits.NAME_CHARS)]
Reason = Annotated[str, msgspec.Meta(max_length=limits.REASON_CHARS)]
Text = Annotated[str, msgspec.Meta(max_length=limits.TEXT_CHARS)]
Count = Annotated[int, msgspec.Meta(ge=0, le=limits.INTEGER_MAX)]
Incarnation = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.INCARNATION_CHARS)]


class Cursor(msgspec.Struct, frozen=True):
    """What a reader has applied: ``(incarnation, seq)``."""

    incarnation: str
    seq: Count


class AppendId(msgspec.Struct, frozen=True):
    """Identity of one append (LOG-5): instance ``epoch`` of producer ``id``, its append number ``seq`` from 1."""

    id: EntityId
    epoch: Count
    seq: Count


class Attachment(msgspec.Struct, omit_defaults=True):
    """A blob named by an input."""

    blob: EntityId
    name: Name = ""
    media_type: Name = "application/octet-stream"


class Op(msgspec.Struct, tag_field="op", kw_only=True, omit_defaults=True):
    """Base of every operation. ``id`` asks for an answer."""

    id: Count | None = None


# --- the connection -----------------------------------------------------------------------------------------------
class Hello(Op, tag="hello", kw_only=True):
    """First message on a WebSocket that carried no Authorization header."""

    token: str
    surface: Name = ""
    device: Name = ""


class Auth(Op, tag="auth", kw_only=True):
    """Refresh the token on the open connection (ACC-4). It must name the same principal and tenant."""

    token: str


class Ping(Op, tag="ping", kw_only=True):
    """Answered with ``ok``; for measuring, and for proxies that drop control frames."""


class Watch(Op, tag="watch", kw_only=True):
    """Follow the list of the principal's sessions (SUB-8), or, with ``admin`` on `*`, of ``all`` of the tenant."""

    all: bool = False


class Unwatch(Op, tag="unwatch", kw_only=True):
    """Stop following the list."""


# --- one session: reading ---------------------------------------------------------------------------------------
class SessionOp(Op, kw_only=True):
    """Base of operations on one session."""

    session: SessionId


class Subscribe(SessionOp, tag="subscribe", kw_only=True):
    """Read a session from ``start``: a snapshot, the tail, or after a cursor (SUB-1)."""

    start: Literal["snapshot", "tail"] | Cursor = "snapshot"


class Unsubscribe(SessionOp, tag="unsubscribe", kw_only=True):
    """Stop reading."""


class History(SessionOp, tag="history", kw_only=True):
    """One page of items older than the snapshot's window; ``page`` is the snapshot's ``older`` (SUB-5)."""

    page: Count
    incarnation: Incarnation | None = None


class Read(SessionOp, tag="read", kw_only=True):
    """The person has seen everything up to ``seq`` (unread marks)."""

    seq: Count
    incarnation: Incarnation | None = None


class Presence(SessionOp, tag="presence", kw_only=True):
    """What the person does here now (for example ``{"typing": true}``); live, never logged."""

    doing: dict[str, Any] = {}


# --- one session: life --------------------------------------------------------------------------------------------
class Command(SessionOp, kw_only=True):
    """Base of operations that write. ``key`` makes a retry safe (LOG-5).

    ``incarnation`` is the life of the session in which what the operation names was read (LIFE-1); ids that were made
    in that life say it as well.
    """

    key: EntityId | None = None
    incarnation: Incarnation | None = None


class Create(Command, tag="create", kw_only=True):
    """Create the session. Nothing is written when it exists already with equal settings."""

    title: Name = ""
    agent: Name = ""
    meta: dict[str, Any] = {}


class Rename(Command, tag="rename", kw_only=True):
    """Give the session a title."""

    title: Name


class Delete(Command, tag="delete", kw_only=True):
    """Erase the session: its events, snapshots, pages and blobs. ``expect`` is the tail it must have."""

    expect: Cursor | None = None


class Append(Command, tag="append", kw_only=True):
    """Append events atomically (LOG-2). Inside a run, ``run`` and ``generation`` say by whose authority (LOG-6)."""

    events: Annotated[list[Draft], msgspec.Meta(min_length=1, max_length=limits.BATCH_EVENTS)]
    run: EntityId | None = None
    generation: Count = 0
    producer: AppendId | None = None
    expect: Cursor | None = None


# --- people ---------------------------------------------------------------------------------------------------------
class Send(Command, tag="send", kw_only=True):
    """Say something. Addressed to an agent it queues a run (RUN-7); ``edits`` branches instead of continuing (CTL-7).

    ``key`` becomes the message's id, unless something has that id already: the answer says which it got. ``parent`` is the
    input it goes on from, by default the end of the branch shown; ``answer`` the run that answered that, where it is not
    the one shown. ``meta`` is what the sender's program keeps with the message.
    """

    text: Text
    agent: Name = ""
    parent: EntityId | None = None
    answer: EntityId | None = None
    edits: EntityId | None = None
    attachments: Annotated[list[Attachment], msgspec.Meta(max_length=limits.INPUT_FILES)] = []
    meta: dict[str, Any] = {}
    attempts: Annotated[int, msgspec.Meta(ge=1, le=20)] = limits.ATTEMPTS
    concurrent: bool = False
    silent: bool = False


class Cancel(Command, tag="cancel", kw_only=True):
    """Stop a run, the run of an input, my runs, or all (CTL-2). ``force`` ends it at once.

    ``input`` is a message's id, or the ``key`` with which this actor sends it: it may be stopped before it arrives.
    ``reason`` is for everybody who watches: why it is stopped.
    """

    run: EntityId | None = None
    input: EntityId | None = None
    scope: Literal["run", "input", "mine", "all"] = "run"
    force: bool = False
    version: Count | None = None
    reason: Reason = ""


class Steer(Command, tag="steer", kw_only=True):
    """Put words into a running run (CTL-4)."""

    run: EntityId
    text: Text


class Interrupt(Command, tag="interrupt", kw_only=True):
    """Cancel a run (or all of the branch), say something, and queue a run that starts after it ended (CTL-5)."""

    text: Text
    run: EntityId | None = None
    agent: Name = ""
    force: bool = False


class Resolve(Command, tag="resolve", kw_only=True):
    """Decide an approval (CTL-6). The first decision in log order stands. No agent decides (``approval.self``)."""

    approval: EntityId
    decision: Literal["approved", "denied"]
    note: Name = ""
    hash: str | None = None


class Regenerate(Command, tag="regenerate", kw_only=True):
    """Answer an input again; the earlier answer stays as a sibling (CTL-7).

    ``select`` also shows the branch that ends at this input: for chats that drop what came after the answer.
    """

    input: EntityId
    agent: Name = ""
    select: bool = False


class Select(Command, tag="select", kw_only=True):
    """Show another branch: the one that ends at ``input``, or sibling answer ``run``."""

    input: EntityId | None = None
    run: EntityId | None = None
    version: Count | None = None


class Take(Command, tag="take", kw_only=True):
    """Take over: agents are muted, running ones are cancelled (CTL-8)."""

    force: bool = False


class GiveBack(Command, tag="give_back", kw_only=True):
    """Hand the session back to its agents."""

    force: bool = False


# --- workers ----------------------------------------------------------------------------------------------------------
class Serve(Op, tag="serve", kw_only=True):
    """Offer to run agents: ``slots`` runs at a time. The token must act for each of them. ``slots=0`` withdraws.

    ``slots_for_people`` of them take only runs that a person waits for (ACC-1): their label ``usage`` is ``seated``, or there is
    none and ``sign_in`` is there.
    """

    agents: Annotated[list[Name], msgspec.Meta(min_length=1, max_length=64)]
    slots: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 1
    slots_for_people: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 0


class ActiveAttempt(msgspec.Struct, array_like=True, frozen=True):
    """An attempt that a worker executes: ``[session, run, generation, incarnation]``."""

    session: SessionId
    run: EntityId
    generation: Count
    incarnation: Incarnation | None = None


class Heartbeat(Op, tag="heartbeat", kw_only=True):
    """Renew leases. Answers those that are no longer held as ``fenced``: ``[[session, run, generation], …]``."""

    runs: Annotated[list[ActiveAttempt], msgspec.Meta(max_length=10_000)]


class RunOp(Command, kw_only=True):
    """Base of what the holder of a lease may do with its run."""

    run: EntityId
    generation: Count


class Attach(RunOp, tag="attach", kw_only=True):
    """After a reconnect: go on executing a run that is still held; answers what happened to it meanwhile."""


class Received(RunOp, tag="received", kw_only=True):
    """The worker has it: the run's cancel, or a steer. Writes the receipt."""

    steer: EntityId | None = None


class End(RunOp, tag="end", kw_only=True):
    """The run is done. ``events`` are appended in front of the end, in the same append."""

    status: Literal["completed", "failed", "cancelled"] = "completed"
    error: dict[str, Any] | None = None
    events: Annotated[list[Draft], msgspec.Meta(max_length=limits.BATCH_EVENTS)] = []


class Spawn(RunOp, tag="spawn", kw_only=True):
    """Start a sub-run (RUN-6). ``local``: claimed at once by the same worker; else queued for whoever serves the agent.

    The same ``name`` under the same parent answers the sub-run that exists (its result is not computed twice).
    """

    agent: Name
    name: Label
    input: dict[str, Any] = {}
    local: bool = True
    attempts: Annotated[int, msgspec.Meta(ge=1, le=20)] = 1


class Ask(RunOp, tag="ask", kw_only=True):
    """Request an approval of one exact action (CTL-6). ``wait`` lets the worker go until it is decided (RUN-5).

    ``call`` is the tool call of this run that is asked about: its arguments are closed, and it has not begun (RUN-4).
    ``purpose`` is a person's ``decision``, or a ``call`` that a program answers. ``self_approve``, and a ``default`` of ``approved``, are refused with ``approval.rule``: the asker does not loosen the rule.
    """

    approval: EntityId
    tool: Name
    args: dict[str, Any]
    call: EntityId | None = None
    purpose: Literal["decision", "call"] = "decision"
    deadline_s: Annotated[float, msgspec.Meta(gt=0, le=limits.APPROVAL_DEADLINE_MAX_S)] = limits.APPROVAL_DEADLINE_S
    default: Literal["approved", "denied"] = "denied"
    self_approve: bool = False
    wait: bool = False


class Wait(RunOp, tag="wait", kw_only=True):
    """Let the worker go until the approvals named are decided (RUN-5)."""

    approvals: Annotated[list[EntityId], msgspec.Meta(min_length=1, max_length=32)]


AnyOp = (
    Hello | Auth | Ping | Watch | Unwatch | Subscribe | Unsubscribe | History | Read | Presence | Create | Rename | Delete
    | Append | Send | Cancel | Steer | Interrupt | Resolve | Regenerate | Select | Take | GiveBack | Serve | Heartbeat
    | Attach | Received | End | Spawn | Ask | Wait
)  # fmt: skip
"""Every operation; the decoder below tells them apart by ``op``."""

DECODER: msgspec.json.Decoder[AnyOp] = msgspec.json.Decoder(AnyOp)
OPS: dict[str, type[Op]] = {str(cls.__struct_config__.tag): cls for cls in AnyOp.__args__}


BULKY = frozenset({"append", "end", "send", "interrupt", "steer", "create", "ask", "spawn", "heartbeat"})
"""Operations that carry text, data, or many names."""


def max_bytes(name: str) -> int:
    """How long the message of an operation may be, however it is written."""
    if name == "presence":
        return limits.PRESENCE_MESSAGE_BYTES
    return limits.MESSAGE_BYTES if name in BULKY else limits.OPERATION_MESSAGE_BYTES


def check_size(raw: bytes) -> None:
    """Refuse a message that is longer than its operation can be (``input.too_large``), before it is decoded."""
    if raw.startswith(b'{"op":"append"'):  # as our clients write it
        return
    name, _ = op_and_id(raw)
    if name in OPS and len(raw) > max_bytes(name):
        raise too_large(name, max_bytes(name), "bytes")


class _Header(msgspec.Struct):
    """What can be said of an operation that is not one."""

    op: str | None = None
    id: Count | None = None


_HEADER: msgspec.json.Decoder[_Header] = msgspec.json.Decoder(_Header)


def op_and_id(raw: bytes | str) -> tuple[str | None, int | None]:
    """The ``op`` and the ``id`` of a message that did not decode, as far as they can be read: whose answer it is."""
    try:
        header = decode(raw, _HEADER)
    except Refused:
        return None, None
    return header.op, header.id
