"""The login to the console: who may come in, and the access tokens they get."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from authlib.common.security import generate_token  # type: ignore[import-untyped]

from holdfast.errors import HoldfastError, Refused
from holdfast.governance import limits
from holdfast.governance.oversight import store as statements
from holdfast.governance.oversight.model import Identity, Login, Minter, PendingLogin, SignIns
from holdfast.governance.oversight.provider import IdentityProvider
from holdfast.governance.oversight.roles import ROLES, verbs_of
from holdfast.governance.oversight.sealing import Seal
from holdfast.governance.oversight.settings import LoginConfig
from holdfast.governance.store.store import Store
from holdfast.visible import logger, visible

log: Final = logger("holdfast.governance")


class StartedLogin(NamedTuple):
    """A login that was begun: where the browser goes, and what it carries."""

    url: str
    cookie: str


class Logins:
    """Logins by one identity provider.

    Args:
        store: where it is kept who is logged in.
        provider: who says who somebody is.
        minter: makes their access tokens.
        seal: for what browsers carry meanwhile.
        now_ms: the clock, Unix ms.
        sign_ins: is told of each login; None for nobody.
    """

    def __init__(
        self,
        store: Store,
        config: LoginConfig,
        provider: IdentityProvider,
        minter: Minter,
        seal: Seal,
        now_ms: Callable[[], int],
        sign_ins: SignIns | None = None,
    ) -> None:
        self._store = store
        self._config = config
        self._provider = provider
        self._minter = minter
        self._seal = seal
        self._now_ms = now_ms
        self._sign_ins = sign_ins
        self._ended: OrderedDict[str, int] = OrderedDict()

    async def begin(self, then: str, *, again: bool = False) -> StartedLogin:
        """Begin a login that leads to a page.

        Args:
            again: the provider shall ask who it is, though it knows somebody: that one was refused here.

        Raises:
            Refused: ``login.refused`` when the provider is not who it should be.
            Unavailable: ``upstream.unreachable``.
        """
        pending = PendingLogin(generate_token(43), generate_token(43), generate_token(64), _path(then), self._now_ms())
        return StartedLogin(await self._provider.authorization_url(pending, again=again), self._seal.close(pending))

    async def end(self, carried: str, state: str, code: str, issuer: str = "", error: str = "") -> tuple[str, str]:
        """End a login with what the provider sent back.

        Args:
            carried: what the browser carried since the beginning.
            issuer: who the answer says that it is from; empty when it does not say.
            error: the provider's own word for why there is no code.

        Returns:
            What goes into the cookie of who is logged in now, and the path of the page to open.

        Raises:
            Refused: ``login.refused``, with the reason.
            Unavailable: ``upstream.unreachable``, ``store.unavailable``.
        """
        now_ms = self._now_ms()
        pending = self._seal.open(carried, now_ms)
        if not state or not hmac.compare_digest(state.encode(), pending.state.encode()):
            raise Refused("login.refused", "the answer belongs to another login than the one this browser began")
        self._use(pending.state, now_ms)
        if issuer and issuer != self._config.issuer:
            raise Refused("login.refused", "the answer is from another identity provider")
        if error or not code:
            raise Refused("login.refused", f"the identity provider refused: {visible(error)[:80] or 'no code'}")
        identity = await self._provider.identity(code, pending)
        roles = {role for group in identity.groups for role in self._config.roles.get(group, ())}
        if not roles:
            detail = f"{identity.actor} is in none of the groups that have a role here"
            fix = f"Ask {self._config.contact} to put you into one of them."
            raise Refused("login.refused", detail, fix=fix)
        self._check_name(identity)
        secret = secrets.token_urlsafe(32)
        signed_in_ms = min(now_ms, now_ms if identity.signed_in_s is None else identity.signed_in_s * 1_000)
        login = Login(
            _hash(secret),
            secrets.token_hex(12),
            self._config.tenant,
            identity.actor,
            tuple(sorted(roles)),
            now_ms,
            now_ms + int(limits.LOGIN_SESSION_S * 1_000),
            signed_in_ms,
        )
        await self._store.write(lambda connection: statements.add(connection, login))
        await self._note(login, identity, signed_in_ms)
        log.info("%s logged in as %s", login.actor, ", ".join(login.roles))
        return secret, pending.then

    def _check_name(self, identity: Identity) -> None:
        """Nobody becomes the owner of a workflow by writing an owner's address where the provider lets them write."""
        if self._sign_ins is not None and self._sign_ins.is_unproven(self._config.tenant, identity.person):
            detail = f"{identity.actor:.140} is the address of somebody in the directory, and the provider has not verified it"
            fix = "Have the provider send email_verified, or name people by another claim: HOLDFAST_GOVERNANCE_OIDC_ACTOR_CLAIM."
            raise Refused("login.refused", detail, fix=fix)

    async def _note(self, login: Login, identity: Identity, at_ms: int) -> None:
        if self._sign_ins is None:
            return
        try:
            await self._sign_ins.login(login.tenant, identity.person, at_ms)
        except HoldfastError as error:  # who is logged in is not sent away for that
            log.warning("the login of %s could not be noted in the directory: %s", login.actor, error)

    def _use(self, state: str, now_ms: int) -> None:
        """A login ends once, whatever comes of it. Another process knows nothing of it; there the provider refuses the
        code, which is good for one use (RFC 6749, section 4.1.2)."""
        while self._ended and next(iter(self._ended.values())) <= now_ms - limits.LOGIN_S * 1_000:
            self._ended.popitem(last=False)
        if state in self._ended:
            raise Refused("login.refused", "this login has ended already")
        if len(self._ended) >= limits.LOGIN_STATES:
            self._ended.popitem(last=False)
        self._ended[state] = now_ms

    async def token(self, secret: str) -> dict[str, Any]:
        """A short access token for who is logged in: ``{token, expires_in_s, actor, roles, verbs}``.

        Raises:
            Refused: ``auth.required`` for nobody, or nobody any more.
            Unavailable: ``store.unavailable``.
        """
        login = await self._find(secret)
        if login is None or self._minter.ended(login):
            raise Refused("auth.required", "nobody is logged in, or not any more", fix="Log in again.")
        roles = [role for role in login.roles if role in ROLES]
        verbs = verbs_of(roles)
        left_s = (login.expires_ms - self._now_ms()) / 1_000
        ttl_s = min(limits.LOGIN_TOKEN_S, left_s)
        token = self._minter.mint(login, {"*": verbs}, ttl_s)
        return {"token": token, "expires_in_s": int(ttl_s), "actor": login.actor, "roles": roles, "verbs": verbs}

    async def logout(self, secret: str) -> None:
        """Log somebody out: the login ends, and every token it gave with it. Twice is once.

        Raises:
            Unavailable: ``store.unavailable``, ``commit.unknown``.
        """
        login = await self._find(secret)
        if login is not None:
            await self._store.write(lambda connection: statements.end(connection, login.hash))
            await self._minter.end(login)

    async def _find(self, secret: str) -> Login | None:
        if not secret or len(secret) > limits.KEY_CHARS:
            return None
        digest, now_ms = _hash(secret), self._now_ms()
        return await self._store.read(lambda connection: statements.find(connection, digest, now_ms))


def _hash(secret: str) -> str:
    return hashlib.blake2b(
        secret.encode("utf-8", "surrogatepass"), digest_size=32, person=b"holdfast-session"
    ).hexdigest()


def _path(then: str) -> str:
    """A path on this server. What could lead anywhere else becomes the console."""
    plain = then.isascii() and then.isprintable() and len(then) <= limits.LOGIN_PATH_CHARS
    return then if plain and then.startswith("/") and then[1:2] not in ("/", "\\") else "/console/"
