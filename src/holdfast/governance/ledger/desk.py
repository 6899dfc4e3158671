"""What people ask of the ledger beside questions about rows: said once, served by REST and by the command line."""

from __future__ import annotations

import io
from typing import Any, Final, get_args

import msgspec

from holdfast.errors import Refused
from holdfast.governance.actions import ActionCall, DomainAction
from holdfast.governance.ledger.bill_line import ImportBatch, Use
from holdfast.governance.ledger.bookkeeping import Bookkeeper
from holdfast.governance.ledger.dates import day_of
from holdfast.governance.ledger.imports.service import Importer, ImportOptions
from holdfast.governance.ledger.reader import LedgerReader
from holdfast.governance.ledger.service import Ledger
from holdfast.governance.ledger.verify import BookOf, LedgerVerifier

ROOT: Final = "/v1/x/governance/ledger"


class LedgerDesk:
    """The services of the ledger, together.

    Args:
        ledger: of which all of them are.
        importer: of files.
        book_of: prices as they were, to compute costs again.
    """

    def __init__(self, ledger: Ledger, importer: Importer, book_of: BookOf | None) -> None:
        self.ledger = ledger
        self.importer = importer
        self.reader = LedgerReader(ledger.store)
        self.bookkeeper = Bookkeeper(ledger)
        self._book_of = book_of

    async def verify(self, call: ActionCall) -> Any:
        """Replay the ledger; see ``LedgerVerifier``."""
        return msgspec.to_builtins(await LedgerVerifier(self.ledger, self._book_of).run(call.tenant))

    async def spend(self, call: ActionCall) -> Any:
        """What was spent between two days, by dimensions."""
        today = self.ledger.clock.wall_ms()
        zone = self.ledger.organisation.zone(call.tenant)
        last = call.facts.get("until") or day_of(today, zone)
        first = call.facts.get("since") or f"{last[:7]}-01"
        by = tuple(one for one in call.facts.get("by", "").split(",") if one)
        return msgspec.to_builtins(await self.reader.spend(call.tenant, first, last, by))

    async def import_file(self, call: ActionCall) -> Any:
        """Import a file; the same one again changes nothing."""
        named = call.facts.get("use") or "bill"
        if named not in get_args(Use):
            raise Refused("input.malformed", f"use {named!r:.40}: bill or spend")
        use: Use = "spend" if named == "spend" else "bill"
        options = ImportOptions(
            tenant=call.tenant, by=call.by, use=use, format=call.facts.get("format", ""),
            name=call.facts.get("name", ""), provider=call.facts.get("provider", ""),
        )  # fmt: skip
        batch, fresh = await self.importer.import_file(io.BytesIO(call.body), options)
        return {"batch": msgspec.to_builtins(batch), "new": fresh}

    async def imports(self, call: ActionCall) -> list[ImportBatch]:
        """What was imported."""
        return await self.importer.batches(call.tenant)

    async def periods(self, call: ActionCall) -> Any:
        """Closed months, and open ones that have rows."""
        closed, open_ = await self.bookkeeper.periods(call.tenant)
        return {"closed": msgspec.to_builtins(closed), "open": open_}

    async def close(self, call: ActionCall) -> Any:
        """Close a month."""
        return msgspec.to_builtins(await self.bookkeeper.close(call.tenant, call.facts["period"], call.by))

    async def journal(self, call: ActionCall) -> Any:
        """What a month's books have for each cost centre, with the same as CSV."""
        found = await self.bookkeeper.journal(call.tenant, call.facts["period"])
        return {"journal": msgspec.to_builtins(found), "csv": found.csv()}


VERIFY: Final[DomainAction[LedgerDesk]] = DomainAction(
    "verify", "POST", "/verify", "audit", "Replay the ledger and say what does not hold", LedgerDesk.verify
)
SPEND: Final[DomainAction[LedgerDesk]] = DomainAction(
    "summary",
    "GET",
    "/summary",
    "spend",
    "What was spent in a month so far, by anything",
    LedgerDesk.spend,
    query=("since", "until", "by"),
)
IMPORT: Final[DomainAction[LedgerDesk]] = DomainAction(
    "import", "POST", "/imports", "budget", "Import a bill, or spend that never passed the gateway",
    LedgerDesk.import_file, body=bytes, query=("use", "format", "name", "provider"),
)  # fmt: skip
IMPORTS: Final[DomainAction[LedgerDesk]] = DomainAction(
    "imports", "GET", "/imports", "spend", "What was imported", LedgerDesk.imports
)
PERIODS: Final[DomainAction[LedgerDesk]] = DomainAction(
    "periods", "GET", "/periods", "spend", "Months that are closed, and months that are open", LedgerDesk.periods
)
CLOSE: Final[DomainAction[LedgerDesk]] = DomainAction(
    "close", "POST", "/periods/{period}", "budget", "Close a month", LedgerDesk.close
)
JOURNAL: Final[DomainAction[LedgerDesk]] = DomainAction(
    "journal", "GET", "/journal/{period}", "spend", "A month for each cost centre, for somebody's accounts",
    LedgerDesk.journal,
)  # fmt: skip
ACTIONS: Final = (SPEND, VERIFY, IMPORT, IMPORTS, PERIODS, CLOSE, JOURNAL)
"""All of them."""
