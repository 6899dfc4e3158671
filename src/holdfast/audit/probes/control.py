"""Live control: can people stop, steer, interrupt and decide while it runs, and does nothing else do so by accident?"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from holdfast.audit.endpoint import Chat, Receipt, Tab
from holdfast.audit.lab import Saw, Scene, failed, lacking, passed, skipped, undecided
from holdfast.audit.probes.probe import Probe
from holdfast.audit.probes.resilient import TOO_SHORT, comes_back
from holdfast.audit.stream import Stream

ONLY_CLOSING: Final = (
    "there is no way to say stop: closing the connection is all a client can do, and that is what lost Wi-Fi does too"
)
QUIET_S: Final = 0.4
"""A stopped answer may not say anything more after this."""


async def _running(scene: Scene, tab: Tab, fraction: float = 0.3) -> Stream | None:
    stream = await scene.ask(tab)
    reached = await scene.wait(stream, fraction)
    return stream if reached and not stream.transcript.ended else None


async def disconnect(scene: Scene) -> Saw:
    """Closing a tab in good order."""
    lab = scene.lab
    if not comes_back(lab):
        return undecided("no client can see what became of the answer after its tab was closed")
    tab = await scene.tab("tab A")
    stream = await _running(scene, tab)
    if stream is None:
        return undecided(TOO_SHORT)
    had = len(stream.transcript.answer)
    await scene.leave(tab, stream)
    await asyncio.sleep(lab.budget.within(lab.contact.took_s * 1.2 + 0.5))
    page = await scene.look()
    if page is None:
        return undecided("nothing could be seen of the answer after its tab was closed")
    chars = len(page.answer)
    scene.measured |= {"chars_at_close": had, "chars_later": chars}
    expected = lab.truth.get(lab.options.prompt)
    if chars >= (len(expected) if expected else lab.chars * 0.8):
        return passed(f"{had} characters when the tab was closed, {chars} later: nobody said stop, and nothing stopped")
    if expected is None and chars > had * 1.5:
        return undecided(f"{had} characters when the tab was closed, {chars} later; answers usually have {lab.chars}")
    return failed(f"{had} characters when the tab was closed and {chars} later: closing a tab cancels the answer")


async def _stopped(scene: Scene, by: Tab, watched: Stream, tab: Tab, on: Stream | None) -> tuple[Receipt, float, str]:
    """Stop from ``by``; how it was answered, how long text went on after it, and what the watching client was told."""
    began = time.monotonic()
    receipt = await scene.command("stop", by, on)
    if not receipt.ok:
        return receipt, 0.0, ""
    end = await scene.finished(tab, watched, within_s=scene.lab.options.stop_s)
    await asyncio.sleep(QUIET_S)
    return receipt, max(0.0, watched.text_s - began), end.word


def _whole(scene: Scene, text: str) -> bool:
    expected = scene.lab.truth.get(scene.lab.options.prompt)
    return text == expected if expected else len(text) >= scene.lab.chars * 0.9


async def stop(scene: Scene) -> Saw:
    """Stop, and how soon."""
    if not scene.lab.endpoint.offers("stop"):
        return lacking(ONLY_CLOSING)
    tab = await scene.tab("tab A")
    stream = await _running(scene, tab)
    if stream is None:
        return undecided(TOO_SHORT)
    receipt, went_on_s, word = await _stopped(scene, tab, stream, tab, stream)
    if not receipt.ok:
        return failed(f"stop was refused: {receipt.told}")
    scene.measured["text_after_stop_s"] = round(went_on_s, 3)
    if _whole(scene, stream.transcript.answer):
        return failed("stop was accepted, and the answer went on to its end")
    if went_on_s > scene.lab.options.stop_s:
        return failed(f"stop was accepted, and text still came {went_on_s:.1f} s later")
    if word == "silent":
        return failed("text stopped, but nothing says so: the page shows an answer being written for ever")
    return passed(f"the last text came {went_on_s * 1000:.0f} ms after the stop; the client was told: {word}")


async def stop_both(scene: Scene) -> Saw:
    """Stop, as seen from elsewhere."""
    endpoint = scene.lab.endpoint
    if not endpoint.offers("stop"):
        return lacking(ONLY_CLOSING)
    if not endpoint.offers("join"):
        return lacking("no second client can see the answer, so none can see its stop")
    first, second = await scene.tab("tab A"), await scene.tab("tab B")
    stream = await _running(scene, first, 0.2)
    if stream is None:
        return undecided(TOO_SHORT)
    other = await scene.join(second)
    await other.until(lambda page: bool(page.answer), 2.0)
    receipt, _, _ = await _stopped(scene, first, stream, first, stream)
    if not receipt.ok:
        return failed(f"stop was refused: {receipt.told}")
    end = await scene.finished(second, other, within_s=scene.lab.options.stop_s)
    scene.show("tab B", other)
    if end.word == "silent":
        return failed("tab B never learnt that the answer was stopped")
    if _whole(scene, other.transcript.answer):
        return failed("tab B got the whole answer although tab A had stopped it")
    if end.word == "complete" and stream.transcript.answers and stream.transcript.answers[-1].end == "stopped":
        return failed("tab A was told that the answer was stopped, tab B that it is complete")
    return passed(f"tab B was told too: {end.word}")


async def stop_after_reload(scene: Scene) -> Saw:
    """Stop from a page that did not ask."""
    endpoint = scene.lab.endpoint
    if not endpoint.offers("stop"):
        return lacking(ONLY_CLOSING)
    if not endpoint.offers("join"):
        return lacking("a reloaded page cannot find the answer, so it cannot stop it")
    tab = await scene.tab("tab A")
    stream = await _running(scene, tab, 0.2)
    if stream is None:
        return undecided(TOO_SHORT)
    await scene.leave(tab, stream)
    # a page takes a moment to load, in which the endpoint learns that the line it asked on is closed
    await asyncio.sleep(min(scene.lab.options.pause_s, scene.lab.contact.took_s * 0.2))
    again = await scene.tab("tab A, reloaded")
    other = await scene.join(again)
    if not await other.until(lambda page: bool(page.answer), 3.0):
        return undecided("the reloaded page did not find the answer")
    if other.transcript.ended:
        return undecided(TOO_SHORT)
    receipt, went_on_s, word = await _stopped(scene, again, other, again, other)
    if not receipt.ok:
        return failed(f"stop was refused after the reload: {receipt.told}")
    if _whole(scene, other.transcript.answer):
        return failed("after the reload stop was accepted, and the answer went on to its end")
    if word == "silent":
        return failed("after the reload stop was accepted, and nothing says that it happened")
    return passed(f"stop worked from the reloaded page: last text after {went_on_s * 1000:.0f} ms, told: {word}")


async def steer(scene: Scene) -> Saw:
    """Words to a running answer."""
    lab = scene.lab
    if not lab.endpoint.offers("steer"):
        return lacking("there is no way to say something to an answer that is being written")
    tab = await scene.tab("tab A")
    stream = await _running(scene, tab)
    if stream is None:
        return undecided(TOO_SHORT)
    receipt = await scene.command("steer", tab, stream, text=lab.options.steer_text)
    if not receipt.ok:
        return failed(f"steering was refused: {receipt.told}")
    await scene.finished(tab, stream)
    if any(entry.text == lab.options.steer_text for entry in stream.transcript.of("steer")):
        return passed("the steer stands in the conversation, where the answer heeded it or not")
    expected = lab.truth.get(lab.options.prompt)
    if expected is not None and stream.transcript.answer != expected:
        return passed("the answer went on differently than it does without the steer")
    if expected is None and not lab.endpoint.recipe.sees("steer"):
        return undecided("it was accepted; whether this answer would have been another cannot be told")
    return failed("it was accepted, and neither the answer nor the conversation shows any of it")


async def new_message(scene: Scene) -> Saw:
    """A second question before the first answer ended."""
    lab = scene.lab
    tab = await scene.tab("tab A")
    stream = await _running(scene, tab)
    if stream is None:
        return undecided(TOO_SHORT)
    second = await scene.ask(tab, lab.options.second_prompt, on=stream)
    shared = second is stream
    if shared:
        await scene.finished(tab, stream, 2)
    else:
        end = await scene.finished(tab, second)
        if end.word in ("refused", "redirect", "cut") and not second.transcript.answer:
            return failed(f"a message in the middle of an answer was not taken: {end.word} {end.detail}")
        await scene.finished(tab, stream)
    texts = [
        e.text
        for e in (stream.transcript.answers if shared else [*stream.transcript.answers, *second.transcript.answers])
    ]
    wanted, first = lab.truth.get(lab.options.second_prompt), lab.truth.get(lab.options.prompt)
    if len(texts) < 2 or not texts[-1]:
        return failed("the second message was accepted and never answered")
    if wanted is None or first is None:
        return undecided(
            f"both were answered ({len(texts[0])} and {len(texts[-1])} characters); answers differ from time to time"
        )
    if wanted not in texts[1:]:
        return failed(f"the second answer is not what it is by itself: {scene.compare(wanted, texts[-1])}")
    if not first.startswith(texts[0]):
        return failed(f"the first answer was garbled by the second message: {scene.compare(first, texts[0])}")
    kept = "finished too" if texts[0] == first else f"ended at {len(texts[0])} of {len(first)} characters"
    return passed(f"the second message was answered, the first answer {kept}")


async def approval_after_reload(scene: Scene) -> Saw:
    """A decision from a page that was not there when it was asked for."""
    lab = scene.lab
    if not lab.options.approval_prompt:
        return skipped("no prompt that makes it ask for approval was given (--approval-prompt)")
    if not lab.endpoint.offers("approve"):
        return lacking("there is no way to approve anything")
    if not lab.endpoint.offers("join"):
        return lacking("a reloaded page cannot find what waits for approval")
    tab = await scene.tab("tab A")
    stream = await scene.ask(tab, lab.options.approval_prompt)
    if not await stream.until(lambda page: bool(page.of("approval")), lab.answer_s):
        return undecided("the prompt did not make it ask for approval")
    await scene.leave(tab, stream)
    await asyncio.sleep(lab.options.pause_s)
    again = await scene.tab("tab A, reloaded")
    other = await scene.join(again)
    if not await other.until(lambda page: any(not a.end for a in page.of("approval")), 5.0):
        return failed("after a reload nothing shows that something waits for approval")
    waits = next(entry for entry in other.transcript.of("approval") if not entry.end)
    receipt = await scene.command("approve", again, other, approval=waits.id)
    if not receipt.ok:
        return failed(f"approving from the reloaded page was refused: {receipt.told}")
    end = await scene.finished(again, other)
    if end.word == "silent":
        return failed("it was approved from the reloaded page, and nothing went on")
    return passed(f"what waited was there after the reload, was approved, and the answer went on: {end.word}")


async def concurrent(scene: Scene) -> Saw:
    """Two conversations at once."""
    lab = scene.lab
    prompts = (lab.options.prompt, lab.options.second_prompt)
    first, second = await scene.tab("tab A"), await scene.tab("tab B")
    one = await scene.ask(first, prompts[0])
    two = await scene.ask(second, prompts[1], chat=Chat())
    ends = [await scene.finished(first, one), await scene.finished(second, two)]
    for name, stream, prompt, end in zip(("first", "second"), (one, two), prompts, ends, strict=True):
        expected = lab.truth.get(prompt)
        if end.word not in ("complete", "closed"):
            return failed(f"the {name} of two conversations ended with: {end.word} {end.detail}")
        if expected is not None and stream.transcript.answer != expected:
            return failed(f"the {name} of two conversations: {scene.compare(expected, stream.transcript.answer)}")
    if not all(prompt in lab.truth for prompt in prompts):
        return undecided("both ended; whether they were mixed cannot be told where answers differ from time to time")
    return passed("two conversations ran at the same time, each with its own answer")


PROBES: Final = (
    Probe(
        "control.disconnect", "control", "Leaving is not cancelling",
        "closed the tab in good order at 30 % of the answer, and looked later",
        "the answer was finished: nobody said stop", disconnect,
    ),
    Probe(
        "control.stop", "control", "Stop stops",
        "said stop at 30 % of the answer", "no more text, soon, and the client is told", stop,
    ),
    Probe(
        "control.stop_both", "control", "Everybody sees the stop",
        "said stop in one tab while another was watching", "the other tab is told too", stop_both,
        after=("control.stop", "continuity.middle", "continuity.from_start"),
    ),
    Probe(
        "control.stop_after_reload", "control", "Stop after a reload",
        "reloaded the page in the middle of the answer and said stop there", "it stops", stop_after_reload,
        after=("control.stop", "control.stop_both", "control.disconnect", "continuity.middle"),
    ),
    Probe(
        "control.steer", "control", "Steering",
        "said something to the answer while it was being written", "it is taken, and shows", steer,
    ),
    Probe(
        "control.new_message", "control", "A new message in the middle",
        "sent another message at 30 % of an answer", "it is answered, and the first answer is not garbled", new_message,
    ),
    Probe(
        "control.approval_after_reload", "control", "Approval after a reload",
        "let it ask for approval, reloaded the page, and approved there",
        "what waits is shown, can be approved, and the answer goes on", approval_after_reload, after=("continuity.middle",),
    ),
    Probe(
        "control.concurrent", "control", "Two at the same time",
        "asked in two conversations at the same time", "each gets its own answer, whole", concurrent,
    ),
)  # fmt: skip
