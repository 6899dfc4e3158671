"""What an answer used, by classes of which no two count the same token."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.providers.usage import TokenUsage, chat_usage, messages_usage, responses_usage


@pytest.mark.parametrize(
    ("usage", "classes"),
    [
        (chat_usage({"prompt_tokens": 10, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4},
                     "completion_tokens_details": {"reasoning_tokens": 2}}),
         {"input": 6, "cache_read": 4, "output": 7, "reasoning": 2}),
        (responses_usage({"input_tokens": 10, "output_tokens": 0}), {"input": 10, "output": 0}),
        (messages_usage({"input_tokens": 3, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 7,
                         "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 5},
                         "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}}),
         {"input": 3, "cache_read": 5, "cache_write_5m": 2, "cache_write_1h": 5, "output": 5, "reasoning": 4}),
        (messages_usage({"input_tokens": 3, "cache_creation_input_tokens": 7, "output_tokens": 1}),
         {"input": 3, "cache_write": 7, "output": 1}),
        # lifetimes that do not sum to the whole say nothing of it
        (messages_usage({"input_tokens": 3, "cache_creation_input_tokens": 7, "output_tokens": 1,
                         "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 0}}),
         {"input": 3, "cache_write": 7, "output": 1}),
        (TokenUsage(), {}),
    ],
)  # fmt: skip
def test_no_token_is_in_two_classes(usage: TokenUsage, classes: dict[str, Any]) -> None:
    assert usage.billed_classes == classes
