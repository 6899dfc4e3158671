"""An identity provider whose every answer a test can spoil, asked by a transport instead of a network."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from cryptography.hazmat.primitives.asymmetric import rsa

ISSUER = "https://id.example"
KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def jwk(key: rsa.RSAPrivateKey, kid: str = "k1") -> dict[str, Any]:
    return {
        **json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())),
        "kid": kid,
        "use": "sig",
        "alg": "RS256",
    }


class SpoiltProvider:
    """Answers discovery, keys and the token endpoint. A test changes what stands in its attributes.

    Attributes:
        claims: of the identity token beside what the protocol wants; None takes a claim away.
        metadata: changes of what it says of itself.
        sign: makes the token of the claims.
        codes: code to nonce; each is good once.
        requests: what it was asked.
    """

    def __init__(self, now_s: Callable[[], int]) -> None:
        self._now_s = now_s
        self.claims: dict[str, Any] = {"sub": "ann", "groups": ["finance"]}
        self.metadata: dict[str, Any] = {}
        self.keys = [jwk(KEY)]
        self.sign: Callable[[dict[str, Any]], str] = lambda claims: jwt.encode(claims, KEY, "RS256", {"kid": "k1"})
        self.codes: dict[str, str] = {}
        self.challenges: dict[str, str] = {}
        self.requests: list[httpx.Request] = []
        self.answer: Callable[[httpx.Request], httpx.Response | None] = lambda request: None

    def consent(self, url: str) -> tuple[str, str]:
        """Somebody says yes at the address they were sent to: the state and a code."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert query["response_type"] == "code" and query["code_challenge_method"] == "S256"
        code = f"code-{len(self.codes)}"
        self.codes[code], self.challenges[code] = query["nonce"], query["code_challenge"]
        return query["state"], code

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._handle)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if (spoilt := self.answer(request)) is not None:
            return spoilt
        match request.url.path:
            case "/.well-known/openid-configuration":
                return httpx.Response(200, json=self._metadata())
            case "/keys":
                return httpx.Response(200, json={"keys": self.keys})
            case "/token":
                return self._token(request)
        return httpx.Response(404)

    def _metadata(self) -> dict[str, Any]:
        found = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys",
            "code_challenge_methods_supported": ["S256"],
        } | self.metadata
        return {name: value for name, value in found.items() if value is not None}

    def _token(self, request: httpx.Request) -> httpx.Response:
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        nonce = self.codes.pop(form["code"], None)
        if nonce is None or create_s256_code_challenge(form["code_verifier"]) != self.challenges[form["code"]]:
            return httpx.Response(400, json={"error": "invalid_grant"})
        now_s = self._now_s()
        claims = {"iss": ISSUER, "aud": "holdfast", "iat": now_s, "exp": now_s + 300, "nonce": nonce} | self.claims
        claims = {name: value for name, value in claims.items() if value is not None}
        return httpx.Response(200, json={"id_token": self.sign(claims), "access_token": "at", "token_type": "Bearer"})
