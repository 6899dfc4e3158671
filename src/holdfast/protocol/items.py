"""What stands in a view, as types: messages, reasoning, tool calls, steps, activities, approvals, steers.

The keys are those of the wire (PROTOCOL.md, section 6); ``kind`` tells the items apart, so ``if item["kind"] == "message"``
is enough for a type checker. A field that is ``NotRequired`` is left out where it would say nothing (FOLD-8). These are
annotations only: an item is a ``dict``, and ``tests/unit/protocol/test_shapes.py`` holds the fold to them. No annotation is
postponed here, so that ``__required_keys__`` tells the truth in every version of Python.
"""

from typing import Any, Literal, NotRequired, TypedDict

Decision = Literal["approved", "denied"]
"""What a person says to an action."""
TextStatus = Literal["open", "complete", "cut"]
"""How a text stands: it grows, it is whole, or it was left unfinished."""


class AttachmentEntry(TypedDict):
    """A blob that came with a message.

    Attributes:
        blob: its id.
        name: of the file.
        mediaType: what it is, as in MIME.
    """

    blob: str
    name: NotRequired[str]
    mediaType: NotRequired[str]


class SourceEntry(TypedDict, total=False):
    """What a message is based on. Each field only where the agent has given it."""

    sourceId: str
    title: str
    uri: str
    quote: str
    score: float


class ItemBase(TypedDict):
    """What every item has.

    Attributes:
        id: known together with the kind.
        seq: position of the event it began with.
        ts: of that event, Unix milliseconds.
        actor: who wrote it: ``user:…``, ``agent:…``, ``policy:…``, ``check:…`` or ``system:…``.
        run: the run it belongs to.
        attempt: which attempt of the run wrote it.
        turn: id of the input message it answers.
    """

    id: str
    seq: int
    ts: int
    actor: str
    run: NotRequired[str]
    attempt: NotRequired[int]
    turn: NotRequired[str]


class MessageItem(ItemBase):
    """Something that a person or an agent says.

    Attributes:
        role: ``user``, ``assistant``, ``operator`` for a person who has taken over, or what an agent calls itself.
        length: of the text, in UTF-16 code units.
        kept: it counts as said also when its attempt was lost (RUN-8).
        parent: the input this one continues.
        edits: the input this one replaces.
        agent: whom it is for.
        meta: what the sender's program keeps with it.
    """

    kind: Literal["message"]
    role: str
    text: str
    length: int
    status: TextStatus
    kept: NotRequired[Literal[True]]
    name: NotRequired[str]
    parent: NotRequired[str]
    edits: NotRequired[str]
    agent: NotRequired[str]
    attachments: NotRequired[list[AttachmentEntry]]
    meta: NotRequired[dict[str, Any]]
    sources: NotRequired[list[SourceEntry]]


class ReasoningItem(ItemBase):
    """What a model thinks before it speaks, as far as its provider shows it; fields as those of a message."""

    kind: Literal["reasoning"]
    text: str
    length: int
    status: TextStatus
    kept: NotRequired[Literal[True]]


class ToolItem(ItemBase):
    """A call of a tool.

    Attributes:
        args: the arguments as text: JSON, once the call is complete.
        length: of that text, in UTF-16 code units.
        message: the message in which the call was made.
        approval: the newest approval that was asked about this call, as long as it was not made since.
        paused: what it asks of people before it goes on, as long as it was not made since.
        result: what the tool returned, once the status is ``done``.
        error: how it failed: ``{code, message}`` where our SDK wrote it.
        blob: where a large result is kept.
    """

    kind: Literal["tool"]
    name: str
    args: str
    length: int
    status: Literal["open", "called", "done", "cut"]
    message: NotRequired[str]
    approval: NotRequired[str]
    paused: NotRequired[str]
    result: NotRequired[Any]
    error: NotRequired[Any]
    blob: NotRequired[Any]


class StepItem(ItemBase):
    """A named step of what an agent does."""

    kind: Literal["step"]
    name: str
    status: TextStatus


class ActivityItem(ItemBase):
    """Something structured that changes while people look; ``content`` is any JSON."""

    kind: Literal["activity"]
    name: str
    content: Any


class ApprovalItem(ItemBase):
    """An action that waits for a decision, or was decided on. ``actor`` is the asker.

    Attributes:
        tool, args: the action, exactly.
        hash: of both: what a decision may name, to decide on nothing else.
        deadline: Unix milliseconds: when silence decides, as ``default`` says.
        requester: the person whose message led to it.
        by: the approver.
        note: what the approver said.
        call: the tool call it is about.
        purpose: ``call``: a program answers it, and nobody is to be shown a decision.
        rule, why: the rule of the owner's policy that asks for it, and its reason.
    """

    kind: Literal["approval"]
    tool: str
    args: dict[str, Any]
    hash: str
    deadline: int
    default: Decision
    status: Literal["pending", "approved", "denied", "expired"]
    requester: NotRequired[str]
    by: NotRequired[str]
    note: NotRequired[str]
    decision: NotRequired[Decision]
    call: NotRequired[str]
    purpose: NotRequired[Literal["call", "decision"]]
    rule: NotRequired[str]
    why: NotRequired[str]


class SteerItem(ItemBase):
    """Words that a person put into a running run."""

    kind: Literal["steer"]
    text: str
    status: Literal["pending", "delivered", "dropped"]


Item = MessageItem | ReasoningItem | ToolItem | StepItem | ActivityItem | ApprovalItem | SteerItem
"""Anything that stands in a view."""
