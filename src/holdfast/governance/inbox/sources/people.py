"""Who answers for a workflow: acceptances that are missing or end soon, somebody who has left, nobody who is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from holdfast.governance.inbox.model import DAY_MS, Condition
from holdfast.governance.inbox.port import Answerable, InboxPeople, is_here
from holdfast.governance.workflows.model import CurrentWorkflow, RoleAcceptance

SOON_MS: Final = 14 * DAY_MS
"""Before an acceptance ends, its person is asked for another one."""
NEW_MS: Final = 7 * DAY_MS
"""In which a role is to be accepted."""
FREEZE_MS: Final = DAY_MS


class Staffing(Protocol):
    """The workflows, and who accepted which role (``workflows``)."""

    def listed(self, tenant: str, /) -> Sequence[CurrentWorkflow]:
        """All of a tenant."""

    def acceptances(self, tenant: str, workflow: str, /) -> Sequence[RoleAcceptance]:
        """The last of each role and person."""


class PeopleConditions:
    """Conditions of people.

    Args:
        workflows: whose people.
        people: who is there.
        numbers: the thresholds of gate 6.a of a tenant.
    """

    name: Final = "people"

    def __init__(
        self, workflows: Staffing, people: InboxPeople, numbers: Callable[[str], dict[str, int | str]]
    ) -> None:
        self._workflows = workflows
        self._people = people
        self._numbers = numbers

    async def conditions(self, tenant: str, now_ms: int, /) -> Sequence[Condition]:
        """See ``ConditionSource``."""
        found: list[Condition] = []
        accepted_ms = int(self._numbers(tenant)["accepted_days"]) * DAY_MS
        for one in self._workflows.listed(tenant):
            if one.state != "retired":
                found += self._accepts(tenant, one, accepted_ms, now_ms)
                found += self._left(tenant, one, now_ms)
        return found

    def _accepts(self, tenant: str, one: CurrentWorkflow, lasts_ms: int, now_ms: int) -> Iterator[Condition]:
        there = self._workflows.acceptances(tenant, one.workflow)
        for role, name in (("owner", one.owner), ("deputy", one.deputy)):
            if not name or not is_here(self._people, tenant, name):
                continue
            last = max((it.at_ms for it in there if it.role == role and it.person == name), default=0)
            ends_ms = last + lasts_ms if last else now_ms + NEW_MS
            if last and ends_ms - now_ms > SOON_MS:
                continue
            yield Condition(
                key=f"accept|{one.workflow}|{role}|{name.casefold()}", kind="accept.role", workflow=one.workflow, role=role,
                person=name, sponsor=one.sponsor if one.sponsor != name else "",
                title=f"{one.workflow}: accept to be its {role}" + (" again" if last else ""),
                why="an acceptance holds for a time only" if last else f"{name} is named as {role} and did not say yes",
                what=f"Accept: holdfast workflow accept {one.workflow}", link=f"/console/workflows/{one.workflow}",
                due_ms=ends_ms,
            )  # fmt: skip

    def _left(self, tenant: str, one: CurrentWorkflow, now_ms: int) -> Iterator[Condition]:
        owner_left = bool(one.owner) and not is_here(self._people, tenant, one.owner)
        deputy_left = not one.deputy or not is_here(self._people, tenant, one.deputy)
        if owner_left and deputy_left:
            yield self._frozen(one, now_ms)
        elif bool(one.deputy) and deputy_left:
            yield Condition(
                key=f"left|{one.workflow}|{one.deputy.casefold()}", kind="people.left", workflow=one.workflow,
                person=one.owner, sponsor=one.sponsor if one.sponsor != one.owner else "",
                title=f"{one.workflow}: its deputy {one.deputy} has left", why="without a deputy nobody stands in for the owner",
                what=_NAME_DEPUTY, link=_link(one), severity="high", due_ms=now_ms + NEW_MS,
            )  # fmt: skip
        elif one.owner and not one.deputy:
            yield Condition(
                key=f"alone|{one.workflow}", kind="people.deputy", workflow=one.workflow, person=one.owner,
                sponsor=one.sponsor if one.sponsor != one.owner else "", title=f"{one.workflow}: {one.owner} has no deputy",
                why="without a deputy nobody stands in for the owner", what=_NAME_DEPUTY, link=_link(one), severity="high",
                due_ms=now_ms + NEW_MS,
            )  # fmt: skip

    def _frozen(self, one: CurrentWorkflow, now_ms: int) -> Condition:
        former = " and ".join(name for name in (one.owner, one.deputy) if name)
        return Condition(
            key=f"frozen|{one.workflow}", kind="people.frozen", workflow=one.workflow, role="sponsor", person=one.sponsor,
            title=f"{one.workflow}: nobody answers for it", why=f"{former} left, and nobody stands in",
            what="Name an owner and a deputy, and let both accept", link=_link(one), severity="high",
            stops=one.enforced and one.state in ("pilot", "production"), due_ms=now_ms + FREEZE_MS,
        )  # fmt: skip


def _link(one: Answerable) -> str:
    return f"/console/workflows/{one.workflow}"


_NAME_DEPUTY: Final = "Name a deputy of the workflow's unit in the manifest, and let them accept"
