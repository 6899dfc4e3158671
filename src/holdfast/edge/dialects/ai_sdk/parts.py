"""The parts of a UI message, and how much of each was sent to the client. ``calls.py`` has tool calls and approvals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from holdfast.edge.dialects.ai_sdk.calls import DONE, CallParts, Chunk, SdkClient
from holdfast.protocol.browser_tools import ASKS
from holdfast.protocol.codec import encode
from holdfast.protocol.view import Entry

_TEXTS: Final = {"message": "text", "reasoning": "reasoning"}


class MessageParts:
    """What of a run's items was sent, and the chunks of the rest.

    Attributes:
        runs: the run and its sub-runs, as the view has them.
    """

    def __init__(self, root: str, client: SdkClient) -> None:
        self.runs: dict[str, Any] = {}
        self.calls = CallParts(root, client)
        self._root = root
        self._version = client.version
        self._started = False
        self._stages: dict[str, str] = {}  # where each part stands
        self._sent_chars: dict[str, int] = {}  # characters of a text
        self._data: dict[str, bytes] = {}
        self._sent_sources: dict[str, int] = {}

    def start_message(self) -> bool:
        """True the first time it is called: the message has to be started."""
        first, self._started = not self._started, True
        return first

    def set_view(self, runs: dict[str, Any]) -> None:
        """The view is another one."""
        self.runs = self.calls.runs = runs
        self.calls.reset()

    def restore(self, items: list[Entry], seq: int, open_: dict[str, int], cited: dict[str, int]) -> None:
        """An earlier stream sent the client everything up to ``seq``, except what was ``open_`` then."""
        self._sent_sources = dict(cited)
        for item in items:
            key = _key(item)
            if item["seq"] > seq or item["kind"] not in _TEXTS:
                continue
            if key not in open_:
                self._stages[key] = DONE
                self._sent_sources[key] = len(item.get("sources", ()))
            else:
                self._sent_chars[key] = open_[key]
                if item["status"] != "open" and len(item["text"]) <= open_[key]:
                    self._stages[key] = DONE

    def unfinished(self, items: list[Entry]) -> dict[str, int]:
        """What ``restore`` must know later, as it travels in the message's metadata."""
        texts = (item for item in items if item["kind"] in _TEXTS and item["status"] == "open")
        return {_key(item): self._sent_chars.get(_key(item), 0) for item in texts} | self.calls.unfinished(items)

    def source_counts(self, keys: Iterable[str]) -> dict[str, int]:
        """How many sources of these texts were sent."""
        return {key: self._sent_sources[key] for key in keys if self._sent_sources.get(key)}

    # --- chunks
    def item_chunks(self, item: Entry) -> Iterator[Chunk]:
        """What the client does not know of an item."""
        kind = item["kind"]
        if kind in _TEXTS:
            return self._text_chunks(item, _TEXTS[kind])
        if kind == "tool":
            return self.calls.call_chunks(item)
        if kind == "approval":
            return self._approval_chunks(item)
        if kind == "activity":
            return self._activity_chunks(item)
        fields = {"name": item["name"]} if kind == "step" else {"text": item["text"], "by": item["actor"]}
        return self.data_chunks(kind, item["id"], {**fields, "status": item["status"], **self._run_fields(item)})

    def append_delta(self, kind: str, ident: str, delta: str) -> Iterator[Chunk]:
        """A text or arguments that the client knows grow."""
        if kind == "tool":
            yield from self.calls.append_delta(ident, delta)
            return
        key = f"{kind}:{ident}"
        if key in self._sent_chars and self._stages.get(key) == "open":
            self._sent_chars[key] += len(delta)
            yield {"type": f"{_TEXTS[kind]}-delta", "id": ident, "delta": delta}

    def data_chunks(self, name: str, ident: str, value: Any) -> Iterator[Chunk]:
        """A data part, when it is new or differs; the client replaces the one with the same id."""
        raw, key = encode(value), f"{name}:{ident}"
        if self._data.get(key) != raw:
            self._data[key] = raw
            yield {"type": f"data-{name}", "id": ident, "data": value}

    def sub_run_chunks(self, run: dict[str, Any]) -> Iterator[Chunk]:
        """Who a sub-agent is and how far."""
        fields = ("agent", "name", "parent", "status", "error")
        return self.data_chunks("run", run["id"], {"run": run["id"], **{f: run[f] for f in fields if run.get(f)}})

    def _run_fields(self, item: Entry) -> dict[str, Any]:
        """A sub-agent's parts say so; the run's own need not."""
        run = item.get("run")
        return {"run": run, "agent": self.runs[run]["agent"]} if run != self._root and run in self.runs else {}

    def _metadata(self, item: Entry, **more: Any) -> dict[str, Any]:
        fields = {**self._run_fields(item), **more}
        return {"providerMetadata": {"holdfast": fields}} if fields else {}

    def _text_chunks(self, item: Entry, type_: str) -> Iterator[Chunk]:
        key, ident, text = _key(item), item["id"], item["text"]
        stage = self._stages.get(key)
        if stage is None:
            stage = self._stages[key] = "open"
            self._sent_chars.setdefault(key, 0)
            yield {"type": f"{type_}-start", "id": ident, **self._metadata(item)}
        if stage == "open":
            if len(text) > self._sent_chars[key]:
                yield {"type": f"{type_}-delta", "id": ident, "delta": text[self._sent_chars[key] :]}
                self._sent_chars[key] = len(text)
            if item["status"] != "open":
                self._stages[key] = DONE
                cut = self._metadata(item, status="cut") if item["status"] == "cut" else {}
                yield {"type": f"{type_}-end", "id": ident, **cut}
        sent_sources = self._sent_sources.get(key, 0)
        for number, source in enumerate(item.get("sources", ())[sent_sources:], sent_sources):
            self._sent_sources[key] = number + 1
            yield self._source_chunk(source, f"{ident}.{number}")

    def _source_chunk(self, source: dict[str, Any], ident: str) -> Chunk:
        uri, ident = str(source.get("uri", "")), str(source.get("sourceId", ident))
        title = str(source.get("title") or uri or ident)
        fields = {k: source[k] for k in ("quote", "score") if k in source}
        more = {"providerMetadata": {"holdfast": fields}} if fields else {}
        if uri.startswith(("http://", "https://")):
            return {"type": "source-url", "sourceId": ident, "url": uri, "title": title, **more}
        return {"type": "source-document", "sourceId": ident, "mediaType": "text/plain", "title": title, **more}

    def _activity_chunks(self, item: Entry) -> Iterator[Chunk]:
        content = item["content"]
        file = item["name"] == "file" and isinstance(content, dict)
        if file and isinstance(content.get("url"), str) and isinstance(content.get("mediaType"), str):
            if self._stages.setdefault(_key(item), "") != DONE:
                self._stages[_key(item)] = DONE
                yield {"type": "file", "url": content["url"], "mediaType": content["mediaType"]}
            return
        yield from self.data_chunks(item["name"], item["id"], content)

    def _approval_chunks(self, item: Entry) -> Iterator[Chunk]:
        if self._version >= 6 or item["tool"] in ASKS:
            return self.calls.approval_chunks(item)
        fields = ("id", "tool", "args", "hash", "deadline", "status", "by", "note")
        return self.data_chunks(
            "approval", item["id"], {**{f: item[f] for f in fields if f in item}, **self._run_fields(item)}
        )

    # --- ends
    def close_texts(self, items: Iterable[Entry]) -> Iterator[Chunk]:
        """End the texts that are open for the client; the stream does not go on."""
        for item in items:
            if item["kind"] in _TEXTS and self._stages.get(_key(item)) == "open":
                self._stages[_key(item)] = DONE
                yield {"type": f"{_TEXTS[item['kind']]}-end", "id": item["id"]}


def _key(item: Entry) -> str:
    return f"{item['kind']}:{item['id']}"
