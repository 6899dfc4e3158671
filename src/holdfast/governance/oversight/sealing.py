"""What a browser carries between the beginning of a login and its end: sealed, so that it is neither read nor changed."""

from __future__ import annotations

import base64
import hashlib

import msgspec
from cryptography.fernet import Fernet, InvalidToken

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.oversight.model import PendingLogin


class Seal:
    """Seals with a key made from the server's secret, so every process of a server opens what another has sealed.

    Args:
        secret: of the server.
    """

    def __init__(self, secret: str) -> None:
        key = hashlib.blake2b(secret.encode(), digest_size=32, person=b"holdfast-login").digest()
        self._fernet = Fernet(base64.urlsafe_b64encode(key))

    def close(self, pending: PendingLogin) -> str:
        """The text for the cookie."""
        return self._fernet.encrypt_at_time(msgspec.json.encode(pending), pending.at_ms // 1_000).decode()

    def open(self, text: str, now_ms: int) -> PendingLogin:
        """What was sealed. Raises ``login.refused`` for what this server did not seal, or not lately."""
        try:
            data = self._fernet.decrypt_at_time(text.encode(), int(limits.LOGIN_S), now_ms // 1_000)
        except (InvalidToken, ValueError):
            raise Refused("login.refused", "this login was not begun in this browser, or too long ago") from None
        return msgspec.json.decode(data, type=PendingLogin)
