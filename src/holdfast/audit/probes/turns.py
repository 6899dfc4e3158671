"""Two questions in one conversation, one after the other: what is said, and what somebody sees of it who comes later.

An experiment that several probes look at. It also tells what an endpoint keeps when nothing disturbs it, so that what
is missing after a disturbance can be held against the disturbance.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

from holdfast.audit.finding import Step
from holdfast.audit.lab import Lab, Scene
from holdfast.audit.stream import Stream
from holdfast.audit.transcript import Transcript

Outline = list[tuple[str, str]]


@dataclass
class Turns:
    """What came of it.

    Attributes:
        said: questions and answers as the asker has them. seen: the same as a later client has them; None: nothing.
        why: the asker did not get both answers, so nothing can be said.
    """

    said: Outline = field(default_factory=list)
    seen: Outline | None = None
    why: str = ""
    timeline: list[Step] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)

    @property
    def keeps_both(self) -> bool:
        """Whether a later client sees both answers."""
        shown = "".join(text for kind, text in self.seen or [] if kind == "answer")
        return not self.why and all(text in shown for kind, text in self.said if kind == "answer")


async def two_answers(scene: Scene) -> Turns:
    """What came of asking twice, done once for all probes; its timeline becomes the scene's."""
    found: Turns = await scene.lab.once("two answers", functools.partial(_ask_twice, scene.lab))
    if not scene.timeline:
        scene.timeline, scene.evidence = list(found.timeline), list(found.evidence)
    return found


async def _ask_twice(lab: Lab) -> Turns:
    turns = Turns()
    async with lab.scene() as scene:
        tab, before = await scene.tab("tab A"), Transcript()
        stream: Stream | None = None
        for prompt in (lab.options.prompt, lab.options.second_prompt):
            on = stream if stream is not None and stream.closed is None else None
            had = len(on.transcript.answers) if on is not None else 0
            stream = await scene.ask(tab, prompt, on=on)
            end = await scene.finished(tab, stream, had + 1 if stream is on else 1)
            text = "".join(entry.text for entry in stream.transcript.since(before))
            if not text or not lab.over(end):
                turns.why = f"one of two questions was not answered to its end: {end}"
            turns.said += [("user", prompt), ("answer", text)]
            before = stream.transcript.copy()
        page = await scene.look("tab B")
        turns.seen = page.outline() if page is not None and page.answer else None
        turns.timeline, turns.evidence = scene.timeline, scene.evidence
        scene.show("what was asked last", stream) if stream is not None else None
    return turns
