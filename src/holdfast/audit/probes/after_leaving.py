"""What became of an answer whose reader went away: shared by the probes that cut a line and that close a tab."""

from __future__ import annotations

import asyncio
import functools

from holdfast.audit.endpoint import Endpoint
from holdfast.audit.lab import Lab, ProbeResult, Trial, failed, inconclusive, passed
from holdfast.audit.transcript import Transcript


def can_come_back(endpoint: Endpoint) -> bool:
    """Whether a client has any way to see an answer again."""
    return any(endpoint.offers(verb) for verb in ("resume", "join", "history"))


async def keeps_answers(lab: Lab) -> bool:
    """Whether a client that comes after the end of an undisturbed answer sees it. What is missing elsewhere is then lost."""
    return bool(await lab.run_once("kept", functools.partial(_keeps_answers, lab)))


async def _keeps_answers(lab: Lab) -> bool:
    async with lab.trial() as trial:
        tab = await trial.tab("tab A")
        stream = await trial.ask(tab)
        if not lab.is_end(await trial.wait_finished(tab, stream)):
            return False
        await trial.close_tab(tab, stream)
        page = await trial.read_as_new_client()
        return page is not None and lab.is_whole(page.answer)


async def judge_after_leaving(trial: Trial, chars_read: int, left: str) -> ProbeResult:
    """Wait for as long as the answer would have taken, look, and judge.

    Args:
        chars_read: characters when the reader left. left: how it left, as in "its line broke".
    """
    lab = trial.lab
    await asyncio.sleep(lab.budget.within(lab.contact.took_s * 1.2 + 0.5))
    page = await trial.read_as_new_client()
    result = _decided_by(trial, page, chars_read, left)
    if result is not None:
        return result
    # what is not whole may be slow, not lost: only what stands still is judged by how much there is
    before = len(page.answer) if page is not None else 0
    await asyncio.sleep(lab.budget.within(lab.contact.took_s * 0.6 + 0.5))
    page = await trial.read_as_new_client("later still")
    result = _decided_by(trial, page, chars_read, left)
    if result is not None:
        return result
    now = len(page.answer) if page is not None else 0
    if now > before:
        return inconclusive(
            f"{chars_read} characters when {left}, {before} later, {now} still later: it is slow, and not lost yet"
        )
    if not now:
        if page is None and await keeps_answers(lab):
            return failed(
                f"{chars_read} characters when {left}; a client that comes later sees finished answers here, and of this one"
                " nothing: it was not finished"
            )
        return inconclusive(f"nothing could be seen of the answer after {left}")
    if lab.options.prompt not in lab.fixed_answers and now > chars_read * 1.5:
        return inconclusive(f"{chars_read} characters when {left}, {now} later, where answers usually have {lab.chars}")
    return failed(f"{chars_read} characters when {left} and {now} later: that ended the answer")


def _decided_by(trial: Trial, page: Transcript | None, chars_read: int, left: str) -> ProbeResult | None:
    """What a page says by itself: the whole answer, or how it ended."""
    if page is None:
        return None
    lab, chars, end_word = trial.lab, len(page.answer), page.last_end
    trial.measured |= {"chars_at_leaving": chars_read, "chars_later": chars}
    expected = lab.fixed_answers.get(lab.options.prompt)
    if chars and (lab.is_whole(page.answer) or (expected is None and chars >= lab.chars * 0.8)):
        return passed(
            f"{chars_read} characters when {left}, {chars} later: the answer was finished with nobody listening"
        )
    if end_word in ("stopped", "error"):
        return failed(
            f"{chars_read} characters when {left}, {chars} later, and the conversation says: {end_word}. That ended the answer"
        )
    if end_word == "complete" and chars > chars_read and expected is None:
        return passed(
            f"{chars_read} characters when {left}, {chars} later, and the conversation says that it is complete"
        )
    return None
