"""Ids as clients of dialects have them, whose wires have no field for the life of a session (LIFE-1).

An id that a client may send back is sent to it bound to the life in which it is read, unless the id names the life itself.
"""

from __future__ import annotations

from holdfast.errors import Refused
from holdfast.protocol import ids


def outgoing_id(ident: str, life: str) -> str:
    """The id to send to a client: bound to the life (``ids.bind``) for ids of the server; what a client named stays as it is."""
    return ids.bind(ident, life) if ids.parse(ident) is not None else ident


def incoming_id(ident: str, life: str) -> str:
    """The session's own id of what a client's id names.

    Raises:
        Refused: ``session.incarnation``: it was sent in another life.
    """
    bare, bound = ids.unbind(ident)
    if bound is not None and bound == life:
        return bare
    if bound is not None or (ids.parse(bare) is not None and not ids.names_life(bare, life)):
        raise Refused("session.incarnation", f"{bare!r:.80} was read in another life", incarnation=life)
    return bare
