"""What can be told from a verdict and its evidence alone: hashes, what was asked, and what the rule makes of it. Pure."""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Iterator
from typing import Final

from holdfast.governance.verifier import canonical
from holdfast.governance.verifier.documents import (
    DAY_MS,
    HOUR_MS,
    Remark,
    StatedAnswer,
    StatedPlan,
    StatedVerdict,
    against,
    unsure,
)
from holdfast.governance.verifier.published import CUT_BYTES, PUBLISHED, ROWS, parameters, published_text
from holdfast.governance.verifier.rules import judgement
from holdfast.governance.verifier.rules.judgement import Judgement, Rows, RuleCase

STANDS_MS: Final = 7 * DAY_MS
"""No verdict stands for longer."""
WINDOW_DAYS: Final = 28


def hashes(verdict: StatedVerdict) -> Iterator[Remark]:
    """Whether the verdict and its evidence are as they were written."""
    if verdict.id != canonical.verdict_id(verdict):
        yield against("forged: its id is not that of its content, so it was changed after it was written")
    for answer in verdict.answers:
        if answer.digest != canonical.rows_hash(answer.rows):
            yield against(f"forged: the rows of {answer.query} are not those of its digest")
    if verdict.evidence != canonical.evidence_hash(verdict.answers):
        yield against("forged: the evidence is not the one that it was made of")


def questions(verdict: StatedVerdict, plan: StatedPlan) -> Iterator[Remark]:
    """Whether what had to be asked was asked, with the published text, of this workflow and of the right days."""
    wanted, names = set(PUBLISHED[verdict.gate].queries), [one.query for one in verdict.answers]
    missing = sorted(wanted - set(names))
    if missing and (verdict.verdict != "unknown" or any(published_text(name) for name in missing)):
        yield against(f"the evidence {', '.join(missing)} is missing")
    for name in sorted(set(names) - wanted):
        yield against(f"forged: {name!r:.80} is no evidence of this gate")
    if len(set(names)) < len(names):
        yield against("forged: evidence is there twice")
    for answer in verdict.answers:
        text = published_text(answer.query)
        if answer.sql and answer.sql != text:
            yield against(f"forged: the text of {answer.query!r:.80} is not the published one")
        if text and set(answer.params) != parameters(text):
            yield against(f"forged: {answer.query} was not asked with its parameters")
        short = answer.cut and len(answer.rows) < ROWS
        if len(answer.rows) > ROWS or (
            short and len(canonical.canonical([dict(row) for row in answer.rows])) < CUT_BYTES
        ):
            yield against(f"forged: {answer.query} has {len(answer.rows)} rows")
        elif short:
            yield unsure(f"{answer.query} is said to be too large to be stated whole")
        yield from _params(verdict, plan, answer)


def _params(verdict: StatedVerdict, plan: StatedPlan, answer: StatedAnswer) -> Iterator[Remark]:
    own = {"tenant": verdict.tenant, "workflow": verdict.workflow, "as_of_ms": verdict.as_of_ms}
    for name, value in own.items():
        if name in answer.params and answer.params[name] != value:
            yield against(f"forged: {answer.query} was asked with another {name}")
    since, until = answer.params.get("since_ms"), answer.params.get("until_ms")
    if since is not None or until is not None:
        yield from _window(verdict, plan, answer.query, since, until)
    month = answer.params.get("month")
    if month not in (None, "") and plan.zone and month != closed_month(verdict.as_of_ms, plan.zone):
        yield against(f"{answer.query} is of {month!s:.10}, which is not the month that was closed last")


def _window(
    verdict: StatedVerdict, plan: StatedPlan, query: str, since: int | str | None, until: int | str | None
) -> Iterator[Remark]:
    """Whether the days are the last 28: some queries ask from their beginning on, and not to their end."""
    stated = [(moment, days) for moment, days in ((since, WINDOW_DAYS), (until, 0)) if moment is not None]
    own = window(verdict.as_of_ms, plan.zone) if plan.zone else None
    if own is not None and all(moment == own[0 if days else 1] for moment, days in stated):
        return
    ages = [verdict.as_of_ms - moment - days * DAY_MS for moment, days in stated if isinstance(moment, int)]
    if len(ages) == len(stated) and all(-HOUR_MS <= age <= 26 * HOUR_MS for age in ages):
        # 28 whole days somewhere on earth: the zone may have been changed since
        yield unsure(f"{query} is of 28 days that are not those of {plan.zone or 'any stated time zone'}")
    else:
        yield against(f"{query} is not of the last 28 days")


def window(as_of_ms: int, zone: str) -> tuple[int, int]:
    """The last 28 complete days: from the first instant of the first to that of today, Unix ms."""
    place = zoneinfo.ZoneInfo(zone)
    today = datetime.datetime.fromtimestamp(as_of_ms / 1_000, place).date()
    first = today - datetime.timedelta(days=WINDOW_DAYS)
    since, until = (datetime.datetime(day.year, day.month, day.day, tzinfo=place) for day in (first, today))
    return int(since.timestamp()) * 1_000, int(until.timestamp()) * 1_000


def closed_month(as_of_ms: int, zone: str) -> str:
    """The last month that was over, as ``2026-10``."""
    day = datetime.datetime.fromtimestamp(as_of_ms / 1_000, zoneinfo.ZoneInfo(zone)).date()
    return f"{day.replace(day=1) - datetime.timedelta(days=1):%Y-%m}"


def judged(verdict: StatedVerdict, rows: Rows | None = None, as_of_ms: int | None = None) -> Judgement | None:
    """What the rule makes of a verdict's rows, or of others; None where they have not the columns that it needs."""
    if any(name not in {one.query for one in verdict.answers} for name in PUBLISHED[verdict.gate].queries):
        return Judgement("unknown", "evidence is missing", 0, cause="missing")  # nobody could reckon it there
    own: Rows = {one.query: one.rows for one in verdict.answers}
    params = {name: value for one in verdict.answers for name, value in one.params.items()}
    moment = verdict.as_of_ms if as_of_ms is None else as_of_ms
    try:
        found = PUBLISHED[verdict.gate].rule(
            RuleCase(own if rows is None else rows, moment, verdict.thresholds, params)
        )
        found = judgement.with_kin(verdict.gate, found, own.get("kin", ()))
    except (KeyError, ValueError, TypeError, AttributeError):
        return None
    if any(one.cut for one in verdict.answers) and found.verdict != "fail":
        return Judgement("unknown", "an answer was cut short", cause="cut")
    return found


def recomputed(verdict: StatedVerdict) -> Iterator[Remark]:
    """Whether the rule, written a second time, makes the same of the same rows."""
    found = judged(verdict)
    if found is None:
        yield against("forged: its rows have not the columns of its queries")
        return
    if found.verdict != verdict.verdict:
        yield against(f"the rows make it {found.verdict} ({found.why}), and it says {verdict.verdict}")
        return
    if found.cause is not None and found.cause != verdict.cause:
        yield against(
            f"the rows make it unknown for {found.cause or 'nothing'}, and it says {verdict.cause or 'nothing'}"
        )
    if found.n is not None and found.n != verdict.n:
        yield against(f"the rows are about {found.n}, and it says {verdict.n}")
    expires = verdict.as_of_ms + STANDS_MS
    if found.expires_ms is not None:
        expires = min(expires, found.expires_ms)
    if verdict.valid_until_ms != expires:
        longer = "longer" if verdict.valid_until_ms > expires else "shorter"
        yield against(f"it stands {longer} than its rows let it")
