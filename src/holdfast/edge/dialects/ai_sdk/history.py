"""A conversation as the SDK's ``UIMessage[]``: what ``useChat`` is given as its first ``messages``."""

from __future__ import annotations

from typing import Any, cast

from holdfast.edge.dialects.ai_sdk.answer import Answer
from holdfast.edge.dialects.ai_sdk.calls import Chunk, parse_json
from holdfast.edge.dialects.ai_sdk.states import AnswerState
from holdfast.edge.dialects.ai_sdk.user_message import ui_message
from holdfast.edge.dialects.life_ids import outgoing_id
from holdfast.edge.local_subscription import SubscriptionMessage
from holdfast.protocol.fold import View
from holdfast.protocol.view import ENDED

MessageDict = dict[str, Any]


def conversation(
    session: str, life: str, view: View, version: int, states: dict[str, AnswerState]
) -> list[MessageDict]:
    """The messages of the branch shown, within the view's window. An answer that is being given is left out.

    The view is read, not changed; what is returned may share parts with it.
    """
    messages: list[MessageDict] = []
    done_runs: set[str] = set()
    for item in view.visible():
        run = view.root(item["run"]) if "run" in item else None
        if run is None:
            if item["kind"] == "message":
                messages.append({**ui_message(session, item), "id": outgoing_id(item["id"], life)})
        elif run not in done_runs:
            done_runs.add(run)
            if (entry := view.runs.get(run)) is not None and entry["status"] in ENDED:
                answer = Answer(session, run, version, state=states.get(run))
                messages.append(
                    fold_chunks(
                        list(
                            answer.chunks(
                                SubscriptionMessage(
                                    "snapshot", seq=0, incarnation=life, view=cast(dict[str, Any], view.export())
                                )
                            )
                        )
                    )
                )
    return messages


def fold_chunks(chunks: list[Chunk]) -> MessageDict:
    """The message that the SDK makes of an ended answer's chunks (``ai/src/ui/process-ui-message-stream.ts``)."""
    message: MessageDict = {"id": "", "role": "assistant", "parts": [], "metadata": {"holdfast": {}}}
    parts, by_id = message["parts"], dict[tuple[str, str], dict[str, Any]]()
    for chunk in chunks:
        type_ = chunk["type"]
        message["metadata"]["holdfast"].update(chunk.get("messageMetadata", {}).get("holdfast", {}))
        if type_ == "start":
            message["id"] = chunk["messageId"]
        elif type_ == "start-step":
            parts.append({"type": "step-start"})
        elif type_ in ("text-start", "reasoning-start"):
            kind = type_.partition("-")[0]
            parts.append(by_id.setdefault((kind, chunk["id"]), {"type": kind, "text": "", "state": "done"}))
        elif type_ in ("text-delta", "reasoning-delta"):
            by_id[type_.partition("-")[0], chunk["id"]]["text"] += chunk["delta"]
        elif type_.startswith("tool-"):
            _apply_tool_chunk(chunk, parts, by_id)
        elif type_ in ("source-url", "source-document", "file") or type_.startswith("data-"):
            parts.append(chunk)
        if type_ in ("text-start", "text-end", "reasoning-start", "reasoning-end") and "providerMetadata" in chunk:
            by_id[type_.partition("-")[0], chunk["id"]]["providerMetadata"] = chunk["providerMetadata"]
    return message


def _apply_tool_chunk(chunk: Chunk, parts: list[dict[str, Any]], by_id: dict[tuple[str, str], dict[str, Any]]) -> None:
    """One step of a tool part: its input, what allows it, its output."""
    type_ = chunk["type"]
    if type_ == "tool-approval-response":
        part = next(p for p in parts if p.get("approval", {}).get("id") == chunk["approvalId"])
        part["state"] = "approval-responded"
        part["approval"] |= {k: chunk[k] for k in ("approved", "reason") if k in chunk}
        return
    part = by_id.get(("tool", chunk["toolCallId"]), {})
    if not part:
        part = {"type": f"tool-{chunk['toolName']}", "toolCallId": chunk["toolCallId"], "providerExecuted": True}
        by_id["tool", chunk["toolCallId"]] = part
        parts.append(part)
    if type_ == "tool-input-start":
        part |= {"state": "input-streaming", "input": None}
    elif type_ == "tool-input-delta":
        part["input"] = parse_json(chunk["inputTextDelta"])
    elif type_ == "tool-input-available":
        part |= {"state": "input-available", "input": chunk["input"]}
    elif type_ == "tool-approval-request":
        part |= {"state": "approval-requested", "approval": {"id": chunk["approvalId"]}}
    elif type_ == "tool-output-available":
        part |= {"state": "output-available", "output": chunk["output"]}
    elif type_ == "tool-output-error":
        part |= {"state": "output-error", "errorText": chunk["errorText"]}
    elif type_ == "tool-output-denied":
        part["state"] = "output-denied"
    if "providerMetadata" in chunk:
        part["callProviderMetadata"] = chunk["providerMetadata"]
