"""What the librarian knows: this project's own documents, cut at their headings and ranked by SQLite FTS5 (BM25)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import apsw

import holdfast

SETS: Final = {
    "protocol": ("PROTOCOL.md", "docs/reference"),
    "concepts": ("README.md", "ARCHITECTURE.md", "docs/concepts", "docs/internals", "docs/adr"),
    "how-to": ("docs/tutorial", "docs/tutorial.md", "docs/howto", "CONTRIBUTING.md", "SECURITY.md"),
}
"""The document sets, each searched by a sub-agent of its own."""
_LIST: Final = "docs/reference/python.md"
"""Left out: hundreds of entries of a line or two, which rank before the pages that explain what they name."""

_WORDS = re.compile(r"[A-Za-z][A-Za-z0-9_-]+|[A-Z]+-\d+")
_MARK = re.compile(r"^\s*(?:[-*>|]\s+)+")
_RULE = re.compile(r"- (?:([A-Z]+-\d+)|\*\*([^*]+?)[.:]?\*\*) ")
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "the and for are was were how what why who does with that this from into not can you your when where which will work "
        "works has have its it is in on of to do an or if be by at as we me my our about tell explain please only more "
        "happens happen between them they there then than",
    )
)
_TRIED = 24  # passages looked at, of which those that share most with the question are kept


class Passage(NamedTuple):
    """A part of a document: ``uri`` is its path and heading, ``score`` grows with relevance."""

    title: str
    uri: str
    body: str
    score: float


def documents() -> Path:
    """The folder the documents are in: the repository's root, or what the wheel carries."""
    carried = Path(holdfast.__file__).parent / "demo" / "documents"
    return carried if carried.is_dir() else Path(holdfast.__file__).parents[2]


def cut(text: str, path: str) -> Iterator[tuple[str, str, str]]:
    """Cut Markdown at its headings, and rules (``- LOG-1 …``, ``- **Resume.** …``) one by one: ``(title, uri, body)``.

    Code blocks, tables and comments are left out.
    """
    title, lines = path, list[str]()
    fenced = False
    for line in [*text.splitlines(), "# "]:
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.lstrip().startswith(("|", "<!--")):
            continue
        elif line.startswith("#"):
            body = "\n".join(lines).strip()
            if len(body) > 60:
                yield title, _uri(path, title), body
            title, lines = _plain(line.lstrip("#0123456789. ").strip()) or path, []
        elif rule := _RULE.match(line):
            yield rule[2] or f"{rule[1]}, {title}", _uri(path, title), line[rule.end() :]
        else:
            lines.append(line)


def _uri(path: str, title: str) -> str:
    return f"{path}#{re.sub(r'[^a-z0-9]+', '-', title.lower()).strip('-')}"


def _plain(text: str) -> str:
    """Without links and emphasis, which mean nothing once a sentence stands alone."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("**", "")


class Corpus:
    """An index in memory over all sets; made once per process."""

    def __init__(self, root: Path | None = None) -> None:
        self._db = apsw.Connection(":memory:")
        self._db.execute(
            "CREATE VIRTUAL TABLE passage USING fts5(part UNINDEXED, uri UNINDEXED, title, body, tokenize='porter unicode61')"
        )
        root = root or documents()
        for part, names in SETS.items():
            for path in sorted(p for name in names for p in self._files(root / name)):
                for title, uri, body in cut(path.read_text(), str(path.relative_to(root))):
                    self._db.execute("INSERT INTO passage VALUES (?, ?, ?, ?)", (part, uri, title, body))

    @staticmethod
    def _files(path: Path) -> list[Path]:
        if path.is_dir():
            return [page for page in path.rglob("*.md") if not page.as_posix().endswith(_LIST)]
        return [path] if path.is_file() else []

    def search(self, part: str, question: str, limit: int = 3) -> list[Passage]:
        """The passages of one set that fit a question best, best first."""
        words = terms(question)
        if not words:
            return []
        query = " OR ".join(f'"{word}"' for word in words)
        rows = self._db.execute(
            "SELECT title, uri, body, -bm25(passage, 0, 0, 4.0, 1.0) FROM passage "
            "WHERE passage MATCH ? AND part = ? ORDER BY rank LIMIT ?",
            (query, part, _TRIED),
        )
        found = [Passage(str(t), str(u), str(b), float(s)) for t, u, b, s in rows]
        # a passage that speaks of all the words beats one that repeats a rare one
        weighed = [
            p._replace(score=p.score * words_in_common(f"{p.title} {p.body}", words) / len(words)) for p in found
        ]
        return sorted(weighed, key=lambda passage: -passage.score)[:limit]


def terms(question: str) -> list[str]:
    """The words of a question that say what it is about."""
    seen = dict.fromkeys(word.lower() for word in _WORDS.findall(question))
    return [word for word in seen if word not in _COMMON][:16]


def words_in_common(text: str, wanted: list[str]) -> int:
    """How many of the wanted words a text has, in any form that begins alike."""
    words = {word.lower() for word in _WORDS.findall(text)}
    return sum(any(word.startswith(want[:5]) for word in words) for want in wanted)


def best_sentences(passage: Passage, question: str, count: int = 2) -> str:
    """The sentences of a passage that share most with a question, in their own order; ``…`` where something is left out."""
    pieces = [_MARK.sub("", piece).strip() for piece in re.split(r"(?<=[.!?])\s+|\n+", _plain(passage.body))]
    sentences = [piece for piece in pieces if 30 <= len(piece) <= 420 and not piece.endswith(":")] or pieces
    wanted = terms(question)
    chosen = sorted(sentences, key=lambda sentence: -words_in_common(sentence, wanted))[:count]
    excerpt, before = "", -1
    for at, piece in enumerate(pieces):
        if piece in chosen:
            excerpt += ("" if before < 0 else " " if at == before + 1 else " … ") + piece
            before = at
    return excerpt
