"""Cohere bills units, not tokens; Ollama says its counts in the last line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.providers.billing.model import problem
from holdfast.providers.billing.usage_meter import UsageMeter, of_response


def test_billed_units_are_what_is_billed() -> None:
    usage = {
        "billed_units": {"input_tokens": 8.0, "output_tokens": 50}, "tokens": {"input_tokens": 1394, "output_tokens": 54},
        "cached_tokens": 1360,
    }  # fmt: skip
    end = {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": usage}}
    meter = UsageMeter("cohere.v2.chat")
    meter.feed(f"event: message-end\ndata: {json.dumps(end)}\n\n".encode())
    (attempt,) = meter.end()
    assert attempt.counts == {"input": 8, "output": 50} and attempt.final and attempt.odd == problem(attempt) == ""
    assert attempt.raw["cached_tokens"] == 1360
    (whole,) = of_response("cohere.v2.chat", json.dumps({"usage": usage}).encode())
    (first,) = of_response("cohere.v1.chat", json.dumps({"text": "hi", "meta": usage}).encode())
    assert whole.counts == first.counts == attempt.counts


def test_without_billed_units_all_tokens_count_and_that_is_said() -> None:
    body = {"usage": {"tokens": {"input_tokens": 9, "output_tokens": 3}}}
    (attempt,) = of_response("cohere.v2.chat", json.dumps(body).encode())
    assert attempt.counts == {"input": 9, "output": 3} and "all tokens" in attempt.odd


def test_an_embedding_may_be_of_images_and_units_without_a_class_are_named() -> None:
    body = {"meta": {"billed_units": {"input_tokens": 4, "image_tokens": 9, "images": 2, "search_units": 1}}}
    (attempt,) = of_response("cohere.v2.embed", json.dumps(body).encode())
    assert attempt.kind == "embedding" and attempt.counts == {"input": 4, "input_image": 9, "images": 2}
    assert attempt.odd == "search_units are billed, and no class counts them"


@pytest.mark.parametrize("wire", ["ollama.generate", "ollama.chat"])
def test_the_last_line_counts(wire: str) -> None:
    lines = [{"model": "gemma", "response": "hi", "done": False}]
    meter = UsageMeter(wire, content_type="application/x-ndjson")
    meter.feed("".join(json.dumps(line) + "\n" for line in lines).encode())
    assert not meter.so_far()[0].reported and meter.so_far()[0].model == "gemma"
    meter.feed(b'{"model":"gemma","done":true,"prompt_eval_count":16,"eval_count":51}')
    (attempt,) = meter.end()
    assert attempt.counts == {"input": 16, "output": 51} and attempt.final


@pytest.mark.parametrize(
    ("fields", "counts", "odd"),
    [
        ({"eval_count": 5}, {"output": 5}, "no input was reported"),
        ({"prompt_eval_count": 0, "eval_count": 0}, {"input": 0, "output": 0}, ""),
        ({"prompt_eval_count": -1, "eval_count": 5}, {"output": 5}, "prompt_eval_count is not a count; no input was reported"),
    ],
)  # fmt: skip
def test_what_is_missing(fields: Any, counts: dict[str, int], odd: str) -> None:
    (attempt,) = of_response("ollama.chat", json.dumps({"model": "m", "done": True, **fields}).encode())
    assert (attempt.counts, attempt.odd) == (counts, odd)


def test_an_embedding_of_ollama() -> None:
    (attempt,) = of_response("ollama.embed", b'{"model":"e","prompt_eval_count":8,"embeddings":[]}')
    assert (attempt.kind, attempt.counts, attempt.odd) == ("embedding", {"input": 8}, "")
