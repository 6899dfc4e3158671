"""What a run says, as text: read from a view as it grows, at the cost of what is new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

from holdfast.errors import Refused
from holdfast.protocol.fold import View
from holdfast.protocol.items import Item, MessageItem
from holdfast.protocol.view import withdrawn
from holdfast.protocol.view_data import RunEntry

SEPARATOR = "\n\n"
"""Between two messages of a run."""


def run_text(items: Sequence[Item], run: RunEntry) -> str:
    """What a run has said so far, without its sub-runs and without what was said in vain by a lost attempt (RUN-8)."""
    return SEPARATOR.join(item["text"] for item in items if _is_counted(item, run))


def _is_counted(item: Item, run: RunEntry) -> TypeGuard[MessageItem]:
    return item["kind"] == "message" and item.get("run") == run["id"] and not withdrawn(item, run)


class RunText:
    """Reads what one run says, piece by piece, from a view that grows.

    A message is read when the one before it is over, so a piece never has to be taken back; unless an attempt was
    lost and the next one says something else.

    Attributes:
        pieces: what was read so far.
    """

    def __init__(self, run: str) -> None:
        self._run = run
        self.pieces: list[str] = []
        self._pieces_chars = 0  # characters in ``pieces``
        self._view: View | None = None
        self._losses = 0
        self._next_item = 0  # items of the view looked at
        self._messages: list[MessageItem] = []
        self._message_index = 0  # the message being read,
        self._message_chars = 0  # how much of it was,
        self._total_chars = 0  # and of all of them

    def read_new(self, view: View) -> str:
        """What is new since the last call, or nothing.

        Raises:
            Refused: ``run.fenced``, when the pieces so far do not count any more.
        """
        run = view.runs[self._run]
        losses = len(run.get("losses", ()))
        if view is not self._view or losses != self._losses:
            self._restart(view, losses)
        self._messages += [item for item in view.items[self._next_item :] if _is_counted(item, run)]
        self._next_item = len(view.items)
        parts = []
        while self._message_index < len(self._messages):
            message = self._messages[self._message_index]
            parts.append(self._skip_known(view.text_after(message["id"], self._message_chars)))
            if message["status"] == "open" or self._message_index + 1 == len(self._messages):
                break
            parts.append(self._skip_known(SEPARATOR, in_message=False))
            self._message_index, self._message_chars = self._message_index + 1, 0
        piece = "".join(parts)
        if piece:
            self.pieces.append(piece)
            self._pieces_chars += len(piece)
        return piece

    def remainder(self, text: str) -> str:
        """What the whole text has beyond the pieces so far. Raises as ``read_new`` does."""
        text_so_far = "".join(self.pieces)
        if not text.startswith(text_so_far):
            raise self._outdated()
        return text[len(text_so_far) :]

    def _restart(self, view: View, losses: int) -> None:
        """Another view, or an attempt less: read from the beginning, past the pieces so far."""
        self._view, self._losses = view, losses
        self._next_item = self._message_index = self._message_chars = self._total_chars = 0
        self._messages = []
        self.pieces = ["".join(self.pieces)]

    def _skip_known(self, text: str, *, in_message: bool = True) -> str:
        """Count text as read; returns the part of it that is beyond the pieces so far."""
        start, self._total_chars = self._total_chars, self._total_chars + len(text)
        if in_message:
            self._message_chars += len(text)
        overlap = self._pieces_chars - start
        if overlap <= 0:
            return text
        if not self.pieces[0].startswith(text[:overlap], start):
            raise self._outdated()
        return text[overlap:]

    def _outdated(self) -> Refused:
        return Refused("run.fenced", f"an attempt at {self._run} was lost, and another one says something else")
