"""Where access tokens come from: a string, or something to call for a fresh one."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable

from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.protocol import limits

TokenSource = str | Callable[[], str | Awaitable[str]] | None
"""A token, or a function (plain or async) that returns one; it is called on every connect and before expiry."""


class Token:
    """One principal's tokens."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source

    @property
    def renewable(self) -> bool:
        """Whether asking again can give another token."""
        return callable(self._source)

    async def fetch(self) -> str:
        """A token to present now.

        Raises:
            Refused: ``auth.required`` when there is none.
            Unavailable: ``connection.lost`` when the source failed; it is asked again later.
        """
        source = self._source
        try:
            token = source() if callable(source) else source
            if inspect.isawaitable(token):
                token = await token
        except HoldfastError:
            raise
        except Exception as error:  # an application's function may raise anything
            raise Unavailable("connection.lost", f"the token source raised {type(error).__name__}") from error
        if not token:
            raise Refused("auth.required", "no token was given to connect with")
        return token

    @staticmethod
    def refresh_in_s(expires_ms: int) -> float:
        """Seconds until a token that ends at ``expires_ms`` should be replaced.

        A clock that is wrong here must not make a storm of refreshes, hence the floor.
        """
        remaining_s = expires_ms / 1000 - time.time()
        return max(remaining_s - min(limits.TOKEN_REFRESH_S, remaining_s / 5), limits.RETRY_CAP_S)
