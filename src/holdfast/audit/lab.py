"""Where probes work: clients on lines that can be broken, a timeline, and what an unbroken answer looks like."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from holdfast.audit.budget import ProbeBudget, Redactor
from holdfast.audit.clients import Chat, Tab, fresh
from holdfast.audit.compare import Difference, difference
from holdfast.audit.endpoint import Endpoint, Receipt
from holdfast.audit.finding import Contact, Step, Verdict
from holdfast.audit.proxy import Fault, FaultProxy
from holdfast.audit.recipe import Verb
from holdfast.audit.stream import ClientStream
from holdfast.audit.transcript import StreamEnd, Transcript

NARROW_BYTES: Final = 4_096
QUIET_S: Final = 0.3
"""Where connections stay open, an answer is over when it ended and nothing more came for so long."""
UNMARKED: Final = ("resilient.end_marked",)
"""What explains that a stream only closes where it should say something."""
TOO_SHORT: Final = "the answer was over before it could be broken; use a prompt with a longer answer"


@dataclass
class AuditOptions:
    """What the person says about the endpoint.

    Attributes:
        prompt, second_prompt: what is asked. steer_text: what a steer says.
        approval_prompt, agents_prompt: prompts that make it ask for approval, or call sub-agents; empty: not probed.
        kill_agent, kill_orchestrator: shell commands that kill them. pid, metrics_url: where its memory shows.
        second_headers: what another device sends, its own token say.
        stop_s: how soon a stop must stop. lost_s: how soon the loss of an agent must show. pause_s: before reconnecting.
        slow_bytes_per_s: of the slow reader; None: a third of the endpoint's own pace.
    """

    prompt: str = "Count from 1 to 150 in words, one after another, and nothing else."
    second_prompt: str = "List the letters from A to Z with one word each, and nothing else."
    steer_text: str = "Please continue in upper case."
    approval_prompt: str = ""
    agents_prompt: str = ""
    kill_agent: str = ""
    kill_orchestrator: str = ""
    pid: int | None = None
    metrics_url: str = ""
    second_headers: dict[str, str] = field(default_factory=dict)
    stop_s: float = 5.0
    lost_s: float = 30.0
    pause_s: float = 0.3
    slow_bytes_per_s: float | None = None


@dataclass
class Lab:
    """What all probes of one audit share.

    Attributes:
        contact: how the endpoint behaves unbroken. fixed_answers: its answer by prompt, where it always gives the same.
        usual_chars: how many characters an undisturbed answer had, by prompt.
        shared_results: results of trials that several probes use, by name.
    """

    endpoint: Endpoint
    budget: ProbeBudget
    options: AuditOptions
    redactor: Redactor
    contact: Contact
    fixed_answers: dict[str, str] = field(default_factory=dict)
    usual_chars: dict[str, int] = field(default_factory=dict)
    shared_results: dict[str, asyncio.Future[Any]] = field(default_factory=dict)

    async def run_once(self, name: str, work: Callable[[], Awaitable[Any]]) -> Any:
        """Run a trial once, when it is first needed; every caller gets its result."""
        if name not in self.shared_results:
            self.shared_results[name] = asyncio.ensure_future(work())
        return await asyncio.shield(self.shared_results[name])

    @property
    def answer_s(self) -> float:
        """How long to wait for an answer that normally takes as long as the first one did."""
        return min(self.budget.answer_s, max(5.0, self.contact.took_s * 4 + 5.0))

    @property
    def chars(self) -> int:
        """How long an answer is."""
        return max(1, self.contact.answer_chars)

    def is_end(self, end: StreamEnd) -> bool:
        """Whether a client can take this for the end of an answer: the endpoint marked it; or the stream closed clean, where
        an endpoint never marks an end and that is all its clients have to go by.
        """
        return end.marked or (end.ending == "closed" and not self.contact.marks_end)

    def is_whole(self, text: str) -> bool:
        """Whether this is all of the answer, as far as can be seen: its text, or nine tenths of the usual length."""
        expected = self.fixed_answers.get(self.options.prompt)
        return not difference(expected, text).missing if expected else len(text) >= self.chars * 0.9

    @contextlib.asynccontextmanager
    async def trial(self) -> AsyncIterator[Trial]:
        """A clean conversation with clients of its own, all closed at the end."""
        async with contextlib.AsyncExitStack() as stack:
            trial = Trial(self, stack)
            try:
                yield trial
            finally:
                for stream in trial.streams:
                    await stream.close()


class Trial:
    """One trial: its conversation, its clients, and what happened when."""

    def __init__(self, lab: Lab, stack: contextlib.AsyncExitStack) -> None:
        self.lab = lab
        self.chat = Chat()
        self.streams: list[ClientStream] = []
        self.timeline: list[Step] = []
        self.evidence: list[str] = []
        self.measured: dict[str, float] = {}
        self.prompts: dict[int, str] = {}
        """The last prompt sent on a stream, by its ``id()``; a trial keeps its streams."""
        self._stack = stack
        self._started_s = time.monotonic()
        self._device = fresh()

    # --- the record
    def record(self, source: str, target: str, what: str, *, fault: bool = False) -> None:
        """Note a moment."""
        at_s = round(time.monotonic() - self._started_s, 3)
        text = self.lab.redactor.text(what)[:160]
        self.timeline.append(Step(at_s=at_s, source=source, target=target, what=text, fault=fault))

    def add_evidence(self, title: str, stream: ClientStream) -> None:
        """Add what a stream received as evidence."""
        self.evidence.append(self.lab.redactor.text(f"{title}\n{stream.evidence()}"))

    # --- clients
    async def tab(self, name: str, *, device: str = "", narrow: bool = False) -> Tab:
        """Open a client; tabs without a ``device`` of their own share one. A ``narrow`` line holds next to nothing."""
        host, port = self.lab.endpoint.address
        listener = FaultProxy(host, port, narrow_bytes=NARROW_BYTES if narrow else None)
        proxy = await self._stack.enter_async_context(listener.running())
        headers = self.lab.options.second_headers if device else {}
        return Tab(name, proxy, device=device or self._device, headers=headers)

    async def ask(
        self, tab: Tab, prompt: str = "", chat: Chat | None = None, on: ClientStream | None = None
    ) -> ClientStream:
        """Say something and listen."""
        prompt = prompt or self.lab.options.prompt
        self.record(tab.name, "endpoint", f"asks: {prompt}")
        stream = self._add_stream(tab, await self.lab.endpoint.ask(tab, chat or self.chat, prompt, on))
        self.prompts[id(stream)] = prompt
        return stream

    async def resume(self, tab: Tab, after: ClientStream) -> ClientStream:
        """Go on after a broken line, as this endpoint's clients do."""
        self.record(tab.name, "endpoint", "resumes" + (f" after {after.cursor}" if after.cursor else ""))
        return self._add_stream(tab, await self.lab.endpoint.resume(tab, self.chat, after))

    async def join(self, tab: Tab, chat: Chat | None = None) -> ClientStream:
        """Open the conversation with what its address holds, and no id that only another client received."""
        shared = self.lab.endpoint.recipe.shared
        self.record(
            tab.name,
            "endpoint",
            "opens the conversation" + (f", whose address holds {', '.join(shared)}" * bool(shared)),
        )
        return self._add_stream(tab, await self.lab.endpoint.join(tab, chat or self.chat))

    def _add_stream(self, tab: Tab, stream: ClientStream) -> ClientStream:
        if stream not in self.streams:
            self.streams.append(stream)
        if stream.closed is not None and not stream.closed.marked and stream.closed.word != "closed":
            self.record("endpoint", tab.name, f"{stream.closed.word}: {stream.closed.detail}", fault=False)
        return stream

    async def command(self, verb: Verb, tab: Tab, on: ClientStream | None = None, **names: str) -> Receipt:
        """Stop, steer or approve."""
        self.record(tab.name, "endpoint", verb)
        receipt = await self.lab.endpoint.command(verb, tab, self.chat, names, on)
        self.record("endpoint", tab.name, f"{'accepts' if receipt.ok else 'refuses'}: {receipt.detail}")
        return receipt

    async def wait(self, stream: ClientStream, fraction: float) -> bool:
        """Wait until so much of the answer has come."""
        chars = max(1, int(self.lab.chars * fraction))
        arrived = await stream.until(lambda page: len(page.answer) >= chars, self.lab.answer_s)
        self.record("endpoint", "tab A", f"{len(stream.transcript.answer)} characters of the answer")
        return arrived

    async def wait_for_part(self, stream: ClientStream, fraction: float) -> ProbeResult | None:
        """Wait until so much of the answer has come and more is to come; else why that was not to be had."""
        came = await self.wait(stream, fraction)
        page, closed = stream.transcript, stream.closed
        if came and not page.ended and closed is None:
            return None
        if closed is not None and closed.ending == "cut":
            return inconclusive(f"the answer broke off before anything was done to it: {closed}")
        if not page.answer:
            return inconclusive("nothing was answered this time, so nothing could be done to the answer")
        if not came and not page.ended and closed is None:
            chars = f"{len(page.answer)} of about {self.lab.chars} characters"
            return inconclusive(
                f"only {chars} came within {self.lab.answer_s:.3g} s: it was slower than at first contact"
            )
        return inconclusive(TOO_SHORT)

    async def wait_finished(
        self, tab: Tab, stream: ClientStream, answers: int = 1, within_s: float | None = None
    ) -> StreamEnd:
        """Wait for the end of the answer, and for what still comes after it where the connection stays open."""
        end = await stream.finished(within_s or self.lab.answer_s, answers)
        if end.marked:
            await stream.quiet(QUIET_S)
        chars = len(stream.transcript.answer)
        self.record("endpoint", tab.name, f"{end.word} after {chars} characters {end.detail}".strip())
        return end

    def inject(self, tab: Tab, fault: Fault) -> None:
        """Let something happen to a client's open lines."""
        what = f"{fault.fault} ({fault.how})" if fault.fault == "cut" else fault.fault.replace("_", "-")
        self.record("network", tab.name, what, fault=True)
        tab.proxy.apply(fault)

    async def close_tab(self, tab: Tab, stream: ClientStream) -> None:
        """Close a tab, politely."""
        self.record(tab.name, "endpoint", "closes the tab")
        await stream.close()

    # --- judging
    async def read_as_new_client(self, name: str = "later") -> Transcript | None:
        """What a client that comes now sees once the conversation is at rest; None when no client can.

        A page that only says how the answer ended, and shows none of it, is one too.
        """
        endpoint = self.lab.endpoint
        tab = await self.tab(name)
        fallback: Transcript | None = None
        if endpoint.offers("history"):
            self.record(name, "endpoint", "reads the history")
            page = await endpoint.history(tab, self.chat)
            if page is not None and page.answer:
                return page
            fallback = page if page is not None and page.last_end else None
        if endpoint.offers("join"):
            stream = await self.join(tab)
            await self.wait_finished(tab, stream)
            if stream.transcript.answer or (fallback is None and stream.transcript.last_end):
                return stream.transcript
        return fallback

    async def expected_text(self, prompt: str = "") -> str | None:
        """The text the answer must have: always the same one, or what another client sees of it; None: unknown.

        Where no end is ever marked, another client's text is only believed when it has about the usual length.
        """
        fixed = self.lab.fixed_answers.get(prompt or self.lab.options.prompt)
        if fixed is not None:
            return fixed
        page = await self.read_as_new_client("witness")
        if page is None or not page.answer or not self.is_over(page):
            return None
        return page.answer if self.lab.contact.marks_end or self.lab.is_whole(page.answer) else None

    def is_over(self, page: Transcript) -> bool:
        """Whether the page shows no answer as being written, as far as this endpoint marks ends at all."""
        return not page.open or not self.lab.contact.marks_end

    def compare(self, expected: str, got: str) -> Difference:
        """How a client's text differs from the one it should have."""
        found = difference(expected, got)
        self.measured["missing_chars"] = self.measured.get("missing_chars", 0) + found.missing
        self.measured["extra_chars"] = self.measured.get("extra_chars", 0) + found.extra
        return found


@dataclass
class ProbeResult:
    """What a probe concludes.

    Attributes:
        lacks: there is no way at all to do it. after: probes whose failure explains this one, beside those that always do.
    """

    verdict: Verdict
    saw: str
    lacks: bool = False
    after: tuple[str, ...] = ()


def passed(saw: str) -> ProbeResult:
    """As expected."""
    return ProbeResult("pass", saw)


def failed(saw: str, after: tuple[str, ...] = ()) -> ProbeResult:
    """Not as expected; ``after``: unless one of these failed, which explains it."""
    return ProbeResult("fail", saw, after=after)


def unsupported(saw: str) -> ProbeResult:
    """Not as expected: there is no way to do it at all."""
    return ProbeResult("fail", saw, lacks=True)


def inconclusive(saw: str) -> ProbeResult:
    """It could not be decided."""
    return ProbeResult("inconclusive", saw)


def skipped(saw: str) -> ProbeResult:
    """It does not apply."""
    return ProbeResult("not_applicable", saw)
