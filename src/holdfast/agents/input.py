"""The input of a run."""

from __future__ import annotations

from typing import Any

from holdfast.protocol import contexts
from holdfast.protocol.items import AttachmentEntry


class Input:
    """The input of a run.

    Attributes:
        data: all of it: for a person's message ``{text, messageId, attachments, meta?}``, for a sub-run what ``spawn`` gave.
    """

    def __init__(self, data: dict[str, Any] | str | None) -> None:
        self.data: dict[str, Any] = {"text": data} if isinstance(data, str) else dict(data or {})

    @property
    def text(self) -> str:
        """The words."""
        return str(self.data.get("text", ""))

    @property
    def message_id(self) -> str:
        """Id of the input message, or empty for a sub-run."""
        return str(self.data.get("messageId", ""))

    @property
    def attachments(self) -> list[AttachmentEntry]:
        """Blobs that came with it: ``{blob, name, mediaType}``."""
        return list(self.data.get("attachments") or [])

    @property
    def files(self) -> list[AttachmentEntry]:
        """Of these, what a person attached: without what a client sent beside the words, for your code to read."""
        return [attachment for attachment in self.attachments if attachment.get("mediaType") not in contexts.ALL]

    @property
    def meta(self) -> dict[str, Any]:
        """What the sender's program keeps with the message."""
        return dict(self.data.get("meta") or {})

    def __str__(self) -> str:
        return self.text
