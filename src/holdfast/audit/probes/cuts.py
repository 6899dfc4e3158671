"""Cutting an answer's line and coming back: is anything missing then, and does anything stand twice?"""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass, field
from typing import Final

from holdfast.audit.compare import Difference
from holdfast.audit.finding import Step
from holdfast.audit.clients import Tab
from holdfast.audit.lab import Lab, Saw, Scene, failed, lacking, passed, undecided
from holdfast.audit.probes.after_leaving import comes_back
from holdfast.audit.proxy import Fault
from holdfast.audit.stream import Stream

CUTS: Final = (0.1, 0.5, 0.9)
TRIES: Final = 3
"""How often a cut is tried that came too late: on a busy machine an answer can outrun its reader."""
NO_WAY_BACK: Final = "a client whose line breaks has no way to get the rest: it can only ask again"


@dataclass
class Leg:
    """One cut: what came of it.

    Attributes:
        lost: why nothing came back. unreached: why the line could not be broken there. more: whether anything came after.
    """

    fraction: float
    lost: str = ""
    differs: Difference | None = None
    unreached: str = ""
    more: bool = False


@dataclass
class Cuts:
    """The experiment that several probes look at."""

    legs: list[Leg] = field(default_factory=list)
    timeline: list[Step] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)


async def back(scene: Scene, tab: Tab, broken: Stream) -> tuple[str | None, str]:
    """Come back as a client of this endpoint does; its text then, or None and why."""
    endpoint = scene.lab.endpoint
    told = NO_WAY_BACK
    if endpoint.offers("resume") or endpoint.offers("join"):
        stream = await (scene.resume(tab, broken) if endpoint.offers("resume") else scene.join(tab))
        end = await scene.finished(tab, stream)
        scene.show(f"{tab.name}, after coming back", stream)
        more = len(stream.transcript.answer) > len(broken.transcript.answer)
        if more or (end.ending != "cut" and end.word != "error"):
            return stream.transcript.answer, end.word
        told = f"coming back was answered with: {end}"
    if endpoint.offers("history"):
        scene.tell(tab.name, "endpoint", "reads the history")
        page = await endpoint.history(tab, scene.chat)
        if page is not None and page.answer:
            return page.answer, "history"
        if page is not None and page.last_end:
            told += f"; the history says: {page.last_end}, and shows nothing of the answer"
    return None, told


async def _leg(lab: Lab, fraction: float, cuts: Cuts) -> None:
    leg = Leg(fraction)
    cuts.legs.append(leg)
    async with lab.scene() as scene:
        try:
            tab = await scene.tab("tab A")
            stream = await scene.ask(tab)
            if why := await scene.reach(stream, fraction):
                leg.unreached = why.saw
                return
            at = len(stream.transcript.answer)
            scene.break_(tab, Fault(fault="cut"))
            await stream.until(lambda page: False, 0.5)
            had = at if stream.closed is None else len(stream.transcript.answer)  # a client may come back by itself
            await asyncio.sleep(lab.options.pause_s)
            text, told = await back(scene, tab, stream)
            if text is None:
                leg.lost = f"had {had} characters; {told}"
                return
            expected = await scene.truth()
            leg.differs = None if expected is None else scene.compare(expected, text)
            leg.more = len(text) > had
        finally:
            cuts.timeline += scene.timeline
            cuts.evidence += scene.evidence[-1:]


async def _cut_everywhere(lab: Lab) -> Cuts:
    cuts = Cuts()
    for fraction in CUTS:
        for _ in range(TRIES):
            await _leg(lab, fraction, cuts)
            if not cuts.legs[-1].unreached:
                break
            late = cuts.legs.pop()  # the answer was over before the line broke: ask again
        else:
            cuts.legs.append(late)
    return cuts


async def _cuts(scene: Scene) -> Cuts:
    found: Cuts = await scene.lab.once("cuts", functools.partial(_cut_everywhere, scene.lab))
    scene.timeline, scene.evidence = list(found.timeline), list(found.evidence)
    return found


async def resume(scene: Scene) -> Saw:
    """Nothing is missing after a cut."""
    if not comes_back(scene.lab.endpoint):
        return await _lost(scene)
    cuts = await _cuts(scene)
    if lost := [leg for leg in cuts.legs if leg.lost]:
        return failed("; ".join(f"cut at {leg.fraction:.0%}: {leg.lost}" for leg in lost))
    gaps = [leg for leg in cuts.legs if leg.differs and leg.differs.missing]
    scene.measured["missing_chars"] = sum(leg.differs.missing for leg in gaps if leg.differs)
    if gaps:
        return failed("; ".join(f"cut at {leg.fraction:.0%}: {leg.differs}" for leg in gaps))
    if unreached := [leg.unreached for leg in cuts.legs if leg.unreached]:
        return undecided(unreached[0])
    if any(leg.differs is None for leg in cuts.legs):
        return undecided(
            "the rest came, but answers differ from time to time and no second client can be compared with"
        )
    return passed("after each cut the client ended with everything that was said")


async def _lost(scene: Scene) -> Saw:
    """What a client that cannot come back is left with."""
    tab = await scene.tab("tab A")
    stream = await scene.ask(tab)
    if why := await scene.reach(stream, 0.5):
        return why
    scene.break_(tab, Fault(fault="cut"))
    await stream.until(lambda page: False, 0.5)
    scene.show("what is left", stream)
    return lacking(f"{len(stream.transcript.answer)} of about {scene.lab.chars} characters are left, and {NO_WAY_BACK}")


async def no_repeat(scene: Scene) -> Saw:
    """Nothing stands twice after a cut."""
    if not comes_back(scene.lab.endpoint):
        return undecided("nothing comes back, so nothing comes twice")
    cuts = await _cuts(scene)
    doubled = [leg for leg in cuts.legs if leg.differs and leg.differs.extra]
    scene.measured["extra_chars"] = sum(leg.differs.extra for leg in doubled if leg.differs)
    if doubled:
        return failed("; ".join(f"cut at {leg.fraction:.0%}: {leg.differs}" for leg in doubled))
    if any(leg.differs is None for leg in cuts.legs):
        return undecided("not every cut could be compared")
    if not all(leg.more for leg in cuts.legs):
        return undecided("not after every cut did anything come, so that nothing came twice says little")
    return passed("after each cut the client had nothing twice")
