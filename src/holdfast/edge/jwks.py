"""The public keys of a token issuer (JWKS, RFC 7517): from the one address the settings name, never from a token.

They are fetched beside the requests, at the start and every few minutes, and looked up without waiting. A token that
names an unknown key may ask for another fetch, but only now and then, so tokens cannot make the server send requests.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import jwt

from holdfast.errors import HoldfastError, Unavailable
from holdfast.protocol import limits
from holdfast.protocol.codec import parse
from holdfast.visible import logger

log = logger("holdfast.edge")

FAMILIES: Final = {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
"""Key type (``kty``) of each algorithm; a shared secret (``oct``) in a JWKS is never used."""


class KeySet:
    """The issuer's keys as of the last fetch.

    Args:
        url: https, or http on loopback.

    Raises:
        HoldfastError: ``config.invalid``.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        loopback = parts.hostname in ("127.0.0.1", "localhost", "::1")
        if not parts.hostname or (parts.scheme != "https" and not (parts.scheme == "http" and loopback)):
            raise HoldfastError("config.invalid", "jwks_url must be https, or http on this machine")
        self._url = url
        self._trust_env = not loopback  # proxies and certificates of the environment, for what is not this machine
        self._keys: list[jwt.PyJWK] = []
        self._fetched_at_s = -limits.KEYS_KEEP_S
        self._attempted_at_s = -limits.KEYS_RETRY_S
        self._refresh_requested = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to fetch."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="holdfast jwks")

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def key(self, kid: Any, algorithm: str) -> Any:
        """The public key that verifies a token's signature.

        Raises:
            Unavailable: ``auth.keys`` while a fetch that may bring the key is under way.
            jwt.InvalidKeyError: the issuer has no such key.
        """
        now = asyncio.get_running_loop().time()
        if now - self._fetched_at_s >= limits.KEYS_KEEP_S:
            raise Unavailable("auth.keys")
        candidates = [key for key in self._keys if fits(key, algorithm) and kid in (None, key.key_id)]
        if len(candidates) == 1 or (candidates and kid is not None):
            return candidates[0].key
        if now - self._attempted_at_s >= limits.KEYS_RETRY_S:
            self._refresh_requested.set()
            raise Unavailable("auth.keys")
        raise jwt.InvalidKeyError

    async def _run(self) -> None:
        async with httpx.AsyncClient(
            timeout=limits.KEYS_TIMEOUT_S, follow_redirects=False, trust_env=self._trust_env
        ) as client:
            while True:
                fetched = await self._fetch(client)
                self._attempted_at_s = asyncio.get_running_loop().time()
                self._refresh_requested.clear()
                if not fetched:
                    await asyncio.sleep(limits.KEYS_RETRY_S)
                    continue
                try:
                    async with asyncio.timeout(limits.KEYS_REFRESH_S):  # wait_for of 3.11 loses some cancels
                        await self._refresh_requested.wait()
                except TimeoutError:
                    continue

    async def _fetch(self, client: httpx.AsyncClient) -> bool:
        try:
            body = bytearray()
            async with asyncio.timeout(limits.KEYS_TIMEOUT_S), client.stream("GET", self._url) as response:
                response.raise_for_status()
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > limits.KEYS_BYTES:
                        raise ValueError("it is too large")
            self._keys = jwt.PyJWKSet.from_dict(parse(bytes(body))).keys
        except Exception as error:  # whatever the issuer does, its former keys stay and the server goes on
            log.warning("the issuer's keys could not be read: %s", type(error).__name__)
            return False
        self._fetched_at_s = asyncio.get_running_loop().time()
        return True


def fits(key: jwt.PyJWK, algorithm: str) -> bool:
    """Whether a key of the set is meant for signatures of this algorithm."""
    use: str | None = key.public_key_use
    large = getattr(key.key, "key_size", 0) >= 2_048 if key.key_type == "RSA" else True
    return (
        key.key_type == FAMILIES.get(algorithm) and key.algorithm_name == algorithm and use in (None, "sig") and large
    )
