"""What the product finds in the demo company, beside what was planted there: nothing may be missing, and nothing else found."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from holdfast.company.description import Company
from holdfast.company.plants import Plants
from holdfast.company.provider.books import PriceSheet, Used
from holdfast.company.simulation import BILLED, Simulated
from holdfast.company.steering import TENANT
from holdfast.governance.budgets.alerts import store as alert_store
from holdfast.governance.budgets.alerts.model import Alert
from holdfast.governance.budgets.requests import Requester
from holdfast.governance.ledger.bills.compare.model import Reconciliation
from holdfast.governance.ledger.bills.service import BillQuestion
from holdfast.governance.ledger.bills.waste.model import Waste, WasteItem
from holdfast.governance.ledger.reader import LedgerReader
from holdfast.governance.ledger.verify import LedgerVerifier
from holdfast.governance.limits import BILLS_SESSIONS
from holdfast.governance.outcomes.model import VERDICTS
from holdfast.governance.rollout.doors import GateStatus
from holdfast.governance.routing.report import PeelRow
from holdfast.governance.store.tables.ledger import ledger_rows
from holdfast.governance.verifier.reader import opened, recorded_plan
from holdfast.governance.verifier.verify import verify

EXPECTED = {
    "anthropic": {"netting_pair", "price", "credit", "outside", "estimated"},
    "openai": {"missed_day"},
}
BESIDE = {"alias", "rounding"}
"""What is said with them and is no difference: names, and a bill that knows no tenth of a nano-dollar."""


class Findings:
    """Asks the product, as a FinOps lead does.

    Args:
        plants: what was planted in ``company``; ``found``: what came of it. The product has seen neither.
    """

    def __init__(self, company: Company, plants: Plants, found: Simulated) -> None:
        self.company, self.plants, self.found = company, plants, found
        self.governance = found.server.governance
        self.truth = found.truth()
        self.until = company.last_day.isoformat()

    # --- the bill
    async def reconciled(self, provider: str) -> Reconciliation:
        since, until = (day.isoformat() for day in (self.plants.bill.since, self.plants.bill.until))
        keys = {one.key: one.name for one in self.company.upstreams if one.provider == provider}
        question = BillQuestion(since=since, until=until, provider=provider, keys=keys)
        return await self.governance.bills.reconcile("default", question)

    async def check_bills(self) -> int:
        """Every planted difference is found with its amount, and no other one; how many."""
        for provider in BILLED:
            found = await self.reconciled(provider)
            planted = self.truth["bills"][provider]
            amounts = {finding.cause: finding.amount_nano for finding in found.findings}
            assert set(amounts) - BESIDE == EXPECTED[provider], amounts
            assert found.bill_nano == planted["total"]
            assert found.remainder.get("unknown", 0) == 0
            if provider == "openai":
                assert amounts["missed_day"] == planted["missed_day"]
                continue
            assert amounts["netting_pair"] == 2 * planted["netting_pair"], "one cell less, another one more"
            assert amounts["credit"] == planted["credit"]
            assert amounts["outside"] == planted["outside"]
            # the bill is cut to whole nano-dollars line by line
            assert 0 <= planted["discount"] - amounts["price"] <= 1_000
            cut = planted["cut_streams"]
            (estimated,) = (finding for finding in found.findings if finding.cause == "estimated")
            assert {day for day, _, _ in estimated.where} == set(cut)
            settled = {each.day: each.amount_nano for each in found.settlements}
            assert settled == {day: cut[day] for day in settled} and settled, "what they cost, to the nano-dollar"
            # where models were exchanged as well, it cannot be told
            assert set(cut) - set(settled) <= {self.plants.netting_pair.day.isoformat()}
        return sum(map(len, EXPECTED.values()))

    # --- waste
    async def check_waste(self, books: Sequence[Used]) -> int:
        """Kinds of waste are in the planted sessions and nowhere else; how many kinds."""
        waste = await self.governance.bills.waste("default", self.company.first_day.isoformat(), self.until)
        retries = of(waste, "retries")
        assert set(retries.parts) == {"cut"}, "a refused attempt costs nothing"
        for kind, plant in (("cache", "broken_cache"), ("context", "oversized"), ("regenerated", "regenerated")):
            same(of(waste, kind), self.found.sessions[plant])
        context = of(waste, "context")
        # a class of which no request below the limit shows the price is not in it
        assert 0.95 * self._beyond(books) <= (context.amount_nano or 0) <= self._beyond(books) + context.rows
        unread = {one.session for one in of(waste, "unread").sessions}
        assert all(name.startswith(self.plants.unread.workflow) for name in unread)
        return 4

    def _beyond(self, books: Sequence[Used]) -> int:
        """What requests beyond the long-context limit cost more, by the provider's own prices and with the rate card."""
        sheet, more = PriceSheet(self.company.rates), 0
        for used in (used for used in books if used.day != self.plants.missed_day.day.isoformat()):
            rate = sheet.rate(used.model, used.day)
            if rate.above and used.counts["input"] + used.counts.get("cache_read", 0) > rate.above:
                more += sum(count * (rate.beyond[name] - rate.nano[name]) for name, count in used.counts.items())
        return more * (100 - self.plants.card.percent) // 100

    # --- change
    async def check_variance(
        self, before: tuple[datetime.date, datetime.date], after: tuple[datetime.date, datetime.date]
    ) -> None:
        """The change of cost is explained to the nano-dollar, and the model that was exchanged behind its name is seen."""
        (first, second) = (tuple(day.isoformat() for day in span) for span in (before, after))
        found = await self.governance.bills.variance("default", (first[0], first[1]), (second[0], second[1]))
        assert found.effects.total == found.after_nano - found.before_nano != 0
        replaced = self.plants.replacement
        assert (replaced.first in found.gone, replaced.then in found.new) == (True, True)

    # --- everything else
    async def check_ledger(self) -> dict[str, int]:
        """The ledger holds together, every call of an agent has its run, callers and changes are listed; sums by model."""
        report = await LedgerVerifier(self.governance.ledger, self.governance.prices.book_of).run()
        assert not report.findings
        store = self.governance.store
        agents = [w.name for w in self.company.workflows if w.agent not in ("program", "chat")]
        unnamed = select(ledger_rows.c.id).where(
            ledger_rows.c.run == "", ledger_rows.c.workflow.in_(agents), ledger_rows.c.outcome == "served",
            ledger_rows.c.session == "",
            ledger_rows.c.id.not_in(select(ledger_rows.c.corrects)), ledger_rows.c.basis != "estimated",
        )  # fmt: skip
        assert await store.read(lambda connection: connection.scalars(unnamed).all()) == []
        callers = {each.agent: each.calls for each in await self.governance.keys.unknown()}
        assert callers == dict.fromkeys(self.plants.strangers.programs, len(self.plants.strangers.days))
        approved = {change.document.get("model") for change in await self.governance.prices.changes("approved")}
        assert {self.plants.own_model.model, self.plants.price_change.model} <= approved
        assert self.found.played.refused["402"] == 1 + await self._wrong_point(), "a model without a price was refused"
        assert self.found.played.refused["401"] == sum(callers.values())
        spend = await LedgerReader(store).spend(
            "default", self.company.first_day.isoformat(), self.until, by=("model",)
        )
        return {group.values[0]: group.figures.billed_nano for group in spend.groups}

    async def check_runaway(self) -> None:
        """On the day on which a workflow ran away it is the costliest by far."""
        day = self.plants.runaway.day.isoformat()
        spend = await LedgerReader(self.governance.store).spend("default", day, day, by=("workflow",))
        costs = {group.values[0]: group.figures.rows for group in spend.groups}
        assert costs[self.plants.runaway.workflow] >= self.plants.runaway.runs
        assert max(costs, key=costs.__getitem__) == self.plants.runaway.workflow

    async def check_plan(self) -> None:
        """The plan finds the owner who left, for whom the deputy stands in; the workflow that nobody answers for; and what is
        ahead of its stage. The verifier agrees with every verdict of it."""
        await self.governance.plan.compute(TENANT)
        left = self._gate(self.plants.leaver.workflow, "6.a")
        assert left.shown == "pass" and "stands in for" in left.reason, left
        deserted = self._gate(self.plants.deserted.workflow, "6.a")
        assert deserted.shown == "fail" and "has left" in deserted.reason, deserted
        ahead = self._gate(self.plants.unread.workflow, "1.a")
        assert ahead.shown == "fail" and "measured stateful, declared chat" in ahead.reason, ahead
        red = {
            one.workflow
            for one in self.governance.plan.workflows(TENANT)
            if self._gate(one.workflow, "6.a").shown != "pass"
        }
        assert red == {self.plants.deserted.workflow}
        for one in self.company.workflows:
            if one.usage == "seated" and one.agent not in ("brake", "program"):
                assert "no person who signed in" not in self._gate(one.name, "1.a").reason
        await self._check_verifier()

    async def _check_verifier(self) -> None:
        now_ms = self.governance.clock.wall_ms()
        async with opened(self.governance.store.where) as rows:
            found = await verify(await recorded_plan(rows, TENANT, now_ms), rows, now_ms, recorded=True)
        wrong = [(line.subject, line.says, line.reason) for line in found.lines if line.outcome == "disagree"]
        assert not wrong, wrong
        assert found.count("agree") >= 5 * len(self.governance.plan.workflows(TENANT))

    def _gate(self, workflow: str, gate: str) -> GateStatus:
        return next(one for one in self.governance.plan.gates(TENANT, workflow) if one.gate == gate)

    async def _wrong_point(self) -> int:
        """How many calls were refused while the point of a cap was in the wrong place."""
        plant = self.plants.wrong_point
        found = await self.governance.budget_desk.refusals(TENANT, plant.budget)
        return sum(one["mode"] == "enforce" for one in found["refusals"])

    # --- budgets, routes and outcomes
    async def check_budgets(self) -> dict[str, Any]:
        """The overspend was told before it came, the wrong point was found and put right, and what is observed is listed; the
        request that the FinOps lead made, if any."""
        desk, plant = self.governance.budget_desk, self.plants.overspend
        (account,) = (await desk.show(TENANT, plant.budget))["accounts"]
        assert account["spent_nano"] > account["budget"]["cap_nano"], account
        budget = account["budget"]["id"]
        alerts = [one for one in await self._alerts() if one.budget == budget]
        told = {one.kind: one.at_ms for one in sorted(alerts, key=lambda one: -one.at_ms) if self._planted_month(one)}
        assert told["burn"] < told["threshold:100"], "its pace was told before its money was gone"
        names = [one.name for one in self.governance.budgets.definitions(TENANT)]
        listed = [one for name in names for one in (await desk.refusals(TENANT, name))["refusals"]]
        enforced = {one["workflow"] for one in listed if one["mode"] == "enforce"}
        observed = {one["workflow"] for one in listed if one["mode"] == "observe"}
        assert enforced == {self.plants.wrong_point.workflow}, enforced
        assert {self.plants.runaway.workflow, self.plants.oversized.workflow} <= observed, observed
        assert await self.governance.budgets.verify(TENANT) == [], "budgets and ledger are one number"
        requests = (await desk.requests(Requester("user:finops", TENANT)))["requests"]
        raised = {one["name"]: one["state"] for one in requests}
        assert raised.pop(self.plants.wrong_point.budget) == "approved"
        return next((one for one in requests if one["name"] == plant.budget), {})

    async def _alerts(self) -> Sequence[Alert]:
        return await self.governance.store.read(lambda connection: alert_store.list_alerts(connection, TENANT, 500))

    def _planted_month(self, alert: Alert) -> bool:
        day = datetime.datetime.fromtimestamp(alert.at_ms / 1_000, datetime.UTC).date()
        return self.plants.overspend.hold(day)

    async def check_routing(self) -> dict[str, PeelRow]:
        """What people said is counted, each of it once, for the model that answered; one experiment has returned by itself and
        one goes on. What could be peeled, by workflow."""
        found = await self.governance.routing.report(TENANT)
        counted = {
            f"{row.workflow} {row.model} {verdict}": getattr(row, verdict)
            for row in found.models for verdict in VERDICTS if getattr(row, verdict)
        }  # fmt: skip
        assert counted == self.found.played.verdicts
        states = {one.name: one for one in await self.governance.routing.experiments(TENANT)}
        returned = states[self.plants.returned.name]
        assert (returned.state, returned.accepted < returned.outcomes) == ("returned", True), returned
        assert states[self.plants.running.name].running
        assert set(self.found.ends) == {self.plants.returned.name}
        decisions = await self.governance.routing.decisions(TENANT, 500, {})
        routed = [one for one in decisions if one.route]
        assert routed and all(one.reason and one.served for one in routed)
        peels = {row.workflow: row for row in found.peels}
        assert not peels[self.plants.returned.workflow].clears
        return peels


def of(waste: Waste, kind: str) -> WasteItem:
    return next(item for item in waste.items if item.kind == kind)


def same(item: WasteItem, planted: set[str]) -> None:
    """It is found in the planted sessions, and in all of them as far as they are listed."""
    named = {one.session for one in item.sessions}
    assert named <= planted, (item.kind, sorted(named - planted))
    assert len(named) == min(len(planted), BILLS_SESSIONS), (item.kind, sorted(planted - named))
    assert item.amount_nano
