"""Resilient delivery: does an answer survive what networks do?"""

from __future__ import annotations

import asyncio
from typing import Final

from holdfast.audit.clients import Tab
from holdfast.audit.lab import TOO_SHORT, ProbeResult, Trial, failed, inconclusive, passed, skipped, unsupported
from holdfast.audit.probes.after_leaving import can_come_back, judge_after_leaving
from holdfast.audit.probes.cuts import NO_WAY_BACK, come_back, no_repeat, resume
from holdfast.audit.probes.hooks import run_hook
from holdfast.audit.probes.memory import used_bytes
from holdfast.audit.probes.probe import Probe
from holdfast.audit.proxy import Fault, Script
from holdfast.audit.stream import ClientStream
from holdfast.audit.transcript import StreamEnd

GROWTH_BYTES: Final = 16 * 1024 * 1024
"""What one slow reader may cost the server."""
RECONNECTS: Final = 12


async def keeps_generating(trial: Trial) -> ProbeResult:
    """What becomes of an answer whose reader was cut off."""
    lab = trial.lab
    if not can_come_back(lab.endpoint):
        return inconclusive("no client can see what became of the answer after its line broke")
    tab = await trial.tab("tab A")
    stream = await trial.ask(tab)
    if early_result := await trial.wait_for_part(stream, 0.3):
        return early_result
    trial.inject(tab, Fault(fault="cut"))
    await stream.until(lambda page: False, 0.5)
    chars = len(stream.transcript.answer)
    if lab.endpoint.offers("join") or lab.endpoint.offers("history"):
        return await judge_after_leaving(trial, chars, "its line broke")
    await asyncio.sleep(lab.budget.within(lab.contact.took_s * 1.2 + 0.5))
    text, _ = await come_back(trial, tab, stream)
    if not text or len(text) <= chars:
        return inconclusive("nothing more could be seen of the answer after its line broke")
    trial.measured |= {"chars_at_leaving": chars, "chars_later": len(text)}
    if lab.is_whole(text):
        return passed(
            f"{chars} characters at the cut, {len(text)} later: the answer was finished with nobody listening"
        )
    return inconclusive(f"{chars} characters at the cut, {len(text)} later, where answers usually have {lab.chars}")


async def half_open(trial: Trial) -> ProbeResult:
    """Coming back while the server still holds the dead line."""
    if not can_come_back(trial.lab.endpoint):
        return unsupported(NO_WAY_BACK)
    tab = await trial.tab("tab A")
    stream = await trial.ask(tab)
    if early_result := await trial.wait_for_part(stream, 0.4):
        return early_result
    trial.inject(tab, Fault(fault="half_open"))
    await asyncio.sleep(trial.lab.options.pause_s)
    return await _exact_after(trial, tab, stream, "while the server still believed in the old line")


async def _exact_after(trial: Trial, tab: Tab, stream: ClientStream, when: str) -> ProbeResult:
    text, reason = await come_back(trial, tab, stream)
    if text is None:
        return failed(f"{when}: {reason}")
    expected = await trial.expected_text()
    if expected is None:
        return inconclusive(f"{when} something came, but there is nothing to compare it with")
    differs = trial.compare(expected, text)
    return passed(f"{when} the client ended with {differs}") if differs.exact else failed(f"{when}: {differs}")


async def proxy_timeout(trial: Trial) -> ProbeResult:
    """Connections that live only for a part of the answer."""
    lab = trial.lab
    if not can_come_back(lab.endpoint):
        return unsupported(NO_WAY_BACK)
    tab = await trial.tab("tab A")
    after_s = max(0.2, lab.contact.first_s + lab.contact.took_s * 0.3)
    tab.proxy.script = Script(otherwise=[Fault(fault="cut", how="fin", after_s=after_s)])
    trial.record("network", tab.name, f"will close every connection after {after_s:.2f} s", fault=True)
    stream = await trial.ask(tab)
    await trial.wait_finished(tab, stream)
    if not tab.proxy.cuts:
        return inconclusive(TOO_SHORT)
    for _ in range(RECONNECTS):
        if stream.transcript.ended or not (lab.endpoint.offers("resume") or lab.endpoint.offers("join")):
            break
        before = len(stream.transcript.answer)
        stream = await (trial.resume(tab, stream) if lab.endpoint.offers("resume") else trial.join(tab))
        await trial.wait_finished(tab, stream)
        if stream.closed is not None and stream.closed.word == "refused" and len(stream.transcript.answer) <= before:
            break
    text = stream.transcript.answer
    expected = await trial.expected_text()
    if expected is None:
        return inconclusive("answers differ from time to time and no second client can be compared with")
    if (
        text != expected
        and lab.endpoint.offers("history")
        and (page := await trial.read_as_new_client("tab A")) is not None
    ):
        text = page.answer or text
    differs = trial.compare(expected, text)
    summary = f"with connections closed every {after_s:.2f} s the client ended with {differs}"
    return passed(summary) if differs.exact else failed(summary)


async def end_marked(trial: Trial) -> ProbeResult:
    """Whether the endpoint marks that an answer is complete."""
    if trial.lab.contact.marks_end:
        return passed("the stream itself says that the answer is complete")
    return failed("the stream only stops: a proxy that closes in good order looks like a complete answer")


async def slow_reader(trial: Trial) -> ProbeResult:
    """A reader that cannot keep up."""
    lab = trial.lab
    before = await used_bytes(lab.options)
    tab = await trial.tab("slow tab", narrow=True)
    stream = await trial.ask(tab)
    pace = lab.options.slow_bytes_per_s or max(200.0, lab.contact.bytes / max(0.1, lab.contact.took_s) / 3)
    trial.inject(tab, Fault(fault="trickle", bytes_per_s=pace))
    await trial.wait_finished(tab, stream, within_s=lab.answer_s + lab.contact.took_s * 6)
    after = await used_bytes(lab.options)
    memory = "server memory was not measured (give --pid or --metrics)"
    if before is not None and after is not None:
        trial.measured["growth_bytes"] = after - before
        memory = f"server memory grew by {(after - before) / 1024:.0f} KiB"
        if after - before > GROWTH_BYTES:
            return failed(f"one slow reader: {memory}")
    text = stream.transcript.answer
    expected = await trial.expected_text()
    if expected is None:
        return inconclusive(f"nothing to compare the slow reader's text with; {memory}")
    if text != expected and stream.closed is not None and can_come_back(lab.endpoint):
        text = (await come_back(trial, tab, stream))[0] or text
    differs = trial.compare(expected, text)
    summary = f"a reader at {pace:.0f} bytes/s ended with {differs}; {memory}"
    return passed(summary) if differs.exact else failed(summary)


async def agent_killed(trial: Trial) -> ProbeResult:
    """What people see of a dead agent."""
    lab = trial.lab
    if not lab.options.kill_agent:
        return skipped("no command that kills the agent was given (--kill-agent)")
    tab = await trial.tab("tab A")
    stream = await trial.ask(tab)
    if early_result := await trial.wait_for_part(stream, 0.3):
        return early_result
    trial.record("audit", "endpoint", "kills the agent", fault=True)
    if (problem := await run_hook(lab.options.kill_agent)) is not None:
        return inconclusive(f"the command that kills the agent failed: {problem}")
    end = await trial.wait_finished(tab, stream, within_s=lab.options.lost_s)
    trial.add_evidence("after the agent was killed", stream)
    return await judge_loss_shown(trial, stream, end)


async def judge_loss_shown(trial: Trial, stream: ClientStream, end: StreamEnd) -> ProbeResult:
    """Whether people see what became of an answer whose writer died. To show half an answer as complete does not count."""
    lab, word, text = trial.lab, end.word, stream.transcript.answer
    if end.ending == "none":
        return failed(
            f"nothing was said within {lab.options.lost_s:g} s: the page shows an answer being written for ever"
        )
    if not end.marked:
        page = await trial.read_as_new_client() if can_come_back(lab.endpoint) else None
        if page is None or page.open or not page.last_end:
            return failed(f"the line ended ({word}) and nothing says that the answer was lost")
        word, text = page.last_end, page.answer  # type: ignore[assignment]
    how = "the people waiting were told" if end.marked else "the line broke, and coming back showed"
    usual = lab.usual_chars.get(trial.prompts.get(id(stream), ""))
    if word != "complete" or (usual is not None and len(text) >= usual * 0.8):
        return passed(f"{how}: {word}")
    if usual is None:
        return inconclusive(f"{how}: {word}, after {len(text)} characters; whether that is all of it is not known")
    return failed(f"{how}: {word}, after {len(text)} of about {usual} characters: the loss looks like the end")


PROBES: Final = (
    Probe(
        "resilient.resume", "resilient", "Nothing is lost",
        "cut the line (reset) at 10, 50 and 90 % of an answer, and came back as the endpoint's clients do",
        "the client ends with everything that was said", resume, after=("resilient.keeps_generating",),
    ),
    Probe(
        "resilient.no_repeat", "resilient", "Nothing comes twice",
        "cut the line (reset) at 10, 50 and 90 % of an answer, and came back as the endpoint's clients do",
        "nothing stands twice on the page", no_repeat,
    ),
    Probe(
        "resilient.keeps_generating", "resilient", "The answer goes on without a reader",
        "cut the line (reset) at 30 %, stayed away for the rest of the answer, and looked",
        "the answer was finished meanwhile", keeps_generating,
    ),
    Probe(
        "resilient.half_open", "resilient", "A dead line that nobody noticed",
        "made the line half-open at 40 % (nothing passes, nobody is told) and came back on another",
        "the client ends with exactly the answer", half_open,
        after=("resilient.resume", "resilient.no_repeat"),
    ),
    Probe(
        "resilient.proxy_timeout", "resilient", "A proxy that closes connections",
        "closed every connection in good order after a part of the answer's time, again and again",
        "the client ends with exactly the answer", proxy_timeout,
        after=("resilient.resume", "resilient.no_repeat", "resilient.keeps_generating", "control.disconnect"),
    ),
    Probe(
        "resilient.end_marked", "resilient", "The end is said",
        "read an answer to its end",
        "the stream says that the answer is complete, so that a cut cannot be taken for its end", end_marked,
    ),
    Probe(
        "resilient.slow_reader", "resilient", "A slow reader",
        "read an answer at a third of its pace",
        "the reader ends with exactly the answer, and the server's memory does not grow with it", slow_reader,
        alone=True,
    ),
    Probe(
        "resilient.agent_killed", "resilient", "The agent dies",
        "killed the agent at 30 % of its answer",
        "the people waiting are told, or somebody else finishes the answer", agent_killed, alone=True,
        after=("resilient.end_marked",),
    ),
)  # fmt: skip
