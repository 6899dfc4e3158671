"""The other process of the simulation, with the people, agents, programs and model providers: so that the server has a core of
its own, and everything between the two goes over real sockets.

They speak by lines of JSON on the process's standard streams; secrets are in them and nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from holdfast.company.clock import CompanyClock
from holdfast.company.description import Company
from holdfast.company.plan import Round
from holdfast.company.provider.books import Used
from holdfast.company.provider.server import Outage, Providers, Replacement
from holdfast.company.workplace import Access, Played, Workplace
from holdfast.errors import HoldfastError

_LINE: Final = 64 << 20  # bytes; a year's books are far below it
_STOP_S: Final = 10.0


class Begin(msgspec.Struct, tag=True):
    """The first line: who the company is, and what its providers know. ``keys``: secret → provider and name."""

    company: Company
    keys: dict[str, tuple[str, str]]
    outages: list[Outage]
    replacements: list[Replacement]
    now_ms: int


class Open(msgspec.Struct, tag=True):
    """The server is there: the work begins."""

    access: Access


class Play(msgspec.Struct, tag=True):
    """Play rounds, one after the other."""

    round: Round


class TellBooks(msgspec.Struct, tag=True):
    """TellBooks what the providers have in their books."""


_ORDER: Final = msgspec.json.Decoder(Begin | Open | Play | TellBooks)


class Site:
    """The process, seen from the server's side; ``async with`` it.

    Attributes:
        providers: address of the providers' server.
    """

    def __init__(self, begin: Begin) -> None:
        self._begin = begin
        self._process: asyncio.subprocess.Process | None = None
        self.providers = ""

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "holdfast.company.site", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            limit=_LINE,
        )  # fmt: skip
        self.providers = await self._ask(self._begin, str)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        assert process is not None and process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def open(self, access: Access) -> None:
        """Let the work begin. Raises ``server.internal`` when the process ended."""
        await self._ask(Open(access), bool)

    async def play(self, played: Round) -> Played:
        """Do everything of a round. Raises ``server.internal`` when something failed that no plant explains."""
        found: Played = await self._ask(Play(played), Played)
        return found

    async def books(self) -> list[Used]:
        """What the providers counted so far."""
        found: list[Used] = await self._ask(TellBooks(), list[Used])
        return found

    async def _ask(self, order: msgspec.Struct, kind: Any) -> Any:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        with contextlib.suppress(ConnectionError):
            process.stdin.write(msgspec.json.encode(order) + b"\n")
            await process.stdin.drain()
        line = await process.stdout.readline()
        if not line:
            words = f"the process of the company's people and agents ended with {await process.wait()}"
            raise HoldfastError("server.internal", words, fix="Its message is above.")
        return msgspec.json.decode(line, type=kind)


class _Inside:
    """The same, seen from inside."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin
        self._clock = CompanyClock(begin.now_ms)
        self._providers = Providers(begin.keys, self._clock.wall_ms, begin.outages, begin.replacements)
        self._workplace: Workplace | None = None
        self._listening: asyncio.Server | None = None

    async def listen(self) -> str:
        self._listening, address = await self._providers.listen()
        return address

    async def obey(self, order: Open | Play | TellBooks) -> object:
        if isinstance(order, Open):
            self._workplace = await Workplace(self._begin.company, order.access).__aenter__()
            return True
        if isinstance(order, TellBooks):
            return self._providers.books.used
        assert self._workplace is not None
        self._clock.move(max(order.round.at_ms, self._clock.wall_ms()), order.round.most_ms)
        return await self._workplace.play(order.round)

    async def close(self) -> None:
        if self._workplace is not None:
            await self._workplace.__aexit__(None, None, None)
        if self._listening is not None:
            self._listening.close()


async def work() -> None:
    """Obey until the standard input ends."""
    reader = asyncio.StreamReader(limit=_LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    begin = _ORDER.decode(await reader.readline())
    assert isinstance(begin, Begin)
    inside = _Inside(begin)

    def answer(found: object) -> None:
        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
        sys.stdout.buffer.flush()

    answer(await inside.listen())
    try:
        while line := await reader.readline():
            order = _ORDER.decode(line)
            assert not isinstance(order, Begin)
            answer(await inside.obey(order))
    finally:
        await inside.close()


def main() -> None:
    """Entry point of the process."""
    import uvloop

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which closes our standard input then
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())


if __name__ == "__main__":
    main()
