"""Revoked tokens: one by its id, or all of a subject, durable and at once (ACC-4)."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.hub.hub import Hub
from holdfast.session.access import Principal, actor_and_parents

_PREFIX = "revoked/"


class Revocations:
    """What was revoked on this server, by tenant: token ids, and subjects with the time before which theirs are void.

    Kept in memory and, as facts ``revoked/TENANT/token/JTI`` and ``revoked/TENANT/subject/ACTOR``, in the engine.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._tokens: set[tuple[str, str]] = set()
        self._subjects: dict[tuple[str, str], float] = {}

    async def load(self) -> None:
        """Read them from the engine, before the first connection is admitted; forget tokens that have expired since."""
        now = self._hub.clock.token_ms() / 1_000
        for name, data in (await self._hub.engine.facts(_PREFIX)).items():
            tenant, kind, what = name.removeprefix(_PREFIX).split("/", 2)
            until_s = float(data)
            if kind == "subject":
                self._subjects[tenant, what] = until_s
            elif until_s and until_s < now:
                await self._hub.engine.put_fact(name, None)
            else:
                self._tokens.add((tenant, what))

    def check(self, principal: Principal) -> None:
        """Refuse (``auth.revoked``) a token that was revoked, or was minted from one, however far back.

        A token is never issued after one it was minted from was revoked, so its own time of issue tells for all of them.
        """
        if any((principal.tenant, token_id) in self._tokens for token_id in (principal.token_id, *principal.lineage)):
            raise Refused("auth.revoked")
        if self._subjects:
            for actor in actors_of(principal):
                before = self._subjects.get((principal.tenant, actor))
                if before is not None and (principal.issued_s is None or principal.issued_s <= before):
                    raise Refused("auth.revoked")

    async def token(self, principal: Principal, token_id: str) -> None:
        """Revoke one token of the principal's tenant, and all that was minted from it: its own, or any with ``admin`` on all
        sessions. Those live no longer than it does, so what is kept of it is kept until it expires."""
        own = token_id == principal.token_id
        if not own and not principal.may("admin", "*"):
            raise Refused("auth.denied", "only one's own token, or any with admin on all sessions")
        until_s = principal.expires_ms / 1_000 if own and principal.expires_ms is not None else 0.0
        self._tokens.add((principal.tenant, token_id))
        self._close_revoked(principal.tenant)
        await self._store(f"{_PREFIX}{principal.tenant}/token/{token_id}", until_s)

    async def subject(self, principal: Principal, actor: str) -> None:
        """Revoke every token issued until now to an actor of the tenant, to its sub-agents, and to whom they minted one;
        needs ``admin`` on all sessions."""
        if not principal.may("admin", "*"):
            raise Refused("auth.denied", "revoking all tokens of somebody needs admin on all sessions")
        now = self._hub.clock.token_ms() / 1_000
        self._subjects[principal.tenant, actor] = now
        self._close_revoked(principal.tenant)
        await self._store(f"{_PREFIX}{principal.tenant}/subject/{actor}", now)

    def _close_revoked(self, tenant: str) -> None:
        """Close what is open with a token that is not good any more: sockets, and responses that stream."""
        for conn in list(self._hub.connections.values()):
            if conn.principal.tenant == tenant:
                try:
                    self.check(conn.principal)
                except Refused:
                    conn.close(4411, "token revoked")

    async def _store(self, name: str, value_s: float) -> None:
        try:
            await self._hub.engine.put_fact(name, str(value_s).encode())
        except HoldfastError:
            raise Unavailable("commit.unknown", "revoked on this server until it restarts; say it again") from None


def actors_of(principal: Principal) -> Iterator[str]:
    """Every actor whose revocation ends this principal: itself, who minted for it, and whose sub-agents they are."""
    for actor in (principal.actor, *principal.minters):
        yield from actor_and_parents(actor)
