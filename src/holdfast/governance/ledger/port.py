"""What the ledger asks of others: a store, prices, an organisation, a clock. The app hands them in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Table

from holdfast.governance.ledger.model import Row
from holdfast.providers.billing.model import BilledAttempt

T = TypeVar("T")


class LedgerStore(Protocol):
    """A database (``governance/store``)."""

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Do work in one transaction, durable when it returns. Raises ``Unavailable``: nothing was written, or the outcome
        is not known (``commit.unknown``)."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Do work that writes nothing."""

    async def insert(self, table: Table, rows: Sequence[Mapping[str, Any]], *, synced: bool = True) -> None:
        """Insert rows, durable when it returns; without ``synced`` only against the end of the process."""


class Cost(Protocol):
    """What an attempt costs (``pricing``): nano-USD, None where there is no price."""

    @property
    def list_nano(self) -> int | None: ...
    @property
    def contracted_nano(self) -> int | None: ...
    @property
    def effective_nano(self) -> int | None: ...
    @property
    def billed_nano(self) -> int | None: ...
    @property
    def price(self) -> str: ...
    @property
    def catalogue(self) -> str: ...
    @property
    def card(self) -> str: ...
    @property
    def waiver(self) -> str: ...
    @property
    def parts(self) -> Mapping[str, int]: ...
    @property
    def unpriced(self) -> Sequence[str]: ...
    @property
    def currency(self) -> str: ...
    @property
    def rate(self) -> str: ...


class PriceList(Protocol):
    """Prices, in memory (``pricing``)."""

    def check(self, *, provider: str, model: str, upstream: str, at_ms: int, workflow: str = "") -> None:
        """Raises ``Refused`` with ``price.missing`` for a model that nobody has priced or waived."""

    @property
    def price(self) -> Callable[..., Cost]:
        """What a ``BilledAttempt`` costs, by ``provider``, ``upstream``, ``asked`` (the model), ``at_ms``, ``workflow``
        and ``request_input`` (tokens of one request, where counts are of several); never raises for a price that is missing."""


class Placement(Protocol):
    """Whose a call is (``organisation``)."""

    @property
    def organisation(self) -> str: ...
    @property
    def team(self) -> str: ...
    @property
    def workflow(self) -> str: ...
    @property
    def cost_centre(self) -> str: ...
    @property
    def usage(self) -> str: ...
    @property
    def person(self) -> str: ...
    @property
    def tags(self) -> Mapping[str, str]: ...


class OrganisationTree(Protocol):
    """The organisation's tree, in memory (``organisation``)."""

    def resolve(self, labels: Mapping[str, str], at_ms: int, tenant: str = "default", /) -> Placement:
        """Whose labels say that it is, at that time."""

    def zone(self, tenant: str = "default", at_ms: int | None = None, /) -> ZoneInfo:
        """The time zone of a tenant's days and months at that time; None for now."""


class WallClock(Protocol):
    """Time."""

    def wall_ms(self) -> int:
        """Unix ms."""


class RowWatch(Protocol):
    """Who counts rows as they are written, in the same transaction (``budgets``)."""

    def lock(self, connection: Connection) -> None:
        """Let nobody else count until this transaction ends; the first that it does."""

    def count(
        self, connection: Connection, changes: Sequence[tuple[Row, Row | None]], ended: Sequence[str] = ()
    ) -> None:
        """Rows are new, each with the one that it replaces; attempts have ended, and hold no money any more."""

    def most(self, connection: Connection, attempt: str) -> BilledAttempt | None:
        """The most that an attempt can have used of which nobody will say what it did; None where that is not known."""

    def forget_session(self, connection: Connection, tenant: str, session: str) -> None:
        """A session was deleted: nothing leads to it any more."""


class Uncounted:
    """Nobody counts."""

    def lock(self, connection: Connection) -> None:
        """See ``RowWatch``."""

    def count(
        self, connection: Connection, changes: Sequence[tuple[Row, Row | None]], ended: Sequence[str] = ()
    ) -> None:
        """See ``RowWatch``."""

    def most(self, connection: Connection, attempt: str) -> BilledAttempt | None:
        """See ``RowWatch``."""
        return None

    def forget_session(self, connection: Connection, tenant: str, session: str) -> None:
        """See ``RowWatch``."""
