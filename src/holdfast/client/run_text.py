"""What a run says, as text: read from a view as it grows, at the cost of what is new."""

from __future__ import annotations

from typing import Any

from holdfast.errors import Refused
from holdfast.protocol.fold import View
from holdfast.protocol.view import withdrawn

BETWEEN = "\n\n"
"""Between two messages of a run."""


def run_text(items: list[dict[str, Any]], run: dict[str, Any]) -> str:
    """What a run has said so far, without its sub-runs and without what was said in vain by a lost attempt (RUN-8)."""
    return BETWEEN.join(item["text"] for item in items if _counts(item, run))


def _counts(item: dict[str, Any], run: dict[str, Any]) -> bool:
    return item["kind"] == "message" and item.get("run") == run["id"] and not withdrawn(item, run)


class RunText:
    """Reads what one run says, piece by piece, from a view that grows.

    A message is read when the one before it is over, so what was given never has to be taken back; unless an attempt was
    lost and the next one says something else.

    Attributes:
        given: the pieces so far.
    """

    def __init__(self, run: str) -> None:
        self._run = run
        self.given: list[str] = []
        self._size = 0  # characters given
        self._view: View | None = None
        self._losses = 0
        self._looked = 0  # items of the view looked at
        self._messages: list[dict[str, Any]] = []
        self._at = 0  # the message being read,
        self._read = 0  # how much of it was,
        self._total = 0  # and of all of them

    def more(self, view: View) -> str:
        """What is new since the last call, or nothing.

        Raises:
            Refused: ``run.fenced``, when what was given does not count any more.
        """
        run = view.runs[self._run]
        losses = len(run.get("losses", ()))
        if view is not self._view or losses != self._losses:
            self._begin(view, losses)
        self._messages += [item for item in view.items[self._looked :] if _counts(item, run)]
        self._looked = len(view.items)
        new = []
        while self._at < len(self._messages):
            message = self._messages[self._at]
            new.append(self._beyond(view.text_after(message["id"], self._read)))
            if message["status"] == "open" or self._at + 1 == len(self._messages):
                break
            new.append(self._beyond(BETWEEN, within=False))
            self._at, self._read = self._at + 1, 0
        piece = "".join(new)
        if piece:
            self.given.append(piece)
            self._size += len(piece)
        return piece

    def rest(self, text: str) -> str:
        """What the whole text has beyond what was given. Raises as ``more`` does."""
        given = "".join(self.given)
        if not text.startswith(given):
            raise self._void()
        return text[len(given) :]

    def _begin(self, view: View, losses: int) -> None:
        """Another view, or an attempt less: read from the beginning, past what was given."""
        self._view, self._losses = view, losses
        self._looked = self._at = self._read = self._total = 0
        self._messages = []
        self.given = ["".join(self.given)]

    def _beyond(self, text: str, *, within: bool = True) -> str:
        """Count text as read; answers the part of it that is beyond what was given."""
        start, self._total = self._total, self._total + len(text)
        if within:
            self._read += len(text)
        known = self._size - start
        if known <= 0:
            return text
        if not self.given[0].startswith(text[:known], start):
            raise self._void()
        return text[known:]

    def _void(self) -> Refused:
        return Refused("run.fenced", f"an attempt at {self._run} was lost, and another one says something else")
