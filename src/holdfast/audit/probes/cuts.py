"""Cutting an answer's line and coming back: is anything missing then, and does anything stand twice?"""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass, field
from typing import Final

from holdfast.audit.clients import Tab
from holdfast.audit.compare import Difference
from holdfast.audit.finding import Step
from holdfast.audit.lab import Lab, ProbeResult, Trial, failed, inconclusive, passed, unsupported
from holdfast.audit.probes.after_leaving import can_come_back
from holdfast.audit.proxy import Fault
from holdfast.audit.stream import ClientStream

CUTS: Final = (0.1, 0.5, 0.9)
TRIES: Final = 3
"""How often a cut is tried that came too late: on a busy machine an answer can outrun its reader."""
NO_WAY_BACK: Final = "a client whose line breaks has no way to get the rest: it can only ask again"


@dataclass
class Cut:
    """One cut: what came of it.

    Attributes:
        lost_because: why nothing came back. not_cut_because: why the line could not be broken there.
        more: whether anything came after.
    """

    fraction: float
    lost_because: str = ""
    differs: Difference | None = None
    not_cut_because: str = ""
    more: bool = False


@dataclass
class Cuts:
    """The trial that several probes use: a cut at each fraction."""

    cuts: list[Cut] = field(default_factory=list)
    timeline: list[Step] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)


async def come_back(trial: Trial, tab: Tab, broken: ClientStream) -> tuple[str | None, str]:
    """Come back as a client of this endpoint does; its text then, or None and why."""
    endpoint = trial.lab.endpoint
    reason = NO_WAY_BACK
    if endpoint.offers("resume") or endpoint.offers("join"):
        stream = await (trial.resume(tab, broken) if endpoint.offers("resume") else trial.join(tab))
        end = await trial.wait_finished(tab, stream)
        trial.add_evidence(f"{tab.name}, after coming back", stream)
        more = len(stream.transcript.answer) > len(broken.transcript.answer)
        if more or (end.ending != "cut" and end.word != "error"):
            return stream.transcript.answer, end.word
        reason = f"coming back was answered with: {end}"
    if endpoint.offers("history"):
        trial.record(tab.name, "endpoint", "reads the history")
        page = await endpoint.history(tab, trial.chat)
        if page is not None and page.answer:
            return page.answer, "history"
        if page is not None and page.last_end:
            reason += f"; the history says: {page.last_end}, and shows nothing of the answer"
    return None, reason


async def _cut_at(lab: Lab, fraction: float, cuts: Cuts) -> None:
    cut = Cut(fraction)
    cuts.cuts.append(cut)
    async with lab.trial() as trial:
        try:
            tab = await trial.tab("tab A")
            stream = await trial.ask(tab)
            if early_result := await trial.wait_for_part(stream, fraction):
                cut.not_cut_because = early_result.saw
                return
            at = len(stream.transcript.answer)
            trial.inject(tab, Fault(fault="cut"))
            await stream.until(lambda page: False, 0.5)
            chars = at if stream.closed is None else len(stream.transcript.answer)  # a client may come back by itself
            await asyncio.sleep(lab.options.pause_s)
            text, reason_lost = await come_back(trial, tab, stream)
            if text is None:
                cut.lost_because = f"had {chars} characters; {reason_lost}"
                return
            expected = await trial.expected_text()
            cut.differs = None if expected is None else trial.compare(expected, text)
            cut.more = len(text) > chars
        finally:
            cuts.timeline += trial.timeline
            cuts.evidence += trial.evidence[-1:]


async def _cut_everywhere(lab: Lab) -> Cuts:
    cuts = Cuts()
    for fraction in CUTS:
        for _ in range(TRIES):
            await _cut_at(lab, fraction, cuts)
            if not cuts.cuts[-1].not_cut_because:
                break
            late = cuts.cuts.pop()  # the answer was over before the line broke: ask again
        else:
            cuts.cuts.append(late)
    return cuts


async def _cuts(trial: Trial) -> Cuts:
    found: Cuts = await trial.lab.run_once("cuts", functools.partial(_cut_everywhere, trial.lab))
    trial.timeline, trial.evidence = list(found.timeline), list(found.evidence)
    return found


async def resume(trial: Trial) -> ProbeResult:
    """Nothing is missing after a cut."""
    if not can_come_back(trial.lab.endpoint):
        return await _without_way_back(trial)
    cuts = await _cuts(trial)
    if lost := [cut for cut in cuts.cuts if cut.lost_because]:
        return failed("; ".join(f"cut at {cut.fraction:.0%}: {cut.lost_because}" for cut in lost))
    gaps = [cut for cut in cuts.cuts if cut.differs and cut.differs.missing]
    trial.measured["missing_chars"] = sum(cut.differs.missing for cut in gaps if cut.differs)
    if gaps:
        return failed("; ".join(f"cut at {cut.fraction:.0%}: {cut.differs}" for cut in gaps))
    if unreached := [cut.not_cut_because for cut in cuts.cuts if cut.not_cut_because]:
        return inconclusive(unreached[0])
    if any(cut.differs is None for cut in cuts.cuts):
        return inconclusive(
            "the rest came, but answers differ from time to time and no second client can be compared with"
        )
    return passed("after each cut the client ended with everything that was said")


async def _without_way_back(trial: Trial) -> ProbeResult:
    """What a client that cannot come back is left with."""
    tab = await trial.tab("tab A")
    stream = await trial.ask(tab)
    if early_result := await trial.wait_for_part(stream, 0.5):
        return early_result
    trial.inject(tab, Fault(fault="cut"))
    await stream.until(lambda page: False, 0.5)
    trial.add_evidence("what is left", stream)
    return unsupported(
        f"{len(stream.transcript.answer)} of about {trial.lab.chars} characters are left, and {NO_WAY_BACK}"
    )


async def no_repeat(trial: Trial) -> ProbeResult:
    """Nothing stands twice after a cut."""
    if not can_come_back(trial.lab.endpoint):
        return inconclusive("nothing comes back, so nothing comes twice")
    cuts = await _cuts(trial)
    doubled = [cut for cut in cuts.cuts if cut.differs and cut.differs.extra]
    trial.measured["extra_chars"] = sum(cut.differs.extra for cut in doubled if cut.differs)
    if doubled:
        return failed("; ".join(f"cut at {cut.fraction:.0%}: {cut.differs}" for cut in doubled))
    if any(cut.differs is None for cut in cuts.cuts):
        return inconclusive("not every cut could be compared")
    if not all(cut.more for cut in cuts.cuts):
        return inconclusive("not after every cut did anything come, so that nothing came twice says little")
    return passed("after each cut the client had nothing twice")
