"""The keys in memory: whose a secret is, answered without waiting and in the same time whether it is anybody's."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from holdfast.errors import Refused
from holdfast.gateway.fingerprint import fingerprint, is_token
from holdfast.gateway.port import Caller
from holdfast.governance import limits
from holdfast.governance.keys.model import NAMED, GatewayKey, Secret, missing_labels
from holdfast.governance.keys.secret import hash_of, id_of

_NOBODY: Final = "0" * 64


class RingEntry(NamedTuple):
    """A secret with its key, and what is wrong with that one's labels."""

    secret: Secret
    key: GatewayKey
    caller: Caller
    unnamed: str


class KeyRing:
    """All keys, by the ids of their secrets. It is made anew whenever something changed."""

    def __init__(self, keys: Iterable[GatewayKey] = (), secrets: Iterable[Secret] = ()) -> None:
        self.keys = {key.id: key for key in keys}
        self.secrets: dict[str, list[Secret]] = {ident: [] for ident in self.keys}
        self._entries: dict[str, RingEntry] = {}
        for secret in secrets:
            key = self.keys.get(secret.key)
            if key is not None:
                self.secrets[key.id].append(secret)
                self._entries[secret.id] = RingEntry(secret, key, key.caller(), missing_labels(key.labels))

    def __contains__(self, ident: object) -> bool:
        """Whether a secret, or a fingerprint that was adopted, is somebody's."""
        return ident in self._entries

    def revoked(self) -> set[str]:
        """The ids of the keys that were revoked."""
        return {key.id for key in self.keys.values() if key.revoked_ms is not None}

    def note_used(self, used: Mapping[str, int]) -> None:
        """Know when secrets were used last."""
        for ident, at_ms in used.items():
            entry = self._entries.get(ident)
            if entry is not None:
                secret = msgspec.structs.replace(entry.secret, used_ms=at_ms)
                self._entries[ident] = entry._replace(secret=secret)
                self.secrets[entry.key.id] = [secret if s.id == ident else s for s in self.secrets[entry.key.id]]

    def find(self, text: str, now_ms: int) -> RingEntry:
        """Whose a secret is.

        Raises:
            Refused: ``key.unknown`` with its ``fingerprint``, ``key.revoked``, ``key.expired``, ``key.unnamed``.
        """
        entry = self._entry(text[: limits.KEY_CHARS + 1])
        if entry is None:
            raise _unknown(text[: limits.KEY_CHARS + 1])
        secret, key, _, unnamed = entry
        if key.revoked_ms is not None:
            raise Refused("key.revoked", f"the gateway key {key.name!r} was revoked")
        if secret.expires_ms <= now_ms:
            fix = f"Have it rotated: `holdfast keys rotate {key.id}`."
            raise Refused("key.expired", f"the gateway key {key.name!r} has expired", fix=fix)
        if unnamed:
            options = " ".join(f"--{name} …" for name in NAMED if not key.labels.get(name))
            fix = f"Name what its calls are for: `holdfast keys name {key.id} {options}`."
            raise Refused("key.unnamed", f"{key.name!r}: {unnamed}", fix=fix)
        return entry

    def _entry(self, text: str) -> RingEntry | None:
        if len(text) > limits.KEY_CHARS:
            return None
        ident, digest = id_of(text), hash_of(text)
        entry = self._entries.get(fingerprint(text) if ident is None else ident)
        if entry is None:
            hmac.compare_digest(digest, _NOBODY)
            return None
        if ident is None:  # adopted: it was found by a hash, which is all there is
            return entry if not entry.secret.hash else None
        return entry if hmac.compare_digest(digest, entry.secret.hash or _NOBODY) else None


def _unknown(text: str) -> Refused:
    if not text:
        return Refused("key.required", fingerprint="")
    if is_token(text):
        detail = "this is an access token for sessions, and no gateway key"
        fix = "Send a gateway key to the gateway: `holdfast keys create` makes one. Tokens are for sessions."
        return Refused("key.unknown", detail, fix=fix, fingerprint=fingerprint(text))
    return Refused("key.unknown", "nobody here has this gateway key", fingerprint=fingerprint(text))
