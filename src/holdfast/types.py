"""What people read, as types: items and runs of a view, rows of lists, answers of operations, notices of the feed.

Nothing here exists at run time beyond its name: what is read is plain JSON data, and ``item["kind"]`` tells items apart.
"""

from holdfast.errors import Code
from holdfast.protocol.rows import ConnectionEntry, LastInput, PresenceEntry, SessionCard, SessionRow

__all__ = [
    "Code", "ConnectionEntry", "LastInput", "PresenceEntry", "SessionCard", "SessionRow",
]  # fmt: skip
