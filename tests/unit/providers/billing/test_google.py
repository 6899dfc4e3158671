"""Google's wires: thoughts and tools beside prompt and candidates, modalities, and streams in two framings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.providers.billing.model import BilledAttempt, problem
from holdfast.providers.billing.usage_meter import UsageMeter, of_response


def generated(usage: Any, **fields: Any) -> BilledAttempt:
    """The attempt of one whole answer."""
    body = {
        "modelVersion": "gemini-3-flash",
        "candidates": [{"finishReason": "STOP"}],
        "usageMetadata": usage,
        **fields,
    }
    (attempt,) = of_response("google.generateContent", json.dumps(body).encode())
    assert problem(attempt) == ""
    return attempt


def stream(*chunks: Any, array: bool = False) -> BilledAttempt:
    """The attempt of a stream of these chunks."""
    texts = [json.dumps(chunk) for chunk in chunks]
    listed = "[" + ",\r\n".join(texts) + "\n]"
    body = listed if array else "".join(f"data: {text}\r\n\r\n" for text in texts)
    meter = UsageMeter("google.streamGenerateContent")
    meter.feed(body.encode())
    (attempt,) = meter.end()
    assert problem(attempt) == ""
    return attempt


def modes(**counts: int) -> list[dict[str, Any]]:
    return [{"modality": name.upper(), "tokenCount": count} for name, count in counts.items()]


def test_thoughts_and_what_tools_put_in_are_counted_beside() -> None:
    attempt = generated({
        "promptTokenCount": 100, "cachedContentTokenCount": 60, "toolUsePromptTokenCount": 30,
        "candidatesTokenCount": 20, "thoughtsTokenCount": 50, "totalTokenCount": 200,
    })  # fmt: skip
    assert attempt.counts == {"input": 70, "cache_read": 60, "output": 20, "reasoning": 50} and attempt.odd == ""


def test_modalities_are_told_apart_also_in_the_cache_and_as_numbers() -> None:
    usage = {
        "promptTokenCount": 100, "promptTokensDetails": modes(text=20, audio=50, image=20, video=10),
        "cachedContentTokenCount": 45, "cacheTokensDetails": modes(audio=30, text=5, image=10),
        "toolUsePromptTokenCount": 8, "toolUsePromptTokensDetails": modes(image=8),
        "candidatesTokenCount": 40, "candidatesTokensDetails": modes(image=30, audio=5),
        "thoughtsTokenCount": 5, "totalTokenCount": 153,
    }  # fmt: skip
    expected = {
        "input": 25, "input_audio": 20, "input_image": 18, "cache_read": 15, "cache_read_audio": 30, "output": 5,
        "output_image": 30, "output_audio": 5, "reasoning": 5,
    }  # fmt: skip
    assert generated(usage).counts == expected
    numbers = {"TEXT": 1, "IMAGE": 2, "VIDEO": 3, "AUDIO": 4, "DOCUMENT": 5}
    for value in usage.values():
        for each in value if isinstance(value, list) else ():
            each["modality"] = numbers[each["modality"]]
    assert generated(usage).counts == expected
    small = generated({"promptTokenCount": 10, "promptTokensDetails": modes(audio=4), "candidatesTokenCount": 1})
    assert small.counts == {"input": 6, "input_audio": 4, "output": 1}, "details need not sum to the prompt"


@pytest.mark.parametrize(
    ("usage", "counts", "odd"),
    [
        ({"promptTokenCount": 10, "totalTokenCount": 15}, {"input": 10, "output": 5}, ""),
        ({"promptTokenCount": 10, "thoughtsTokenCount": 2, "totalTokenCount": 15},
         {"input": 10, "output": 3, "reasoning": 2}, ""),
        ({"candidatesTokenCount": 5, "totalTokenCount": 15}, {"input": 10, "output": 5}, ""),
        ({"promptTokenCount": 14, "totalTokenCount": 14}, {"input": 14}, ""),
        ({"candidatesTokenCount": 23, "thoughtsTokenCount": 67}, {"output": 23, "reasoning": 67}, "no input was reported"),
        ({"promptTokenCount": 5, "candidatesTokenCount": 5, "totalTokenCount": 99}, {"input": 5, "output": 5},
         "totalTokenCount is not the sum of its parts"),
        ({"promptTokenCount": "7", "candidatesTokenCount": 3.0}, {"input": 7, "output": 3}, ""),
        ({"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0}, {"input": 0, "output": 0}, ""),
        ({"promptTokenCount": 10, "cachedContentTokenCount": 12, "candidatesTokenCount": 1},
         {"input": 0, "cache_read": 10, "output": 1}, "cache_read is more than there was"),
        ({"promptTokenCount": -3, "candidatesTokenCount": 1}, {"output": 1},
         "promptTokenCount is not a count; no input was reported"),
    ],
)  # fmt: skip
def test_what_is_missing_or_odd(usage: Any, counts: dict[str, int], odd: str) -> None:
    attempt = generated(usage)
    assert (attempt.counts, attempt.odd) == (counts, odd)


@pytest.mark.parametrize("array", [False, True])
def test_the_newest_count_of_each_kind_stands(array: bool) -> None:
    last = {
        "candidates": [{"finishReason": "STOP"}],
        "usageMetadata": {"candidatesTokenCount": 9, "totalTokenCount": 27},
    }
    attempt = stream(
        {"modelVersion": "gemini-2.5-pro", "candidates": [{"content": {"parts": [{"text": 'a]},"{[\\'}]}}],
         "usageMetadata": {"promptTokenCount": 10, "thoughtsTokenCount": 4, "totalTokenCount": 14}},
        {"candidates": [], "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 2, "totalTokenCount": 16}},
        {"candidates": [], "usageMetadata": {"promptTokenCount": 10, "toolUsePromptTokenCount": 4, "candidatesTokenCount": None}},
        last, array=array,
    )  # fmt: skip
    assert attempt.counts == {"input": 14, "output": 9, "reasoning": 4} and attempt.final and attempt.odd == ""
    assert attempt.model == "gemini-2.5-pro"


def test_a_stream_that_was_cut_is_not_final() -> None:
    chunk = {"candidates": [{}], "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 2}}
    assert not stream(chunk).final and stream(chunk).counts == {"input": 10, "output": 2}


def test_searches_are_counted_as_the_generation_bills_them() -> None:
    grounding = {"groundingMetadata": {"webSearchQueries": ["a", "b", "a", ""]}, "finishReason": "STOP"}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1}
    for model, searches in (("gemini-2.5-pro", 1), ("gemini-3-pro-preview", 2), ("gemini-10-flash", 2), ("other", 1)):
        attempt = generated(usage, modelVersion=model, candidates=[grounding, grounding])
        assert attempt.counts["web_searches"] == searches, model


def test_the_tier_is_that_of_the_answer() -> None:
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1}
    assert generated({**usage, "serviceTier": "flex", "trafficType": "ON_DEMAND"}).tier == "flex"
    assert generated({**usage, "trafficType": "PROVISIONED_THROUGHPUT"}).tier == "PROVISIONED_THROUGHPUT"
    assert generated({**usage, "trafficType": 2}).tier == "PROVISIONED_THROUGHPUT"


def test_pages_of_documents_are_images_and_an_embedding_has_input_only() -> None:
    usage = {"promptTokenCount": 10, "promptTokensDetails": modes(document=7), "candidatesTokenCount": 1}
    assert generated(usage).counts == {"input": 3, "input_image": 7, "output": 1}
    thinking = generated({"promptTokenCount": 15, "thoughtsTokenCount": 2, "totalTokenCount": 17})
    assert thinking.counts == {"input": 15, "reasoning": 2} and thinking.odd == "", (
        "the total shows that nothing is missing"
    )
    body = {"embedding": {}, "usageMetadata": {"promptTokenCount": 14, "promptTokenDetails": modes(image=4)}}
    (attempt,) = of_response("google.embedContent", json.dumps(body).encode())
    assert (attempt.kind, attempt.counts, attempt.odd) == ("embedding", {"input": 10, "input_image": 4}, "")


def test_interactions() -> None:
    usage = {
        "total_input_tokens": 100, "total_cached_tokens": 40, "total_tool_use_tokens": 10, "total_output_tokens": 5,
        "total_thought_tokens": 7, "total_tokens": 122,
        "input_tokens_by_modality": [{"modality": "audio", "tokens": 30}],
        "output_tokens_by_modality": [{"modality": "image", "tokens": 5}],
    }  # fmt: skip
    body = {"object": "interaction", "model": "gemini-3-flash", "service_tier": "standard", "usage": usage}
    (attempt,) = of_response("google.interactions", json.dumps(body).encode())
    assert attempt.counts == {
        "input": 40, "input_audio": 30, "cache_read": 40, "output": 0, "output_image": 5, "reasoning": 7
    }  # fmt: skip
    assert (attempt.tier, attempt.odd, problem(attempt)) == ("standard", "", "")
