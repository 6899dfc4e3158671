"""Lines, arrays and bodies: what is whole, however it is cut, and how large it may be."""

from __future__ import annotations

import json

import pytest

from holdfast.providers.billing.framing import (
    ArrayFramer,
    BodyFramer,
    Framer,
    LinesFramer,
    framing_of,
    seen_framing,
)

ELEMENTS = [
    {"a": 'x"]},{[\\'}, {"b": [1, [2, {"c": []}]]}, {"d": "\\\\"}, {}, {"e": "{" * 50 + '\\"'},
]  # fmt: skip


def read(framer: Framer, data: bytes, size: int) -> list[bytes]:
    found = [event for at in range(0, len(data), size) for event in framer.feed(data[at : at + size])]
    return found + framer.close()


@pytest.mark.parametrize("size", [1, 2, 3, 17, 10_000])
@pytest.mark.parametrize("between", [",", ",\r\n", " , \n"])
def test_elements_of_an_array_come_out_as_they_are_written(size: int, between: str) -> None:
    data = ("[" + between.join(json.dumps(each) for each in ELEMENTS) + "\n]").encode()
    assert [json.loads(each) for each in read(ArrayFramer(), data, size)] == ELEMENTS
    assert [json.loads(each) for each in read(ArrayFramer(), data[:-20], size)] == ELEMENTS[:4], (
        "one without an end is none"
    )
    array = ArrayFramer()
    read_all = [array.feed(data[at : at + size]) for at in range(0, len(data) - 1, size)]
    assert read_all and len(array._buffer) <= max(size, 2)


@pytest.mark.parametrize("size", [1, 3, 10_000])
def test_lines_come_out_whole(size: int) -> None:
    data = b'{"a":1}\r\n\n{"b":2}\n  {"c":3}'
    assert read(LinesFramer(), data, size) == [b'{"a":1}', b'{"b":2}', b'{"c":3}']


def test_what_nobody_wants_does_not_come_out() -> None:
    assert LinesFramer().feed(b'{"a":1}\n{"b":2}\n', lambda block: b'"c"' in block) == []
    assert ArrayFramer().feed(b'[{"a":1},{"b":2}', lambda element: b'"b"' in element) == [b'{"b":2}']


@pytest.mark.parametrize("make", [LinesFramer, ArrayFramer, BodyFramer])
@pytest.mark.parametrize("size", [5, 1_000])
def test_each_has_its_limit_and_nothing_comes_after_it(make: type, size: int) -> None:
    framer = make(max_bytes=40)
    data = b'[{"a":"' + b"x" * 100 + b'"},{"b":1}]\n'
    events = read(framer, data, size)
    small = [event for event in events if len(event) > 60]
    assert framer.error is not None or small
    if framer.error is not None:
        assert framer.feed(b'{"c":1}\n') == [] and not framer._buffer
    whole = make(max_bytes=1_000)
    read(whole, data, size)
    assert whole.error is None


def test_a_framing_is_named_by_its_media_type_or_seen() -> None:
    assert framing_of("text/event-stream; charset=utf-8") == "sse"
    assert framing_of("Application/X-NDJSON") == framing_of("application/stream+json") == "ndjson"
    assert framing_of("application/vnd.amazon.eventstream") == "eventstream"
    assert framing_of("application/json") is None and framing_of("") is None
    assert seen_framing(b" \n", lines=False) is None
    assert seen_framing(b"\n{", lines=False) == "json" and seen_framing(b"{", lines=True) == "ndjson"
    assert seen_framing(b"\xef\xbb\xbf[", lines=False) == "json-array"
    assert seen_framing(b": ping", lines=False) == seen_framing(b"\xef\xbb\xbfdata", lines=False) == "sse"
    assert seen_framing(b"\0\0\0\x7f", lines=False) == "eventstream"
