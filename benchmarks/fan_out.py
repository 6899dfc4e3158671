"""Fan-out: what one delivery costs, beside a C ``send()`` loop, npm ``ws`` and socket.io."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import defaultdict
from dataclasses import dataclass

from benchmarks import sessions
from benchmarks.processes import Holdfast, Load, Server, folder, peer, send_loop
from benchmarks.result import Result, Step, Table, Verdict, median, ratio

READERS = (10, 100, 1_000)
DELIVERIES_PER_S = 25_000
SECONDS = 2.0
HOLDFAST, LIMIT, WS, SOCKET_IO = "Holdfast", "C send() loop", "npm ws", "socket.io"

METHOD = """\
One publisher, one session, all readers on it; the same event (about 250 bytes on the wire) at the same pace for every
server, the same C readers on another core, servers taking turns within each round. *CPU per delivery* is what readers
add: CPU time with them minus CPU time at the same pace without any, divided by deliveries. *All in* also counts taking
the event in, which for Holdfast, and for no other here, means committing it to disk before anybody sees it. Medians of
the rounds."""

_EVENT = {
    "seq": 123456, "ts": 1764000000123, "actor": "agent:writer", "type": "TEXT_MESSAGE_CONTENT",
    "data": {"messageId": "m1", "delta": "$ttide"}, "run": "r3", "attempt": 1, "offset": 1234,
}  # fmt: skip
_FRAME = {"op": "events", "session": "bench-0", "from": 123456, "to": 123456, "events": [_EVENT]}
PAYLOAD = json.dumps(_FRAME, separators=(",", ":"))


@dataclass
class Contender:
    """A server, and how the load speaks to it."""

    name: str
    server: Server
    script: list[str]

    def load(self, readers: int) -> Load:
        """Readers and one publisher, connected."""
        port = self.server.port
        if isinstance(self.server, Holdfast):
            return sessions.load(self.server, readers=readers, publishers=1, script=self.script)
        if self.name == SOCKET_IO:
            path = "/socket.io/?EIO=4&transport=websocket"
            paths = (path, f"{path}&publish=1")
            return Load(
                port, readers=readers, publishers=1, paths=paths, join="40", until='40{"sid"', script=self.script, generic=True
            )  # fmt: skip
        return Load(port, readers=readers, publishers=1, paths=("/", "/publish"), script=self.script, generic=True)

    def cpu_us(self, readers: int, rate: float, burst: int) -> tuple[float, int]:
        """CPU microseconds used while publishing, and deliveries."""
        with self.load(readers) as load:
            load.wait_ready()
            before = self.server.cpu_s()
            said = load.publish(rate, SECONDS, burst=burst)
            used = self.server.cpu_s() - before
        if said["delivered"] != said["wanted"]:
            raise RuntimeError(f"{self.name}: {said['delivered']} of {said['wanted']} arrived")
        return used * 1e6, said["delivered"] or said["published"]


def steps(rounds: int) -> int:
    """How often ``step`` is called."""
    return rounds * 4 * 4


def run(step: Step, rounds: int) -> Result:
    """Measure."""
    marginal: dict[tuple[int, int, str], list[float]] = defaultdict(list)
    all_in: dict[tuple[int, int, str], list[float]] = defaultdict(list)
    cases = [(readers, 1) for readers in READERS] + [(100, 10)]
    with contextlib.ExitStack() as stack:
        holdfast = stack.enter_context(Holdfast(stack.enter_context(folder())))
        run_id = asyncio.run(sessions.start_runs(holdfast, 1))
        contenders = [
            Contender(HOLDFAST, holdfast, sessions.script(run_id, 1)),
            Contender(LIMIT, stack.enter_context(send_loop()), [PAYLOAD]),
            Contender(WS, stack.enter_context(peer("ws")), [PAYLOAD]),
            Contender(SOCKET_IO, stack.enter_context(peer("socketio")), [f'42["publish",{PAYLOAD}]']),
        ]
        for _ in range(rounds):
            for readers, burst in cases:
                for contender in contenders:
                    step(f"{contender.name}, {readers} readers")
                    rate = DELIVERIES_PER_S / readers
                    alone, _ = contender.cpu_us(0, rate, burst)
                    used, deliveries = contender.cpu_us(readers, rate, burst)
                    marginal[readers, burst, contender.name].append((used - alone) / deliveries)
                    all_in[readers, burst, contender.name].append(used / deliveries)
    return _result(marginal, all_in, cases)


def _result(
    marginal: dict[tuple[int, int, str], list[float]],
    all_in: dict[tuple[int, int, str], list[float]],
    cases: list[tuple[int, int]],
) -> Result:
    tables = []
    for readers, burst in cases:
        how = "events come one by one" if burst == 1 else f"events come {burst} at a time"
        table = Table(
            ["server", "µs CPU per delivery", "Holdfast is", "µs, all in", "Holdfast is"],
            caption=f"{readers} readers, {how}",
        )
        ours, ours_all = median(marginal[readers, burst, HOLDFAST]), median(all_in[readers, burst, HOLDFAST])
        for name in (HOLDFAST, LIMIT, WS, SOCKET_IO):
            theirs, theirs_all = median(marginal[readers, burst, name]), median(all_in[readers, burst, name])
            table.rows.append(
                [name, f"{theirs:.2f}", ratio(ours, theirs), f"{theirs_all:.2f}", ratio(ours_all, theirs_all)]
            )
        tables.append(table)
    verdicts = []
    for name, most in ((LIMIT, 1.3), (WS, 0.7), (SOCKET_IO, 0.5)):
        # of ratios within a round: whatever else the machine did then, it did to both
        pairs = zip(marginal[100, 1, HOLDFAST], marginal[100, 1, name], strict=True)
        times = median(ours / theirs for ours, theirs in pairs)
        verdicts.append(
            Verdict(
                f"fan-out, CPU per delivery, 100 readers, against {name}", f"≤ {most}×", f"{times:.2f}×", times <= most
            )
        )
    return Result("Fan-out", METHOD, verdicts, tables)
