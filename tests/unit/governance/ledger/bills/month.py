"""A simulated month: what was really used, the ledger's rows of it, the provider's report of it, and planted differences.

Every plant changes one side only and says what it planted: a cause, the cells it touched and the amount. Prices are made
up; amounts are whole nano-USD.
"""

from __future__ import annotations

import dataclasses
import datetime
import random
from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction

from msgspec.structs import replace

from holdfast.governance.ledger.bill_line import BillLine
from holdfast.governance.ledger.bills.compare.days import zone
from holdfast.governance.ledger.bills.compare.gather import gather
from holdfast.governance.ledger.bills.compare.model import Context, Reconciliation
from holdfast.governance.ledger.bills.compare.reconcile import reconcile
from holdfast.governance.ledger.model import Row

MODELS = (
    "claude-opus-4-8-20260115", "claude-sonnet-4-6", "claude-haiku-4-5-20251001", "gpt-5-mini", "gpt-5-2025-08-07",
    "gemini-3-pro", "deepseek-chat", "grok-4",
)  # fmt: skip
RATES = {
    name: {"input": 1_000 * (n + 1), "output": 6_000 * (n + 1), "cache_read": 100 * (n + 1)}
    for n, name in enumerate(MODELS)
}
"""Nano-USD a token."""
DAY_MS = 86_400_000


@dataclasses.dataclass
class Plant:
    """What was planted: the cause that should be named, the cells, and the absolute amount."""

    cause: str
    cells: set[tuple[str, str, str]]
    amount: int
    note: str = ""


class Month:
    """A month before anything is planted: ledger and bill agree but for the report's rounding.

    Args:
        seed: everything follows from it.
        step: what the report's lines are rounded to, nano-USD.
        by_class: one line for each class of units, else one for each model.
        counts: whether the report says units, too.
        keys: how many upstreams; each is one key at the provider.
        busy: rows of a model, key and day, at most.
        scale: how many times larger the requests are.
    """

    def __init__(
        self, seed: int, *, step: int = 1_000, by_class: bool = False, counts: bool = False, keys: int = 2,
        models: int = 4, busy: int = 12, scale: int = 1, first: str = "2026-09-01", days: int = 30,
    ) -> None:  # fmt: skip
        self.random = random.Random(seed)
        self.step, self.by_class, self.with_counts = step, by_class, counts
        self.first = datetime.date.fromisoformat(first)
        self.scale = scale
        self.days = [(self.first + datetime.timedelta(days=n)).isoformat() for n in range(days)]
        self.keys = [f"upstream-{n}" for n in range(keys)]
        self.models = self.random.sample(MODELS, models)
        self.zone: datetime.tzinfo = datetime.UTC
        self.rows: list[Row] = []
        self.plants: list[Plant] = []
        self.names: dict[str, str] = {}
        self.extra: list[BillLine] = []
        self.context: dict[str, object] = {}
        self.truth: dict[str, tuple[int, dict[str, int]]] = {}
        self.factor: Callable[[str, str], Fraction] = lambda day, key: Fraction(1)
        self.moved: dict[tuple[str, str, str], int] = defaultdict(int)
        self.drop: Callable[[str, str, str], bool] = lambda day, model, key: False
        self.top: int | None = None
        begin = int(datetime.datetime.fromisoformat(first).replace(tzinfo=datetime.UTC).timestamp() * 1000)
        for n in range(-1, days + 1):
            for key in self.keys:
                for model in self.models:
                    for _ in range(self.random.randint(1, busy)):
                        self._use(begin + n * DAY_MS + self.random.randrange(DAY_MS), key, model)

    def _use(self, at_ms: int, key: str, model: str) -> None:
        r, rates = self.random, RATES[model]
        counts = {
            "input": r.randint(200, 40_000) * self.scale, "cache_read": r.choice([0, r.randint(0, 60_000)]) * self.scale,
            "output": r.randint(20, 4_000) * self.scale,
        }  # fmt: skip
        number = len(self.rows)
        row = Row(
            id=f"a{number}", call=f"c{number}", at_ms=at_ms, day=self.day(at_ms), month=self.day(at_ms)[:7], upstream=key,
            provider="anthropic", asked=model, model=model, counts=counts, workflow="answers", session=f"s{number % 97}",
            **costs(counts, rates),
        )  # fmt: skip
        self.rows.append(row)
        self.truth[row.id] = row.billed_nano or 0, counts

    def day(self, at_ms: int) -> str:
        return datetime.datetime.fromtimestamp(at_ms / 1000, self.zone).date().isoformat()

    def inside(self, row: Row) -> bool:
        return self.days[0] <= self.day(row.at_ms) <= self.days[-1]

    def cell(self, row: Row) -> tuple[str, str, str]:
        return self.day(row.at_ms), row.model, row.upstream

    def pick_day(self) -> str:
        return self.random.choice(self.days[2:-2])

    def quiet_day(self) -> str:
        """A day on which no pair is planted, and that no side lacks: with one side gone nobody could see the other."""
        paired = {day for plant in self.plants if plant.cause == "netting_pair" for day, _, _ in plant.cells}
        paired |= {plant.note for plant in self.plants if plant.cause == "missed_day"}
        return self.random.choice([day for day in self.days[2:-2] if day not in paired])

    # --- the report
    def lines(self) -> list[BillLine]:
        sums: dict[tuple[str, str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        units: dict[tuple[str, str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for row in self.rows:
            if row.id not in self.truth or not self.inside(row):
                continue
            amount, counts = self.truth[row.id]
            rates = RATES[row.model]
            for name, count in counts.items():
                units[self.cell(row)][name] += count
                sums[self.cell(row)][name if self.by_class else "all"] += count * rates[name] if self.by_class else 0
            if not self.by_class:
                sums[self.cell(row)]["all"] += amount
        for at in self.moved:
            sums[at]["input" if self.by_class else "all"] += 0
        found: list[BillLine] = []
        for at, parts in sorted(sums.items()):
            if self.drop(*at):
                continue
            for name, amount in parts.items():
                amount += self.moved.get(at, 0) if name in ("all", "input") else 0
                exact = amount * self.factor(at[0], at[2])
                rounded = round(exact / self.step) * self.step
                counts = (
                    ({name: units[at].get(name, 0)} if self.by_class else {"input": 0, **units[at]})
                    if self.with_counts
                    else {}
                )
                if "input" in counts:
                    counts["input"] += self.moved.get(at, 0) // RATES[at[1]]["input"]
                found.append(self.line(len(found), *at, rounded, counts))
        found += [line for line in self.extra if line.kind != "usage" or not self.drop(line.day, line.model, line.key)]
        return found if self.top is None else self._truncate(found)

    def _truncate(self, lines: list[BillLine]) -> list[BillLine]:
        kept = [line for line in lines if line.kind != "usage"]
        for day in self.days:
            of_day = sorted(
                (line for line in lines if line.day == day and line.kind == "usage"),
                key=lambda line: -(line.amount_nano or 0),
            )
            kept += of_day[: self.top]
        return kept

    def line(
        self, number: int, day: str, model: str, key: str, amount: int, counts: dict[str, int], **more: str
    ) -> BillLine:
        begin = int(datetime.datetime.fromisoformat(day).replace(tzinfo=datetime.UTC).timestamp() * 1000)
        return BillLine(
            id=f"b/{len(self.extra)}/{number}/{day}", batch="b", day=day, since_ms=begin, until_ms=begin + DAY_MS,
            provider="anthropic", key=f"key-of-{key}", account="org-1", model=self.names.get(model, model), counts=counts,
            amount_nano=amount, **more,
        )  # fmt: skip

    def compare(self, **more: object) -> Reconciliation:
        slots, estimates = gather(self.rows)
        known: dict[str, object] = {
            "keys": {f"key-of-{key}": key for key in self.keys}, "carded": frozenset(self.keys), **self.context, **more,
        }  # fmt: skip
        context = Context(since=self.days[0], until=self.days[-1], provider="anthropic", **known)  # type: ignore[arg-type]
        return reconcile(slots, estimates, self.lines(), context)


def costs(counts: dict[str, int], rates: dict[str, int]) -> dict[str, object]:
    parts = {name: count * rates[name] for name, count in counts.items()}
    amount = sum(parts.values())
    return {
        "parts": parts,
        "list_nano": amount,
        "contracted_nano": amount,
        "effective_nano": amount,
        "billed_nano": amount,
    }


# --- plants -------------------------------------------------------------------------------------------------------------
def missed_day(month: Month, key: str = "") -> None:
    """The ledger lost a day, of all keys or of one."""
    day = month.quiet_day()
    gone = [row for row in month.rows if month.day(row.at_ms) == day and key in ("", row.upstream)]
    month.rows = [row if row not in gone else replace(row, upstream="lost") for row in month.rows]
    lost = {row.id for row in gone}
    month.plants.append(Plant("missed_day", {month.cell(row) for row in gone}, 0, day))
    kept = [row for row in month.rows if row.id not in lost]
    _only_in_bill(month, gone)
    month.rows = kept


def _only_in_bill(month: Month, gone: list[Row]) -> None:
    """Rows that the provider bills and the ledger does not have."""
    whole = month.lines

    def lines() -> list[BillLine]:
        kept = month.rows
        month.rows = [*kept, *gone]
        try:
            return whole()
        finally:
            month.rows = kept

    month.lines = lines  # type: ignore[method-assign]


def netting_pair(month: Month, kind: str = "model") -> None:
    """The provider books an amount under another model, key or day."""
    r = month.random
    taken = {at for plant in month.plants for at in plant.cells}
    for _ in range(100):
        day, model, key = month.pick_day(), r.choice(month.models), r.choice(month.keys)
        if kind == "model":
            other = day, r.choice([name for name in month.models if name != model]), key
        elif kind == "key":
            other = day, model, r.choice([name for name in month.keys if name != key])
        else:
            after = datetime.date.fromisoformat(day) + datetime.timedelta(days=1)
            other = after.isoformat(), model, key
        one = day, model, key
        tokens = sum(month.truth[row.id][1]["input"] for row in month.rows if month.cell(row) == one)
        unit = RATES[model]["input"] * RATES[other[1]]["input"] // 1_000
        amount = tokens * RATES[model]["input"] * r.randint(20, 60) // 100 // unit * unit
        if amount > 40 * month.step and not {one, other} & taken:
            month.moved[one] -= amount
            month.moved[other] += amount
            month.plants.append(Plant("netting_pair", {one, other}, 2 * amount))
            return
    raise AssertionError("no room for a pair")


def discount(month: Month, percent: str = "7.5", *, late: bool = False) -> None:
    """The provider bills a key below list: the rate card is missing."""
    key = month.random.choice(month.keys)
    since = month.days[len(month.days) // 2] if late else month.days[0]
    ratio = 1 - Fraction(percent) / 100
    before = month.factor
    month.factor = lambda day, k: before(day, k) * (ratio if k == key and day >= since else 1)
    month.plants.append(Plant("price", set(), 0, f"{key} {ratio.numerator}/{ratio.denominator} {since}"))


def credit(month: Month, words: str = "Promotional credit", cause: str = "credit") -> None:
    """A line that gives something back."""
    amount = month.random.randint(1, 20) * 1_000_000_000
    month.extra.append(month.line(0, month.pick_day(), "", month.keys[0], -amount, {}, kind="credit", line=words))
    month.plants.append(Plant(cause, set(), amount))


def outside(month: Month, kind: str = "key") -> None:
    """Spend that never passed the gateway: with another key, with another model, or as more of what is known."""
    r, cells, whole = month.random, set(), 0
    for _ in range(r.randint(2, 6)):
        day = month.pick_day()
        model = r.choice(month.models) if kind != "model" else "outside-model-1"
        key = r.choice(month.keys) if kind != "key" else "somebody"
        amount = r.randint(50, 3_000) * max(month.step, 1_000_000)
        if kind == "more" and any((day, model, key) in plant.cells for plant in month.plants):
            continue
        counts = {}
        if month.with_counts and model in RATES:
            amount -= amount % RATES[model]["input"]
            counts = {"input": amount // RATES[model]["input"]}
            amount = round(amount * month.factor(day, key) / month.step) * month.step
        month.extra.append(month.line(0, day, model, key, amount, counts))
        cells.add((day, model, "key-of-somebody" if kind == "key" else key))
        whole += amount
    if cells:
        month.plants.append(Plant("outside", cells, whole))


def cut_streams(month: Month, share: float = 0.01) -> None:
    """Rows that were cut before the provider said what they used: the ledger estimates, the bill knows."""
    r, cells, amount = month.random, set(), 0
    taken = {at for plant in month.plants for at in plant.cells}
    for number, row in enumerate(month.rows):
        if r.random() < share and month.cell(row) not in taken and month.inside(row):
            guess = {name: max(1, count * r.randint(60, 130) // 100) for name, count in row.counts.items()}
            cost = costs(guess, RATES[row.model])
            month.rows[number] = replace(row, basis="estimated", outcome="cut", counts=guess, **cost)
            cells.add(month.cell(row))
            amount += abs(month.truth[row.id][0] - int(str(cost["billed_nano"])))
    if cells:
        month.plants.append(Plant("estimated", cells, amount))


def other_zone(month: Month, name: str = "America/Los_Angeles") -> None:
    """The report's days begin at another hour than was said."""
    month.zone = zone(name) if not name.startswith("+") else datetime.timezone(datetime.timedelta(hours=int(name[1:])))
    month.plants.append(Plant("time_zone", set(), 0, name))


def written_as_instants(month: Month) -> None:
    """The report writes when a day of its zone begins and ends, in UTC."""
    whole = month.lines

    def begin(day: str) -> int:
        return int(datetime.datetime.fromisoformat(day).replace(tzinfo=month.zone).timestamp() * 1000)

    def lines() -> list[BillLine]:
        found = []
        for line in whole():
            since_ms = begin(line.day)
            until_ms = begin((datetime.date.fromisoformat(line.day) + datetime.timedelta(days=1)).isoformat())
            utc = datetime.datetime.fromtimestamp(since_ms / 1000, datetime.UTC).date().isoformat()
            found.append(replace(line, day=utc, since_ms=since_ms, until_ms=until_ms))
        return found

    month.lines = lines  # type: ignore[method-assign]


def truncate(month: Month, top: int) -> None:
    """The report lists its largest groups of a day only."""
    month.top = top
    month.plants.append(Plant("truncated", set(), 0))


def lacking_day(month: Month) -> None:
    """The report lacks a day."""
    day = month.quiet_day()
    month.drop = lambda d, model, key: d == day
    month.plants.append(Plant("missed_day", set(), 0, day))


def other_names(month: Month) -> None:
    """The report writes models in its own way."""
    spelt = {
        "claude-opus-4-8-20260115": "Claude Opus 4.8", "claude-sonnet-4-6": "anthropic/claude-sonnet-4-6",
        "claude-haiku-4-5-20251001": "claude-haiku-4-5", "gpt-5-2025-08-07": "gpt-5", "gpt-5-mini": "GPT 5 mini",
        "gemini-3-pro": "models/gemini-3-pro", "deepseek-chat": "DeepSeek-Chat", "grok-4": "grok-4-latest",
    }  # fmt: skip
    month.names = {name: spelt[name] for name in month.models}
    month.plants.append(Plant("alias", set(), 0))


def counted_twice(month: Month) -> None:
    """An agent reports what the gateway counted already."""
    day, model, key = month.pick_day(), month.random.choice(month.models), month.random.choice(month.keys)
    doubles = [
        replace(row, id=f"{row.id}-agent", source="agent")
        for row in month.rows
        if month.cell(row) == (day, model, key)
    ]  # fmt: skip
    month.rows += doubles
    month.plants.append(Plant("counted_twice", {(day, model, key)}, sum(row.billed_nano or 0 for row in doubles)))
