"""Endpoints that hang, flood, send garbage, redirect or never end: a clear verdict, within the budget, and no accusation."""

from __future__ import annotations

import asyncio
import os

import pytest

from holdfast.audit.budget import ProbeBudget, Redactor
from holdfast.audit.drivers import registry
from holdfast.audit.examine import PROBES, examine
from holdfast.audit.finding import Contact, Finding
from holdfast.audit.lab import AuditOptions
from tests.audit.conftest import Serve, raw_server

pytestmark = pytest.mark.anyio
OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
PIECE = b'data: {"choices":[{"delta":{"content":"word "}}]}\n\n'


async def _request(reader: asyncio.StreamReader) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _request(reader)
    await asyncio.sleep(3600)


async def never_reads(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def begins_and_hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _request(reader)
    writer.write(OK + b": hello\n\n")
    await asyncio.sleep(3600)


async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _request(reader)
    writer.write(OK)
    while True:
        writer.write(b"data: " + b"x" * 65_536 + b"\n\n")
        await writer.drain()


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _request(reader)
    writer.write(OK + b"".join(b"data: " + os.urandom(30).hex().encode() + b"\n\n" for _ in range(50)))


async def not_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _request(reader)
    writer.write(os.urandom(2_000))


async def redirects(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _request(reader)
    writer.write(b"HTTP/1.1 307 X\r\nlocation: http://elsewhere.example/steal\r\ncontent-length: 0\r\n\r\n")


async def never_ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _request(reader)
    writer.write(OK)
    while True:
        writer.write(PIECE)
        await asyncio.sleep(0.02)


async def refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _request(reader)
    writer.write(b'HTTP/1.1 401 X\r\ncontent-length: 28\r\n\r\n{"token": "sk-secret-12345"}')


async def one_piece(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _request(reader)
    writer.write(OK + PIECE + b"data: [DONE]\n\n")


async def empty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _request(reader)
    writer.write(OK + b"data: [DONE]\n\n")


async def audit(serve: Serve) -> tuple[Contact, list[Finding], ProbeBudget]:
    async with raw_server(serve) as port:
        budget = ProbeBudget(total_s=20, answer_s=1.5, first_s=1.0, stream_bytes=1_000_000)
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        endpoint = registry.endpoint(url, registry.RECIPES["openai-chat"], budget, {}, frozenset())
        async with asyncio.timeout(25):
            contact, findings = await examine(endpoint, AuditOptions(), budget, Redactor())
    return contact, findings, budget


@pytest.mark.parametrize(
    ("serve", "state"),
    [
        (hangs, "hangs"), (never_reads, "hangs"), (begins_and_hangs, "hangs"), (floods, "flood"),
        (garbage, "garbage"), (not_http, "unreachable"), (redirects, "redirect"), (never_ends, "never_ends"),
        (refuses, "refused"), (one_piece, "one_piece"), (empty, "empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)  # fmt: skip
async def test_a_bad_endpoint_gets_a_clear_verdict(serve: Serve, state: str) -> None:
    contact, findings, budget = await audit(serve)
    assert contact.state == state, contact
    assert contact.message.endswith(".") or contact.message
    assert {finding.verdict for finding in findings} == {"inconclusive"}
    assert len(findings) == len(PROBES)
    assert all(contact.message in finding.saw for finding in findings)
    assert budget.used <= 3, "it goes on knocking"


async def test_no_redirect_is_followed_and_its_host_is_named() -> None:
    contact, _, budget = await audit(redirects)
    assert "elsewhere.example" in contact.message and budget.used == 1


async def test_secrets_in_refusals_are_redacted() -> None:
    contact, findings, _ = await audit(refuses)
    assert "secret-12345" not in contact.message + contact.evidence + str(findings)


async def test_an_endpoint_that_turns_bad_in_the_middle_ends_within_the_budget() -> None:
    asked = 0

    async def turns(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await _request(reader)
        writer.write(OK)
        for _ in range(20):
            writer.write(PIECE)
            await asyncio.sleep(0.01)
        if asked > 3:
            await asyncio.sleep(3600)
        writer.write(b"data: [DONE]\n\n")

    contact, findings, _ = await audit(turns)
    assert contact.state == "ok"
    assert {finding.verdict for finding in findings} <= {"inconclusive", "fail", "pass", "not_applicable"}


async def test_the_budget_of_requests_is_kept_and_told() -> None:
    async def good(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _request(reader)
        writer.write(OK)
        for _ in range(20):
            writer.write(PIECE)
            await asyncio.sleep(0.01)
        writer.write(b"data: [DONE]\n\n")

    async with raw_server(good) as port:
        budget = ProbeBudget(requests=4, total_s=30, answer_s=5)
        url = f"http://127.0.0.1:{port}/"
        endpoint = registry.endpoint(url, registry.RECIPES["openai-chat"], budget, {}, frozenset())
        _, findings = await examine(endpoint, AuditOptions(), budget, Redactor())
    assert budget.used == 4
    assert any("budget of 4 requests" in finding.saw for finding in findings)
