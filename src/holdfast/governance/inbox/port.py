"""What the inbox asks of others: conditions, and who people are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from holdfast.governance.directory.model import DirectoryPerson
from holdfast.governance.inbox.model import Condition


class ConditionSource(Protocol):
    """Computes conditions of one sort."""

    @property
    def name(self) -> str:
        """By which its items are told from others; never changes."""

    async def conditions(self, tenant: str, now_ms: int, /) -> Sequence[Condition]:
        """All that are so now, and not only what is new. Whatever it raises, its items stay as they are: what cannot be
        computed is not gone."""


class InboxPeople(Protocol):
    """Who is who (``directory``)."""

    def person(self, tenant: str, name: str, /) -> DirectoryPerson | None:
        """Somebody by a name of theirs; None for nobody."""

    def candidates(self, tenant: str, name: str, /) -> Sequence[DirectoryPerson]:
        """Those whom a name may mean."""

    def names(self, tenant: str, name: str, /) -> Collection[str]:
        """All names of whoever goes under this one, as they are compared."""

    def is_deleted(self, tenant: str, name: str, /) -> bool:
        """Whether somebody was there and was deleted."""

    def heard_ms(self, tenant: str, /) -> int | None:
        """When the directory spoke last; None where it never did."""


class Answerable(Protocol):
    """Who answers for a workflow."""

    @property
    def workflow(self) -> str: ...
    @property
    def owner(self) -> str: ...
    @property
    def deputy(self) -> str: ...
    @property
    def sponsor(self) -> str: ...


def has_left(people: InboxPeople, tenant: str, name: str) -> bool:
    """Whether somebody works here no more, as a directory says that has ever spoken. Without one nobody has left, nor has
    somebody whom it never had: provisioning brings people one by one, and the deputy may come first. Of several whom a name may
    mean it is the last: nobody makes somebody else leave by taking on their address."""
    if people.heard_ms(tenant) is None:
        return False
    found = people.candidates(tenant, name)
    return not any(one.active for one in found) if found else people.is_deleted(tenant, name)


def is_here(people: InboxPeople, tenant: str, name: str) -> bool:
    """Whether somebody works here, as a directory says that has ever spoken. Without one everybody does."""
    return people.heard_ms(tenant) is None or any(one.active for one in people.candidates(tenant, name))


def responsible(people: InboxPeople, tenant: str, workflow: Answerable) -> str:
    """Who has to act for a workflow: its owner, else its deputy; empty where neither is there."""
    names = [name for name in (workflow.owner, workflow.deputy) if name]
    return next((name for name in names if is_here(people, tenant, name)), "")
