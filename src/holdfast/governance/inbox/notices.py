"""Who is told of which items, each once: at once of what stops something, in a digest of the day of what is new or due, and
the sponsor of what is late. Pure."""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from holdfast.governance import limits
from holdfast.governance.inbox.model import DAY_MS, InboxItem, Mark
from holdfast.governance.messages.model import Delivery

NoticeKind = Literal["now", "digest", "late", "succession"]


class InboxNotice(msgspec.Struct, frozen=True, kw_only=True):
    """Something that somebody is told.

    Attributes:
        id: of what and whom, so that there is one.
        person: name, or an office.
        items: ids of those it is about.
        sent: what became of it, by way.
    """

    id: str
    tenant: str
    person: str
    kind: NoticeKind
    text: str
    lines: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    at_ms: int = 0
    sent: dict[str, Delivery] = {}


def recipient(item: InboxItem) -> str:
    """Who is told of an item: its person, else its office."""
    return item.person or item.role


def due_notices(
    tenant: str, items: Sequence[InboxItem], digested: Iterable[str], zone: zoneinfo.ZoneInfo, now_ms: int
) -> tuple[list[InboxNotice], list[InboxItem]]:
    """What has to be told now, and the items with what was told of them.

    Args:
        items: the open ones.
        digested: ids of the digests of today that are there already.
    """
    notices, marks = list[InboxNotice](), dict[str, set[Mark]]()
    for item in sorted(items, key=lambda one: one.rank(now_ms)):
        if item.stops and "now" not in item.marks:
            notices.append(_at_once(item, now_ms))
            marks.setdefault(item.id, set()).update(("now", "new"))
        if item.sponsor and item.due_ms and now_ms > item.due_ms and "late" not in item.marks:
            notices.append(_late(item, zone, now_ms))
            marks.setdefault(item.id, set()).add("late")
    noted = [item if item.id not in marks else _with(item, marks[item.id]) for item in items]
    digests, more = _digests(tenant, noted, set(digested), zone, now_ms)
    for ident, some in more.items():
        marks.setdefault(ident, set()).update(some)
    return notices + digests, [_with(item, marks[item.id]) for item in items if item.id in marks]


def _with(item: InboxItem, some: Iterable[Mark]) -> InboxItem:
    return replace(item, marks=tuple(sorted({*item.marks, *some})))


def _at_once(item: InboxItem, now_ms: int) -> InboxNotice:
    return InboxNotice(
        id=f"now|{item.tenant}|{item.id}|{recipient(item)}|{item.reopened}", tenant=item.tenant, person=recipient(item),
        kind="now", text=item.title, lines=(item.why, item.what), items=(item.id,), at_ms=now_ms,
    )  # fmt: skip


def _late(item: InboxItem, zone: zoneinfo.ZoneInfo, now_ms: int) -> InboxNotice:
    text = f"Late since {day_text(item.due_ms, zone)}: {item.title}"
    return InboxNotice(
        id=f"late|{item.tenant}|{item.id}|{item.sponsor}|{item.reopened}", tenant=item.tenant, person=item.sponsor,
        kind="late", text=text, lines=(item.why, f"{recipient(item)}: {item.what}"), items=(item.id,), at_ms=now_ms,
    )  # fmt: skip


def _digests(
    tenant: str, items: Sequence[InboxItem], digested: set[str], zone: zoneinfo.ZoneInfo, now_ms: int
) -> tuple[list[InboxNotice], Mapping[str, set[Mark]]]:
    moment = datetime.datetime.fromtimestamp(now_ms / 1_000, zone)
    if moment.hour < limits.INBOX_DIGEST_HOUR:
        return [], {}
    by_person: dict[str, list[tuple[InboxItem, set[Mark]]]] = {}
    for item in sorted(items, key=lambda one: one.rank(now_ms)):
        if reasons := _reasons(item, now_ms):
            by_person.setdefault(recipient(item), []).append((item, reasons))
    notices, marks = list[InboxNotice](), dict[str, set[Mark]]()
    for person, some in by_person.items():
        ident = f"digest|{tenant}|{person}|{moment:%Y-%m-%d}"
        if ident in digested:
            continue  # what is new since then is in tomorrow's
        marks |= {item.id: reasons for item, reasons in some}
        new, due = (sum(mark in reasons for _, reasons in some) for mark in ("new", "due"))
        words = " and ".join(f"{count} {word}" for count, word in ((new, "new"), (due, "due")) if count)
        lines = [_line(item, zone) for item, _ in some[: limits.INBOX_DIGEST_ROWS]]
        if len(some) > len(lines):
            lines.append(f"and {len(some) - len(lines)} more: holdfast inbox list")
        notices.append(
            InboxNotice(
                id=ident, tenant=tenant, person=person, kind="digest", text=f"Inbox of {person}: {words}",
                lines=tuple(lines), items=tuple(item.id for item, _ in some), at_ms=now_ms,
            )
        )  # fmt: skip
    return notices, marks


def _reasons(item: InboxItem, now_ms: int) -> set[Mark]:
    reasons = set[Mark]()
    if "new" not in item.marks:
        reasons.add("new")
    if item.due_ms and item.due_ms <= now_ms + DAY_MS and "due" not in item.marks:
        reasons.add("due")
    return reasons


def _line(item: InboxItem, zone: zoneinfo.ZoneInfo) -> str:
    due = f" By {day_text(item.due_ms, zone)}." if item.due_ms else ""
    return f"- {item.title}. {item.what}.{due}"


def day_text(at_ms: int, zone: zoneinfo.ZoneInfo) -> str:
    """A day as people read it."""
    return f"{datetime.datetime.fromtimestamp(at_ms / 1_000, zone):%a %d %b}"
