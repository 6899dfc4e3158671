"""Another message in the middle of an answer: is it answered, and what becomes of the first answer?"""

from __future__ import annotations

from holdfast.audit.compare import apart
from holdfast.audit.lab import UNMARKED, Saw, Scene, failed, passed, undecided
from holdfast.audit.probes.turns import two_answers
from holdfast.audit.stream import Stream
from holdfast.audit.transcript import End, Entry, Transcript


async def new_message(scene: Scene) -> Saw:
    """A second question before the first answer ended."""
    lab = scene.lab
    tab = await scene.tab("tab A")
    stream = await scene.ask(tab)
    if why := await scene.reach(stream, 0.3):
        return why
    before = stream.transcript.copy()
    second = await scene.ask(tab, lab.options.second_prompt, on=stream)
    if second is stream:
        await scene.finished(tab, stream, 2)
        entries, had = stream.transcript.answers, len(before.answers)
        first, answered = "".join(e.text for e in entries[:had]), "".join(e.text for e in entries[had:])
        ended = End(entries[had - 1].end) if entries[had - 1].end else stream.closed or End("silent")  # type: ignore[arg-type]
    else:
        end = await scene.finished(tab, second)
        if end.ending == "cut" and not second.transcript.answer:
            return failed(f"a message in the middle of an answer was not taken: {end}")
        ended = await scene.finished(tab, stream)
        new = _new(before, stream, second)
        answered = "".join(entry.text for entry in new)
        first = "".join(entry.text for entry in _own(stream, new))
        if answered and not lab.over(end):
            return failed(f"the second message was not answered to its end: {end} after {len(answered)} characters")
    if not answered:
        return failed("the second message was accepted and never answered")
    if len(first) < len(before.answer):
        left = f"of {len(before.answer)} characters of the first answer {len(first)} are left"
        return failed(f"the second message took away what was there: {left}")
    return await _judged(scene, first, ended, answered)


def _new(before: Transcript, first: Stream, second: Stream) -> list[Entry]:
    """What the stream of the second message says beyond the first answer, which it repeats where it holds all of it."""
    ids = {entry.id for entry in before.answers if entry.id}
    answers = [entry for entry in second.transcript.answers if not entry.id or entry.id not in ids]
    if len(answers) > 1 and not answers[0].id and first.transcript.answer.startswith(answers[0].text):
        return answers[1:]  # the first answer as it stood when the second message came
    return answers or second.transcript.answers  # some give every answer the same id


def _own(first: Stream, new: list[Entry]) -> list[Entry]:
    """The answers on the stream of the first message that are not the second's, where one stream carries them all."""
    ids = {entry.id for entry in new if entry.id}
    own = [entry for entry in first.transcript.answers if not entry.id or entry.id not in ids]
    if len(own) > 1 and not own[-1].id and own[-1].text == "".join(entry.text for entry in new):
        return own[:-1]
    return own or first.transcript.answers


async def _judged(scene: Scene, first: str, ended: End, answered: str) -> Saw:
    lab = scene.lab
    wanted, whole = lab.truth.get(lab.options.second_prompt), lab.truth.get(lab.options.prompt)
    if wanted is not None and answered != wanted:
        return failed(f"the second answer is not what it is by itself: {apart(wanted, answered)}")
    if whole is not None and not whole.startswith(first):
        return failed(f"the first answer was garbled by the second message: {apart(whole, first)}")
    finished = lab.whole(first)
    if why := [told for told in (_broken(scene, first, ended), await _gone(scene, first, answered)) if told]:
        return failed("; ".join(why))
    if not finished and ended.word == "complete" and lab.contact.deterministic:
        return failed(f"the first answer was said to be complete after {len(first)} of {lab.chars} characters")
    if not finished and ended.ending == "closed":
        chars = f"{len(first)} of about {lab.chars} characters"
        return failed(
            f"the second message ended the first answer after {chars}, without a word: it only closed", UNMARKED
        )
    if wanted is None or whole is None:
        sizes = f"{len(first)} and {len(answered)} characters"
        return undecided(f"both were answered ({sizes}); whether they were mixed cannot be told where answers differ")
    told = "finished too" if finished else f"ended at {len(first)} of {len(whole)} characters, and says: {ended.word}"
    return passed(f"the second message was answered, the first answer {told}")


def _broken(scene: Scene, first: str, ended: End) -> str:
    """Why the first answer is broken on its own client's page; empty: it is not."""
    chars = f"{len(first)} of about {scene.lab.chars} characters"
    if ended.word == "error":
        return f"the second message made an error of the first answer, after {chars}"
    if ended.ending == "none":
        return f"since the second message the first answer stands still at {chars}, and nothing says that it ended"
    if ended.ending == "cut":
        return f"the second message broke the first answer off, after {chars}: {ended}"
    return ""


async def _gone(scene: Scene, first: str, answered: str) -> str:
    """Whether who comes later misses the first answer, though two answers that do not meet are both kept here."""
    lab = scene.lab
    if not lab.endpoint.offers("join") and not lab.endpoint.offers("history"):
        return ""
    page = await scene.look("tab B")
    shown = page.answer if page is not None else ""
    if first in shown or not (await two_answers(scene)).keeps_both:
        return ""
    if page is None or answered not in shown:
        return "of two answers that met, a client that comes later sees neither; of two that do not, it sees both"
    return (
        f"the second message destroyed the first answer: of its {len(first)} characters nothing is left for who comes"
        " later, where two answers that do not meet are both kept"
    )
