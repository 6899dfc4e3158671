"""Planted bugs of the Monday page: what flipped, which waivers are over, when it is mailed, and what people wrote in it."""

from __future__ import annotations

import datetime
import zoneinfo
from typing import Any

from conformance.planting import replace

from holdfast.governance import monday_parts
from holdfast.governance.rollout import monday, monday_post, monday_text
from tests.mutants.plant import mutant

ROLLOUT = "tests/unit/governance/rollout"
PAGE, POST = f"{ROLLOUT}/test_monday.py", f"{ROLLOUT}/test_monday_post.py"


@mutant("GATE-1", "what people wrote becomes part of the page", PAGE)
def unescaped() -> None:
    replace(monday_text, "escape", lambda s, quote=True: s)


@mutant("GATE-1", "a waiver that was renewed counts as over", PAGE)
def first_waiver_counts() -> None:
    real = monday.waiver_lines

    def lines(waivers: Any, shown: Any, now_ms: int) -> Any:
        return real(sorted(waivers, key=lambda one: one.until_ms)[:1], shown, now_ms)

    replace(monday, "waiver_lines", lines)


@mutant("GATE-1", "a waiver that is over is forgotten while its gate still fails", PAGE)
def forgotten_waiver() -> None:
    replace(monday, "_passes", lambda shown, waiver: True)


@mutant("GATE-1", "what flipped long ago is news", PAGE)
def old_news() -> None:
    real = monday.flips
    replace(monday, "flips", lambda history, since_ms: real(history, 0))


@mutant("GATE-1", "seven in the morning is that of Greenwich", POST)
def seven_in_greenwich() -> None:
    real = monday_post.monday_ms
    replace(monday_post, "monday_ms", lambda now_ms, zone: real(now_ms, zoneinfo.ZoneInfo("UTC")))


@mutant("GATE-1", "everybody who looks mails it again", POST)
def mailed_twice() -> None:
    real = monday_post.MondayPost._put

    async def put(self: Any, tenant: str, ident: str, now_ms: int) -> None:
        await real(self, tenant, f"{ident}|{datetime.datetime.now().timestamp()}", now_ms)

    replace(monday_post.MondayPost, "_put", put)


@mutant("MONEY-1", "a cost that nobody knows counts as nothing", POST)
def unknown_is_free() -> None:
    real = monday_parts.each_accepted
    replace(
        monday_parts, "each_accepted", lambda rows: real([row for row in rows if row.each_usd is not None])
    )  # fmt: skip
