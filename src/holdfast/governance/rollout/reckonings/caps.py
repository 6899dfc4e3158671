"""The budgets that cover a workflow: who agreed to each, and a replay of what it came to, window by window.

The replay adds up the ledger's rows again, which are sealed and only grow, in the windows of the budget. The table of
accounts, which is what refuses calls, is no evidence of itself: who can write in it could make any cap look held. So both are
held against each other, and a difference makes the gate unknown. What attempts held in the past is kept nowhere; what they
came to is in the ledger, and what is held now counts in the window that is open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection

from holdfast.governance import limits
from holdfast.governance.budgets import definition_store, recounting, request_store, store, windows
from holdfast.governance.budgets.definition_store import BudgetChange
from holdfast.governance.budgets.model import Budget
from holdfast.governance.budgets.outlook import of_account
from holdfast.governance.budgets.refusals import was_false
from holdfast.governance.budgets.service import Budgets
from holdfast.governance.ledger.history import costs_of
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.rollout.model import DAY_MS, GateScope
from holdfast.governance.rollout.reckonings.memo import RoundMemo

REPLAY_MS: Final = 92 * DAY_MS
"""Back from now, in which windows are replayed."""
_TERMS: Final = ("cap_nano", "strength", "mode", "approved_by", "approved_ms", "scope", "each", "span")


class Replay(NamedTuple):
    """What a cap came to.

    Attributes:
        windows: how many were added up.
        most_nano: of the fullest one; ``over_nano``: by how much any one passed what it was bound to, 0 for none.
        differences: buckets of which the accounts say something else.
        p90_nano: of the forecast for the window that is open; None where there is none.
    """

    windows: int = 0
    most_nano: int = 0
    over_nano: int = 0
    differences: int = 0
    p90_nano: int | None = None


class CapRule(NamedTuple):
    """What a budget bound from a moment on, Unix ms: nano-USD, or None while it refused nothing."""

    at_ms: int
    cap_nano: int | None


class CapReplay:
    """Reckons the caps of a workflow.

    Args:
        budgets: of the store.
        organisation: whose teams and days they are.
    """

    def __init__(self, budgets: Budgets, organisation: Organisation) -> None:
        self._budgets = budgets
        self._organisation = organisation
        self._memo: RoundMemo[Replay] = RoundMemo()

    async def __call__(self, scope: GateScope) -> tuple[Sequence[Mapping[str, Any]], Mapping[str, int | str]]:
        """A row for each budget that covers the workflow, then one of what refusals came to that nobody had judged."""
        await self._budgets.refresh()
        covering = [one for one in self._budgets.definitions(scope.tenant) if self._covers(one, scope)]
        rows: list[dict[str, Any]] = []
        for budget in sorted(covering, key=lambda one: one.id):
            replay = Replay()
            if not budget.each:
                replay = await self._memo.get(
                    (budget.id, budget.set_ms), scope.as_of_ms, lambda one=budget: self._replay(one, scope)  # type: ignore[misc]
                )  # fmt: skip
            changes = await self._changes(budget)
            rows.append({"kind": "budget", **_facts(budget, changes), **replay._asdict()})
        false, unsettled = await self._budgets.store.read(lambda connection: _judged(connection, scope))
        rows.append({"kind": "judged", "false": false, "open": unsettled})
        return rows, {"replay_ms": REPLAY_MS}

    def _covers(self, budget: Budget, scope: GateScope) -> bool:
        """Whether all that the workflow spends counts on it, in one cap or in one for each run. What the organisation has no
        more is nobody's by name: no budget of the workflow, or of its team, would refuse it."""
        tree = self._organisation.tree(scope.tenant)
        unit = tree.find("workflow", scope.workflow, scope.as_of_ms)
        teams = {one.name for one in tree.teams(unit.parent, scope.as_of_ms)} if unit is not None else set()
        names = {"workflow": {scope.workflow} if unit is not None else set(), "team": teams}
        return budget.each in ("", "run") and all(
            level in names and name in names[level] for level, name in budget.scope.items()
        )

    async def _changes(self, budget: Budget) -> list[BudgetChange]:
        found = await self._budgets.store.read(
            lambda connection: definition_store.changes_of(connection, budget.tenant, budget.id, limits.BUDGET_ROWS)
        )
        return _in_order(found)

    async def _replay(self, budget: Budget, scope: GateScope) -> Replay:
        rules = _rules(budget, await self._changes(budget))
        replay = await self._budgets.store.read(
            lambda connection: self._replayed(connection, budget, rules, scope.as_of_ms)
        )
        accounts = await self._budgets.accounts(scope.tenant, budget.id)
        forecast = await of_account(self._budgets, self._organisation, accounts[0]) if accounts else None
        return replay._replace(p90_nano=None if forecast is None else forecast.p90_nano)

    def _replayed(self, connection: Connection, budget: Budget, rules: Sequence[CapRule], now_ms: int) -> Replay:
        differences = len(recounting.differences(connection, budget, self._organisation, now_ms))
        binding_ms = _binding_since(rules)
        if binding_ms is None:
            return Replay(differences=differences)
        opens_ms = self._window(budget, max(binding_ms, now_ms - REPLAY_MS)).opens_ms
        found = recounting.spent_by_bucket(connection, budget, self._organisation, opens_ms)
        before = recounting.spent_by_bucket(connection, budget, self._organisation, opens_ms, binding_ms)
        sums = {bucket: nano for (_, bucket), nano in found.items()}
        open_bucket = windows.bucket_of(budget, now_ms, self._organisation.zone(budget.tenant, now_ms))
        reserved = store.read_held(connection, budget.id, [""]).get("", store.HeldMoney()).nano
        sums[open_bucket] = sums.get(open_bucket, 0) + reserved
        totals = [self._total(budget, bucket, sums) for bucket in sorted(sums)]
        already = {bucket: nano for (_, bucket), nano in before.items()}
        over = 0
        for window, nano in totals:
            if budget.span == "rolling" and window.opens_ms < binding_ms:
                continue  # a part of it was spent before anything was bound
            bound = max(_bound(rules, window), already.get(window.opens_ms, 0))
            over = max(over, nano - bound)
        return Replay(len(totals), max((nano for _, nano in totals), default=0), over, differences)

    def _window(self, budget: Budget, at_ms: int) -> windows.Window:
        return windows.window_of(budget, at_ms, self._organisation.zone(budget.tenant, at_ms))

    def _total(self, budget: Budget, bucket: int, sums: Mapping[int, int]) -> tuple[windows.Window, int]:
        """The window that a bucket is the last of, and what was spent in it."""
        if budget.span != "rolling":
            return self._window(budget, bucket), sums[bucket]
        end_ms = bucket + windows.bucket_width_ms(budget)
        opens_ms = self._window(budget, end_ms - 1).opens_ms
        inside = sum(nano for start, nano in sums.items() if opens_ms <= start <= bucket)
        return windows.Window(opens_ms, end_ms), inside


def _in_order(found: Sequence[BudgetChange]) -> list[BudgetChange]:
    """Changes as they followed each other, those of one millisecond too: each says what there was before it."""
    left, ordered = sorted(found, key=lambda one: one.at_ms), list[BudgetChange]()
    while left:
        last = ordered[-1].after if ordered else None
        same = [one for one in left if one.at_ms == left[0].at_ms]
        following = [one for one in same if one.before == last] or same
        ordered.append(next((one for one in following if one.after == one.before), following[0]))
        left.remove(ordered[-1])
    return ordered


def _rules(budget: Budget, changes: Sequence[BudgetChange]) -> list[CapRule]:
    """What it bound, from when on; where no change is on record, from its beginning as it stands."""
    found = []
    for change in changes:
        after = change.after or {}
        binds = after.get("strength") == "hard" and after.get("mode") == "enforce" and after.get("ended_ms") is None
        found.append(CapRule(change.at_ms, int(after["cap_nano"]) if binds else None))
    return found or [CapRule(budget.since_ms, budget.cap_nano if budget.brakes else None)]


def _binding_since(rules: Sequence[CapRule]) -> int | None:
    """Since when it binds without a break; None where it does not."""
    since: int | None = None
    for rule in rules:
        since = None if rule.cap_nano is None else rule.at_ms if since is None else since
    return since


def _bound(rules: Sequence[CapRule], window: windows.Window) -> int:
    """The most that might be spent in a window: the highest cap that held in it."""
    before = [rule for rule in rules if rule.at_ms <= window.opens_ms][-1:]
    inside = [
        rule
        for rule in rules
        if window.opens_ms < rule.at_ms and (window.closes_ms is None or rule.at_ms < window.closes_ms)
    ]
    return max((rule.cap_nano or 0 for rule in (*before, *inside)), default=0)


def _facts(budget: Budget, changes: Sequence[BudgetChange]) -> dict[str, Any]:
    """A budget as evidence. ``recorded_by``: who put its approval on record; ``on_record``: whether its last change says the
    same of it as its row does."""
    agreed = [
        one
        for one in changes
        if budget.approved_by
        and one.at_ms == budget.approved_ms
        and (one.after or {}).get("approved_by") == budget.approved_by
    ]
    last: Mapping[str, Any] = (changes[-1].after or {}) if changes else {}
    facts = msgspec.to_builtins(budget)
    return {
        "id": budget.id, "name": budget.name, "each": budget.each, "cap_nano": budget.cap_nano, "span": budget.span,
        "strength": budget.strength, "mode": budget.mode, "payer": budget.payer, "decider": budget.decider,
        "approved_by": budget.approved_by, "approved_ms": budget.approved_ms,
        "recorded_by": agreed[-1].by if agreed else "",
        "on_record": int(all(last.get(name) == facts[name] for name in _TERMS)),
    }  # fmt: skip


def _judged(connection: Connection, scope: GateScope) -> tuple[int, int]:
    """Of refusals that nobody has judged: how many were false, and how many cannot be told yet."""
    some = [
        one
        for one in request_store.unjudged(connection, scope.tenant, limits.BUDGET_JUDGED)
        if one.workflow == scope.workflow and one.mode == "enforce" and scope.since_ms <= one.at_ms <= scope.as_of_ms
    ]
    costs = costs_of(connection, [attempt for one in some for attempt in one.in_flight])
    verdicts = [was_false(one, costs) for one in some]
    return verdicts.count(True), verdicts.count(None)
