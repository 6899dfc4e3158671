"""What works, or is paid for, and belongs to no workflow: each with its spend and what to do next. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Literal

import msgspec

from holdfast.governance import labels
from holdfast.governance.keys.model import KeyRow
from holdfast.governance.keys.store import Unknown
from holdfast.governance.ledger.bill_line import BillLine

SeenKind = Literal["caller", "key", "label", "model", "agent", "bill"]


class SeenLine(msgspec.Struct, frozen=True, kw_only=True):
    """Something without a workflow.

    Attributes:
        kind: a caller without a key that is known, a key, a label that names nothing declared, a model or an agent that
            somebody used without a workflow, or a line of a bill.
        name: of it; ``detail``: what else tells it apart.
        calls: of 28 days; for a bill its lines, for a caller since it came first.
        spend_nano: nano-USD of 28 days; None where nobody can know it.
        last_ms: when it was seen last; None where that is not known.
        next: what to do, as a command where there is one.
    """

    kind: SeenKind
    name: str
    detail: str = ""
    calls: int = 0
    spend_nano: int | None = None
    last_ms: int | None = None
    next: str


class SeenSpend(msgspec.Struct, frozen=True):
    """Rows of the ledger, and their cost."""

    calls: int
    spend_nano: int


def callers(some: Iterable[Unknown]) -> list[SeenLine]:
    """Those who come without a key: what they would spend is nobody's to know."""
    return [
        SeenLine(
            kind="caller", name=one.agent or "(says nothing of itself)", detail=one.fingerprint, calls=one.calls,
            last_ms=one.last_ms, next=f"holdfast keys adopt {one.fingerprint} --workflow NAME --team TEAM --task TASK",
        )
        for one in some
    ]  # fmt: skip


def keys(rows: Iterable[KeyRow], workflows: Collection[str], spend: Mapping[str, SeenSpend]) -> list[SeenLine]:
    """Keys whose label names no workflow, or none that is declared."""
    found = []
    for row in rows:
        name = row.labels.get(labels.WORKFLOW, "")
        if row.state != "active" or (name and name in workflows):
            continue
        used = spend.get(row.id, SeenSpend(0, 0))
        following = f"declare workflow {name}: holdfast workflow init {name}" if name else (
            f"holdfast keys name {row.id} --workflow NAME"
        )  # fmt: skip
        found.append(
            SeenLine(
                kind="key", name=row.name or row.id, detail=row.id, calls=used.calls, spend_nano=used.spend_nano,
                last_ms=row.used_ms, next=following,
            )
        )  # fmt: skip
    return found


def names(kind: SeenKind, spend: Mapping[str, SeenSpend], last: Mapping[str, int] | None = None) -> list[SeenLine]:
    """Labels, models or agents that stand in rows of no workflow."""
    following = {
        "label": "declare it: holdfast workflow init {}",
        "model": "holdfast ledger spend --by key --filter model={} --filter workflow=unassigned",
        "agent": "declare the workflow that it works for: holdfast workflow init NAME --agent {}",
    }
    return [
        SeenLine(
            kind=kind, name=name, calls=one.calls, spend_nano=one.spend_nano, last_ms=(last or {}).get(name),
            next=following[kind].format(name),
        )
        for name, one in spend.items()
        if name
    ]  # fmt: skip


def bills(lines: Iterable[BillLine], mine: Collection[str]) -> list[SeenLine]:
    """What providers bill under a key, or else an account, that has no name here."""
    amounts: dict[tuple[str, str], list[int | None]] = defaultdict(list)
    for line in lines:
        name = line.key or line.account
        if line.kind in ("usage", "seat") and name not in mine:
            amounts[line.provider, name].append(line.amount_nano)
    return [
        SeenLine(
            kind="bill", name=name or "(the bill does not say)", detail=provider, calls=len(some),
            spend_nano=None if all(one is None for one in some) else sum(one or 0 for one in some),
            next="ask who holds it at the provider, and give it to a workflow: holdfast keys create --name "
            f"{name or 'NAME'}",
        )
        for (provider, name), some in amounts.items()
    ]  # fmt: skip


def ranked(lines: Iterable[SeenLine], most: int) -> list[SeenLine]:
    """The costliest first; what nobody knows the cost of after what costs something, by how often it was seen."""
    return sorted(lines, key=lambda one: (-(one.spend_nano or 0), -one.calls, one.kind, one.name))[:most]
