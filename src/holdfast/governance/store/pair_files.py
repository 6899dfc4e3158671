"""Whether a session log and a store that no server has open are a pair, and taking them for one: for a command."""

from __future__ import annotations

from holdfast.engines.sqlite import identity
from holdfast.governance.store import facts, pairing
from holdfast.governance.store.store import Store


async def check(log_path: str, url: str, now_ms: int) -> bool:
    """Whether both have been used together already; False for two that may begin to.

    Args:
        log_path: the SQLite database of the session log.
        url: address of the store.
        now_ms: Unix milliseconds.

    Raises:
        HoldfastError: ``store.mismatch`` when a server would not start with them; ``engine.locked`` while one has the store
            open; ``config.invalid``, ``engine.version``, ``engine.corrupt``.
        Unavailable: ``store.unavailable``.
    """
    epoch, noted = identity.read(log_path, pairing.LOG_FACT)
    log_says = (noted or b"").decode()
    store = await Store.open(url, lambda: now_ms)
    try:
        store_says = await store.read(lambda connection: facts.get(connection, facts.LOG))
        pairing.check(store.id, store_says, epoch, log_says)
    finally:
        await store.close()
    return bool(store_says and log_says)


async def accept(log_path: str, url: str, now_ms: int) -> None:
    """Take both for a pair, whatever was before. It is for an owner who knows what is missing.

    Args:
        log_path, url, now_ms: as for ``check``.

    Raises:
        HoldfastError: ``engine.locked`` while a server has one of them open: nothing was changed then; and as ``check``.
        Unavailable: ``store.unavailable``.
    """
    epoch, _ = identity.read(log_path, pairing.LOG_FACT)
    store = await Store.open(url, lambda: now_ms)
    try:
        # the log first: it is the one that may be in use; cut short after it, the two do not start, and it is done again
        identity.note(log_path, pairing.LOG_FACT, store.id.encode())
        await store.write(lambda connection: facts.put(connection, facts.LOG, epoch))
    finally:
        await store.close()
