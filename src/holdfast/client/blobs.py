"""Blobs: large tool results and attachments, kept beside the log and named in it (over HTTP)."""

from __future__ import annotations

import ssl
from typing import Any, Protocol
from urllib.parse import quote

from holdfast.client.token import Token, TokenSource
from holdfast.client.websocket import http_url
from holdfast.errors import HoldfastError, Refused, Unavailable, from_wire
from holdfast.protocol import limits
from holdfast.protocol.bounds import too_large


class Blobs(Protocol):
    """Puts and gets blobs of sessions."""

    async def put(self, session: str, data: bytes, media_type: str = "application/octet-stream") -> str:
        """Store a blob and return its id, the SHA-256 of its bytes in hex.

        Raises:
            Refused: ``input.too_large``, ``auth.denied``.
        """

    async def get(self, session: str, blob: str) -> tuple[str, bytes]:
        """``(media_type, data)`` of a blob. Raises ``Refused`` with ``blob.not_found``."""

    async def close(self) -> None:
        """Close the HTTP client."""


class HttpBlobs:
    """Blobs of a server, over its HTTP address. ``server`` is None where none is known: then there are no blobs."""

    def __init__(self, server: str | None, token: TokenSource, tls: ssl.SSLContext | None) -> None:
        self._server = http_url(server) if server is not None else None
        self._token = Token(token)
        self._tls = tls
        self._http: Any = None

    async def put(self, session: str, data: bytes, media_type: str = "application/octet-stream") -> str:
        if len(data) > limits.BLOB_BYTES:
            raise too_large("blob", limits.BLOB_BYTES, "bytes")
        response = await self._request("POST", self._path(session), content=data, headers={"content-type": media_type})
        return str(response.json()["blob"])

    async def get(self, session: str, blob: str) -> tuple[str, bytes]:
        response = await self._request("GET", f"{self._path(session)}/{quote(blob, safe='')}")
        return response.headers.get("content-type", "application/octet-stream"), response.content

    async def close(self) -> None:
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    @staticmethod
    def _path(session: str) -> str:
        return f"/v1/sessions/{quote(session, safe='')}/blobs"

    async def _request(self, method: str, path: str, **options: Any) -> Any:
        import httpx  # a client that never touches blobs does not pay for it

        if self._server is None:
            raise Refused("config.invalid", "blobs need a server address")
        if self._http is None:
            self._http = httpx.AsyncClient(
                base_url=self._server, timeout=limits.REQUEST_TIMEOUT_S, verify=self._tls or True, trust_env=False
            )
        headers = {"authorization": f"Bearer {await self._token.fetch()}", **options.pop("headers", {})}
        try:
            response = await self._http.request(method, path, headers=headers, **options)
        except httpx.TransportError as error:
            raise Unavailable("connection.lost", str(error)) from error
        if response.status_code >= 400:
            raise self._error(response)
        return response

    @staticmethod
    def _error(response: Any) -> HoldfastError:
        try:
            return from_wire(response.json()["error"])
        except (ValueError, KeyError, TypeError):
            return Unavailable("server.internal", f"HTTP status {response.status_code}")
