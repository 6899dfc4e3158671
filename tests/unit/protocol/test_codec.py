"""JSON at the edge: what comes in was strict, what goes out is canonical."""

from __future__ import annotations

import json
import math
import re
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Refused
from holdfast.protocol import limits, wire
from holdfast.protocol.bounds import check_nesting
from holdfast.protocol.codec import (
    canonical,
    check_entity_id,
    check_session_id,
    check_text,
    check_value,
    decode,
    encode,
    utf16_len,
    well_formed,
    well_formed_data,
)

ANY: msgspec.json.Decoder[Any] = msgspec.json.Decoder(dict[str, Any])


def refusal(raw: bytes | str) -> str:
    with pytest.raises(Refused) as refused:
        value = decode(raw, ANY)
        check_value(value)
    return refused.value.code


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "input.malformed"),
        (b"{", "input.malformed"),
        (b"[]", "input.malformed"),
        (b'{"a":1}x', "input.malformed"),
        (b'{"a":NaN}', "input.malformed"),
        (b'{"a":Infinity}', "input.malformed"),
        (b'{"a":-Infinity}', "input.malformed"),
        (b'{"a":1e999}', "input.number_range"),
        (b'{"a":01}', "input.malformed"),
        (b'{"a":+1}', "input.malformed"),
        (b"{'a':1}", "input.malformed"),
        (b'{"a":1,}', "input.malformed"),
        (b'{"a":"\x01"}', "input.malformed"),
        (b'{"a":"\xff"}', "input.malformed"),
        (b'{"a":"\xed\xa0\x80"}', "input.malformed"),  # an encoded surrogate
        (b'{"a":"\xc0\xaf"}', "input.malformed"),  # overlong
        (b'{"a":"\\ud800"}', "input.malformed"),  # a lone surrogate
        (b'{"a":"\\udc00\\ud800"}', "input.malformed"),
        (b'\xef\xbb\xbf{"a":1}', "input.malformed"),
        (b'{"a":9007199254740992}', "input.number_range"),
        (b'{"a":-9007199254740992}', "input.number_range"),
        (b'{"a":9223372036854775808}', "input.number_range"),
        (b'{"a":123456789012345678901234567890}', "input.number_range"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "input.too_deep"),
        (b'{"a":' + b"[" * limits.JSON_DEPTH + b"]" * limits.JSON_DEPTH + b"}", "input.too_deep"),
        (b'{"a":"' + b"x" * limits.MESSAGE_BYTES + b'"}', "input.too_large"),
    ],
)
def test_what_is_refused(raw: bytes, code: str) -> None:
    assert refusal(raw) == code
    if raw.isascii():
        assert refusal(raw.decode()) == code


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"a":9007199254740991}', {"a": 2**53 - 1}),
        (b'{"a":1,"a":2}', {"a": 2}),  # the last one wins, once
        (b'{"a":"\\ud83c\\udf0a"}', {"a": "🌊"}),
        (b'{"a":"\\u0000"}', {"a": "\x00"}),
        (b' {"a" : [ ] } ', {"a": []}),
        (b'{"a":' + b"[" * (limits.JSON_DEPTH - 1) + b"]" * (limits.JSON_DEPTH - 1) + b"}", None),
    ],
)
def test_what_is_taken(raw: bytes, value: Any) -> None:
    decoded = decode(raw, ANY)
    check_value(decoded)
    assert value is None or decoded == value


scalars = (
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    scalars | texts, lambda v: st.lists(v, max_size=4) | st.dictionaries(texts, v, max_size=4), max_leaves=12
)


@given(st.dictionaries(texts, values, max_size=4))
def test_a_value_comes_back_as_it_went(value: dict[str, Any]) -> None:
    check_value(value)
    assert decode(encode(value), ANY) == value
    assert json.loads(encode(value)) == value


@given(values)
def test_canonical_is_one_form(value: Any) -> None:
    again = json.loads(canonical(value))
    assert canonical(again) == canonical(value)
    shuffled = json.loads(json.dumps(value), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert canonical(shuffled) == canonical(value)


@pytest.mark.parametrize("recursion", [300, 200_000], ids=["a low recursion limit", "a high one"])
@pytest.mark.parametrize("opens", ["[", '{"a":', '[{"a":', '["]]]",', '{"\\\\":', '{"\\"[":['])
def test_depth_is_bounded_by_us_whatever_the_interpreter_would_take(opens: str, recursion: int) -> None:
    usual = sys.getrecursionlimit()
    closes = "".join("]" if c == "[" else "}" for c in reversed(re.sub(r'"(?:[^"\\]|\\.)*"', "", opens)) if c in "[{")
    per = len(closes)
    sys.setrecursionlimit(recursion)
    try:
        for levels in (limits.JSON_DEPTH, limits.MESSAGE_DEPTH + 1, 400, 3_000, 50_000):
            times = -(-levels // per)
            raw = f'{{"a":{opens * times}0{closes * times}}}'.encode()
            assert refusal(raw) == "input.too_deep"
            assert refusal(raw[: -len(closes) * times]) in ("input.too_deep", "input.malformed")  # never closed
        for levels in (1, 5, (limits.JSON_DEPTH - 1) // per):
            raw = f'{{"a":{opens * levels}0{closes * levels}}}'.encode()
            check_value(decode(raw, ANY))
    finally:
        sys.setrecursionlimit(usual)


@given(values, st.integers(0, 3))
def test_whatever_is_shallow_passes_unparsed(value: Any, spaces: int) -> None:
    check_nesting(json.dumps([value] * 40, indent=spaces, ensure_ascii=False))


@given(st.text(alphabet='[]{}",:\\a1 ', max_size=300))
def test_the_measure_of_unparsed_text_is_the_depth_a_parser_finds(text: str) -> None:
    try:
        value = json.loads(text)
    except ValueError:
        return
    deep = depth_of(value)
    try:
        check_nesting(text)
    except Refused:
        assert deep > limits.MESSAGE_DEPTH
    wrapped = "[" * limits.MESSAGE_DEPTH + text + "]" * limits.MESSAGE_DEPTH
    if deep:
        with pytest.raises(Refused):
            check_nesting(wrapped)
    else:
        check_nesting(wrapped)


def depth_of(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_nothing_but_a_refusal_comes_out_of_garbage(raw: bytes | str) -> None:
    try:
        decode(raw, wire.DECODER)
    except Refused as refused:
        assert refused.code.startswith("input.")


@given(st.text())
def test_utf16_length_is_what_a_browser_counts(text: str) -> None:
    assert utf16_len(text) == len(text.encode("utf-16-le", "surrogatepass")) // 2


any_text = st.text(st.characters(exclude_categories=[]))


@given(any_text)
def test_well_formed_text_is_what_utf16_readers_make_of_it(text: str) -> None:
    result = well_formed(text)
    result.encode()
    assert result == text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert well_formed(result) == result
    assert ("\ufffd" in result) <= ("\ufffd" in text or any("\ud800" <= c <= "\udfff" for c in text))


@given(st.recursive(st.none() | st.integers(-9, 9) | any_text, lambda i: st.lists(i) | st.dictionaries(any_text, i)))
def test_well_formed_data_can_be_encoded_and_is_itself_when_it_was(value: Any) -> None:
    result = well_formed_data(value)
    try:
        encode(value)
    except UnicodeEncodeError:
        encode(result)
    else:
        assert result is value


def test_lone_surrogates_are_not_text() -> None:
    assert check_text("a🌊", "x") == "a🌊"
    with pytest.raises(Refused):
        check_text("a\ud83c", "x")


@pytest.mark.parametrize("session", ['"' + "x" * (limits.SESSION_ID_CHARS + 1) + '"', '""', "5"])
def test_a_message_says_that_its_session_id_is_wrong(session: str) -> None:
    with pytest.raises(Refused) as refused:
        decode(f'{{"op":"create","id":1,"session":{session}}}', wire.DECODER)
    assert refused.value.code == "input.session_id"


@pytest.mark.parametrize(
    "name",
    ["s1", "A.b_c~d:e-9", "x" * limits.SESSION_ID_CHARS, "_", "__LOCALID_aB3xY9z", "_" * limits.SESSION_ID_CHARS],
)
def test_session_ids(name: str) -> None:
    assert check_session_id(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-a",
        ".",
        "..",
        "~a",
        ":a",
        "._a",
        "a/b",
        "a b",
        "a\n",
        "é",
        "x" * (limits.SESSION_ID_CHARS + 1),
        "a%2e",
        "a*",
        "\u0661",
        "a\x00",
    ],
)
def test_what_is_no_session_id(name: str) -> None:
    with pytest.raises(Refused) as refused:
        check_session_id(name)
    assert refused.value.code == "input.session_id"


@pytest.mark.parametrize("name", ["", "a b", "é", "\x7f", "a\n", "x" * (limits.ENTITY_ID_CHARS + 1), None, 1, ["a"]])
def test_what_is_no_entity_id(name: Any) -> None:
    with pytest.raises(Refused):
        check_entity_id(name, "x")


def test_numbers_beyond_a_browsers_are_found_wherever_they_are() -> None:
    for value in ({"a": 2**53}, {"a": [{"b": -(2**53)}]}, [[2**53]]):
        with pytest.raises(Refused) as refused:
            check_value(value)
        assert refused.value.code == "input.number_range"
    check_value({"a": True, "b": math.pi, "c": None})
