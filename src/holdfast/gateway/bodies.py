"""The bodies of requests: read within their bounds of size, time and of what all of them hold together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from starlette.types import Receive

from holdfast.errors import Refused, Unavailable
from holdfast.protocol import limits
from holdfast.protocol.bounds import too_large


class Bodies:
    """The memory that bodies hold until their calls are over. A part of it is kept for calls that people wait for."""

    def __init__(self) -> None:
        self._bytes = {True: 0, False: 0}

    @contextlib.asynccontextmanager
    async def one(self, headers: Mapping[str, str], receive: Receive, *, seated: bool) -> AsyncIterator[bytes]:
        """One more, while the context lasts.

        Raises:
            Refused: ``input.too_large``, ``input.malformed``.
            Unavailable: ``server.busy``; ``timeout`` where it does not arrive in time.
        """
        declared = headers.get("content-length", "")
        expected = int(declared) if declared.isdigit() else 0
        if expected > limits.GATEWAY_BODY_BYTES:
            raise too_large("body", limits.GATEWAY_BODY_BYTES, "bytes")
        parts: list[bytes] = []
        size = 0
        try:
            try:
                async with asyncio.timeout(limits.BODY_S + expected / limits.BODY_BYTES_PER_S):
                    more = True
                    while more:
                        message = await receive()
                        if message["type"] == "http.disconnect":
                            raise Refused("input.malformed", "the caller left before its body was there")
                        part = message.get("body", b"")
                        size += len(part)
                        self._bytes[seated] += len(part)
                        self._check(size, seated)
                        parts.append(part)
                        more = message.get("more_body", False)
            except TimeoutError:
                raise Unavailable("timeout", "the body did not arrive in time") from None
            body = b"".join(parts)
            parts.clear()
            yield body
        finally:
            self._bytes[seated] -= size

    def _check(self, size: int, seated: bool) -> None:
        if size > limits.GATEWAY_BODY_BYTES:
            raise too_large("body", limits.GATEWAY_BODY_BYTES, "bytes")
        crowded = not seated and self._bytes[False] > limits.HEADLESS_BODIES_BYTES
        if crowded or self._bytes[True] + self._bytes[False] > limits.GATEWAY_BODIES_BYTES:
            raise Unavailable("server.busy", "requests hold as much memory as they may")
