"""What people read, as types: items and runs of a view, rows of lists, answers of operations, notices of the feed.

Nothing here exists at run time beyond its name: what is read is plain JSON data, and ``item["kind"]`` tells items apart.
"""

from holdfast.errors import Code
from holdfast.protocol.answers import (
    AskAnswer,
    CancelAnswer,
    ChildEnd,
    CreateAnswer,
    DeleteAnswer,
    EmptyAnswer,
    EndAnswer,
    HeartbeatAnswer,
    InterruptAnswer,
    PingAnswer,
    ResolveAnswer,
    SelectAnswer,
    SendAnswer,
    ServeAnswer,
    SpawnAnswer,
    SteerAnswer,
    SubscribeAnswer,
    WaitAnswer,
    WriteAnswer,
)  # fmt: skip
from holdfast.protocol.items import (
    ActivityItem,
    ApprovalItem,
    AttachmentEntry,
    Decision,
    Item,
    ItemBase,
    MessageItem,
    ReasoningItem,
    SourceEntry,
    SteerItem,
    StepItem,
    TextStatus,
    ToolItem,
)  # fmt: skip
from holdfast.protocol.notice_data import (
    ApprovalDecidedNotice,
    ApprovalRequestedNotice,
    AttemptLostNotice,
    CancelNotice,
    EndedNotice,
    NoticeBase,
    NoticeData,
    QueuedNotice,
    RecordedNotice,
    RunFacts,
)  # fmt: skip
from holdfast.protocol.rows import ConnectionEntry, LastInput, PresenceEntry, SessionCard, SessionRow
from holdfast.protocol.view_data import (
    BranchEntry,
    CancelEntry,
    ErrorEntry,
    HandoffEntry,
    HistoryPage,
    LossEntry,
    PageData,
    RunEntry,
    RunStatus,
    ViewData,
)  # fmt: skip

__all__ = [
    "ActivityItem", "ApprovalDecidedNotice", "ApprovalItem", "ApprovalRequestedNotice", "AskAnswer",
    "AttachmentEntry", "AttemptLostNotice", "BranchEntry", "CancelAnswer", "CancelEntry", "CancelNotice", "ChildEnd",
    "Code", "ConnectionEntry", "CreateAnswer", "Decision", "DeleteAnswer", "EmptyAnswer", "EndAnswer", "EndedNotice",
    "ErrorEntry", "HandoffEntry", "HeartbeatAnswer", "HistoryPage", "InterruptAnswer", "Item", "ItemBase",
    "LastInput", "LossEntry", "MessageItem", "NoticeBase", "NoticeData", "PageData", "PingAnswer", "PresenceEntry",
    "QueuedNotice", "ReasoningItem", "RecordedNotice", "ResolveAnswer", "RunEntry", "RunFacts", "RunStatus",
    "SelectAnswer", "SendAnswer", "ServeAnswer", "SessionCard", "SessionRow", "SourceEntry", "SpawnAnswer",
    "SteerAnswer", "SteerItem", "StepItem", "SubscribeAnswer", "TextStatus", "ToolItem", "ViewData", "WaitAnswer",
    "WriteAnswer",
]  # fmt: skip
