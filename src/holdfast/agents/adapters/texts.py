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
        self._early_sources: dict[Any, list[_Source]] = {}  # by the key of a message that has not begun
        self._sources: dict[str, set[_Source]] = {}

    async def write(self, kind: str, key: Any, text: str) -> None:
        """Append to the ``message`` or the ``reasoning`` of a key; the first text opens it."""
        if not text:
            return
        text_key = _text_key(kind, key)
        message = self._open.get(text_key)
        if message is None:
            message = self._open[text_key] = await self._open_text(kind)
            for source in self._early_sources.pop(text_key[1], ()) if kind == "message" else ():
                await self._cite_once(message, source)
        await message.write(text)

    async def _open_text(self, kind: str) -> TextOut:
        out = self._run.message() if kind == "message" else self._run.reasoning()
        if kind == "message":
            self._last = out
        return await out.__aenter__()

    async def cite(self, key: Any, uri: str, title: str = "", quote: str = "") -> None:
        """Cite a source for the message of a key. Some providers tell it before the message's first word."""
        text_key = _text_key("message", key)
        source = _Source(uri, title[: limits.SOURCE_TITLE_CHARS], quote[: limits.SOURCE_QUOTE_CHARS])
        message = self._open.get(text_key)
        if not 0 < len(uri) <= limits.SOURCE_URI_CHARS:
            return
        if message is not None:
            await self._cite_once(message, source)
        elif source not in self._early_sources.setdefault(text_key[1], []):
            self._early_sources[text_key[1]].append(source)

    async def _cite_once(self, out: TextOut, source: _Source) -> None:
        cited = self._sources.setdefault(out.id, set())
        if source not in cited:
            cited.add(source)
            await out.source(source.uri, title=source.title, quote=source.quote)

    def end(self, kind: str, key: Any) -> None:
        """Nothing more comes under this key; ``take`` returns it for completion."""
        out = self._open.pop(_text_key(kind, key), None)
        if out is not None:
            self._ended.append(out)

    def break_message(self) -> None:
        """Something else is shown now: words that come after it are another message."""
        for text_key in [text_key for text_key in self._open if text_key[0] == "message"]:
            self._ended.append(self._open.pop(text_key))

    async def end_all(self) -> None:
        """Nothing more comes under any key. Sources of words that never came are the last message's."""
        self._ended.extend(self._open.values())
        self._open.clear()
        rest, self._early_sources = [s for sources in self._early_sources.values() for s in sources], {}
        if rest and self._last is None:
            self._ended.append(await self._open_text("message"))
        for source in rest:
            assert self._last is not None
            await self._cite_once(self._last, source)

    def take(self) -> list[TextOut]:
        """The texts that have ended and are not completed yet."""
        ended, self._ended = self._ended, []
        return ended


def _text_key(kind: str, key: Any) -> tuple[str, Any]:
    return kind, key[0] if kind == "message" and isinstance(key, tuple) else key
