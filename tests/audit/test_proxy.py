"""The fault proxy does exactly what its script says, to the byte."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from holdfast.audit.proxy import Fault, FaultProxy, Script
from tests.audit.conftest import raw_server

pytestmark = pytest.mark.anyio
SIZE = 50_000
CONTENT = bytes(n % 251 for n in range(SIZE))


async def send_content(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Waits for a line, answers with the content, and closes."""
    await reader.readline()
    writer.write(CONTENT)
    await writer.drain()


async def send_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1_000):
        writer.write(data)
        await writer.drain()


@contextlib.asynccontextmanager
async def proxied(*faults: Fault, serve: object = send_content, **more: object) -> AsyncIterator[FaultProxy]:
    async with raw_server(serve) as port:  # type: ignore[arg-type]
        proxy = FaultProxy("127.0.0.1", port, Script(otherwise=list(faults)), **more)  # type: ignore[arg-type]
        async with proxy.running():
            yield proxy


async def fetched(proxy: FaultProxy, silence_s: float = 30.0, after: int = 0) -> tuple[bytes, str]:
    """What a client gets, and how that ended: ``end``, ``reset``, or ``silence`` so long after as many bytes had come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    got = b""
    try:
        writer.write(b"go\n")
        async with asyncio.timeout(silence_s if not after else None) as patience:
            while data := await reader.read(4_096):
                got += data
                if after and len(got) >= after and patience.when() is None:
                    patience.reschedule(asyncio.get_running_loop().time() + silence_s)
        return got, "end"
    except ConnectionError:
        return got, "reset"
    except TimeoutError:
        return got, "silence"
    finally:
        writer.transport.abort()


async def test_without_faults_everything_passes_unchanged() -> None:
    async with proxied() as proxy:
        assert await fetched(proxy) == (CONTENT, "end")


@pytest.mark.parametrize("at", [0, 1, 4_095, 16_384, 16_385, SIZE - 1])
async def test_an_orderly_cut_is_exact_to_the_byte(at: int) -> None:
    async with proxied(Fault(fault="cut", how="fin", after_bytes=at)) as proxy:
        assert await fetched(proxy) == (CONTENT[:at], "end")


async def test_a_reset_is_a_reset_and_carries_no_more_than_was_due() -> None:
    async with proxied(Fault(fault="cut", how="rst", after_bytes=10_000)) as proxy:
        got, how = await fetched(proxy)
    assert how == "reset"
    assert CONTENT.startswith(got) and len(got) <= 10_000


async def test_a_cut_at_a_fraction_of_a_known_size() -> None:
    async with proxied(Fault(fault="cut", how="fin", after_fraction=0.5, of_bytes=SIZE)) as proxy:
        assert await fetched(proxy) == (CONTENT[: SIZE // 2], "end")


async def test_a_half_open_line_carries_nothing_and_tells_nobody() -> None:
    async with proxied(Fault(fault="half_open", after_bytes=5_000)) as proxy:
        got, how = await fetched(proxy, 0.3, after=5_000)
        assert (got, how) == (CONTENT[:5_000], "silence")
        assert [line.ended for line in proxy.lines] == [""]


async def test_a_stall_ends_and_nothing_is_lost() -> None:
    async with proxied(Fault(fault="stall", after_bytes=7_000, for_s=0.2)) as proxy:
        assert await fetched(proxy) == (CONTENT, "end")


async def test_a_stall_for_ever_stays_silent() -> None:
    async with proxied(Fault(fault="stall", after_bytes=7_000)) as proxy:
        assert await fetched(proxy, 0.3, after=7_000) == (CONTENT[:7_000], "silence")


async def test_a_trickle_passes_only_so_much_but_everything_in_order() -> None:
    async with proxied(Fault(fault="trickle", bytes_per_s=20_000)) as proxy:
        got, how = await fetched(proxy, 0.5, after=1)
    assert how == "silence" and CONTENT.startswith(got) and 0 < len(got) < SIZE


async def test_a_delay_changes_nothing_else() -> None:
    async with proxied(Fault(fault="delay", delay_s=0.05, direction="both")) as proxy:
        assert await fetched(proxy) == (CONTENT, "end")


async def test_buffering_holds_everything_back_until_the_end() -> None:
    released = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(CONTENT[:100])
        await released.wait()
        writer.write(CONTENT[100:])

    async with proxied(Fault(fault="buffer"), serve=serve) as proxy:
        assert await fetched(proxy, 0.3) == (b"", "silence")
        released.set()
        assert await fetched(proxy) == (CONTENT, "end")


async def test_every_connection_has_its_own_faults() -> None:
    script = Script(
        connections=[[Fault(fault="cut", how="fin", after_bytes=10)], []],
        otherwise=[Fault(fault="cut", how="fin", after_bytes=20)],
    )
    async with raw_server(send_content) as port, FaultProxy("127.0.0.1", port, script).running() as proxy:
        sizes = [len((await fetched(proxy))[0]) for _ in range(4)]
    assert sizes == [10, SIZE, 20, 20]


async def test_faults_can_happen_to_lines_that_are_open() -> None:
    async with proxied(serve=send_back) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        assert proxy.apply(Fault(fault="cut", how="fin")) == 1
        assert await reader.read() == b""
        writer.close()
        assert proxy.alive() == []


async def test_a_close_after_a_time_closes_even_a_silent_line() -> None:
    async with proxied(Fault(fault="cut", how="fin", after_s=0.1), serve=send_back) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await reader.read() == b""
        writer.close()


async def test_what_goes_up_can_be_cut_too() -> None:
    seen = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            seen.extend(data)

    async with proxied(Fault(fault="cut", how="fin", after_bytes=3, direction="up"), serve=serve) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"abcdef")
        assert await reader.read() == b""
        writer.close()
        await asyncio.sleep(0.05)
    assert bytes(seen) == b"abc"


async def test_a_target_that_is_not_there_looks_like_a_broken_line() -> None:
    async with raw_server(send_back) as port:
        pass
    async with FaultProxy("127.0.0.1", port).running() as proxy:
        got, how = await fetched(proxy)
        assert (got, how) in ((b"", "reset"), (b"", "end"))


@pytest.mark.parametrize("wrong", [{"after_fraction": 0.5}, {"after_bytes": -1}, {"bytes_per_s": 0}, {"after_s": -0.1}])
def test_nonsense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        Fault(fault="cut", **wrong)  # type: ignore[arg-type]
