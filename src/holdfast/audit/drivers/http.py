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

from holdfast.audit.budget import ProbeBudget, check_host, host_of
from holdfast.audit.clients import Chat, NameUnknown, Tab, fresh
from holdfast.audit.endpoint import Endpoint, Receipt
from holdfast.audit.parsing import MessageSplitter, StreamParser
from holdfast.audit.recipe import Recipe, RecipeCall, Verb
from holdfast.audit.stream import ClientStream
from holdfast.audit.transcript import Piece, StreamEnd, Transcript
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
NOT_FOUND: Final = (204, 404, 409, 410, 425)
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
        self,
        url: str,
        recipe: Recipe,
        budget: ProbeBudget,
        headers: dict[str, str] | None = None,
        hosts: frozenset[str] = frozenset(),
    ) -> None:
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
    async def ask(self, tab: Tab, chat: Chat, prompt: str, on: ClientStream | None = None) -> ClientStream:
        names = {"prompt": prompt, "text": prompt, "message": fresh()}
        *before, last = self.recipe.ask
        for number, call in enumerate(before):
            if not call.once or number not in chat.calls_made:
                chat.calls_made.add(number)
                await self._call(call, tab, chat, self.template_names(tab, chat, **names))
        if not self.recipe.listens:
            return await self._stream(last, tab, chat, self.template_names(tab, chat, **names), Transcript())
        stream = on if on is not None and on.closed is None else await self._join_if_possible(tab, chat)
        receipt, _ = await self._call(last, tab, chat, self.template_names(tab, chat, **names))
        if stream is None or (receipt.ok and _is_not_found(stream)):
            stream = await self._wait_for_stream(tab, chat)
        if not receipt.ok:
            stream.end(StreamEnd("refused", receipt.detail, receipt.status))
        return stream

    async def _join_if_possible(self, tab: Tab, chat: Chat) -> ClientStream | None:
        """The stream to listen on; None while an id in its address is missing: the answer to the question brings it."""
        assert self.recipe.join is not None
        if not self._missing_names(self.recipe.join, tab, chat, {"cursor": ""}):
            return await self.join(tab, chat)
        return None

    async def _wait_for_stream(self, tab: Tab, chat: Chat) -> ClientStream:
        """The stream to listen on, which may come to be only now."""
        within_s = self.budget.within(self.budget.first_s)
        until, wait_s = time.monotonic() + within_s, 0.05
        while _is_not_found(stream := await self.join(tab, chat)):
            if time.monotonic() + wait_s > until:
                assert stream.closed is not None
                detail = f"the stream to listen on was not there within {within_s:.3g} s: {stream.closed.detail}"
                stream.closed = StreamEnd("refused", detail, stream.closed.status)
                break
            await asyncio.sleep(wait_s)
            wait_s = min(1.0, wait_s * 2)
        return stream

    async def resume(self, tab: Tab, chat: Chat, after: ClientStream) -> ClientStream:
        call = self.recipe.resume
        assert call is not None
        page = after.transcript.copy() if call.gives == "rest" else Transcript()
        return await self._follow(call, tab, chat, page, after.cursor)

    async def join(self, tab: Tab, chat: Chat) -> ClientStream:
        call = self.recipe.join
        assert call is not None
        return await self._follow(call, tab, chat, Transcript(), "")

    async def _follow(self, call: RecipeCall, tab: Tab, chat: Chat, page: Transcript, cursor: str) -> ClientStream:
        """A stream that an id may be needed for."""
        try:
            names = await self.resolve_names(call, tab, chat, cursor=cursor, message=fresh())
        except NameUnknown as error:
            return refuse_stream(ClientStream(self.budget, page), error)
        return await self._stream(call, tab, chat, names, page)

    async def history(self, tab: Tab, chat: Chat) -> Transcript | None:
        call = self.recipe.history
        assert call is not None
        try:
            names = await self.resolve_names(call, tab, chat)
        except NameUnknown as error:
            if not error.known_to_others:
                raise
            return None
        receipt, raw = await self._call(call, tab, chat, names)
        if not receipt.ok:
            return None
        page = Transcript()
        reader = StreamParser(self.recipe.read_history or self.recipe.read, self.captures(tab, chat))
        cutter = MessageSplitter(self.recipe.shape if not self.recipe.read_history else "json")
        for message in cutter.feed(raw, last=True):
            for piece in reader.parse(message):
                page.apply(piece)
        return page

    async def find(self, tab: Tab, chat: Chat) -> None:
        for call in self.recipe.find:
            await self._call(call, tab, chat, self.template_names(tab, chat))

    async def command(
        self, verb: Verb, tab: Tab, chat: Chat, names: dict[str, str], on: ClientStream | None = None
    ) -> Receipt:
        call = self.recipe.call(verb)
        assert call is not None
        try:
            filled = await self.resolve_names(call, tab, chat, **{"message": fresh(), **names})
        except NameUnknown as error:
            if not error.known_to_others:
                raise
            return Receipt(False, str(error))
        receipt, _ = await self._call(call, tab, chat, filled)
        return receipt

    # --- requests
    def template_names(self, tab: Tab, chat: Chat, **more: str) -> dict[str, str]:
        return super().template_names(tab, chat, base=self._parts.path.rstrip("/"), **more)

    def _request(self, call: RecipeCall, tab: Tab, names: dict[str, str]) -> tuple[httpx.AsyncClient, httpx.Request]:
        """The request, aimed at the tab's line but addressed to the endpoint."""
        self.budget.spend()
        encoded = {name: in_form(text) if name in ("prompt", "text") else text for name, text in names.items()}
        url = urljoin(self.url, fill(call.path, encoded)) if call.path else self.url
        check_host(url, self.hosts)
        parts = urlsplit(url)
        if (parts.hostname, parts.port) != (self._parts.hostname, self._parts.port):
            raise Refused("config.invalid", f"{url:.100}: a recipe stays on the host and port of its target")
        proxied_url = parts._replace(netloc=f"127.0.0.1:{tab.proxy.port}").geturl()
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
        return client, client.build_request(call.method, proxied_url, headers=headers, extensions=extensions, **content)

    async def _call(self, call: RecipeCall, tab: Tab, chat: Chat, names: dict[str, str]) -> tuple[Receipt, bytes]:
        client, request = self._request(call, tab, names)
        raw, learner = bytearray(), self.captures(tab, chat)
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
        detail = f"HTTP {response.status_code} {bytes(raw[:200]).decode('utf-8', 'replace')}".strip()
        return Receipt(response.is_success, detail, response.status_code), bytes(raw)

    async def _stream(
        self, call: RecipeCall, tab: Tab, chat: Chat, names: dict[str, str], page: Transcript
    ) -> ClientStream:
        client, request = self._request(call, tab, names)
        stream = ClientStream(self.budget, page)
        stream.cursor = names.get("cursor", "")
        began = asyncio.Event()

        async def work() -> None:
            try:
                async with client:
                    response = await client.send(request, stream=True)
                    try:
                        await self._read(
                            response,
                            stream,
                            StreamParser(self.recipe.read, self.captures(tab, chat), call.capture),
                            began,
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

    async def _read(
        self, response: httpx.Response, stream: ClientStream, reader: StreamParser, began: asyncio.Event
    ) -> None:
        stream.head = _head(response)
        if response.is_redirect:
            where = host_of(str(response.headers.get("location", ""))) or "another path"
            return stream.end(
                StreamEnd("redirect", f"HTTP {response.status_code} to {where}; not followed", response.status_code)
            )
        if response.status_code == 204 or not response.is_success:
            detail = (await _read_start(response)).decode("utf-8", "replace")
            return stream.end(
                StreamEnd("refused", f"HTTP {response.status_code} {detail}".strip(), response.status_code)
            )
        began.set()
        cutter = MessageSplitter(self.recipe.shape)
        stream.reader = reader if self.recipe.read else None
        async for data in response.aiter_bytes():
            if not stream.received(data):
                return None
            self._feed(stream, cutter, reader, data)
        return self._feed(stream, cutter, reader, b"", last=True)

    def _feed(
        self, stream: ClientStream, cutter: MessageSplitter, reader: StreamParser, data: bytes, *, last: bool = False
    ) -> None:
        for message in cutter.feed(data, last=last):
            if self.recipe.shape == "text" and not self.recipe.read:
                stream.piece(Piece("text", text=message.raw))
                continue
            for piece in reader.parse(message):
                stream.piece(piece)
        stream.cursor = reader.cursor or stream.cursor
        stream.alive_signs = cutter.comments


def refuse_stream(stream: ClientStream, error: NameUnknown) -> ClientStream:
    """End a stream that a client cannot have, because it did not receive an id that it would need.

    Raises:
        NameUnknown: no client received it, which is a fault of the recipe and not of the endpoint.
    """
    if not error.known_to_others:
        raise error
    stream.end(StreamEnd("refused", str(error)))
    return stream


def _is_not_found(stream: ClientStream) -> bool:
    """Whether a stream was refused as one that does not exist (yet)."""
    return stream.closed is not None and stream.closed.word == "refused" and stream.closed.status in NOT_FOUND


def _body(call: RecipeCall, names: dict[str, str], kind: str) -> tuple[str, dict[str, Any]]:
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


async def _read_start(response: httpx.Response) -> bytes:
    """The beginning of a refusal."""
    raw = b""
    began = time.monotonic()
    async for data in response.aiter_bytes():
        raw += data
        if len(raw) > 200 or time.monotonic() - began > 1:
            break
    return raw[:200]
