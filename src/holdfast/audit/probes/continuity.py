"""Continuity: does the conversation follow the person across tabs, devices and reloads?"""

from __future__ import annotations

from typing import Final

from holdfast.audit.compare import apart
from holdfast.audit.clients import fresh
from holdfast.audit.lab import Saw, Scene, failed, lacking, passed, undecided
from holdfast.audit.probes.probe import Probe
from holdfast.audit.probes.turns import Outline, two_answers
from holdfast.audit.stream import Stream
from holdfast.audit.transcript import Transcript

ALONE: Final = "the answer goes to the one connection that asked for it: no other tab or device can see it"


async def _both(scene: Scene, fraction: float, *, device: str = "") -> Saw:
    """A second client opens the conversation at a part of the answer; both must end with the same."""
    if not scene.lab.endpoint.offers("join"):
        return lacking(ALONE)
    first, second = await scene.tab("tab A"), await scene.tab("tab B" if not device else "phone", device=device)
    stream = await scene.ask(first)
    if why := await scene.reach(stream, fraction):
        return why
    other = await scene.join(second)
    told = await scene.finished(first, stream)
    seen = await scene.finished(second, other)
    scene.show(second.name, other)
    if told.said and not seen.said and other.transcript.answer:
        return failed(f"{second.name} never learnt that the answer had ended ({seen}), tab A did: {told.word}")
    return _same(scene, stream, other, second.name)


def _same(scene: Scene, stream: Stream, other: Stream, name: str) -> Saw:
    if not stream.transcript.answer:
        return undecided("the first client lost its own answer")
    if not other.transcript.answer:
        why = str(other.closed) if other.closed else "nothing came"
        return failed(f"{name} saw nothing of the answer: {why}")
    first, second = stream.transcript.answer, other.transcript.answer
    expected = scene.lab.truth.get(scene.lab.options.prompt)
    if expected is not None and first != expected and second == expected:
        return failed(f"{name} got the whole answer and took it from tab A, which has {len(first)} characters of it")
    differs = scene.compare(expected if expected is not None else first, second)
    if not differs.exact:
        return failed(f"{name}, compared with {'tab A' if expected is None else 'the whole answer'}: {differs}")
    return passed(f"{name} ended with {differs} as tab A, {len(second)} characters")


async def from_start(scene: Scene) -> Saw:
    """A second client from the first piece on."""
    return await _both(scene, 0.0)


async def middle(scene: Scene) -> Saw:
    """A second client at half of the answer."""
    return await _both(scene, 0.5)


async def other_device(scene: Scene) -> Saw:
    """The same with nothing of the first device."""
    return await _both(scene, 0.5, device=fresh())


async def after_end(scene: Scene) -> Saw:
    """A client that comes too late for the stream."""
    endpoint = scene.lab.endpoint
    if not endpoint.offers("join") and not endpoint.offers("history"):
        return lacking("no client can read the answer again once it was sent")
    first = await scene.tab("tab A")
    stream = await scene.ask(first)
    await scene.finished(first, stream)
    await scene.leave(first, stream)
    page = await scene.look("tab B")
    if not stream.transcript.answer:
        return undecided("the first client got no answer")
    if page is None or not page.answer:
        return failed("a tab opened after the end saw nothing of the answer")
    differs = scene.compare(stream.transcript.answer, page.answer)
    if not differs.exact:
        return failed(f"tab B, compared with tab A: {differs}")
    if not scene.over(page):
        return failed("tab B shows the answer as still being written")
    return passed(f"tab B ended with {differs}")


async def order(scene: Scene) -> Saw:
    """Two questions and answers, in order."""
    endpoint = scene.lab.endpoint
    if not endpoint.offers("join") and not endpoint.offers("history"):
        return lacking(ALONE)
    turns = await two_answers(scene)
    said, seen = turns.said, turns.seen
    if turns.why:
        return undecided(turns.why)
    if seen is None:
        return failed("a second client saw nothing of the two answers")
    if not any(kind == "user" for kind, _ in seen):
        said = _together([entry for entry in said if entry[0] == "answer"])
    if seen == said:
        return passed(f"the same order for both: {_sketch(seen)}")
    if sorted(seen) == sorted(said):
        return failed(f"the same, in another order: {_sketch(seen)} instead of {_sketch(said)}")
    if [kind for kind, _ in seen] != [kind for kind, _ in said]:
        return failed(f"said: {_sketch(said)}; seen by tab B: {_sketch(seen)}")
    at = next(number for number, (one, other) in enumerate(zip(said, seen, strict=True)) if one != other)
    return failed(f"the texts differ: tab B's {seen[at][0]} {at // 2 + 1} has {apart(said[at][1], seen[at][1])}")


def _together(entries: Outline) -> Outline:
    """Answers in a row as one, as a page shows them that has no questions."""
    return [("answer", "".join(text for _, text in entries))] if entries else []


def _sketch(entries: Outline) -> str:
    return " · ".join(f"{kind} {text[:16]!r} ({len(text)})" for kind, text in entries) or "nothing"


async def reload(scene: Scene) -> Saw:
    """The same person, with nothing remembered but the address."""
    endpoint, options = scene.lab.endpoint, scene.lab.options
    if not endpoint.offers("join"):
        return lacking("a reloaded page cannot find the answer that is being written")
    tab = await scene.tab("tab A")
    stream = await scene.ask(tab)
    if why := await scene.reach(stream, 0.4):
        return why
    had = stream.transcript.answer
    await scene.leave(tab, stream)
    again = await scene.tab("tab A, reloaded")
    history = await endpoint.history(again, scene.chat) if endpoint.offers("history") else None
    other = await scene.join(again)
    end = await scene.finished(again, other)
    scene.show("after the reload", other)
    answer = other.transcript.answer
    if not answer:
        return failed(f"nothing of the answer ({len(had)} characters had been read) after the reload")
    expected = await scene.truth()
    if expected is not None and answer != expected:
        return failed(f"after the reload: {scene.compare(expected, answer)}")
    if not endpoint.recipe.sees("user"):
        return undecided("the answer came back after the reload; no rule of the recipe tells of questions")
    if not _question(other.transcript, history, options.prompt):
        return failed("the answer came back after the reload, the question did not")
    if expected is None and not answer.startswith(had):
        return failed("what had been read before the reload is not what stands there now")
    if expected is None and not (scene.lab.over(end) and len(answer) > len(had)):
        return undecided(
            f"{len(had)} characters before the reload and {len(answer)} after it, {end}; is that all of it?"
        )
    return passed(f"the question, the {len(had)} characters read before and the rest, {len(answer)} in all")


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
