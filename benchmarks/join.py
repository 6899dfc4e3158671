"""Joining a long session: the snapshot against a replay of everything that led to it."""

from __future__ import annotations

import asyncio
import json

from benchmarks import sessions
from benchmarks.processes import Holdfast, folder
from benchmarks.result import Result, Step, Table, Verdict, median
from holdfast.client.client import Client
from holdfast.protocol import wire
from holdfast.protocol.events import Draft

DELTAS, PER_MESSAGE, PER_APPEND = 10_000, 400, 50
JOINS = 25
WORDS = ("The", " tide", " comes", " in", " twice", " a", " day", ",", " and", " goes", " out", " again", ".", " It")

METHOD = f"""\
One session of {DELTAS:,} deltas, {PER_MESSAGE} a message, the last message still open. {JOINS} readers join one after another,
each on a connection of its own; time runs from `subscribe` to the whole snapshot at the reader, bytes are everything the
connection received, the HTTP upgrade and the notice of being live included. *Replay* reads the same session from its
first event. *Cold* is the first join after the server was started again."""


def steps(rounds: int) -> int:
    """How often ``step`` is called."""
    return 1 + rounds


def run(step: Step, rounds: int) -> Result:
    """Measure."""
    with folder() as place:
        with Holdfast(place) as server:
            step("writing the session")
            text, first = asyncio.run(_write(server))
            found = {"snapshot": [], "replay": [], "cold": []}  # type: dict[str, list[tuple[float, float]]]
            found["snapshot"].append(_join(server, "snapshot", '"op":"snapshot"'))
        for _ in range(rounds):
            step("joining")
            with Holdfast(place) as server:
                found["cold"].append(_join(server, "snapshot", '"op":"snapshot"', joins=1))
                found["snapshot"].append(_join(server, "snapshot", '"op":"snapshot"'))
                found["replay"].append(_join(server, first, '"op":"live"'))
    table = Table(["join", "p50 ms", "bytes", "bytes / text"], caption=f"The text has {text:,} bytes.")
    times, sizes = {}, {}
    for name, samples in found.items():
        times[name], sizes[name] = median(ms for ms, _ in samples), median(size for _, size in samples)
        table.rows.append([name, f"{times[name]:.2f}", f"{sizes[name]:,.0f}", f"{sizes[name] / text:.2f}"])
    bound, less = 1.2 * text + 4_096, sizes["replay"] / sizes["snapshot"]
    what = f"join a session of {DELTAS:,} deltas"
    verdicts = [
        Verdict(f"{what}, to the snapshot", "≤ 5 ms", f"{times['snapshot']:.2f} ms", times["snapshot"] <= 5),
        Verdict(
            f"{what}, bytes",
            f"≤ 1.2 × text + 4 KiB = {bound:,.0f}",
            f"{sizes['snapshot']:,.0f}",
            sizes["snapshot"] <= bound,
        ),
        Verdict(f"{what}, bytes against replay", "≥ 20× fewer", f"{less:.1f}× fewer", less >= 20),
    ]
    return Result("Join", METHOD, verdicts, [table])


async def _write(server: Holdfast) -> tuple[int, str]:
    """Write the session; answers the bytes of its text, and the cursor of its beginning."""
    runs = await sessions.start_runs(server, 1)
    size = 0
    async with Client(server.url, server.token("agent:writer")) as agent:
        for at in range(0, DELTAS, PER_APPEND):
            ident = f"m{at // PER_MESSAGE}"
            tokens = [WORDS[n % len(WORDS)] for n in range(at, at + PER_APPEND)]
            drafts = [Draft("TEXT_MESSAGE_CONTENT", {"messageId": ident, "delta": token}) for token in tokens]
            if at % PER_MESSAGE == 0:
                drafts.insert(0, Draft("TEXT_MESSAGE_START", {"messageId": ident, "role": "assistant"}))
            if (at + PER_APPEND) % PER_MESSAGE == 0 and at + PER_APPEND < DELTAS:
                drafts.append(Draft("TEXT_MESSAGE_END", {"messageId": ident}))
            size += sum(len(token) for token in tokens)
            await agent.connection.request(
                wire.Append(session=sessions.name(0), run=runs[0], generation=1, events=drafts)
            )
    incarnation, _ = await sessions.tail(server, 0)
    return size, json.dumps({"incarnation": incarnation, "seq": 0})


def _join(server: Holdfast, start: str, until: str, joins: int = JOINS) -> tuple[float, float]:
    """Milliseconds and bytes of one join."""
    with sessions.load(server, start=start, until=until, readers=joins, at_once=1) as load:
        ready = load.wait_ready()
        bytes_ = load.ask("count")["bytes"]
    return ready["join"]["p50_ms"], bytes_ / joins
