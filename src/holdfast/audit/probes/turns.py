"""Two questions in one conversation, one after the other: what is said, and what somebody sees of it who comes later.

A trial that several probes use. It also shows what an endpoint keeps when nothing disturbs it, so that what is missing
after a disturbance can be attributed to it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

from holdfast.audit.finding import Step
from holdfast.audit.lab import Lab, Trial
from holdfast.audit.stream import ClientStream
from holdfast.audit.transcript import Transcript

Outline = list[tuple[str, str]]


@dataclass
class TwoAnswers:
    """What came of it.

    Attributes:
        asked_and_answered: questions and answers as the asking client has them. seen: the same as a later client has them; None: nothing.
        problem: why the asking client did not get both answers; empty: it did.
    """

    asked_and_answered: Outline = field(default_factory=list)
    seen: Outline | None = None
    problem: str = ""
    timeline: list[Step] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)

    @property
    def keeps_both(self) -> bool:
        """Whether a later client sees both answers."""
        shown = "".join(text for kind, text in self.seen or [] if kind == "answer")
        return not self.problem and all(text in shown for kind, text in self.asked_and_answered if kind == "answer")


async def ask_twice_once(trial: Trial) -> TwoAnswers:
    """What came of asking twice, done once for all probes; its timeline becomes the trial's."""
    found: TwoAnswers = await trial.lab.run_once("two answers", functools.partial(_ask_twice, trial.lab))
    if not trial.timeline:
        trial.timeline, trial.evidence = list(found.timeline), list(found.evidence)
    return found


async def _ask_twice(lab: Lab) -> TwoAnswers:
    turns = TwoAnswers()
    async with lab.trial() as trial:
        tab, before = await trial.tab("tab A"), Transcript()
        stream: ClientStream | None = None
        for prompt in (lab.options.prompt, lab.options.second_prompt):
            on = stream if stream is not None and stream.closed is None else None
            answers_before = len(on.transcript.answers) if on is not None else 0
            stream = await trial.ask(tab, prompt, on=on)
            end = await trial.wait_finished(tab, stream, answers_before + 1 if stream is on else 1)
            text = "".join(entry.text for entry in stream.transcript.since(before))
            if not text or not lab.is_end(end):
                turns.problem = f"one of two questions was not answered to its end: {end}"
            turns.asked_and_answered += [("user", prompt), ("answer", text)]
            before = stream.transcript.copy()
        page = await trial.read_as_new_client("tab B")
        turns.seen = page.outline() if page is not None and page.answer else None
        turns.timeline, turns.evidence = trial.timeline, trial.evidence
        trial.add_evidence("what was asked last", stream) if stream is not None else None
    return turns
