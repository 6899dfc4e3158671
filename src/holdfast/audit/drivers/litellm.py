"""LiteLLM's proxy (docs.litellm.ai, "LiteLLM Proxy Server"): OpenAI chat completions for models that it knows by name."""

from __future__ import annotations

from typing import Final

from msgspec import structs

from holdfast.audit.drivers import openai_chat

RECIPE: Final = structs.replace(
    openai_chat.RECIPE,
    name="litellm",
    about="LiteLLM's proxy, chat completions; the target is the server, --model one of its models",
    framework="http",
    ask=[structs.replace(openai_chat.RECIPE.ask[0], path="{base}/v1/chat/completions")],
)
