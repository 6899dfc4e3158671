"""Who may write which events: one table, from the family of an event's type to the kinds of writers it has.

A family is what stands before the first dot of a type. Families that are not named here, and AG-UI's names, are content:
whoever may append may write them. Everything that a client appends, on whatever surface, is checked here and nowhere else.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from holdfast.errors import Refused
from holdfast.session.writer import Writer

RECORD: Final = "record"
"""The verb that a writer of these families needs on the session."""


class Writers(NamedTuple):
    """Who may write the events of a family.

    Attributes:
        kinds: of actors (what stands before the colon) who may, outside runs, with the verb ``record``.
        holder: the holder of an attempt may, inside its own run.
    """

    kinds: frozenset[str] = frozenset()
    holder: bool = False


_NOBODY: Final = Writers()
_GOVERNANCE: Final = Writers(frozenset({"policy", "system"}))

FAMILIES: Final[dict[str, Writers]] = {
    # written by the session program alone
    "session": _NOBODY, "input": _NOBODY, "steer": _NOBODY, "run": _NOBODY, "cancel": _NOBODY, "approval": _NOBODY,
    "branch": _NOBODY, "handoff": _NOBODY,
    # what a run used: said by whoever executes it, or by a recorder that saw the bill
    "usage": Writers(frozenset({"policy", "system"}), holder=True),
    # governance
    "budget": _GOVERNANCE, "route": _GOVERNANCE, "policy": _GOVERNANCE, "workflow": _GOVERNANCE, "trail": _GOVERNANCE,
    # what became of an agent's work: never said by an agent, whose work it is
    "outcome": Writers(frozenset({"policy", "system", "user", "check"})),
}  # fmt: skip


def writers_of(type_: str) -> Writers | None:
    """Who may write events of a type; None when whoever may append may."""
    family, dot, _ = type_.partition(".")
    return FAMILIES.get(family) if dot else None


def is_program(type_: str) -> bool:
    """Whether the session program alone writes events of a type."""
    return writers_of(type_) == _NOBODY


def check(type_: str, writer: Writer, session: str, *, in_run: bool) -> None:
    """Refuse (``input.event_type``, ``auth.denied``) an event that is not its writer's to write.

    Args:
        type_: of the event.
        writer: who writes it, and as which principal.
        session: in which session.
        in_run: the holder of an attempt appends it, in its run.
    """
    writers = writers_of(type_)
    if writers is None or (in_run and writers.holder):
        return
    if not writers.kinds:
        raise Refused("input.event_type", f"{type_!r:.80} is written by the session itself and may not be appended")
    principal = writer.principal
    minters = principal.minters if principal is not None else ()
    by_agent = any(actor.startswith("agent:") for actor in minters)
    if in_run or by_agent or writer.actor.partition(":")[0] not in writers.kinds:
        where = "by the attempt that executes a run, inside it, or " if writers.holder else ""
        raise Refused(
            "input.event_type",
            f"{type_!r:.80} may be written {where}outside runs by actors of the kinds {', '.join(sorted(writers.kinds))}",
            fix=f"Append it outside runs with the token of such an actor, which grants {RECORD!r} on the session.",
        )
    if principal is not None and not principal.may(RECORD, session):
        raise Refused("auth.denied", f"the token does not grant {RECORD!r} on this session, which {type_!r:.80} needs")
