"""Access tokens: JWTs (RFC 7519) verified and minted here, and nowhere else (ACC-1).

Claims: ``sub`` (the actor), ``tenant``, ``caps`` (pattern to verbs), ``agents``, ``jti``, ``iss``, ``aud``, ``exp``, and in
a token that was minted from another ``lineage``: ``[[jti, sub], …]`` of those it comes from, outermost first. ``labels`` say
what work is for; ``auth_time`` of a foreign issuer becomes one of them, ``sign_in``. ``alg``, ``iss`` and ``aud`` are pinned by settings; nothing in a token says where keys come from.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization

from holdfast.edge.config import Settings
from holdfast.edge.jwks import KeySet
from holdfast.edge.revocation import Revocations
from holdfast.errors import Code, HoldfastError, Refused
from holdfast.protocol import limits
from holdfast.session import labels as session_labels
from holdfast.session.access import SESSION_VERBS, VERBS, Capability, Principal

ACTOR = re.compile(r"(user|agent|policy|check|system):[!-~]{1,190}")
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TOKEN_ID = re.compile(rf"[!-~]{{1,{limits.ENTITY_ID_CHARS}}}")
_PATTERN = re.compile(rf"[A-Za-z0-9._~:-]{{1,{limits.SESSION_ID_CHARS}}}\*?|\*")
_REQUIRED = ["exp", "iss", "aud", "sub", "jti"]
EVERYTHING = {"*": sorted(SESSION_VERBS)}
"""Every verb of sessions on every session of the tenant. Rights of the governance half are granted by name."""


def secret_path(db: str, settings: Settings | None = None) -> Path:
    """Where the HS256 secret of a database is kept."""
    if settings is not None and settings.secret_file:
        return Path(settings.secret_file)
    return Path(f"{db.removeprefix('sqlite:///')}.secret")


def read_secret(db: str) -> str | None:
    """The secret beside a database, or None."""
    try:
        return secret_path(db).read_text().strip() or None
    except OSError:
        return None


def ensure_secret(settings: Settings) -> str:
    """Read the server's secret, generating it (mode 0600) at the first start. For memory: it lives as long as the process.

    Raises:
        HoldfastError: ``config.invalid``.
    """
    if settings.db.startswith("memory") and not settings.secret_file:
        return secrets.token_urlsafe(48)
    path = secret_path(settings.db, settings)
    secret = load_or_create_secret(path, secrets.token_urlsafe(48))
    if len(secret) < 32:
        raise HoldfastError("config.invalid", f"the secret in {path} is shorter than 32 characters")
    return secret


def load_or_create_secret(path: Path, new_secret: str) -> str:
    """The secret in a file that only its owner may read; ``fresh`` is written when there is none.

    Raises:
        HoldfastError: ``config.invalid``.
    """
    try:
        if not path.exists():
            temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(new_secret)
            with contextlib.suppress(FileExistsError):  # made whole, by whoever came first
                os.link(temporary, path)
            temporary.unlink()
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise HoldfastError("config.invalid", f"the secret in {path} cannot be kept: {reason}") from None


def mint(
    secret: str,
    *,
    subject: str,
    tenant: str = "default",
    capabilities: Mapping[str, Sequence[str]] | None = None,
    agents: Sequence[str] = (),
    ttl_s: float = limits.TOKEN_TTL_S,
    not_after_s: float | None = None,
    lineage: Sequence[tuple[str, str]] = (),
    labels: Mapping[str, str] | None = None,
    issuer: str = "holdfast",
    audience: str = "holdfast",
) -> str:
    """Sign an HS256 access token.

    Args:
        subject: the actor, for example ``user:ann``.
        capabilities: pattern to verbs; by default every verb of sessions on every session, and none of the governance half.
        agents: agents it may act for; ``*`` for any.
        ttl_s: seconds until it expires.
        not_after_s: Unix seconds at which it expires at the latest.
        lineage: ``(jti, sub)`` of the tokens it is minted from, outermost first.
        labels: of the work that is done with it, for example ``{"team": "sales"}``.
    """
    now = time.time()
    until_s = now + ttl_s if not_after_s is None else min(now + ttl_s, not_after_s)
    caps = EVERYTHING if capabilities is None else {p: list(v) for p, v in capabilities.items()}
    claims: dict[str, Any] = {
        "sub": subject,
        "tenant": tenant,
        "caps": caps,
        "agents": list(agents),
        "jti": secrets.token_hex(12),
        "iss": issuer,
        "aud": audience,
        "iat": round(now, 3),
        "exp": int(until_s),
    }
    if lineage:
        claims["lineage"] = [[token_id, actor] for token_id, actor in lineage]
    if labels:
        claims["labels"] = dict(labels)
    return jwt.encode(claims, secret, algorithm="HS256")


class Verifier:
    """Turns access tokens into principals, by the keys and names the settings pin.

    Attributes:
        seen: told of each person who comes with a token of their own that says when they signed in, and of the address that
            its issuer has verified (empty for none), with every request: it must not wait, and not raise. Not of tokens that were minted here from others, nor of those with which somebody else
            acts for a person (``act``, RFC 8693, section 4.1). None for nobody.

    Raises:
        HoldfastError: ``config.invalid`` when an algorithm is accepted and there is no key for it.
    """

    def __init__(self, settings: Settings, secret: str | None, revocations: Revocations | None = None) -> None:
        self._settings = settings
        self._secret = secret
        self._revocations = revocations
        self.seen: Callable[[Principal, str], None] | None = None
        self._public = _public_key(settings.public_key_file) if settings.public_key_file else None
        self.keys = KeySet(settings.jwks_url) if settings.jwks_url else None
        asymmetric = set(settings.algorithms) - {"HS256"}
        if asymmetric and self._public is None and self.keys is None:
            raise HoldfastError("config.invalid", f"{asymmetric.pop()} needs public_key_file or jwks_url")

    def verify(self, token: str) -> Principal:
        """The principal a token names.

        Raises:
            Refused: ``auth.required``, ``auth.invalid``, ``auth.expired`` or ``auth.revoked``.
            Unavailable: ``auth.keys``.
        """
        if not token:
            raise Refused("auth.required")
        if len(token) > limits.TOKEN_CHARS:
            raise Refused("auth.invalid", "the token is too long")
        try:
            claims = jwt.decode(
                token,
                self._key(token),
                algorithms=list(self._settings.algorithms),
                issuer=self._settings.issuer,
                audience=self._settings.audience,
                leeway=limits.TOKEN_SKEW_S,
                options={"require": _REQUIRED},
            )
            expires_s, issued_s = _seconds(claims["exp"]), _seconds(claims["iat"]) if "iat" in claims else None
        except HoldfastError:
            raise
        except jwt.ExpiredSignatureError:
            raise Refused("auth.expired") from None
        except Exception as error:  # whatever a token does to its parser (nesting, odd numbers), it is not accepted
            raise Refused("auth.invalid", f"the token was not accepted ({type(error).__name__})") from None
        if expires_s <= time.time():  # the leeway is for iat and nbf
            raise Refused("auth.expired")
        principal = principal_of(claims, expires_s, issued_s)
        self.recheck(principal)
        if self.seen is not None and _in_person(principal, claims):
            self.seen(principal, _verified_email(claims))
        return principal

    def recheck(self, principal: Principal) -> None:
        """Refuse a principal whose token was good a moment ago and is not any more.

        Whoever waits between looking at a token and acting for it (for a body, for a connection) asks again.

        Raises:
            Refused: ``auth.revoked``.
        """
        if self._revocations is not None:
            self._revocations.check(principal)

    def _key(self, token: str) -> Any:
        header = jwt.get_unverified_header(token)
        algorithm = header.get("alg")
        if algorithm not in self._settings.algorithms:
            raise jwt.InvalidAlgorithmError
        if algorithm == "HS256":  # a public key is never taken for a shared secret
            if self._secret is None:
                raise jwt.InvalidKeyError
            return self._secret
        if self._public is not None:
            return self._public
        if self.keys is None:
            raise jwt.InvalidKeyError
        return self.keys.key(header.get("kid"), algorithm)


def _public_key(path: str) -> Any:
    try:
        return serialization.load_pem_public_key(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not a PEM public key"
        raise HoldfastError("config.invalid", f"public_key_file {path}: {reason}") from None


def _seconds(value: Any) -> float:
    """A NumericDate (RFC 7519, section 2) that a clock can reach."""
    if type(value) not in (int, float) or not 0 <= value <= limits.INTEGER_MAX / 1_000:
        raise ValueError("not a date")
    return float(value)


def principal_of(claims: Mapping[str, Any], expires_s: float, issued_s: float | None = None) -> Principal:
    """The principal that verified claims describe. Raises ``auth.invalid`` when they do not make sense."""
    subject, tenant, caps = claims.get("sub"), claims.get("tenant", "default"), claims.get("caps", {})
    agents, token_id = claims.get("agents", []), claims.get("jti")
    if not isinstance(subject, str) or not ACTOR.fullmatch(subject):
        raise Refused("auth.invalid", "sub must be user:…, agent:…, policy:…, check:… or system:…")
    if not isinstance(tenant, str) or not _TENANT.fullmatch(tenant):
        raise Refused("auth.invalid", "tenant is not usable")
    if not isinstance(token_id, str) or not _TOKEN_ID.fullmatch(token_id):
        raise Refused("auth.invalid", "jti is not usable")
    if not isinstance(agents, list) or not all(isinstance(a, str) for a in agents) or len(agents) > limits.CAPABILITIES:
        raise Refused("auth.invalid", "agents must be a short list of names")
    lineage = _lineage(claims.get("lineage", []))
    capabilities = parse_capabilities(caps)
    if subject.startswith("agent:") and not agents:
        agents = [subject.removeprefix("agent:")]
    return Principal(
        subject,
        tenant,
        capabilities,
        frozenset(agents),
        token_id,
        int(expires_s * 1_000),
        issued_s,
        tuple(token for token, _ in lineage),
        tuple(actor for _, actor in lineage),
        labels=_labels(claims, subject),
    )


def _labels(claims: Mapping[str, Any], subject: str) -> session_labels.Labels:
    """The ``labels`` claim, and from ``auth_time`` when a person signed in: an agent signs in nowhere."""
    found = session_labels.parse(claims.get("labels", {}))
    until_s = time.time() + limits.TOKEN_SKEW_S
    if "auth_time" in claims and subject.startswith("user:"):
        return session_labels.signed_in(found, claims["auth_time"], until_s)
    session_labels.check_sign_in(found, until_s)
    return found


def _in_person(principal: Principal, claims: Mapping[str, Any]) -> bool:
    """Whether a person comes with a token of their own, and it says when they signed in."""
    if not principal.actor.startswith("user:") or principal.minters or claims.get("act") is not None:
        return False
    return any(name == session_labels.SIGN_IN for name, _ in principal.labels)


def _verified_email(claims: Mapping[str, Any]) -> str:
    """The address that is a person's as their issuer says (OpenID Connect Core 1.0, section 5.1); one that it did not verify
    could be anybody's."""
    email = claims.get("email")
    return email if isinstance(email, str) and email.isprintable() and claims.get("email_verified") is True else ""


def _lineage(claim: Any) -> list[list[str]]:
    """The ``lineage`` claim: ``[[jti, sub], …]``."""
    if not isinstance(claim, list) or len(claim) > limits.LINEAGE_TOKENS:
        raise Refused("auth.invalid", f"lineage must be a list of at most {limits.LINEAGE_TOKENS} tokens")
    for one in claim:
        if not isinstance(one, list) or len(one) != 2 or not all(isinstance(part, str) for part in one):
            raise Refused("auth.invalid", "lineage holds pairs of jti and sub")
        if not _TOKEN_ID.fullmatch(one[0]) or not ACTOR.fullmatch(one[1]):
            raise Refused("auth.invalid", "lineage is not usable")
    return claim


def parse_capabilities(caps: Any, code: Code = "auth.invalid") -> tuple[Capability, ...]:
    """Capabilities from their JSON form ``{"pattern": ["verb", …]}``, or a refusal with ``code``."""
    if not isinstance(caps, dict) or len(caps) > limits.CAPABILITIES:
        raise Refused(code, f"caps must be an object of at most {limits.CAPABILITIES} patterns")
    capabilities = []
    for pattern, verbs in caps.items():
        if not isinstance(pattern, str) or not _PATTERN.fullmatch(pattern):
            raise Refused(code, "a pattern is a session id, or a prefix that ends in *")
        if not isinstance(verbs, list) or not all(isinstance(verb, str) and verb in VERBS for verb in verbs):
            raise Refused(code, f"verbs are {', '.join(sorted(VERBS))}")
        capabilities.append(Capability(pattern, frozenset(verbs)))
    return tuple(capabilities)
