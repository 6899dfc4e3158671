"""A run as seen by the person who asked for it."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from typing import Protocol

from holdfast.client.live import LiveView
from holdfast.client.run_text import RunText, run_text
from holdfast.errors import Refused
from holdfast.protocol.fold import View
from holdfast.protocol.view import ENDED
from holdfast.protocol.view_data import HistoryPage, RunEntry


class _Session(Protocol):
    """What a run asks of the session it is in; ``client.session.Session`` has it."""

    id: str

    def live(self) -> LiveView: ...

    async def history(self, page: int, *, incarnation: str | None = None) -> HistoryPage: ...

    async def cancel(self, run: str | None = None, *, force: bool = False, reason: str = "") -> list[str]: ...

    async def steer(self, run: str, text: str) -> str: ...


class Run:
    """A run by id. Nothing happens to it when this object, or the connection, goes away.

    Attributes:
        id: the run's id; empty when nothing was queued (the input was for nobody, or the agents are muted).
        input: id of the input message it answers.
        served: whether a worker was there for it when it was queued; without one it waits. None when that is not known.
    """

    def __init__(self, session: _Session, run: str, input: str = "", served: bool | None = None) -> None:
        self.session = session
        self.id = run
        self.input = input
        self.served = served

    def __repr__(self) -> str:
        return f"<Run {self.id} in {self.session.id}>"

    async def cancel(self, *, force: bool = False, reason: str = "") -> None:
        """Stop it; ``force`` without any grace. Raises ``run.ended`` when there is nothing left to stop."""
        await self.session.cancel(self.id, force=force, reason=reason)

    async def steer(self, text: str) -> str:
        """Put words into it while it runs; returns the steer's id."""
        return await self.session.steer(self.id, text)

    async def finished(self) -> RunEntry:
        """Wait for its end and return it as the view shows it: ``status``, and ``error`` when it failed.

        Raises:
            Refused: ``run.not_found`` when neither the session's state nor its history has it.
        """
        async with self.session.live() as live:
            view = await live.until(lambda view: self._has_ended(view) or self.id not in view.runs)
            run, page, incarnation = view.runs.get(self.id), view.older, live.incarnation
        while run is None and page > 0:  # it ended long ago: it is on a page of history
            older = await self.session.history(page, incarnation=incarnation)
            run, page = older["page"]["runs"].get(self.id), older["older"]
        if run is None:
            raise Refused("run.not_found", f"no run {self.id!r:.80}")
        return run.copy()

    async def text(self) -> str:
        """Wait for its end and return what it said: the texts of its messages, joined by blank lines."""
        run = await self.finished()
        async with self.session.live() as live:
            view = View.load(copy.deepcopy(live.view.export()))
        items, page = view.items, view.older
        while page > 0 and (not items or items[0]["seq"] > run["seq"]):
            older = await self.session.history(page, incarnation=live.incarnation)
            items, page = [*older["page"]["items"], *items], older["older"]
        return run_text(items, run)

    async def stream(self) -> AsyncIterator[str]:
        """What it says, piece by piece as it says it, from the beginning; all pieces together are ``text()``.

        Ends when the run ends, however it ends: ``finished`` tells. Leaving the iteration stops nothing.

        Raises:
            Refused: ``run.not_found``; ``run.fenced`` when an attempt was lost and the next one says something else:
                what was given is void, and a new iteration gives what counts.
        """
        reader = RunText(self.id)
        piece = ""

        def has_news(view: View) -> bool:
            nonlocal piece
            if self._has_ended(view) or not self._starts_in(view):
                return True
            piece = reader.read_new(view)
            return bool(piece)

        async with self.session.live() as live:
            view = await live.until(has_news)
            while not self._has_ended(view) and self._starts_in(view):
                yield piece
                view = await live.until(has_news)
        piece = reader.remainder(await self.text())
        if piece:
            yield piece

    def _starts_in(self, view: View) -> bool:
        """Whether the view holds the run's beginning, and not only a page of history (SUB-5)."""
        run = view.runs.get(self.id)
        return run is not None and (view.older == 0 or (bool(view.items) and view.items[0]["seq"] <= run["seq"]))

    def _has_ended(self, view: View) -> bool:
        run = view.runs.get(self.id)
        return run is not None and run["status"] in ENDED
