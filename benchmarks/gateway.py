"""The gateway: what it adds before the first token and how many streams it carries, beside LiteLLM's and Portkey's."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
from tests.fake_upstream.process import FakeUpstream

from benchmarks.gateways.contenders import ALL, DIRECT, HOLDFAST, LITELLM, CannotRun, Contender
from benchmarks.gateways.load import Figures, Plan
from benchmarks.processes import HERE, LOAD_CORE, Process, folder
from benchmarks.result import Result, Step, Table, Verdict, median, spread

TOKENS = 20
SLICES, ONE_BY_ONE, GAP_MS = 6, 25, 1.0
"""Streams, one after another, whose time to the first token is measured; their tokens come one by one. Gateways take turns
so short that whatever else the machine does, it does to all."""
CONNECTIONS, SECONDS = 32, 3.0
"""As many streams as are carried, all tokens of one at once."""
WARM_STREAMS, WARM_CONNECTIONS = 200, 4
MOST_ADDED_MS, LEAST_TIMES = 1.0, 10.0

METHOD = f"""\
One fake upstream for all, in a process of its own: Chat Completions with {TOKENS} tokens and usage. Each gateway has one
core, and it checks the caller's key; upstream and load share the other core. A stream counts when each token, the usage
and the end of the stream arrived, and the upstream's own count says that it was asked for each. *To the first token*:
{ONE_BY_ONE} streams one after another on one connection, tokens {GAP_MS:g} ms apart, from the request to the first chunk
with text; gateways take turns, {SLICES} of them in each round; *added* is the median of a turn less that of the turn
without a gateway next to it. *Streams/s*: {CONNECTIONS} connections for {SECONDS:g} s, tokens without a pause. Every
other turn is in reverse; medians, with the range where one is given. Holdfast keeps its ledger meanwhile, but
for the line that says otherwise. LiteLLM runs with one worker and no
database, so it keeps no account; Portkey's gateway keeps none and knows no callers, and it sleeps for 25 ms at the first
event of a stream. The preload is `portkey.mjs`: on some versions of Node nothing is answered without it. Both are installed
as locked in `benchmarks/gateways`; what cannot be installed or does not answer is named below with the reason."""


class Load(Process):
    """The load process."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "benchmarks.gateways.load"]
        super().__init__(command, LOAD_CORE, cwd=HERE.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def measure(self, wanted: Plan) -> Figures:
        """Have it do as planned."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(msgspec.json.encode(wanted).decode() + "\n")
        self.process.stdin.flush()
        return msgspec.json.decode(self.process.stdout.readline(), type=Figures)


@dataclass
class Rounds:
    """What one contender did, turn by turn."""

    contender: Contender
    first: list[Figures] = field(default_factory=list)
    most: list[Figures] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    def p50(self) -> list[float]:
        """Milliseconds to the first token, of each turn."""
        return [median(figures.first_ms) for figures in self.first]

    def quantile(self, share: float) -> float:
        """Milliseconds to the first token, of all turns."""
        every = sorted(ms for figures in self.first for ms in figures.first_ms)
        return every[int(share * len(every))]

    def per_s(self) -> list[float]:
        """Streams a second, of each round."""
        return [figures.per_s for figures in self.most]


def steps(rounds: int) -> int:
    """How often ``step`` is called, when every contender runs."""
    return rounds * (len(ALL) + 1) + len(ALL)


def run(step: Step, rounds: int) -> Result:
    """Measure."""
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(folder())
        fake = stack.enter_context(FakeUpstream(keep=False, cores=LOAD_CORE, tokens=TOKENS))
        load = stack.enter_context(Load())
        found: dict[str, Rounds] = {}
        absent: dict[str, str] = {}
        for name, start in ALL.items():
            step(f"{name}: install, start")
            try:
                contender = stack.enter_context(start(fake, place))
                warm(fake, load, contender)
                found[name] = Rounds(contender)
            except CannotRun as reason:
                absent[name] = str(reason)
        for number in range(rounds):
            step("to the first token")
            for turn in range(SLICES):
                for name in found if (number + turn) % 2 else reversed(found):
                    found[name].first.append(first_tokens(fake, load, found[name].contender))
            for name in found if number % 2 else reversed(found):
                step(name)
                most(fake, load, found[name])
    return Result("Gateway", METHOD, verdicts(found), tables(found, absent))


def warm(fake: FakeUpstream, load: Load, contender: Contender) -> None:
    """See that it answers, and let it load what it loads late.

    Raises:
        CannotRun: not one of its answers was whole; with the first.
    """
    fake.always(tokens=TOKENS)
    figures = load.measure(plan(contender, connections=WARM_CONNECTIONS, streams=WARM_STREAMS))
    if figures.errors:
        told = " ".join(figures.first_error.replace("|", " ").partition("\r\n\r\n")[::2]).split()
        asked = figures.streams + figures.errors
        raise CannotRun(f"{figures.errors} of {asked} answers are not whole; the first: {' '.join(told)[:120]}…")


def first_tokens(fake: FakeUpstream, load: Load, contender: Contender) -> Figures:
    """One turn of one contender: streams one after another."""
    with _counted(fake, gap=GAP_MS) as figures:
        figures.append(load.measure(plan(contender, streams=ONE_BY_ONE)))
    return figures[0]


def most(fake: FakeUpstream, load: Load, rounds: Rounds) -> None:
    """As many streams as one contender carries, once."""
    contender = rounds.contender
    before = contender.server.cpu_s() if contender.server else 0.0
    with _counted(fake, gap=0) as figures:
        figures.append(load.measure(plan(contender, connections=CONNECTIONS, seconds=SECONDS)))
    used = (contender.server.cpu_s() if contender.server else 0.0) - before
    rounds.most += figures
    rounds.cpu_ms.append(used * 1000 / figures[0].streams)


@contextlib.contextmanager
def _counted(fake: FakeUpstream, gap: float) -> Iterator[list[Figures]]:
    """Set the pace; then hold the figures to what the upstream says it served."""
    fake.reset()
    fake.always(tokens=TOKENS, gap=gap)
    figures: list[Figures] = []
    yield figures
    stats, [found] = fake.stats(), figures
    if found.errors or stats.ended < found.streams:
        raise RuntimeError(f"{found.errors} errors, {found.streams} streams of {stats.ended}: {found.first_error}")


def plan(contender: Contender, **fields: float) -> Plan:
    """A measurement of this contender."""
    whom = {"host": "127.0.0.1", "port": contender.port, "path": contender.path, "headers": contender.headers}
    return msgspec.convert({**whom, "tokens": TOKENS, **fields}, Plan)


# --- what is told
def added(found: dict[str, Rounds], name: str) -> list[float]:
    """Milliseconds to the first token beyond those without a gateway, of each turn."""
    return [mine - bare for mine, bare in zip(found[name].p50(), found[DIRECT].p50(), strict=True)]


def times(found: dict[str, Rounds], name: str, other: str) -> list[float]:
    """Streams a second over another's, of each round."""
    return [mine / theirs for mine, theirs in zip(found[name].per_s(), found[other].per_s(), strict=True)]


def tables(found: dict[str, Rounds], absent: dict[str, str]) -> list[Table]:
    """All figures, and who is not among them."""
    columns = ["gateway", "version", "to the first token, p50 ms", "p99", "added, p50 ms", "streams/s"]
    table = Table([*columns, "of LiteLLM's", "ms CPU per stream"])
    for name, rounds in found.items():
        bare = name == DIRECT
        ratio = f"{median(times(found, name, LITELLM)):.1f}×" if LITELLM in found else "–"
        table.rows.append([
            name,
            rounds.contender.version or "–",
            f"{rounds.quantile(0.5):.2f}",
            f"{rounds.quantile(0.99):.2f}",
            "–" if bare else spread(added(found, name)),
            f"{median(rounds.per_s()):,.0f}",
            ratio,
            "–" if bare else f"{median(rounds.cpu_ms):.2f}",
        ])  # fmt: skip
    missing = Table(["not measured", "because"], [[name, reason] for name, reason in absent.items()])
    return [table, missing] if absent else [table]


def verdicts(found: dict[str, Rounds]) -> list[Verdict]:
    """The targets. What could not be measured is not met."""
    latency = f"gateway, time to the first token, {TOKENS} tokens, p50 over direct"
    rate = f"gateway, streams of {TOKENS} tokens on one core, against LiteLLM's proxy"
    untold = [name for name in (HOLDFAST, LITELLM) if name not in found]
    if HOLDFAST not in found:
        first = Verdict(latency, f"≤ {MOST_ADDED_MS:g} ms", "not measured: Holdfast", False)
    else:
        more = added(found, HOLDFAST)
        first = Verdict(latency, f"≤ {MOST_ADDED_MS:g} ms", spread(more, " ms"), median(more) <= MOST_ADDED_MS)
    if untold:
        second = Verdict(rate, f"≥ {LEAST_TIMES:g}×", f"not measured: {', '.join(untold)}", False)
    else:
        ratios = times(found, HOLDFAST, LITELLM)
        second = Verdict(rate, f"≥ {LEAST_TIMES:g}×", spread(ratios, "×"), median(ratios) >= LEAST_TIMES)
    return [first, second]
