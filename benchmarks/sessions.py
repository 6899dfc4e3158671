"""Sessions to measure with: each has a run whose attempt is held, so that what is appended is an agent's output."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from benchmarks.processes import Holdfast, Load
from holdfast.client import messages
from holdfast.client.client import Client
from holdfast.protocol import wire

AGENT = "writer"
MESSAGE_APPENDS = 40
"""Appends that make up one message of an agent."""


def name(number: int) -> str:
    """A session's id."""
    return f"bench-{number}"


async def start_runs(server: Holdfast, count: int) -> list[str]:
    """Create sessions and start one run in each; its lease outlives the benchmark. Returns the runs' ids, in the order of
    the sessions.
    """
    assigned: dict[str, str] = {}
    everything = asyncio.Event()

    def note(message: messages.Assignment, size: int) -> None:
        assigned[message.session] = message.run
        if len(assigned) == count:
            everything.set()

    async with Client(server.url, server.token("agent:writer")) as worker, Client(server.url, server.token()) as person:
        worker.connection.on_message(messages.Assignment, note)
        await worker.connection.request(wire.Serve(agents=[AGENT], slots=count))

        async def start(number: int) -> None:
            session = await person.create(name(number), agent=AGENT)
            await session.send("Go on.")

        for at in range(0, count, 200):
            await asyncio.gather(*(start(n) for n in range(at, min(at + 200, count))))
        async with asyncio.timeout(60):
            await everything.wait()
    return [assigned[name(number)] for number in range(count)]


async def tail(server: Holdfast, number: int) -> tuple[str, int]:
    """Incarnation and newest position of a session."""
    async with Client(server.url, server.token()) as reader:
        answer = await reader.connection.request(wire.Subscribe(session=name(number), start="tail"))
        return answer["incarnation"], answer["tail"]


def script(runs: Sequence[str], events: int) -> list[str]:
    """Appends of ``events`` events each that write one message after another into the sessions' runs."""

    def append(drafts: Sequence[dict[str, Any]]) -> str:
        head = '{"op":"append","id":$n,"session":"bench-$s",'
        return head + json.dumps({"run": "$r", "generation": 1, "events": drafts}, separators=(",", ":"))[1:]

    ident = "m$m"
    start = {"type": "TEXT_MESSAGE_START", "data": {"messageId": ident, "role": "assistant"}}
    token = {"type": "TEXT_MESSAGE_CONTENT", "data": {"messageId": ident, "delta": "$ttide"}}
    end = {"type": "TEXT_MESSAGE_END", "data": {"messageId": ident}}
    lines = [append([token] * events) for _ in range(MESSAGE_APPENDS)]
    lines[0] = append([start] + [token] * events)
    lines[-1] = append([token] * events + [end])
    return [f"#{' '.join(runs)}", *lines]


def load(server: Holdfast, *, start: str = "tail", until: str = '"op":"live"', **options: Any) -> Load:
    """The C client reading sessions of a Holdfast server from their tail (or ``start``), ready once all are live."""
    start_json = json.dumps(start) if start in ("tail", "snapshot") else start
    return Load(
        server.port,
        header=f"Authorization: Bearer {server.token()}",
        join=f'{{"op":"subscribe","id":1,"session":"bench-$s","start":{start_json}}}',
        rejoin='{"op":"subscribe","id":1,"session":"bench-$s","start":{"incarnation":"$i","seq":$q}}',
        until=until,
        **options,
    )
