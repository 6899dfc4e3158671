"""What agents and people write into a random history: texts that begin, grow and end, and everything else there is."""

from __future__ import annotations

from typing import Any

from holdfast.protocol import events as e
from holdfast.protocol.events import Draft

WORDS = ("a", "tide ", "🌊", "é", "", "𝒳y", "\u2028", "long " * 5)
IDS = ("m1", "m2", "m3", "1", "a b"[:1], "['m1']")


def pick(options: Any, n: int) -> Any:
    """One of the options."""
    found = list(options)
    return found[n % len(found)] if found else None


def _text(tail: int, opened: dict[str, int], calls: list[str], kind: str, a: int, b: int) -> list[Draft]:
    start, content, end, field = {
        "m": (e.TEXT_START, e.TEXT_CONTENT, e.TEXT_END, "messageId"),
        "r": (e.REASONING_START, e.REASONING_CONTENT, e.REASONING_END, "messageId"),
        "t": (e.TOOL_START, e.TOOL_ARGS, e.TOOL_END, "toolCallId"),
    }[kind]
    ids = [key[2:] for key in opened if key[0] == kind]
    delta = WORDS[b % len(WORDS)]
    if not ids or a % 9 == 0:
        new = IDS[b % len(IDS)] if a % 3 == 0 else f"{kind}.{tail}"
        if kind == "t" and calls and b % 3 == 0:
            new = pick(calls, a)  # made again, which is fine if it was paused
        return [Draft(start, {field: new, "toolCallName": "t"}), Draft(content, {field: new, "delta": delta})]
    ident: Any = ids[a % len(ids)]
    if b % 13 == 0:
        ident = {"1": 1, "['m1']": ["m1"]}.get(ident, ident)  # looks the same when printed
    grown = [Draft(content, {field: ident, "delta": WORDS[(b + i) % len(WORDS)]}) for i in range(b % 3 + 1)]
    return [*grown, *([Draft(end, {field: ident})] if b % 4 == 0 else [])]


def _other(a: int, b: int, calls: list[str]) -> list[Draft]:
    value = {"x": b, "y": [WORDS[a % len(WORDS)]]}
    patch = [
        {"op": pick(("add", "replace", "remove"), a), "path": pick(("/x", "/y/0", "/y/-", "/z", ""), b), "value": b}
    ]
    options = [
        Draft(e.STATE_SNAPSHOT, {"snapshot": value}),
        Draft(e.STATE_DELTA, {"delta": patch}),
        Draft(e.STEP_STARTED, {"stepName": f"n{a % 2}"}),
        Draft(e.STEP_FINISHED, {"stepName": f"n{b % 2}"}),
        Draft(e.ACTIVITY_SNAPSHOT, {"messageId": f"a{a % 2}", "activityType": "plan", "content": value, "replace": b % 2 == 0}),
        Draft(e.ACTIVITY_DELTA, {"messageId": f"a{a % 2}", "activityType": "plan", "patch": patch}),
        Draft(e.SOURCE_CITED, {"messageId": IDS[a % 3], "sourceId": "s", "title": "t", "uri": "u"}),
        Draft(e.USAGE_RECORDED, {"model": "m", "input_tokens": a}),
        Draft(e.CUSTOM, {"name": "n", "value": b}),
        Draft("vendor.thing", {"any": value}),
        Draft(e.RUN_ENDED, {"status": "completed"}),  # not theirs to write
    ]  # fmt: skip
    options += [Draft(e.TOOL_RESULT, {"toolCallId": call, "content": value}) for call in calls]
    options += [Draft(e.TOOL_PAUSED, {"toolCallId": call, "why": "asks"}) for call in calls]
    return [options[(a * 7 + b) % len(options)]]


def drafts(tail: int, opened: dict[str, int], calls: list[str], a: int, b: int, c: int) -> list[Draft]:
    """Some events by one writer, given the texts it has open (with their lengths) and its tool calls."""
    found: list[Draft] = []
    for n in range(c % 3 + 1):
        if (a + n) % 3:
            found += _text(tail, opened, calls, "mmrt"[(a + b + n) % 4], a // 3 + n, b + n)
        else:
            found += _other(a + n, b, calls)
    return found
