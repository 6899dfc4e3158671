"""Word to people who are away: signed webhooks (Standard Webhooks), at least once.

How far the feed was taken is a durable fact, and so is each notice that waits for another try, so a restart repeats
rather than forgets; receivers drop repeats by ``webhook-id``, which is stable per notice. A notice that is not taken
does not hold up those behind it. The first start begins with what happens from then on.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from standardwebhooks.webhooks import Webhook

from holdfast.edge import auth
from holdfast.edge.config import Settings
from holdfast.engines.port import Notice
from holdfast.errors import HoldfastError
from holdfast.hub.hub import Hub
from holdfast.protocol import limits
from holdfast.visible import logger

log = logger("holdfast.edge")

_POSITION = "webhooks:position"
_AGAIN = "webhooks:again:"
_PAGE = 100
_POLL_S = 30.0
SECRET_BYTES = (24, 64)  # of a signing key, as Standard Webhooks asks for


class Webhooks:
    """Sends the notices nobody was there to see to one address."""

    def __init__(self, hub: Hub, settings: Settings, *, client: httpx.AsyncClient | None = None) -> None:
        self._hub = hub
        self._url = settings.webhook_url
        self._secret_file = secret_file(settings)
        self.secret = ""
        self._client = client
        self._task: asyncio.Task[None] | None = None
        self._position = 0
        self._again: dict[int, tuple[int, int]] = {}  # position: tries so far, when the next is due (Unix ms)
        self.delivered = 0
        self.given_up = 0
        if self._url and urlsplit(self._url).scheme not in ("http", "https"):
            raise HoldfastError("config.invalid", "webhook_url must be http or https")

    @property
    def waiting(self) -> int:
        """Notices that wait for another try."""
        return len(self._again)

    async def start(self) -> None:
        """Begin, when an address is set. Raises ``config.invalid`` when the signing secret cannot be used."""
        if self._url:
            signer = self._signer()
            self._task = self._hub.loop.create_task(self._run(signer), name="holdfast webhooks")

    async def stop(self) -> None:
        """End; what was not delivered is delivered after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _signer(self) -> Webhook:
        fresh = f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"
        self.secret = fresh if self._secret_file is None else auth.kept_secret(self._secret_file, fresh)
        try:
            key = b64decode(self.secret.removeprefix("whsec_"), validate=True)
            if self.secret.startswith("whsec_") and SECRET_BYTES[0] <= len(key) <= SECRET_BYTES[1]:
                return Webhook(self.secret)
        except ValueError:  # no base64
            pass
        words = "the webhook secret must be whsec_ and the base64 of {} to {} bytes".format(*SECRET_BYTES)
        raise HoldfastError(
            "config.invalid", words, fix="Correct the file HOLDFAST_WEBHOOK_SECRET_FILE names, or remove it."
        )

    async def _run(self, signer: Webhook) -> None:
        client = self._client or httpx.AsyncClient(
            timeout=limits.WEBHOOK_TIMEOUT_S, follow_redirects=False, trust_env=False
        )
        async with client:
            while True:
                try:
                    sender = _Sender(client, self._url, signer)
                    await self._recall()
                    while True:
                        self._hub.notice_event.clear()
                        await self._take_new(sender)
                        await self._try_again(sender)
                        await self._rest()
                except HoldfastError as error:
                    log.warning("webhooks wait: %s", error.code)
                    await asyncio.sleep(1.0)

    async def _rest(self) -> None:
        """Until there is news or a try is due."""
        now = self._hub.clock.wall_ms()
        wait_s = min([_POLL_S, *((due_ms - now) / 1_000 for _, due_ms in self._again.values())])
        if wait_s > 0:
            try:
                await asyncio.wait_for(self._hub.notice_event.wait(), wait_s)
            except TimeoutError:
                return

    async def _recall(self) -> None:
        """Read how far we are."""
        facts = self._hub.engine
        self._again = {
            int(name.removeprefix(_AGAIN)): (int(kept["attempt"]), int(kept["due_ms"]))
            for name, data in (await facts.facts(_AGAIN)).items()
            if (kept := json.loads(data))
        }
        stored = await facts.get_fact(_POSITION)
        if stored is not None:
            self._position = int(stored)
            return
        while page := await self._hub.notices(self._position, _PAGE):
            self._position = page[-1].position
        await self._remember_position()

    async def _remember_position(self) -> None:
        await self._hub.engine.put_fact(_POSITION, str(self._position).encode())

    async def _take_new(self, sender: _Sender) -> None:
        """One try for each notice that is new and concerns people of whom nobody was there."""
        while len(self._again) < limits.WEBHOOK_WAITING:
            page = await self._hub.notices(self._position, _PAGE)
            for notice in page:
                if not notice.data["connected"] and notice.data["participants"]:
                    await self._settle(notice, 1, await sender.send(notice))
                    self._position = notice.position
                    await self._remember_position()
                self._position = notice.position
            if not page:
                return
            await self._remember_position()

    async def _try_again(self, sender: _Sender) -> None:
        """The tries that are due, longest first; a page of them, then news again."""
        now = self._hub.clock.wall_ms()
        due = sorted((due_ms, position) for position, (_, due_ms) in self._again.items() if due_ms <= now)
        for _, position in due[:_PAGE]:
            attempt = self._again[position][0] + 1
            page = await self._hub.notices(position - 1, 1)
            if page and page[0].position == position:
                await self._settle(page[0], attempt, await sender.send(page[0]))
            else:
                await self._forget(position)

    async def _settle(self, notice: Notice, attempt: int, refusal: str | None) -> None:
        """Keep what was not taken for another try, unless there were enough."""
        if refusal is None:
            self.delivered += 1
            await self._forget(notice.position)
        elif attempt >= limits.WEBHOOK_ATTEMPTS or refusal == "410":
            self.given_up += 1
            log.warning("webhook %s was given up after %d tries (%s)", ident_of(notice), attempt, refusal)
            await self._forget(notice.position)
        else:
            wait_s = min(limits.WEBHOOK_BACKOFF_MAX_S, limits.WEBHOOK_BACKOFF_S * 4 ** (attempt - 1))
            due_ms = self._hub.clock.wall_ms() + round(wait_s * random.uniform(500, 1_000))
            log.info("webhook %s was not taken (%s); again in about %.0f s", ident_of(notice), refusal, wait_s)
            kept = json.dumps({"attempt": attempt, "due_ms": due_ms}).encode()
            await self._hub.engine.put_fact(f"{_AGAIN}{notice.position}", kept)
            self._again[notice.position] = (attempt, due_ms)

    async def _forget(self, position: int) -> None:
        if self._again.pop(position, None) is not None:
            await self._hub.engine.put_fact(f"{_AGAIN}{position}", None)


def secret_file(settings: Settings) -> Path | None:
    """Where the signing secret is kept: where the settings say, or beside the database; nowhere for memory."""
    if settings.webhook_secret_file:
        return Path(settings.webhook_secret_file)
    if settings.db.startswith("memory"):
        return None
    return Path(f"{settings.db.removeprefix('sqlite:///')}.webhook-secret")


class _Sender:
    """One address, one signing key."""

    def __init__(self, client: httpx.AsyncClient, url: str, signer: Webhook) -> None:
        self._client = client
        self._url = url
        self._signer = signer

    async def send(self, notice: Notice) -> str | None:
        """Try once; why it was not taken, or None when it was. The answer's body is not read."""
        ident, body = ident_of(notice), body_of(notice)
        now = datetime.now(UTC)
        headers = {
            "webhook-id": ident, "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(ident, now, body), "content-type": "application/json",
        }  # fmt: skip
        try:
            async with (
                asyncio.timeout(limits.WEBHOOK_TIMEOUT_S),
                self._client.stream("POST", self._url, content=body, headers=headers) as response,
            ):
                return None if response.is_success else str(response.status_code)
        except (httpx.HTTPError, TimeoutError) as error:
            return type(error).__name__


def ident_of(notice: Notice) -> str:
    """The ``webhook-id`` of a notice, the same at every try."""
    return f"msg_{notice.data['incarnation']}_{notice.data['seq']}"


def body_of(notice: Notice) -> str:
    """What is told: what happened and where, never what was said."""
    told: dict[str, Any] = {k: v for k, v in notice.data.items() if k not in ("type", "ts", "connected")}
    when = datetime.fromtimestamp(notice.data["ts"] / 1_000, UTC)
    message = {
        "type": notice.data["type"],
        "timestamp": when.isoformat(),
        "data": {"tenant": notice.key.tenant, **told},
    }
    return json.dumps(message, separators=(",", ":"))
