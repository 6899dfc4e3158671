"""Live control: can people stop, steer, interrupt and decide while it runs, and does nothing else do so by accident?"""

from __future__ import annotations

import asyncio
from typing import Final

from holdfast.audit.clients import Chat
from holdfast.audit.compare import describe_difference
from holdfast.audit.lab import ProbeResult, Trial, failed, inconclusive, passed, skipped, unsupported
from holdfast.audit.probes.after_leaving import can_come_back, judge_after_leaving
from holdfast.audit.probes.new_message import new_message
from holdfast.audit.probes.probe import Probe
from holdfast.audit.probes.stopping import stop, stop_after_reload, stop_both


async def disconnect(trial: Trial) -> ProbeResult:
    """Closing a tab in good order."""
    endpoint = trial.lab.endpoint
    if not can_come_back(endpoint):
        return inconclusive("no client can see what became of the answer after its tab was closed")
    tab = await trial.tab("tab A")
    stream = await trial.ask(tab)
    if early_result := await trial.wait_for_part(stream, 0.3):
        return early_result
    chars = len(stream.transcript.answer)
    await trial.close_tab(tab, stream)
    if not endpoint.offers("join") and not endpoint.offers("history"):
        return inconclusive("only who asked can come back, and it closed its tab")
    return await judge_after_leaving(trial, chars, "its tab was closed")


async def steer(trial: Trial) -> ProbeResult:
    """Words to a running answer."""
    lab = trial.lab
    if not lab.endpoint.offers("steer"):
        return unsupported("there is no way to say something to an answer that is being written")
    tab = await trial.tab("tab A")
    stream = await trial.ask(tab)
    if early_result := await trial.wait_for_part(stream, 0.3):
        return early_result
    receipt = await trial.command("steer", tab, stream, text=lab.options.steer_text)
    if not receipt.ok:
        return failed(f"steering was refused: {receipt.detail}")
    end = await trial.wait_finished(tab, stream)
    if any(entry.text == lab.options.steer_text for entry in stream.transcript.of("steer")):
        return passed("the steer stands in the conversation, where the answer heeded it or not")
    expected = lab.fixed_answers.get(lab.options.prompt)
    got = stream.transcript.answer
    if not lab.is_end(end) or end.word == "error":
        return failed(f"it was accepted, and then the answer broke off after {len(got)} characters: {end}")
    if expected is not None and expected.startswith(got) and got != expected:
        return failed(f"it was accepted, and then the answer ended after {len(got)} of {len(expected)} characters")
    if expected is not None and got != expected:
        return passed(
            f"the answer went on differently than it does without the steer, {describe_difference(expected, got)}"
        )
    if expected is None and not lab.endpoint.recipe.sees("steer"):
        return inconclusive("it was accepted; whether this answer would have been another cannot be told")
    return failed("it was accepted, and neither the answer nor the conversation shows any of it")


async def approval_after_reload(trial: Trial) -> ProbeResult:
    """A decision from a page that was not there when it was asked for."""
    lab = trial.lab
    if not lab.options.approval_prompt:
        return skipped("no prompt that makes it ask for approval was given (--approval-prompt)")
    if not lab.endpoint.offers("approve"):
        return unsupported("there is no way to approve anything")
    if not lab.endpoint.offers("join"):
        return unsupported("a reloaded page cannot find what waits for approval")
    tab = await trial.tab("tab A")
    stream = await trial.ask(tab, lab.options.approval_prompt)
    if not await stream.until(lambda page: bool(page.of("approval")), lab.answer_s):
        return inconclusive("the prompt did not make it ask for approval")
    await trial.close_tab(tab, stream)
    await asyncio.sleep(lab.options.pause_s)
    again = await trial.tab("tab A, reloaded")
    other = await trial.join(again)
    if not await other.until(lambda page: any(not a.end for a in page.of("approval")), 5.0):
        return failed("after a reload nothing shows that something waits for approval")
    waits = next(entry for entry in other.transcript.of("approval") if not entry.end)
    before = len(other.transcript.answer)
    receipt = await trial.command("approve", again, other, approval=waits.id)
    if not receipt.ok:
        return failed(f"approving from the reloaded page was refused: {receipt.detail}")
    end = await trial.wait_finished(again, other)
    if end.ending == "none":
        return failed("it was approved from the reloaded page, and nothing went on")
    if not lab.is_end(end) or (end.word != "complete" and end.marked):
        return failed(f"it was approved from the reloaded page, and then the answer ended with: {end}")
    if not end.marked and len(other.transcript.answer) <= before:
        return inconclusive("it was approved from the reloaded page; the stream closed, and nothing says what was done")
    return passed(f"what waited was there after the reload, was approved, and the answer went on: {end.word}")


async def concurrent(trial: Trial) -> ProbeResult:
    """Two conversations at once."""
    lab = trial.lab
    prompts = (lab.options.prompt, lab.options.second_prompt)
    first, second = await trial.tab("tab A"), await trial.tab("tab B")
    one = await trial.ask(first, prompts[0])
    two = await trial.ask(second, prompts[1], chat=Chat())
    ends = [await trial.wait_finished(first, one), await trial.wait_finished(second, two)]
    for name, stream, prompt, end in zip(("first", "second"), (one, two), prompts, ends, strict=True):
        expected = lab.fixed_answers.get(prompt)
        if not lab.is_end(end) or end.word in ("stopped", "error"):
            return failed(f"the {name} of two conversations ended with: {end}")
        if expected is not None and stream.transcript.answer != expected:
            return failed(f"the {name} of two conversations: {trial.compare(expected, stream.transcript.answer)}")
    if not all(prompt in lab.fixed_answers for prompt in prompts):
        return inconclusive("both ended; whether they were mixed cannot be told where answers differ from time to time")
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
        after=(
            "control.stop", "control.stop_both", "control.disconnect", "continuity.middle",
        ),
    ),
    Probe(
        "control.steer", "control", "Steering",
        "said something to the answer while it was being written", "it is taken, and shows", steer,
    ),
    Probe(
        "control.new_message", "control", "A new message in the middle",
        "sent another message at 30 % of an answer",
        "it is answered; the first answer goes on or is said to be stopped, and neither is lost", new_message,
    ),
    Probe(
        "control.approval_after_reload", "control", "Approval after a reload",
        "let it ask for approval, reloaded the page, and approved there",
        "what waits is shown, can be approved, and the answer goes on", approval_after_reload,
        after=("continuity.middle", "control.disconnect"),
    ),
    Probe(
        "control.concurrent", "control", "Two at the same time",
        "asked in two conversations at the same time", "each gets its own answer, whole", concurrent,
    ),
)  # fmt: skip
