"""What a login knows. Pure types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from holdfast.governance.directory.model import Person
from holdfast.governance.oversight.roles import Role


class PendingLogin(msgspec.Struct, frozen=True):
    """A login that was begun: what the browser carries, sealed, until the provider sends it back.

    Attributes:
        state: that the provider has to send back with the code.
        nonce: that the provider has to put into the identity token.
        verifier: of which the provider was told a hash (PKCE, RFC 7636).
        then: path of the page to open afterwards.
        at_ms: when it was begun.
    """

    state: str
    nonce: str
    verifier: str
    then: str
    at_ms: int


class Identity(NamedTuple):
    """Who the provider says that somebody is.

    Attributes:
        actor: ``user:…``.
        person: what it says of them beside that.
        signed_in_s: Unix seconds at which they showed the provider who they are; None where it does not say.
    """

    actor: str
    groups: tuple[str, ...]
    person: Person
    signed_in_s: int | None = None


class Login(msgspec.Struct, frozen=True):
    """Somebody who is logged in.

    Attributes:
        hash: of what is in the cookie.
        token_id: ancestor of the tokens that it gives: they end with it.
        began_ms, expires_ms: Unix ms.
        signed_in_ms: when they showed the provider who they are, which may have been before; None for a login that an earlier
            version began.
    """

    hash: str
    token_id: str
    tenant: str
    actor: str
    roles: tuple[Role, ...]
    began_ms: int
    expires_ms: int
    signed_in_ms: int | None = None


class SignIns(Protocol):
    """Is told who signs in: ``directory/service.py``."""

    def is_unproven(self, tenant: str, login: Person, /) -> bool:
        """Whether somebody logs in under a name that is somebody's address, and the provider did not verify that it is theirs."""

    async def login(self, tenant: str, login: Person, at_ms: int) -> None:
        """Somebody logged in; ``at_ms``: when they showed who they are, Unix ms."""


class Minter(Protocol):
    """Makes access tokens of this server."""

    def mint(self, login: Login, capabilities: Mapping[str, Sequence[str]], ttl_s: float) -> str:
        """A token for somebody who is logged in, not longer than the login lasts."""

    def ended(self, login: Login) -> bool:
        """Whether the login may give no more tokens, because an operator revoked it or the person since it began."""

    async def end(self, login: Login) -> None:
        """Void every token that a login has given."""
