"""What errors of PostgreSQL mean: by their SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html)."""

from __future__ import annotations

from typing import Final

from sqlalchemy.exc import DBAPIError

_CONFLICTS: Final = frozenset({"40001", "40P01"})
"""No order could be found with what ran beside it, or they waited for each other
(https://www.postgresql.org/docs/current/mvcc-serialization-failure-handling.html)."""

_OF_THE_SERVER: Final = ("08", "25006", "28", "3D", "53", "55P03", "57", "58", "F0", "XX")
"""Classes, or single codes: connection, read-only transaction (a standby), authorisation, no such database, resources (a full
disk is 53100), a lock that is not to be had, an operator's doing, the system, configuration, an internal error."""


def is_a_conflict(error: DBAPIError) -> bool:
    """Whether the same transaction may succeed when it is run again."""
    return _state(error) in _CONFLICTS


def is_of_the_server(error: DBAPIError) -> bool:
    """Whether it is the server, or the way to it, that failed, and not a statement."""
    return error.connection_invalidated or _state(error).startswith(_OF_THE_SERVER)


def reason_of(error: BaseException) -> str:
    """What the driver said, without SQLAlchemy's frame around it, which has the statement."""
    original = getattr(error, "orig", None) or error
    return str(getattr(original, "__cause__", None) or original) or type(original).__name__


def _state(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", "") or "")
