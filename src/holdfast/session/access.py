"""Who may do what: the one authorisation function (ACC-2, ACC-3).

Everything that reads or writes a session, on every surface and in every dialect, asks ``authorise``. A principal holds
capabilities; a capability grants verbs on the sessions its pattern matches; what is not granted is denied.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from holdfast.errors import Refused
from holdfast.protocol import wire
from holdfast.session.labels import Labels

SESSION_VERBS: Final = frozenset({"read", "append", "control", "approve", "presence", "admin", "record"})
"""What can be done in sessions."""
MONEY_VERBS: Final = frozenset({"spend", "budget", "catalogue", "waive", "audit"})
"""What the governance half is asked: see what was spent and by whom (``spend``); say who may spend, with which keys and
in which team (``budget``); propose and approve prices (``catalogue``); let a rule be passed over, by name and date
(``waive``); check rows and evidence (``audit``). They are granted by name and by nothing else: ``admin`` implies none of
them, and no token has them that does not say so."""
VERBS: Final = SESSION_VERBS | MONEY_VERBS


class Capability(msgspec.Struct, frozen=True):
    """A grant: ``verbs`` on every session id equal to ``pattern``, or starting with it when it ends in ``*``."""

    pattern: str
    verbs: frozenset[str]

    def covers(self, session: str) -> bool:
        """Whether the pattern matches the session id."""
        return session == self.pattern or (self.pattern.endswith("*") and session.startswith(self.pattern[:-1]))

    def within(self, other: Capability) -> bool:
        """Whether everything this grants is granted by ``other`` (for minting narrower tokens)."""
        if not self.verbs <= other.verbs:
            return False
        if other.pattern.endswith("*"):
            return (
                self.pattern.rstrip("*").startswith(other.pattern[:-1])
                if self.pattern.endswith("*")
                else other.covers(self.pattern)
            )
        return self.pattern == other.pattern


class Principal(msgspec.Struct, frozen=True):
    """Who is asking, as its access token says.

    Attributes:
        actor: ``user:…``, ``agent:…``, ``policy:…``, ``check:…`` or ``system:…``; events are stamped with it.
        tenant: the only source of the tenant.
        capabilities: what it may do.
        agents: names of agents it may act for (workers).
        token_id: ``jti`` of the token, for revocation.
        expires_ms: Unix ms, or None for a principal inside this process.
        issued_s: Unix seconds at which the token was issued; None when it does not say.
        lineage: ``jti`` of the tokens it was minted from, outermost first.
        minters: the actors of those tokens.
        labels: what the token says of the work done with it; see ``session/labels.py``.
        root: the actor of the outermost token, who answers for all that was minted from it; the actor itself when
            nobody minted it here.
    """

    actor: str
    tenant: str
    capabilities: tuple[Capability, ...]
    agents: frozenset[str] = frozenset()
    token_id: str = ""
    expires_ms: int | None = None
    issued_s: float | None = None
    lineage: tuple[str, ...] = ()
    minters: tuple[str, ...] = ()
    root: str = ""
    labels: Labels = ()

    def __post_init__(self) -> None:
        if not self.root:
            msgspec.structs.force_setattr(self, "root", self.minters[0] if self.minters else self.actor)

    def may(self, verb: str, session: str) -> bool:
        """Whether some capability grants ``verb`` on ``session``."""
        for capability in self.capabilities:  # noqa: SIM110 - asked for every operation; a generator costs twice that
            if verb in capability.verbs and capability.covers(session):
                return True
        return False

    def names(self, verb: str) -> tuple[str, ...] | None:
        """The ids, and the prefixes ending in ``*``, of the sessions on which ``verb`` is granted; None when on all."""
        patterns = {capability.pattern for capability in self.capabilities if verb in capability.verbs}
        if "*" in patterns:
            return None
        prefixes = tuple(pattern[:-1] for pattern in patterns if pattern.endswith("*"))
        return tuple(sorted(p for p in patterns if not any(p.startswith(q) and p != f"{q}*" for q in prefixes)))


def root_of(principal: Principal) -> str:
    """The name whose bounds a principal's work counts against: who minted it, and for sub-agents the agent they are of.

    A person's name is nobody's but theirs: only they themselves, or the right of ``admin``, mint it.
    """
    if principal.actor.startswith("user:"):
        return principal.actor
    root = principal.root or principal.actor
    return root.partition("/")[0] if root.startswith("agent:") else root


NEEDS: Final[dict[type[wire.Op], str]] = {
    wire.Subscribe: "read", wire.Unsubscribe: "read", wire.History: "read", wire.Read: "read",
    wire.Presence: "presence",
    wire.Create: "append", wire.Append: "append", wire.Send: "append",
    wire.Rename: "control", wire.Cancel: "control", wire.Steer: "control", wire.Interrupt: "control",
    wire.Regenerate: "control", wire.Select: "control", wire.Take: "control", wire.GiveBack: "control",
    wire.Resolve: "approve", wire.Delete: "admin",
    wire.Attach: "append", wire.Received: "append", wire.End: "append", wire.Spawn: "append", wire.Ask: "append",
    wire.Wait: "append",
}  # fmt: skip
"""The verb each operation on a session needs. An operation that is not listed here cannot be executed."""


def authorise(principal: Principal, verb: str, session: str) -> None:
    """Let the principal act on the session, or refuse with ``auth.denied``.

    The refusal is the same whether the session exists or not.
    """
    if verb not in VERBS or not principal.may(verb, session):
        raise Refused("auth.denied", f"the token does not grant {verb!r} on this session")


def authorise_agent(principal: Principal, agent: str) -> None:
    """Let the principal act for an agent, or refuse with ``auth.denied``."""
    if agent not in principal.agents and "*" not in principal.agents:
        raise Refused("auth.denied", f"the token does not act for agent {agent!r}")


def actor_and_parents(actor: str) -> Iterator[str]:
    """The actor, and the agents whose sub-agent it is: ``agent:a/b`` and ``agent:a``."""
    yield actor
    while actor.startswith("agent:") and "/" in actor:
        actor = actor.rpartition("/")[0]
        yield actor


def full_access(tenant: str, actor: str, agents: tuple[str, ...] = ()) -> Principal:
    """A principal with every verb of sessions on every session of a tenant, for code inside this process."""
    return Principal(actor, tenant, (Capability("*", SESSION_VERBS),), frozenset(agents))


def inside(actor: str) -> Principal:
    """An actor of this process that no token speaks for."""
    return Principal(actor, "", ())
