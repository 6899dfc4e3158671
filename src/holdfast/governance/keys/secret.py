"""The text of a gateway key: ``hfk_ID_SECRET``, made to be recognised, and how it is stored. Pure but for randomness.

``ID`` is 12 characters of A-Z, a-z and 0-9, by which a secret is found. ``SECRET`` is 43 of them, 32 random bytes, and 6
that check the whole, so that a scanner of repositories finds keys (``hfk_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}``) and takes
nothing else for one; a mistyped key is refused without a look at the store. The prefix is not ``hf_``: those are keys of
Hugging Face.

What is stored is a BLAKE2b hash, once and without a salt. A slow hash or a salt protects what people think up; there is
nothing to guess in 32 random bytes, and a slow hash would be paid with every call.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib
from typing import Final, NamedTuple

from holdfast.governance import limits

PREFIX: Final = "hfk_"
PATTERN: Final = re.compile(r"hfk_([0-9A-Za-z]{12})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})")
_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase


class NewSecret(NamedTuple):
    """A secret that was just made. ``text`` is shown once and kept nowhere."""

    id: str
    text: str
    hash: str


def new_id() -> str:
    """Twelve characters that nothing else is called."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(12))


def new_secret() -> NewSecret:
    """A secret that nobody has."""
    ident = new_id()
    body = _base62(int.from_bytes(secrets.token_bytes(limits.KEY_SECRET_BYTES)), 43)
    start = f"{PREFIX}{ident}_{body}"
    text = start + _check(start)
    return NewSecret(ident, text, hash_of(text))


def id_of(text: str) -> str | None:
    """The id in a text that has the shape of a key and whose check is right; else None."""
    match = PATTERN.fullmatch(text)
    if match is None or _check(text[:-6]) != match[3]:
        return None
    return match[1]


def hash_of(text: str) -> str:
    """What is stored of a secret: 64 hexadecimal digits."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32, person=b"holdfast-key").hexdigest()


def _check(start: str) -> str:
    return _base62(zlib.crc32(start.encode()), 6)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
