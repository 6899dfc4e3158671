"""Keys of upstreams: fetched by reference, kept for a while, never shown."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
from collections.abc import Callable
from pathlib import Path

from holdfast.errors import Unavailable
from holdfast.protocol import limits
from holdfast.visible import logger

log = logger("holdfast.gateway")


class SecretReference:
    """A secret by reference: ``env:NAME``, ``file:PATH`` or ``command:PROGRAM ARGUMENTS``.

    It is fetched again after a while, so that a rotated key is used without a restart, and at once when it was refused.

    Attributes:
        may_have_changed: the one that was refused was not fetched just now, so that another try may have another.
    """

    def __init__(self, reference: str, monotonic: Callable[[], float]) -> None:
        self._way, _, self._what = reference.partition(":")
        self._monotonic = monotonic
        self._value: str | None = None
        self._until = self._fetched = 0.0
        self._fetching = asyncio.Lock()
        self._failed: Unavailable | None = None
        self.may_have_changed = False

    def refused(self) -> None:
        """The upstream did not take it: fetch it again for the next call."""
        now = self._monotonic()
        self.may_have_changed = self._value is not None and now - self._fetched >= limits.SECRET_RETRY_S
        if self.may_have_changed:
            self._value, self._until = None, now
        else:  # not for every call that it refuses
            self._until = min(self._until, now + limits.SECRET_RETRY_S)

    async def value(self) -> str:
        """The secret; empty where there is no reference.

        Raises:
            Unavailable: ``upstream.key``: it cannot be had; the error says by which reference, never what came of it.
        """
        if not self._way:
            return ""
        if self._monotonic() >= self._until:
            async with self._fetching:
                if self._monotonic() >= self._until:
                    await self._refresh()
        if self._value is None:
            assert self._failed is not None, "one of the two was fetched"
            raise Unavailable(self._failed.code, self._failed.detail)
        return self._value

    async def _refresh(self) -> None:
        """Fetch it. Where that fails the one before is used on, and all who wait hear the same for a moment."""
        try:
            self._value, self._failed = await self._fetch(), None
            self._fetched = self._monotonic()
            self._until = self._fetched + limits.SECRET_KEPT_S
        except Unavailable as error:
            self._failed = error
            self._until = self._monotonic() + limits.SECRET_RETRY_S
            log.warning("%s", error.detail)

    async def _fetch(self) -> str:
        try:
            if self._way == "env":
                found = os.environ.get(self._what, "")
            elif self._way == "file":
                found = await asyncio.to_thread(_first_of, Path(self._what))
            else:
                found = await _output_of(shlex.split(self._what))
        except (OSError, ValueError, TimeoutError) as error:
            raise self._missing(type(error).__name__) from None
        found = found.strip()
        if not found or not found.isprintable() or not found.isascii():
            raise self._missing("it is empty" if not found else "it is not one line of text")
        return found

    def _missing(self, why: str) -> Unavailable:
        shown = self._what if self._way != "command" else self._what.split(" ")[0]
        return Unavailable("upstream.key", f"the key at {self._way}:{shown} cannot be had: {why}")


def _first_of(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.read(limits.SECRET_CHARS)


async def _output_of(command: list[str]) -> str:
    """What a command prints, up to a bound. What it began ends with it.

    The pipe is ours and no part of the process for asyncio, which tells of an end only when the output has ended too: whoever
    waited for a command that prints on and on, or left something running that may, waited for ever.
    """
    ours, theirs = os.pipe()
    output = asyncio.StreamReader()
    reading, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(output), os.fdopen(ours, "rb")
    )
    try:
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=theirs, stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(theirs)
        try:
            async with asyncio.timeout(limits.SECRET_COMMAND_S):
                return await _printed(process, output)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    finally:
        reading.close()


async def _printed(process: asyncio.subprocess.Process, output: asyncio.StreamReader) -> str:
    out = b""
    while len(out) <= limits.SECRET_CHARS and (more := await output.read(limits.SECRET_CHARS)):
        out += more
    if len(out) > limits.SECRET_CHARS:
        raise ValueError("it prints too much")
    if await process.wait():
        raise ValueError("it failed")
    return out.decode()
