"""The costliest tenth of sessions beside its share of outcomes, by workflow and task: where money goes and nothing comes
of it. Nothing here is of a person: groups of fewer than five people are not shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from holdfast.governance.ledger.bills.compare.gather import bill_amount
from holdfast.governance.ledger.bills.waste.model import GROUP, TENTH_LEAST, CostliestTenth, Outcomes, SessionWaste
from holdfast.governance.ledger.model import Row

_SHOWN = 10


class Tenths:
    """Costs of sessions by workflow and task."""

    def __init__(self, outcomes: Outcomes | None) -> None:
        self._outcomes = outcomes
        self._sessions: dict[tuple[str, str], dict[str, tuple[int, int]]] = defaultdict(dict)
        self._people: dict[tuple[str, str], set[str]] = defaultdict(set)

    def add(self, session: str, rows: Sequence[Row]) -> None:
        """Count a session where it belongs: by what most of its money went to."""
        costs: dict[tuple[str, str], int] = defaultdict(int)
        for row in rows:
            costs[row.workflow, row.task] += bill_amount(row) or 0
        if not any(costs.values()):
            return
        group = max(costs, key=lambda at: (costs[at], at))
        self._sessions[group][session] = sum(costs.values()), len(rows)
        self._people[group] |= {row.person for row in rows if row.person}

    def result(self) -> tuple[CostliestTenth, ...]:
        """One for each workflow and task, costliest first."""
        found = [self._group(workflow, task) for workflow, task in self._sessions]
        return tuple(sorted(found, key=lambda tenth: (-tenth.cost_nano, tenth.workflow, tenth.task)))

    def _group(self, workflow: str, task: str) -> CostliestTenth:
        sessions = self._sessions[workflow, task]
        if len(self._people[workflow, task]) < GROUP:
            return CostliestTenth(workflow=workflow, task=task, withheld=f"fewer than {GROUP} people")
        if len(sessions) < TENTH_LEAST:
            return CostliestTenth(workflow=workflow, task=task, withheld=f"fewer than {TENTH_LEAST} sessions")
        ordered = sorted(sessions, key=lambda name: (-sessions[name][0], name))
        tenth = ordered[: -(-len(ordered) // 10)]
        judged: dict[str, bool] = {}
        if self._outcomes is not None:
            for name in ordered:
                accepted = self._outcomes.accepted(name)
                if accepted is not None:
                    judged[name] = accepted
        return CostliestTenth(
            workflow=workflow,
            task=task,
            sessions=len(ordered),
            tenth=len(tenth),
            cost_nano=sum(cost for cost, _ in sessions.values()),
            tenth_nano=sum(sessions[name][0] for name in tenth),
            judged=len(judged),
            accepted=sum(judged.values()) if judged else None,
            tenth_accepted=sum(judged.get(name, False) for name in tenth) if judged else None,
            examples=tuple(SessionWaste(name, *sessions[name]) for name in tenth[:_SHOWN]),
        )
