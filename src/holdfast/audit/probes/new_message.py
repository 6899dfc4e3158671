"""Another message in the middle of an answer: is it answered, and what becomes of the first answer?"""

from __future__ import annotations

from holdfast.audit.compare import describe_difference
from holdfast.audit.lab import UNMARKED, ProbeResult, Trial, failed, inconclusive, passed
from holdfast.audit.probes.turns import ask_twice_once
from holdfast.audit.stream import ClientStream
from holdfast.audit.transcript import Entry, StreamEnd, Transcript


async def new_message(trial: Trial) -> ProbeResult:
    """A second question before the first answer ended."""
    lab = trial.lab
    tab = await trial.tab("tab A")
    stream = await trial.ask(tab)
    if early_result := await trial.wait_for_part(stream, 0.3):
        return early_result
    before = stream.transcript.copy()
    second = await trial.ask(tab, lab.options.second_prompt, on=stream)
    if second is stream:
        await trial.wait_finished(tab, stream, 2)
        entries, answers_before = stream.transcript.answers, len(before.answers)
        first = "".join(entry.text for entry in entries[:answers_before])
        answered = "".join(entry.text for entry in entries[answers_before:])
        word = entries[answers_before - 1].end
        ended = StreamEnd(word) if word else stream.closed or StreamEnd("silent")  # type: ignore[arg-type]
    else:
        end = await trial.wait_finished(tab, second)
        if end.ending == "cut" and not second.transcript.answer:
            return failed(f"a message in the middle of an answer was not taken: {end}")
        ended = await trial.wait_finished(tab, stream)
        new = _new_answers(before, stream, second)
        answered = "".join(entry.text for entry in new)
        first = "".join(entry.text for entry in _first_answers(stream, new))
        if answered and not lab.is_end(end):
            return failed(f"the second message was not answered to its end: {end} after {len(answered)} characters")
    if not answered:
        return failed("the second message was accepted and never answered")
    if len(first) < len(before.answer):
        loss = f"of {len(before.answer)} characters of the first answer {len(first)} are left"
        return failed(f"the second message took away what was there: {loss}")
    return await _judge(trial, first, ended, answered)


def _new_answers(before: Transcript, first: ClientStream, second: ClientStream) -> list[Entry]:
    """What the stream of the second message says beyond the first answer, which it repeats where it holds all of it."""
    ids = {entry.id for entry in before.answers if entry.id}
    answers = [entry for entry in second.transcript.answers if not entry.id or entry.id not in ids]
    if len(answers) > 1 and not answers[0].id and first.transcript.answer.startswith(answers[0].text):
        return answers[1:]  # the first answer as it stood when the second message came
    return answers or second.transcript.answers  # some give every answer the same id


def _first_answers(first: ClientStream, new: list[Entry]) -> list[Entry]:
    """The answers on the stream of the first message that are not the second's, where one stream carries them all."""
    ids = {entry.id for entry in new if entry.id}
    others = [entry for entry in first.transcript.answers if not entry.id or entry.id not in ids]
    if len(others) > 1 and not others[-1].id and others[-1].text == "".join(entry.text for entry in new):
        return others[:-1]
    return others or first.transcript.answers


async def _judge(trial: Trial, first: str, ended: StreamEnd, answered: str) -> ProbeResult:
    lab = trial.lab
    expected, whole = lab.fixed_answers.get(lab.options.second_prompt), lab.fixed_answers.get(lab.options.prompt)
    if expected is not None and answered != expected:
        return failed(f"the second answer is not what it is by itself: {describe_difference(expected, answered)}")
    if whole is not None and not whole.startswith(first):
        return failed(f"the first answer was garbled by the second message: {describe_difference(whole, first)}")
    finished = lab.is_whole(first)
    if problems := [
        outcome
        for outcome in (_describe_break(trial, first, ended), await _describe_loss(trial, first, answered))
        if outcome
    ]:
        return failed("; ".join(problems))
    if not finished and ended.word == "complete" and lab.contact.deterministic:
        return failed(f"the first answer was said to be complete after {len(first)} of {lab.chars} characters")
    if not finished and ended.ending == "closed":
        chars = f"{len(first)} of about {lab.chars} characters"
        return failed(
            f"the second message ended the first answer after {chars}, without a word: it only closed", UNMARKED
        )
    if expected is None or whole is None:
        sizes = f"{len(first)} and {len(answered)} characters"
        return inconclusive(
            f"both were answered ({sizes}); whether they were mixed cannot be told where answers differ"
        )
    summary = (
        "finished too" if finished else f"ended at {len(first)} of {len(whole)} characters, and says: {ended.word}"
    )
    return passed(f"the second message was answered, the first answer {summary}")


def _describe_break(trial: Trial, first: str, ended: StreamEnd) -> str:
    """Why the first answer is broken on its own client's page; empty: it is not."""
    chars = f"{len(first)} of about {trial.lab.chars} characters"
    if ended.word == "error":
        return f"the second message made an error of the first answer, after {chars}"
    if ended.ending == "none":
        return f"since the second message the first answer stands still at {chars}, and nothing says that it ended"
    if ended.ending == "cut":
        return f"the second message broke the first answer off, after {chars}: {ended}"
    return ""


async def _describe_loss(trial: Trial, first: str, answered: str) -> str:
    """How a later client misses the first answer, where this endpoint keeps two answers that do not overlap; empty: it does
    not."""
    lab = trial.lab
    if not lab.endpoint.offers("join") and not lab.endpoint.offers("history"):
        return ""
    page = await trial.read_as_new_client("tab B")
    shown = page.answer if page is not None else ""
    if first in shown or not (await ask_twice_once(trial)).keeps_both:
        return ""
    if page is None or answered not in shown:
        return "of two answers that met, a client that comes later sees neither; of two that do not, it sees both"
    return (
        f"the second message destroyed the first answer: of its {len(first)} characters nothing is left for who comes"
        " later, where two answers that do not meet are both kept"
    )
