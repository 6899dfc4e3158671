"""Stop: does it stop, is everybody told, and does it work from a page that did not ask?"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from holdfast.audit.endpoint import Receipt
from holdfast.audit.clients import Tab
from holdfast.audit.lab import UNMARKED, Saw, Scene, failed, lacking, passed, undecided
from holdfast.audit.probes.after_leaving import comes_back
from holdfast.audit.stream import Stream
from holdfast.audit.transcript import End

ONLY_CLOSING: Final = (
    "there is no way to say stop: closing the connection is all a client can do, and that is what lost Wi-Fi does too"
)
QUIET_S: Final = 0.4
"""A stopped answer may not say anything more after this."""


async def _stopped(scene: Scene, by: Tab, watched: Stream, tab: Tab, on: Stream | None) -> tuple[Receipt, float, End]:
    """Stop from ``by``; how it was answered, how long text went on after it, and how the watching client's answer ended."""
    began = time.monotonic()
    receipt = await scene.command("stop", by, on)
    if not receipt.ok:
        return receipt, 0.0, End("silent")
    end = await scene.finished(tab, watched, within_s=scene.lab.options.stop_s)
    await asyncio.sleep(QUIET_S)
    return receipt, max(0.0, watched.text_s - began), end


def _not_told(who: str, end: End) -> str:
    """Why a client whose answer stopped does not know that it was stopped; empty: it was told."""
    if end.said:
        return ""
    if end.ending == "none":
        return f"{who} was told nothing: its page shows an answer being written for ever"
    if end.ending == "closed":
        return f"the stream of {who} only closed, without a word: a proxy that gives up looks the same"
    return f"the stream of {who} broke: {end}"


def _explained(end: End) -> tuple[str, ...]:
    """What explains that a stop was not told: where no end is ever said, that is the one fault."""
    return UNMARKED if end.ending == "closed" else ()


async def stop(scene: Scene) -> Saw:
    """Stop, and how soon."""
    lab = scene.lab
    if not lab.endpoint.offers("stop"):
        return lacking(ONLY_CLOSING)
    tab = await scene.tab("tab A")
    stream = await scene.ask(tab)
    if why := await scene.reach(stream, 0.3):
        return why
    receipt, went_on_s, end = await _stopped(scene, tab, stream, tab, stream)
    if not receipt.ok:
        return failed(f"stop was refused: {receipt.told}")
    scene.measured["text_after_stop_s"] = round(went_on_s, 3)
    if lab.whole(stream.transcript.answer):
        return failed("stop was accepted, and the answer went on to its end")
    if went_on_s > lab.options.stop_s:
        return failed(f"stop was accepted, and text still came {went_on_s:.1f} s later")
    if why_not := _not_told("the client", end):
        return failed(f"stop was accepted and text stopped, but {why_not}", _explained(end))
    if await _went_on(scene):
        return failed("stop was accepted and the client was told, and yet the answer was written to its end")
    return passed(f"the last text came {went_on_s * 1000:.0f} ms after the stop; the client was told: {end.word}")


async def _went_on(scene: Scene) -> bool:
    """Whether who comes later sees the whole of an answer that was stopped: then only its stream was."""
    lab = scene.lab
    if not comes_back(lab.endpoint):
        return False
    await asyncio.sleep(lab.budget.within(lab.contact.took_s))
    page = await scene.look()
    return page is not None and bool(page.answer) and lab.whole(page.answer)


async def stop_both(scene: Scene) -> Saw:
    """Stop, as seen from elsewhere."""
    endpoint = scene.lab.endpoint
    if not endpoint.offers("stop"):
        return lacking(ONLY_CLOSING)
    if not endpoint.offers("join"):
        return lacking("no second client can see the answer, so none can see its stop")
    first, second = await scene.tab("tab A"), await scene.tab("tab B")
    stream = await scene.ask(first)
    if why := await scene.reach(stream, 0.2):
        return why
    other = await scene.join(second)
    await other.until(lambda page: bool(page.answer), min(2.0, scene.lab.contact.took_s * 0.3))
    if stream.transcript.ended or stream.closed is not None:
        return undecided("the answer was over before it could be stopped")
    receipt, _, end = await _stopped(scene, first, stream, first, stream)
    if not receipt.ok:
        return failed(f"stop was refused: {receipt.told}")
    told = await scene.finished(second, other, within_s=scene.lab.options.stop_s)
    scene.show("tab B", other)
    if scene.lab.whole(other.transcript.answer):
        return failed("tab B got the whole answer although tab A had stopped it")
    if not any(entry.text for entry in other.transcript.entries):
        return failed(f"tab B saw nothing of the conversation, so nothing of the stop: {told}")
    if why_not := _not_told("tab B", told):
        return failed(f"tab A stopped the answer, and {why_not}", _explained(told))
    if end.said and told.word not in (end.word, "stopped"):
        return failed(f"tab A was told of the answer that it is {end.word}, tab B: {told.word}")
    return passed(f"tab B was told too: {told.word}")


async def stop_after_reload(scene: Scene) -> Saw:
    """Stop from a page that did not ask."""
    endpoint = scene.lab.endpoint
    if not endpoint.offers("stop"):
        return lacking(ONLY_CLOSING)
    if not endpoint.offers("join"):
        return lacking("a reloaded page cannot find the answer, so it cannot stop it")
    tab = await scene.tab("tab A")
    stream = await scene.ask(tab)
    if why := await scene.reach(stream, 0.2):
        return why
    await scene.leave(tab, stream)
    # a page takes a moment to load, in which the endpoint learns that the line it asked on is closed
    await asyncio.sleep(min(scene.lab.options.pause_s, scene.lab.contact.took_s * 0.2))
    again = await scene.tab("tab A, reloaded")
    other = await scene.join(again)
    if not await other.until(lambda page: bool(page.answer), 3.0):
        told = f": {other.closed}" if other.closed is not None else ""
        return undecided(f"the reloaded page did not find the answer{told}")
    if other.transcript.ended:
        return undecided("the answer was over before it could be stopped")
    receipt, went_on_s, end = await _stopped(scene, again, other, again, other)
    if not receipt.ok:
        return failed(f"stop was refused after the reload: {receipt.told}")
    if scene.lab.whole(other.transcript.answer):
        return failed("after the reload stop was accepted, and the answer went on to its end")
    if why_not := _not_told("the reloaded page", end):
        return failed(f"after the reload stop was accepted, and {why_not}", _explained(end))
    return passed(f"stop worked from the reloaded page: last text after {went_on_s * 1000:.0f} ms, told: {end.word}")
