"""What became of an answer whose reader went away: shared by the probes that cut a line and that close a tab."""

from __future__ import annotations

import asyncio
import functools

from holdfast.audit.endpoint import Endpoint
from holdfast.audit.lab import Lab, Saw, Scene, failed, passed, undecided
from holdfast.audit.transcript import Transcript


def comes_back(endpoint: Endpoint) -> bool:
    """Whether a client has any way to see an answer again."""
    return any(endpoint.offers(verb) for verb in ("resume", "join", "history"))


async def kept(lab: Lab) -> bool:
    """Whether a client that comes after the end of an undisturbed answer sees it. What is missing elsewhere is then lost."""
    return bool(await lab.once("kept", functools.partial(_kept, lab)))


async def _kept(lab: Lab) -> bool:
    async with lab.scene() as scene:
        tab = await scene.tab("tab A")
        stream = await scene.ask(tab)
        if not lab.over(await scene.finished(tab, stream)):
            return False
        await scene.leave(tab, stream)
        page = await scene.look()
        return page is not None and lab.whole(page.answer)


async def fate(scene: Scene, had: int, left: str) -> Saw:
    """Wait for as long as the answer would have taken, look, and judge.

    Args:
        had: characters when the reader left. left: how it left, as in "its line broke".
    """
    lab = scene.lab
    await asyncio.sleep(lab.budget.within(lab.contact.took_s * 1.2 + 0.5))
    page = await scene.look()
    saw = _decided(scene, page, had, left)
    if saw is not None:
        return saw
    # what is not whole may be slow, not lost: only what stands still is judged by how much there is
    before = len(page.answer) if page is not None else 0
    await asyncio.sleep(lab.budget.within(lab.contact.took_s * 0.6 + 0.5))
    page = await scene.look("later still")
    saw = _decided(scene, page, had, left)
    if saw is not None:
        return saw
    now = len(page.answer) if page is not None else 0
    if now > before:
        return undecided(
            f"{had} characters when {left}, {before} later, {now} still later: it is slow, and not lost yet"
        )
    if not now:
        if page is None and await kept(lab):
            return failed(
                f"{had} characters when {left}; a client that comes later sees finished answers here, and of this one"
                " nothing: it was not finished"
            )
        return undecided(f"nothing could be seen of the answer after {left}")
    if lab.options.prompt not in lab.truth and now > had * 1.5:
        return undecided(f"{had} characters when {left}, {now} later, where answers usually have {lab.chars}")
    return failed(f"{had} characters when {left} and {now} later: that ended the answer")


def _decided(scene: Scene, page: Transcript | None, had: int, left: str) -> Saw | None:
    """What a page says by itself: the whole answer, or how it ended."""
    if page is None:
        return None
    lab, chars, told = scene.lab, len(page.answer), page.last_end
    scene.measured |= {"chars_at_leaving": had, "chars_later": chars}
    expected = lab.truth.get(lab.options.prompt)
    if chars and (lab.whole(page.answer) or (expected is None and chars >= lab.chars * 0.8)):
        return passed(f"{had} characters when {left}, {chars} later: the answer was finished with nobody listening")
    if told in ("stopped", "error"):
        return failed(
            f"{had} characters when {left}, {chars} later, and the conversation says: {told}. That ended the answer"
        )
    if told == "complete" and chars > had and expected is None:
        return passed(f"{had} characters when {left}, {chars} later, and the conversation says that it is complete")
    return None
