"""The Monday page as a mail: plain text that fits 72 columns, and simple HTML in which everything is escaped. Pure."""

from __future__ import annotations

import datetime
import textwrap
import zoneinfo
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final, NamedTuple

from holdfast.governance.rollout.critical_path import NextAction
from holdfast.governance.rollout.monday import GateFlip, Monday, WaiverLine

COLUMNS: Final = 72
VERDICTS: Final = {
    "pass": "pass", "fail": "fail", "unknown": "unknown", "not_applicable": "not applicable", "waived": "waived",
}  # fmt: skip
_DAY_MS: Final = 86_400_000
_STYLE: Final = "font:15px/1.5 system-ui,sans-serif;color:#0f2a2e;max-width:42em"


class MailPart(NamedTuple):
    """A part of the mail: each of ``entries`` is what, and what is said of it."""

    title: str
    entries: Sequence[tuple[str, str]]
    empty: str


class MondayMail(NamedTuple):
    """The mail. ``subject`` is one line."""

    subject: str
    text: str
    html: str


def monday_mail(found: Monday, more: Iterable[MailPart] = (), address: str = "") -> MondayMail:
    """The page as a mail.

    Args:
        more: parts that other domains have to say, such as spend and incidents.
        address: of the page; empty where nobody said it.
    """
    zone = zoneinfo.ZoneInfo(found.zone)
    parts = [*_parts(found, zone), *more]
    return MondayMail(_subject(found, zone), _text(found, zone, parts, address), _html(found, zone, parts, address))


def _subject(found: Monday, zone: zoneinfo.ZoneInfo) -> str:
    red = sum(one.stands == "fail" for one in found.workflows)
    todo = sum(1 for one in found.people for action in one.actions if action.gate not in found.unbuilt)
    day = _day(found.as_of_ms, zone)
    if not red and not todo:
        return f"The plan on {day}: nothing is red"
    return f"The plan on {day}: {_count(red, 'workflow')} red, {_count(todo, 'thing')} to do"


def _parts(found: Monday, zone: zoneinfo.ZoneInfo) -> Iterator[MailPart]:
    for one in found.people:
        actions = [action for action in one.actions if action.gate not in found.unbuilt]
        if actions:
            yield MailPart(f"{one.who or 'Somebody'} has to", [_action(each, found, zone) for each in actions], "")
    lines = [
        (f"{one.workflow} ({one.words})", one.sentence.removeprefix(one.workflow).strip()) for one in found.workflows
    ]
    yield MailPart("May each workflow go on?", lines, "No workflow has a manifest yet.")
    flips = [(f"{one.gate} of {one.workflow or 'the organisation'}", _flip(one)) for one in found.flips]
    yield MailPart(f"Flipped since {_day(found.since_ms, zone)}", flips, "No gate says anything else than a week ago.")
    words = {"seen": "Look", "clear": "Clear", "unknown": "Not known"}
    yield MailPart("Warnings", [(words[one.state], one.text) for one in found.cautions], "None.")
    yield MailPart("Waivers past expiry", [_waiver(one, zone) for one in found.past], "None.")
    if found.waived:
        yield MailPart("Waived now", [_waiver(one, zone) for one in found.waived], "")


def _action(one: NextAction, found: Monday, zone: zoneinfo.ZoneInfo) -> tuple[str, str]:
    due = ""
    if one.due_ms:
        days = abs(one.due_ms - found.as_of_ms) // _DAY_MS
        late = one.due_ms < found.as_of_ms
        due = f"by {_day(one.due_ms, zone)}, {_count(days, 'day')} late. " if late else f"by {_day(one.due_ms, zone)}. "
    names = ", ".join(one.workflows[:3]) + (f" and {len(one.workflows) - 3} more" if len(one.workflows) > 3 else "")
    stops = " Nothing new runs until then." if one.stopped else ""
    return one.what, f"{due}Gate {one.gate} of {names}: {one.why}.{stops}"


def _flip(one: GateFlip) -> str:
    return f"{VERDICTS[one.before]}, now {VERDICTS[one.after]}: {one.reason}."


def _waiver(line: WaiverLine, zone: zoneinfo.ZoneInfo) -> tuple[str, str]:
    one = line.waiver
    when = f"over since {_day(one.until_ms, zone)}" if line.left_ms < 0 else f"until {_day(one.until_ms, zone)}"
    return f"Gate {one.gate} of {one.workflow or 'the organisation'}", f"{when}, by {one.by}: {one.reason}."


def _note(found: Monday) -> str:
    if not found.unbuilt:
        return ""
    return f"{len(found.unbuilt)} of {found.gates} gates are not built yet: unknown in every workflow."


def _text(found: Monday, zone: zoneinfo.ZoneInfo, parts: Sequence[MailPart], address: str) -> str:
    lines = [f"The plan on {_day(found.as_of_ms, zone)} ({found.zone})", ""]
    for part in parts:
        lines.append(part.title.upper())
        for what, says in part.entries:
            lines += textwrap.wrap(f"{what.rstrip('.')}: {says}", COLUMNS, initial_indent="- ", subsequent_indent="  ")
        if not part.entries:
            lines += textwrap.wrap(part.empty, COLUMNS)
        lines.append("")
    if note := _note(found):
        lines += [*textwrap.wrap(note, COLUMNS), ""]
    lines.append(f"The page: {address}" if address else "The page: Plan in the console; holdfast plan monday")
    return "\n".join(lines) + "\n"


def _html(found: Monday, zone: zoneinfo.ZoneInfo, parts: Sequence[MailPart], address: str) -> str:
    out = [
        f'<!doctype html><html lang="en"><body style="{_STYLE}"><h1>The plan on {escape(_day(found.as_of_ms, zone))}</h1>'
    ]
    for part in parts:
        out.append(f"<h2>{escape(part.title)}</h2>")
        if part.entries:
            entries = "".join(f"<li><b>{escape(what)}</b><br>{escape(says)}</li>" for what, says in part.entries)
            out.append(f"<ul>{entries}</ul>")
        else:
            out.append(f"<p>{escape(part.empty)}</p>")
    if note := _note(found):
        out.append(f"<p>{escape(note)}</p>")
    if address.startswith(("https://", "http://")):
        out.append(f'<p><a href="{escape(address)}">The page</a></p>')
    return "".join([*out, f"<p>{escape(found.zone)}</p></body></html>"])


def _day(at_ms: int, zone: zoneinfo.ZoneInfo) -> str:
    return f"{datetime.datetime.fromtimestamp(at_ms / 1_000, zone):%a %-d %b}"


def _count(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"
