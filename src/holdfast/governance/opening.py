"""The services of a store that a command has opened for itself, put together as ``app.py`` does for a server."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

from holdfast.governance.ledger.bills.service import Bills
from holdfast.governance.ledger.desk import LedgerDesk
from holdfast.governance.ledger.imports.service import Importer
from holdfast.governance.ledger.service import Ledger
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.pricing.service import Prices
from holdfast.governance.store.store import Store
from holdfast.hub.clock import Clock


async def ledger_desk(store: Store, now_ms: Callable[[], int]) -> LedgerDesk:
    """The ledger of a store."""
    organisation = Organisation(store, now_ms)
    await organisation.refresh()
    prices = Prices(store, now_ms)
    await prices.open()
    ledger = Ledger(store, prices, organisation, Clock())
    await ledger.recorder.refresh()
    return LedgerDesk(ledger, Importer(ledger, prices.convert), prices.book_of)


@contextlib.asynccontextmanager
async def bills_of(url: str) -> AsyncIterator[Bills]:
    """The bills of a store by its address, while the context lasts."""
    clock = Clock()
    store = await Store.open(url, clock.wall_ms)
    try:
        desk = await ledger_desk(store, clock.wall_ms)
        yield Bills(desk.ledger, desk.importer)
    finally:
        await store.close()
