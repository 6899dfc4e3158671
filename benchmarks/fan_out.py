"""Fan-out: what one delivery costs, beside a C ``send()`` loop, npm ``ws`` and socket.io."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass

from benchmarks import sessions
from benchmarks.processes import Holdfast, Load, Server, folder, peer, send_loop
from benchmarks.result import Result, Step, Table, Verdict, median

Case = tuple[int, int]
CASES: tuple[Case, ...] = ((10, 1), (100, 1), (1_000, 1), (100, 10))
"""Readers, and events that come at a time."""
JUDGED: Case = (100, 1)
AGAIN = 4
"""How often the judged case is measured in a round: single measurements differ."""
DELIVERIES_PER_S = 25_000
SLICES, SLICE_S = 4, 0.5
"""With readers and without, in turns so short that whatever else the machine does, it does to both."""
HOLDFAST, LIMIT, WS, SOCKET_IO = "Holdfast", "C send() loop", "npm ws", "socket.io"

SEPARATE = 0.98
"""Commits per event from which on events count as delivered one by one."""

METHOD = f"""\
One publisher, one session, all readers on it; the same event (about 250 bytes on the wire) at the same pace for every
server, the same C readers on another core, servers taking turns within each round. *All in* is the server's CPU time
divided by deliveries of an event to a reader; taking the event in is part of it, which for Holdfast, and for no other
here, means committing it to disk before anybody sees it. *Per delivery* is what readers add: CPU time with them minus
what the same number of events costs that nobody reads, said in turns of {SLICE_S:g} s on the same server. Holdfast
commits and sends together what comes together, and then the two subtracted have not done the same work; so an event
waits for the answer to the one before, and that figure counts only rounds in which, by the server's own count, at least
{SEPARATE:.0%} of the events had a commit of their own both times. A dash means that there was none. Medians of the
rounds; the case with a target is measured {AGAIN} times in each, and its range is given."""

_EVENT = {
    "seq": 123456, "ts": 1764000000123, "actor": "agent:writer", "type": "TEXT_MESSAGE_CONTENT",
    "data": {"messageId": "m1", "delta": "$ttide"}, "run": "r3-0123456789", "attempt": 1, "offset": 1234,
}  # fmt: skip
_FRAME = {"op": "events", "session": "bench-0", "from": 123456, "to": 123456, "events": [_EVENT]}
PAYLOAD = json.dumps(_FRAME, separators=(",", ":"))


@dataclass
class Sample:
    """CPU microseconds used, events published, deliveries made, and whether every event went its own way."""

    cpu_us: float = 0.0
    events: int = 0
    deliveries: int = 0
    separate: bool = True


@dataclass
class Round:
    """One server in one round: events for readers, and as many at the same pace for nobody."""

    reading: Sample
    alone: Sample

    @property
    def all_in(self) -> float:
        """CPU microseconds a delivery, taking the event in included."""
        return self.reading.cpu_us / self.reading.deliveries

    @property
    def added(self) -> float | None:
        """CPU microseconds a delivery adds; None when that cannot be told."""
        if not (self.reading.separate and self.alone.separate):
            return None
        event_us = self.alone.cpu_us / self.alone.events
        return (self.reading.cpu_us - event_us * self.reading.events) / self.reading.deliveries


@dataclass
class Contender:
    """A server, and how the load speaks to it."""

    name: str
    server: Server
    script: list[str]

    def load(self, readers: int) -> Load:
        """A publisher and its readers, connected; without readers one that publishes to nobody."""
        port = self.server.port
        if isinstance(self.server, Holdfast):
            number = 0 if readers else 1
            runs, *lines = self.script  # the load has one session: this one, with its run
            script = [f"#{runs[1:].split()[number]}", *(line.replace("$s", str(number)) for line in lines)]
            return sessions.load(self.server, readers=readers, publishers=1, script=script)
        if self.name == SOCKET_IO:
            path = "/socket.io/?EIO=4&transport=websocket"
            paths = (path, f"{path}&publish={'readers' if readers else 'nobody'}")
            return Load(
                port,
                readers=readers,
                publishers=1,
                paths=paths,
                join="40",
                until='40{"sid"',
                script=self.script,
                generic=True,
            )
        paths = ("/", "/publish" if readers else "/nobody")
        return Load(port, readers=readers, publishers=1, paths=paths, script=self.script, generic=True)

    def measure(self, readers: int, rate: float, burst: int) -> Round:
        """Publish for a while, to readers and to nobody in turns."""
        found = Round(Sample(), Sample())
        with self.load(readers) as with_readers, self.load(0) as without_readers:
            with_readers.wait_ready()
            without_readers.wait_ready()
            for number in range(SLICES):
                turns = [(with_readers, found.reading), (without_readers, found.alone)]
                for load, sample in turns if number % 2 else reversed(turns):
                    self._slice(load, sample, rate, burst)
        return found

    def _slice(self, load: Load, sample: Sample, rate: float, burst: int) -> None:
        commits, before = self._commits(), self.server.cpu_s()
        figures = load.publish(rate, SLICE_S, burst=burst, window=1 if burst == 1 else 0)
        used = self.server.cpu_s() - before
        commits = self._commits() - commits
        if figures["delivered"] != figures["wanted"]:
            raise RuntimeError(f"{self.name}: {figures['delivered']} of {figures['wanted']} arrived")
        sample.cpu_us += used * 1e6
        sample.events += figures["published"]
        sample.deliveries += figures["delivered"]
        sample.separate &= not isinstance(self.server, Holdfast) or commits >= SEPARATE * figures["published"]

    def _commits(self) -> int:
        return self.server.commits() if isinstance(self.server, Holdfast) else 0


def steps(rounds: int) -> int:
    """How often ``step`` is called."""
    return rounds * (len(CASES) + AGAIN - 1) * 4


def run(step: Step, rounds: int) -> Result:
    """Measure."""
    found: dict[Case, dict[str, list[Round]]] = {}
    with contextlib.ExitStack() as stack:
        holdfast = stack.enter_context(Holdfast(stack.enter_context(folder())))
        runs = asyncio.run(sessions.start_runs(holdfast, 2))
        contenders = [
            Contender(HOLDFAST, holdfast, sessions.script(runs, 1)),
            Contender(LIMIT, stack.enter_context(send_loop()), [PAYLOAD]),
            Contender(WS, stack.enter_context(peer("ws")), [PAYLOAD]),
            Contender(SOCKET_IO, stack.enter_context(peer("socketio")), [f'42["publish",{PAYLOAD}]']),
        ]
        for _ in range(rounds):
            for readers, burst in (*CASES, *[JUDGED] * (AGAIN - 1)):
                for contender in contenders:
                    step(f"{contender.name}, {readers} readers")
                    rate = DELIVERIES_PER_S / readers
                    of_case = found.setdefault((readers, burst), {})
                    of_case.setdefault(contender.name, []).append(contender.measure(readers, rate, burst))
    return Result(
        "Fan-out", METHOD, _verdicts(found[JUDGED]), [_table(case, rounds_) for case, rounds_ in found.items()]
    )


def _table(case: Case, found: dict[str, list[Round]]) -> Table:
    readers, burst = case
    how = "events come one by one" if burst == 1 else f"events come {burst} at a time"
    columns = ["server", "µs CPU per delivery", "Holdfast is", "µs, all in", "Holdfast is"]
    table = Table(columns, caption=f"{readers} readers, {how}, up to {DELIVERIES_PER_S / readers:,.0f} a second.")
    ours = found[HOLDFAST]
    for name, rounds in found.items():
        pairs = comparable(ours, rounds)
        added = f"{median(theirs for _, theirs in pairs):.2f}" if pairs else "–"
        if name == HOLDFAST:
            added = f"{median(mine for mine, _ in pairs):.2f}" if pairs else "–"
        times = f"{median(mine / theirs for mine, theirs in pairs):.2f}×" if pairs else "–"
        table.rows.append([name, added, times, f"{median(one.all_in for one in rounds):.2f}", _all_in(ours, rounds)])
    return table


def comparable(ours: list[Round], theirs: list[Round]) -> list[tuple[float, float]]:
    """What a delivery adds here and there, of the rounds in which it can be told.

    Pairs within a round: whatever else the machine did then, it did to both.
    """
    pairs = ((mine.added, other.added) for mine, other in zip(ours, theirs, strict=True))
    return [(mine, other) for mine, other in pairs if mine is not None and other is not None]


def _all_in(ours: list[Round], theirs: list[Round]) -> str:
    return f"{median(mine.all_in / other.all_in for mine, other in zip(ours, theirs, strict=True)):.2f}×"


def _verdicts(found: dict[str, list[Round]]) -> list[Verdict]:
    verdicts = []
    for name, most in ((LIMIT, 1.3), (WS, 0.7), (SOCKET_IO, 0.5)):
        pairs = comparable(found[HOLDFAST], found[name])
        ratios = sorted(mine / theirs for mine, theirs in pairs)
        times = median(ratios)
        ratio = f"{times:.2f}× ({ratios[0]:.2f}–{ratios[-1]:.2f}, n={len(ratios)})" if pairs else "could not be told"
        what = f"fan-out, CPU per delivery, 100 readers, against {name}"
        measured = f"{ratio}; all in {_all_in(found[HOLDFAST], found[name])}"
        verdicts.append(Verdict(what, f"≤ {most}×", measured, bool(pairs) and times <= most))
    return verdicts
