"""How comparisons, variances and waste are said on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec

from holdfast.governance import limits
from holdfast.governance.ledger.bills.amounts import dollars, percent
from holdfast.governance.ledger.bills.compare.model import Reconciliation
from holdfast.governance.ledger.bills.tables import reconciliation_csv, variance_csv, waste_csv
from holdfast.governance.ledger.bills.variance.model import EFFECTS, Variance
from holdfast.governance.ledger.bills.waste.model import Waste


class BillSpeaker(Protocol):
    """Who writes to the terminal: ``cli/output.py``."""

    @property
    def say(self) -> Callable[..., None]: ...
    @property
    def say_json(self) -> Callable[[Any], None]: ...
    @property
    def table(self) -> Callable[[Iterable[str], Iterable[Iterable[Any]]], Any]: ...


def show_reconciliation(
    speaker: BillSpeaker, found: Reconciliation, settled: Sequence[str], as_json: bool, csv: bool
) -> None:
    """A comparison: verdict, sums, findings with their next steps."""
    if as_json:
        speaker.say_json({**msgspec.to_builtins(found), "explained_ppm": found.explained_ppm, "settled": list(settled)})
        return
    if csv:
        speaker.say(reconciliation_csv(found), end="", wrap=False)
        return
    tenths = (
        found.explained_ppm // 1_000 if found.explained_ppm is not None else None
    )  # rounded down: 100 % is all of it
    share = "?" if tenths is None else f"{tenths // 10}.{tenths % 10} %"
    speaker.say(f"{found.provider or 'all'}, {found.since} to {found.until} ({found.zone}): {found.verdict}")
    speaker.say(
        f"bill {dollars(found.bill_nano)}, ledger {dollars(found.ledger_nano)}, differences {dollars(found.gap_nano)}: "
        f"{share} of the bill explained"
    )
    for reason in found.reasons:
        speaker.say(f"  {reason}")
    for entry in found.findings:
        likely = "" if entry.certain else " (likely)"
        speaker.say(f"{entry.cause} {dollars(entry.amount_nano)}{likely}: {entry.what}")
        speaker.say(f"  {entry.fix}")
    if found.settlements:
        done = f"{len(settled)} settled" if settled else "settle them with --settle"
        speaker.say(f"{len(found.settlements)} estimated rows can be settled; {done}")


def show_variance(speaker: BillSpeaker, found: Variance, as_json: bool, csv: bool) -> None:
    """A variance: a line for each group and one for the total."""
    if as_json:
        speaker.say_json(msgspec.to_builtins(found))
        return
    if csv:
        speaker.say(variance_csv(found), end="", wrap=False)
        return
    rows = [
        (
            group.name or "(none)",
            *map(dollars, (group.before_nano, group.after_nano)),
            *(_signed(group.effects, e) for e in EFFECTS),
        )
        for group in (found.groups[: limits.BILLS_SHOWN] if found.dimension else ())
    ]
    rows.append(
        ("total", dollars(found.before_nano), dollars(found.after_nano), *(_signed(found.effects, e) for e in EFFECTS))
    )
    speaker.say(speaker.table((found.dimension or "", "before", "after", *EFFECTS), rows))
    for change in found.prices[:10]:
        name = f"{change.product.model} {change.units}"
        speaker.say(f"price of a million: {name} {dollars(change.before_nano)} → {dollars(change.after_nano)}")
    for words, models in (("new", found.new), ("gone", found.gone)):
        if models:
            speaker.say(f"{words}: {', '.join(models[:10])}")
    if found.unpriced:
        speaker.say(f"{found.unpriced} rows have no price: what they cost is unknown, and in no figure")


def show_waste(speaker: BillSpeaker, found: Waste, as_json: bool, csv: bool) -> None:
    """Waste: a line for each kind, then the costliest tenths."""
    if as_json:
        speaker.say_json(msgspec.to_builtins(found))
        return
    if csv:
        speaker.say(waste_csv(found), end="", wrap=False)
        return
    for item in found.items:
        amount = "unknown" if item.amount_nano is None else dollars(item.amount_nano)
        worst = f"; most in session {item.sessions[0].session}" if item.sessions else ""
        speaker.say(f"{item.kind} {amount} in {item.rows} rows{worst}")
        if item.unknown_nano:
            speaker.say(f"  cannot be told of {dollars(item.unknown_nano)}: {item.why}")
    speaker.say(f"kinds overlap: {dollars(found.any_nano)} of {dollars(found.cost_nano)} in all")
    for tenth in found.tenths:
        where = f"{tenth.workflow} {tenth.task}".strip()
        if tenth.withheld:
            speaker.say(f"{where}: not shown, {tenth.withheld}")
            continue
        accepted = (
            "outcomes unknown"
            if tenth.accepted is None
            else f"{percent(tenth.tenth_accepted or 0, tenth.accepted)} of outcomes"
        )
        share = percent(tenth.tenth_nano, tenth.cost_nano)
        speaker.say(
            f"{where}: the costliest {tenth.tenth} of {tenth.sessions} sessions took {share} of the money; {accepted}"
        )


def _signed(effects: Any, name: str) -> str:
    amount = getattr(effects, name)
    return ("+" if amount > 0 else "") + dollars(amount)
