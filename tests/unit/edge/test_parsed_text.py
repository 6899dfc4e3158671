"""JSON text that stands in a value: what cannot be told as JSON is told as text, whatever the interpreter would take."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from holdfast.agents.tools import from_content, to_content
from holdfast.edge.dialects.ai_sdk.calls import parse_json
from holdfast.protocol import limits
from holdfast.protocol.codec import encode, parse


@pytest.fixture(params=[300, 200_000], ids=["a low recursion limit", "a high one"])
def recursion(request: pytest.FixtureRequest) -> Iterator[None]:
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(request.param)
    yield
    sys.setrecursionlimit(usual)


@pytest.mark.usefixtures("recursion")
@pytest.mark.parametrize("levels", [limits.RESULT_DEPTH + 1, 500, 5_000, 100_000])
def test_what_is_nested_too_deeply_stays_text(levels: int) -> None:
    text = "[" * levels + "]" * levels
    assert parse_json(text) == text
    assert from_content(text) == text
    assert to_content(text) == text, "it is no JSON of ours: nothing to tell it apart from"
    with pytest.raises(ValueError, match="deeper than"):
        parse(text)


@pytest.mark.parametrize(
    "text", ['{"a":"\\ud83c"}', '["\\udf0a\\ud83c"]', "[9007199254740993]", "[" * 33 + "]" * 33, "{", "NaN", "tide", ""]
)
def test_what_a_browser_could_not_be_told_stays_text(text: str) -> None:
    assert parse_json(text) == text
    encode(parse_json(text))


@pytest.mark.parametrize("text", ['{"a":[1,"b",null]}', "[" * 32 + "]" * 32, '"\\ud83c\\udf0a"', "1", "true"])
def test_what_is_json_is_told_as_json(text: str) -> None:
    assert parse_json(text) == parse(text)
    assert not isinstance(parse_json(text), str) or text.startswith('"')
