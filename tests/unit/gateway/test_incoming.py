"""Bodies that a caller may send: what is read of them, what is refused, and what an upstream gets."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from holdfast.errors import Refused
from holdfast.gateway.incoming import Incoming
from holdfast.gateway.wires import CHAT, EMBEDDINGS, MESSAGES, RESPONSES
from holdfast.protocol import limits


def incoming(body: Any, wire: Any = CHAT) -> Incoming:
    return Incoming(wire, body if isinstance(body, bytes) else json.dumps(body).encode(), {})


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "input.malformed"),
        (b"[]", "input.malformed"),
        (b'"model"', "input.malformed"),
        (b"{", "input.malformed"),
        (b'{"model": "m"}}', "input.malformed"),
        (b'{"model": "\xff"}', "input.malformed"),
        (b'{"model": "m", "x": "\xff"}', "input.malformed"),
        (b"{}", "input.malformed"),
        (b'{"model": null}', "input.malformed"),
        (b'{"model": 5}', "input.malformed"),
        (b'{"model": ["m"]}', "input.malformed"),
        (b'{"model": ""}', "input.malformed"),
        (b'{"model": "' + b"m" * (limits.NAME_CHARS + 1) + b'"}', "input.malformed"),
        (b'{"model": "m", "stream": "yes"}', "input.malformed"),
        (b'{"model": "m", "stream": 1}', "input.malformed"),
        (b'{"model": "m", "stream_options": []}', "input.malformed"),
        (b'{"model": "m", "max_tokens": "many"}', "input.malformed"),
        (b'{"model": "m", "max_tokens": 1e400}', "input.malformed"),
        (b'{"model": "m", "max_tokens": 1.5}', "input.malformed"),
        (b'{"model": "m", "max_tokens": -1}', "input.number_range"),
        (b'{"model": "m", "n": "two"}', "input.malformed"),
        (b'{"model": "m", "n": 0}', "input.number_range"),
        (b'{"model": "m", "n": 1000000}', "input.number_range"),
        (b'{"model": "m", "service_tier": 1}', "input.malformed"),
        (b'{"model": "m", "service_tier": "a\\nb"}', "input.malformed"),
        (b'{"model": "m", "max_tokens": 1' + b"0" * 40 + b"}", "input.number_range"),
        (b'{"model": "m", "x": ' + b"[" * 200 + b"]" * 200 + b"}", "input.too_deep"),
        (b'{"model": "m", "x": ' + b"[" * 200_000 + b"}", "input.too_deep"),
        (b'{"model": "m", "x": NaN}', "input.malformed"),
        (b'{"model": "m", "x": "\\ud800", "y": NaN}', "input.malformed"),
    ],
)
def test_what_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(Refused) as caught:
        incoming(body)
    assert caught.value.code == code


def test_a_body_that_is_compressed_is_refused_by_name() -> None:
    with pytest.raises(Refused) as caught:
        Incoming(CHAT, gzip.compress(b'{"model": "m"}'), {"content-encoding": "gzip"})
    assert "compressed" in caught.value.text and "content-encoding" in caught.value.text


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"model": "' + b"m" * (limits.NAME_CHARS + 1) + b'"}', "is no name of up to"),
        (b'{"model": "gpt-\\u001b[31m"}', "is no name of up to"),
        (b'{"model": "m", "max_tokens": -1}', "Send a whole number from 0 to"),
        (b"no", "the body is not a JSON object. Send one"),
    ],
)
def test_a_refusal_says_what_helps_here(body: bytes, words: str) -> None:
    with pytest.raises(Refused) as caught:
        incoming(body)
    assert words in caught.value.text and "PROTOCOL.md" not in caught.value.text


def test_what_could_not_be_billed_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        incoming({"model": "m", "background": True}, RESPONSES)
    assert caught.value.code == "call.unmetered" and "`background`" in caught.value.text


@pytest.mark.parametrize(
    ("more", "streams", "tells_usage"),
    [
        ({}, False, False),
        ({"stream": None, "stream_options": None}, False, False),
        ({"stream": True}, True, False),
        ({"stream": True, "stream_options": {}}, True, False),
        ({"stream": True, "stream_options": {"include_usage": False}}, True, False),
        ({"stream": True, "stream_options": {"include_usage": None}}, True, False),
        ({"stream": True, "stream_options": {"include_usage": True}}, True, True),
        ({"stream": False, "stream_options": {"include_usage": True}}, False, True),
    ],
)
def test_the_upstream_is_always_asked_for_a_stream_with_usage(more: Any, streams: bool, tells_usage: bool) -> None:
    found = incoming({"model": "m", **more})
    assert (found.streams, found.tells_usage) == (streams, tells_usage)
    sent = json.loads(found.body_for("theirs"))
    assert sent["stream"] is True and sent["stream_options"]["include_usage"] is True and sent["model"] == "theirs"


def test_other_options_of_a_stream_stay() -> None:
    sent = json.loads(incoming({"model": "m", "stream_options": {"include_obfuscation": False}}).body_for("m"))
    assert sent["stream_options"] == {"include_obfuscation": False, "include_usage": True}


@pytest.mark.parametrize("wire", [RESPONSES, MESSAGES])
def test_only_chat_completions_have_such_options(wire: Any) -> None:
    found = incoming({"model": "m"}, wire)
    assert found.tells_usage and json.loads(found.body_for("m")) == {"model": "m", "stream": True}


def test_embeddings_do_not_stream() -> None:
    assert json.loads(incoming({"model": "m", "input": "x"}, EMBEDDINGS).body_for("n")) == {"model": "n", "input": "x"}


def test_what_is_not_looked_at_passes_byte_by_byte() -> None:
    body = b'{"model":"m","messages":[{"content":"\\u00e9 \xc3\xa9 1.0E+2"}],"seed":12345678901234567890123,"temperature":0.70000000}'
    sent = incoming(body).body_for("m")
    for part in (b'[{"content":"\\u00e9 \xc3\xa9 1.0E+2"}]', b"12345678901234567890123", b"0.70000000"):
        assert part in sent


def test_of_a_name_that_comes_twice_the_upstream_gets_what_was_looked_at() -> None:
    """Else a key for a cheap model could ask for a dear one."""
    found = incoming(b'{"model":"dear","model":"cheap","max_tokens":9,"max_tokens":5,"stream":false,"stream":true}')
    sent = found.body_for("cheap")
    assert (found.model, found.output_limit, found.streams) == ("cheap", 5, True)
    assert b"dear" not in sent and sent.count(b'"model"') == sent.count(b'"max_tokens"') == 1


def test_halves_of_surrogate_pairs_pass() -> None:
    """JavaScript that cuts a text inside an emoji sends one."""
    found = incoming(b'{"model":"m","messages":[{"role":"user","content":"\\ud83d"}]}')
    assert b'"\\ud83d"' in found.body_for("m") and found.value("messages")[0]["content"] == "\ud83d"


@pytest.mark.parametrize(
    ("wire", "body", "limit"),
    [
        (CHAT, {"max_tokens": 5}, 5),
        (CHAT, {"max_completion_tokens": 7, "max_tokens": 5}, 7),
        (CHAT, {"max_completion_tokens": None, "max_tokens": 5}, 5),
        (CHAT, {"max_tokens": 0}, 0),
        (RESPONSES, {"max_output_tokens": 3}, 3),
        (MESSAGES, {"max_tokens": 4}, 4),
        (MESSAGES, {}, None),
    ],
)
def test_the_bound_on_output(wire: Any, body: Any, limit: int | None) -> None:
    assert incoming({"model": "m", **body}, wire).output_limit == limit


def test_data_counts_as_a_page_and_text_as_itself() -> None:
    text = "word " * 4_000
    chinese = "汉字" * 4_000
    data = "QUJD" * 40_000
    assert incoming({"model": "m", "x": text}).text_bytes == pytest.approx(len(text), abs=50)
    raw = json.dumps({"model": "m", "x": chinese}, ensure_ascii=False).encode()
    assert incoming(raw).text_bytes == len(raw), "no spaces, and no data all the same"
    assert incoming({"model": "m", "x": chinese}).text_bytes > 24_000, "in escapes"
    two = incoming({"model": "m", "x": [f"data:image/png;base64,{data}", text, data]}).text_bytes
    assert two == pytest.approx(2 * limits.IMAGE_TEXT_BYTES + len(text), abs=80)


def test_prompts_are_known_by_their_instructions_and_tools() -> None:
    def of(*messages: Any, **more: Any) -> str:
        return incoming({"model": "m", "messages": list(messages), **more}).prompt_hash

    rules, said = {"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}
    assert of(rules, said) == of(rules, {"role": "user", "content": "Bye"}) != ""
    assert of(rules, said) != of({"role": "system", "content": "Be brief."}, said)
    assert of(said) == "" and of(said, tools=[]) != ""
    assert of(rules, said, tools=[1]) != of(rules, said, tools=[2])
    assert incoming({"model": "m", "system": "x"}, MESSAGES).prompt_hash != ""
    assert incoming({"model": "m", "messages": "none"}).prompt_hash == ""


def test_the_bound_is_of_all_answers_together() -> None:
    assert incoming({"model": "m", "max_tokens": 100, "n": 4}).output_limit == 400
    assert incoming({"model": "m", "n": 4}).output_limit is None
    assert incoming({"model": "m", "max_output_tokens": 100, "n": 4}, RESPONSES).output_limit == 100


@pytest.mark.parametrize(
    ("asked", "tier"), [("flex", "flex"), ("auto", ""), (None, ""), ("standard_only", "standard_only")]
)
def test_the_tier_that_is_asked_for(asked: Any, tier: str) -> None:
    for wire in (CHAT, RESPONSES, MESSAGES):
        assert incoming({"model": "m", "service_tier": asked}, wire).tier == tier
