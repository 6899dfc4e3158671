"""Endpoints over HTTP: a request for each verb, and answers that stream (server-sent events, lines, plain text)."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
import time
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import httpx
import msgspec

from holdfast.audit.budget import Budget, check_host, host_of
from holdfast.audit.endpoint import Chat, Endpoint, Receipt, Tab, fresh
from holdfast.audit.reading import Cutter, Reader
from holdfast.audit.recipe import Call, Recipe, Rule, Verb
from holdfast.audit.stream import Stream
from holdfast.audit.transcript import End, Piece, Transcript
from holdfast.audit.values import as_text, fill, look
from holdfast.errors import Refused

ANSWER_BYTES: Final = 4 * 1024 * 1024
"""The longest answer to a request that does not stream."""
ACCEPT: Final = {
    "sse": "text/event-stream",
    "ndjson": "application/x-ndjson",
    "text": "*/*",
    "json": "application/json",
}


@functools.cache
def trust() -> ssl.SSLContext:
    """The certificates this system trusts; ``SSL_CERT_FILE`` names others."""
    return ssl.create_default_context()


class HttpEndpoint(Endpoint):
    """An endpoint that a recipe with ``transport: http`` describes.

    Args:
        url: the target. headers: sent with every request. hosts: the only hosts it may speak to.
    """

    def __init__(
        self, url: str, recipe: Recipe, budget: Budget, headers: dict[str, str] | None = None,
        hosts: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        super().__init__(url, recipe, budget)
        self.headers = headers or {}
        self.hosts = hosts | {host_of(url)}
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Refused("config.invalid", f"{url!r:.100}: expected http(s)://host[:port]/path")
        self._parts = parts

    @property
    def address(self) -> tuple[str, int]:
        return self._parts.hostname or "", self._parts.port or (443 if self._parts.scheme == "https" else 80)

    # --- verbs
    async def ask(self, tab: Tab, chat: Chat, prompt: str, on: Stream | None = None) -> Stream:
        names = self._names(tab, chat, prompt=prompt, text=prompt, message=fresh())
        stream = await self._joined(tab, chat) if self.recipe.listens and (on is None or on.closed) else on
        *before, last = self.recipe.ask
        for call in before:
            await self._plain(call, tab, chat, names)
        if not self.recipe.listens or stream is None:
            return await self._stream(last, tab, chat, names, Transcript())
        receipt, _ = await self._plain(last, tab, chat, names)
        if not receipt.ok:
            stream.end(End("refused", receipt.told, receipt.status))
        return stream

    async def resume(self, tab: Tab, chat: Chat, after: Stream) -> Stream:
        call = self.recipe.resume
        assert call is not None
        names = self._names(tab, chat, cursor=after.cursor)
        kept = after.transcript.copy() if call.gives == "rest" else Transcript()
        return await self._stream(call, tab, chat, names, kept)

    async def join(self, tab: Tab, chat: Chat) -> Stream:
        return await self._joined(tab, chat)

    async def _joined(self, tab: Tab, chat: Chat) -> Stream:
        call = self.recipe.join
        assert call is not None
        return await self._stream(call, tab, chat, self._names(tab, chat, cursor=""), Transcript())

    async def history(self, tab: Tab, chat: Chat) -> Transcript | None:
        call = self.recipe.history
        assert call is not None
        receipt, raw = await self._plain(call, tab, chat, self._names(tab, chat))
        if not receipt.ok:
            return None
        page = Transcript()
        reader = Reader(self._history_rules(), chat.names)
        cutter = Cutter(self.recipe.shape if not self.recipe.read_history else "json")
        for message in cutter.feed(raw, last=True):
            for piece in reader.read(message):
                page.apply(piece)
        return page

    def _history_rules(self) -> list[Rule]:
        return self.recipe.read_history or self.recipe.read

    async def command(
        self, verb: Verb, tab: Tab, chat: Chat, names: dict[str, str], on: Stream | None = None
    ) -> Receipt:
        call = self.recipe.call(verb)
        assert call is not None
        receipt, _ = await self._plain(call, tab, chat, {**self._names(tab, chat, message=fresh()), **names})
        return receipt

    # --- requests
    def _names(self, tab: Tab, chat: Chat, **more: str) -> dict[str, str]:
        base = self._parts.path.rstrip("/")
        return {
            "base": base,
            "chat": chat.id,
            "tab": tab.id,
            "device": tab.device,
            "user": "audit",
            **chat.names,
            **more,
        }

    def _request(self, call: Call, tab: Tab, names: dict[str, str]) -> tuple[httpx.AsyncClient, httpx.Request]:
        """The request, aimed at the tab's line but addressed to the endpoint."""
        self.budget.spend()
        url = urljoin(self.url, fill(call.path, names)) if call.path else self.url
        check_host(url, self.hosts)
        parts = urlsplit(url)
        if (parts.hostname, parts.port) != (self._parts.hostname, self._parts.port):
            raise Refused("config.invalid", f"{url:.100}: a recipe stays on the host and port of its target")
        aimed = parts._replace(netloc=f"127.0.0.1:{tab.proxy.port}").geturl()
        headers = {
            "accept": ACCEPT[self.recipe.shape],
            "accept-encoding": "identity",
            **self.headers,
            **tab.headers,
            **fill(call.headers, names),
        }
        headers = {name: value for name, value in headers.items() if value}
        headers["host"] = parts.netloc.rpartition("@")[2]
        verify = trust() if parts.scheme == "https" else False  # making a context for nothing is slow
        client = httpx.AsyncClient(verify=verify, trust_env=False, follow_redirects=False, timeout=None)
        body = fill(call.body, names)
        content: dict[str, Any] = {}
        if isinstance(body, str):
            content = {"content": body.encode()}
        elif body is not None:
            content = {"content": msgspec.json.encode(body)}
            headers.setdefault("content-type", "application/json")
        extensions = {"sni_hostname": parts.hostname} if parts.scheme == "https" else {}
        return client, client.build_request(call.method, aimed, headers=headers, extensions=extensions, **content)

    async def _plain(self, call: Call, tab: Tab, chat: Chat, names: dict[str, str]) -> tuple[Receipt, bytes]:
        client, request = self._request(call, tab, names)
        raw = bytearray()
        try:
            async with client, asyncio.timeout(self.budget.within(self.budget.first_s)):
                response = await client.send(request, stream=True)
                async for data in response.aiter_bytes():
                    raw += data
                    if len(raw) > ANSWER_BYTES:
                        break
                await response.aclose()
        except TimeoutError:
            return Receipt(False, f"no answer within {self.budget.first_s:g} s"), b""
        except httpx.HTTPError as error:
            return Receipt(False, f"{type(error).__name__}: {error}"), b""
        if call.capture:
            with contextlib.suppress(msgspec.DecodeError):
                value = msgspec.json.decode(bytes(raw))
                found = {name: as_text(look(value, path)) for name, path in call.capture.items()}
                chat.names.update(found)
                names.update(found)
        told = f"HTTP {response.status_code} {bytes(raw[:200]).decode('utf-8', 'replace')}".strip()
        return Receipt(response.is_success, told, response.status_code), bytes(raw)

    async def _stream(self, call: Call, tab: Tab, chat: Chat, names: dict[str, str], page: Transcript) -> Stream:
        client, request = self._request(call, tab, names)
        stream = Stream(self.budget, page)
        stream.cursor = names.get("cursor", "")
        began = asyncio.Event()

        async def work() -> None:
            try:
                async with client:
                    response = await client.send(request, stream=True)
                    try:
                        await self._read(response, stream, chat, began)
                    finally:
                        await response.aclose()
            finally:
                began.set()

        stream.run(work())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(began.wait(), self.budget.within(self.budget.first_s))
        return stream

    async def _read(self, response: httpx.Response, stream: Stream, chat: Chat, began: asyncio.Event) -> None:
        stream.head = _head(response)
        if response.is_redirect:
            where = host_of(str(response.headers.get("location", ""))) or "another path"
            return stream.end(
                End("redirect", f"HTTP {response.status_code} to {where}; not followed", response.status_code)
            )
        if response.status_code == 204 or not response.is_success:
            told = (await _some(response)).decode("utf-8", "replace")
            return stream.end(End("refused", f"HTTP {response.status_code} {told}".strip(), response.status_code))
        began.set()
        cutter, reader = Cutter(self.recipe.shape), Reader(self.recipe.read, chat.names)
        async for data in response.aiter_bytes():
            if not stream.received(data):
                return None
            self._feed(stream, cutter, reader, data)
        return self._feed(stream, cutter, reader, b"", last=True)

    def _feed(self, stream: Stream, cutter: Cutter, reader: Reader, data: bytes, *, last: bool = False) -> None:
        for message in cutter.feed(data, last=last):
            if self.recipe.shape == "text" and not self.recipe.read:
                stream.piece(Piece("text", text=message.raw))
                continue
            for piece in reader.read(message):
                stream.piece(piece)
        stream.cursor = reader.cursor or stream.cursor
        stream.alive_signs = cutter.comments


def _head(response: httpx.Response) -> str:
    lines = [f"HTTP {response.status_code}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    return "\n".join(lines[:30])


async def _some(response: httpx.Response) -> bytes:
    """The beginning of a refusal."""
    raw = b""
    began = time.monotonic()
    async for data in response.aiter_bytes():
        raw += data
        if len(raw) > 200 or time.monotonic() - began > 1:
            break
    return raw[:200]
