"""Messages as signed webhooks (Standard Webhooks), as the server's own are: see docs/howto/receive-webhooks.md."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import json
import socket
from base64 import b64decode
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

import httpx
from standardwebhooks.webhooks import Webhook

from holdfast.errors import HoldfastError
from holdfast.governance import limits
from holdfast.governance.messages.model import Message

SECRET_BYTES: Final = (24, 64)  # of a signing key, as Standard Webhooks asks for


class WebhookWay:
    """One address.

    Args:
        url: of the receiver.
        secret: fetches the signing key, ``whsec_…``.
        now_ms: the clock, Unix ms.
        private: whether it may be in a private network, or on this machine.
    """

    name = "webhook"

    def __init__(
        self, url: str, secret: Callable[[], Awaitable[str]], now_ms: Callable[[], int], *, private: bool = False
    ) -> None:
        self._url = httpx.URL(url)
        self._secret = secret
        self._now_ms = now_ms
        self._private = private

    async def tell(self, message: Message) -> str | None:
        """Try once; why it was not taken, or None when it was. The answer's body is not read."""
        try:
            async with asyncio.timeout(limits.ALERT_TIMEOUT_S):
                return await self._send(message, await self._signer())
        except HoldfastError as error:
            return error.detail  # of ours: it names where the key should be, never the key
        except Exception as error:  # whatever a receiver does, it is tried again
            return type(error).__name__

    async def _send(self, message: Message, signer: Webhook) -> str | None:
        address = await self._address()
        if address is None:
            return "its address is private; HOLDFAST_GOVERNANCE_ALERT_PRIVATE allows that"
        ident, body, now = (
            webhook_id(message),
            webhook_body(message),
            datetime.fromtimestamp(self._now_ms() / 1_000, UTC),
        )
        headers = {
            "host": self._url.netloc.decode(),
            "webhook-id": ident,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signer.sign(ident, now, body),
            "content-type": "application/json",
        }
        # the address that was looked at is the one that is asked: its name may lead elsewhere a moment later
        extensions = {"sni_hostname": self._url.host}
        async with (
            httpx.AsyncClient(timeout=limits.ALERT_TIMEOUT_S, follow_redirects=False, trust_env=False) as client,
            client.stream(
                "POST", self._url.copy_with(host=address), content=body, headers=headers, extensions=extensions
            ) as response,
        ):
            return None if response.is_success else f"HTTP {response.status_code}"

    async def _address(self) -> str | None:
        port = self._url.port or (443 if self._url.scheme == "https" else 80)
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._url.host, port, type=socket.SOCK_STREAM)
        addresses = [str(each[4][0]) for each in found]
        if not self._private and not all(ipaddress.ip_address(one.partition("%")[0]).is_global for one in addresses):
            return None
        return addresses[0]

    async def _signer(self) -> Webhook:
        secret = await self._secret()
        try:
            key = b64decode(secret.removeprefix("whsec_"), validate=True)
        except ValueError:
            key = b""
        if not secret.startswith("whsec_") or not SECRET_BYTES[0] <= len(key) <= SECRET_BYTES[1]:
            words = "the key of alerts must be whsec_ and the base64 of {} to {} bytes".format(*SECRET_BYTES)
            raise HoldfastError("config.invalid", words)
        return Webhook(secret)


def webhook_id(message: Message) -> str:
    """The ``webhook-id`` of a message, the same at every try."""
    return f"msg_{hashlib.sha256(f'{message.tenant}|{message.id}'.encode()).hexdigest()[:32]}"


def webhook_body(message: Message) -> str:
    """The body: of which type, when, and what."""
    when = datetime.fromtimestamp(message.at_ms / 1_000, UTC)
    body = {"type": message.type, "timestamp": when.isoformat(), "data": message.data}
    return json.dumps(body, separators=(",", ":"))
