"""The issuer's keys: fetched from one address, kept, and never at a token's command (ACC-1)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.warnings import InsecureKeyLengthWarning
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from holdfast.edge import auth
from holdfast.edge.config import Settings
from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.protocol import limits

pytestmark = pytest.mark.anyio

RSA = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
WEAK = rsa.generate_private_key(public_exponent=65_537, key_size=1_024)
CURVE = ec.generate_private_key(ec.SECP256R1())
EDWARDS = ed25519.Ed25519PrivateKey.generate()


def described(algorithm: Any, key: Any, kid: str, **more: str) -> dict[str, Any]:
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, **more}


KEYS = [
    described(jwt.algorithms.RSAAlgorithm, RSA, "rsa", alg="RS256", use="sig"),
    described(jwt.algorithms.RSAAlgorithm, RSA, "for-encryption", alg="RS256", use="enc"),
    described(jwt.algorithms.RSAAlgorithm, WEAK, "weak", alg="RS256"),
    described(jwt.algorithms.ECAlgorithm, CURVE, "ec", alg="ES256"),
    described(jwt.algorithms.OKPAlgorithm, EDWARDS, "ed", alg="EdDSA"),
    {"kty": "oct", "kid": "shared", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "alg": "HS256"},
]


class Issuer:
    """Serves a JWKS on loopback, and counts how often it is asked."""

    def __init__(self) -> None:
        self.keys: Any = KEYS
        self.requests = 0
        self.answer: Response | None = None

    async def serve(self, request: Request) -> Response:
        self.requests += 1
        return self.answer or Response(json.dumps({"keys": self.keys}), media_type="application/json")


@pytest.fixture
async def issuer() -> AsyncIterator[tuple[Issuer, str]]:
    issuer = Issuer()
    app = Starlette(routes=[Route("/keys", issuer.serve), Route("/elsewhere", issuer.serve)])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield issuer, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/keys"
    server.should_exit = True
    await task


def verifier_of(url: str) -> auth.Verifier:
    return auth.Verifier(Settings(algorithms=("RS256", "ES256", "EdDSA"), jwks_url=url), None)


async def fetched(verifier: auth.Verifier, issuer: Issuer, times: int = 1) -> None:
    async with asyncio.timeout(5):
        while issuer.requests < times:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)


def token(key: Any, algorithm: str, kid: str | None) -> str:
    claims = {
        "sub": "user:ann", "tenant": "acme", "caps": {}, "jti": "t1", "iss": "holdfast", "aud": "holdfast",
        "exp": int(time.time()) + 60,
    }  # fmt: skip
    return jwt.encode(claims, key, algorithm, headers={"kid": kid} if kid else None)


async def test_keys_of_each_kind_verify_and_no_other_use_of_them(issuer: tuple[Issuer, str]) -> None:
    serving, url = issuer
    verifier = verifier_of(url)
    assert verifier.keys is not None
    with pytest.raises(Unavailable) as early:
        verifier.verify(token(RSA, "RS256", "rsa"))
    assert early.value.code == "auth.keys"
    verifier.keys.start()
    await fetched(verifier, serving)
    for key, algorithm, kid in ((RSA, "RS256", "rsa"), (CURVE, "ES256", "ec"), (EDWARDS, "EdDSA", "ed")):
        assert verifier.verify(token(key, algorithm, kid)).actor == "user:ann"
        assert verifier.verify(token(key, algorithm, None)).actor == "user:ann"
    for key, algorithm, kid in (
        (RSA, "RS256", "for-encryption"),
        (CURVE, "ES256", "rsa"),
        (EDWARDS, "EdDSA", "rsa"),
        ("secret-secret-secret-secret-secret", "HS256", "shared"),
        (rsa.generate_private_key(public_exponent=65_537, key_size=2_048), "RS256", "rsa"),
    ):
        with pytest.raises(Refused) as refused:
            verifier.verify(token(key, algorithm, kid))
        assert refused.value.code == "auth.invalid"
    with pytest.warns(InsecureKeyLengthWarning):
        weak = token(WEAK, "RS256", "weak")
    with pytest.raises(Refused) as refused:
        verifier.verify(weak)
    assert refused.value.code == "auth.invalid"
    await verifier.keys.stop()


async def test_tokens_do_not_make_the_server_ask(issuer: tuple[Issuer, str], monkeypatch: pytest.MonkeyPatch) -> None:
    serving, url = issuer
    verifier = verifier_of(url)
    assert verifier.keys is not None
    verifier.keys.start()
    await fetched(verifier, serving)
    for i in range(200):
        with pytest.raises(Refused):
            verifier.verify(token(RSA, "RS256", f"unknown-{i}"))
    await asyncio.sleep(0.1)
    assert serving.requests == 1
    monkeypatch.setattr(limits, "KEYS_RETRY_S", 0.05)
    await asyncio.sleep(0.1)
    serving.keys = [*KEYS, described(jwt.algorithms.RSAAlgorithm, RSA, "rotated", alg="RS256")]
    with pytest.raises(Unavailable):
        verifier.verify(token(RSA, "RS256", "rotated"))
    await fetched(verifier, serving, 2)
    assert verifier.verify(token(RSA, "RS256", "rotated"))
    await verifier.keys.stop()


@pytest.mark.parametrize(
    "answer",
    [
        Response("no", 500),
        Response("{"),
        Response("[]"),
        Response('{"keys":[]}'),
        Response('{"keys":7}'),
        Response("[" * 100_000),
        Response(" " * (limits.KEYS_BYTES + 1)),
        RedirectResponse("/elsewhere"),
    ],
    ids=["500", "not json", "an array", "no keys", "a number", "deep", "large", "redirect"],
)
async def test_an_issuer_that_errs_changes_nothing(
    issuer: tuple[Issuer, str], answer: Response, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "KEYS_RETRY_S", 0.05)
    monkeypatch.setattr(limits, "KEYS_REFRESH_S", 0.05)
    serving, url = issuer
    verifier = verifier_of(url)
    assert verifier.keys is not None
    verifier.keys.start()
    await fetched(verifier, serving)
    serving.answer = answer
    await fetched(verifier, serving, serving.requests + 3)
    assert verifier.verify(token(RSA, "RS256", "rsa"))
    monkeypatch.setattr(limits, "KEYS_KEEP_S", 0.0)
    with pytest.raises(Unavailable) as stale:
        verifier.verify(token(RSA, "RS256", "rsa"))
    assert stale.value.code == "auth.keys"
    await verifier.keys.stop()


@pytest.mark.parametrize("url", ["http://keys.example/jwks", "file:///etc/passwd", "ftp://x/y", "https://", "jwks"])
def test_keys_come_from_https_only(url: str) -> None:
    with pytest.raises(HoldfastError) as refused:
        verifier_of(url)
    assert refused.value.code == "config.invalid"


def test_an_algorithm_without_a_key_is_refused_at_the_start() -> None:
    for more in ({}, {"public_key_file": "/nowhere/key.pem"}, {"public_key_file": __file__}):
        with pytest.raises(HoldfastError) as refused:
            auth.Verifier(Settings(algorithms=("RS256",), **more), None)
        assert refused.value.code == "config.invalid"
