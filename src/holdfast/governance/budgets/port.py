"""What budgets ask of others: a store, the ledger's book of openings. The app hands them in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec
from sqlalchemy import Connection

from holdfast.gateway.port import Hold, Opening, Served
from holdfast.governance.budgets.counting import OrganisationTeams
from holdfast.governance.ledger.port import Placement, PriceList

T = TypeVar("T")


class BudgetStore(Protocol):
    """A database (``governance/store``)."""

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Do work in one transaction, durable when it returns."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Do work that writes nothing."""


class OpeningBook(Protocol):
    """Where attempts are put on record as they begin (``ledger``)."""

    def add_openings(self, connection: Connection, openings: Sequence[Opening]) -> None:
        """Put attempts on record, in the transaction that reserves money for them."""

    def open_of(self, connection: Connection, attempts: Sequence[str]) -> Mapping[str, Opening]:
        """Which of these attempts are open, by id."""
        ...

    def unasked(self, opening: Opening) -> None:
        """An attempt is on record, or may be, and no upstream is asked for it: its money is given back."""


class BudgetLedger(OpeningBook, Protocol):
    """Where what is spent stands (``ledger``)."""

    @property
    def prices(self) -> PriceList:
        """What things cost."""

    def admit(self, opening: Opening) -> None:
        """Let an attempt be opened that can be priced, and put on record."""

    async def begin(self, opening: Opening, writing: Awaitable[T]) -> T:
        """An attempt begins once ``writing`` has put it on record; what that answers."""

    async def open(self, opening: Opening) -> Hold:
        """As a meter that bounds nothing."""

    async def settle(self, served: Served) -> None:
        """As a meter."""


class BudgetOrganisation(OrganisationTeams, Protocol):
    """Who is who, in memory (``organisation``)."""

    def resolve(self, claims: Mapping[str, str], at_ms: int, tenant: str = "default", /) -> Placement:
        """Whose labels say that work is, at that time."""


class ApproverView(Protocol):
    """What somebody may do: ``session/access.py``'s principal."""

    def may(self, verb: str, session: str) -> bool:
        """Whether a verb is granted on a session, or on all (``*``)."""


class RadiusSource(Protocol):
    """Who says what a workflow could do wrong, to whoever is about to give it more money (``workflows/approving.py``)."""

    async def of_workflow(self, tenant: str, workflow: str, rights: ApproverView | None = None) -> msgspec.Struct:
        """For something that concerns a workflow, as far as whoever asks may know it."""

    async def of_run(
        self, tenant: str, session: str, run: str = "", rights: ApproverView | None = None
    ) -> msgspec.Struct:
        """For something that a run of a session does."""
