"""What the company's owners and its FinOps lead do, as people do it through the product: describe the organisation, make keys,
propose and approve prices, import bills. Every act is done on its day."""

from __future__ import annotations

import asyncio
import datetime
import io
from typing import Final

import yaml  # type: ignore[import-untyped]

from holdfast.company.description import Company, Staff, WorkflowDescription, organisation
from holdfast.company.plants import Plants
from holdfast.errors import HoldfastError
from holdfast.governance.app import Governance
from holdfast.governance.keys.model import KeyRequest
from holdfast.governance.ledger.imports.service import Importer, ImportOptions
from holdfast.governance.organisation.document import parse

PLATFORM: Final = "user:platform"
FINOPS: Final = "user:finops"
_SESSIONS: Final = {"chat": "{}.*", "brake": "{}"}
"""In which sessions the keys of a workflow may act, by how it works."""


class Office:
    """See the module.

    Args:
        governance: of the company's server, running.
    """

    def __init__(self, company: Company, staff: Staff, plants: Plants, governance: Governance) -> None:
        self._company, self._staff, self._plants, self._governance = company, staff, plants, governance
        self._proposed: dict[str, str] = {}

    async def open(self) -> dict[str, dict[str, str]]:
        """The first day: the organisation, the one rate card that is known, and keys: workflow and person → secret."""
        document = yaml.safe_dump(organisation(self._company, self._staff), sort_keys=False).encode()
        first = self._company.first_day
        await self._governance.organisation.change(parse(document, "yaml"), since=first, by=PLATFORM)
        card = self._plants.card
        terms: dict[str, object] = {
            "upstream": card.upstream, "from": first.isoformat(), "discounts": [{"percent": str(card.percent)}],
            "note": "Framework agreement of this year.",
        }  # fmt: skip
        await self._approve(await self._propose("card", terms, "We signed it in June."))
        named = [
            (workflow, person) for workflow in self._company.workflows for person in self._staff.regulars[workflow.name]
        ]
        secrets = await asyncio.gather(*(self._key(*each) for each in named))  # they are committed together
        keys: dict[str, dict[str, str]] = {}
        for (workflow, person), secret in zip(named, secrets, strict=True):
            keys.setdefault(workflow.name, {})[person] = secret
        return keys

    async def _key(self, workflow: WorkflowDescription, person: str) -> str:
        """Make a key for what one person does with a workflow; its secret."""
        request = KeyRequest(
            workflow=workflow.name, team=workflow.team, task=workflow.task, usage=workflow.usage,
            user=person if workflow.usage == "seated" else "", name=f"{workflow.name} {person}",
            models=workflow.models, sessions=_SESSIONS.get(workflow.agent, "").format(workflow.name),
        )  # fmt: skip
        return (await self._governance.keys.create(request, by=PLATFORM)).secret

    async def morning(self, day: datetime.date) -> None:
        """What is done on a day before the work begins."""
        own, price, move = self._plants.own_model, self._plants.price_change, self._plants.team_move
        if day == own.proposed:
            document: dict[str, object] = {
                "provider": "own", "model": own.model, "names": [own.model], "prices": {"input": own.input, "output": own.output},
                "note": "Our own forecasting model, at what its rack costs.",
            }  # fmt: skip
            self._proposed["own"] = await self._propose(
                "override", document, "The model is on our own rack from now on."
            )
        if day == own.approved and "own" in self._proposed:
            await self._approve(self._proposed["own"])
        if day == price.approved:
            document = {
                "provider": price.provider, "model": price.model, "names": [price.model], "from": price.since.isoformat(),
                "prices": dict(price.prices), "extends": True, "note": "The provider's letter of last week.",
            }  # fmt: skip
            await self._approve(await self._propose("override", document, "The provider lowers its price."))
        if day == move.day:
            title = self._title(move.team)
            moved = {"teams": [{"name": move.team, "title": title, "cost_centre": move.cost_centre}]}
            file = parse(yaml.safe_dump(moved).encode(), "yaml")
            await self._governance.organisation.change(file, since=day, by=PLATFORM)

    def _title(self, team: str) -> str:
        return next(one.title for one in self._company.teams if one.name == team)

    async def _propose(self, kind: str, document: dict[str, object], why: str) -> str:
        return (await self._governance.prices.propose(kind, document, by=PLATFORM, why=why)).id  # type: ignore[arg-type]

    async def _approve(self, change: str) -> None:
        await self._governance.prices.approve(change, by=FINOPS, words="Seen and agreed.")

    async def import_bill(self, provider: str, report: bytes) -> None:
        """Bring a provider's cost report in. Raises what the import raises."""
        importer = Importer(self._governance.ledger)
        options = ImportOptions(by=FINOPS, use="bill", name=f"{provider}-costs.json", provider=provider)
        batch, _ = await importer.import_file(io.BytesIO(report), options)
        if not batch.complete:
            raise HoldfastError("config.invalid", f"the report of {provider} is not whole")
