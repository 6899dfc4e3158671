"""A model behind the demo's agents, when a key is in the environment; the rest of their code does not change.

``OPENAI_API_KEY`` (chat completions) or ``ANTHROPIC_API_KEY`` (messages). ``HOLDFAST_DEMO_MODEL`` names the model,
``OPENAI_BASE_URL`` / ``ANTHROPIC_BASE_URL`` another server of the same API. Wire formats: the providers' streaming
references, server-sent events of JSON.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

from holdfast.agents.run import RunContext

_SYSTEM = (
    "You are the librarian of Holdfast. Answer only from the passages given, name the place of each fact in parentheses, "
    "and say so when they do not hold the answer.\n\n"
)
_MOST_TOKENS = 1_000


class Model:
    """One provider's streaming API, reduced to text and usage."""

    def __init__(self, provider: str, key: str, base: str, model: str) -> None:
        self.provider = provider
        self.model = model
        self._key = key
        self._base = base.rstrip("/")

    async def stream(
        self, run: RunContext, question: str, passages: str, *, system: str = _SYSTEM
    ) -> AsyncIterator[str]:
        """The model's answer as it comes; its usage is recorded in the run.

        Raises:
            httpx.HTTPStatusError: the provider refused.
        """
        path, headers, body = self._request(question, passages, system)
        usage: dict[str, int] = {}
        async with (
            httpx.AsyncClient(timeout=httpx.Timeout(60, connect=10)) as client,
            client.stream("POST", self._base + path, headers=headers, json=body) as response,
        ):
            response.raise_for_status()
            async for line in response.aiter_lines():
                if not line.startswith("data:") or line.endswith("[DONE]"):
                    continue
                event = json.loads(line[5:])
                usage.update(used(event))
                text = delta(event)
                if text:
                    yield text
        await run.usage(self.model, **usage)

    def _request(self, question: str, passages: str, system: str) -> tuple[str, dict[str, str], dict[str, Any]]:
        prompt = f"Passages:\n{passages}\n\nQuestion: {question}" if passages else question
        if self.provider == "anthropic":
            headers = {"x-api-key": self._key, "anthropic-version": "2023-06-01"}
            messages = [{"role": "user", "content": prompt}]
            return "/v1/messages", headers, {
                "model": self.model, "max_tokens": _MOST_TOKENS, "stream": True, "system": system, "messages": messages,
            }  # fmt: skip
        messages = [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
        return "/chat/completions", {"authorization": f"Bearer {self._key}"}, {
            "model": self.model, "stream": True, "stream_options": {"include_usage": True}, "messages": messages,
        }  # fmt: skip


def delta(event: Mapping[str, Any]) -> str:
    """The text a streamed event adds, in either provider's form."""
    if event.get("type") == "content_block_delta":
        text = event["delta"].get("text")
    else:
        choices = event.get("choices") or [{}]
        text = (choices[0].get("delta") or {}).get("content") if choices[0].get("index", 0) == 0 else None
    return text if isinstance(text, str) else ""


def used(event: Mapping[str, Any]) -> dict[str, int]:
    """The token counts an event reports, as ``input_tokens`` and ``output_tokens``."""
    usage = event.get("usage") or (event.get("message") or {}).get("usage") or {}
    names = {"input_tokens": ("input_tokens", "prompt_tokens"), "output_tokens": ("output_tokens", "completion_tokens")}
    found = {
        name: next((usage[k] for k in keys if isinstance(usage.get(k), int)), None) for name, keys in names.items()
    }
    return {name: count for name, count in found.items() if count is not None}


def from_environment(environ: Mapping[str, str] = os.environ) -> Model | None:
    """The model the environment has a key for, or None."""
    named = environ.get("HOLDFAST_DEMO_MODEL", "")
    if key := environ.get("OPENAI_API_KEY"):
        base = environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1")
        return Model("openai", key, base, named or "gpt-4o-mini")
    if key := environ.get("ANTHROPIC_API_KEY"):
        base = environ.get("ANTHROPIC_BASE_URL", "https://api.anthropic.com")
        return Model("anthropic", key, base, named or "claude-3-5-haiku-latest")
    return None
