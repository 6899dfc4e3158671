"""One connection: greeting, answers, coming back, sending again."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import Callable
from typing import Any

import pytest

from holdfast.client.client import Client
from holdfast.client.connection import Connection
from holdfast.client.retry import Backoff
from holdfast.errors import Refused, Unavailable
from holdfast.protocol import wire
from tests.unit.client.scripted import AT_ONCE, Line, Scripted

pytestmark = pytest.mark.anyio


def ok_all(line: Line, op: wire.Op) -> None:
    line.ok(op, run="r1", messageId=getattr(op, "key", None))


async def test_hello_carries_a_token_fetched_for_every_connect() -> None:
    server = Scripted(authenticates=True)
    tokens = iter(["one", "two"])

    async def token() -> str:
        return next(tokens)

    async with server.client(token=token, surface="cli", device="laptop") as hf:
        assert hf.principal == "user:ann"
        server.line.cut()
        await server.until(lambda: len(server.lines) == 2 and hf.status == "live")
        hellos = [line.of(wire.Hello)[0] for line in server.lines]
        assert [hello.token for hello in hellos] == ["one", "two"]
        assert (hellos[0].surface, hellos[0].device) == ("cli", "laptop")


async def test_a_refused_token_ends_open_at_once() -> None:
    server = Scripted(authenticates=True)
    server.welcome = lambda line: line.say(
        {"op": "error", "id": 0, "error": {"code": "auth.invalid", "message": "no", "retry": False}}
    )
    with pytest.raises(Refused) as refused:
        async with server.client(token="bad"):
            pass
    assert refused.value.code == "auth.invalid"
    assert len(server.lines) == 1


@pytest.mark.parametrize(("code", "error"), [(4401, "auth.invalid"), (4403, "auth.denied"), (4411, "auth.revoked")])
async def test_a_close_code_that_means_refused_is_final_for_a_fixed_token(code: int, error: str) -> None:
    server = Scripted()
    async with server.client(token="t") as hf:
        server.line.cut(code)
        await server.until(lambda: hf.connection.error)
        with pytest.raises(Refused) as refused:
            await hf.session("s").rename("x")
        assert refused.value.code == error
        assert hf.status == "offline"


async def test_a_revoked_token_that_can_be_fetched_again_is() -> None:
    server = Scripted()
    async with server.client(token=lambda: "fresh") as hf:
        server.line.cut(4411)
        await server.until(lambda: len(server.lines) == 2 and hf.status == "live")


async def test_a_token_source_that_fails_is_asked_again() -> None:
    server = Scripted(authenticates=True)
    outcomes: list[Any] = ["first", OSError("token service down"), "second"]

    def token() -> str:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return str(outcome)

    async with server.client(token=token) as hf:
        server.line.cut()
        await server.until(lambda: hf.status == "live" and not outcomes)
        assert server.line.of(wire.Hello)[0].token == "second"


async def test_dialling_is_tried_again() -> None:
    server = Scripted()
    server.refuse_dials = [ConnectionRefusedError(), OSError()]
    async with server.client() as hf:
        assert hf.status == "live"


async def test_open_gives_up_after_its_time() -> None:
    server = Scripted()
    server.welcome = lambda line: None
    with pytest.raises(Unavailable) as gone:
        async with server.client(timeout_s=0.01):
            pass
    assert gone.value.code == "connection.lost"


async def test_unanswered_operations_are_sent_again_in_order_with_their_keys() -> None:
    server = Scripted()
    async with server.client() as hf:
        session = hf.session("s1")
        tasks = [asyncio.create_task(session.send(f"m{i}", agent="w", key=f"k{i}")) for i in range(5)]
        await server.until(lambda: len(server.line.sent) == 5)
        first = server.line
        first.ok(first.sent[0], run="r0", messageId="k0")
        first.ok(first.sent[1], run="r1", messageId="k1")
        server.answer = ok_all
        first.cut()
        runs = await asyncio.gather(*tasks)
        assert [op.key for op in server.line.sent] == ["k2", "k3", "k4"]
        assert [run.input for run in runs] == ["k0", "k1", "k2", "k3", "k4"]
        assert [op.id for op in server.line.sent] == [op.id for op in first.sent[2:]]


async def test_every_command_gets_a_key_of_its_own() -> None:
    server = Scripted()
    server.answer = ok_all
    async with server.client() as hf:
        await hf.session("s1").rename("a")
        await hf.session("s1").rename("a")
        keys = [op.key for op in server.line.of(wire.Rename)]
        assert all(keys) and keys[0] != keys[1]


async def test_what_is_asked_while_offline_is_done_later() -> None:
    server = Scripted()
    server.answer = ok_all
    async with server.client() as hf:
        server.refuse_dials = [OSError()] * 3
        server.line.cut()
        assert hf.status == "offline"
        await hf.session("s1").rename("later")
        assert [op.title for op in server.line.of(wire.Rename)] == ["later"]
        assert len(server.lines) == 2


async def test_a_refusal_that_may_pass_is_tried_again_with_the_same_key() -> None:
    server = Scripted()

    def answer(line: Line, op: wire.Op) -> None:
        if len(line.sent) < 3:
            line.refuse(op, "disk.failed", retry=True)
        else:
            line.ok(op)

    server.answer = answer
    async with server.client() as hf:
        await hf.session("s1").rename("x")
        keys = {op.key for op in server.line.of(wire.Rename)}
        assert len(server.line.sent) == 3 and len(keys) == 1


async def test_a_refusal_is_raised_with_its_fields() -> None:
    server = Scripted()
    server.answer = lambda line, op: line.refuse(op, "approval.resolved", by="user:bob", decision="denied")
    async with server.client() as hf:
        with pytest.raises(Refused) as refused:
            await hf.session("s1").approve("a1")
    assert refused.value.fields["by"] == "user:bob"


async def test_a_timeout_says_that_the_outcome_is_unknown() -> None:
    server = Scripted()
    async with server.client() as hf:
        with pytest.raises(Unavailable) as late:
            await hf.connection.request(wire.Rename(session="s1", title="x"), timeout_s=0.01)
        assert late.value.code == "timeout"
        server.line.ok(server.line.sent[0])  # too late: nobody is surprised


async def test_closing_fails_what_waits() -> None:
    server = Scripted()
    hf = server.client()
    await hf.connection.open()
    waiting = asyncio.create_task(hf.session("s1").rename("x"))
    await server.until(lambda: server.line.sent)
    await hf.close()
    with pytest.raises(Unavailable):
        await waiting
    assert server.line.closed


async def test_status_is_told_once_per_change() -> None:
    server = Scripted()
    seen: list[str] = []
    async with server.client() as hf:
        end = hf.on_status(seen.append)
        server.line.cut()
        await server.until(lambda: hf.status == "live")
        assert seen == ["offline", "live"]
        end()
        server.line.cut()
        assert seen == ["offline", "live"]


async def test_messages_this_version_does_not_know_are_skipped() -> None:
    server = Scripted()
    server.answer = ok_all
    async with server.client() as hf:
        server.line.say({"op": "fireworks", "colour": "green"})
        server.line.say(b"not json")
        server.line.say(b'{"op":"events"}')
        await hf.session("s1").rename("still here")


async def test_goaway_sets_the_delay_and_the_connection_comes_back() -> None:
    server = Scripted()
    server.answer = ok_all
    async with server.client() as hf:
        server.line.say({"op": "goaway", "reason": "restart", "retry_after_s": 0.0})
        server.line.cut(1012)
        await hf.session("s1").rename("x")
        assert len(server.lines) == 2


@pytest.mark.parametrize("welcomed", [True, False])
async def test_who_is_refused_for_their_rate_stays_away_as_long_as_told(
    monkeypatch: pytest.MonkeyPatch, welcomed: bool
) -> None:
    """Also when the refusal names no operation and ends the connection, or never lets it begin."""
    server = Scripted()
    server.answer = ok_all
    slept: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await real(0)

    def refuse(line: Line) -> None:
        error = {"code": "limit.rate", "message": "x", "retry": True, "retry_after_s": 7.0}
        line.say({"op": "error", "error": error})
        line.cut(4429, "limit.rate")

    welcome = server.welcome
    async with server.client() as hf:
        monkeypatch.setattr("holdfast.client.connection.asyncio.sleep", sleep)
        if welcomed:
            refuse(server.line)
        else:
            server.welcome = lambda line: refuse(line) if len(server.lines) == 2 else welcome(line)
            server.line.cut()
        await hf.session("s1").rename("x")
        assert max(slept) >= 7.0
        monkeypatch.undo()


async def test_a_replaced_transport_is_not_listened_to() -> None:
    server = Scripted()
    async with server.client() as hf:
        old = server.line
        waiting = asyncio.create_task(hf.session("s1").rename("x"))
        await server.until(lambda: old.sent)
        old.cut()
        await server.until(lambda: len(server.lines) == 2 and server.line.sent)
        old.sink.received(b'{"op":"ok","id":1}')
        await asyncio.sleep(0)
        assert not waiting.done()
        server.line.ok(server.line.sent[0])
        await waiting


async def test_refresh_sends_auth_before_expiry(monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.client.token import Token

    monkeypatch.setattr(Token, "refresh_in_s", staticmethod(lambda expires_ms: 0.0))
    server = Scripted(authenticates=True)
    server.welcome = lambda line: line.say({"op": "welcome", "principal": "user:ann", "expires_ms": 1})
    server.answer = lambda line, op: line.ok(op, expires_ms=None)
    tokens = iter(["one", "two", "three"])
    async with server.client(token=lambda: next(tokens)):
        auth = await server.until(lambda: server.line.of(wire.Auth))
        assert [op.token for op in auth] == ["two"]
        assert len(server.lines) == 1


def test_backoff_is_full_jitter_and_bounded() -> None:
    uppers: list[float] = []

    def uniform(low: float, high: float) -> float:
        uppers.append(high)
        return low

    backoff = Backoff(0.25, 10.0, uniform)
    for _ in range(8):
        assert backoff.next_s() == 0.0
    assert uppers == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    backoff.reset()
    backoff.next_s()
    assert uppers[-1] == 0.25
    assert backoff.after_s(Unavailable("limit.rate", retry_after_s=3.0)) == 3.0
    backoff.lower_cap(1.0)
    backoff.lower_cap(5.0)  # nobody may lift what another needs
    for _ in range(4):
        backoff.next_s()
    assert uppers[-1] == 1.0


def test_refresh_time_survives_a_wrong_clock() -> None:
    from holdfast.client.token import Token
    from holdfast.protocol import limits

    assert Token.refresh_in_s(0) == limits.RETRY_CAP_S


async def test_pending_requests_are_bounded() -> None:
    from holdfast.protocol import limits

    server = Scripted()
    async with Client(server, backoff=AT_ONCE) as hf:
        connection: Connection = hf.connection
        tasks = [asyncio.create_task(hf.session("s").rename(str(i))) for i in range(limits.PENDING_REQUESTS + 5)]
        await server.until(lambda: len(server.line.sent) == limits.PENDING_REQUESTS)
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(server.line.sent) == limits.PENDING_REQUESTS
        for op in list(server.line.sent):
            server.line.ok(op)
        await server.until(lambda: len(server.line.sent) == limits.PENDING_REQUESTS + 5)
        for op in server.line.sent[-5:]:
            server.line.ok(op)
        await asyncio.gather(*tasks)
        assert connection.connected


@dataclasses.dataclass
class Nested:
    inner: Any = None


def deep(wrap: Callable[[Any], Any], levels: int = 5_000) -> dict[str, Any]:
    value: Any = 1
    for _ in range(levels):
        value = wrap(value)
    return {"x": value}


def endless() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["x"] = [value]
    return value


@pytest.mark.parametrize("recursion", [400, 200_000], ids=["a low recursion limit", "a high one"])
async def test_what_the_server_could_not_read_is_refused_here(recursion: int) -> None:
    """Its refusal would name no operation, and the one who asked would wait for ever. The bounds are ours: what the
    interpreter would take or refuse makes no difference."""
    server = Scripted()
    usual = sys.getrecursionlimit()
    async with server.client() as hf:
        session = hf.session("s1")
        sys.setrecursionlimit(recursion)
        try:
            for call, code in (
                (session.send("x" * 200_001), "input.too_large"),
                (session.create(meta={"x": "y" * 2_000_000}), "input.too_large"),
                (session.create(meta=deep(lambda v: {"x": v})), "input.too_deep"),
                (session.create(meta=deep(lambda v: [v])), "input.too_deep"),
                (session.create(meta=deep(lambda v: (v,))), "input.too_deep"),
                (session.create(meta=deep(Nested)), "input.too_deep"),
                (session.create(meta=deep(lambda v: {"x": v}, 70)), "input.too_deep"),
                (session.create(meta=endless()), "input.too_deep"),
                (session.create(meta={"x": 2**53}), "input.number_range"),
                (session.create(meta={"x": object()}), "input.malformed"),
                (session.send("\ud800"), "input.malformed"),
            ):
                with pytest.raises(Refused) as refused:
                    await call
                assert refused.value.code == code
        finally:
            sys.setrecursionlimit(usual)
        assert server.line.sent == []
