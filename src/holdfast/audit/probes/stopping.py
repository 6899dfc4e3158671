"""Stop: does it stop, does every client learn of it, and does it work from a page that did not ask?"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from holdfast.audit.clients import Tab
from holdfast.audit.endpoint import Receipt
from holdfast.audit.lab import UNMARKED, ProbeResult, Trial, failed, inconclusive, passed, unsupported
from holdfast.audit.probes.after_leaving import can_come_back
from holdfast.audit.stream import ClientStream
from holdfast.audit.transcript import StreamEnd

ONLY_CLOSING: Final = (
    "there is no way to say stop: closing the connection is all a client can do, and that is what lost Wi-Fi does too"
)
QUIET_S: Final = 0.4
"""A stopped answer may not say anything more after this."""


async def _stop_and_watch(
    trial: Trial, by: Tab, watched: ClientStream, tab: Tab, on: ClientStream | None
) -> tuple[Receipt, float, StreamEnd]:
    """Stop from ``by``; how it was answered, how long text went on after it, and how the watching client's answer ended."""
    began = time.monotonic()
    receipt = await trial.command("stop", by, on)
    if not receipt.ok:
        return receipt, 0.0, StreamEnd("silent")
    end = await trial.wait_finished(tab, watched, within_s=trial.lab.options.stop_s)
    await asyncio.sleep(QUIET_S)
    return receipt, max(0.0, watched.text_s - began), end


def _why_not_told(client: str, end: StreamEnd) -> str:
    """Why a client whose answer stopped did not learn that it was stopped; empty: it did."""
    if end.marked:
        return ""
    if end.ending == "none":
        return f"{client} was told nothing: its page shows an answer being written for ever"
    if end.ending == "closed":
        return f"the stream of {client} only closed, without a word: a proxy that gives up looks the same"
    return f"the stream of {client} broke: {end}"


def _explained_by(end: StreamEnd) -> tuple[str, ...]:
    """What explains that a client did not learn of a stop: where no end is ever marked, that is the one fault."""
    return UNMARKED if end.ending == "closed" else ()


async def stop(trial: Trial) -> ProbeResult:
    """Stop, and how soon."""
    lab = trial.lab
    if not lab.endpoint.offers("stop"):
        return unsupported(ONLY_CLOSING)
    tab = await trial.tab("tab A")
    stream = await trial.ask(tab)
    if early_result := await trial.wait_for_part(stream, 0.3):
        return early_result
    receipt, went_on_s, end = await _stop_and_watch(trial, tab, stream, tab, stream)
    if not receipt.ok:
        return failed(f"stop was refused: {receipt.detail}")
    trial.measured["text_after_stop_s"] = round(went_on_s, 3)
    if lab.is_whole(stream.transcript.answer):
        return failed("stop was accepted, and the answer went on to its end")
    if went_on_s > lab.options.stop_s:
        return failed(f"stop was accepted, and text still came {went_on_s:.1f} s later")
    if not_told := _why_not_told("the client", end):
        return failed(f"stop was accepted and text stopped, but {not_told}", _explained_by(end))
    if await _went_on(trial):
        return failed("stop was accepted and the client was told, and yet the answer was written to its end")
    return passed(f"the last text came {went_on_s * 1000:.0f} ms after the stop; the client was told: {end.word}")


async def _went_on(trial: Trial) -> bool:
    """Whether who comes later sees the whole of an answer that was stopped: then only its stream was."""
    lab = trial.lab
    if not can_come_back(lab.endpoint):
        return False
    await asyncio.sleep(lab.budget.within(lab.contact.took_s))
    page = await trial.read_as_new_client()
    return page is not None and bool(page.answer) and lab.is_whole(page.answer)


async def stop_both(trial: Trial) -> ProbeResult:
    """Stop, as seen from elsewhere."""
    endpoint = trial.lab.endpoint
    if not endpoint.offers("stop"):
        return unsupported(ONLY_CLOSING)
    if not endpoint.offers("join"):
        return unsupported("no second client can see the answer, so none can see its stop")
    first, second = await trial.tab("tab A"), await trial.tab("tab B")
    stream = await trial.ask(first)
    if early_result := await trial.wait_for_part(stream, 0.2):
        return early_result
    other = await trial.join(second)
    await other.until(lambda page: bool(page.answer), min(2.0, trial.lab.contact.took_s * 0.3))
    if stream.transcript.ended or stream.closed is not None:
        return inconclusive("the answer was over before it could be stopped")
    receipt, _, end = await _stop_and_watch(trial, first, stream, first, stream)
    if not receipt.ok:
        return failed(f"stop was refused: {receipt.detail}")
    other_end = await trial.wait_finished(second, other, within_s=trial.lab.options.stop_s)
    trial.add_evidence("tab B", other)
    if trial.lab.is_whole(other.transcript.answer):
        return failed("tab B got the whole answer although tab A had stopped it")
    if not any(entry.text for entry in other.transcript.entries):
        return failed(f"tab B saw nothing of the conversation, so nothing of the stop: {other_end}")
    if not_told := _why_not_told("tab B", other_end):
        return failed(f"tab A stopped the answer, and {not_told}", _explained_by(other_end))
    if end.marked and other_end.word not in (end.word, "stopped"):
        return failed(f"tab A was told of the answer that it is {end.word}, tab B: {other_end.word}")
    return passed(f"tab B was told too: {other_end.word}")


async def stop_after_reload(trial: Trial) -> ProbeResult:
    """Stop from a page that did not ask."""
    endpoint = trial.lab.endpoint
    if not endpoint.offers("stop"):
        return unsupported(ONLY_CLOSING)
    if not endpoint.offers("join"):
        return unsupported("a reloaded page cannot find the answer, so it cannot stop it")
    tab = await trial.tab("tab A")
    stream = await trial.ask(tab)
    if early_result := await trial.wait_for_part(stream, 0.2):
        return early_result
    await trial.close_tab(tab, stream)
    # a page takes a moment to load, in which the endpoint learns that the line it asked on is closed
    await asyncio.sleep(min(trial.lab.options.pause_s, trial.lab.contact.took_s * 0.2))
    again = await trial.tab("tab A, reloaded")
    other = await trial.join(again)
    if not await other.until(lambda page: bool(page.answer), 3.0):
        detail = f": {other.closed}" if other.closed is not None else ""
        return inconclusive(f"the reloaded page did not find the answer{detail}")
    if other.transcript.ended:
        return inconclusive("the answer was over before it could be stopped")
    receipt, went_on_s, end = await _stop_and_watch(trial, again, other, again, other)
    if not receipt.ok:
        return failed(f"stop was refused after the reload: {receipt.detail}")
    if trial.lab.is_whole(other.transcript.answer):
        return failed("after the reload stop was accepted, and the answer went on to its end")
    if not_told := _why_not_told("the reloaded page", end):
        return failed(f"after the reload stop was accepted, and {not_told}", _explained_by(end))
    return passed(f"stop worked from the reloaded page: last text after {went_on_s * 1000:.0f} ms, told: {end.word}")
