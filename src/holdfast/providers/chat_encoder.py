"""OpenAI's chat completions: pieces to bytes.

The dialect has one text, no items, and nothing that only the provider understands but ``extra_content`` of calls. Calls of
the provider's own are told as Groq tells them, in ``executed_tools``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.providers import pieces as p
from holdfast.providers.encoder import StreamEncoder, as_text, dumps
from holdfast.providers.fields import has_content
from holdfast.providers.usage import TokenUsage, to_chat

_WORDS: dict[p.Stop, str] = {"length": "length", "call": "tool_calls", "refused": "content_filter"}
_DONE = b"data: [DONE]\n\n"


class _ProviderCall(msgspec.Struct):
    """A call that the provider makes; ``args`` are told in one piece, when they are whole."""

    index: int
    head: dict[str, Any]
    args: list[str] = []


class ChatEncoder(StreamEncoder):
    """Writes one stream of chat completion chunks.

    Attributes:
        choices: the answers that end together, by index; another than the first only where somebody else's stream is ended.
    """

    dialect = "openai.chat"
    choices: tuple[int, ...] = (0,)

    def __init__(self, *, native: bool = False) -> None:
        super().__init__(native=native)
        self._head: dict[str, Any] = {"id": "", "object": "chat.completion.chunk", "created": 0, "model": ""}
        self._before = self._after = b""
        self._calls: dict[int, int] = {}
        self._provider_calls: dict[int, _ProviderCall] = {}
        self._by_id: dict[str, int] = {}
        self._usage_open = False
        self._set_head()

    def _set_head(self) -> None:
        """The bytes around what a delta says are the same for all of them."""
        self._before = b"data: " + dumps(self._head)[:-1] + b',"choices":[{"index":0,"delta":'
        self._after = b',"finish_reason":null}]}\n\n'

    def _chunk(self, delta: dict[str, Any]) -> None:
        if not self._silent:
            self._out.append(b"%b%b%b" % (self._before, dumps(delta), self._after))

    def _start(self, piece: p.AnswerStart) -> None:
        self._head.update(id=piece.id, model=piece.model, created=piece.created)
        self._set_head()
        self._chunk({"role": "assistant", "content": ""})

    def _start_item(self, piece: p.ItemStart) -> None:
        if piece.kind == "other":
            self._said_not("other item")

    def _end_item(self, piece: p.ItemEnd) -> None:
        if (call := self._provider_calls.get(piece.item)) is not None:
            self._tell_args(call)

    def _text(self, piece: p.TextDelta) -> None:
        self._chunk({"content": piece.text})

    def _refusal(self, piece: p.RefusalDelta) -> None:
        self._chunk({"refusal": piece.text})

    def _reasoning(self, piece: p.ReasoningDelta) -> None:
        self._chunk({"reasoning_content": piece.text})

    # --- calls
    def _start_call(self, piece: p.CallStart) -> None:
        self._calls[piece.item] = index = len(self._calls)
        function = {"name": piece.name, "arguments": ""}
        self._chunk({"tool_calls": [{"index": index, "id": piece.id, "type": "function", "function": function}]})

    def _arguments(self, piece: p.ArgumentsDelta) -> None:
        index = self._calls.get(piece.item)
        if index is not None:
            self._chunk({"tool_calls": [{"index": index, "function": {"arguments": piece.text}}]})
        elif (call := self._provider_calls.get(piece.item)) is not None:
            call.args.append(piece.text)
            if self._native:
                self._tell_args(call)
        else:
            self._said_not("arguments of no call")

    def _start_provider_call(self, piece: p.ProviderCallStart) -> None:
        index = len(self._provider_calls)
        head = piece.native if self._native and piece.native else {"type": piece.name, "id": piece.id}
        self._provider_calls[piece.item] = call = _ProviderCall(index, {"index": index, **head}, [])
        self._by_id[piece.id] = piece.item
        self._chunk({"executed_tools": [call.head]})

    def _tell_args(self, call: _ProviderCall) -> None:
        if call.args:
            self._chunk({"executed_tools": [{**call.head, "arguments": "".join(call.args)}]})
            call.args = []

    def _result(self, piece: p.ProviderCallResult) -> None:
        call = self._provider_calls.get(self._by_id.get(piece.id, -1))
        if call is None:
            self._said_not("result of no call")
            return
        self._tell_args(call)
        outcome = piece.native if self._native and piece.native else {"output": as_text(piece.value)}
        if not has_content(outcome) or piece.value is None:
            outcome = {"output": piece.error or "completed"}
        self._chunk({"executed_tools": [{**call.head, **outcome}]})

    # --- beside the text
    def _cite(self, piece: p.SourceCited) -> None:
        native = piece.native if self._native else {}
        if "part" in native:
            self._chunk({"content": [native["part"]]})
        elif "search_results" in native or "citations" in native:
            self._write({**self._head, "choices": [], **native})
        else:
            made = {"type": "url_citation", "url_citation": {"url": piece.uri, "title": piece.title}}
            self._chunk({"annotations": [native or made]})

    def _field(self, piece: p.OpaqueField) -> None:
        if piece.item in self._calls and piece.name == "extra_content":
            self._chunk({"tool_calls": [{"index": self._calls[piece.item], "extra_content": piece.value}]})
        else:
            self._said_not(piece.name)

    # --- the end
    def _count(self, piece: TokenUsage) -> None:
        super()._count(piece)
        self._usage_open = True
        if self._native:
            self._tell_usage()

    def _tell_usage(self) -> None:
        if not self._usage_open:
            return
        self._usage_open = False
        usage = self._usage
        reported = usage.reported if self._native and usage.reported else to_chat(usage)
        tier = {"service_tier": usage.tier} if usage.tier else {}
        self._write({**self._head, "choices": [], **tier, "usage": reported})

    def _stop(self, piece: p.AnswerFinish) -> None:
        for call in self._provider_calls.values():
            self._tell_args(call)
        super()._stop(piece)
        reason = piece.reason if self._native and piece.reason else _WORDS.get(piece.stop, "stop")
        ends = [{"index": index, "delta": {}, "finish_reason": reason} for index in self.choices]
        self._write({**self._head, "choices": ends})

    def _fail(self, piece: p.AnswerFailure) -> None:
        self._tell_usage()
        error = {"message": piece.message, "type": piece.type or None, "param": None, "code": piece.code or None}
        self._write({"error": error})
        self._done()

    def _end(self, piece: p.AnswerEnd) -> None:
        self._tell_usage()
        self._done()

    def _done(self) -> None:
        if not self._silent:
            self._out.append(_DONE)
