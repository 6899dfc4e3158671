"""The codecs of providers, held to their laws: cut anywhere, there and back, into another dialect, and on rubbish."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.protocol.codec import well_formed
from holdfast.providers import pieces as p
from holdfast.providers.decoder import StreamDecoder
from holdfast.providers.dialects import STREAM_DIALECTS
from holdfast.providers.errors import MalformedStream
from holdfast.providers.usage import TokenUsage

from .provider_streams import ANSWERS, Pieces, words

EXAMPLES = int(os.environ.get("HOLDFAST_EXAMPLES", "150"))
some = settings(max_examples=EXAMPLES, deadline=None)
dialects = st.sampled_from(sorted(ANSWERS))


def read(decoder: StreamDecoder, reads: Iterator[bytes]) -> tuple[Pieces, str]:
    """All pieces of a stream, and with what it was refused."""
    pieces: Pieces = []
    try:
        for data in reads:
            pieces += decoder.feed(data)
        pieces += decoder.close()
    except MalformedStream as error:
        return pieces, str(error)
    return pieces, ""


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """A body in reads of these sizes, again and again."""
    at = 0
    for size in itertools.cycle(sizes):
        if at >= len(data):
            return
        yield data[at : at + size]
        at += size


def decoded(dialect: str, data: bytes, **options: Any) -> Pieces:
    pieces, refused = read(STREAM_DIALECTS[dialect].decoder(**options), iter([data]))
    assert not refused
    return pieces


def encoded(dialect: str, pieces: Pieces, *, native: bool = True) -> bytes:
    return STREAM_DIALECTS[dialect].encoder(native=native).encode(pieces)


sizes = st.lists(st.integers(1, 40), min_size=1, max_size=6)
line_ends = st.sampled_from([b"\n", b"\r\n", b"\r"])


@st.composite
def bodies(draw: st.DrawFn) -> tuple[str, bytes]:
    """A dialect and a stream of it, framed in one of the ways there are, and sometimes broken."""
    dialect = draw(dialects)
    data = encoded(dialect, draw(ANSWERS[dialect]))
    comments = draw(st.lists(st.sampled_from([b": ping\n\n", b"retry: 3\n\n", b"id: 4\ndata:\n\n"]), max_size=2))
    data = b"".join(comments) + data
    if draw(st.booleans()):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(max_size=6)) + data[at + draw(st.integers(0, 3)) :]
    bom = b"\xef\xbb\xbf" if draw(st.booleans()) else b""
    return dialect, bom + data.replace(b"\n", draw(line_ends))


@some
@given(bodies(), sizes)
def test_a_stream_says_the_same_however_it_is_cut(body: tuple[str, bytes], sizes: list[int]) -> None:
    dialect, data = body
    whole = read(STREAM_DIALECTS[dialect].decoder(), iter([data]))
    assert read(STREAM_DIALECTS[dialect].decoder(), cut(data, sizes)) == whole
    assert read(STREAM_DIALECTS[dialect].decoder(), cut(data, [1])) == whole


@some
@given(dialects.flatmap(lambda name: st.tuples(st.just(name), ANSWERS[name])), sizes)
def test_what_a_dialect_can_say_it_says_and_reads_again(answer: tuple[str, Pieces], sizes: list[int]) -> None:
    dialect, pieces = answer
    data = encoded(dialect, pieces)
    assert decoded(dialect, data) == pieces
    assert p.merge(decoded(dialect, encoded(dialect, p.merge(pieces)))) == p.merge(pieces)
    encoder = STREAM_DIALECTS[dialect].encoder(native=True)
    assert b"".join(encoder.encode([piece]) for piece in pieces) == data, "piece by piece"
    assert not encoder.unsaid


@some
@given(dialects.flatmap(lambda name: st.tuples(st.just(name), ANSWERS[name])), sizes)
def test_usage_and_ends_are_read_without_the_content(answer: tuple[str, Pieces], sizes: list[int]) -> None:
    dialect, pieces = answer
    decoder = STREAM_DIALECTS[dialect].decoder(deltas=False)
    found, refused = read(decoder, cut(encoded(dialect, pieces), sizes))
    starts = (p.AnswerStart,)
    control = [piece for piece in pieces if isinstance(piece, p.CONTROL)]
    assert [f for f in found if not isinstance(f, starts)] == [c for c in control if not isinstance(c, starts)]
    assert decoder.ended and not refused and {type(f) for f in found} <= set(p.CONTROL)


def content(pieces: Pieces, *, refusals: bool) -> dict[str, Any]:
    """What an answer says in any dialect; ``refusals``: whether it tells them from text."""
    kinds = (p.TextDelta,) if refusals else (p.TextDelta, p.RefusalDelta)
    calls = {c.item: [c.id, c.name, ""] for c in pieces if isinstance(c, p.CallStart)}
    for piece in pieces:
        if isinstance(piece, p.ArgumentsDelta) and piece.item in calls:
            calls[piece.item][2] += piece.text
    usage = next((u for u in reversed(pieces) if isinstance(u, TokenUsage)), TokenUsage())
    failure = next((f for f in pieces if isinstance(f, p.AnswerFailure)), None)
    finish = next((f.stop for f in reversed(pieces) if isinstance(f, p.AnswerFinish)), None)
    return {
        "text": well_formed("".join(t.text for t in pieces if isinstance(t, kinds))),
        "refusal": refusals and well_formed("".join(t.text for t in pieces if isinstance(t, p.RefusalDelta))),
        "reasoning": well_formed("".join(t.text for t in pieces if isinstance(t, p.ReasoningDelta))),
        "calls": [[ident, name, well_formed(args)] for ident, name, args in calls.values()],
        "usage": [c or 0 for c in (usage.total_input, usage.cache_read, usage.output)],
        "failure": failure, "finish": None if failure else finish,
    }  # fmt: skip


@some
@given(dialects.flatmap(lambda name: st.tuples(st.just(name), ANSWERS[name])), dialects)
def test_an_answer_is_the_same_in_another_dialect(answer: tuple[str, Pieces], other: str) -> None:
    _, pieces = answer
    apart = other != "anthropic.messages"
    if any(isinstance(piece, TokenUsage) and piece.odd for piece in pieces):
        return  # counts that contradict each other are not the same counted otherwise
    again = decoded(other, encoded(other, pieces, native=False))
    there, here = content(again, refusals=apart), content(pieces, refusals=apart)
    if here["finish"] not in ("stop", "length", "refused"):  # the dialects have words for these only
        there["finish"] = here["finish"]
    assert there == here
    assert type(again[-1]) is type(pieces[-1])


@some
@given(dialects.flatmap(lambda name: st.tuples(st.just(name), ANSWERS[name])), st.integers(0, 30))
def test_a_stream_that_was_passed_on_is_ended_by_somebody_else(answer: tuple[str, Pieces], at: int) -> None:
    """The brake: the bytes of the provider up to anywhere, and then the end."""
    dialect, pieces = answer
    cut_at = min(at, len(pieces) - 2)
    # counts grow: what is told at the end is never less than what was told before it
    passed, usage = pieces[:cut_at], TokenUsage(input=20_000, cache_read=20_000, cache_write=20_000, output=3)
    encoder = STREAM_DIALECTS[dialect].encoder(native=True)
    writer = STREAM_DIALECTS[dialect].encoder(native=True)
    encoder.follow(passed)
    data = writer.encode(passed)
    if dialect == "openai.responses":
        encoder.sequence = writer.sequence  # type: ignore[attr-defined]
    failure = p.AnswerFailure("budget_exceeded", "billing_error", "The budget is spent.")
    data += encoder.encode([usage, failure])
    again = decoded(dialect, data)
    assert again[-1] == failure
    last = next(u for u in reversed(again) if isinstance(u, TokenUsage))
    assert (last.total_input, last.output) == (60_000, 3)
    opened = [i.item for i in again if isinstance(i, (p.ItemStart, p.CallStart, p.ProviderCallStart))]
    if dialect != "openai.chat":
        assert set(opened) <= {i.item for i in again if isinstance(i, p.ItemEnd)}, "what is open is closed"


# --- rubbish
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(allow_nan=False), words),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=8,
)


@st.composite
def odd_events(draw: st.DrawFn) -> tuple[str, list[Any]]:
    """Events of a dialect in which some values are others."""
    dialect = draw(dialects)
    data = encoded(dialect, draw(ANSWERS[dialect]))
    events = [json.loads(line[6:]) for line in data.split(b"\n") if line.startswith(b"data: {")]
    for _ in range(draw(st.integers(1, 3))):
        events.append(_spoiled(draw, draw(st.sampled_from(events))))
    return dialect, draw(st.permutations(events)) if draw(st.booleans()) else events


def _spoiled(draw: st.DrawFn, value: Any) -> Any:
    if isinstance(value, dict) and value and draw(st.integers(0, 5)):
        name = draw(st.sampled_from(sorted(value)))
        return {**value, name: _spoiled(draw, value[name])}
    if isinstance(value, list) and value and draw(st.integers(0, 5)):
        return [_spoiled(draw, value[0]), *value[1:]]
    return draw(json_values)


@some
@given(odd_events(), sizes)
def test_odd_events_raise_nothing_but_the_codecs_own_error(case: tuple[str, list[Any]], sizes: list[int]) -> None:
    dialect, events = case
    data = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)
    pieces, _ = read(STREAM_DIALECTS[dialect].decoder(), cut(data, sizes))
    read(STREAM_DIALECTS[dialect].decoder(deltas=False), cut(data, sizes))
    for name in STREAM_DIALECTS:
        again = encoded(name, pieces, native=name == dialect)
        read(STREAM_DIALECTS[name].decoder(), iter([again]))


@some
@given(dialects, st.lists(st.one_of(st.binary(max_size=30), st.sampled_from([
    b"data: ", b"\n\n", b"\r", b"[DONE]", b'{"type":', b'"error"}', b"{}", b"event: error\n", b"[" * 200, b'"\xff"',
])), max_size=20))  # fmt: skip
def test_rubbish_raises_nothing_but_the_codecs_own_error(dialect: str, reads: list[bytes]) -> None:
    whole = read(STREAM_DIALECTS[dialect].decoder(), iter([b"".join(reads)]))
    assert read(STREAM_DIALECTS[dialect].decoder(), iter(reads)) == whole


@pytest.mark.parametrize("dialect", STREAM_DIALECTS)
def test_an_error_is_raised_again_and_what_came_before_it_is_told(dialect: str) -> None:
    decoder = STREAM_DIALECTS[dialect].decoder()
    ok = encoded(dialect, [p.AnswerStart("a", "m"), TokenUsage(input=1, output=1), p.TextDelta("High tide.")])
    pieces = decoder.feed(ok + b"data: {\n\n" + ok)
    assert p.TextDelta("High tide.") in pieces
    for _ in range(2):
        with pytest.raises(MalformedStream):
            decoder.feed(ok)
    with pytest.raises(MalformedStream):
        decoder.close()
