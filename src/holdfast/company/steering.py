"""What the company's owners of budgets and models do, through the product, each on its day: set budgets and what happens when they
brake, ask for more and decide, say which models may do a task, try a cheaper one.

What looks now and then by itself, in real seconds, would see every third simulated week; so it is stopped while days are
simulated, and looks every evening instead.
"""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any, Final

import yaml  # type: ignore[import-untyped]

from holdfast.company import brake
from holdfast.company.files import read
from holdfast.company.office import FINOPS, PLATFORM
from holdfast.company.plants import PlantedExperiment, Plants
from holdfast.engines.port import Engine
from holdfast.governance.app import Governance
from holdfast.governance.budgets.alerts.model import Alert
from holdfast.governance.budgets.definitions import BudgetTerms
from holdfast.governance.budgets.outlook import outlook
from holdfast.governance.budgets.requests import Requester, Wish
from holdfast.governance.ledger.agent_usage import AgentUsage
from holdfast.governance.outcomes.feed import OutcomeFeed
from holdfast.governance.routing.experiment import ExperimentRequest

TENANT: Final = "default"


class Steering:
    """See the module.

    Args:
        governance: of the company's server, running.
        engine: where its sessions are.
        seed: the experiments' draws follow from it.
    """

    def __init__(self, plants: Plants, governance: Governance, engine: Engine, seed: int) -> None:
        self._plants, self._governance, self._seed = plants, governance, seed
        self._usage = AgentUsage(engine, governance.ledger)
        self._outcomes = OutcomeFeed(engine, governance.store, governance.clock.wall_ms)
        self._request, self._tells = "", True
        self.ends: dict[str, str] = {}

    async def open(self) -> None:
        """The first day."""
        await self._governance.routing.stop()
        if self._governance.alerts is not None:
            await self._governance.alerts.stop()
        desk = self._governance.budget_desk
        await desk.import_file(TENANT, self._budgets(), FINOPS)
        for workflow, policy in brake.POLICIES.items():
            await desk.brake(TENANT, workflow, policy, brake.WAIT_S, FINOPS)
        await self._governance.routing.set_document(yaml.safe_load(read("routing.yaml")), by=PLATFORM, tenant=TENANT)

    def _budgets(self) -> bytes:
        file = yaml.safe_load(read("budgets.yaml"))
        for one in file["budgets"]:
            if one["name"] == self._plants.overspend.budget:
                one["usd"] = self._plants.overspend.usd
        text: str = yaml.safe_dump(file)
        return text.encode()

    async def morning(self, day: datetime.date) -> None:
        """What is done on a day before the work begins."""
        if self._request:  # yesterday evening
            await self._decide(self._request, "denied", "First we find out what has changed since August.")
            self._request = ""
        for one in (self._plants.returned, self._plants.running):
            if day == one.since:
                await self._try(one)
        wrong, desk = self._plants.wrong_point, self._governance.budget_desk
        if day == wrong.day:
            await desk.set(TENANT, wrong.budget, BudgetTerms(usd=wrong.usd), FINOPS)
        if day == wrong.raised:
            await self._decide(
                await self._ask(PLATFORM, wrong.budget, wrong.to_usd, "The point is in the wrong place since Tuesday."),
                "approved", "So it is. Sorry.",
            )  # fmt: skip

    async def _try(self, one: PlantedExperiment) -> None:
        request = ExperimentRequest(
            name=one.name, route=one.workflow, cheap=one.cheaper, share=one.share, shadow_share=1.0, shadows=one.shadows
        )
        ident = f"x-{one.name}-{self._seed}"
        await self._governance.routing.begin(request, by=PLATFORM, tenant=TENANT, ident=ident)

    async def evening(self, day: datetime.date) -> None:
        """What the product looks at now and then, and what is done when it tells of the budget that will not last."""
        await self.settled()
        await self._governance.routing.beat()
        await self._note_ends(day)
        watch = self._governance.alerts
        for alert in await watch.look() if watch is not None else ():
            await self._hear(alert, day)

    async def settled(self) -> None:
        """Wait until every call is on record, and everything that was said of it; what was read before, reading changes nothing."""
        await self._governance.gateway.settled()
        await self._usage.read()
        await self._outcomes.read()

    async def _note_ends(self, day: datetime.date) -> None:
        for one in await self._governance.routing.experiments(TENANT):
            if not one.running:
                self.ends.setdefault(one.name, f"{one.state} {day}")

    async def _hear(self, alert: Alert, day: datetime.date) -> None:
        """Told that the budget may not last, the FinOps lead looks at the forecast, and asks its payer for more, once."""
        plant = self._plants.overspend
        if not self._tells or alert.facts.get("name") != plant.budget or not plant.hold(day):
            return
        (found,) = (await self._forecasts(alert.budget))["forecasts"]
        if found["unknown"] or found["p50_nano"] <= found["account"]["budget"]["cap_nano"]:
            return
        low, high = _usd(found["p10_usd"]), _usd(found["p90_usd"])
        words = f"Forecast of {day}: ${low} to ${high} by the end of the month (P10 to P90)."
        self._request, self._tells = await self._ask(FINOPS, plant.budget, high, words), False

    async def _forecasts(self, budget: str) -> dict[str, Any]:
        return await outlook(self._governance.budgets, self._governance.organisation, TENANT, budget)

    async def _ask(self, by: str, budget: str, to_usd: str, why: str) -> str:
        wish = Wish(budget=budget, to_usd=to_usd, why=why)
        found = await self._governance.budget_desk.ask(Requester(by, TENANT), wish)
        return str(found["request"]["id"])

    async def _decide(self, request: str, decision: str, note: str) -> None:
        """As the head of the cost centre that pays."""
        found = await self._governance.budget_desk.requests(Requester(FINOPS, TENANT))
        (decider,) = (one["decider"] for one in found["requests"] if one["id"] == request)
        await self._governance.budget_desk.decide(Requester(decider, TENANT), request, decision, note)

    async def close(self) -> None:
        """From now on the product looks by itself again."""
        await self._governance.routing.start()
        if self._governance.alerts is not None:
            self._governance.alerts.start()


def _usd(text: str) -> str:
    """Dollars and cents of a decimal text."""
    return f"{Decimal(text):.2f}"
