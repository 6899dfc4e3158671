"""Word to people who are away: signed webhooks (Standard Webhooks), at least once.

They read the feed as its consumer ``webhooks``, and each notice that waits for another try is a durable fact, so a restart
repeats rather than forgets; receivers drop repeats by ``webhook-id``, which is stable per notice. A notice that is not taken
does not hold up those behind it, nor does one whose receiver does not answer: several are under way at a time, and of one
tenant's not all of them. The first start begins with what happens from then on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
from base64 import b64decode, b64encode
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
from standardwebhooks.webhooks import Webhook

from holdfast.edge import auth
from holdfast.edge.config import Settings
from holdfast.edge.webhook_sender import WebhookSender, is_sent, webhook_id
from holdfast.engines.port import Key, Notice
from holdfast.errors import HoldfastError
from holdfast.hub.hub import Hub
from holdfast.protocol import limits
from holdfast.visible import logger

log = logger("holdfast.edge")

CONSUMER = "webhooks"
_RETRY_PREFIX = "webhooks:again:"
_PAGE = 100
_POLL_S = 30.0
SECRET_BYTES = (24, 64)  # of a signing key, as Standard Webhooks asks for


class _Retry(NamedTuple):
    """A notice that waits for another try: tries so far, when the next is due (Unix ms)."""

    notice: Notice
    attempt: int
    due_ms: int


class _Delivery(NamedTuple):
    """A try in flight; ``before`` is the position of the feed right before the notice, for a first try."""

    notice: Notice
    before: str
    attempt: int
    task: asyncio.Task[str | None]


class Webhooks:
    """Sends the notices nobody was there to see to one address, several at a time."""

    def __init__(self, hub: Hub, settings: Settings, *, client: httpx.AsyncClient | None = None) -> None:
        self._hub = hub
        self._news = hub.news.listen()
        self._url = settings.webhook_url
        self._secret_file = secret_file(settings)
        self.secret = ""
        self._client = client
        self._task: asyncio.Task[None] | None = None
        self._read_position = ""  # how far the feed was read
        self._stored_position = ""  # how far that is stored
        self._retries: dict[str, _Retry] = {}  # both by ``webhook_id``
        self._in_flight: dict[str, _Delivery] = {}
        self.delivered = 0
        self.gaps = 0
        self.given_up = 0
        if self._url and urlsplit(self._url).scheme not in ("http", "https"):
            raise HoldfastError("config.invalid", "webhook_url must be http or https")

    @property
    def waiting(self) -> int:
        """Notices that wait for another try."""
        return len(self._retries)

    async def start(self) -> None:
        """Begin, when an address is set. Raises ``config.invalid`` when the signing secret cannot be used."""
        if self._url:
            signer = self._signer()
            with contextlib.suppress(HoldfastError):  # ``_run`` tries again
                await self._load()  # what happens from here on is sent
            self._task = self._hub.runtime.loop.create_task(self._run(signer), name="holdfast webhooks")

    async def stop(self) -> None:
        """End; what was not delivered is delivered after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _signer(self) -> Webhook:
        new_secret = f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"
        self.secret = (
            new_secret if self._secret_file is None else auth.load_or_create_secret(self._secret_file, new_secret)
        )
        try:
            key = b64decode(self.secret.removeprefix("whsec_"), validate=True)
            if self.secret.startswith("whsec_") and SECRET_BYTES[0] <= len(key) <= SECRET_BYTES[1]:
                return Webhook(self.secret)
        except ValueError:  # no base64
            pass
        detail = "the webhook secret must be whsec_ and the base64 of {} to {} bytes".format(*SECRET_BYTES)
        raise HoldfastError(
            "config.invalid", detail, fix="Correct the file HOLDFAST_WEBHOOK_SECRET_FILE names, or remove it."
        )

    async def _run(self, signer: Webhook) -> None:
        client = self._client or httpx.AsyncClient(
            timeout=limits.WEBHOOK_TIMEOUT_S, follow_redirects=False, trust_env=False
        )
        async with client:
            sender = WebhookSender(client, self._url, signer)
            while True:
                try:
                    await self._load()
                    while True:
                        self._news.clear()
                        await self._record_results()
                        await self._send_due(sender)
                        await self._send_new(sender)
                        await self._store_position()
                        await self._wait()
                except HoldfastError as error:
                    log.warning("webhooks wait: %s", error.code)
                    await asyncio.sleep(1.0)
                finally:
                    for delivery in self._in_flight.values():  # what has no recorded result is sent again
                        delivery.task.cancel()
                    self._in_flight.clear()

    async def _wait(self) -> None:
        """Until there is news, a try has come to something, or one is due."""
        if any(flight.task.done() for flight in self._in_flight.values()):
            return
        now = self._hub.clock.wall_ms()
        delays = [
            (w.due_ms - now) / 1_000 for w in self._retries.values() if w.due_ms > now
        ]  # the others wait for a place
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(
                min([_POLL_S, *delays])
            ):  # wait_for of 3.11 loses a cancel that comes with the news
                await self._news.wait()

    async def _load(self) -> None:
        """Read how far the feed was read, and the notices that wait for another try."""
        engine = self._hub.engine
        facts = await engine.facts(_RETRY_PREFIX)
        self._retries = {name.removeprefix(_RETRY_PREFIX): _decode_retry(data) for name, data in facts.items()}
        position = next((consumer.position for consumer in await engine.consumers() if consumer.name == CONSUMER), None)
        if position is None:
            position = await engine.feed_end()
            await engine.advance(CONSUMER, position)
        self._read_position = self._stored_position = position

    async def _store_position(self) -> None:
        """Store the position up to which every notice was delivered, given up, or is stored for another try."""
        first_attempts = (
            delivery.before
            for ident, delivery in self._in_flight.items()
            if delivery.attempt == 1 and ident not in self._retries
        )
        position = next(first_attempts, self._read_position)  # they are begun in the order of the feed
        if position != self._stored_position:
            await self._hub.engine.advance(CONSUMER, position)
            self._stored_position = position

    # --- tries
    def _at_limit(self, tenant: str) -> bool:
        """Whether a tenant has as many tries in flight as it may: a receiver that hangs for one delays no other."""
        return sum(f.notice.key.tenant == tenant for f in self._in_flight.values()) >= limits.WEBHOOKS_AT_ONCE_EACH

    def _send(self, sender: WebhookSender, notice: Notice, attempt: int, before: str = "") -> None:
        task = self._hub.runtime.loop.create_task(sender.send(notice), name="holdfast webhook")
        task.add_done_callback(lambda _: self._news.set())
        self._in_flight[webhook_id(notice)] = _Delivery(notice, before, attempt, task)

    async def _send_new(self, sender: WebhookSender) -> None:
        """A first try for each new notice that concerns people of whom nobody was connected."""
        while len(self._in_flight) < limits.WEBHOOKS_AT_ONCE and len(self._retries) < limits.WEBHOOK_WAITING:
            page = await self._hub.engine.feed(self._read_position, _PAGE)
            if page.gap:
                self.gaps += 1
                log.error("webhooks: the feed no longer has what came after their position; some were not sent")
            for notice in page.notices:
                if len(self._in_flight) >= limits.WEBHOOKS_AT_ONCE:
                    return
                if is_sent(notice) and not self._is_waiting(notice):
                    if self._at_limit(notice.key.tenant):
                        await self._schedule_retry(notice, 0, self._hub.clock.wall_ms())
                    else:
                        self._send(sender, notice, 1, self._read_position)
                self._read_position = notice.position
            self._read_position = page.position
            if not page.notices:
                return

    def _is_waiting(self, notice: Notice) -> bool:
        """Whether it was read before, by a server that ended before it stored how far it had read."""
        ident = webhook_id(notice)
        return ident in self._retries or ident in self._in_flight

    async def _send_due(self, sender: WebhookSender) -> None:
        """Send the tries that are due, longest first; they leave places for new notices."""
        now = self._hub.clock.wall_ms()
        due = sorted((w.due_ms, at) for at, w in self._retries.items() if w.due_ms <= now and at not in self._in_flight)
        for _, ident in due:
            if len(self._in_flight) >= limits.WEBHOOKS_AT_ONCE * 3 // 4:
                return
            retry = self._retries[ident]
            if not self._at_limit(retry.notice.key.tenant):
                self._send(sender, retry.notice, retry.attempt + 1)

    async def _record_results(self) -> None:
        for ident, delivery in [(ident, f) for ident, f in self._in_flight.items() if f.task.done()]:
            await self._record_result(delivery.notice, delivery.attempt, delivery.task.result())
            del self._in_flight[ident]

    async def _record_result(self, notice: Notice, attempt: int, refusal: str | None) -> None:
        """Schedule another try of what was not taken, unless there were enough."""
        if refusal is None:
            self.delivered += 1
            await self._remove_retry(webhook_id(notice))
        elif attempt >= limits.WEBHOOK_ATTEMPTS or refusal == "410":
            self.given_up += 1
            log.warning("webhook %s was given up after %d tries (%s)", webhook_id(notice), attempt, refusal)
            await self._remove_retry(webhook_id(notice))
        else:
            wait_s = min(limits.WEBHOOK_BACKOFF_MAX_S, limits.WEBHOOK_BACKOFF_S * 4 ** (attempt - 1))
            due_ms = self._hub.clock.wall_ms() + round(wait_s * random.uniform(500, 1_000))
            log.info("webhook %s was not taken (%s); again in about %.0f s", webhook_id(notice), refusal, wait_s)
            await self._schedule_retry(notice, attempt, due_ms)

    async def _schedule_retry(self, notice: Notice, attempt: int, due_ms: int) -> None:
        retry, ident = _Retry(notice, attempt, due_ms), webhook_id(notice)
        await self._hub.engine.put_fact(f"{_RETRY_PREFIX}{ident}", _encode_retry(retry))
        self._retries[ident] = retry

    async def _remove_retry(self, ident: str) -> None:
        if self._retries.pop(ident, None) is not None:
            await self._hub.engine.put_fact(f"{_RETRY_PREFIX}{ident}", None)


def _encode_retry(retry: _Retry) -> bytes:
    """With the notice itself: the feed need not keep it until the last try."""
    tenant, session = retry.notice.key
    stored = {"attempt": retry.attempt, "due_ms": retry.due_ms, "tenant": tenant, "session": session}
    return json.dumps({**stored, "notice": retry.notice.data}).encode()


def _decode_retry(data: bytes) -> _Retry:
    stored = json.loads(data)
    notice = Notice("", Key(stored["tenant"], stored["session"]), stored["notice"])
    return _Retry(notice, int(stored["attempt"]), int(stored["due_ms"]))


def secret_file(settings: Settings) -> Path | None:
    """Where the signing secret is kept: where the settings say, or beside the database; nowhere for memory."""
    if settings.webhook_secret_file:
        return Path(settings.webhook_secret_file)
    if settings.db.startswith("memory"):
        return None
    return Path(f"{settings.db.removeprefix('sqlite:///')}.webhook-secret")
