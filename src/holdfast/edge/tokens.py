"""Minting narrower tokens, and revoking them durably (ACC-2, ACC-4)."""

from __future__ import annotations

import time
from typing import Annotated, Any

import msgspec

from holdfast.edge import auth
from holdfast.edge.config import Settings
from holdfast.edge.revocation import Revocations
from holdfast.errors import Refused
from holdfast.protocol import codec, limits, wire
from holdfast.session import labels as session_labels
from holdfast.session.access import Principal


class NarrowRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What may be asked of a minted token; everything within what the asking token grants."""

    sub: wire.EntityId
    caps: Annotated[dict[str, list[str]], msgspec.Meta(min_length=1, max_length=limits.CAPABILITIES)]
    agents: Annotated[list[wire.Name], msgspec.Meta(max_length=limits.CAPABILITIES)] = []
    ttl_s: Annotated[float, msgspec.Meta(ge=1, le=limits.NARROW_TTL_S)] = 900.0
    labels: dict[str, str] = {}


def _labels(principal: Principal, request: NarrowRequest) -> dict[str, str]:
    """The labels of a narrower token: the asking one's, and others where it may vouch for work there. When a person signed in
    goes with tokens of theirs and of agents; nobody who mints can say it otherwise. Raises as ``narrow``."""
    own, added = dict(principal.labels), dict(session_labels.parse(request.labels, "input.malformed"))
    if request.sub.startswith("user:") and request.sub != _person(principal):
        own.pop(session_labels.SIGN_IN, None)
    if added.get(session_labels.SIGN_IN) != own.get(session_labels.SIGN_IN) and session_labels.SIGN_IN in added:
        raise Refused("auth.denied", "when somebody signed in is said by their login and by nobody else")
    for name, value in added.items():
        if own.get(name, value) != value:
            raise Refused("auth.denied", f"the asking token is for {name} {own[name]!r}, and so is what it mints")
    if added.keys() - own.keys():
        for capability in auth.parse_capabilities(request.caps, "input.malformed"):
            if not any(capability.within(one) and "admin" in one.verbs for one in principal.capabilities):
                raise Refused("auth.denied", f"to say what work is for needs admin on {capability.pattern!r}")
    return own | added


def _person(principal: Principal) -> str:
    """Whose sign-in a token speaks of: the person it is of, or from whose token it was minted last; empty for nobody."""
    people = [actor for actor in (*principal.minters, principal.actor) if actor.startswith("user:")]
    return people[-1] if people else ""


class RevokeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The ``jti`` of the token to revoke, or the subject (``sub``) all of whose tokens are to be void."""

    jti: wire.EntityId | None = None
    sub: wire.EntityId | None = None


class Tokens:
    """Tokens of one server: narrower ones on request, and revoking them."""

    def __init__(
        self, settings: Settings, secret: str | None, verifier: auth.Verifier, revocations: Revocations
    ) -> None:
        self._settings = settings
        self._secret = secret
        self._verifier = verifier
        self._revocations = revocations

    def narrow(self, principal: Principal, body: Any) -> dict[str, Any]:
        """Mint a token within the asking principal's own grants and lifetime; it carries the ancestry of the asking one.

        Raises:
            Refused: ``auth.denied`` when it would grant more, or is one too many in a row; ``input.malformed``;
                ``input.too_large`` when the token would be longer than one may be.
        """
        if self._secret is None:
            raise Refused("auth.denied", "this server mints no tokens; ask the token issuer")
        request = codec.convert(body, NarrowRequest)
        if not request.sub.startswith(("user:", "agent:")) or not auth.ACTOR.fullmatch(request.sub):
            raise Refused("input.malformed", "sub: must be user:… or agent:…")
        may_speak = _speaks_for(principal, request.sub)
        for capability in auth.parse_capabilities(request.caps, "input.malformed"):
            holders = [own for own in principal.capabilities if capability.within(own)]
            if not holders:
                raise Refused("auth.denied", f"the asking token grants less on {capability.pattern!r}")
            if not may_speak and not any("admin" in own.verbs for own in holders):
                raise Refused("auth.denied", f"a token for {request.sub} needs admin on {capability.pattern!r}")
        if not ("*" in principal.agents or set(request.agents) <= principal.agents):
            raise Refused("auth.denied", "the asking token does not act for these agents")
        if len(principal.lineage) >= limits.LINEAGE_TOKENS:
            detail = f"the asking token is the last of {limits.LINEAGE_TOKENS + 1} that were minted one from another"
            raise Refused("auth.denied", detail, fix="Mint it from a token nearer to the first.")
        lineage = zip((*principal.lineage, principal.token_id), (*principal.minters, principal.actor), strict=True)
        token = auth.mint(
            self._secret,
            subject=request.sub,
            tenant=principal.tenant,
            capabilities=request.caps,
            agents=request.agents or ([""] if request.sub.startswith("agent:") else []),
            ttl_s=request.ttl_s,
            not_after_s=principal.expires_ms / 1_000 if principal.expires_ms is not None else None,
            lineage=list(lineage),
            labels=_labels(principal, request),
            issuer=self._settings.issuer,
            audience=self._settings.audience,
        )
        if len(token) > limits.TOKEN_CHARS:
            raise Refused("input.too_large", f"the token would be longer than {limits.TOKEN_CHARS} characters")
        minted = self._verifier.verify(token)
        assert minted.expires_ms is not None
        left_s = minted.expires_ms / 1_000 - time.time()
        return {"token": token, "jti": minted.token_id, "expires_in_s": max(0, round(left_s))}

    async def revoke(self, principal: Principal, body: Any) -> None:
        """Revoke a token by its id, or every token of a subject."""
        request = codec.convert(body, RevokeRequest)
        if (request.jti is None) == (request.sub is None):
            raise Refused("input.malformed", "body: name either jti or sub")
        if request.jti is not None:
            await self._revocations.token(principal, codec.check_entity_id(request.jti, "jti"))
        elif request.sub is not None:
            await self._revocations.subject(principal, codec.check_entity_id(request.sub, "sub"))


def _speaks_for(principal: Principal, actor: str) -> bool:
    """Whether a token for the actor lets nobody speak who could not before: oneself, or a sub-agent of one's agents."""
    if actor == principal.actor:
        return True
    kind, _, name = actor.partition(":")
    return kind == "agent" and name.partition("/")[0] in principal.agents
