"""A store and the session log whose sessions its rows name: each keeps the other's id, and a start compares them.

Both ids change in a restore, and when the newest of a database was lost. So a log that was put back from a backup without its
store, or a store without its log, does not start: rows would name runs that are not there, or runs would have no rows.
"""

from __future__ import annotations

from typing import Final

from holdfast.engines.feed import epoch_of
from holdfast.engines.port import Engine
from holdfast.errors import HoldfastError
from holdfast.governance.store import facts
from holdfast.governance.store.store import Store

LOG_FACT: Final = "governance.store"
"""Under which name the log keeps the id of its store."""


async def pair(store: Store, engine: Engine) -> None:
    """See that a store and an open log belong together; a new log and a new store do from now on.

    A log in memory belongs to nobody: it is gone when its process is.

    Raises:
        HoldfastError: ``store.mismatch``; nothing was changed.
        Unavailable: as ``Store.read`` and ``Store.write`` do.
    """
    if engine.capabilities.durability == "memory":
        return
    epoch = epoch_of(await engine.feed_end())
    log_says = (await engine.get_fact(LOG_FACT) or b"").decode()
    store_says = await store.read(lambda connection: facts.get(connection, facts.LOG))
    check(store.id, store_says, epoch, log_says)
    if not store_says:  # the store first: what is cut short here is ended at the next start
        await store.write(lambda connection: facts.put(connection, facts.LOG, epoch))
    if not log_says:
        await engine.put_fact(LOG_FACT, store.id.encode())


async def accept(store: Store, engine: Engine) -> None:
    """Take a store and an open log for a pair, whatever was before. It is for an owner who knows what is missing.

    Raises:
        Unavailable: as ``Store.write`` does.
    """
    epoch = epoch_of(await engine.feed_end())
    await store.write(lambda connection: facts.put(connection, facts.LOG, epoch))
    await engine.put_fact(LOG_FACT, store.id.encode())


def check(store_id: str, store_says: str, epoch: str, log_says: str) -> None:
    """Compare what each is with what the other says of it.

    Args:
        store_id: the life of the store. ``log_says``: the store that the log knows, or empty.
        epoch: the life of the log. ``store_says``: the log that the store knows, or empty.

    Raises:
        HoldfastError: ``store.mismatch``.
    """
    log_is_right, store_is_right = log_says == store_id, store_says == epoch
    if (log_is_right and store_is_right) or (not log_says and (store_is_right or not store_says)):
        return
    if log_is_right:
        detail = (
            "the session log is not in the state that the store belongs to: it was restored alone, or lost its newest"
        )
    elif store_is_right:
        detail = (
            "the store is not the one that the session log belongs to now: it was restored alone, or lost its newest"
        )
    elif not log_says:
        detail = "the store belongs to another session log, and this one has no store yet"
    elif not store_says:
        detail = "the session log belongs to another store, and this one is new"
    else:
        detail = "the store belongs to another session log, and the session log to another store"
    raise HoldfastError("store.mismatch", detail)
