"""Ids that the server makes: a letter, a position and the life of the session in which they were made: ``r7-3f9a0c21be``.

A position comes again after a session was deleted and created, or restored from a backup; an id does not. So whoever
acts on something by an id of a former life is told so, on every surface, and never acts on something else (LIFE-1).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

FIRST_LIFE_BYTES: Final = 5
LATER_LIFE_BYTES: Final = 6
"""Randomness in the name of a life, in hex: of the first one of a session id in its database, and of any other."""

_LIFE: Final = "[0-9a-f]{10,16}"
_RUN: Final = rf"(r)([1-9]\d{{0,15}})(?:-({_LIFE}))?"  # version 0.1 made run ids from the position alone
_OTHER: Final = rf"([msp])([1-9]\d{{0,15}})-({_LIFE})"
_SERVER_ID: Final = re.compile(rf"(?:{_RUN}|{_OTHER})(?![0-9A-Za-z-])")
_BOUND: Final = re.compile(rf"(.+)@({_LIFE})")


class ServerId(NamedTuple):
    """What an id of the server says.

    Attributes:
        kind: ``r`` a run, ``m`` an input message, ``s`` a steer, ``p`` an approval that a policy asks for.
        seq: the position in the log from which it was made.
        life: the incarnation in which it was made; empty in run ids of version 0.1.
        ident: the id itself, without what somebody put behind it (``r7-3f9a0c21be`` of ``r7-3f9a0c21be.1.m2``).
    """

    kind: str
    seq: int
    life: str
    ident: str


def make(kind: str, seq: int, life: str) -> str:
    """The id of what begins at ``seq`` in this life."""
    return f"{kind}{seq}-{life}"


def parse(ident: str) -> ServerId | None:
    """What an id says that the server made, or that begins with one; None for an id of somebody else's."""
    match = _SERVER_ID.match(ident)
    if match is None:
        return None
    kind, seq, life = match.groups()[:3] if match[1] else match.groups()[3:]
    return ServerId(kind, int(seq), life or "", match[0])


def is_first(life: str) -> bool:
    """Whether this is certainly the first life of its session id: then no name can be one of a former life."""
    return len(life) == 2 * FIRST_LIFE_BYTES


def names_life(ident: str, life: str) -> bool:
    """Whether an id alone says that it was read in this life."""
    server_id = parse(ident)
    return is_first(life) if server_id is None else server_id.life == life


def bind(ident: str, life: str) -> str:
    """An id as it is handed out where a wire has no field for the life in which it is read: with that life behind it,
    unless it says so itself.
    """
    return ident if names_life(ident, life) else f"{ident}@{life}"


def unbind(ident: str) -> tuple[str, str | None]:
    """What ``bind`` was given: the id, and the life in which it was read, if that stands behind it."""
    match = _BOUND.fullmatch(ident) if "@" in ident else None
    return (match[1], match[2]) if match is not None else (ident, None)
