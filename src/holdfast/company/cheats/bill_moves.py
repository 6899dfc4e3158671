"""Moves against gate 4.a: differences between bill and ledger that cancel each other, or that nobody's name stands beside."""

from __future__ import annotations

import datetime
import io
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import select

from holdfast.company.cheats.move import CheatMove, MoveFacts, NaiveCheck
from holdfast.company.cheats.rehearsal import BOOKS, NANO, CastPlace
from holdfast.governance.ledger.imports.service import ImportOptions
from holdfast.governance.store.tables.ledger import ledger_batches, ledger_bill_lines, ledger_rows

DAYS: Final = 10
_FINOPS: Final = "user:finops"
_BOOKS: Final = "Small books in which nothing else is wrong: ten days of two models last month, $1 a day each, and the provider's bill."
_HEAD: Final = (
    "BilledCost,BillingCurrency,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,x_Model,x_KeyId,SubAccountId\n"
)


class BillCell(NamedTuple):
    """A line of a bill."""

    day: str
    model: str
    nano: int
    key: str = "up"


class BillMove(CheatMove):
    """A month with its bill."""

    lines: list[BillCell]

    async def month(self) -> CastPlace:
        """Ten days of last month, and what an honest bill says of them."""
        now_ms = self.on.now_ms()
        today = datetime.datetime.fromtimestamp(now_ms / 1_000, ZoneInfo("Europe/Berlin"))
        first = (today.replace(day=1) - datetime.timedelta(days=1)).replace(day=1, hour=12, minute=0)
        self.on.clock.pass_days((first.timestamp() * 1_000 - now_ms) / 86_400_000)
        place = await self.on.books_place()
        await self.on.manifest(place)
        self.lines = []
        for number in range(DAYS):
            day = (first + datetime.timedelta(days=number)).date().isoformat()
            for model in ("m1", "m2"):
                await self.on.spend(place, model=model)
                self.lines.append(BillCell(day, model, NANO))
            self.on.clock.pass_days(1)
        self.on.clock.pass_days((now_ms - self.on.now_ms()) / 86_400_000)
        return place.organisation

    async def bill(self, name: str) -> None:
        """Import the bill as it stands in ``lines``; of a day that several reports have, the newest counts."""
        text = _HEAD + "".join(
            f"{line.nano // NANO}.{line.nano % NANO:09},USD,{line.day}T00:00:00Z,{line.day}T23:59:59Z,Usage,{line.model},{line.key},acc\n"
            for line in self.lines
        )
        options = ImportOptions(tenant=BOOKS, by=_FINOPS, provider="openai", name=name)
        await self.on.importer.import_file(io.BytesIO(text.encode()), options)

    def change(self, place: int, more: int) -> None:
        """Let a line of the bill say more, or less."""
        self.lines[place] = self.lines[place]._replace(nano=self.lines[place].nano + more)

    async def naive(self) -> NaiveCheck:
        """Compares two sums, with their signs."""
        of, batches = ledger_bill_lines.c, ledger_batches.c
        newest = select(batches.id).where(batches.tenant == BOOKS).order_by(batches.at_ms.desc(), batches.id).limit(1)

        def sums(connection):  # type: ignore[no-untyped-def]
            batch = connection.execute(newest).scalar_one()
            bill = sum(connection.scalars(select(of.amount_nano).where(of.batch == batch)))
            return bill, sum(connection.scalars(select(ledger_rows.c.billed_nano).where(ledger_rows.c.tenant == BOOKS)))

        bill, ledger = await self.on.store.read(sums)
        off = abs(bill - ledger) * 100 / bill
        return NaiveCheck(
            off <= 2, f"bill ${bill / NANO:.2f}, ledger ${ledger / NANO:.2f}: {off:.1f} % differ, of 2 % allowed"
        )


class Netting(BillMove):
    """4.a: two errors that cancel each other."""

    facts = MoveFacts(
        "netting", "4.a", "One line too high, one too low",
        "The bill has $0.67 of a model that the ledger does not. Before it is imported again, somebody takes as much away from another line.",
        "Differences are absolute, line by line (day × model × key): one that cancels another counts twice.",
        _BOOKS,
    )  # fmt: skip

    async def set_up(self) -> CastPlace:
        """A bill with a difference."""
        place = await self.month()
        self.change(0, NANO * 2 // 3)
        await self.bill("bill.csv")
        return place

    async def cheat(self) -> None:
        """The sum is right again."""
        self.change(1, -(NANO * 2 // 3))
        await self.bill("bill-corrected.csv")


class Dumping(BillMove):
    """4.a: a name for everything that has none."""

    facts = MoveFacts(
        "dumping", "4.a", "Everything else into “unassigned”",
        "The bill has $3 that no workflow explains. Somebody books them in the ledger, on nobody: now the two are equal.",
        "Unassigned, unknown and rounding together may be 5 % of a bill at most: a difference has to get a name, not a place.",
        _BOOKS,
    )  # fmt: skip

    async def set_up(self) -> CastPlace:
        """A bill that is higher."""
        place = await self.month()
        self.lines += [BillCell(line.day, line.model, NANO, "field") for line in self.lines[0:6:2]]
        await self.bill("bill.csv")
        return place

    async def cheat(self) -> None:
        """Book as much on nobody."""
        for line in self.lines[-3:]:
            noon = datetime.datetime.fromisoformat(f"{line.day}T10:00:00+00:00")
            await self.on.spend(
                self.place, model=line.model, labels={"workflow": "nobody", "task": ""}, at_ms=int(noon.timestamp() * 1_000),
                upstream="field",
            )  # fmt: skip
