"""Moves against the gates of step 5: a dear model that stays, and a model that nobody approved."""

from __future__ import annotations

import hashlib

from sqlalchemy import select

from holdfast.company.cheats.move import CheatMove, MoveFacts, NaiveCheck
from holdfast.company.cheats.rehearsal import NANO, WORKFLOW, CastPlace
from holdfast.governance.outcomes.intervals import lower_bound
from holdfast.governance.store.tables.ledger import ledger_rows
from holdfast.governance.store.tables.outcomes import outcomes
from holdfast.governance.workflows.model import ManifestModel, ManifestPrompt

DEAR, CHEAP = "large-model", "small-model"
SECOND = f"{WORKFLOW}-2"
PROMPT = ManifestPrompt("system", hashlib.sha256(b"Answer the customer.").hexdigest())


class HighFloor(CheatMove):
    """5.a: a floor that nobody reaches."""

    facts = MoveFacts(
        "high-floor", "5.a", "A floor of 99 %",
        "A model at a third of the price does the work as well. The owner writes into the route that 99 % have to be accepted.",
        "The floor counts at most as high as the model in use is itself shown to reach.",
        "Small books of its own: 110 judged pieces of work of each of two models, then a month of the dear one alone.",
    )  # fmt: skip

    async def set_up(self) -> CastPlace:
        """A cheaper model that was shown to be good enough lies idle."""
        self.on.clock.pass_days(-45)
        place = await self.on.books_place()
        await self.on.manifest(place)
        for model, nano in ((DEAR, NANO), (CHEAP, NANO // 3)):
            rows = await self.on.spend(place, 110, model=model, nano=nano)
            await self.on.say(place, rows[:108], "accepted")
            await self.on.say(place, rows[108:], "rejected")
        self.on.clock.pass_days(43)
        await self.on.spend(place, 20, model=DEAR)
        self.on.clock.pass_days(2)
        await self._route(place, 0.9)
        return place

    async def _route(self, place: CastPlace, floor: float) -> None:
        route = {
            "name": WORKFLOW, "workflow": WORKFLOW, "task": "reply", "candidates": [CHEAP, DEAR], "floor": floor,
        }  # fmt: skip
        await self.on.routing.set_document({"routes": [route]}, by=f"user:{place.owner}", tenant=place.tenant)
        self._floor = floor

    async def cheat(self) -> None:
        """Ask for what nobody reaches."""
        await self._route(self.place, 0.99)

    async def naive(self) -> NaiveCheck:
        """Holds the cheaper model against the floor as it is written."""
        of = outcomes.c
        wanted = select(of.verdict).where(of.tenant == self.place.tenant, of.model == CHEAP)
        verdicts = await self.on.store.read(lambda connection: list(connection.scalars(wanted)))
        bound = lower_bound(verdicts.count("accepted"), len(verdicts))
        words = f"{CHEAP} reaches {bound:.1%} for certain, of {self._floor:.0%} wanted"
        return NaiveCheck(
            bound < self._floor, f"{words}: {'no cheaper model is good enough' if bound < self._floor else 'use it'}"
        )


class AliasServed(CheatMove):
    """5.b: what stands behind a name."""

    facts = MoveFacts(
        "alias", "5.b", "An alias in the approved set",
        "The manifest names an alias of the provider. What serves behind it is another model since last week.",
        "What the response names counts, the exact id, and not what was asked for; and the manifest names it before it serves.",
        "A new workflow of a real team of the company, with rows of its own in the ledger.",
    )  # fmt: skip

    async def set_up(self) -> CastPlace:
        """The alias still means what it meant."""
        place = await self.on.company_place()
        self.on.clock.pass_days(-10)
        models = (ManifestModel(model="gpt-5-chat-latest"), ManifestModel(model="gpt-5-2025-08-07"))
        await self.on.manifest(place, models=models)
        await self.on.spend(place, 20, model="gpt-5-2025-08-07", asked="gpt-5-chat-latest", nano=NANO // 100)
        self.on.clock.pass_days(10)
        return place

    async def cheat(self) -> None:
        """Another one serves."""
        self.on.clock.pass_days(-3)
        await self.on.spend(
            self.place, 20, model="gpt-5.4-mini-2026-03-17", asked="gpt-5-chat-latest", nano=NANO // 100
        )
        self.on.clock.pass_days(3)

    async def naive(self) -> NaiveCheck:
        """Compares what was asked for with the list."""
        of = ledger_rows.c
        wanted = select(of.asked).where(of.tenant == self.place.tenant, of.workflow == WORKFLOW)
        requests = await self.on.store.read(lambda connection: list(connection.scalars(wanted)))
        found = self.on.workflows.current(self.place.tenant, WORKFLOW)
        listed = (
            {one.model for one in found.manifest.models} if found is not None and found.manifest is not None else set()
        )
        outside = [one for one in requests if one not in listed]
        names = ", ".join(sorted(set(requests)))
        return NaiveCheck(
            not outside, f"{len(requests)} calls asked for {names}; {len(outside)} for a model that is not on the list"
        )


class Divided(CheatMove):
    """5.b, and every gate of what a workflow does: a second workflow for what the first may not do."""

    facts = MoveFacts(
        "divided", "5.b", "A workflow divided in two",
        "The model that the manifest does not name serves a second workflow, which has the same prompt.",
        "Workflows that share a credential or a prompt are also judged as one: what one of them fails, the other fails.",
        "Two new workflows of a real team of the company, with rows of their own in the ledger.",
    )  # fmt: skip

    async def set_up(self) -> CastPlace:
        """The first one is served by the model that it names."""
        place = await self.on.company_place()
        self.on.clock.pass_days(-10)
        await self.on.manifest(place, models=(ManifestModel(model="gpt-5-2025-08-07"),), prompts=(PROMPT,))
        await self.on.spend(place, 20, model="gpt-5-2025-08-07", nano=NANO // 100)
        self.on.clock.pass_days(10)
        return place

    async def cheat(self) -> None:
        """The second one does the rest."""
        self.on.clock.pass_days(-5)
        models = (ManifestModel(model="gpt-5-2025-08-07"),)
        await self.on.manifest(self.place, workflow=SECOND, models=models, prompts=(PROMPT,))
        await self.on.spend(
            self.place, 20, labels={"workflow": SECOND}, model="gpt-5.4-mini-2026-03-17", nano=NANO // 100
        )
        self.on.clock.pass_days(5)

    async def naive(self) -> NaiveCheck:
        """Looks at the rows of the workflow alone."""
        of = ledger_rows.c
        wanted = select(of.model).where(of.tenant == self.place.tenant, of.workflow == WORKFLOW)
        served = await self.on.store.read(lambda connection: sorted(set(connection.scalars(wanted))))
        return NaiveCheck(served == ["gpt-5-2025-08-07"], f"{WORKFLOW} was served by {', '.join(served)}")
