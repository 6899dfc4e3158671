"""Anthropic's messages: pieces to bytes.

Every event has its name: clients of the dialect skip an error without one. A message begins with its usage, so its first
event waits for the piece after ``AnswerStart``; the last usage and the reason stand together before the end.
"""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.providers import pieces as p
from holdfast.providers.encoder import StreamEncoder, as_text
from holdfast.providers.usage import TokenUsage, to_messages

_WORDS: dict[p.Stop, str] = {
    "length": "max_tokens", "call": "tool_use", "refused": "refusal", "pause": "pause_turn",
}  # fmt: skip
_EMPTY: dict[str, dict[str, Any]] = {
    "text": {"type": "text", "text": ""},
    "reasoning": {"type": "thinking", "thinking": "", "signature": ""},
}


class _Block(msgspec.Struct):
    """An open block: ``kind`` is ``text``, ``reasoning``, ``call``, ``result`` or ``other``."""

    index: int
    kind: str
    type: str


class MessagesEncoder(StreamEncoder):
    """Writes one stream of message events."""

    dialect = "anthropic.messages"

    def __init__(self, *, native: bool = False) -> None:
        super().__init__(native=native)
        self._answer: p.AnswerStart | None = None  # begun, and not written yet
        self._started = self._usage_open = False
        self._open: dict[tuple[int, str], _Block] = {}
        self._names: dict[str, str] = {}  # of the provider's calls, by id
        self._blocks = 0

    def _event(self, kind: str, **fields: Any) -> None:
        self._begin()
        self._write({"type": kind, **fields}, kind)

    def _start(self, piece: p.AnswerStart) -> None:
        if self._started and not self._native:
            return  # another model goes on with it, which this dialect cannot say
        self._begin(only_waiting=True)
        self._answer, self._started = piece, False
        self._open, self._blocks = {}, 0
        self._finish, self._usage_open = None, False

    def _begin(self, only_waiting: bool = False) -> None:
        """Write the start of the message, unless it is written."""
        if self._started or (only_waiting and self._answer is None):
            return
        answer, self._answer, self._started = self._answer or p.AnswerStart(), None, True
        usage = self._counts() if self._usage_open else {"input_tokens": 0, "output_tokens": 0}
        self._usage_open = False
        message: dict[str, Any] = {
            "id": answer.id, "type": "message", "role": "assistant", "model": answer.model, "content": [],
            "stop_reason": None, "stop_sequence": None, "usage": usage,
        }  # fmt: skip
        self._write({"type": "message_start", "message": message}, "message_start")

    # --- blocks
    def _open_block(self, item: int, kind: str, block: dict[str, Any]) -> _Block:
        if not self._native and kind != "call":
            self._close_texts()
        index = item if self._native else self._blocks
        self._blocks += 1
        self._open[item, kind] = opened = _Block(index, kind, str(block.get("type", "")))
        self._event("content_block_start", index=index, content_block=block)
        return opened

    def _close_texts(self) -> None:
        """Blocks stand one after the other; only calls are written side by side."""
        for key in [key for key, block in self._open.items() if block.kind in ("text", "reasoning")]:
            self._close(key)

    def _close(self, key: tuple[int, str]) -> None:
        self._event("content_block_stop", index=self._open.pop(key).index)

    def _block(self, item: int, kind: str) -> _Block:
        """The open block of an item; a text that has none begins one."""
        found = self._open.get((item, kind))
        if found is None and self._native:
            found = next((block for (at, _), block in self._open.items() if at == item), None)
        return found or self._open_block(item, kind, _EMPTY[kind])

    def _start_item(self, piece: p.ItemStart) -> None:
        if self._native:
            self._open_block(piece.item, piece.kind, piece.native or _EMPTY.get(piece.kind) or {"type": "other"})
        elif piece.kind == "other":
            self._said_not("other item")

    def _end_item(self, piece: p.ItemEnd) -> None:
        keys = [key for key in self._open if key[0] == piece.item]
        for key in keys:
            self._close(key)
        if self._native and not keys:
            self._event("content_block_stop", index=piece.item)

    def _delta(self, block: _Block, kind: str, **fields: Any) -> None:
        self._event("content_block_delta", index=block.index, delta={"type": kind, **fields})

    def _text(self, piece: p.TextDelta) -> None:
        self._delta(self._block(piece.item, "text"), "text_delta", text=piece.text)

    def _refusal(self, piece: p.RefusalDelta) -> None:
        self._delta(self._block(piece.item, "text"), "text_delta", text=piece.text)

    def _reasoning(self, piece: p.ReasoningDelta) -> None:
        self._delta(self._block(piece.item, "reasoning"), "thinking_delta", thinking=piece.text)

    # --- calls
    def _start_call(self, piece: p.CallStart) -> None:
        made = {"type": "tool_use", "id": piece.id, "name": piece.name, "input": {}}
        self._close_before_call()
        self._open_block(piece.item, "call", (self._native and piece.native) or made)

    def _start_provider_call(self, piece: p.ProviderCallStart) -> None:
        made = {"type": "mcp_tool_use", "id": piece.id, "name": piece.name, "server_name": "", "input": {}}
        self._names[piece.id] = piece.name
        self._close_before_call()
        self._open_block(piece.item, "call", (self._native and piece.native) or made)

    def _close_before_call(self) -> None:
        if not self._native:
            self._close_texts()

    def _arguments(self, piece: p.ArgumentsDelta) -> None:
        block = self._open.get((piece.item, "call"))
        if block is None:
            self._said_not("arguments of no call")
        else:
            self._delta(block, "input_json_delta", partial_json=piece.text)

    def _result(self, piece: p.ProviderCallResult) -> None:
        if self._native and piece.native:
            self._open_block(piece.item, "result", piece.native)
            return
        if piece.id not in self._names:
            self._said_not("result of no call")
            return
        for key in [key for key in self._open if key[0] == piece.item]:
            self._close(key)
        content = [{"type": "text", "text": piece.error or as_text(piece.value)}]
        block = {"type": "mcp_tool_result", "tool_use_id": piece.id, "is_error": bool(piece.error), "content": content}
        self._open_block(piece.item, "result", block)
        self._close((piece.item, "result"))

    # --- beside the text
    def _cite(self, piece: p.SourceCited) -> None:
        made = {
            "type": "web_search_result_location", "url": piece.uri, "title": piece.title, "cited_text": piece.quote,
            "encrypted_index": "",
        }  # fmt: skip
        self._delta(
            self._block(piece.item, "text"), "citations_delta", citation=(self._native and piece.native) or made
        )

    def _field(self, piece: p.OpaqueField) -> None:
        block = next((b for (item, _), b in self._open.items() if item == piece.item), None)
        if block is None or not self._native:
            self._said_not(piece.name)
        elif block.type == "compaction":
            self._delta(block, "compaction_delta", **{piece.name: piece.value})
        elif piece.name == "signature":
            self._delta(block, "signature_delta", signature=piece.value)
        else:
            self._said_not(piece.name)

    # --- the end
    def _count(self, piece: TokenUsage) -> None:
        super()._count(piece)
        self._usage_open = True
        self._begin(only_waiting=True)

    def _counts(self) -> dict[str, Any]:
        return self._usage.reported if self._native and self._usage.reported else to_messages(self._usage)

    def _finish_message(self, *, always: bool) -> None:
        """Close what is open; tell why it stopped and what it used."""
        self._begin()
        for key in list(self._open):
            self._close(key)
        finish, self._finish = self._finish, None
        if not (always or finish or self._usage_open):
            return
        reason = None
        if finish is not None:
            reason = finish.reason if self._native and finish.reason else _WORDS.get(finish.stop, "end_turn")
        tell = self._usage_open or not self._native
        self._usage_open = False
        self._event(
            "message_delta",
            delta={"stop_reason": reason, "stop_sequence": None},
            **({"usage": self._counts()} if tell else {}),
        )

    def _fail(self, piece: p.AnswerFailure) -> None:
        self._finish_message(always=False)
        details = {"details": {"error_code": piece.code}} if piece.code else {}
        error = {"type": piece.type or "api_error", "message": piece.message, **details}
        self._event("error", error=error, request_id=None)

    def _end(self, piece: p.AnswerEnd) -> None:
        self._finish_message(always=not self._native)
        self._event("message_stop")
