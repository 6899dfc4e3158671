"""What an agent sends to a model, in either dialect: instructions, words, calls of tools and their results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

MOST_TOKENS: Final = 4_000


class WantedTool(msgspec.Struct):
    """A call of a tool that a model asks for; ``arguments`` is JSON text."""

    id: str
    name: str
    arguments: str = ""


class ModelConversation:
    """One conversation with a model.

    Args:
        anthropic: whether it speaks Anthropic's messages, else chat completions.
        system: instructions, piece by piece; a cache may end behind each.
        tools: names of tools that the model may ask for.
    """

    def __init__(self, anthropic: bool, system: Sequence[str], tools: Sequence[str] = ()) -> None:
        self.anthropic = anthropic
        self._system = [text for text in system if text]
        self._tools = tuple(tools)
        self._messages: list[dict[str, Any]] = []

    @property
    def wire(self) -> str:
        """The name of the wire."""
        return "anthropic.messages" if self.anthropic else "openai.chat"

    @property
    def path(self) -> str:
        """Of the gateway and, after its base address, of the provider."""
        return "/v1/messages" if self.anthropic else "/v1/chat/completions"

    def say(self, role: str, text: str) -> None:
        """Add words of somebody."""
        self._messages.append({"role": role, "content": text or "(nothing)"})

    def add_result(self, call: WantedTool, result: str) -> None:
        """Add a call that the model asked for, and what came of it."""
        if self.anthropic:
            use = {
                "type": "tool_use",
                "id": call.id,
                "name": call.name,
                "input": msgspec.json.decode(call.arguments or "{}"),
            }
            result_block = {"type": "tool_result", "tool_use_id": call.id, "content": result}
            self._messages += [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result_block]}]
        else:
            function = {"name": call.name, "arguments": call.arguments}
            calls = [{"id": call.id, "type": "function", "function": function}]
            self._messages.append({"role": "assistant", "content": None, "tool_calls": calls})
            self._messages.append({"role": "tool", "tool_call_id": call.id, "content": result})

    def body(self, model: str, hints: dict[str, int], *, stream: bool) -> bytes:
        """The request."""
        metadata = {name: str(value) for name, value in hints.items()}
        common = {"model": model, "stream": stream, "metadata": metadata}
        if self.anthropic:
            system = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}} for text in self._system]
            tools = [{"name": name, "description": name, "input_schema": _SCHEMA} for name in self._tools]
            own = {"max_tokens": MOST_TOKENS, "system": system, "messages": self._messages, "tools": tools}
            return msgspec.json.encode(common | own)
        system = [{"role": "system", "content": text} for text in self._system]
        functions = [{"name": name, "description": name, "parameters": _SCHEMA} for name in self._tools]
        tools = [{"type": "function", "function": function} for function in functions]
        own = {"max_completion_tokens": MOST_TOKENS, "messages": system + self._messages}
        if tools:
            own["tools"] = tools
        if stream:
            own["stream_options"] = {"include_usage": True}
        return msgspec.json.encode(common | own)


_SCHEMA: Final = {"type": "object", "properties": {"query": {"type": "string"}}}
