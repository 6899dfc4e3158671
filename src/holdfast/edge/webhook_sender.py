"""One webhook: its body, its signature, and what one try comes to."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any, Final

import httpx
from standardwebhooks.webhooks import Webhook

from holdfast.engines.port import Notice
from holdfast.protocol import events as e
from holdfast.protocol import limits
from holdfast.protocol.browser_tools import CALL

_COMMON: Final = ("session", "incarnation", "seq", "participants")
FIELDS: Final[dict[str, tuple[str, ...]]] = {
    e.RUN_ENDED: (*_COMMON, "run", "agent", "status"),
    e.APPROVAL_REQUESTED: (*_COMMON, "run", "approval", "tool", "deadline"),
}
"""The kinds of notices that are sent, and what of each; the feed knows more kinds and more of them."""


def is_sent(notice: Notice) -> bool:
    """Whether people are called by it: a top-level run ended, or a decision waits, and none of them was connected."""
    data = notice.data
    if data["type"] not in FIELDS or data["connected"] or not data["participants"]:
        return False
    if data["type"] == e.RUN_ENDED:
        return "agent" in data and "parent" not in data
    return data.get("purpose") != CALL


class WebhookSender:
    """One address, one signing key."""

    def __init__(self, client: httpx.AsyncClient, url: str, signer: Webhook) -> None:
        self._client = client
        self._url = url
        self._signer = signer

    async def send(self, notice: Notice) -> str | None:
        """Try once; why it was not taken, or None when it was. The answer's body is not read."""
        ident, body = webhook_id(notice), webhook_body(notice)
        now = datetime.now(UTC)
        headers = {
            "webhook-id": ident,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(ident, now, body),
            "content-type": "application/json",
        }
        try:
            async with (
                asyncio.timeout(limits.WEBHOOK_TIMEOUT_S),
                self._client.stream("POST", self._url, content=body, headers=headers) as response,
            ):
                return None if response.is_success else str(response.status_code)
        except Exception as error:  # whatever a receiver does, the webhook is tried again
            return type(error).__name__


def webhook_id(notice: Notice) -> str:
    """The ``webhook-id`` of a notice, the same at every try."""
    return f"msg_{notice.data['incarnation']}_{notice.data['seq']}"


def webhook_body(notice: Notice) -> str:
    """The body: what happened and where, never what was said."""
    fields: dict[str, Any] = {name: notice.data[name] for name in FIELDS[notice.data["type"]] if name in notice.data}
    when = datetime.fromtimestamp(notice.data["ts"] / 1_000, UTC)
    message = {
        "type": notice.data["type"],
        "timestamp": when.isoformat(),
        "data": {"tenant": notice.key.tenant, **fields},
    }
    return json.dumps(message, separators=(",", ":"))
