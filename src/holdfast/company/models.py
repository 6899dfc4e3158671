"""How agents and programs of the company ask models: over HTTP at the gateway, as any program does, with a gateway key."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import aiohttp
import msgspec

from holdfast.company.conversation import ModelConversation, WantedTool
from holdfast.errors import Unavailable
from holdfast.providers.dialects import STREAM_DIALECTS
from holdfast.providers.pieces import AnswerFailure, AnswerStart, ArgumentsDelta, CallStart, TextDelta

CALL: Final = "x-holdfast-call"


class Address(msgspec.Struct, frozen=True):
    """Where a model is asked: a base address before ``/v1``, and the key."""

    url: str
    key: str = msgspec.field(default="")

    def __repr__(self) -> str:
        return f"Address({self.url!r})"


class ModelRefused(Unavailable):
    """The gateway or the provider refused; ``status`` is the HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__("upstream.failed", f"the model was not asked: HTTP {status}")
        self.status = status


class StreamedAnswer:
    """An answer while it comes: iterate over its words; then the rest is complete.

    Attributes:
        call: the gateway's id of the call.
        calls: of tools that the model wants.
        model: that answers, as it says itself.
        failure: why the answer ended before its end; empty when it did not.
    """

    def __init__(self, response: aiohttp.ClientResponse, wire: str) -> None:
        self._response = response
        self._wire = wire
        self.call = response.headers.get(CALL, "")
        self.calls: list[WantedTool] = []
        self.model = self.failure = ""

    def close(self) -> None:
        """Leave: the connection is closed, whatever is on its way."""
        self._response.close()

    async def words(self) -> AsyncIterator[str]:
        """The text, as it comes."""
        decoder = STREAM_DIALECTS[self._wire].decoder()
        open_calls: dict[int, WantedTool] = {}
        async for data in self._response.content.iter_any():
            for piece in decoder.feed(data):
                if isinstance(piece, TextDelta):
                    yield piece.text
                elif isinstance(piece, AnswerStart):
                    self.model = self.model or piece.model
                elif isinstance(piece, AnswerFailure):
                    self.failure = piece.message or piece.code
                elif isinstance(piece, CallStart):
                    open_calls[piece.item] = WantedTool(piece.id, piece.name)
                    self.calls.append(open_calls[piece.item])
                elif isinstance(piece, ArgumentsDelta) and piece.item in open_calls:
                    open_calls[piece.item].arguments += piece.text


class ModelClient:
    """A pool of connections to the gateway; ``async with`` it."""

    def __init__(self) -> None:
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> ModelClient:
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60), cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=1 << 20, trust_env=False,
        )  # fmt: skip
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http is not None:
            await self._http.close()

    async def _post(self, url: str, key: str, body: bytes, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        assert self._http is not None
        sent = {"content-type": "application/json", **headers}
        sent |= (
            {"x-api-key": key, "anthropic-version": "2023-06-01"}
            if "/messages" in url
            else {"authorization": f"Bearer {key}"}
        )
        return await self._http.post(url, data=io.BytesIO(body), headers=sent)

    async def stream(
        self,
        at: Address,
        model: str,
        conversation: ModelConversation,
        hints: dict[str, int],
        headers: Mapping[str, str],
    ) -> StreamedAnswer:
        """Ask for a stream. Raises ``ModelRefused``."""
        body = conversation.body(model, hints, stream=True)
        response = await self._post(f"{at.url}{conversation.path}", at.key, body, headers)
        if response.status != 200:
            await response.read()
            raise ModelRefused(response.status)
        return StreamedAnswer(response, conversation.wire)

    async def whole(
        self,
        at: Address,
        model: str,
        conversation: ModelConversation,
        hints: dict[str, int],
        headers: Mapping[str, str],
    ) -> tuple[Any, str]:
        """Ask for an answer at once: it, and the gateway's id of the call. Raises ``ModelRefused``."""
        body = conversation.body(model, hints, stream=False)
        return await self.post(f"{at.url}{conversation.path}", at.key, body, headers)

    async def post(self, url: str, key: str, body: bytes, headers: Mapping[str, str] | None = None) -> tuple[Any, str]:
        """The answer to any request: it, and the gateway's id of the call. Raises ``ModelRefused``."""
        response = await self._post(url, key, body, headers or {})
        raw = await response.read()
        if response.status != 200:
            raise ModelRefused(response.status)
        return msgspec.json.decode(raw), response.headers.get(CALL, "")

    async def leave(
        self, at: Address, model: str, conversation: ModelConversation, hints: dict[str, int], after: int
    ) -> None:
        """Ask for a stream, and leave in the middle of it, after so many characters. Raises ``ModelRefused``."""
        answer = await self.stream(at, model, conversation, hints, {})
        seen = 0
        async for words in answer.words():
            seen += len(words)
            if seen >= after:
                break
        answer.close()
