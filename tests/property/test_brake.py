"""However a provider's bytes are cut into reads, and money into tranches: a caller is given no more than was granted, and
what it was given ends legally."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from holdfast.gateway.attempt import UpstreamAttempt
from holdfast.gateway.brake import Braked
from holdfast.gateway.incoming import Incoming
from holdfast.gateway.port import BrakeNews, Caller, ModelCall, Opening
from holdfast.gateway.relay import Relay
from holdfast.gateway.seen import SeenOutput
from holdfast.gateway.wires import CHAT, MESSAGES, RESPONSES, GatewayWire
from holdfast.providers import pieces as p
from holdfast.providers.dialects import STREAM_DIALECTS
from holdfast.providers.usage import TokenUsage
from tests.unit.gateway.holds import ScriptedHold


class Given:
    """What a caller is given."""

    started = False

    def __init__(self) -> None:
        self.data = b""

    async def feed(self, data: bytes, headers: Any) -> None:
        self.data += data

    async def end(self, headers: Any) -> None:
        self.data += b""


@st.composite
def answers(draw: st.DrawFn) -> tuple[GatewayWire, bytes, list[str]]:
    """A whole stream, with the texts in it."""
    wire = draw(st.sampled_from([CHAT, RESPONSES, MESSAGES]))
    texts = draw(st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=25))
    encoder = STREAM_DIALECTS[wire.name].encoder()
    pieces: list[p.Piece] = [p.AnswerStart("a1", "m", 1)]
    if draw(st.booleans()):
        pieces += [p.TextDelta(text) for text in texts]
    else:
        pieces += [p.CallStart(1, "c1", "look_up"), *(p.ArgumentsDelta(text, 1) for text in texts), p.ItemEnd(1)]
    pieces += [p.AnswerFinish("", "stop"), TokenUsage(1, None, None, len(texts), None), p.AnswerEnd()]
    data = encoder.encode(pieces)
    return wire, data.replace(b"\n", draw(st.sampled_from([b"\n", b"\r\n"]))), texts


@given(answers(), st.data())
def test_never_more_than_was_granted(answer: tuple[GatewayWire, bytes, list[str]], data: st.DataObject) -> None:
    wire, stream, texts = answer
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    reads = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True) if a < b]
    first, tranche, cap = (data.draw(st.integers(1, 60)) for _ in range(3))
    asyncio.run(_relayed(wire, reads, (first, tranche, max(first, cap)), texts, data.draw(st.booleans())))


async def _relayed(
    wire: GatewayWire, reads: list[bytes], money: tuple[int, int, int], texts: list[str], truncate: bool
) -> None:
    first, tranche, cap = money
    hold, news = ScriptedHold(first, tranche=tranche, cap=cap), list[BrakeNews]()
    incoming = Incoming(wire, b'{"model": "m"}', {})
    call = ModelCall("c", Caller("k"), wire.name, "m", 0)
    attempt = UpstreamAttempt(incoming, Opening("c.1", call, 1, "u", "openai", "m", 0), hold, news.append)
    attempt.sent = True
    caller = Given()

    async def content() -> AsyncIterator[bytes]:
        for read in reads:
            yield read
            await asyncio.sleep(0)

    relay = Relay(wire, content(), caller, attempt, [], lambda: 0, lambda: "")  # type: ignore[arg-type]
    assert attempt.brake is not None and attempt.followed is not None
    try:
        async with asyncio.timeout(None) as scope:
            await relay.run(scope)
    except Braked as braked:
        passed = caller.data
        used = attempt.used(so_far=True)
        end = relay.followed.truncation(used, [0]) if truncate else relay.followed.ending(braked.error, used)
        _is_legal(wire, passed + end, truncate, used.total_output)
        assert _tokens(wire, passed) + tranche >= cap - max(len(text.encode()) * 6 for text in texts)
    else:
        passed = caller.data
        assert _text(wire, passed) == "".join(texts)
    finally:
        await attempt.brake.close()
    assert hold.granted is not None and _tokens(wire, passed) <= hold.granted <= cap


def _tokens(wire: GatewayWire, data: bytes) -> int:
    seen = SeenOutput(wire)
    seen.add(*seen.weigh(data))
    return seen.tokens


def _pieces(wire: GatewayWire, data: bytes) -> list[p.Piece]:
    decoder = STREAM_DIALECTS[wire.name].decoder()
    return [*decoder.feed(data), *decoder.close()]


def _text(wire: GatewayWire, data: bytes) -> str:
    pieces = _pieces(wire, data)
    return "".join(piece.text for piece in pieces if isinstance(piece, p.TextDelta | p.ArgumentsDelta))


def _is_legal(wire: GatewayWire, data: bytes, truncate: bool, output: int) -> None:
    pieces = _pieces(wire, data)
    assert not any(isinstance(piece, p.UnknownPart) for piece in pieces), pieces
    assert isinstance(pieces[-1], p.AnswerEnd if truncate else p.AnswerFailure)
    usage = [piece for piece in pieces if isinstance(piece, TokenUsage)]
    assert usage and usage[-1].output == output
    if truncate:
        assert [piece.stop for piece in pieces if isinstance(piece, p.AnswerFinish)] == ["length"]
    opened = [piece for piece in pieces if isinstance(piece, p.CallStart | p.ItemStart)]
    if wire is not CHAT and opened:
        assert sum(isinstance(piece, p.ItemEnd) for piece in pieces) >= len(opened)
