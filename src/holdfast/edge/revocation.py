"""Revoked tokens: one by its id, or all of a subject, durable and at once (ACC-4)."""

from __future__ import annotations

from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.hub.hub import Hub
from holdfast.session.access import Principal

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
        now = self._hub.clock.wall_ms() / 1_000
        for name, data in (await self._hub.engine.facts(_PREFIX)).items():
            tenant, kind, what = name.removeprefix(_PREFIX).split("/", 2)
            until_s = float(data)
            if kind == "subject":
                self._subjects[tenant, what] = until_s
            elif until_s and until_s < now:
                await self._hub.engine.put_fact(name, None)
            else:
                self._tokens.add((tenant, what))

    def check(self, principal: Principal, issued_s: float | None) -> None:
        """Refuse a token that was revoked (``auth.revoked``). ``issued_s`` is its ``iat``."""
        if (principal.tenant, principal.token_id) in self._tokens:
            raise Refused("auth.revoked")
        if self._subjects:
            before = self._subjects.get((principal.tenant, principal.actor))
            if before is not None and (issued_s is None or issued_s <= before):
                raise Refused("auth.revoked")

    async def token(self, principal: Principal, token_id: str) -> None:
        """Revoke one token of the principal's tenant: its own, or any with ``admin`` on all sessions."""
        own = token_id == principal.token_id
        if not own and not principal.may("admin", "*"):
            raise Refused("auth.denied", "only one's own token, or any with admin on all sessions")
        until_s = principal.expires_ms / 1_000 if own and principal.expires_ms is not None else 0.0
        self._tokens.add((principal.tenant, token_id))
        for conn in list(self._hub.connections.values()):
            if conn.principal.tenant == principal.tenant and conn.principal.token_id == token_id:
                conn.close(4411, "token revoked")
        await self._keep(f"{_PREFIX}{principal.tenant}/token/{token_id}", until_s)

    async def subject(self, principal: Principal, actor: str) -> None:
        """Revoke every token of an actor of the tenant issued until now; needs ``admin`` on all sessions."""
        if not principal.may("admin", "*"):
            raise Refused("auth.denied", "revoking all tokens of somebody needs admin on all sessions")
        now = self._hub.clock.wall_ms() / 1_000
        self._subjects[principal.tenant, actor] = now
        for conn in list(self._hub.connections.values()):
            if (conn.principal.tenant, conn.principal.actor) == (principal.tenant, actor):
                conn.close(4411, "token revoked")
        await self._keep(f"{_PREFIX}{principal.tenant}/subject/{actor}", now)

    async def _keep(self, name: str, value_s: float) -> None:
        try:
            await self._hub.engine.put_fact(name, str(value_s).encode())
        except HoldfastError:
            raise Unavailable("commit.unknown", "revoked on this server until it restarts; say it again") from None
