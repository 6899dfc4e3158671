"""A move against gate 4.b: a cap that caps nothing."""

from __future__ import annotations

from holdfast.company.cheats.move import CheatMove, MoveFacts, NaiveCheck
from holdfast.company.cheats.rehearsal import NANO, WORKFLOW, CastPlace
from holdfast.governance.budgets.definitions import BudgetTerms


class EndlessCap(CheatMove):
    """4.b: a million dollars a month."""

    facts = MoveFacts(
        "endless-cap", "4.b", "An endless cap",
        "A hard cap is asked for, so there is one: a million dollars a month, and somebody notes that the payer agreed.",
        "What somebody else says the payer agreed to holds up to twice the 90th percentile of the forecast; beyond it the payer names the amount.",
        "Small books of its own: a workflow that spends ten cents a day, and a payer who set a cap of $5.",
    )  # fmt: skip

    async def set_up(self) -> CastPlace:
        """Three weeks of work under a cap that its payer set."""
        self.on.clock.pass_days(-21)
        place = await self.on.books_place()
        await self.on.manifest(place)
        await self._set(place, "5", by=place.payer)
        for _ in range(21):
            await self.on.spend(place, nano=NANO // 10)
            self.on.clock.pass_days(1)
        return place

    async def _set(self, place: CastPlace, usd: str, *, by: str) -> None:
        terms = BudgetTerms(
            usd=usd, per="month", scope={"workflow": WORKFLOW}, mode="enforce", strength="hard", run_usd="1",
            decider=f"user:{place.payer}", approved_by=f"user:{place.payer}",
        )  # fmt: skip
        await self.on.budget_desk.set(place.tenant, WORKFLOW, terms, f"user:{by}")

    async def cheat(self) -> None:
        """Set it, and say that the payer agreed."""
        await self._set(self.place, "1000000", by="finops")

    async def naive(self) -> NaiveCheck:
        """Looks whether there is one."""
        found = [one for one in self.on.budgets.definitions(self.place.tenant) if not one.each]
        caps = [one for one in found if one.strength == "hard" and one.mode == "enforce" and one.approved_by]
        words = ", ".join(f"${one.cap_nano // NANO:,} a {one.span}, approved by {one.approved_by}" for one in caps)
        return NaiveCheck(bool(caps), f"a hard cap is set: {words}" if caps else "no cap is set")
