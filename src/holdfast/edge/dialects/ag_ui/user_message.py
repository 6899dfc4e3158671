"""A person's message, as AG-UI has it and as a session stores it. What the session has no fields for (a name, metadata, an order
of text and files of its own) is stored with the message, as its ``meta``.
"""

from __future__ import annotations

from typing import Any, Final

from holdfast.protocol import contexts

META: Final = "agUi"
"""In a message's ``meta``: ``{name?, metadata?, content?}``."""

Part = dict[str, Any]


def meta_of(message: dict[str, Any]) -> dict[str, Any]:
    """What is stored with a client's message."""
    meta = {field: message[field] for field in ("name", "metadata") if message.get(field)}
    content = message.get("content")
    if isinstance(content, list) and [part.get("type") for part in content] != _default_order(content):
        meta["content"] = [_shape(part) for part in content]
    return {META: meta} if meta else {}


def _default_order(content: list[Part]) -> list[Any]:
    """The order in which a session shows text and files by default."""
    kinds = [part.get("type") for part in content]
    texts = ["text"] if "text" in kinds else []
    return texts + [kind for kind in kinds if kind != "text"]


def _shape(part: Part) -> Part:
    return part if part.get("type") == "text" else {name: value for name, value in part.items() if name != "source"}


def content_of(session: str, text: str, attachments: Any, meta: Any = None) -> str | list[Part]:
    """A person's message: text, or parts when files came with it; they are named by their address here."""
    files = [a for a in attachments or [] if isinstance(a, dict) and a.get("mediaType") not in contexts.ALL]
    if not files:
        return text
    parts = [_file(session, file) for file in files]
    shapes = stored_meta(meta).get("content")
    if isinstance(shapes, list):
        return [
            shape if shape.get("type") == "text" else {**shape, **parts.pop(0)}
            for shape in shapes
            if parts or shape.get("type") == "text"
        ]
    return [*([{"type": "text", "text": text}] if text else []), *parts]


def stored_meta(meta: Any) -> dict[str, Any]:
    """What ``meta_of`` gave, of a message's ``meta``."""
    stored = meta.get(META) if isinstance(meta, dict) else None
    return stored if isinstance(stored, dict) else {}


def _file(session: str, file: dict[str, Any]) -> Part:
    media = str(file.get("mediaType", ""))
    kind = media.partition("/")[0]
    source = {"type": "url", "value": f"/v1/sessions/{session}/blobs/{file.get('blob')}", "mimeType": media}
    return {"type": kind if kind in ("image", "audio", "video") else "document", "source": source}


def is_continue_request(data: dict[str, Any]) -> bool:
    """Whether an input only asks the agent to go on: it has no text and no files. It is not shown."""
    return not data.get("text") and isinstance(content_of("", "", data.get("attachments")), str)


def message_events(ident: str, role: str, text: str) -> list[dict[str, Any]]:
    """A message that is there at once, as the events of one."""
    events: list[dict[str, Any]] = [{"type": "TEXT_MESSAGE_START", "messageId": ident, "role": role}]
    if text:
        events.append({"type": "TEXT_MESSAGE_CONTENT", "messageId": ident, "delta": text})
    return [*events, {"type": "TEXT_MESSAGE_END", "messageId": ident}]
