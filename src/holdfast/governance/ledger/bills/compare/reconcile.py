"""Ledger beside bill: every cell's difference, with a name for each part of it.

The order in which causes are looked for matters, since a part that has a name is looked at by no later one: what is missing
as a whole, prices, rounding, differences that cancel, credits, doubles, estimates, then what is left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from holdfast.governance.ledger.bill_line import BillLine
from holdfast.governance.ledger.bills.amounts import dollars
from holdfast.governance.ledger.bills.compare import causes, pairs, verdict
from holdfast.governance.ledger.bills.compare.extras import beside_usage
from holdfast.governance.ledger.bills.compare.grid import Grid, OpenCell
from holdfast.governance.ledger.bills.compare.keys import AccountNames
from holdfast.governance.ledger.bills.compare.model import (
    EVERYTHING,
    BillFinding,
    Cause,
    CauseShare,
    Cell,
    Context,
    Estimate,
    Reconciliation,
    Settlement,
    Slot,
)  # fmt: skip
from holdfast.governance.ledger.bills.compare.names import BillNames
from holdfast.governance.ledger.bills.compare.settle import settlements
from holdfast.governance.ledger.bills.compare.words import difference, listing, places, plain_difference
from holdfast.governance.ledger.bills.compare.zones import find_zone


def reconcile(
    slots: Sequence[Slot], estimates: Sequence[Estimate], lines: Iterable[BillLine], context: Context
) -> Reconciliation:
    """Compare one provider's report with the ledger's rows of the same days.

    Args:
        slots: of the provider's rows (``gather``), with a day before and after the period, so that days of another zone are
            whole, too.
        estimates: rows among them whose amount is ours.
        lines: the provider's report. Lines without an amount (of a usage report beside the cost report) only tell units.
        context: the period, and what else is known.

    Raises:
        Refused: ``input.malformed`` for a zone that does not exist.
    """
    every = list(lines)
    bill = [line for line in every if line.amount_nano is not None]
    counted = [line for line in every if line.amount_nano is None and line.kind == "usage" and line.counts]
    usage = [line for line in bill if line.kind == "usage" and (line.amount_nano or 0) >= 0]
    names = BillNames(
        {line.model for line in usage if line.model}, {slot.model for slot in slots if slot.model}, context.aliases
    )
    keys = AccountNames(usage, slots, names, context)
    found: list[BillFinding] = []
    zone = find_zone(usage, slots, names=names, keys=keys, context=context) if usage else None
    grid = Grid(
        usage,
        slots,
        estimates,
        names=names,
        keys=keys,
        context=context,
        zone=zone.zone if zone else context.zone,
        counted=counted,
    )
    if zone:
        found.append(
            BillFinding(
                cause="time_zone",
                amount_nano=zone.before - zone.after,
                net_nano=0,
                blocks=True,
                what=f"The report's days begin with {zone.zone}, not with {context.zone}: there {dollars(zone.after)} "
                f"differ by day instead of {dollars(zone.before)}. All else is compared with {zone.zone}.",
                fix=f"If the provider confirms it, reconcile again with `--zone {zone.zone}`.",
                facts={"zone": zone.zone, "said": context.zone},
            )
        )
    found += _taken_for_one(names, keys)
    cells = grid.ordered()
    found += _name(grid, cells)
    extras = beside_usage(bill, context)
    found += extras.findings
    found += _unassigned(cells)
    for_verdict = [*(cell.cell() for cell in cells), *extras.cells]
    return _conclude(grid, keys, context, for_verdict, found, bill, tuple(settlements(cells)))


def _taken_for_one(names: BillNames, keys: AccountNames) -> list[BillFinding]:
    """What nobody declared and was joined all the same: to be confirmed. None of it is a difference."""
    found = []
    for pairs_found, noun, why, option in (
        (names.matched, "model", "", "--alias REPORT=LEDGER"),
        (keys.inferred, "account", ", since there is no other or the amounts agree", "--key REPORT=UPSTREAM"),
    ):
        if pairs_found:
            joins = ", ".join(f"{theirs} = {ours}" for theirs, ours in pairs_found[:5])
            found.append(
                BillFinding(
                    cause="alias",
                    amount_nano=0,
                    net_nano=0,
                    what=f"{joins}: taken for one {noun} each{why}.",
                    fix=f"Nothing if it is so; say it with `{option}`.",
                    facts={"names" if noun == "model" else "keys": pairs_found},
                )
            )
    return found


def _name(grid: Grid, cells: Sequence[OpenCell]) -> list[BillFinding]:
    """Give every part of every difference its cause."""
    found: list[BillFinding] = []

    def tell(cause: Cause, those: Sequence[OpenCell], *, certain: bool = True, blocks: bool = False) -> None:
        if those:
            found.append(plain_difference(cause, those, certain=certain, blocks=blocks))

    stopped = causes.stops(grid, cells)
    for cell in cells:
        cell.partial = cell.partial or (cell.day in stopped and len(cell.lines) < grid.classes)
    lacking = causes.truncated(grid, cells)
    if absent := causes.absent(cells, grid.keys.missing):
        what = f"The report has no account for {listing(sorted({c.key for c in absent}), 'upstreams')}."
        found.append(difference("unknown", absent, what, fix="Export the report of all accounts.", blocks=True))
    found += _missed(causes.missed_in_ledger(grid, cells), "ledger")
    found += _missed(causes.missed_in_bill(grid, cells), "bill")
    tell("outside", causes.outside(cells))
    if nameless := causes.unpriced(cells):
        what = f"{sum(cell.unpriced for cell in nameless)} rows have no price: {places(nameless)}."
        found.append(
            difference("unknown", nameless, what, fix="Give the model a price: `holdfast prices`.", blocks=True)
        )
    found += _prices(grid, causes.repriced(cells))
    tell("rounding", causes.rounding(cells))
    lacking += causes.cut_short(grid, cells, stopped)
    tell("truncated", lacking, certain=not grid.context.complete, blocks=True)
    found += _paired(pairs.exact_pairs(cells), certain=True)
    found += _prices(grid, causes.priced_otherwise(cells), constant=False)
    tell("fallback_credit", causes.fallback_credit(cells), certain=False)
    tell("counted_twice", causes.counted_twice(cells, exactly=True))
    found += _paired(pairs.loose_pairs(cells), certain=False)
    tell("counted_twice", causes.counted_twice(cells, exactly=False), certain=False)
    tell("estimated", causes.estimated(cells), certain=False)
    causes.rounding(cells)
    tell("outside", causes.beyond(cells), certain=False)
    tell("unknown", causes.unknown(cells))
    return found


def _missed(cells: Sequence[OpenCell], side: str) -> list[BillFinding]:
    """One finding for each run of days of one account."""
    groups: dict[tuple[str, ...], list[OpenCell]] = defaultdict(list)
    for cell in cells:
        groups[tuple(sorted({other.day for other in cells if other.key == cell.key}))].append(cell)
    found = []
    for days, those in groups.items():
        lacks, has = ("The ledger", "the report") if side == "ledger" else ("The report", "the ledger")
        amount = sum(abs(share.amount_nano) for cell in those for share in cell.shares)
        keys = sorted({cell.key for cell in those})
        of_keys = "" if keys == [EVERYTHING] else f" of {listing(keys, 'keys')}"
        what = f"{lacks} has nothing{of_keys} on {listing(days, 'days')}; " \
               f"{has} has {dollars(amount)}."  # fmt: skip
        fix = "" if side == "ledger" else "Export the report of these days again."
        found.append(
            difference(
                "missed_day", those, what, fix=fix, blocks=side == "bill", facts={"side": side, "days": list(days)}
            )
        )
    return found


def _prices(grid: Grid, cells: Sequence[OpenCell], *, constant: bool = True) -> list[BillFinding]:
    """One finding for each ratio of each key."""
    groups: dict[tuple[str, tuple[int, int]], list[OpenCell]] = defaultdict(list)
    for cell in cells:
        groups[cell.key, cell.scale if constant else (0, 0)].append(cell)
    found = []
    for (key, (top, bottom)), those in groups.items():
        carded = key in grid.context.carded
        missing = "its rate card has another" if carded else "it has no rate card"
        if not constant:
            what = f"{places(those)}: the units agree, the money does not."
            found.append(difference("price", those, what, blocks=not carded, facts={"key": key}))
            continue
        less = top < bottom
        change = abs(bottom - top) * 100_000 // bottom
        share = f"{change // 1000}.{change % 1000:03}".rstrip("0").rstrip(".")
        days = sorted({cell.day for cell in those})
        what = f"{key} is billed {share} % {'below' if less else 'above'} the ledger's price from {days[0]} to {days[-1]} " \
               f"for {listing(sorted({cell.model for cell in those}), 'models')}: {missing}."  # fmt: skip
        facts = {"key": key, "ratio": f"{top}/{bottom}", "since": days[0], "until": days[-1]}
        found.append(difference("price", those, what, blocks=not carded, facts=facts))
    return found


def _paired(found: Sequence[tuple[OpenCell, ...]], *, certain: bool) -> list[BillFinding]:
    """One finding for each pair."""
    findings = []
    for cells in found:
        amount = max(abs(share.amount_nano) for cell in cells for share in cell.shares if share.cause == "netting_pair")
        first, second = cells[0], cells[-1]
        names = [
            f"{one} and {other}"
            for one, other in zip(first.at, second.at, strict=True)
            if one != other
        ]  # fmt: skip
        what = f"{dollars(amount)} less in one cell and more in another cancel each other out ({'; '.join(names)})."
        findings.append(difference("netting_pair", cells, what, certain=certain))
    return findings


def _unassigned(cells: Iterable[OpenCell]) -> list[BillFinding]:
    those = [cell for cell in cells if cell.unassigned]
    amount = sum(cell.unassigned for cell in those)
    if not amount:
        return []
    entry = difference("unassigned", those, f"{dollars(amount)} belong to no workflow: {places(those)}.")
    return [
        BillFinding(
            cause="unassigned",
            amount_nano=amount,
            net_nano=0,
            what=entry.what,
            fix=entry.fix,
            cells=len(those),
            where=entry.where,
            lines=entry.lines,
        )
    ]


def _conclude(
    grid: Grid, keys: AccountNames, context: Context, cells: Sequence[Cell], findings: Sequence[BillFinding],
    bill: Sequence[BillLine], settled: tuple[Settlement, ...],
) -> Reconciliation:  # fmt: skip
    remainder: dict[str, int] = defaultdict(int)
    for cell in cells:
        for share in cell.shares:
            remainder[share.cause] += abs(share.amount_nano)
    remainder["unassigned"] += sum(entry.amount_nano for entry in findings if entry.cause == "unassigned")
    for entry in findings:
        if entry.cause == "time_zone":
            remainder["time_zone"] += entry.amount_nano
    gap = sum(abs(cell.difference_nano) for cell in cells)
    whole = sum(max(0, cell.bill_nano or 0) for cell in cells)
    catch_all = remainder.get("unassigned", 0) + remainder.get("unknown", 0) + remainder.get("rounding", 0)
    ruling, reasons = verdict.judge(
        cells=cells, whole=whole, gap=gap, catch_all=catch_all, findings=findings, grid=grid, keys=keys, bill=bill
    )
    missing = verdict.evidence_missing(findings=findings, grid=grid, keys=keys, bill=bill, whole=whole)
    return Reconciliation(
        provider=context.provider, since=context.since, until=context.until, zone=context.zone, grain=grid.grain,
        bill_nano=whole, ledger_nano=sum(cell.ledger_nano or 0 for cell in cells), gap_nano=gap,
        named_nano=gap - sum(abs(_unknown(cell.shares)) for cell in cells), catch_all_nano=catch_all,
        remainder={name: amount for name, amount in sorted(remainder.items()) if amount}, cells=tuple(cells),
        findings=tuple(findings), settlements=settled, verdict=ruling, reasons=tuple(reasons),
        missing=tuple(missing),
    )  # fmt: skip


def _unknown(shares: Iterable[CauseShare]) -> int:
    return sum(share.amount_nano for share in shares if share.cause == "unknown")
