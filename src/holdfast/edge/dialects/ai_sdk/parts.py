"""The parts of a UI message, and how much of each the client has been told. ``calls.py`` has tool calls and approvals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from holdfast.edge.dialects.ai_sdk.calls import DONE, Calls, Chunk, Client
from holdfast.protocol.browser_tools import ASKS
from holdfast.protocol.codec import encode
from holdfast.protocol.view import Item

_TEXTS: Final = {"message": "text", "reasoning": "reasoning"}


class Parts:
    """What of a run's items has been told, and the chunks that tell the rest.

    Attributes:
        runs: the run and its sub-runs, as the view has them.
    """

    def __init__(self, root: str, client: Client) -> None:
        self.runs: dict[str, Any] = {}
        self.calls = Calls(root, client)
        self._root = root
        self._version = client.version
        self._begun = False
        self._told: dict[str, str] = {}  # where each part stands
        self._sent: dict[str, int] = {}  # characters of a text
        self._data: dict[str, bytes] = {}
        self._sources: dict[str, int] = {}

    def first(self) -> bool:
        """True the first time it is asked: the message has to be started."""
        first, self._begun = not self._begun, True
        return first

    def look(self, runs: dict[str, Any]) -> None:
        """The view is another one."""
        self.runs = self.calls.runs = runs
        self.calls.forget()

    def restore(self, items: list[Item], seq: int, open_: dict[str, int], cited: dict[str, int]) -> None:
        """The client was told everything up to ``seq`` by an earlier stream, except what was ``open_`` then."""
        self._sources = dict(cited)
        for item in items:
            key = _key(item)
            if item["seq"] > seq or item["kind"] not in _TEXTS:
                continue
            if key not in open_:
                self._told[key] = DONE
                self._sources[key] = len(item.get("sources", ()))
            else:
                self._sent[key] = open_[key]
                if item["status"] != "open" and len(item["text"]) <= open_[key]:
                    self._told[key] = DONE

    def unfinished(self, items: list[Item]) -> dict[str, int]:
        """What ``restore`` must know later, as it travels in the message's metadata."""
        texts = (item for item in items if item["kind"] in _TEXTS and item["status"] == "open")
        return {_key(item): self._sent.get(_key(item), 0) for item in texts} | self.calls.unfinished(items)

    def cited(self, keys: Iterable[str]) -> dict[str, int]:
        """How many sources of these texts were told."""
        return {key: self._sources[key] for key in keys if self._sources.get(key)}

    # --- telling
    def item(self, item: Item) -> Iterator[Chunk]:
        """What the client does not know of an item."""
        kind = item["kind"]
        if kind in _TEXTS:
            return self._text(item, _TEXTS[kind])
        if kind == "tool":
            return self.calls.call(item)
        if kind == "approval":
            return self._approval(item)
        if kind == "activity":
            return self._activity(item)
        about = {"name": item["name"]} if kind == "step" else {"text": item["text"], "by": item["actor"]}
        return self.data(kind, item["id"], {**about, "status": item["status"], **self._whose(item)})

    def grow(self, kind: str, ident: str, delta: str) -> Iterator[Chunk]:
        """A text or arguments that the client knows grow."""
        if kind == "tool":
            yield from self.calls.grow(ident, delta)
            return
        key = f"{kind}:{ident}"
        if key in self._sent and self._told.get(key) == "open":
            self._sent[key] += len(delta)
            yield {"type": f"{_TEXTS[kind]}-delta", "id": ident, "delta": delta}

    def data(self, name: str, ident: str, value: Any) -> Iterator[Chunk]:
        """A data part, when it is new or differs; the client replaces the one with the same id."""
        raw, key = encode(value), f"{name}:{ident}"
        if self._data.get(key) != raw:
            self._data[key] = raw
            yield {"type": f"data-{name}", "id": ident, "data": value}

    def sub_run(self, run: dict[str, Any]) -> Iterator[Chunk]:
        """Who a sub-agent is and how far."""
        fields = ("agent", "name", "parent", "status", "error")
        return self.data("run", run["id"], {"run": run["id"], **{f: run[f] for f in fields if run.get(f)}})

    def _whose(self, item: Item) -> dict[str, Any]:
        """A sub-agent's parts say so; the run's own need not."""
        run = item.get("run")
        return {"run": run, "agent": self.runs[run]["agent"]} if run != self._root and run in self.runs else {}

    def _marked(self, item: Item, **more: Any) -> dict[str, Any]:
        about = {**self._whose(item), **more}
        return {"providerMetadata": {"holdfast": about}} if about else {}

    def _text(self, item: Item, word: str) -> Iterator[Chunk]:
        key, ident, text = _key(item), item["id"], item["text"]
        told = self._told.get(key)
        if told is None:
            told = self._told[key] = "open"
            self._sent.setdefault(key, 0)
            yield {"type": f"{word}-start", "id": ident, **self._marked(item)}
        if told == "open":
            if len(text) > self._sent[key]:
                yield {"type": f"{word}-delta", "id": ident, "delta": text[self._sent[key] :]}
                self._sent[key] = len(text)
            if item["status"] != "open":
                self._told[key] = DONE
                cut = self._marked(item, status="cut") if item["status"] == "cut" else {}
                yield {"type": f"{word}-end", "id": ident, **cut}
        known = self._sources.get(key, 0)
        for number, source in enumerate(item.get("sources", ())[known:], known):
            self._sources[key] = number + 1
            yield self._source(source, f"{ident}.{number}")

    def _source(self, source: dict[str, Any], ident: str) -> Chunk:
        uri, ident = str(source.get("uri", "")), str(source.get("sourceId", ident))
        title = str(source.get("title") or uri or ident)
        about = {k: source[k] for k in ("quote", "score") if k in source}
        more = {"providerMetadata": {"holdfast": about}} if about else {}
        if uri.startswith(("http://", "https://")):
            return {"type": "source-url", "sourceId": ident, "url": uri, "title": title, **more}
        return {"type": "source-document", "sourceId": ident, "mediaType": "text/plain", "title": title, **more}

    def _activity(self, item: Item) -> Iterator[Chunk]:
        content = item["content"]
        file = item["name"] == "file" and isinstance(content, dict)
        if file and isinstance(content.get("url"), str) and isinstance(content.get("mediaType"), str):
            if self._told.setdefault(_key(item), "") != DONE:
                self._told[_key(item)] = DONE
                yield {"type": "file", "url": content["url"], "mediaType": content["mediaType"]}
            return
        yield from self.data(item["name"], item["id"], content)

    def _approval(self, item: Item) -> Iterator[Chunk]:
        if self._version >= 6 or item["tool"] in ASKS:
            return self.calls.approval(item)
        fields = ("id", "tool", "args", "hash", "deadline", "status", "by", "note")
        return self.data("approval", item["id"], {**{f: item[f] for f in fields if f in item}, **self._whose(item)})

    # --- ends
    def close_texts(self, items: Iterable[Item]) -> Iterator[Chunk]:
        """End the texts that are open for the client; the stream does not go on."""
        for item in items:
            if item["kind"] in _TEXTS and self._told.get(_key(item)) == "open":
                self._told[_key(item)] = DONE
                yield {"type": f"{_TEXTS[item['kind']]}-end", "id": item["id"]}


def _key(item: Item) -> str:
    return f"{item['kind']}:{item['id']}"
