"""Word to people who are away: signed webhooks (Standard Webhooks), at least once, in commit order of being tried.

The feed's position is a durable fact, moved only after a notice was delivered or given up, so a restart repeats rather
than forgets; receivers drop repeats by ``webhook-id``, which is stable per notice.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import secrets
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from standardwebhooks.webhooks import Webhook

from holdfast.edge.config import Settings
from holdfast.engines.port import Notice
from holdfast.errors import HoldfastError
from holdfast.hub.hub import Hub
from holdfast.protocol import limits

log = logging.getLogger("holdfast.edge")

_POSITION = "webhooks:position"
_SECRET = "webhooks:secret"
_PAGE = 100
_POLL_S = 30.0


class Webhooks:
    """Sends the notices nobody was there to see to one address."""

    def __init__(self, hub: Hub, settings: Settings, *, client: httpx.AsyncClient | None = None) -> None:
        self._hub = hub
        self._url = settings.webhook_url
        self._secret_file = settings.webhook_secret_file
        self._client = client
        self._task: asyncio.Task[None] | None = None
        self.delivered = 0
        self.given_up = 0
        if self._url and urlsplit(self._url).scheme not in ("http", "https"):
            raise HoldfastError("config.invalid", "webhook_url must be http or https")

    def start(self) -> None:
        """Begin, when an address is set."""
        if self._url:
            self._task = self._hub.loop.create_task(self._run())

    async def stop(self) -> None:
        """End; what was not delivered is delivered after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def signing_secret(self) -> str:
        """The secret receivers verify with: from the settings' file, or generated once and kept in the engine."""
        if self._secret_file:
            return (await asyncio.to_thread(Path(self._secret_file).read_text)).strip()
        known = await self._hub.engine.get_fact(_SECRET)
        if known is None:
            known = b"whsec_" + b64encode(secrets.token_bytes(32))
            await self._hub.engine.put_fact(_SECRET, known)
        return known.decode()

    async def _run(self) -> None:
        client = self._client or httpx.AsyncClient(
            timeout=limits.WEBHOOK_TIMEOUT_S, follow_redirects=False, trust_env=False
        )
        async with client:
            while True:
                try:
                    signer = Webhook(await self.signing_secret())
                    await self._drain(client, signer)
                except HoldfastError as error:
                    log.warning("webhooks wait: %s", error.code)
                    await asyncio.sleep(1.0)
                try:
                    await asyncio.wait_for(self._hub.notice_event.wait(), _POLL_S)
                except TimeoutError:
                    continue

    async def _drain(self, client: httpx.AsyncClient, signer: Webhook) -> None:
        stored = await self._hub.engine.get_fact(_POSITION)
        position = int(stored) if stored is not None else 0
        while True:
            self._hub.notice_event.clear()
            page = await self._hub.notices(position, _PAGE)
            if not page:
                return
            for notice in page:
                if not notice.data["connected"] and notice.data["participants"]:
                    await self._send(client, signer, notice)
                position = notice.position
                await self._hub.engine.put_fact(_POSITION, str(position).encode())

    async def _send(self, client: httpx.AsyncClient, signer: Webhook, notice: Notice) -> None:
        """Try until it is taken, backing off; give up after the limit and go on."""
        ident = f"msg_{notice.data['incarnation']}_{notice.data['seq']}"
        when = datetime.fromtimestamp(notice.data["ts"] / 1_000, UTC)
        told = {k: v for k, v in notice.data.items() if k not in ("type", "ts", "connected")}
        body = json.dumps(
            {"type": notice.data["type"], "timestamp": when.isoformat(), "data": {"tenant": notice.key.tenant, **told}},
            separators=(",", ":"),
        )
        for attempt in range(limits.WEBHOOK_ATTEMPTS):
            now = datetime.now(UTC)
            headers = {
                "webhook-id": ident, "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": signer.sign(ident, now, body), "content-type": "application/json",
            }  # fmt: skip
            try:
                response = await client.post(self._url, content=body, headers=headers)
                if response.is_success:
                    self.delivered += 1
                    return
                if response.status_code == 410:
                    break
                reason = str(response.status_code)
            except httpx.HTTPError as error:
                reason = type(error).__name__
            wait = min(limits.WEBHOOK_BACKOFF_MAX_S, limits.WEBHOOK_BACKOFF_S * 4**attempt)
            log.info("webhook %s was not taken (%s); again in about %.0f s", ident, reason, wait)
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))
        self.given_up += 1
        log.warning("webhook %s was given up", ident)
