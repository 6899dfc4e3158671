"""What was really asked and served: the bill that any ledger can be compared with."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal

import msgspec

Outcome = Literal["open", "done", "refused", "error", "cut", "closed", "aborted"]
"""``error``, ``cut`` and ``closed`` are knobs'; ``aborted``: who asked went before the end."""

KEPT = 20_000
"""Requests that are kept one by one; totals know all of them."""


class Request(msgspec.Struct):
    """One request of a model.

    ``generated`` are the visible tokens to be paid for, ``delivered`` those written to the connection. ``reported``: whether
    usage was. ``headers`` and ``body`` are there when the server keeps them (``--keep``).
    """

    id: str
    path: str
    model: str
    served: str
    stream: bool
    status: int
    input: int
    cached: int
    written: int
    reasoning: int = 0
    generated: int = 0
    delivered: int = 0
    reported: bool = False
    outcome: Outcome = "open"
    headers: dict[str, str] = {}
    body: str = ""


class Stats(msgspec.Struct):
    """Totals since the start or the last reset, and the newest requests, oldest first."""

    started: int = 0
    ended: int = 0
    refused: int = 0
    aborted: int = 0
    input: int = 0
    output: int = 0
    connections: int = 0
    requests: list[Request] = []


class Truth:
    """Keeps count. Tokens are counted when a request ends."""

    def __init__(self) -> None:
        self.connections = 0
        self._waiting: list[tuple[int, Callable[[], None]]] = []
        self._number = 0
        self.reset()

    def reset(self) -> None:
        """Forget everything but the open connections. Requests that still go on end uncounted."""
        self._totals = Stats()
        self._requests: deque[Request] = deque(maxlen=KEPT)
        self._counted: set[str] = set()

    def next_id(self) -> str:
        """An id of a fixed width, which no other request has."""
        self._number += 1
        return f"{self._number:012d}"

    def begin(self, request: Request) -> None:
        """A request has come in."""
        self._totals.started += 1
        self._counted.add(request.id)
        self._requests.append(request)

    def end(self, request: Request, outcome: Outcome) -> None:
        """A request has ended, one way or the other."""
        request.outcome = outcome
        if request.id not in self._counted:
            return
        self._counted.discard(request.id)
        totals = self._totals
        totals.ended += 1
        totals.refused += outcome == "refused"
        totals.aborted += outcome == "aborted"
        if outcome != "refused":
            totals.input += request.input + request.cached + request.written
            totals.output += request.generated + request.reasoning
        for item in [item for item in self._waiting if item[0] <= totals.ended]:
            self._waiting.remove(item)
            item[1]()

    def when_ended(self, count: int, tell: Callable[[], None]) -> None:
        """Call ``tell`` once that many requests have ended, now if they have."""
        if self._totals.ended >= count:
            tell()
        else:
            self._waiting.append((count, tell))

    def stats(self) -> Stats:
        """All of it."""
        return msgspec.structs.replace(self._totals, connections=self.connections, requests=list(self._requests))
