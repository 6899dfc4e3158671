"""Minting narrower tokens, and revoking them durably (ACC-2, ACC-4)."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from holdfast.edge import auth
from holdfast.edge.config import Settings
from holdfast.errors import HoldfastError, Refused
from holdfast.hub.hub import Hub
from holdfast.session.access import Principal

_PREFIX = "revoked:"
_KEEP_S = 90 * 86_400


class NarrowRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What may be asked of a minted token; everything within what the asking token grants."""

    sub: str
    caps: dict[str, list[str]]
    agents: list[str] = []
    ttl_s: float = 900.0


class RevokeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The ``jti`` of the token to revoke."""

    jti: str


class Tokens:
    """Tokens of one server: narrower ones on request, and the list of those revoked, kept in the engine."""

    def __init__(self, hub: Hub, settings: Settings, secret: str | None, verifier: auth.Verifier) -> None:
        self._hub = hub
        self._settings = settings
        self._secret = secret
        self._verifier = verifier
        self._loading = asyncio.Lock()

    async def load(self) -> None:
        """Read the revoked tokens from the engine; before the first connection is admitted."""
        async with self._loading:
            for name in await self._hub.engine.facts(_PREFIX):
                self._verifier.revoked.add(name.removeprefix(_PREFIX))

    def narrow(self, principal: Principal, body: Any) -> dict[str, Any]:
        """Mint a token within the asking principal's own grants and lifetime.

        Raises:
            Refused: ``auth.denied`` when it would grant more; ``input.malformed``.
        """
        if self._secret is None:
            raise Refused("auth.denied", "this server mints no tokens; ask the token issuer")
        asked = _convert(body, NarrowRequest)
        for capability in auth.parse_capabilities(asked.caps):
            holders = [own for own in principal.capabilities if capability.within(own)]
            if not holders:
                raise Refused("auth.denied", f"the asking token grants less on {capability.pattern!r}")
            if not _speaks_for(principal, asked.sub) and not any("admin" in own.verbs for own in holders):
                raise Refused("auth.denied", f"a token for {asked.sub} needs admin on {capability.pattern!r}")
        if not ("*" in principal.agents or set(asked.agents) <= principal.agents):
            raise Refused("auth.denied", "the asking token does not act for these agents")
        if asked.sub.startswith(("system:", "policy:")) or not 1 <= asked.ttl_s <= 86_400:
            raise Refused("input.malformed", "sub must be user:… or agent:…, ttl_s from 1 to 86400")
        left = asked.ttl_s
        if principal.expires_ms is not None:
            left = min(left, principal.expires_ms / 1_000 - self._hub.clock.wall_ms() / 1_000)
        agents = asked.agents or ([""] if asked.sub.startswith("agent:") else [])
        token = auth.mint(
            self._secret, subject=asked.sub, tenant=principal.tenant, capabilities=asked.caps, agents=agents, ttl_s=left,
            issuer=self._settings.issuer, audience=self._settings.audience,
        )  # fmt: skip
        return {"token": token, "expires_in_s": round(left)}

    async def revoke(self, principal: Principal, body: Any) -> None:
        """Revoke a token: one's own, or, with admin over everything, any of the tenant."""
        asked = _convert(body, RevokeRequest)
        if asked.jti != principal.token_id and not principal.may("admin", "*"):
            raise Refused("auth.denied", "only one's own token, or any with admin over all sessions")
        if not asked.jti.isalnum() or len(asked.jti) > 64:
            raise Refused("input.malformed", "jti: letters and digits only")
        self._verifier.revoked.add(asked.jti)
        self._hub.drop(asked.jti)
        try:
            await self._hub.engine.put_fact(
                _PREFIX + asked.jti, str(self._hub.clock.wall_ms() // 1_000 + _KEEP_S).encode()
            )
        except HoldfastError:
            raise HoldfastError("commit.unknown", "revoked on this server until it restarts; say it again") from None


def _speaks_for(principal: Principal, actor: str) -> bool:
    """Whether a token for the actor lets nobody speak who could not before: oneself, or a sub-agent of one's agents."""
    if actor == principal.actor:
        return True
    kind, _, name = actor.partition(":")
    return kind == "agent" and name.partition("/")[0] in principal.agents


def _convert(body: Any, shape: Any) -> Any:
    try:
        return msgspec.convert(body, shape)
    except msgspec.ValidationError as error:
        raise Refused("input.malformed", f"body: {error}") from None
