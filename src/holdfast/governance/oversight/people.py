"""Who is behind a call: the tokens of this server's people, as the gateway asks of them (``gateway/port.py: People``)."""

from __future__ import annotations

from holdfast.edge.auth import Verifier
from holdfast.errors import Refused
from holdfast.governance import labels


class SignedPeople:
    """Implements ``People`` with what verifies access tokens here."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    def verify(self, token: str, tenant: str) -> int:
        """See ``People``."""
        principal = self._verifier.verify(token)
        if principal.tenant != tenant or not principal.actor.startswith("user:"):
            raise Refused("auth.denied", "the token sent along is of no person of the key's tenant")
        signed = labels.signed_in_s(dict(principal.labels))
        if signed is None:
            fix = "Send the token that the person got by logging in, or leave it out."
            raise Refused("auth.denied", "the token sent along does not say when its person signed in", fix=fix)
        return signed
