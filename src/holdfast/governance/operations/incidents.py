"""What an incident touched: counted from the stop that ended it and from the ledger's rows of its time."""

from __future__ import annotations

from msgspec.structs import replace
from sqlalchemy import Connection

from holdfast.governance.ledger.touched import touched
from holdfast.governance.operations import store
from holdfast.governance.operations.model import Incident, StopOrder


def of_stop(connection: Connection, incident: Incident, stop: StopOrder) -> Incident:
    """The incident of a stop that is done: it began when the first of the runs that were ended was queued."""
    took_ms = stop.done_ms - stop.at_ms if stop.done_ms is not None else None
    from_ms = store.earliest_ms(connection, stop)
    return measured(connection, replace(incident, from_ms=from_ms, to_ms=stop.done_ms, stopped_ms=took_ms), stop)


def measured(connection: Connection, incident: Incident, stop: StopOrder | None, now_ms: int = 0) -> Incident:
    """What it touched, as far as is on record by now. A run that was ended may have cost nothing, and a call of the gateway
    may be in no session: each count is the larger of the two sources', so at least so many they were."""
    until_ms = incident.to_ms if incident.to_ms is not None else now_ms
    found = touched(connection, incident.tenant, incident.workflow, incident.from_ms, until_ms)
    ended = store.receipt(connection, stop, 0) if stop is not None else None
    return replace(
        incident,
        sessions=max(found.sessions, ended.sessions if ended is not None else 0),
        people=max(found.people, ended.people if ended is not None else 0),
        outputs=max(found.runs, ended.running + ended.queued + ended.waiting if ended is not None else 0),
        cost_nano=found.cost_nano,
    )
