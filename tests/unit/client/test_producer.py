"""Appending: coalescing, order, and each event once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast.client.producer import Producer
from holdfast.errors import HoldfastError, Refused
from holdfast.protocol import events as e
from holdfast.protocol import limits, wire
from tests.unit.client.scripted import Line, Scripted

pytestmark = pytest.mark.anyio


def content(text: str, message: str = "m") -> tuple[str, dict[str, Any]]:
    return e.TEXT_CONTENT, {"messageId": message, "delta": text}


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


def appended(line: Line) -> list[list[str]]:
    """What was appended, one list of words per append."""
    return [[draft.data.get("delta", draft.type) for draft in op.events] for op in line.of(wire.Append)]


async def test_what_is_written_in_one_turn_goes_out_together() -> None:
    server = Scripted()
    async with server.client() as hf:
        producer = Producer(hf.connection, "s1", "r1", 3)
        await producer.write(e.TEXT_START, {"messageId": "m", "role": "assistant"})
        await producer.write(*content("a"))
        await producer.write(*content("b"))
        await producer.write(e.TEXT_END, {"messageId": "m"})
        await server.until(lambda: server.line.sent)
        assert appended(server.line) == [[e.TEXT_START, "ab", e.TEXT_END]]
        append = server.line.sent[0]
        assert (append.run, append.generation, append.key) == ("r1", 3, None)
        assert (append.producer.epoch, append.producer.seq) == (0, 1)


async def test_tokens_that_arrive_while_an_append_is_in_flight_become_one_delta() -> None:
    server = Scripted()
    async with server.client() as hf:
        producer = Producer(hf.connection, "s1")
        for token in "abcde":
            await producer.write(*content(token))
            await asyncio.sleep(0)
        await server.until(lambda: server.line.sent)
        for _ in range(5):
            await asyncio.sleep(0)
        assert appended(server.line) == [["a"]]
        server.line.ok(server.line.sent[0])
        assert appended(server.line) == [["a"], ["bcde"]]
        assert [op.producer.seq for op in server.line.sent] == [1, 2]


async def test_only_neighbours_of_one_text_are_merged() -> None:
    server = Scripted()
    async with server.client() as hf:
        producer = Producer(hf.connection, "s1")
        for part in (content("a", "m1"), content("b", "m2"), content("c", "m1"), content("d", "m1")):
            await producer.write(*part)
        await producer.write(e.REASONING_CONTENT, {"messageId": "m1", "delta": "e"})
        await producer.write(e.TEXT_CONTENT, {"messageId": "m1", "delta": "f", "extra": 1})
        await server.until(lambda: server.line.sent)
        assert appended(server.line) == [["a", "b", "cd", "e", "f"]]


async def test_much_is_pipelined_within_a_window() -> None:
    server = Scripted()
    async with server.client() as hf:
        producer = Producer(hf.connection, "s1")
        part = "x" * limits.APPEND_BYTES

        async def write() -> None:
            for _ in range(40):
                await producer.write(*content(part))

        writing = asyncio.create_task(write())
        await server.until(lambda: len(server.line.sent) == limits.APPENDS_IN_FLIGHT)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(server.line.sent) == limits.APPENDS_IN_FLIGHT
        assert not writing.done()
        server.answer = lambda line, op: line.ok(op)
        for op in list(server.line.sent):
            server.line.ok(op)
        await writing
        await producer.flush()
        assert sum(len(word) for words in appended(server.line) for word in words) == 40 * len(part)
        assert [op.producer.seq for op in server.line.sent] == list(range(1, len(server.line.sent) + 1))


async def test_long_deltas_are_split_and_nothing_is_lost() -> None:
    server = Scripted()
    server.answer = lambda line, op: line.ok(op)
    async with server.client() as hf:
        producer = Producer(hf.connection, "s1")
        text = "🌊é" * limits.DELTA_CHARS
        await producer.write(*content(text))
        await producer.flush()
        words = [word for words in appended(server.line) for word in words]
        assert "".join(words) == text
        assert max(map(len, words)) <= limits.DELTA_CHARS


async def test_a_lost_connection_neither_doubles_nor_loses() -> None:
    server = Scripted()
    async with server.client() as hf:
        producer = Producer(hf.connection, "s1")
        await producer.write(*content("a"))
        await server.until(lambda: server.line.sent)
        first = server.line
        await producer.write(*content("b"))
        first.cut()
        server.answer = lambda line, op: line.ok(op)
        await producer.flush()
        assert appended(server.line) == [["a"], ["b"]]
        assert server.line.sent[0].producer == first.sent[0].producer


async def test_a_retryable_refusal_is_sent_again_with_the_same_number_and_content() -> None:
    server = Scripted()
    refusals = iter(["disk.failed", "commit.unknown", None, None])

    def answer(line: Line, op: wire.Op) -> None:
        code = next(refusals)
        if code is None:
            line.ok(op)
        else:
            line.refuse(op, code, retry=True)

    server.answer = answer
    async with server.client() as hf:
        producer = Producer(hf.connection, "s1")
        await producer.write(*content("a"))
        await server.until(lambda: len(server.line.sent) == 1)
        await producer.write(*content("b"))
        await producer.flush()
        assert appended(server.line) == [["a"], ["a"], ["a"], ["b"]]
        assert [op.producer.seq for op in server.line.sent] == [1, 1, 1, 2]


async def test_appends_behind_a_failed_one_keep_their_numbers() -> None:
    server = Scripted()
    async with server.client() as hf:
        producer = Producer(hf.connection, "s1")
        part = "x" * limits.APPEND_BYTES
        for _ in range(3):
            producer.put(*content(part))
        await server.until(lambda: len(server.line.sent) == 3)
        first, second, third = server.line.sent
        server.line.refuse(first, "commit.unknown", retry=True)  # it was applied after all
        server.line.ok(second)
        server.answer = lambda line, op: line.ok(op)
        server.line.refuse(third, "server.busy", retry=True)
        await producer.flush()
        await producer.write(*content("end"))
        await producer.flush()
        assert [op.producer.seq for op in server.line.sent] == [1, 2, 3, 1, 3, 4]


async def test_a_gap_behind_a_refused_append_waits_for_its_turn() -> None:
    server = Scripted()
    async with server.client() as hf:
        producer = Producer(hf.connection, "s1")
        part = "x" * limits.APPEND_BYTES
        for _ in range(2):
            producer.put(*content(part))
        await server.until(lambda: len(server.line.sent) == 2)
        first, second = server.line.sent
        server.line.refuse(first, "disk.failed", retry=True)
        server.answer = lambda line, op: line.ok(op)
        server.line.refuse(second, "producer.gap", expected=1)
        await producer.flush()
        assert [op.producer.seq for op in server.line.sent] == [1, 2, 1, 2]


@pytest.mark.parametrize("code", ["run.fenced", "run.ended", "producer.conflict", "content.not_open"])
async def test_a_final_refusal_drops_everything_and_is_raised_from_then_on(code: str) -> None:
    server = Scripted()
    refused: list[HoldfastError] = []
    async with server.client() as hf:
        producer = Producer(hf.connection, "s1", "r1", 1, on_refused=refused.append)
        await producer.write(*content("a"))
        await server.until(lambda: server.line.sent)
        await producer.write(*content("b"))
        flushing = asyncio.create_task(producer.flush())
        await asyncio.sleep(0)
        server.line.refuse(server.line.sent[0], code)
        with pytest.raises(Refused) as error:
            await flushing
        assert error.value.code == code
        assert [r.code for r in refused] == [code]
        with pytest.raises(Refused):
            await producer.write(*content("c"))
        assert appended(server.line) == [["a"]]


async def test_while_stopping_only_ends_and_results_go_out() -> None:
    server = Scripted()
    stopped: list[bool] = []
    async with server.client() as hf:
        producer = Producer(hf.connection, "s1", "r1", 1, on_stopping=lambda: stopped.append(True))
        await producer.write(*content("a"))
        await producer.write(e.TEXT_END, {"messageId": "m"})
        await server.until(lambda: server.line.sent)
        await producer.write(*content("late"))
        server.line.refuse(server.line.sent[0], "run.stopping")
        await server.until(lambda: len(server.line.sent) == 2)
        assert stopped == [True]
        await producer.write(*content("later"))
        await producer.write(e.TOOL_RESULT, {"toolCallId": "t", "content": "done"})
        server.line.ok(server.line.sent[1])
        server.answer = lambda line, op: line.ok(op)
        await producer.flush()
        assert appended(server.line) == [["a", e.TEXT_END], [e.TEXT_END], [e.TOOL_RESULT]]
        assert [op.producer.seq for op in server.line.sent] == [1, 1, 2]


async def test_numbers_move_up_when_nothing_is_left_of_an_append() -> None:
    server = Scripted()
    async with server.client() as hf:
        producer = Producer(hf.connection, "s1", "r1", 1)
        part = "x" * limits.APPEND_BYTES
        producer.put(*content(part))
        producer.put(*content(part))
        producer.put(e.TEXT_END, {"messageId": "m"})
        await server.until(lambda: server.line.sent)
        for op in list(server.line.sent):
            server.line.refuse(op, "run.stopping" if op.producer.seq == 1 else "producer.gap")
        server.answer = lambda line, op: line.ok(op)
        await producer.flush()
        final = server.line.of(wire.Append)[-1]
        assert [draft.type for draft in final.events] == [e.TEXT_END]
        assert final.producer.seq == 1


async def test_what_cannot_be_stored_is_refused_where_it_is_written() -> None:
    server = Scripted()
    async with server.client() as hf:
        producer = Producer(hf.connection, "s1")
        with pytest.raises(Refused) as large:
            await producer.write(e.CUSTOM, {"name": "x", "value": "y" * limits.EVENT_BYTES})
        assert large.value.code == "input.too_large"
        with pytest.raises(Refused) as deep:
            await producer.write(e.CUSTOM, {"name": "x", "value": nested(limits.JSON_DEPTH)})
        assert deep.value.code == "input.too_deep"
        assert producer.error is None


async def test_half_a_pair_waits_for_the_other_and_never_goes_out_alone() -> None:
    server = Scripted()
    async with server.client() as hf:
        producer = Producer(hf.connection, "s1")
        await producer.write(*content("a\ud83c"))
        await producer.write(*content("\ud83c", "n"))
        await producer.write(e.CUSTOM, {"name": "x", "value": ["\ud83c"]})
        await producer.write(*content("\udf0ab"))
        await producer.write(e.TEXT_END, {"messageId": "n"})
        await producer.write(*content("\ud83c", "left"))
        rest = await producer.take_rest()
        assert [draft.data.get("delta", draft.data.get("value")) for draft in rest] == [
            "a", ["\ufffd"], "🌊b", "\ufffd", None, "\ufffd"
        ]  # fmt: skip


async def test_the_rest_can_be_taken_for_the_end_of_the_run() -> None:
    server = Scripted()
    async with server.client() as hf:
        producer = Producer(hf.connection, "s1", "r1", 1)
        await producer.write(*content("a"))
        await server.until(lambda: server.line.sent)
        await producer.write(*content("b"))
        taking = asyncio.create_task(producer.take_rest())
        await asyncio.sleep(0)
        server.line.ok(server.line.sent[0])
        rest = await taking
        assert [draft.data["delta"] for draft in rest] == ["b"]
        await asyncio.sleep(0)
        assert appended(server.line) == [["a"]]


async def test_who_is_told_to_slow_down_waits_whatever_else_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The append that came too fast, and those behind it that then left a gap, are sent again when that may succeed."""
    server = Scripted()
    async with server.client() as hf:
        producer = Producer(hf.connection, "s1")
        waits: list[float] = []
        for word in ("a", "b", "c"):
            await producer.write(*content(word * limits.APPEND_BYTES))
        await server.until(lambda: len(server.line.sent) == 3)
        first, second, third = server.line.sent
        monkeypatch.setattr(producer._loop, "call_later", lambda wait_s, resend: waits.append(wait_s) or resend())
        server.line.refuse(first, "limit.rate", retry=True, retry_after_s=3.0)
        server.line.refuse(second, "producer.gap", expected=1)
        server.line.refuse(third, "limit.rate", retry=True, retry_after_s=0.5)
        assert len(waits) == 1 and waits[0] >= 3.0
        assert [op.producer.seq for op in server.line.sent[3:]] == [1, 2, 3]
        server.line.refuse(server.line.sent[3], "limit.rate", retry=True, retry_after_s=0.25)
        for op in server.line.sent[4:]:
            server.line.refuse(op, "producer.gap", expected=1)
        assert len(waits) == 2 and 0.25 <= waits[1] < 3.0
        monkeypatch.undo()
