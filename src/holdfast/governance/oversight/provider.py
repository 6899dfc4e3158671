"""The identity provider: what it says of itself, codes for tokens, and whether an identity token is to be believed.

OpenID Connect Core 1.0 (https://openid.net/specs/openid-connect-core-1_0.html), Discovery 1.0, RFC 7636 (PKCE), RFC 9207
(``iss`` in the answer). What the protocol says is authlib's; signatures are checked by PyJWT; answers are read within bounds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import jwt
from authlib.oauth2.auth import ClientAuth  # type: ignore[import-untyped]
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request  # type: ignore[import-untyped]
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]
from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]
from authlib.oidc.discovery import OpenIDProviderMetadata, get_well_known_url  # type: ignore[import-untyped]

from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.governance import limits
from holdfast.governance.directory.model import Person
from holdfast.governance.oversight.model import Identity, PendingLogin
from holdfast.governance.oversight.settings import LoginConfig
from holdfast.protocol.codec import parse
from holdfast.visible import visible

ALGORITHMS: Final = ("RS256", "ES256", "EdDSA", "PS256")
"""Signatures that are believed: with keys that only the provider has. One with a shared secret is not."""
_FORM: Final = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
_SHOWN: Final = 300
_FAR_S: Final = 1 << 40


class IdentityProvider:
    """One identity provider.

    Args:
        config: the settings.
        redirect_uri: where it sends people back to.
        client_secret: fetches the secret it gave this server; empty for none.
        now_ms: the clock, Unix ms.
        transport: how requests are sent; for tests.
    """

    def __init__(
        self,
        config: LoginConfig,
        redirect_uri: str,
        client_secret: Callable[[], Awaitable[str]],
        now_ms: Callable[[], int],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._config = config
        self._redirect_uri = redirect_uri
        self._client_secret = client_secret
        self._now_ms = now_ms
        self._transport = transport
        self._metadata: Mapping[str, Any] | None = None
        self._metadata_ms = 0
        self._keys: list[jwt.PyJWK] = []
        self._keys_ms = 0

    async def authorization_url(self, pending: PendingLogin, *, again: bool = False) -> str:
        """Where somebody is sent to say who they are, ``again``: even if the provider knows it. Raises as ``metadata`` does."""
        metadata = await self.metadata()
        url: str = prepare_grant_uri(
            metadata["authorization_endpoint"],
            client_id=self._config.client_id,
            response_type="code",
            redirect_uri=self._redirect_uri,
            scope=self._config.scopes,
            state=pending.state,
            nonce=pending.nonce,
            code_challenge=create_s256_code_challenge(pending.verifier),
            code_challenge_method="S256",
            **({"prompt": "login"} if again else {}),
        )
        return url

    async def identity(self, code: str, pending: PendingLogin) -> Identity:
        """Who somebody is who came back with a code.

        Raises:
            Refused: ``login.refused``, with the reason.
            Unavailable: ``upstream.unreachable``.
        """
        metadata = await self.metadata()
        body = prepare_token_request(
            "authorization_code", code=code, redirect_uri=self._redirect_uri, code_verifier=pending.verifier
        )
        secret = await self._client_secret()
        method = "none" if not secret else _client_method(metadata)
        auth = ClientAuth(self._config.client_id, secret, method)
        url, headers, body = auth.prepare("POST", metadata["token_endpoint"], dict(_FORM), body)
        answer = await self._ask("POST", url, headers, body)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise Refused("login.refused", "the identity provider answered without an identity token")
        claims = await self._verified(token, pending.nonce, answer.get("access_token"))
        return self._identity_of(claims)

    async def metadata(self) -> Mapping[str, Any]:
        """What the provider says of itself, kept for a while.

        Raises:
            Refused: ``login.refused`` when it calls itself otherwise than the settings do, or lacks what is needed.
            Unavailable: ``upstream.unreachable``.
        """
        now_ms = self._now_ms()
        if self._metadata is None or now_ms - self._metadata_ms >= limits.LOGIN_METADATA_S * 1_000:
            url = get_well_known_url(self._config.issuer, external=True)
            found = OpenIDProviderMetadata(await self._ask("GET", url))
            if found.get("issuer") != self._config.issuer:
                detail = f"the identity provider calls itself {found.get('issuer')!r:.100}, not {self._config.issuer!r}"
                raise Refused("login.refused", detail, fix="Write HOLDFAST_GOVERNANCE_OIDC_ISSUER exactly so.")
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                _check_endpoint(name, found.get(name), self._config.issuer)
            methods = found.get("code_challenge_methods_supported")
            if methods is not None and "S256" not in methods:
                raise Refused("login.refused", "the identity provider does not do PKCE with S256")
            self._metadata, self._metadata_ms = found, now_ms
        return self._metadata

    async def _verified(self, token: str, nonce: str, access_token: Any) -> Mapping[str, Any]:
        """The claims of an identity token that is to be believed. Raises ``login.refused``."""
        try:
            header = jwt.get_unverified_header(token)
            key = await self._key(header)
            decoded = jwt.decode_complete(
                token,
                key,
                algorithms=[str(header.get("alg"))],
                options={"verify_signature": True, "verify_exp": False, "verify_iat": False, "verify_nbf": False,
                         "verify_aud": False, "verify_iss": False, "verify_sub": False, "verify_jti": False},
            )  # fmt: skip
            claims = CodeIDToken(
                decoded["payload"],
                header,
                {
                    "iss": {"essential": True, "value": self._config.issuer},
                    "aud": {"essential": True, "value": self._config.client_id},
                    "nonce": {"essential": True, "value": nonce},
                },
                {"client_id": self._config.client_id, "access_token": access_token, "nonce": nonce},
            )
            claims.validate(now=self._now_ms() // 1_000, leeway=int(limits.LOGIN_SKEW_S))
        except HoldfastError:
            raise
        except Exception as error:  # whatever is wrong with it, it is not believed; what is in it is not repeated
            reason = visible(str(error))[:_SHOWN] or type(error).__name__
            raise Refused("login.refused", f"the identity token was not accepted: {reason}") from None
        return dict(claims)

    async def _key(self, header: Mapping[str, Any]) -> Any:
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS:
            raise Refused(
                "login.refused", f"the identity token is signed with {algorithm!r:.20}, which is not believed"
            )
        for attempt in (0, 1):
            if attempt or not self._keys:
                await self._fetch_keys()
            fitting = [
                key for key in self._keys if _fits(key, str(algorithm)) and header.get("kid") in (None, key.key_id)
            ]
            if len(fitting) == 1 or (fitting and header.get("kid") is not None):
                return fitting[0].key
        raise Refused("login.refused", "the identity token is signed with a key that the provider does not have")

    async def _fetch_keys(self) -> None:
        now_ms = self._now_ms()
        if self._keys and now_ms - self._keys_ms < limits.LOGIN_SKEW_S * 1_000:
            return  # tokens with keys that nobody has cannot make this server ask all the time
        metadata = await self.metadata()
        found = await self._ask("GET", metadata["jwks_uri"])
        self._keys, self._keys_ms = jwt.PyJWKSet.from_dict(found).keys, now_ms

    def _identity_of(self, claims: Mapping[str, Any]) -> Identity:
        name = claims.get(self._config.actor_claim)
        if not isinstance(name, str) or not name or len(name) > limits.ORG_NAME_CHARS or not _plain(name):
            raise Refused(
                "login.refused", f"the claim {self._config.actor_claim!r} names nobody that can be named here"
            )
        if self._config.actor_claim == "email" and claims.get("email_verified") is not True:
            raise Refused("login.refused", "the provider has not verified the address, so it could be anybody's")
        groups = claims.get(self._config.groups_claim, [])
        groups = [groups] if isinstance(groups, str) else groups
        if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
            raise Refused("login.refused", f"the claim {self._config.groups_claim!r} is no list of groups")
        signed_in_s = _moment(claims.get("auth_time"))
        groups = groups[: limits.LOGIN_GROUPS]
        return Identity(f"user:{name}", tuple(groups), self._person_of(name, claims), signed_in_s)

    def _person_of(self, name: str, claims: Mapping[str, Any]) -> Person:
        """What else is said of somebody. An address that nobody has verified could be anybody's."""

        def text(claim: str) -> str:
            value = claims.get(claim)
            fits = isinstance(value, str) and len(value) <= limits.DIRECTORY_NAME_CHARS and value.isprintable()
            return str(value) if fits else ""

        verified = claims.get("email_verified") is True
        return Person(name, text("email") if verified else "", text("name"), text(self._config.unit_claim))

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: str = ""
    ) -> dict[str, Any]:
        """The JSON object that the provider answers, within a size and a time. Raises as ``identity`` does."""
        loopback = urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
        data = bytearray()
        try:
            async with (
                httpx.AsyncClient(
                    timeout=limits.LOGIN_HTTP_S,
                    follow_redirects=False,
                    trust_env=not loopback,
                    transport=self._transport,
                ) as client,
                client.stream(method, url, headers=dict(headers or {}), content=body or None) as response,
            ):
                async for part in response.aiter_bytes():
                    data += part
                    if len(data) > limits.LOGIN_HTTP_BYTES:
                        raise Refused("login.refused", "the identity provider's answer is too large")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            detail = f"the identity provider cannot be reached ({type(error).__name__})"
            raise Unavailable("upstream.unreachable", detail) from None
        try:
            answer = parse(bytes(data))
        except ValueError:
            answer = None
        if response.status_code >= 500:
            raise Unavailable("upstream.unreachable", f"the identity provider answered {response.status_code}")
        if response.status_code != 200 or not isinstance(answer, dict):
            reason = answer.get("error") if isinstance(answer, dict) else None
            words = f": {visible(reason)[:80]}" if isinstance(reason, str) else ""
            raise Refused("login.refused", f"the identity provider answered {response.status_code}{words}")
        return answer


def _client_method(metadata: Mapping[str, Any]) -> str:
    offered = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    for method in ("client_secret_basic", "client_secret_post"):
        if method in offered:
            return method
    raise Refused("login.refused", "the identity provider takes no client secret, neither as basic nor as post")


def _check_endpoint(name: str, url: Any, issuer: str) -> None:
    """An address that the provider names is as safe as its own: https, or on this machine where it is on this machine."""
    if not isinstance(url, str) or urlsplit(url).scheme not in ("https", urlsplit(issuer).scheme):
        raise Refused("login.refused", f"the identity provider's {name} is missing, or is not https")


def _fits(key: jwt.PyJWK, algorithm: str) -> bool:
    """Whether a key of the set is meant for signatures of this algorithm, and long enough."""
    families = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
    large = getattr(key.key, "key_size", 0) >= 2_048 if key.key_type == "RSA" else True
    return key.key_type == families[algorithm] and key.public_key_use in (None, "sig") and large


def _moment(value: Any) -> int | None:
    """Unix seconds that a clock can reach; None for what is none."""
    return int(value) if type(value) in (int, float) and 0 < value <= _FAR_S else None


def _plain(name: str) -> bool:
    return all("!" <= character <= "~" for character in name)
