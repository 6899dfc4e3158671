"""How many connections there are, and how many each principal has: WebSockets and SSE responses alike."""

from __future__ import annotations

from collections import Counter

from holdfast.edge.config import Settings
from holdfast.errors import Unavailable
from holdfast.session.access import Principal


class Crowd:
    """The connections of one server, counted."""

    def __init__(self, settings: Settings) -> None:
        self._most = settings.connections
        self._most_each = settings.connections_per_principal
        self._each: Counter[tuple[str, str]] = Counter()
        self.total = 0
        self.strangers = 0

    def check(self) -> None:
        """Refuse another connection when there are as many as there may be (``limit.connections``)."""
        if self.total >= self._most or self.strangers >= self._most / 2:  # who says nothing leaves room for who does
            raise Unavailable("limit.connections")

    def arrive(self) -> None:
        """Somebody connected."""
        self.check()
        self.total += 1
        self.strangers += 1

    def leave(self, principal: Principal | None) -> None:
        """Somebody who connected is gone; ``principal`` is who it was, if that was ever known."""
        self.total -= 1
        if principal is None:
            self.strangers -= 1
            return
        who = (principal.tenant, principal.actor)
        self._each[who] -= 1
        if not self._each[who]:
            del self._each[who]

    def name(self, principal: Principal) -> None:
        """It is known who one of them is. Raises ``limit.connections`` when that principal has enough."""
        who = (principal.tenant, principal.actor)
        if self._each[who] >= self._most_each:
            raise Unavailable("limit.connections", "this principal has as many connections as it may")
        self._each[who] += 1
        self.strangers -= 1
