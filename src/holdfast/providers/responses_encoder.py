"""OpenAI's Responses: pieces to bytes.

The dialect says everything twice, in pieces and whole, so the encoder keeps the answer until its end.
"""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.providers import pieces as p
from holdfast.providers.encoder import StreamEncoder, as_text
from holdfast.providers.usage import to_responses

_WORDS: dict[p.Stop, str] = {"length": "max_output_tokens", "refused": "content_filter"}
_STREAMED_ARGS = {"function_call": "function_call", "mcp_call": "mcp_call"}
_PART = {"text": ("output_text", "text"), "refusal": ("refusal", "refusal"), "reasoning": ("reasoning_text", "text")}
_Fields = dict[str, Any]


class _Part(msgspec.Struct):
    """A text inside an item; ``kind`` is ``text``, ``refusal``, ``reasoning`` or ``summary``."""

    kind: str
    index: int
    texts: list[str]
    annotations: list[_Fields]

    @property
    def whole(self) -> _Fields:
        text = "".join(self.texts)
        if self.kind == "summary":
            return {"type": "summary_text", "text": text}
        type_, field = _PART[self.kind]
        noted = {"annotations": self.annotations, "logprobs": []} if self.kind == "text" else {}
        return {"type": type_, field: text, **noted}


class _Item(msgspec.Struct):
    """An open item; ``kind`` is ``text``, ``reasoning``, ``call`` or ``other``."""

    index: int
    id: str
    kind: str
    fields: _Fields
    parts: dict[tuple[str, int], _Part]
    args: list[str]


class ResponsesEncoder(StreamEncoder):
    """Writes one stream of response events.

    Attributes:
        sequence: the number of the next event; set it from the decoder's when a stream is followed.
    """

    dialect = "openai.responses"

    def __init__(self, *, native: bool = False) -> None:
        super().__init__(native=native)
        self.sequence = 0
        self._response: _Fields = {}
        self._open: dict[tuple[int, str], _Item] = {}
        self._by_id: dict[str, tuple[int, str]] = {}  # calls that the provider makes
        self._output: list[_Fields] = []
        self._items = 0

    def _event(self, kind: str, **fields: Any) -> None:
        self._write({"type": kind, "sequence_number": self.sequence, **fields}, kind)
        self.sequence += not self._silent

    def _start(self, piece: p.AnswerStart) -> None:
        first = not self._response
        if self._native and piece.native:
            self._response = piece.native
        else:
            self._response = {**(self._response or _response()), "id": piece.id, "model": piece.model}
            self._response["created_at"] = piece.created
        if first:
            self._event("response.created", response=self._response)
            self._event("response.in_progress", response={**self._response, "status": "in_progress"})

    # --- items
    def _open_item(self, item: int, kind: str, fields: _Fields) -> _Item:
        if not self._native:
            self._close_texts()
        index = item if self._native else self._items
        self._items += 1
        prefix = {"text": "msg", "reasoning": "rs"}.get(kind, "item")
        ident = str(fields.get("id") or f"{prefix}_{index}")
        opened = self._open[item, kind] = _Item(index, ident, kind, {"id": ident, **fields}, {}, [])
        self._event(
            "response.output_item.added",
            output_index=index,
            item=fields if self._native and fields else opened.fields,
        )
        return opened

    def _item(self, item: int, kind: str) -> _Item:
        """The open item; a text that has none begins one."""
        found = self._open.get((item, kind))
        if found is None and self._native:
            found = next((each for (at, _), each in self._open.items() if at == item), None)
        if found is not None:
            return found
        if kind == "reasoning":
            return self._open_item(item, kind, {"type": "reasoning", "summary": []})
        return self._open_item(
            item, kind, {"type": "message", "role": "assistant", "status": "in_progress", "content": []}
        )

    def _close_texts(self) -> None:
        """Texts stand one after the other; only calls are written side by side."""
        for key in [key for key, item in self._open.items() if item.kind in ("text", "reasoning")]:
            self._close(key)

    def _start_item(self, piece: p.ItemStart) -> None:
        if self._native and piece.native:
            self._open_item(piece.item, piece.kind, piece.native)
        elif piece.kind == "other":
            self._said_not("other item")

    def _end_item(self, piece: p.ItemEnd) -> None:
        if self._native and piece.native and not any(item == piece.item for item, _ in self._open):
            self._output.append(piece.native)
            self._event("response.output_item.done", output_index=piece.item, item=piece.native)
        for key in [key for key in self._open if key[0] == piece.item]:
            if self._native or key not in self._by_id.values():  # the result of such a call comes after its end
                self._close(key, piece.native if self._native else {})

    def _close(self, key: tuple[int, str], whole: _Fields | None = None, status: str = "completed") -> None:
        item = self._open.pop(key)
        for part in item.parts.values():
            self._end_part(item, part)
        args = "".join(item.args)
        if item.args and item.fields.get("type") in _STREAMED_ARGS:
            kind = f"response.{item.fields['type']}_arguments.done"
            self._event(kind, item_id=item.id, output_index=item.index, arguments=args)
        whole = whole or _whole(item, args, status)
        self._output.append(whole)
        self._event("response.output_item.done", output_index=item.index, item=whole)

    # --- texts
    def _grow(self, item: _Item, kind: str, index: int, text: str) -> None:
        part, where = self._part(item, kind, index)
        part.texts.append(text)
        name = {"text": "output_text", "refusal": "refusal", "reasoning": "reasoning_text"}.get(
            kind, "reasoning_summary_text"
        )
        logs: _Fields = {"logprobs": []} if kind == "text" else {}
        self._event(f"response.{name}.delta", **where, delta=text, **logs)

    def _part(self, item: _Item, kind: str, index: int) -> tuple[_Part, _Fields]:
        part = item.parts.get((kind, index))
        if part is None:
            beside = [each for each in item.parts.values() if (each.kind == "summary") == (kind == "summary")]
            part = item.parts[kind, index] = _Part(kind, index if self._native else len(beside), [], [])
            name = "reasoning_summary_part" if kind == "summary" else "content_part"
            self._event(f"response.{name}.added", **_where(item, part), part=part.whole)
        return part, _where(item, part)

    def _end_part(self, item: _Item, part: _Part) -> None:
        where, whole = _where(item, part), part.whole
        if part.kind == "summary":
            self._event("response.reasoning_summary_text.done", **where, text=whole["text"])
            self._event("response.reasoning_summary_part.done", **where, part=whole)
            return
        type_, field = _PART[part.kind]
        self._event(f"response.{type_}.done", **where, **{field: whole[field]})
        self._event("response.content_part.done", **where, part=whole)

    def _text(self, piece: p.TextDelta) -> None:
        self._grow(self._item(piece.item, "text"), "text", piece.part, piece.text)

    def _refusal(self, piece: p.RefusalDelta) -> None:
        self._grow(self._item(piece.item, "text"), "refusal", piece.part, piece.text)

    def _reasoning(self, piece: p.ReasoningDelta) -> None:
        kind = "summary" if piece.summary else "reasoning"
        self._grow(self._item(piece.item, "reasoning"), kind, piece.part, piece.text)

    def _cite(self, piece: p.SourceCited) -> None:
        made = {"type": "url_citation", "url": piece.uri, "title": piece.title, "start_index": 0, "end_index": 0}
        part, where = self._part(self._item(piece.item, "text"), "text", piece.part)
        annotation = (self._native and piece.native) or made
        number = len(part.annotations)
        part.annotations.append(annotation)
        self._event("response.output_text.annotation.added", **where, annotation_index=number, annotation=annotation)

    def _field(self, piece: p.OpaqueField) -> None:
        self._said_not(piece.name)

    # --- calls
    def _start_call(self, piece: p.CallStart) -> None:
        made = {
            "type": "function_call", "call_id": piece.id, "name": piece.name, "arguments": "", "status": "in_progress",
        }  # fmt: skip
        self._open_item(piece.item, "call", (self._native and piece.native) or made)

    def _start_provider_call(self, piece: p.ProviderCallStart) -> None:
        made = {
            "type": "mcp_call", "id": piece.id, "name": piece.name, "server_label": "", "arguments": "",
            "status": "in_progress",
        }  # fmt: skip
        self._by_id[piece.id] = (piece.item, "call")
        self._open_item(piece.item, "call", (self._native and piece.native) or made)

    def _arguments(self, piece: p.ArgumentsDelta) -> None:
        item = self._open.get((piece.item, "call"))
        if item is None:
            self._said_not("arguments of no call")
            return
        item.args.append(piece.text)
        if item.fields.get("type") in _STREAMED_ARGS:
            kind = f"response.{item.fields['type']}_arguments.delta"
            self._event(kind, item_id=item.id, output_index=item.index, delta=piece.text)

    def _result(self, piece: p.ProviderCallResult) -> None:
        if self._native:
            return  # it stands in the item, which ends now
        key = self._by_id.pop(piece.id, (-1, ""))
        item = self._open.get(key)
        if item is None:
            self._said_not("result of no call")
            return
        item.fields["output"] = None if piece.error else as_text(piece.value)
        item.fields["error"] = piece.error or None
        self._close(key, status="failed" if piece.error else "completed")

    # --- the end
    def _finished(self, status: str, reason: str | None, left: str) -> _Fields:
        """Close what is open, and return the whole response."""
        for key in list(self._open):
            self._close(key, status=left)
        usage = self._usage
        reported = dict(usage.reported) if self._native and usage.reported else to_responses(usage)
        tools = {"tool_usage": reported.pop("tool_usage")} if "tool_usage" in reported else {}
        tier = {"service_tier": usage.tier} if usage.tier else {}
        counted = usage.input is not None or usage.output is not None or bool(usage.reported)
        return {
            **(self._response or _response()), "status": status, "output": self._output, **tools, **tier,
            "incomplete_details": {"reason": reason} if reason else None,
            "usage": reported if counted else None,
        }  # fmt: skip

    def _fail(self, piece: p.AnswerFailure) -> None:
        """With the usage first; the error flat and nested, for clients read one or the other."""
        self._event("response.incomplete", response=self._finished("incomplete", None, "incomplete"))
        code, kind = piece.code or None, piece.type or None
        error = {"type": kind, "code": code, "message": piece.message, "param": None}
        self._event("error", code=code, message=piece.message, param=None, error=error)

    def _end(self, piece: p.AnswerEnd) -> None:
        finish = self._finish or p.AnswerFinish("completed", "stop")
        reason = _WORDS.get(finish.stop, "")
        if self._native and finish.reason:
            reason = finish.reason if finish.reason != "completed" else ""
        if not reason:
            self._event("response.completed", response=self._finished("completed", None, "completed"))
            return
        shown = reason if reason != "incomplete" else None
        self._event("response.incomplete", response=self._finished("incomplete", shown, "incomplete"))


def _response() -> _Fields:
    """A response that has only begun, with the fields that clients expect."""
    return {
        "id": "", "object": "response", "created_at": 0, "status": "in_progress", "model": "", "output": [],
        "error": None, "incomplete_details": None, "instructions": None, "metadata": {}, "parallel_tool_calls": True,
        "temperature": None, "tool_choice": "auto", "tools": [], "top_p": None, "usage": None,
    }  # fmt: skip


def _where(item: _Item, part: _Part) -> _Fields:
    index = "summary_index" if part.kind == "summary" else "content_index"
    return {"item_id": item.id, "output_index": item.index, index: part.index}


def _whole(item: _Item, args: str, status: str) -> _Fields:
    """An item as it is repeated at its end."""
    whole = dict(item.fields)
    content = [part.whole for part in item.parts.values() if part.kind != "summary"]
    summary = [part.whole for part in item.parts.values() if part.kind == "summary"]
    if content or whole.get("type") == "message":
        whole["content"] = content
    if summary or whole.get("type") == "reasoning":
        whole["summary"] = summary
    if args:
        whole["arguments"] = args
    if "status" in whole:
        whole["status"] = status
    return whole
