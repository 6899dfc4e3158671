"""LOG-5, exhaustively: what a producer may say next, given everything it said before, across restarts."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Refused
from holdfast.protocol import limits, wire
from holdfast.protocol.events import Draft, Event
from holdfast.protocol.frames import Frame, ProducerKey, encode_frame
from holdfast.session import producer
from holdfast.session.state import State

NAME = "p user:ann p1"


def verdict(state: State, epoch: int, seq: int, content: str) -> str:
    """``new``, ``known FIRST``, or the code of the refusal."""
    try:
        known = producer.find(state, (NAME, epoch, seq), content)
    except Refused as refused:
        return refused.code
    return "new" if known is None else f"known {known.first}"


def accept(state: State, epoch: int, seq: int, content: str, ts: int = 1_000) -> None:
    state.tail += 1
    producer.remember(state, ProducerKey(NAME, epoch, seq, content, state.tail, state.tail, ts))


class Model:
    """What PROTOCOL.md says, in the plainest words: everything accepted, for ever."""

    def __init__(self) -> None:
        self.accepted: dict[tuple[int, int], tuple[str, int]] = {}
        self.epoch, self.seq = 0, 0

    def verdict(self, epoch: int, seq: int, content: str) -> str:
        if not self.accepted:
            return "new" if seq == 1 else "producer.gap"
        if epoch < self.epoch:
            return "producer.fenced"
        if epoch > self.epoch:
            return "new" if seq == 1 else "producer.gap"
        if seq == self.seq + 1:
            return "new"
        if seq > self.seq:
            return "producer.gap"
        if seq <= self.seq - limits.PRODUCER_WINDOW_APPENDS:
            return "producer.expired"
        known, first = self.accepted[epoch, seq]
        return f"known {first}" if known == content else "producer.conflict"

    def accept(self, epoch: int, seq: int, content: str) -> None:
        self.accepted[epoch, seq] = (content, len(self.accepted) + 1)
        self.epoch, self.seq = epoch, seq


def test_every_short_history() -> None:
    """All sequences of four appends over two epochs, three numbers and two contents."""
    tries = list(itertools.product((1, 2), (1, 2, 3), ("x", "y")))
    for history in itertools.product(tries, repeat=3):
        state, model = State("s", "i"), Model()
        for epoch, seq, content in history:
            said = verdict(state, epoch, seq, content)
            assert said == model.verdict(epoch, seq, content), history
            if said == "new":
                accept(state, epoch, seq, content)
                model.accept(epoch, seq, content)
        for epoch, seq, content in tries:
            assert verdict(state, epoch, seq, content) == model.verdict(epoch, seq, content), history


@given(
    st.lists(st.tuples(st.integers(-70, 2), st.integers(0, 1), st.sampled_from("xxxxy")), max_size=200), st.booleans()
)
def test_long_histories_and_restarts(choices: list[tuple[int, int, str]], through_snapshot: bool) -> None:
    state, model, keys = State("s", "i"), Model(), list[ProducerKey]()
    for back, up, content in choices:
        epoch, seq = model.epoch + (up if back == 2 else 0), max(1, model.seq + 1 + min(back, 1))
        if epoch > model.epoch:
            seq = 1
        said = verdict(state, epoch, seq, content)
        assert said == model.verdict(epoch, seq, content)
        if said == "new":
            accept(state, epoch, seq, content)
            model.accept(epoch, seq, content)
            keys.append(state.producers[NAME][-1])
            assert len(state.producers[NAME]) <= limits.PRODUCER_WINDOW_APPENDS
    if through_snapshot:
        again = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=State)
    else:  # from stored frames
        again = State("s", "i", tail=state.tail)
        for key in keys:
            frame = Frame(key.first, key.last, 0, b"", [key])
            stored = msgspec.msgpack.decode(msgspec.msgpack.encode(frame), type=Frame)
            producer.remember(again, stored.keys[0])
    assert again == state


def test_the_window_slides() -> None:
    state = State("s", "i")
    for seq in range(1, limits.PRODUCER_WINDOW_APPENDS + 2):
        accept(state, 1, seq, "x")
    assert verdict(state, 1, 1, "x") == "producer.expired"
    assert verdict(state, 1, 2, "x") == "known 2"
    assert verdict(state, 1, 2, "y") == "producer.conflict"


def test_a_producer_that_was_away_too_long_is_forgotten() -> None:
    state = State("s", "i")
    accept(state, 1, 1, "x", ts=1_000)
    other = ProducerKey("other", 1, 1, "x", 2, 2, 1_000 + limits.PRODUCER_EXPIRY_S * 1_000)
    producer.remember(state, other)
    assert NAME in state.producers
    producer.remember(state, msgspec.structs.replace(other, seq=2, ts=other.ts + 1))
    assert NAME not in state.producers


def test_producers_are_bounded_and_the_oldest_goes() -> None:
    state = State("s", "i")
    for n in range(limits.PRODUCERS + 10):
        producer.remember(state, ProducerKey(f"p{n}", 1, 1, "x", n, n, 1_000))
    assert len(state.producers) == limits.PRODUCERS
    assert "p9" not in state.producers and "p10" in state.producers


def test_names_of_producers_and_keys_and_actors_do_not_meet() -> None:
    append = wire.Append(session="s", events=[Draft("CUSTOM", {})], producer=wire.AppendId("k", 0, 1))
    send = wire.Send(session="s", text="x", key="k")
    names = {
        producer.identify("user:ann", append), producer.identify("user:ann", send),
        producer.identify("user:bob", send), producer.identify("user:bob", append),
    }  # fmt: skip
    assert len(names) == 4
    assert producer.identify("user:ann", wire.Send(session="s", text="x")) is None


def test_the_digest_tells_content_apart_and_nothing_else() -> None:
    one = wire.Append(session="s", events=[Draft("CUSTOM", {"value": 1})], run="r1", generation=1, id=5)
    same = wire.Append(session="s", events=[Draft("CUSTOM", {"value": 1})], run="r1", generation=2, id=6)
    assert producer.digest(one) == producer.digest(same)
    for other in (
        wire.Append(session="s", events=[Draft("CUSTOM", {"value": 2})], run="r1"),
        wire.Append(session="s", events=[Draft("CUSTOM", {"value": 1})], run="r2"),
        wire.Append(session="s", events=[Draft("CUSTOM", {"value": "1"})], run="r1"),
    ):
        assert producer.digest(other) != producer.digest(one)
    assert producer.digest(wire.Take(session="s")) != producer.digest(wire.GiveBack(session="s")), "another operation"
    assert producer.digest(wire.Send(session="s", text="x", key="a")) == producer.digest(
        wire.Send(session="s", text="x", key="b")
    )


@pytest.mark.parametrize("count", [1, 5])
def test_keys_travel_with_frames(count: int) -> None:
    keys = [ProducerKey(NAME, 1, n, "x", n, n, 1, {"run": "r1", "list": [1]}) for n in range(1, count + 1)]
    frame = encode_frame("s", [Event(n, 1, "a", "CUSTOM", {}) for n in range(1, count + 1)])
    frame.keys = keys
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(frame), type=Frame) == frame


def test_many_keyed_commands_do_not_push_out_a_producer_that_is_silent() -> None:
    state = State("s1", "i1")
    accept(state, 1, 1, "a")
    for number in range(limits.KEYED_COMMANDS + 10):
        producer.remember(state, ProducerKey(f"k user:ann {number}", 0, 1, "x", 2, 1, 1_000))
    assert verdict(state, 1, 2, "b") == "new"
    assert len(state.keyed) == limits.KEYED_COMMANDS
    assert producer.find(state, (f"k user:ann {limits.KEYED_COMMANDS + 9}", 0, 1), "x") is not None


def test_keys_of_two_actors_never_meet() -> None:
    one = producer.identify("user:a|b", wire.Rename(session="s1", title="x", key="c"))
    other = producer.identify("user:a", wire.Rename(session="s1", title="x", key="b|c"))
    assert one != other
