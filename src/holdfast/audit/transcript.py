"""What one client has seen: pieces as they arrive, folded into entries as a chat page would show them."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Literal

PieceKind = Literal["text", "whole", "begin", "user", "end", "steer", "approval", "resolved", "agent", "other"]
EntryKind = Literal["answer", "user", "steer", "approval", "agent"]
Word = Literal["complete", "stopped", "error", "closed", "cut", "refused", "redirect", "flood", "silent"]


@dataclass(frozen=True)
class Piece:
    """One thing a client learned.

    Attributes:
        kind: ``text`` adds to an answer, ``whole`` replaces it, ``begin`` opens one, ``end`` closes it (``word`` says
            how); ``user`` and ``steer`` are words of people; ``approval`` waits for a decision, ``resolved`` has one;
            ``agent`` is text of a sub-agent named ``by``; ``other`` was not understood.
        id: what it belongs to; empty means the newest answer.
    """

    kind: PieceKind
    text: str = ""
    id: str = ""
    word: str = ""
    by: str = ""


@dataclass(frozen=True)
class End:
    """How an answer, or a connection, ended.

    Attributes:
        word: ``complete``, ``stopped`` and ``error`` were said by the endpoint; ``closed`` is an orderly close without
            a word, ``cut`` a broken line, ``refused`` an HTTP error, ``redirect`` an address elsewhere, ``flood`` more
            than the budget, ``silent`` no end within the time allowed.
        detail: more, for people. status: the HTTP status, when there was one.
    """

    word: Word
    detail: str = ""
    status: int = 0

    @property
    def said(self) -> bool:
        """Whether the endpoint itself said so."""
        return self.word in ("complete", "stopped", "error")


@dataclass
class Entry:
    """One thing on the page."""

    kind: EntryKind
    id: str = ""
    text: str = ""
    end: str = ""
    by: str = ""
    pieces: int = 0


@dataclass
class Transcript:
    """The page: entries in the order in which they first appeared."""

    entries: list[Entry] = field(default_factory=list)
    pieces: int = 0
    others: int = 0

    def copy(self) -> Transcript:
        """The same, on its own."""
        return copy.deepcopy(self)

    # --- looking
    @property
    def answers(self) -> list[Entry]:
        """The answers, in order."""
        return [entry for entry in self.entries if entry.kind == "answer"]

    @property
    def answer(self) -> str:
        """All that was answered."""
        return "".join(entry.text for entry in self.answers)

    @property
    def ended(self) -> int:
        """How many answers have ended."""
        return sum(1 for entry in self.answers if entry.end)

    @property
    def open(self) -> bool:
        """Whether an answer is being written."""
        return any(not entry.end for entry in self.answers)

    def of(self, kind: EntryKind) -> list[Entry]:
        """The entries of one kind."""
        return [entry for entry in self.entries if entry.kind == kind]

    def outline(self) -> list[tuple[str, str]]:
        """What stands on the page, in order: who and what, without ids."""
        return [(entry.kind, entry.text) for entry in self.entries if entry.kind in ("user", "answer") and entry.text]

    # --- growing
    def apply(self, piece: Piece) -> None:
        """Add a piece."""
        self.pieces += 1
        if piece.kind == "other":
            self.others += 1
        elif piece.kind in ("text", "whole", "begin"):
            entry = self._answer(piece.id)
            entry.pieces += 1
            entry.text = piece.text if piece.kind == "whole" else entry.text + piece.text
        elif piece.kind == "end":
            self._end(piece)
        elif piece.kind == "resolved":
            for entry in self.of("approval"):
                if entry.id == piece.id or not piece.id:
                    entry.end = piece.word or "resolved"
        elif piece.kind == "agent":
            entry = self._find("agent", piece.id) or self._add(Entry("agent", piece.id, by=piece.by))
            entry.text += piece.text
            entry.pieces += 1
        elif piece.kind in ("user", "steer", "approval"):
            found = self._find(piece.kind, piece.id) if piece.id else None
            entry = found or self._add(Entry(piece.kind, piece.id))
            entry.text = piece.text or entry.text

    def _end(self, piece: Piece) -> None:
        named = self._find("answer", piece.id) if piece.id else None
        open_ = [entry for entry in self.answers if not entry.end]
        if named is not None:
            named.end = named.end or piece.word
        elif open_:
            for entry in open_:
                entry.end = piece.word
        elif (not piece.id or not self.answers) and self._speechless(piece.word):
            self._add(Entry("answer", piece.id, end=piece.word))

    def _speechless(self, word: str) -> bool:
        """Whether an end is that of an answer that never said anything, rather than one too many."""
        return self.entries[-1].kind != "answer" if self.entries else word != "complete"

    def _answer(self, ident: str) -> Entry:
        if ident:
            return self._find("answer", ident) or self._add(Entry("answer", ident))
        open_ = [entry for entry in self.answers if not entry.end]
        return open_[-1] if open_ else self._add(Entry("answer"))

    def _find(self, kind: EntryKind, ident: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.kind == kind and entry.id == ident), None)

    def _add(self, entry: Entry) -> Entry:
        self.entries.append(entry)
        return entry
