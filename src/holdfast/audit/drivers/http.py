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
from holdfast.audit.endpoint import Endpoint, Receipt
from holdfast.audit.clients import Chat, Tab, Untold, fresh
from holdfast.audit.parsing import Cutter, Reader
from holdfast.audit.recipe import Call, Recipe, Verb
from holdfast.audit.stream import Stream
from holdfast.audit.transcript import End, Piece, Transcript
from holdfast.audit.values import as_text, fill, in_form, look
from holdfast.errors import Refused

ANSWER_BYTES: Final = 4 * 1024 * 1024
"""The longest answer to a request that does not stream."""
ACCEPT: Final = {
    "sse": "text/event-stream",
    "ndjson": "application/x-ndjson",
    "text": "*/*",
    "json": "application/json",
}

FORM: Final = "application/x-www-form-urlencoded"
NOT_THERE: Final = (204, 404, 409, 410, 425)
"""How a stream is refused that does not exist yet."""


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
        said = {"prompt": prompt, "text": prompt, "message": fresh()}
        *before, last = self.recipe.ask
        for number, call in enumerate(before):
            if not call.once or number not in chat.begun:
                chat.begun.add(number)
                await self._plain(call, tab, chat, self.known(tab, chat, **said))
        if not self.recipe.listens:
            return await self._stream(last, tab, chat, self.known(tab, chat, **said), Transcript())
        stream = on if on is not None and on.closed is None else await self._opened(tab, chat)
        receipt, _ = await self._plain(last, tab, chat, self.known(tab, chat, **said))
        if stream is None or (receipt.ok and _not_there(stream)):
            stream = await self._until_there(tab, chat)
        if not receipt.ok:
            stream.end(End("refused", receipt.told, receipt.status))
        return stream

    async def _opened(self, tab: Tab, chat: Chat) -> Stream | None:
        """The stream to listen on; None while its address is not known: the answer to what is asked will tell it."""
        assert self.recipe.join is not None
        if not self._lacks(self.recipe.join, tab, chat, {"cursor": ""}):
            return await self.join(tab, chat)
        return None

    async def _until_there(self, tab: Tab, chat: Chat) -> Stream:
        """The stream to listen on, which may come to be only now."""
        within_s = self.budget.within(self.budget.first_s)
        until, wait_s = time.monotonic() + within_s, 0.05
        while _not_there(stream := await self.join(tab, chat)):
            if time.monotonic() + wait_s > until:
                assert stream.closed is not None
                told = f"the stream to listen on was not there within {within_s:.3g} s: {stream.closed.detail}"
                stream.closed = End("refused", told, stream.closed.status)
                break
            await asyncio.sleep(wait_s)
            wait_s = min(1.0, wait_s * 2)
        return stream

    async def resume(self, tab: Tab, chat: Chat, after: Stream) -> Stream:
        call = self.recipe.resume
        assert call is not None
        kept = after.transcript.copy() if call.gives == "rest" else Transcript()
        return await self._follow(call, tab, chat, kept, after.cursor)

    async def join(self, tab: Tab, chat: Chat) -> Stream:
        call = self.recipe.join
        assert call is not None
        return await self._follow(call, tab, chat, Transcript(), "")

    async def _follow(self, call: Call, tab: Tab, chat: Chat, page: Transcript, cursor: str) -> Stream:
        """A stream that an id may be needed for."""
        try:
            names = await self.knowing(call, tab, chat, cursor=cursor, message=fresh())
        except Untold as why:
            return untold(Stream(self.budget, page), why)
        return await self._stream(call, tab, chat, names, page)

    async def history(self, tab: Tab, chat: Chat) -> Transcript | None:
        call = self.recipe.history
        assert call is not None
        try:
            names = await self.knowing(call, tab, chat)
        except Untold as why:
            if not why.somebody:
                raise
            return None
        receipt, raw = await self._plain(call, tab, chat, names)
        if not receipt.ok:
            return None
        page = Transcript()
        reader = Reader(self.recipe.read_history or self.recipe.read, self.learner(tab, chat))
        cutter = Cutter(self.recipe.shape if not self.recipe.read_history else "json")
        for message in cutter.feed(raw, last=True):
            for piece in reader.read(message):
                page.apply(piece)
        return page

    async def find(self, tab: Tab, chat: Chat) -> None:
        for call in self.recipe.find:
            await self._plain(call, tab, chat, self.known(tab, chat))

    async def command(
        self, verb: Verb, tab: Tab, chat: Chat, names: dict[str, str], on: Stream | None = None
    ) -> Receipt:
        call = self.recipe.call(verb)
        assert call is not None
        try:
            known = await self.knowing(call, tab, chat, **{"message": fresh(), **names})
        except Untold as why:
            if not why.somebody:
                raise
            return Receipt(False, str(why))
        receipt, _ = await self._plain(call, tab, chat, known)
        return receipt

    # --- requests
    def known(self, tab: Tab, chat: Chat, **more: str) -> dict[str, str]:
        return super().known(tab, chat, base=self._parts.path.rstrip("/"), **more)

    def _request(self, call: Call, tab: Tab, names: dict[str, str]) -> tuple[httpx.AsyncClient, httpx.Request]:
        """The request, aimed at the tab's line but addressed to the endpoint."""
        self.budget.spend()
        spoken = {name: in_form(text) if name in ("prompt", "text") else text for name, text in names.items()}
        url = urljoin(self.url, fill(call.path, spoken)) if call.path else self.url
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
        headers = {name.lower(): value for name, value in headers.items() if value}
        headers["host"] = parts.netloc.rpartition("@")[2]
        verify = trust() if parts.scheme == "https" else False  # making a context for nothing is slow
        client = httpx.AsyncClient(verify=verify, trust_env=False, follow_redirects=False, timeout=None)
        kind, content = _body(call, names, headers.get("content-type", ""))
        headers |= {"content-type": kind} if kind else {}
        extensions = {"sni_hostname": parts.hostname} if parts.scheme == "https" else {}
        return client, client.build_request(call.method, aimed, headers=headers, extensions=extensions, **content)

    async def _plain(self, call: Call, tab: Tab, chat: Chat, names: dict[str, str]) -> tuple[Receipt, bytes]:
        client, request = self._request(call, tab, names)
        raw, learner = bytearray(), self.learner(tab, chat)
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
                for name, path in call.capture.items():
                    if found := as_text(look(value, path)):
                        learner[name] = found
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
                        await self._read(
                            response, stream, Reader(self.recipe.read, self.learner(tab, chat), call.capture), began
                        )
                    finally:
                        await response.aclose()
            finally:
                began.set()

        stream.run(work())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.budget.within(self.budget.first_s)):
                await began.wait()
        return stream

    async def _read(self, response: httpx.Response, stream: Stream, reader: Reader, began: asyncio.Event) -> None:
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
        cutter = Cutter(self.recipe.shape)
        stream.reader = reader if self.recipe.read else None
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


def untold(stream: Stream, why: Untold) -> Stream:
    """A stream that a client cannot have, because nobody told it an id that it would need.

    Raises:
        Untold: nobody at all was told it, which is a fault of the recipe and not of the endpoint.
    """
    if not why.somebody:
        raise why
    stream.end(End("refused", str(why)))
    return stream


def _not_there(stream: Stream) -> bool:
    """Whether a stream was refused as one that does not exist (yet)."""
    return stream.closed is not None and stream.closed.word == "refused" and stream.closed.status in NOT_THERE


def _body(call: Call, names: dict[str, str], kind: str) -> tuple[str, dict[str, Any]]:
    """The content type to add, and what is sent."""
    if call.form:
        return FORM, {
            "content": "&".join(f"{in_form(k)}={fill(v, names, in_form)}" for k, v in call.form.items()).encode()
        }
    if isinstance(call.body, str):
        return "", {"content": fill(call.body, names, in_form if kind.startswith(FORM) else str).encode()}
    if call.body is not None:
        return kind or "application/json", {"content": msgspec.json.encode(fill(call.body, names))}
    return "", {}


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
