"""Access tokens for who is logged in: made as all others are, so that the one access function decides what they may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from holdfast.edge import auth
from holdfast.edge.config import Settings
from holdfast.edge.revocation import Revocations
from holdfast.errors import HoldfastError, Refused
from holdfast.governance.labels import SIGN_IN
from holdfast.governance.oversight.model import Login
from holdfast.session.access import Principal


class TokenMinter:
    """Implements ``Minter`` with the server's own secret.

    Args:
        secret: what HS256 tokens are signed with.
        revocations: of the server.

    Raises:
        HoldfastError: ``config.invalid`` on a server that mints no tokens.
    """

    def __init__(self, secret: str | None, settings: Settings, revocations: Revocations) -> None:
        if secret is None:
            detail = "people can log in to a server only that mints tokens: HS256 is none of its algorithms"
            raise HoldfastError(
                "config.invalid", detail, fix="Add HS256 to HOLDFAST_ALGORITHMS, or leave out the login."
            )
        self._secret = secret
        self._settings = settings
        self._revocations = revocations

    def mint(self, login: Login, capabilities: Mapping[str, Sequence[str]], ttl_s: float) -> str:
        """See ``Minter``."""
        return auth.mint(
            self._secret,
            subject=login.actor,
            tenant=login.tenant,
            capabilities=capabilities,
            ttl_s=ttl_s,
            not_after_s=login.expires_ms / 1_000,
            lineage=[(login.token_id, login.actor)],
            labels={SIGN_IN: str((login.signed_in_ms or login.began_ms) // 1_000)},
            issuer=self._settings.issuer,
            audience=self._settings.audience,
        )

    def ended(self, login: Login) -> bool:
        """See ``Minter``."""
        try:
            self._revocations.check(_principal(login))
        except Refused:
            return True
        return False

    async def end(self, login: Login) -> None:
        """See ``Minter``."""
        await self._revocations.token(_principal(login), login.token_id)


def _principal(login: Login) -> Principal:
    """The login as what it is to its tokens: one that they were minted from. It grants nothing itself."""
    return Principal(
        login.actor,
        login.tenant,
        (),
        token_id=login.token_id,
        expires_ms=login.expires_ms,
        issued_s=login.began_ms / 1_000,
    )
