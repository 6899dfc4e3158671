"""The SDK's own fold of a UI message stream, strictly: what it would throw at, this throws at.

After ``ai/src/ui/process-ui-message-stream.ts``; written to judge, so it knows nothing of the dialect.
"""

from __future__ import annotations

from typing import Any


class FoldedMessage:
    """One message as a client shows it.

    Attributes:
        ends: of the chunks that end a stream, those seen.
    """

    def __init__(self) -> None:
        self.id = ""
        self.metadata: dict[str, Any] = {}
        self.parts: list[dict[str, Any]] = []
        self.open: dict[tuple[str, str], dict[str, Any]] = {}
        self.ends: list[str] = []
        self.starts = 0

    def apply(self, chunks: Any) -> FoldedMessage:
        for chunk in chunks:
            assert not self.ends, f"{chunk} after the end"
            self._apply_chunk(chunk, chunk["type"])
        return self

    def continue_stream(self) -> None:
        """Another stream goes on with this message."""
        assert self.ends == ["finish"] and not self.open
        self.ends = []

    def _apply_chunk(self, chunk: dict[str, Any], type_: str) -> None:
        word, _, what = type_.partition("-")
        metadata = chunk.get("messageMetadata", {}).get("holdfast", {})
        self.metadata = merged(self.metadata, metadata)
        if type_ == "start":
            self.id = chunk["messageId"]
            self.starts += 1
        elif type_ in ("finish", "abort", "error"):
            self.ends.append(type_)
            assert not self.open, f"left open: {self.open}"
        elif word in ("text", "reasoning"):
            self._text(chunk, word, what)
        elif word == "tool":
            self._tool(chunk, type_)
        elif word == "data":
            known = [p for p in self.parts if p["type"] == type_ and p.get("id") == chunk.get("id")]
            if known and not chunk.get("transient"):
                known[0]["data"] = chunk["data"]
            elif not chunk.get("transient"):
                self.parts.append(dict(chunk))
        elif type_ in ("source-url", "source-document", "file"):
            self.parts.append(dict(chunk))
        elif type_ == "start-step":
            self.parts.append({"type": "step"})
        else:
            assert type_ in ("finish-step", "message-metadata"), type_

    def _text(self, chunk: dict[str, Any], word: str, what: str) -> None:
        key = (word, chunk["id"])
        if what == "start":
            assert key not in self.open, f"{key} started twice"
            part = self.open[key] = {"type": word, "id": chunk["id"], "text": ""}
            self.parts.append(part)
        elif what == "delta":
            self.open[key]["text"] += chunk["delta"]
        else:
            del self.open[key]

    def _tool(self, chunk: dict[str, Any], type_: str) -> None:
        tools = [p for p in self.parts if p["type"] == "tool"]
        if type_ == "tool-approval-response":
            part = next(p for p in tools if p.get("approval") == chunk["approvalId"])
            part["state"] = "responded"
            return
        part = next((p for p in self.last_step() if p["id"] == chunk["toolCallId"]), {})
        if not part and type_ not in ("tool-input-start", "tool-input-available"):
            part = next(p for p in reversed(tools) if p["id"] == chunk["toolCallId"])
        if not part:
            assert not any(p["id"] == chunk["toolCallId"] for p in tools), f"{chunk} is in a step before"
            part = {"type": "tool", "id": chunk["toolCallId"], "name": chunk["toolName"]}
            self.parts.append(part)
        if type_ == "tool-input-start":
            part.update(state="streaming", args="")
        elif type_ == "tool-input-delta":
            assert part["state"] == "streaming"
            part["args"] += chunk["inputTextDelta"]
        elif type_ == "tool-input-available":
            part.update(state="available", input=chunk["input"])
        elif type_ == "tool-approval-request":
            part.update(state="requested", approval=chunk["approvalId"])
        elif type_ == "tool-output-available":
            part.update(state="output", output=chunk["output"], error=None)
        else:
            assert type_ in ("tool-output-error", "tool-output-denied"), type_
            part.update(state=type_, error=chunk.get("errorText"))

    def answer(self, approvals: set[str]) -> None:
        """The user answers, as ``addToolApprovalResponse`` notes it."""
        for part in self.parts:
            if part.get("state") == "requested" and part["approval"] in approvals:
                part["state"] = "responded"

    def last_step(self) -> list[dict[str, Any]]:
        """The tool parts of the last step."""
        start = max((number for number, p in enumerate(self.parts) if p["type"] == "step"), default=-1)
        return [p for p in self.parts[start + 1 :] if p["type"] == "tool"]

    def answerable(self, approvals: set[str]) -> None:
        """All of these can be answered, and then the SDK sends the answers by itself: after
        ``ai/src/ui/last-assistant-message-is-complete-with-approval-responses.ts``."""
        last = self.last_step()
        assert {p["approval"] for p in last if p["state"] == "requested"} >= approvals, self.parts
        over = ("output", "tool-output-error", "tool-output-denied", "requested", "responded")
        assert all(p["state"] in over for p in last), last

    def content(self) -> dict[str, Any]:
        """Everything shown, texts that were told in pieces joined; what must not depend on when one came."""
        texts: dict[str, str] = {}
        for part in self.parts:
            if part["type"] in ("text", "reasoning"):
                key = f"{part['type']} {part['id']}"
                texts[key] = texts.get(key, "") + part["text"]
        tools = {
            p["id"]: (p["state"], p.get("input"), p.get("output"), p.get("error"))
            for p in self.parts
            if p["type"] == "tool"
        }
        data = {f"{p['type']} {p.get('id')}": p["data"] for p in self.parts if p["type"].startswith("data-")}
        sources = [p for p in self.parts if p["type"] in ("source-url", "source-document", "file")]
        return {"id": self.id, "texts": texts, "tools": tools, "data": data, "sources": sources, "ends": self.ends}


def merged(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """``ai/src/util/merge-objects.ts``: objects are merged, all the way down."""
    result = dict(base)
    for key, value in more.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        result[key] = merged(base[key], value) if both else value
    return result
