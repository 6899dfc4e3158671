"""The text of a directory's token: ``hfd_ID_SECRET``. What is stored is a hash, once and without a salt: there is nothing to
guess in 32 random bytes (see ``keys/secret.py``). Pure but for randomness."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import Final, NamedTuple

_PATTERN: Final = re.compile(r"hfd_([0-9a-f]{16})_[0-9A-Za-z_-]{43}")


class DirectorySecret(NamedTuple):
    """A token that was just made. ``text`` is shown once and stored nowhere."""

    id: str
    text: str
    hash: str


def new_secret() -> DirectorySecret:
    """A token that nobody has."""
    ident = secrets.token_hex(8)
    text = f"hfd_{ident}_{secrets.token_urlsafe(32)}"
    return DirectorySecret(ident, text, hash_of(text))


def id_of(text: str) -> str | None:
    """The id in a text that has the shape of a token; else None."""
    match = _PATTERN.fullmatch(text)
    return None if match is None else match[1]


def hash_of(text: str) -> str:
    """What is stored of a token: 64 hexadecimal digits."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32, person=b"holdfast-dir").hexdigest()


def matches(text: str, digest: str) -> bool:
    """Whether a text is the token with this hash; it takes as long whichever byte differs."""
    return hmac.compare_digest(hash_of(text), digest)
