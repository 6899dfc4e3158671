"""One session's costs as they came about: runs and the runs they started, calls of each, attempts of each call. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from holdfast.governance.ledger.figures import Amount, csv_lines
from holdfast.governance.ledger.model import Row
from holdfast.governance.ledger.spend import MONEY
from holdfast.providers.billing.model import INPUT as _INPUT
from holdfast.providers.billing.model import OUTPUT as _OUTPUT


class RunTimes(msgspec.Struct, frozen=True, kw_only=True):
    """A run as its session has it; times are Unix ms, None for what has not happened."""

    id: str
    agent: str = ""
    parent: str = ""
    status: str = ""
    attempts: int = 0
    queued_ms: int = 0
    started_ms: int | None = None
    ended_ms: int | None = None


class SessionRuns(Protocol):
    """Who knows the runs of sessions."""

    async def runs(self, tenant: str, session: str) -> Sequence[RunTimes]:
        """The runs of a session in the order in which they were queued; none for a session that is not there."""


class TreeCost(msgspec.Struct, frozen=True):
    """Sums over rows; ``unpriced`` of them have no cost, and no sum of money counts them."""

    rows: int = 0
    unpriced: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    list_nano: int = 0
    contracted_nano: int = 0
    effective_nano: int = 0
    billed_nano: int = 0

    def plus(self, other: TreeCost) -> TreeCost:
        """The sum."""
        return TreeCost(*(getattr(self, name) + getattr(other, name) for name in self.__struct_fields__))


class CostNode(msgspec.Struct, frozen=True, kw_only=True):
    """A run, a call, an attempt, or a further model's part in one.

    Attributes:
        name: of the agent or of the model that served.
        status: of the run, or how the attempt ended; ``unknown`` for a run that its session does not have any more.
        cost: of everything below it, its own included.
        waiting_ms: from when a run was queued until it was begun; None where that is not known or has not happened.
        took_ms: a run's time from its beginning to its end, an attempt's until it ended; None as above.
        retries: further attempts: of a run after its first, of a call at other upstreams or again.
        reason: why it did not end as it should.
        row: id of the row, for an attempt.
    """

    kind: Literal["run", "call", "attempt", "part"]
    id: str
    name: str = ""
    status: str = ""
    cost: TreeCost
    waiting_ms: int | None = None
    took_ms: int | None = None
    retries: int = 0
    reason: str = ""
    row: str = ""
    children: tuple[CostNode, ...] = ()


class CostTree(msgspec.Struct, frozen=True):
    """The tree of a session. Costs of nodes at one level sum to the cost above them."""

    session: str
    cost: TreeCost
    nodes: tuple[CostNode, ...]

    def csv(self) -> str:
        """As CSV: a line for each node, depth first."""
        head = ("depth", "kind", "id", "name", "status", "reason", "waiting_ms", "took_ms", "retries", *_CSV_COST)
        lines: list[Sequence[Any]] = [head]
        for depth, node in walk(self.nodes):
            cost = [
                Amount(getattr(node.cost, name)) if name in MONEY else getattr(node.cost, name)
                for name in TreeCost.__struct_fields__
            ]
            facts = (
                node.kind,
                node.id,
                node.name,
                node.status,
                node.reason,
                node.waiting_ms,
                node.took_ms,
                node.retries,
            )
            lines.append((depth, *facts, *cost))
        return csv_lines(lines)


_CSV_COST = tuple(name.replace("_nano", "_usd") for name in TreeCost.__struct_fields__)


def walk(nodes: Sequence[CostNode], depth: int = 0) -> Iterator[tuple[int, CostNode]]:
    """``(depth, node)`` of everything, parents first."""
    for node in nodes:
        yield depth, node
        yield from walk(node.children, depth + 1)


def build(session: str, rows: Iterable[Row], runs: Sequence[RunTimes]) -> CostTree:
    """The tree of a session from its rows that count and the runs it has."""
    by_run: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_run[row.run].append(row)
    facts = {run.id: run for run in runs}
    for id_, of_run in by_run.items():
        if id_ and id_ not in facts:  # its session has forgotten it, or is gone: what its rows say of it
            facts[id_] = RunTimes(id=id_, agent=of_run[0].agent, parent=of_run[0].parent_run, status="unknown")
    below: dict[str, list[str]] = defaultdict(list)
    roots = []
    for run in facts.values():
        if run.parent in facts and not _is_above(run.id, run.parent, facts):
            below[run.parent].append(run.id)
        else:
            roots.append(run.id)
    nodes = [*(_run(facts[root], facts, below, by_run) for root in roots), *_calls(by_run.get("", []))]
    return CostTree(session, _sum(node.cost for node in nodes), tuple(nodes))


def _is_above(run: str, other: str, facts: Mapping[str, RunTimes]) -> bool:
    """Whether a run is among those above another: then it cannot be below it."""
    seen = set()
    while other in facts and other not in seen:
        if other == run:
            return True
        seen.add(other)
        other = facts[other].parent
    return other in seen


def _run(
    run: RunTimes, facts: Mapping[str, RunTimes], below: Mapping[str, list[str]], rows: Mapping[str, list[Row]]
) -> CostNode:
    runs = [_run(facts[id_], facts, below, rows) for id_ in below.get(run.id, [])]
    children = (*_calls(rows.get(run.id, [])), *runs)
    started, ended = run.started_ms, run.ended_ms
    return CostNode(
        kind="run", id=run.id, name=run.agent, status=run.status, cost=_sum(node.cost for node in children),
        waiting_ms=None if started is None else max(0, started - run.queued_ms),
        took_ms=None if started is None or ended is None else max(0, ended - started),
        retries=max(0, run.attempts - 1), children=children,
    )  # fmt: skip


def _calls(rows: Sequence[Row]) -> list[CostNode]:
    calls: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        calls[row.call].append(row)
    return [_call(call, found) for call, found in calls.items()]


def _call(call: str, rows: Sequence[Row]) -> CostNode:
    attempts: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        attempts[row.number].append(row)
    nodes = tuple(_attempt(attempts[number]) for number in sorted(attempts))
    last = nodes[-1]
    return CostNode(
        kind="call", id=call, name=rows[0].asked or last.name, status=last.status, cost=_sum(node.cost for node in nodes),
        took_ms=sum(node.took_ms or 0 for node in nodes), retries=len(nodes) - 1, reason=last.reason, children=nodes,
    )  # fmt: skip


def _attempt(rows: Sequence[Row]) -> CostNode:
    """An attempt with the parts of further models; the first row's own part is the node's own."""
    first = next((row for row in rows if not row.parent), rows[0])
    parts = tuple(_node(row, "part", ()) for row in rows if row is not first)
    node = _node(first, "attempt", parts)
    return msgspec.structs.replace(node, cost=_sum([node.cost, *(part.cost for part in parts)]))


def _node(row: Row, kind: Literal["attempt", "part"], children: tuple[CostNode, ...]) -> CostNode:
    return CostNode(
        kind=kind, id=row.id, name=row.model, status=row.outcome, cost=_cost(row), took_ms=row.took_ms, reason=row.reason,
        row=row.id, children=children,
    )  # fmt: skip


def _cost(row: Row) -> TreeCost:
    tokens = [sum(row.counts.get(name, 0) for name in names) for names in (_INPUT, _OUTPUT)]
    return TreeCost(1, int(row.billed_nano is None), *tokens, *(getattr(row, name) or 0 for name in MONEY))


def _sum(costs: Iterable[TreeCost]) -> TreeCost:
    total = TreeCost()
    for cost in costs:
        total = total.plus(cost)
    return total
