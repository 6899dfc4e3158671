"""What people ask of the ledger beside questions about rows: said once, served by REST and by the command line."""

from __future__ import annotations

import io
from typing import Any, Final, get_args

import msgspec

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.actions import ActionCall, DomainAction
from holdfast.governance.ledger import store
from holdfast.governance.ledger.bill_line import ImportBatch, Use
from holdfast.governance.ledger.bookkeeping import Bookkeeper
from holdfast.governance.ledger.books import KEYS, AllocationKey
from holdfast.governance.ledger.cost_tree import SessionRuns, build
from holdfast.governance.ledger.dates import day_of
from holdfast.governance.ledger.imports.reading import exact, nano
from holdfast.governance.ledger.imports.service import Importer, ImportOptions
from holdfast.governance.ledger.imports.uploads import Uploads
from holdfast.governance.ledger.reader import LedgerReader
from holdfast.governance.ledger.service import Ledger
from holdfast.governance.ledger.verify import BookOf, LedgerVerifier

ROOT: Final = "/v1/x/governance/ledger"


class Correction(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A row that is to be replaced; ``billed_usd`` as decimal text."""

    row: str
    why: str
    counts: dict[str, int] | None = None
    model: str | None = None
    billed_usd: str | None = None
    labels: dict[str, str] | None = None


class Division(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A shared cost that is to be divided; ``usd`` as decimal text."""

    name: str
    usd: str
    key: AllocationKey
    dimension: str = "cost_centre"
    note: str = ""


class LedgerDesk:
    """The services of the ledger, together.

    Args:
        ledger: of which all of them are.
        importer: of files.
        book_of: prices as they were, to compute costs again.
        runs: who knows the runs of sessions; None for nobody.
    """

    def __init__(
        self, ledger: Ledger, importer: Importer, book_of: BookOf | None, runs: SessionRuns | None = None
    ) -> None:
        self.ledger = ledger
        self.importer = importer
        self.reader = LedgerReader(ledger.store)
        self.bookkeeper = Bookkeeper(ledger)
        self._uploads = Uploads(ledger.clock.wall_ms)
        self._book_of = book_of
        self._runs = runs

    def let_go(self) -> None:
        """Let go of files that are on their way."""
        self._uploads.close()

    async def verify(self, call: ActionCall) -> Any:
        """Replay the ledger; see ``LedgerVerifier``."""
        return msgspec.to_builtins(await LedgerVerifier(self.ledger, self._book_of).run(call.tenant))

    async def spend(self, call: ActionCall) -> Any:
        """What was spent between two days, by dimensions."""
        first, last = self._days(call)
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
            leave_out=frozenset(_several(call.facts.get("leave_out", ""))),
            labels=dict(pair(text) for text in _several(call.facts.get("labels", ""))),
        )  # fmt: skip
        owner, upload = (call.tenant, call.by), call.facts.get("upload", "")
        if upload:
            self._uploads.add(owner, upload, whole(call.facts.get("at") or "0"), call.body)
        with self._uploads.take(owner, upload) if upload else io.BytesIO(call.body) as file:
            batch, fresh = await self.importer.import_file(file, options)
        return {"batch": msgspec.to_builtins(batch), "new": fresh}

    async def upload(self, call: ActionCall) -> Any:
        """A piece of a file that is larger than one request."""
        at = whole(call.facts.get("at") or "0")
        upload, size = self._uploads.add((call.tenant, call.by), call.facts.get("upload", ""), at, call.body)
        return {"upload": upload, "size": size}

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
        measure: Any = f"{call.facts.get('measure') or 'billed'}_nano"
        found = await self.bookkeeper.journal(call.tenant, call.facts["period"], measure)
        return {"journal": msgspec.to_builtins(found), "csv": found.csv()}

    async def rows(self, call: ActionCall) -> Any:
        """Rows of some days, newest first, or one row with what replaced it."""
        facts = call.facts
        if facts.get("row"):
            return {"rows": await self.ledger.row(call.tenant, facts["row"]), "next": ""}
        first, last = self._days(call)
        filters: dict[str, list[str]] = {}
        for text in _several(facts.get("where", "")):
            name, value = pair(text)
            filters.setdefault(name, []).append(value)
        limit = whole(facts.get("limit") or "50")
        return msgspec.to_builtins(await self.reader.rows(call.tenant, first, last, filters, limit=limit))

    async def tree(self, call: ActionCall) -> Any:
        """One session's costs as they came about."""
        session = call.facts["session"]
        rows = await self.reader.of_session(call.tenant, session)
        runs = await self._runs.runs(call.tenant, session) if self._runs is not None else ()
        found = build(session, rows, runs)
        return {"tree": msgspec.to_builtins(found), "csv": found.csv(), "more": len(rows) >= limits.LEDGER_TREE_ROWS}

    async def correct(self, call: ActionCall) -> Any:
        """Replace a row; both stay."""
        body: Correction = call.body
        billed = None if body.billed_usd is None else nano(exact(body.billed_usd, "billed_usd"), "billed_usd")
        row = await self.ledger.correct(
            call.tenant, body.row, why=f"{call.by}: {body.why}", counts=body.counts, model=body.model, billed_nano=billed,
            labels=body.labels,
        )  # fmt: skip
        return msgspec.to_builtins(row)

    async def allocate(self, call: ActionCall) -> Any:
        """Divide a shared cost of a month."""
        body: Division = call.body
        amount = nano(exact(body.usd, "usd"), "usd")
        found = await self.bookkeeper.allocate(
            call.tenant, call.facts["period"], body.name, amount, body.key, call.by, body.dimension, body.note
        )
        return msgspec.to_builtins(found)

    async def shared(self, call: ActionCall) -> Any:
        """The shared costs of a month."""
        return msgspec.to_builtins(await self.bookkeeper.shared_costs(call.tenant, call.facts["period"]))

    async def gaps(self, call: ActionCall) -> Any:
        """Where usage of agents was missed."""
        return {"gaps": await self.ledger.store.read(store.list_gaps)}

    def _days(self, call: ActionCall) -> tuple[str, str]:
        """The days asked for; this month until today where nothing is said."""
        today = day_of(self.ledger.clock.wall_ms(), self.ledger.organisation.zone(call.tenant))
        last = call.facts.get("until") or today
        return call.facts.get("since") or f"{last[:7]}-01", last


def _several(text: str) -> list[str]:
    return [each for each in text.split(",") if each]


def pair(text: str) -> tuple[str, str]:
    """``NAME=VALUE``. Raises ``input.malformed``."""
    name, mark, value = text.partition("=")
    if not mark or not name:
        raise Refused("input.malformed", f"{text!r:.80} is no NAME=VALUE")
    return name, value


def whole(text: str) -> int:
    """A count that somebody wrote. Raises ``input.malformed``."""
    if not (text.isascii() and text.isdigit() and len(text) < 17):
        raise Refused("input.malformed", f"{text!r:.40} is no count")
    return int(text)


def allocation_key(text: str) -> AllocationKey:
    """By what a shared cost is divided. Raises ``input.malformed``."""
    for key in KEYS:
        if key == text:
            return key
    raise Refused("input.malformed", f"{text!r:.40} is none of {', '.join(KEYS)}")


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
    LedgerDesk.import_file, body=bytes, query=("use", "format", "name", "provider", "leave_out", "labels", "upload", "at"),
)  # fmt: skip
UPLOAD: Final[DomainAction[LedgerDesk]] = DomainAction(
    "upload", "POST", "/imports/pieces", "budget", "A piece of a file that is larger than one request; the last one goes to imports",
    LedgerDesk.upload, body=bytes, query=("upload", "at"),
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
    LedgerDesk.journal, query=("measure",),
)  # fmt: skip
ROWS: Final[DomainAction[LedgerDesk]] = DomainAction(
    "list", "GET", "/list", "spend", "Rows of this month so far, or one row", LedgerDesk.rows,
    query=("since", "until", "where", "limit", "row"),
)  # fmt: skip
TREE: Final[DomainAction[LedgerDesk]] = DomainAction(
    "tree", "GET", "/sessions/{session}/tree", "spend", "One session's causal cost tree", LedgerDesk.tree
)
CORRECT: Final[DomainAction[LedgerDesk]] = DomainAction(
    "correct", "POST", "/corrections", "budget", "Replace a row; both stay, and the last one counts", LedgerDesk.correct,
    body=Correction,
)  # fmt: skip
ALLOCATE: Final[DomainAction[LedgerDesk]] = DomainAction(
    "allocate", "POST", "/periods/{period}/shared", "budget", "Divide a shared cost of a month", LedgerDesk.allocate,
    body=Division,
)  # fmt: skip
SHARED: Final[DomainAction[LedgerDesk]] = DomainAction(
    "shared", "GET", "/periods/{period}/shared", "spend", "The shared costs of a month", LedgerDesk.shared
)
GAPS: Final[DomainAction[LedgerDesk]] = DomainAction(
    "gaps", "GET", "/gaps", "audit", "Where usage of agents was missed", LedgerDesk.gaps
)
ACTIONS: Final = (
    SPEND, VERIFY, IMPORT, UPLOAD, IMPORTS, PERIODS, CLOSE, JOURNAL, ROWS, TREE, CORRECT, ALLOCATE, SHARED, GAPS,
)  # fmt: skip
"""All of them."""
