"""A person's message: a ``UIMessage`` as a message of the session, and back. What the session has no fields for (the message's
metadata, ``data-*`` parts, an order of parts of its own) is stored with the message, as its ``meta``.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from holdfast.errors import Refused
from holdfast.protocol import contexts, limits
from holdfast.protocol.bounds import too_large
from holdfast.protocol.view import Entry

META: Final = "aiSdk"
"""In a message's ``meta``: ``{metadata?, parts?}``."""

_DATA_URL: Final = re.compile(r"data:[^,]*?(;base64)?,(.*)", re.DOTALL)
_BLOB: Final = re.compile(r"/v1/sessions/[^/]+/blobs/([0-9a-f]{64})$")
_FILE: Final = {"type": "file"}
_TEXT: Final = {"type": "text"}


class UIMessage(msgspec.Struct):
    """A message as the SDK's ``UIMessage``."""

    id: str
    role: str
    parts: list[dict[str, Any]] = []
    metadata: Any = None


class File(NamedTuple):
    """A file part: ``data``, or the name of a ``blob``."""

    name: str
    media_type: str
    data: bytes = b""
    blob: str = ""


class UserMessage(NamedTuple):
    """A person's message, as a session takes it."""

    text: str
    files: list[File]
    meta: dict[str, Any]


def parse(message: UIMessage) -> UserMessage:
    """A user's message as the session takes it. Raises ``Refused``."""
    texts = [_text(part) for part in message.parts if part.get("type") == "text"]
    text = "\n\n".join(texts)
    if len(text) > limits.TEXT_CHARS:
        raise too_large("text", limits.TEXT_CHARS, "characters")
    files = [parse_file(part) for part in message.parts if part.get("type") == "file"]
    if len(files) > limits.INPUT_FILES:
        raise too_large("parts", limits.INPUT_FILES, "files")
    shapes = [_shape(part, alone=len(texts) == 1) for part in message.parts]
    if not (text or files or any(str(shape["type"]).startswith("data-") for shape in shapes)):
        raise Refused("input.malformed", "parts: neither text nor files")
    meta: dict[str, Any] = {}
    if message.metadata is not None:
        meta["metadata"] = message.metadata
    if shapes != _default_parts(text, len(files)):
        meta["parts"] = shapes
    return UserMessage(text, files, {META: meta} if meta else {})


def _text(part: dict[str, Any]) -> str:
    text = part.get("text")
    if not isinstance(text, str):
        raise Refused("input.malformed", "parts: a text part has a text")
    return text


def _shape(part: dict[str, Any], *, alone: bool) -> dict[str, Any]:
    """A part without what the session has anyway: its words where they are the message's only ones, its file."""
    if part.get("type") == "file":
        return _FILE
    if part.get("type") == "text":
        return _TEXT if alone else {**_TEXT, "text": part["text"]}
    return {"type": "", **part}


def _default_parts(text: str, files: int) -> list[dict[str, Any]]:
    """The parts that ``sendMessage({ text, files })`` makes."""
    return [_FILE] * files + ([_TEXT] if text else [])


def parse_file(part: dict[str, Any]) -> File:
    """What a file part gives: its content in a ``data:`` address, or a blob this session has already."""
    url, name, media = part.get("url"), part.get("filename") or "", part.get("mediaType") or "application/octet-stream"
    if not isinstance(url, str) or not isinstance(name, str) or not isinstance(media, str):
        raise Refused("input.malformed", "parts: a file part has a url and a mediaType")
    fields = (name[: limits.NAME_CHARS], media.lower()[: limits.NAME_CHARS])
    blob, data_url = _BLOB.search(url), _DATA_URL.fullmatch(url)
    if blob is not None:
        return File(*fields, blob=blob[1])
    if data_url is None:
        raise Refused("input.malformed", "parts: the url of a file must be a data: address or a blob of this session")
    raw = unquote_to_bytes(data_url[2])
    try:
        return File(*fields, data=base64.b64decode(raw, validate=True) if data_url[1] else raw)
    except binascii.Error:
        raise Refused("input.malformed", "parts: a file is not base64") from None


def ui_message(session: str, item: Entry) -> dict[str, Any]:
    """A message of a person, or of an agent outside of runs, as the ``UIMessage`` it was."""
    files = [
        {
            "type": "file",
            "mediaType": a.get("mediaType") or "application/octet-stream",
            "filename": a.get("name", ""),
            "url": f"/v1/sessions/{session}/blobs/{a['blob']}",
        }
        for a in item.get("attachments", [])
        if a.get("mediaType") not in contexts.ALL
    ]
    meta = item.get("meta", {}).get(META)
    meta = meta if isinstance(meta, dict) else {}
    shapes = meta.get("parts") or _default_parts(item["text"], len(files))
    parts = []
    for shape in shapes:
        if shape["type"] == "file" and files:
            parts.append(files.pop(0))
        elif shape["type"] == "text":
            parts.append({**_TEXT, "text": shape.get("text", item["text"])})
        else:
            parts.append(shape)
    role = "assistant" if item["role"] in ("assistant", "operator") else "user"  # who took over speaks in its place
    fields = {"by": item["actor"], "ts": item["ts"]}
    stored_metadata = meta.get("metadata")
    metadata = (
        {**stored_metadata, "holdfast": fields}
        if isinstance(stored_metadata, dict)
        else stored_metadata or {"holdfast": fields}
    )
    return {"id": item["id"], "role": role, "parts": parts, "metadata": metadata}
