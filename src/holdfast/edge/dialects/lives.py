"""Ids as clients of dialects have them, whose wires have no field for the life of a session (LIFE-1).

What a client may send back to act on is given out bound to the life in which it is read, unless it says that by itself.
"""

from __future__ import annotations

from holdfast.errors import Refused
from holdfast.protocol import ids


def told(ident: str, life: str) -> str:
    """An id as a client is given it: ``ids.bind``, for runs, approvals and messages; what somebody else named stays so."""
    return ids.bind(ident, life) if ids.parse(ident) is not None else ident


def meant(ident: str, life: str) -> str:
    """The id of the session that a client's id means.

    Raises:
        Refused: ``session.incarnation``: it was given out in another life.
    """
    known, bound = ids.unbind(ident)
    if bound is not None and bound == life:
        return known
    if bound is not None or (ids.parse(known) is not None and not ids.names_life(known, life)):
        raise Refused("session.incarnation", f"{known!r:.80} was read in another life", incarnation=life)
    return known
