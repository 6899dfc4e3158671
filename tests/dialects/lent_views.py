"""A check on whoever looks at a view that is the hub's own (``Hub.view``): it changes nothing, and keeps nothing.

Each look gets a view of its own, which holds until the event loop has gone round, as an ``await`` might let it. Then it is
compared with what was lent, and emptied: whoever still holds a part of it finds nothing there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import msgspec
import pytest

from holdfast.hub.hub import Hub
from holdfast.protocol.codec import encode
from holdfast.protocol.fold import View
from holdfast.session.access import Principal


class LentViews:
    """The views that were looked at.

    Attributes:
        count: how many were.
        changed: the sessions whose view somebody changed.
    """

    def __init__(self) -> None:
        self.count = 0
        self.changed: list[str] = []

    async def view(self, hub: Hub, principal: Principal, session: str) -> tuple[str, int, View]:
        """As ``Hub.view``."""
        incarnation, seq, encoded = await hub.snapshot(principal, session)
        view = View.load(msgspec.json.decode(encoded))
        self.count += 1
        asyncio.get_running_loop().call_soon(self._take_back, session, view, encoded)
        return incarnation, seq, view

    def _take_back(self, session: str, view: View, encoded: bytes) -> None:
        if encode(view.export()) != encoded:
            self.changed.append(session)
        for part in (*view.items, *view.runs.values(), view.runs, view.by_id, view.branch, view.open):
            part.clear()
        view.items.clear()
        view.state = view.handoff = None


@pytest.fixture
def lent_views(monkeypatch: pytest.MonkeyPatch) -> Iterator[LentViews]:
    """Every look at a view in this test is checked."""
    lent = LentViews()
    monkeypatch.setattr(Hub, "view", lambda *args: lent.view(*args))
    yield lent
    assert lent.changed == []
