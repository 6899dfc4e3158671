"""Sign-ins that tokens speak of: people of an identity provider whose tokens this server believes need no login here.

A token is looked at in memory, with every request. What is new waits, and all that waits is noted in one transaction now and
then; what is lost with a process is seen again with the person's next request.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from holdfast.errors import HoldfastError
from holdfast.governance import labels, limits
from holdfast.governance.directory.model import TokenSignIn, name_key
from holdfast.governance.directory.service import Directory
from holdfast.session.access import Principal
from holdfast.visible import logger

log: Final = logger("holdfast.governance")


class TokenSignIns:
    """Notes in the directory when people signed in, as their tokens say it.

    Args:
        directory: where it is noted.
        now_ms: the clock, Unix ms.
        every_s: seconds between two notes.
    """

    def __init__(
        self, directory: Directory, now_ms: Callable[[], int], every_s: float = limits.DIRECTORY_SIGN_INS_S
    ) -> None:
        self._directory = directory
        self._now_ms = now_ms
        self._every_s = every_s
        self._waiting: dict[tuple[str, str], TokenSignIn] = {}
        self._task: asyncio.Task[None] | None = None

    def see(self, principal: Principal, email: str) -> None:
        """A person came with a token of their own. Whether nobody else did is for the verifier to say (``edge/auth.py``).

        Args:
            email: that the token's issuer has verified; empty for none.
        """
        signed_s = labels.signed_in_s(dict(principal.labels))
        kind, _, name = principal.actor.partition(":")
        if signed_s is None or kind != "user":
            return
        at_ms, key = min(signed_s * 1_000, self._now_ms()), (principal.tenant, name_key(name))
        last_ms = max(self._waiting.get(key, _NEVER).at_ms, self._directory.noted_ms(*key))
        if at_ms - last_ms < limits.DIRECTORY_SIGN_IN_MS:
            return
        if key in self._waiting or len(self._waiting) < limits.DIRECTORY_SIGN_INS:
            self._waiting[key] = TokenSignIn(at_ms, email if len(email) <= limits.DIRECTORY_NAME_CHARS else "")

    def start(self) -> None:
        """Begin to note what is seen."""
        self._task = asyncio.create_task(self._run(), name="holdfast sign-ins")

    async def stop(self) -> None:
        """End; what waits is noted."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.note()

    async def note(self) -> None:
        """Note what waits. Where that fails it waits on."""
        waiting, self._waiting = self._waiting, {}
        try:
            await self._directory.sign_ins(waiting)
        except BaseException as error:
            self._waiting = waiting | self._waiting
            if not isinstance(error, HoldfastError):
                raise
            log.warning("%d sign-ins could not be noted: %s", len(waiting), error)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            await self.note()


_NEVER: Final = TokenSignIn(0)
