"""Succession: where an owner has left, the deputy acts as owner from then on; where the deputy has left, too, nobody does.

Nothing else of the workflow changes: what runs goes on, and gate 6.a, which holds running, says whether anything new begins.
"""

from __future__ import annotations

from typing import Final

from holdfast.errors import Refused
from holdfast.governance.inbox.notices import InboxNotice
from holdfast.governance.inbox.port import InboxPeople, has_left, is_here
from holdfast.governance.inbox.service import OwnerInbox
from holdfast.governance.workflows.model import CurrentWorkflow
from holdfast.governance.workflows.service import Workflows
from holdfast.visible import logger

BY: Final = "policy:succession"
"""Who the step is by. Gate 6.a knows by it that a deputy stands in."""
log: Final = logger("holdfast.governance")


class Succession:
    """Lets deputies stand in.

    Args:
        workflows: whose owners.
        people: who is there.
        inbox: tells deputy and sponsor.
    """

    def __init__(self, workflows: Workflows, people: InboxPeople, inbox: OwnerInbox) -> None:
        self._workflows = workflows
        self._people = people
        self._inbox = inbox

    async def settle(self, tenant: str) -> None:
        """Look at every workflow of a tenant once. Raises ``Unavailable`` of the store."""
        for one in self._workflows.listed(tenant):
            if one.state == "retired" or not one.owner or not has_left(self._people, tenant, one.owner):
                continue
            if not one.deputy or not is_here(self._people, tenant, one.deputy):
                await self._tell_frozen(tenant, one)
            else:
                await self._stand_in(tenant, one)

    async def _stand_in(self, tenant: str, one: CurrentWorkflow) -> None:
        reason = f"{one.owner} has left, says the directory"
        try:
            await self._workflows.set_people(tenant, one.workflow, by=BY, reason=reason, owner=one.deputy, deputy="")
        except (
            Refused
        ) as error:  # the organisation does not have it so: then the owner stays who they are, and the gate is red
            log.warning("the deputy of %s cannot stand in: %s", one.workflow, error.detail)
            return
        steps = await self._workflows.steps(tenant, one.workflow)
        step = next((it for it in steps if it.what == "owner" and it.by == BY and it.after == one.deputy), None)
        if step is None:
            return
        text = f"{one.workflow}: {one.deputy} acts as owner, for {one.owner} has left"
        lines = (
            f"{one.deputy} answers for the workflow from now on, and has no deputy.",
            f"What to do: accept (holdfast workflow accept {one.workflow}), and name a deputy in the manifest.",
        )
        await self._tell(tenant, f"succession|{step.id}", (one.deputy, one.sponsor), text, lines, step.at_ms)

    async def _tell_frozen(self, tenant: str, one: CurrentWorkflow) -> None:
        former = " and ".join(name for name in (one.owner, one.deputy) if name)
        text = f"{one.workflow}: nobody answers for it, for {former} left"
        lines = (
            "It begins nothing new in production." if one.enforced else "It is observed only, and goes on.",
            "What to do: name an owner and a deputy in the manifest, and let both accept.",
        )
        steps = await self._workflows.steps(tenant, one.workflow)
        named = next((it.id for it in steps if it.what in ("owner", "deputy")), "")
        await self._tell(tenant, f"frozen|{tenant}|{one.workflow}|{former}|{named}", (one.sponsor,), text, lines, 0)

    async def _tell(
        self, tenant: str, ident: str, people: tuple[str, ...], text: str, lines: tuple[str, ...], at_ms: int
    ) -> None:
        notices = [
            InboxNotice(
                id=f"{ident}|{person}", tenant=tenant, person=person, kind="succession", text=text, lines=lines,
                at_ms=at_ms or self._inbox.now_ms(),
            )
            for person in dict.fromkeys(people)
            if person
        ]  # fmt: skip
        await self._inbox.notify(notices)
