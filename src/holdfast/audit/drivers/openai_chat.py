"""OpenAI chat completions (platform.openai.com/docs/api-reference/chat-streaming): a stream, and nothing besides."""

from __future__ import annotations

from typing import Final

from holdfast.audit.recipe import Recipe, RecipeCall, Rule

RECIPE: Final = Recipe(
    name="openai-chat",
    about="OpenAI chat completions; the protocol knows neither resuming nor joining nor stopping",
    ask=[RecipeCall(body={"model": "{model}", "stream": True, "messages": [{"role": "user", "content": "{prompt}"}]})],
    read=[
        Rule(when={"choices.0.delta.content": True}, text="choices.0.delta.content"),
        Rule(when={"$data": "[DONE]"}, end="complete"),
        Rule(when={"error": True}, end="error"),
        Rule(when={"object": "chat.completion.chunk"}),
    ],
)
