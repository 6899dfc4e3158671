"""The request of an SDK client, and what its last message decides, answers and says of its own position."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from holdfast.edge.browser_calls import BrowserResult
from holdfast.edge.dialects.ai_sdk.answer import ClientPosition
from holdfast.edge.dialects.ai_sdk.user_message import UIMessage
from holdfast.errors import Refused
from holdfast.protocol import codec, limits, wire
from holdfast.session.approval import action_hash

TOOLS_HEADER: Final = "holdfast-tools"

_POSITION: Final = msgspec.json.Decoder(ClientPosition)


class ChatRequest(msgspec.Struct):
    """The body of a POST, and the part of a ``send`` frame that is the same."""

    id: str
    messages: list[UIMessage]
    trigger: Literal["submit-message", "regenerate-message"] = "submit-message"
    messageId: str | None = None


def resolve_ops(session: str, message: UIMessage) -> list[wire.Resolve]:
    """The approvals that the message's tool parts answer; what was shown is what is decided on."""
    ops = []
    for part in message.parts:
        approval = part.get("approval")
        if part.get("state") != "approval-responded" or not isinstance(approval, dict):
            continue
        ident = codec.check_entity_id(approval.get("id"), "parts: approval.id")
        tool = part.get("toolName") or str(part.get("type", "")).removeprefix("tool-")
        input_ = part.get("input")
        hash_ = action_hash(str(tool), input_) if isinstance(input_, dict) else None
        decision: Literal["approved", "denied"] = "approved" if approval.get("approved") is True else "denied"
        note = approval.get("reason")
        note = note[: limits.NAME_CHARS] if isinstance(note, str) else ""
        ops.append(wire.Resolve(session=session, approval=ident, decision=decision, note=note, hash=hash_))
    return ops


def tool_results(message: UIMessage) -> list[BrowserResult]:
    """What the page's own tools came to: outputs of the calls that were left to it (``parts.Parts``)."""
    results = []
    for part in message.parts:
        state, call, type_ = part.get("state"), part.get("toolCallId"), str(part.get("type", ""))
        if part.get("providerExecuted") or not isinstance(call, str):
            continue
        if state not in ("output-available", "output-error") or part.get("preliminary"):
            continue
        error = str(part.get("errorText") or "") if state == "output-error" else None
        results.append(
            BrowserResult(call, str(part.get("toolName") or type_.removeprefix("tool-")), part.get("output"), error)
        )
    return results


def parse_tools(header: str | None) -> frozenset[str] | None:
    """The names in ``holdfast-tools: pick_file, selection``; None without the header: the page may have any tool."""
    return None if header is None else frozenset(header.replace(",", " ").split())


def client_position(message: UIMessage, answered: frozenset[str]) -> ClientPosition:
    """Where the client's message stands, as its metadata says; it concerns only what this client is shown."""
    metadata = message.metadata.get("holdfast") if isinstance(message.metadata, dict) else None
    raw = metadata.get("since") if isinstance(metadata, dict) else None
    if not isinstance(raw, str):
        return ClientPosition(answered)
    try:
        position: ClientPosition = codec.decode(raw, _POSITION, "since")
    except Refused:
        return ClientPosition(answered)
    return msgspec.structs.replace(position, answered=answered)
