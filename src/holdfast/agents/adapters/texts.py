"""The texts of an answer: what is one message, and which sources it has."""

from __future__ import annotations

from typing import Any, NamedTuple

from holdfast.agents.output import TextOut
from holdfast.agents.run import RunContext
from holdfast.protocol import limits


class _Source(NamedTuple):
    uri: str
    title: str
    quote: str


class Texts:
    """The texts that are written at a time, each under a key of its own.

    Pieces of one answer are one message, unless something visible stands between them: the key of a message is what it is
    of, or a tuple that begins with it, such as ``(answer, block)``. Reasoning has a text for each key.
    """

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._open: dict[tuple[str, Any], TextOut] = {}
        self._ended: list[TextOut] = []
        self._last: TextOut | None = None  # the newest message
        self._uncited: dict[Any, list[_Source]] = {}  # by what they are of: its message has not begun
        self._cited: dict[str, set[_Source]] = {}

    async def write(self, kind: str, key: Any, text: str) -> None:
        """Append to the ``message`` or the ``reasoning`` of a key; the first text opens it."""
        if not text:
            return
        place = _place(kind, key)
        out = self._open.get(place)
        if out is None:
            out = self._open[place] = await self._begun(kind)
            for source in self._uncited.pop(place[1], ()) if kind == "message" else ():
                await self._cite(out, source)
        await out.write(text)

    async def _begun(self, kind: str) -> TextOut:
        out = self._run.message() if kind == "message" else self._run.reasoning()
        if kind == "message":
            self._last = out
        return await out.__aenter__()

    async def cite(self, key: Any, uri: str, title: str = "", quote: str = "") -> None:
        """Cite a source for the message of a key. Some providers tell it before the message's first word."""
        place = _place("message", key)
        source = _Source(uri, title[: limits.SOURCE_TITLE_CHARS], quote[: limits.SOURCE_QUOTE_CHARS])
        out = self._open.get(place)
        if not 0 < len(uri) <= limits.SOURCE_URI_CHARS:
            return
        if out is not None:
            await self._cite(out, source)
        elif source not in self._uncited.setdefault(place[1], []):
            self._uncited[place[1]].append(source)

    async def _cite(self, out: TextOut, source: _Source) -> None:
        known = self._cited.setdefault(out.id, set())
        if source not in known:
            known.add(source)
            await out.source(source.uri, title=source.title, quote=source.quote)

    def end(self, kind: str, key: Any) -> None:
        """Nothing more comes under this key; ``take`` gives it for completion."""
        out = self._open.pop(_place(kind, key), None)
        if out is not None:
            self._ended.append(out)

    def between(self) -> None:
        """Something else is shown now: words that come after it are another message."""
        for place in [place for place in self._open if place[0] == "message"]:
            self._ended.append(self._open.pop(place))

    async def end_all(self) -> None:
        """Nothing more comes under any key. Sources of words that never came are the last message's."""
        self._ended.extend(self._open.values())
        self._open.clear()
        left, self._uncited = [s for sources in self._uncited.values() for s in sources], {}
        if left and self._last is None:
            self._ended.append(await self._begun("message"))
        for source in left:
            assert self._last is not None
            await self._cite(self._last, source)

    def take(self) -> list[TextOut]:
        """The texts that have ended and are not completed yet."""
        ended, self._ended = self._ended, []
        return ended


def _place(kind: str, key: Any) -> tuple[str, Any]:
    return kind, key[0] if kind == "message" and isinstance(key, tuple) else key
