"""What people ask of budgets: to set and end them, to see their money, to ask the payer for more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import yaml  # type: ignore[import-untyped]
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from holdfast.errors import Refused, Unavailable
from holdfast.governance import limits
from holdfast.governance.budgets import definition_store, request_store, requests, shown
from holdfast.governance.budgets.definitions import (
    BudgetTerms,
    Setting,
    UnitNames,
    brake_rule,
    check_name,
    counted_otherwise,
    defined,
    run_ceiling,
)
from holdfast.governance.budgets.model import Budget, BudgetAccount, RaiseRequest, RequestState
from holdfast.governance.budgets.places import described, rows_of
from holdfast.governance.budgets.port import RadiusSource
from holdfast.governance.budgets.refusals import was_false
from holdfast.governance.budgets.registry import BudgetRegistry, Changing, T
from holdfast.governance.budgets.requests import Requester, Wish
from holdfast.governance.budgets.store import read_brakes
from holdfast.governance.ledger.history import costs_of
from holdfast.governance.money import show as usd
from holdfast.governance.organisation.document import PlainLoader
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.store.changes import count_change

DOMAIN: Final = "budget_requests"
"""Of ``store/changes.py``: moves whenever a request is made or decided."""


class NamedTerms(BudgetTerms, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A budget in a file: its name, and its terms."""

    name: str


class BudgetFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of budgets."""

    budgets: tuple[NamedTerms, ...]


class BudgetDesk:
    """Answers people.

    Args:
        registry: of the budgets.
        organisation: whose they are.
        radii: who says what workflows could do wrong; None for nobody.
    """

    def __init__(self, registry: BudgetRegistry, organisation: Organisation, radii: RadiusSource | None = None) -> None:
        self.registry = registry
        self.organisation = organisation
        self._radii = radii

    # --- definitions
    async def set(self, tenant: str, name: str, terms: BudgetTerms, by: str) -> dict[str, Any]:
        """Make a budget, or change what is named of one that there is.

        Returns:
            ``budget`` as it stands now, its ceiling for each run if that was asked for (``run``), and ``notes``.

        Raises:
            Refused: ``budget.invalid``, naming the field.
        """
        check_name(name)
        terms, units, setting = await self._prepared(tenant, terms, by)

        def work(connection: Connection) -> tuple[dict[str, Any], Sequence[Budget]]:
            return _put(connection, name, terms, units, setting)

        return await self._changed(work)

    async def import_file(self, tenant: str, data: bytes, by: str) -> list[dict[str, Any]]:
        """Set every budget of a YAML file, or none of them. Raises ``budget.invalid``, naming budget and field."""
        try:
            file = msgspec.convert(yaml.load(data, Loader=PlainLoader), BudgetFile, strict=False)
        except (yaml.YAMLError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
            fix = "A file is `budgets:` and a list, each with a name, usd and what `holdfast budget set` takes."
            raise Refused("budget.invalid", f"the file: {str(error).splitlines()[0]:.200}", fix=fix) from None
        prepared = []
        for one in file.budgets:
            check_name(one.name)
            prepared.append((one.name, *await self._prepared(tenant, one, by)))

        def work(connection: Connection) -> tuple[list[dict[str, Any]], Sequence[Budget]]:
            answers, changed = [], list[Budget]()
            for name, terms, units, setting in prepared:
                try:
                    answer, some = _put(connection, name, terms, units, setting)
                except Refused as error:
                    raise Refused("budget.invalid", f"{name}: {error.detail}", fix=error.fix) from None
                answers.append(answer)
                changed += some
            return answers, changed

        return await self._changed(work)

    async def end(self, tenant: str, name_or_id: str, by: str) -> dict[str, Any]:
        """End a budget: it bounds nothing any more, and its name is free. Raises ``budget.not_found``."""
        now_ms = self._now_ms()

        def work(connection: Connection) -> tuple[dict[str, Any], Sequence[Budget]]:
            before = _running(connection, tenant, name_or_id)
            ended = msgspec.structs.replace(before, ended_ms=now_ms, set_by=by, set_ms=now_ms)
            definition_store.put(connection, ended, "ended", by, now_ms, before)
            return {"budget": shown.of_budget(ended)}, ()

        return await self.registry.change(work)

    async def brake(self, tenant: str, workflow: str, policy: str, wait_s: int, by: str) -> dict[str, Any]:
        """Say what becomes of a workflow's running answers that get no more money. Raises ``budget.invalid``."""
        setting = Setting(by, self._now_ms(), "", tenant)
        rule = brake_rule(workflow, policy, wait_s, self._described(tenant), setting)

        def work(connection: Connection) -> tuple[dict[str, Any], Sequence[Budget]]:
            definition_store.put_brake(connection, tenant, rule)
            return {"brake": msgspec.to_builtins(rule)}, ()

        return await self.registry.change(work)

    async def brakes(self, tenant: str) -> dict[str, Any]:
        """The rules that were said; every other workflow's answers end with an error."""
        found = await self.registry.store.read(read_brakes)
        return {"brakes": [msgspec.to_builtins(found[key]) for key in sorted(found) if key[0] == tenant]}

    # --- money
    async def list(self, tenant: str, limit: int = limits.BUDGET_ROWS) -> dict[str, Any]:
        """Every budget with its money now: one line for each of its accounts, those that spent most where they are many, or one
        without any spending yet. Every budget has a line."""
        budgets = self.registry.definitions(tenant)
        found = await self.registry.accounts(tenant, "", limit)
        if len(found) >= limit:  # a budget of every run hides no other one
            share = max(1, limit // max(1, len(budgets)))
            parts = [await self.registry.accounts(tenant, budget.id, share) for budget in budgets[:limit]]
            found = [account for part in parts for account in part][:limit]
        seen = {one.budget.id for one in found}
        found += [BudgetAccount(budget) for budget in budgets if budget.id not in seen][: max(0, limit - len(found))]
        lines = [self._shown(one) for one in found]
        return {"accounts": lines, "now_ms": self._now_ms()}

    def _shown(self, account: BudgetAccount) -> dict[str, Any]:
        tenant, now_ms = account.budget.tenant, self._now_ms()
        rows = rows_of(account, self.organisation.tree(tenant), self.organisation.zone(tenant), now_ms)
        return shown.of_account(account) | {"rows": rows}

    async def show(self, tenant: str, name_or_id: str) -> dict[str, Any]:
        """One budget, its money, and what was changed of it. Raises ``budget.not_found``."""
        budget, changes = await self.registry.store.read(
            lambda connection: _with_changes(connection, tenant, name_or_id)
        )
        running = budget.ended_ms is None
        accounts = await self.registry.accounts(tenant, budget.id, limits.BUDGET_ROWS) if running else []
        return {
            "budget": shown.of_budget(budget), "accounts": [self._shown(one) for one in accounts],
            "changes": msgspec.to_builtins(changes), "now_ms": self._now_ms(),
        }  # fmt: skip

    async def reservations(self, tenant: str) -> dict[str, Any]:
        """What attempts under way hold, the oldest first."""
        names = {one.id: one.name for one in self.registry.definitions(tenant)}
        lines = await self.registry.reservations(tenant)
        shown_lines = [one._asdict() | {"name": names.get(one.budget, ""), "usd": usd(one.nano)} for one in lines]
        return {"reservations": shown_lines}

    async def refusals(
        self, tenant: str, name_or_id: str = "", since_ms: int = 0, limit: int = limits.BUDGET_ROWS
    ) -> dict[str, Any]:
        """What did not fit: ``reasons`` with their numbers, and ``refusals``; false ones first in both, and what was only
        observed beside what was refused."""
        budget = await self.id_of(tenant, name_or_id)
        await self._judge(tenant, budget)

        def read(connection: Connection) -> tuple[Any, Any, Any]:
            found = request_store.list_refusals(connection, tenant, limit, budget, since_ms)
            return found, request_store.reasons(connection, tenant, budget, since_ms), _names(connection, found)

        found, reasons, named = await self.registry.store.read(read)
        return {"reasons": reasons, "refusals": [shown.of_refusal(one, named.get(one.budget)) for one in found]}

    async def _judge(self, tenant: str, budget: str) -> None:
        """Find out of refusals whether they were false, now that what was under way may have been settled."""

        def work(connection: Connection) -> dict[str, bool]:
            open_ = request_store.unjudged(connection, tenant, limits.BUDGET_JUDGED, budget)
            costs = costs_of(connection, [attempt for one in open_ for attempt in one.in_flight])
            verdicts = {one.id: was_false(one, costs) for one in open_}
            return {ident: verdict for ident, verdict in verdicts.items() if verdict is not None}

        verdicts = await self.registry.store.read(work)
        if verdicts:
            await self.registry.store.write(lambda connection: request_store.judge(connection, verdicts))

    # --- requests
    async def ask(self, asker: Requester, wish: Wish) -> dict[str, Any]:
        """Ask the payer for more. Raises as ``requests.ask`` does."""
        requests.check_asker(asker, wish)
        now_ms = self._now_ms()

        def work(connection: Connection) -> tuple[RaiseRequest, Budget | None]:
            request = requests.ask(connection, asker, wish, now_ms)
            count_change(connection, DOMAIN)
            return request, definition_store.find(connection, asker.tenant, request.budget)

        request, budget = await self.registry.store.write(work)
        return {"request": shown.of_request(request, budget)}

    async def decide(self, asker: Requester, ident: str, state: str, note: str = "") -> dict[str, Any]:
        """Decide a request. What is approved holds when this returns. Raises as ``requests.decide`` does."""
        now_ms, decision = self._now_ms(), _state(state)

        def work(connection: Connection) -> tuple[dict[str, Any], Sequence[Budget]]:
            request, budget = requests.decide(connection, asker, ident, decision, note, now_ms)
            count_change(connection, DOMAIN)
            return {"request": shown.of_request(request, budget), "budget": shown.of_budget(budget)}, ()

        return await self.registry.change(work)

    async def radius(self, asker: Requester, ident: str) -> dict[str, Any]:
        """What the workflow could do wrong that a request concerns: the one of its budget, else the one of the run that it is
        about; ``radius`` is None where it concerns none. It is for whoever decides, or sees what is spent: for others there is no such
        request (``budget.not_found``)."""
        request, budget = await self.registry.store.read(
            lambda connection: _with_budget(connection, asker.tenant, ident)
        )
        sees = asker.may("spend") or asker.may("budget") or (budget is not None and requests.decides(asker, budget))
        if request is None or not sees:
            raise Refused(
                "budget.not_found", f"there is no request {ident!r:.80}", fix="See `holdfast budget requests`."
            )
        workflow = budget.scope.get("workflow", "") if budget is not None else ""
        found = None
        if self._radii is not None and workflow:
            found = await self._radii.of_workflow(asker.tenant, workflow, asker.rights)
        elif self._radii is not None and request.session:
            found = await self._radii.of_run(asker.tenant, request.session, request.run, asker.rights)
        return {"radius": msgspec.to_builtins(found)}

    async def requests(self, asker: Requester, state: str = "", limit: int = limits.BUDGET_ROWS) -> dict[str, Any]:
        """Requests, those that wait first: all for who may see what is spent, else one's own and those one decides."""
        if state and state != "waiting":
            _state(state)
        all_of_them = asker.may("spend") or asker.may("budget")
        deciding = [one.id for one in self.registry.definitions(asker.tenant) if requests.decides(asker, one)]
        by = None if all_of_them else asker.actor

        def read(connection: Connection) -> tuple[list[RaiseRequest], dict[str, Budget]]:
            found = request_store.list_requests(connection, asker.tenant, state, limit, by, deciding)
            return found, _names(connection, found)

        found, named = await self.registry.store.read(read)
        return {"requests": [shown.of_request(one, named.get(one.budget)) for one in found]}

    # --- parts
    async def _changed(self, work: Changing[T]) -> T:
        try:
            return await self.registry.change(work)
        except IntegrityError:  # two have made a budget of one name at once, in two processes
            raise Unavailable("store.busy", "somebody makes a budget of that name at this moment") from None

    async def _prepared(self, tenant: str, terms: BudgetTerms, by: str) -> tuple[BudgetTerms, UnitNames, Setting]:
        """The terms without a person's name, beside what they are checked against."""
        if terms.scope and terms.scope.get("user"):
            pseudonym = await self.organisation.pseudonym(terms.scope["user"], tenant)
            terms = msgspec.structs.replace(terms, scope=terms.scope | {"user": pseudonym})
        setting = Setting(by, self._now_ms(), definition_store.new_id("b"), tenant)
        return terms, self._described(tenant), setting

    def _described(self, tenant: str) -> UnitNames:
        return described(self.organisation.tree(tenant), self._now_ms())

    async def id_of(self, tenant: str, name_or_id: str) -> str:
        """The id of a budget; empty for an empty name. Raises ``budget.not_found``."""
        if not name_or_id:
            return ""
        budget, _ = await self.registry.store.read(lambda connection: _with_changes(connection, tenant, name_or_id))
        return budget.id

    def _now_ms(self) -> int:
        return self.registry.clock.wall_ms()


def _with_budget(connection: Connection, tenant: str, ident: str) -> tuple[RaiseRequest | None, Budget | None]:
    request = request_store.find_request(connection, tenant, ident)
    return request, None if request is None else definition_store.find(connection, tenant, request.budget)


def _put(
    connection: Connection, name: str, terms: BudgetTerms, units: UnitNames, setting: Setting
) -> tuple[dict[str, Any], list[Budget]]:
    before, budget, changed = _put_one(connection, name, terms, units, setting)
    answer: dict[str, Any] = {"budget": shown.of_budget(budget), "run": None, "notes": shown.notes_of(budget, before)}
    if terms.run_usd is not None:
        own_name, own = run_ceiling(budget, terms.run_usd)
        own = msgspec.structs.replace(own, approved_by=terms.approved_by)
        _, ceiling, more = _put_one(connection, own_name, own, units, setting._replace(id=f"{setting.id}r"))
        answer["run"] = shown.of_budget(ceiling)
        changed += more
    return answer, changed


def _put_one(
    connection: Connection, name: str, terms: BudgetTerms, units: UnitNames, setting: Setting
) -> tuple[Budget | None, Budget, list[Budget]]:
    before = definition_store.find(connection, setting.tenant, name)
    if before is not None and before.ended_ms is not None:
        raise Refused("budget.not_found", f"the budget {name!r:.80} has ended")
    if before is None and definition_store.count(connection, setting.tenant) >= limits.BUDGETS:
        raise Refused("budget.invalid", f"there are {limits.BUDGETS:,} budgets already; end some")
    budget = defined(name, terms, before, units, setting)
    what = "made" if before is None else "changed"
    definition_store.put(connection, budget, what, setting.by, setting.now_ms, before)
    return before, budget, [budget] if counted_otherwise(before, budget) else []


def _running(connection: Connection, tenant: str, name_or_id: str) -> Budget:
    budget, _ = _with_changes(connection, tenant, name_or_id)
    if budget.ended_ms is not None:
        raise Refused("budget.not_found", f"the budget {name_or_id!r:.80} has ended already")
    return budget


def _with_changes(
    connection: Connection, tenant: str, name_or_id: str
) -> tuple[Budget, list[definition_store.BudgetChange]]:
    budget = definition_store.find(connection, tenant, name_or_id)
    if budget is None:
        raise Refused("budget.not_found", f"there is no budget {name_or_id!r:.80}")
    return budget, definition_store.changes_of(connection, tenant, budget.id, limits.BUDGET_ROWS)


def _names(connection: Connection, lines: Sequence[Any]) -> dict[str, Budget]:
    return definition_store.by_ids(connection, {one.budget for one in lines})


def _state(state: str) -> RequestState:
    for decision in requests.DECISIONS:
        if state == decision:
            return decision
    raise Refused("budget.invalid", f"decision {state!r:.20}: {', '.join(requests.DECISIONS)}")
