"""Keys of upstreams: fetched by reference, kept for a while, never shown."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Callable
from pathlib import Path

from holdfast.errors import Unavailable
from holdfast.protocol import limits


class SecretReference:
    """A secret by reference: ``env:NAME``, ``file:PATH`` or ``command:PROGRAM ARGUMENTS``.

    It is fetched again after a while, so that a rotated key is used without a restart, and at once when it was refused.
    """

    def __init__(self, reference: str, monotonic: Callable[[], float]) -> None:
        self._way, _, self._what = reference.partition(":")
        self._monotonic = monotonic
        self._value: str | None = None
        self._until = 0.0
        self._fetching = asyncio.Lock()

    def refused(self) -> None:
        """The upstream did not take it: fetch it again for the next call."""
        self._until = 0.0

    async def value(self) -> str:
        """The secret; empty where there is no reference.

        Raises:
            Unavailable: ``upstream.key``: it cannot be had; the error says by which reference, never what came of it.
        """
        if not self._way:
            return ""
        if self._value is not None and self._monotonic() < self._until:
            return self._value
        async with self._fetching:
            if self._value is None or self._monotonic() >= self._until:
                self._value = await self._fetch()
                self._until = self._monotonic() + limits.SECRET_KEPT_S
        return self._value

    async def _fetch(self) -> str:
        try:
            if self._way == "env":
                found = os.environ.get(self._what, "")
            elif self._way == "file":
                found = await asyncio.to_thread(lambda: Path(self._what).read_text()[: limits.SECRET_CHARS])
            else:
                found = await _output_of(shlex.split(self._what))
        except (OSError, ValueError, TimeoutError) as error:
            raise self._missing(type(error).__name__) from None
        found = found.strip()
        if not found or not found.isprintable():
            raise self._missing("it is empty" if not found else "it is not one line of text")
        return found

    def _missing(self, why: str) -> Unavailable:
        shown = self._what if self._way != "command" else self._what.split(" ")[0]
        return Unavailable("upstream.key", f"the key at {self._way}:{shown} cannot be had: {why}")


async def _output_of(command: list[str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(limits.SECRET_COMMAND_S):
            assert process.stdout is not None
            out = await process.stdout.read(limits.SECRET_CHARS)
            if await process.wait():
                raise ValueError("it failed")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return out.decode()
