"""Continuity: does the conversation follow the person across tabs, devices and reloads?"""

from __future__ import annotations

from typing import Final

from holdfast.audit.clients import fresh
from holdfast.audit.compare import describe_difference
from holdfast.audit.lab import ProbeResult, Trial, failed, inconclusive, passed, unsupported
from holdfast.audit.probes.probe import Probe
from holdfast.audit.probes.turns import Outline, ask_twice_once
from holdfast.audit.stream import ClientStream
from holdfast.audit.transcript import Transcript

NOT_SHARED: Final = "the answer goes to the one connection that asked for it: no other tab or device can see it"


async def _both(trial: Trial, fraction: float, *, device: str = "") -> ProbeResult:
    """A second client opens the conversation at a part of the answer; both must end with the same."""
    if not trial.lab.endpoint.offers("join"):
        return unsupported(NOT_SHARED)
    first, second = await trial.tab("tab A"), await trial.tab("tab B" if not device else "phone", device=device)
    stream = await trial.ask(first)
    if early_result := await trial.wait_for_part(stream, fraction):
        return early_result
    other = await trial.join(second)
    end = await trial.wait_finished(first, stream)
    other_end = await trial.wait_finished(second, other)
    trial.add_evidence(second.name, other)
    if end.marked and not other_end.marked and other.transcript.answer:
        return failed(f"{second.name} never learnt that the answer had ended ({other_end}), tab A did: {end.word}")
    return _same(trial, stream, other, second.name)


def _same(trial: Trial, stream: ClientStream, other: ClientStream, name: str) -> ProbeResult:
    if not stream.transcript.answer:
        return inconclusive("the first client lost its own answer")
    if not other.transcript.answer:
        reason = str(other.closed) if other.closed else "nothing came"
        return failed(f"{name} saw nothing of the answer: {reason}")
    first, second = stream.transcript.answer, other.transcript.answer
    expected = trial.lab.fixed_answers.get(trial.lab.options.prompt)
    if expected is not None and first != expected and second == expected:
        return failed(f"{name} got the whole answer and took it from tab A, which has {len(first)} characters of it")
    differs = trial.compare(expected if expected is not None else first, second)
    if not differs.exact:
        return failed(f"{name}, compared with {'tab A' if expected is None else 'the whole answer'}: {differs}")
    return passed(f"{name} ended with {differs} as tab A, {len(second)} characters")


async def from_start(trial: Trial) -> ProbeResult:
    """A second client from the first piece on."""
    return await _both(trial, 0.0)


async def middle(trial: Trial) -> ProbeResult:
    """A second client at half of the answer."""
    return await _both(trial, 0.5)


async def other_device(trial: Trial) -> ProbeResult:
    """The same with nothing of the first device."""
    return await _both(trial, 0.5, device=fresh())


async def after_end(trial: Trial) -> ProbeResult:
    """A client that comes too late for the stream."""
    endpoint = trial.lab.endpoint
    if not endpoint.offers("join") and not endpoint.offers("history"):
        return unsupported("no client can read the answer again once it was sent")
    first = await trial.tab("tab A")
    stream = await trial.ask(first)
    await trial.wait_finished(first, stream)
    await trial.close_tab(first, stream)
    page = await trial.read_as_new_client("tab B")
    if not stream.transcript.answer:
        return inconclusive("the first client got no answer")
    if page is None or not page.answer:
        return failed("a tab opened after the end saw nothing of the answer")
    differs = trial.compare(stream.transcript.answer, page.answer)
    if not differs.exact:
        return failed(f"tab B, compared with tab A: {differs}")
    if not trial.is_over(page):
        return failed("tab B shows the answer as still being written")
    return passed(f"tab B ended with {differs}")


async def order(trial: Trial) -> ProbeResult:
    """Two questions and answers, in order."""
    endpoint = trial.lab.endpoint
    if not endpoint.offers("join") and not endpoint.offers("history"):
        return unsupported(NOT_SHARED)
    turns = await ask_twice_once(trial)
    asked_order, seen = turns.asked_and_answered, turns.seen
    if turns.problem:
        return inconclusive(turns.problem)
    if seen is None:
        return failed("a second client saw nothing of the two answers")
    if not any(kind == "user" for kind, _ in seen):
        asked_order = _join_answers([entry for entry in asked_order if entry[0] == "answer"])
    if seen == asked_order:
        return passed(f"the same order for both: {_summary(seen)}")
    if sorted(seen) == sorted(asked_order):
        return failed(f"the same, in another order: {_summary(seen)} instead of {_summary(asked_order)}")
    if [kind for kind, _ in seen] != [kind for kind, _ in asked_order]:
        return failed(f"said: {_summary(asked_order)}; seen by tab B: {_summary(seen)}")
    at = next(number for number, (one, other) in enumerate(zip(asked_order, seen, strict=True)) if one != other)
    return failed(
        f"the texts differ: tab B's {seen[at][0]} {at // 2 + 1} has {describe_difference(asked_order[at][1], seen[at][1])}"
    )


def _join_answers(entries: Outline) -> Outline:
    """Answers in a row as one, as a page shows them that has no questions."""
    return [("answer", "".join(text for _, text in entries))] if entries else []


def _summary(entries: Outline) -> str:
    return " · ".join(f"{kind} {text[:16]!r} ({len(text)})" for kind, text in entries) or "nothing"


async def reload(trial: Trial) -> ProbeResult:
    """The same person, with nothing remembered but the address."""
    endpoint, options = trial.lab.endpoint, trial.lab.options
    if not endpoint.offers("join"):
        return unsupported("a reloaded page cannot find the answer that is being written")
    tab = await trial.tab("tab A")
    stream = await trial.ask(tab)
    if early_result := await trial.wait_for_part(stream, 0.4):
        return early_result
    read_before = stream.transcript.answer
    await trial.close_tab(tab, stream)
    again = await trial.tab("tab A, reloaded")
    history = await endpoint.history(again, trial.chat) if endpoint.offers("history") else None
    other = await trial.join(again)
    end = await trial.wait_finished(again, other)
    trial.add_evidence("after the reload", other)
    answer = other.transcript.answer
    if not answer:
        return failed(f"nothing of the answer ({len(read_before)} characters had been read) after the reload")
    expected = await trial.expected_text()
    if expected is not None and answer != expected:
        return failed(f"after the reload: {trial.compare(expected, answer)}")
    if not endpoint.recipe.sees("user"):
        return inconclusive("the answer came back after the reload; no rule of the recipe tells of questions")
    if not _question(other.transcript, history, options.prompt):
        return failed("the answer came back after the reload, the question did not")
    if expected is None and not answer.startswith(read_before):
        return failed("what had been read before the reload is not what stands there now")
    if expected is None and not (trial.lab.is_end(end) and len(answer) > len(read_before)):
        return inconclusive(
            f"{len(read_before)} characters before the reload and {len(answer)} after it, {end}; is that all of it?"
        )
    return passed(f"the question, the {len(read_before)} characters read before and the rest, {len(answer)} in all")


def _question(page: Transcript, history: Transcript | None, prompt: str) -> bool:
    pages = [page] + ([history] if history is not None else [])
    return any(entry.text == prompt for one in pages for entry in one.of("user"))


PROBES: Final = (
    Probe(
        "continuity.from_start", "continuity", "A second tab from the start",
        "opened a second tab when the answer began", "both tabs end with the same answer", from_start,
        after=("continuity.middle",),
    ),
    Probe(
        "continuity.middle", "continuity", "A second tab in the middle",
        "opened a second tab at half of the answer", "both tabs end with the same answer", middle,
    ),
    Probe(
        "continuity.after_end", "continuity", "A tab after the end",
        "opened a tab after the answer had ended", "it shows the whole answer, and that it is over", after_end,
    ),
    Probe(
        "continuity.other_device", "continuity", "Another device in the middle",
        "opened the conversation on another device at half of the answer", "both devices end with the same answer",
        other_device, after=("continuity.middle",),
    ),
    Probe(
        "continuity.order", "continuity", "The same order for all",
        "asked twice, and compared what a second client sees with what was said, in order",
        "questions and answers stand in the same order with the same texts", order, after=("continuity.after_end",),
    ),
    Probe(
        "continuity.reload", "continuity", "Reload in the middle",
        "reloaded the page at 40 % of the answer, remembering nothing but the conversation's id",
        "the question, the answer so far and the rest are there", reload,
        after=("continuity.middle", "control.disconnect"),
    ),
)  # fmt: skip
