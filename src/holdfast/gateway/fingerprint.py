"""By what a key that nobody here knows is recognised when it comes again: a hash, never the key."""

from __future__ import annotations

import hashlib
import re
from typing import Final

GUESSABLE: Final = "~"
"""What the fingerprint of something begins with that is no secret: too short, too plain, or different each time."""
NO_KEY: Final = ""
_SHORTEST: Final = 24
_DISTINCT: Final = 10
_TOKEN: Final = re.compile(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")


def is_token(secret: str) -> bool:
    """Whether this is a JWT (RFC 7519), such as an access token for sessions."""
    return _TOKEN.fullmatch(secret) is not None


def fingerprint(secret: str) -> str:
    """The fingerprint of what somebody sent as a key: 32 hexadecimal digits of its BLAKE2b hash (RFC 7693).

    It is short enough to read out and long enough (128 bits) that nobody finds another secret with the same. What is shorter
    than 24 characters or has fewer than 10 different ones is often a placeholder that many programs send (``EMPTY``,
    ``sk-no-key-required``): its fingerprint is marked with ``~``, because whoever knows it could be anybody. A JWT is
    another one every hour; all of them are ``~token``.
    """
    if not secret:
        return NO_KEY
    if is_token(secret):
        return f"{GUESSABLE}token"
    digest = hashlib.blake2b(
        secret.encode("utf-8", "surrogatepass"), digest_size=16, person=b"holdfast-caller"
    ).hexdigest()
    plain = len(secret) < _SHORTEST or len(set(secret)) < _DISTINCT
    return f"{GUESSABLE}{digest}" if plain else digest
