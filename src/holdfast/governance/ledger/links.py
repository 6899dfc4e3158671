"""Which run a call of the gateway is of, where only the run's own log says so (``usage.recorded`` with ``call``).

The event may come before the call is settled, for the agent has the answer a moment before the ledger has its row. Then the
link is kept beside the opening, and the rows name the run from the beginning. Rows that are there are replaced by such that do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, delete, select

from holdfast.gateway.port import Opening
from holdfast.governance.ledger import settling, store
from holdfast.governance.ledger.model import Row
from holdfast.governance.store.tables.ledger import ledger_links as links


class RunLink(msgspec.Struct, frozen=True):
    """A call, or an attempt, and the run that it is of."""

    tenant: str
    call: str
    session: str
    run: str = ""
    attempt: int = 0
    parent: str = ""
    agent: str = ""


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(RunLink)


def names_none(row: Row) -> bool:
    """Whether a row says of no run that it is part of it."""
    return not row.session and not row.run


def named(row: Row, link: RunLink) -> Row:
    """The row with its run."""
    return replace(
        row, session=link.session, run=link.run, run_attempt=link.attempt, parent_run=link.parent, agent=link.agent
    )


def replacements(rows: Sequence[Row], link: RunLink) -> list[Row]:
    """What replaces those of a call's rows that name no run. What they rest on stays: an estimate is one still."""
    return [
        replace(named(row, link), id=settling.correction_id(row.id), corrects=row.id) for row in rows if names_none(row)
    ]


def keep(connection: Connection, link: RunLink) -> bool:
    """Keep a link for the rows of attempts that are open. False where none is: its rows are there by now."""
    if not store.attempts_open(connection, link.tenant, link.call):
        return False
    facts = {"tenant": link.tenant, "call": link.call, "session": link.session}
    store.add_once(connection, links, {**facts, "link": _encoder.encode(link).decode()})
    return True


def linked_calls(connection: Connection, openings: Sequence[Opening]) -> set[str]:
    """Which of these attempts, or of their calls, have a link."""
    names = [name for opening in openings for name in (opening.id, opening.call.id)]
    return set(connection.scalars(select(links.c.call).where(links.c.call.in_(names))))


def apply(connection: Connection, opening: Opening, rows: Sequence[Row]) -> Sequence[Row]:
    """An attempt was closed: its rows, with the run that was told of meanwhile. With a call's last one its link goes."""
    if not any(names_none(row) for row in rows):
        return rows
    tenant, call = opening.call.caller.tenant, opening.call.id
    mine = links.c.tenant == tenant, links.c.call.in_([call, opening.id])
    found = connection.scalars(select(links.c.link).where(*mine).limit(1)).first()
    if found is None:
        return rows
    if not store.attempts_open(connection, tenant, call):
        connection.execute(delete(links).where(*mine))
    link = _decoder.decode(found)
    return [named(row, link) if names_none(row) else row for row in rows]
