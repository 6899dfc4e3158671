"""A driver as the suite sees it: a child process that speaks one JSON object a line (DRIVER.md)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import shlex
from collections import defaultdict
from pathlib import Path
from typing import Any

from conformance.match import Mismatch

LINE_BYTES = 64 << 20
WAIT_S = 20.0
"""How long anything may take before the suite calls it missing. Generous: it is a fault's limit, not a measurement."""

ENDED = "the driver ended"

Answer = dict[str, Any]


class DriverGone(Exception):
    """The driver's process ended, or said what is no line of the protocol."""


class Driver:
    """One driver process. ``wait_s`` bounds every wait for something that a client ought to do."""

    def __init__(self, process: asyncio.subprocess.Process, wait_s: float) -> None:
        self._process = process
        self.wait_s = wait_s
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Answer]] = {}
        self._items: defaultdict[str, asyncio.Queue[Answer]] = defaultdict(asyncio.Queue)
        self._task = asyncio.create_task(self._listen())
        self.about: Answer = {}

    @classmethod
    async def start(cls, command: str, wait_s: float = WAIT_S) -> Driver:
        """Start a driver and shake hands. Raises ``DriverGone``."""
        root = Path(__file__).parents[1]
        process = await asyncio.create_subprocess_exec(
            *shlex.split(command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_BYTES,
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        driver = cls(process, wait_s)
        driver.about = (await driver.ask("hello", limit_s=WAIT_S)).get("ok", {})
        if driver.about.get("protocol") != 1:
            raise DriverGone(f"{command}: the driver does not speak version 1 of DRIVER.md: {driver.about}")
        return driver

    def post(self, command: str, raw: str = "", **fields: Any) -> asyncio.Future[Answer]:
        """Send a command; ``raw`` is JSON members that go out as they are written."""
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        line = json.dumps({"id": number, "do": command, **fields})
        if raw:
            line = f"{line[:-1]},{raw}}}"
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        return self._answers[number]

    async def ask(self, command: str, raw: str = "", *, limit_s: float | None = None, **fields: Any) -> Answer:
        """Send a command and wait for its answer: ``{"ok": {…}}`` or ``{"error": {"code": …}}``.

        Raises:
            Mismatch: no answer came in time.
        """
        return await self.within(self.post(command, raw, **fields), f"the answer to {command}", limit_s)

    async def within(self, what: Any, name: str, limit_s: float | None = None) -> Any:
        """Wait for something that the client owes. Raises ``Mismatch`` when it does not come."""
        try:
            async with asyncio.timeout(limit_s or self.wait_s):
                return await what
        except TimeoutError:
            raise Mismatch(f"{name} did not come") from None

    async def item(self, reader: str) -> Answer:
        """The next thing a reader was given."""
        return await self.within(self._items[reader].get(), f"the next item of reader {reader}")  # type: ignore[no-any-return]

    def unread(self) -> dict[str, list[Answer]]:
        """What readers were given that nobody asked for, by reader."""
        return {name: list(queue._queue) for name, queue in self._items.items() if not queue.empty()}  # type: ignore[attr-defined]

    async def reset(self) -> None:
        """Forget everything of the last case."""
        await self.ask("reset")
        self._items.clear()

    async def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        with contextlib.suppress(Exception):
            self._process.stdin.close()
            async with asyncio.timeout(2):
                await self._process.wait()
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        self._task.cancel()

    async def _listen(self) -> None:
        error = DriverGone(ENDED)
        assert self._process.stdout is not None
        try:
            while line := await self._process.stdout.readline():
                message = json.loads(line)
                if "reader" in message:
                    self._items[str(message["reader"])].put_nowait(message)
                else:
                    answer = self._answers.pop(int(message["id"]), None)
                    if answer is not None and not answer.done():
                        answer.set_result(message)
        except (ValueError, KeyError, TypeError) as problem:
            error = DriverGone(f"the driver said what is no line of the protocol: {problem}")
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(error)
                answer.exception()
