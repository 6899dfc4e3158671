"""Anthropic messages (docs.anthropic.com/en/api/messages-streaming): a stream, and nothing besides."""

from __future__ import annotations

from typing import Final

from holdfast.audit.recipe import Recipe, RecipeCall, Rule

RECIPE: Final = Recipe(
    name="anthropic",
    about="Anthropic messages; the protocol knows neither resuming nor joining nor stopping",
    ask=[
        RecipeCall(
            headers={"anthropic-version": "2023-06-01"},
            body={
                "model": "{model}", "max_tokens": 4096, "stream": True,
                "messages": [{"role": "user", "content": "{prompt}"}],
            },
        )
    ],
    read=[
        Rule(when={"type": "content_block_delta", "delta.type": "text_delta"}, text="delta.text"),
        Rule(when={"type": "message_stop"}, end="complete"),
        Rule(when={"type": "error"}, end="error"),
        Rule(when={"type": True}),
    ],
)  # fmt: skip
