"""Server-sent events: what is one event, and how large it may be."""

from __future__ import annotations

import pytest

from holdfast.providers.errors import MalformedStream
from holdfast.providers.sse import SseParser


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_end_in_three_ways_and_data_may_have_several(end: bytes) -> None:
    body = b'\xef\xbb\xbf: hello\n\nevent: x\ndata: {"a":\ndata:1}\nid: 3\n\n\n\ndata: two\n\ndata:\n\ndata: last'
    parser = SseParser()
    events = parser.feed(body.replace(b"\n", end))
    assert [*events, *parser.close()] == [b'{"a":\n1}', b"two", b"last"]


def test_the_two_bytes_of_an_end_may_come_in_two_reads() -> None:
    parser = SseParser()
    assert parser.feed(b"data: one\r") == []
    assert parser.feed(b"\ndata: two\r") == []
    assert parser.feed(b"\n\r\n") == [b"one\ntwo"]


@pytest.mark.parametrize("sizes", [1, 7, 1_000])
def test_an_event_has_its_limit_and_what_came_before_it_is_not_lost(sizes: int) -> None:
    body = b"data: small\n\ndata: " + b"x" * 60 + b"\n\ndata: after\n\n"
    parser = SseParser(max_bytes=40)
    events = [e for at in range(0, len(body), sizes) for e in parser.feed(body[at : at + sizes])]
    assert events == [b"small"]
    assert isinstance(parser.error, MalformedStream)
    whole = SseParser(max_bytes=66)
    assert len([e for at in range(0, len(body), sizes) for e in whole.feed(body[at : at + sizes])]) == 3
    assert whole.error is None


def test_no_more_is_remembered_than_the_event_that_has_not_ended() -> None:
    parser = SseParser()
    for _ in range(100):
        parser.feed(b"data: " + b"x" * 1_000 + b"\n\nda")
        parser.feed(b"ta: y\n\n")
        assert len(parser._buffer) < 10


def test_what_nobody_wants_is_not_even_taken_apart() -> None:
    parser = SseParser()
    assert parser.feed(b"data: one\n\ndata: two\n\nda", lambda block: b"usage" in block) == []
    assert parser.feed(b"ta: three usage\n\n", lambda block: b"usage" in block) == [b"three usage"]
