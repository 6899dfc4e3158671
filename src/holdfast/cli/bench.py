"""A quick measure of a running server from this machine; the side-by-side benchmarks are ``make bench``."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Annotated, Any

import typer

from holdfast.cli import output
from holdfast.cli.options import AsJson, Db, Token, Url, connect, run
from holdfast.client.client import Client
from holdfast.client.connection import new_key
from holdfast.client.feed import Snapshot
from holdfast.protocol import wire
from holdfast.protocol.events import Draft


def bench(
    sessions: Annotated[int, typer.Option(help="Sessions written at the same time.", min=1, max=1_000)] = 10,
    events: Annotated[int, typer.Option(help="Events per session.", min=1, max=1_000_000)] = 2_000,
    batch: Annotated[int, typer.Option(help="Events per append.", min=1, max=1_000)] = 10,
    keep: Annotated[bool, typer.Option(help="Keep the sessions that were made.")] = False,
    url: Url = "http://127.0.0.1:7417", token: Token = None, db: Db = "holdfast.db", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Append events durably, read them back live, and show rates and latencies as this client sees them."""

    async def work() -> None:
        async with connect(url, token, db) as hf:
            figures = await measure(hf, sessions, events, batch, keep)
        if as_json:
            return output.say_json(figures)
        rows = [
            (name.replace("_", " "), f"{v:,.2f}" if isinstance(v, float) else f"{v:,}") for name, v in figures.items()
        ]
        return output.say(output.table(("what", "measured"), rows))

    run(work, as_json)


async def measure(hf: Client, sessions: int, events: int, batch: int, keep: bool) -> dict[str, Any]:
    """Run the load and return its figures: rates per second, latencies in milliseconds."""
    names = [f"bench-{new_key()}" for _ in range(sessions)]
    acks: list[float] = []
    arrived = asyncio.Event()
    seen = 0
    total = sessions * events

    async def read(name: str) -> None:
        nonlocal seen
        async for item in hf.session(name).events(after="tail"):
            if not isinstance(item, Snapshot):
                seen += 1
                if seen == total:
                    arrived.set()

    async def write(name: str, step: Any) -> None:
        for start in range(0, events, batch):
            size = min(batch, events - start)
            drafts = [Draft("CUSTOM", {"name": "bench", "value": start + i}) for i in range(size)]
            began = time.perf_counter()
            await hf.connection.request(wire.Append(session=name, events=drafts, key=new_key()))
            acks.append((time.perf_counter() - began) * 1_000)
            step(len(acks) * batch, total)

    for name in names:
        await hf.create(name)
    readers = [asyncio.create_task(read(name)) for name in names]
    await asyncio.sleep(0.2)
    began = time.perf_counter()
    with output.Bar("appending", "events") as step:
        await asyncio.gather(*(write(name, step) for name in names))
    written_s = time.perf_counter() - began
    async with asyncio.timeout(60):
        await arrived.wait()
    read_s = time.perf_counter() - began
    for reader in readers:
        reader.cancel()
    if not keep:
        for name in names:
            await hf.session(name).delete()
    ordered = sorted(acks)
    return {
        "events": total,
        "durable_events_per_s": total / written_s,
        "delivered_events_per_s": total / read_s,
        "ack_ms_p50": statistics.median(ordered),
        "ack_ms_p99": ordered[int(len(ordered) * 0.99) - 1],
        "ack_ms_max": ordered[-1],
    }
