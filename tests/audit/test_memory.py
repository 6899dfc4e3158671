"""Memory of the server under a slow reader, and the proxy as a command."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

from holdfast.audit.budget import ProbeBudget, Redactor
from holdfast.audit.drivers.http import HttpEndpoint
from holdfast.audit.examine import PROBES, examine
from holdfast.audit.lab import AuditOptions
from holdfast.audit.probes import resilient
from holdfast.audit.probes.memory import used_bytes
from tests.audit.chat_server import RECIPE, ChatServer
from tests.audit.conftest import raw_server

pytestmark = pytest.mark.anyio
PAGE = b"# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes 1.5e+07\n"


async def test_memory_is_read_from_a_process_or_a_metrics_page() -> None:
    own = await used_bytes(AuditOptions(pid=os.getpid()))
    assert own is not None and own > 10 * 1024 * 1024

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + PAGE)

    async with raw_server(serve) as port:
        assert await used_bytes(AuditOptions(metrics_url=f"http://127.0.0.1:{port}/metrics")) == 15_000_000
    assert await used_bytes(AuditOptions(metrics_url=f"http://127.0.0.1:{port}/metrics")) is None
    assert await used_bytes(AuditOptions(pid=2**22 + 5)) is None
    assert await used_bytes(AuditOptions()) is None


@pytest.mark.parametrize(("growth", "verdict"), [(1_000_000, "pass"), (64 * 1024 * 1024, "fail")])
async def test_a_server_that_grows_with_a_slow_reader_fails(
    monkeypatch: pytest.MonkeyPatch, growth: int, verdict: str
) -> None:
    sizes = iter([50_000_000, 50_000_000 + growth])

    async def measured(_: AuditOptions) -> int:
        return next(sizes)

    monkeypatch.setattr(resilient, "used_bytes", measured)
    probes = [probe for probe in PROBES if probe.id == "resilient.slow_reader"]
    async with ChatServer().running() as server:
        budget = ProbeBudget(total_s=60, answer_s=10)
        endpoint = HttpEndpoint(server.url, RECIPE, budget)
        _, found = await examine(
            endpoint, AuditOptions(prompt="one", second_prompt="two"), budget, Redactor(), probes=probes
        )
    assert (found[0].verdict, found[0].measured["growth_bytes"]) == (verdict, growth)


@pytest.mark.process
async def test_the_proxy_as_a_command() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"0123456789" * 10)
        await writer.drain()

    async with raw_server(serve) as port:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "holdfast.cli", "audit", "proxy", f"127.0.0.1:{port}",
            "--fault", "cut:how=fin,after_bytes=42", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdout is not None
        told = (await process.stdout.readline()).decode()
        reader, writer = await asyncio.open_connection("127.0.0.1", int(told.rpartition(":")[2]))
        assert await reader.read() == (b"0123456789" * 10)[:42]
        writer.close()
        process.terminate()
        await process.wait()


@pytest.mark.process
async def test_a_fault_that_is_none_is_refused_with_a_sentence() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "holdfast.cli", "audit", "proxy", "127.0.0.1:1", "--fault", "explode:at=3",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    told, _ = await process.communicate()
    assert process.returncode == 1 and b"config.invalid" in told and b"Traceback" not in told
