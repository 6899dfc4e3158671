"""What one client has seen: pieces as they arrive, folded into entries as a chat page would show them."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Final, Literal

PieceKind = Literal["text", "whole", "begin", "user", "end", "steer", "approval", "resolved", "agent", "other"]
EntryKind = Literal["answer", "user", "steer", "approval", "agent"]
Word = Literal["complete", "stopped", "error", "closed", "cut", "refused", "redirect", "flood", "silent"]
Ending = Literal["marked", "closed", "cut", "none"]
ENDINGS: Final[dict[Word, Ending]] = {
    "complete": "marked", "stopped": "marked", "error": "marked", "closed": "closed", "cut": "cut", "refused": "cut",
    "redirect": "cut", "flood": "cut", "silent": "none",
}  # fmt: skip
"""What an end is, for every probe: ``marked`` was sent by the endpoint; ``closed`` is a clean close without a mark,
which a proxy that gives up looks like too; ``cut`` broke; ``none`` did not come."""


@dataclass(frozen=True)
class Piece:
    """One thing a client learned.

    Attributes:
        kind: ``text`` adds to an answer, ``whole`` replaces it, ``begin`` opens one, ``end`` closes it (``word`` says
            how); ``user`` and ``steer`` are words of people; ``approval`` waits for a decision, ``resolved`` has one;
            ``agent`` is text of a sub-agent named ``by``; ``other`` was not understood.
        id: what it belongs to; empty means the newest answer. place: where it stands in a list that holds the whole
            conversation; it distinguishes things without ids when that list comes again.
    """

    kind: PieceKind
    text: str = ""
    id: str = ""
    word: str = ""
    by: str = ""
    place: str = ""


@dataclass(frozen=True)
class StreamEnd:
    """How an answer, or a connection, ended.

    Attributes:
        word: ``complete``, ``stopped`` and ``error`` were sent by the endpoint; ``closed`` is an orderly close without
            a word, ``cut`` a broken line, ``refused`` an HTTP error, ``redirect`` an address elsewhere, ``flood`` more
            than the budget, ``silent`` no end within the time allowed.
        detail: more, for people. status: the HTTP status, when there was one.
    """

    word: Word
    detail: str = ""
    status: int = 0

    @property
    def ending(self) -> Ending:
        """Which kind of end it is."""
        return ENDINGS[self.word]

    @property
    def marked(self) -> bool:
        """Whether the endpoint itself marked it."""
        return self.ending == "marked"

    def __str__(self) -> str:
        return f"{self.word}: {self.detail}" if self.detail else self.word


@dataclass
class Entry:
    """One thing on the page."""

    kind: EntryKind
    id: str = ""
    text: str = ""
    end: str = ""
    by: str = ""
    pieces: int = 0
    place: str = ""


@dataclass
class Transcript:
    """The page: entries in the order in which they first appeared.

    Attributes:
        pieces: how many came. texts: how many of them changed what is answered. others: how many no rule fits.
    """

    entries: list[Entry] = field(default_factory=list)
    pieces: int = 0
    texts: int = 0
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

    @property
    def last_end(self) -> str:
        """How the newest answer ended, empty: it has not, or the endpoint did not say."""
        return self.answers[-1].end if self.answers else ""

    def of(self, kind: EntryKind) -> list[Entry]:
        """The entries of one kind."""
        return [entry for entry in self.entries if entry.kind == kind]

    def since(self, earlier: Transcript) -> list[Entry]:
        """The answers that an earlier page had not. A page that holds the whole conversation repeats what was there.

        Without ids only a page that holds more answers than the earlier one can be a repetition of it.
        """
        ids = {entry.id for entry in earlier.answers if entry.id}
        left = [entry.text for entry in earlier.answers if not entry.id]
        repeats = len(self.answers) > len(earlier.answers)
        new: list[Entry] = []
        for entry in self.answers:
            if not entry.id and repeats and not new and left and entry.text == left[0]:
                left.pop(0)
            elif not entry.id or entry.id not in ids:
                new.append(entry)
        return new or self.answers

    def outline(self) -> list[tuple[str, str]]:
        """What stands on the page, in order: who and what, without ids. Messages of one answer are taken together."""
        outline: list[tuple[str, str]] = []
        for entry in self.entries:
            if entry.kind not in ("user", "answer") or not entry.text:
                continue
            if entry.kind == "answer" and outline and outline[-1][0] == "answer":
                outline[-1] = ("answer", outline[-1][1] + entry.text)
            else:
                outline.append((entry.kind, entry.text))
        return outline

    # --- growing
    def apply(self, piece: Piece) -> None:
        """Add a piece."""
        self.pieces += 1
        if piece.kind == "other":
            self.others += 1
        elif piece.kind in ("text", "whole", "begin"):
            self._write(piece)
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
            found = self._find(piece.kind, piece.id) if piece.id else self._placed(piece.kind, piece)
            entry = found or self._add(Entry(piece.kind, piece.id, place=piece.place))
            entry.text = piece.text or entry.text

    def _write(self, piece: Piece) -> None:
        entry = self._answer(piece)
        entry.pieces += 1
        before = entry.text
        entry.text = piece.text if piece.kind == "whole" else entry.text + piece.text
        self.texts += entry.text != before

    def _end(self, piece: Piece) -> None:
        named = self._find("answer", piece.id) if piece.id else self._at("answer", piece.place)
        open_ = [entry for entry in self.answers if not entry.end]
        if named is not None:
            named.end = named.end or piece.word
        elif open_:
            for entry in open_:
                entry.end = piece.word
        elif (not piece.id or not self.answers) and self._ends_empty_answer(piece.word):
            self._add(Entry("answer", piece.id, end=piece.word))

    def _ends_empty_answer(self, word: str) -> bool:
        """Whether an end is that of an answer that never said anything, rather than one too many."""
        return self.entries[-1].kind != "answer" if self.entries else word != "complete"

    def _answer(self, piece: Piece) -> Entry:
        if piece.id:
            return self._find("answer", piece.id) or self._add(Entry("answer", piece.id))
        if piece.place:
            return self._placed("answer", piece) or self._add(Entry("answer", place=piece.place))
        open_ = [entry for entry in self.answers if not entry.end]
        return open_[-1] if open_ else self._add(Entry("answer"))

    def _placed(self, kind: EntryKind, piece: Piece) -> Entry | None:
        """The entry at the same place of a list that came again; another one when what stood there is not this."""
        found = self._at(kind, piece.place)
        if found is not None and not piece.text.startswith(found.text) and (found.end or kind != "answer"):
            found.place = ""  # a list of what is new, not of everything: its first item is another one each time
            return None
        return found

    def _at(self, kind: EntryKind, place: str) -> Entry | None:
        return next((entry for entry in self.entries if place and entry.kind == kind and entry.place == place), None)

    def _find(self, kind: EntryKind, ident: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.kind == kind and entry.id == ident), None)

    def _add(self, entry: Entry) -> Entry:
        self.entries.append(entry)
        return entry
