"""Canonical JSON is that of RFC 8785: one form in every language (FOLD-6), and what approvals are hashed over (CTL-6)."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Refused
from holdfast.protocol import limits
from holdfast.protocol.codec import canonical, canonical_size
from holdfast.session.approval import action_hash
from tests.unit.protocol.test_codec import values

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[3] / "conformance" / "canonical.json").read_text())
"""The same for every client: ``web/packages/client/test/canonical.test.ts`` reads them too."""


def double(bits: str) -> float:
    return float(struct.unpack(">d", bytes.fromhex(bits))[0])


@pytest.mark.parametrize(("text", "form"), VECTORS["texts"])
def test_a_text_has_one_form(text: str, form: str) -> None:
    assert canonical(json.loads(text)).decode() == form
    if "99999" not in text and "7409" not in text:  # an integer of more than 64 bits is not JSON of ours
        assert canonical(msgspec.json.decode(text)).decode() == form
    assert canonical(json.loads(form)).decode() == form


@pytest.mark.parametrize(("bits", "form"), VECTORS["doubles"])
def test_a_double_has_one_form(bits: str, form: str) -> None:
    assert canonical(double(bits)).decode() == form
    assert canonical([double(bits)]).decode() == f"[{form}]"


@pytest.mark.parametrize("bits", VECTORS["refused_doubles"])
def test_what_is_no_number_has_none(bits: str) -> None:
    with pytest.raises(Refused) as refused:
        canonical({"a": double(bits)})
    assert refused.value.code == "input.number_range"


@pytest.mark.parametrize("text", VECTORS["refused_texts"])
def test_half_a_surrogate_pair_has_none(text: str) -> None:
    with pytest.raises(Refused) as refused:
        canonical(json.loads(text))
    assert refused.value.code == "input.malformed"


@pytest.mark.parametrize("value", [{1: "a"}, {"a": object()}, {"a": b"x"}, {"a": {1, 2}}, 10**400])
def test_what_is_no_json_has_none(value: Any) -> None:
    with pytest.raises(Refused):
        canonical(value)


@pytest.mark.parametrize("depth", [limits.MESSAGE_DEPTH + 1, 500, 20_000])
def test_its_depth_is_bounded_by_us(depth: int) -> None:
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    with pytest.raises(Refused) as refused:
        canonical(value)
    assert refused.value.code == "input.too_deep"


def test_a_view_may_be_as_deep_as_a_message() -> None:
    value: Any = {}
    for _ in range(limits.MESSAGE_DEPTH - 1):
        value = {"a": value}
    assert canonical(value).count(b"{") == limits.MESSAGE_DEPTH


@pytest.mark.parametrize("asked", VECTORS["approvals"], ids=lambda asked: asked["tool"])
def test_the_hash_of_an_action_is_that_of_its_canonical_json(asked: dict[str, str]) -> None:
    """Also the hashes that stand in databases of version 0.1 came about so: these were made by it."""
    args = msgspec.json.decode(asked["args"])
    assert action_hash(asked["tool"], args) == asked["hash"]
    by_hand = f'{{"args":{canonical(args).decode()},"tool":{json.dumps(asked["tool"])}}}'
    assert hashlib.sha256(by_hand.encode()).hexdigest() == asked["hash"]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_comes_back_as_it_went(value: float) -> None:
    text = canonical(value).decode()
    assert float(text) == value
    digits = text.lstrip("-").partition("e")[0].replace(".", "").strip("0")
    assert len(digits) <= 17
    shown = 0 if value == 0 else math.floor(math.log10(abs(float(text))))
    assert ("e" in text) == (shown >= 21 or shown < -6), "ECMAScript's rule for exponents"


@given(values)
def test_its_size_is_known_without_writing_it(value: Any) -> None:
    assert canonical_size(value) == len(canonical(value))
