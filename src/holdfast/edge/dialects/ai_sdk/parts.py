"""The parts of a UI message, and how much of each the client has been told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from holdfast.errors import Refused
from holdfast.protocol import browser_tools, limits
from holdfast.protocol.codec import canonical, check_value, decode, encode
from holdfast.protocol.view import ENDED, Item

Chunk = dict[str, Any]
_ANY: Final = msgspec.json.Decoder()
_DONE: Final = "done"
_TOLD_OF_TOOLS: Final = {-1: "begun", -2: "called"}
_TEXTS: Final = {"message": "text", "reasoning": "reasoning"}


def parsed(text: str) -> Any:
    """A tool's arguments or result: JSON where it is JSON, else the text itself."""
    try:
        value = decode(text, _ANY, "text", limits.SERVER_MESSAGE_BYTES)
        if isinstance(value, (dict, list)):
            check_value(value)
    except Refused:  # what a browser cannot read as JSON, it gets as text
        return text
    return value


class Client(NamedTuple):
    """Who is told, which decides the calls to tools in a browser that are left to it.

    Attributes:
        version: of the SDK: 5, 6 or 7.
        actor: the person, ``user:ann``.
        tools: those the page has; None when it does not say: it may have any.
    """

    version: int
    actor: str = ""
    tools: frozenset[str] | None = None


class Parts:
    """What of a run's items has been told, and the chunks that tell the rest.

    Attributes:
        runs: the run and its sub-runs, as the view has them.
    """

    def __init__(self, root: str, client: Client) -> None:
        self.runs: dict[str, Any] = {}
        self._root = root
        self._client = client
        self._version = client.version
        self._begun = False
        self._told: dict[str, str] = {}  # where each part stands
        self._sent: dict[str, int] = {}  # characters of a text or of arguments
        self._data: dict[str, bytes] = {}
        self._sources: dict[str, int] = {}
        self._answered: frozenset[str] = frozenset()
        self._granted: dict[tuple[str, str, bytes], str] = {}  # run, tool, arguments: the approval
        self._shown_as: dict[str, str] = {}  # a call that an approval allowed is one part with it
        self._in_browsers: set[str] = set()  # calls that browsers are asked for
        self._left: set[str] = set()  # of these, those the client is to run

    def first(self) -> bool:
        """True the first time it is asked: the message has to be started."""
        first, self._begun = not self._begun, True
        return first

    def learn(self, approval: Item) -> None:
        """An approval there is, before anything of it is told."""
        if approval["tool"] in browser_tools.ASKS:
            self._in_browsers.add(str(approval["args"].get("toolCallId")))

    def awaits(self, approval: Item) -> bool:
        """Whether nothing can come of an approval before the client comes back: it has not answered, and can."""
        if approval["status"] != "pending" or approval["id"] in self._answered:
            return False
        if approval["tool"] in browser_tools.ASKS:
            return self._call_of(approval) is not None
        return self._version >= 6

    def _call_of(self, approval: Item) -> str | None:
        """The call to a tool in a browser that an approval offers to this client."""
        return browser_tools.offered(approval["tool"], approval["args"], self._client.actor, self._client.tools)

    def restore(
        self, items: list[Item], seq: int, open_: dict[str, int], cited: dict[str, int], bound: dict[str, str],
        answered: frozenset[str],
    ) -> None:  # fmt: skip
        """The client was told everything up to ``seq`` by an earlier stream, except what was ``open_`` then."""
        self._answered, self._shown_as, self._sources = answered, dict(bound), dict(cited)
        for item in items:
            key = _key(item)
            if item["seq"] > seq or item["kind"] not in (*_TEXTS, "tool", "approval"):
                continue
            if item["kind"] == "approval":
                pending = key in open_ or item["id"] in answered
                self._told[key] = "pending" if pending else _DONE
            elif key not in open_:
                self._told[key] = _DONE
                self._sources[key] = len(item.get("sources", ()))
            elif item["kind"] == "tool":
                if open_[key] in _TOLD_OF_TOOLS:
                    self._told[key] = _TOLD_OF_TOOLS[open_[key]]
            else:
                self._sent[key] = open_[key]
                if item["status"] != "open" and len(item["text"]) <= open_[key]:
                    self._told[key] = _DONE

    def unfinished(self, items: Iterable[Item]) -> dict[str, int]:
        """What ``restore`` must know later, as it travels in the message's metadata."""
        found = {}
        for item in items:
            status, key = self._status(item), _key(item)
            if item["kind"] in _TEXTS and status == "open":
                found[key] = self._sent.get(key, 0)
            elif item["kind"] == "tool" and status in ("open", "called"):
                found[key] = {None: 0, "called": -2}.get(self._told.get(key), -1)
            elif item["kind"] == "approval" and self._told.get(key) in ("pending", "granted"):
                found[key] = -1
        return found

    def cited(self, keys: Iterable[str]) -> dict[str, int]:
        """How many sources of these texts were told."""
        return {key: self._sources[key] for key in keys if self._sources.get(key)}

    @property
    def bound(self) -> dict[str, str]:
        """The calls that are one part with the approval that allowed them."""
        return self._shown_as

    # --- telling
    def item(self, item: Item) -> Iterator[Chunk]:
        """What the client does not know of an item."""
        kind = item["kind"]
        if kind in _TEXTS:
            return self._text(item, _TEXTS[kind])
        if kind == "tool":
            return self._tool(item)
        if kind == "approval":
            return self._approval(item)
        if kind == "activity":
            return self._activity(item)
        about = {"name": item["name"]} if kind == "step" else {"text": item["text"], "by": item["actor"]}
        return self.data(kind, item["id"], {**about, "status": item["status"], **self._whose(item)})

    def grow(self, kind: str, ident: str, delta: str) -> Iterator[Chunk]:
        """A text or arguments that the client knows grow."""
        key = f"{kind}:{ident}"
        if key not in self._sent or self._told.get(key) != "open":
            return
        self._sent[key] += len(delta)
        if kind == "tool":
            yield {"type": "tool-input-delta", "toolCallId": ident, "inputTextDelta": delta}
        else:
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
                self._told[key] = _DONE
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
            if self._told.setdefault(_key(item), "") != _DONE:
                self._told[_key(item)] = _DONE
                yield {"type": "file", "url": content["url"], "mediaType": content["mediaType"]}
            return
        yield from self.data(item["name"], item["id"], content)

    # --- tool calls and what allows them
    def _tool(self, item: Item) -> Iterator[Chunk]:
        key, ident, status, args = _key(item), item["id"], self._status(item), item["args"]
        told = self._told.get(key)
        if told == _DONE or (told == "cut" and status == "cut"):
            return
        if told == "cut":  # a later attempt makes the call again, or has its result
            told = "called" if status == "done" else None
        about = {"toolCallId": ident, "toolName": item["name"], "providerExecuted": ident not in self._left}
        if told is None:
            if self._maybe_granted(item):
                if status == "open":  # its arguments say whether it is what was approved
                    return
                told = "called" if self._bind(item) else None
            if told is None:
                marked = self._marked(item) if self._version >= 6 else {}
                yield {"type": "tool-input-start", **about, **marked}
                told, self._sent[key] = "open", 0
        if told in ("open", "begun"):  # what was begun in an earlier stream gets its whole input, and no more pieces
            if told == "open" and len(args) > self._sent[key]:
                delta = args[self._sent[key] :]
                yield {"type": "tool-input-delta", "toolCallId": ident, "inputTextDelta": delta}
                self._sent[key] = len(args)
            if status in ("called", "done") or (status == "cut" and not isinstance(parsed(args), str)):
                told = "called"
                yield {"type": "tool-input-available", **about, "input": parsed(args), **self._marked(item)}
        if status in ("done", "cut"):
            told = _DONE if status == "done" else "cut"
            yield _output(item, self._shown_as.get(ident) or ident)
        self._told[key] = told

    def _status(self, item: Item) -> Any:
        """A call that a browser is asked for is not cut when the worker is let go or lost: the next attempt waits on."""
        live = self.runs.get(item.get("run", ""), {}).get("status") not in ENDED
        return (
            "called" if item["id"] in self._in_browsers and item.get("status") == "cut" and live else item.get("status")
        )

    def _maybe_granted(self, item: Item) -> bool:
        return any(run == item.get("run") and tool == item["name"] for run, tool, _ in self._granted)

    def _bind(self, item: Item) -> bool:
        """Whether the call is the very action that was approved; they are one part then."""
        approval = self._granted.pop((item.get("run", ""), item["name"], canonical(parsed(item["args"]))), None)
        if approval is None:
            return False
        self._shown_as[item["id"]] = approval
        self._told[f"approval:{approval}"] = _DONE
        return True

    def _approval(self, item: Item) -> Iterator[Chunk]:
        ident, status = item["id"], item["status"]
        if item["tool"] in browser_tools.ASKS:
            yield from self._offer(item)
            return
        if self._version < 6:
            fields = ("id", "tool", "args", "hash", "deadline", "status", "by", "note")
            yield from self.data("approval", ident, {**{f: item[f] for f in fields if f in item}, **self._whose(item)})
            return
        key = _key(item)
        if key not in self._told:
            self._told[key] = "pending"
            about = {"toolCallId": ident, "toolName": item["tool"], "input": item["args"], "providerExecuted": True}
            yield {"type": "tool-input-available", **about, **self._marked(item)}
            yield {"type": "tool-approval-request", "approvalId": ident, "toolCallId": ident}
        if self._told[key] != "pending" or status == "pending":
            return
        self._told[key] = _DONE
        approved = item.get("decision") == "approved"
        if self._version >= 7:
            told = {"type": "tool-approval-response", "approvalId": ident, "approved": approved}
            yield {**told, **({"reason": item["note"]} if item.get("note") else {})}
        if approved:
            self._told[key] = "granted"
            self._granted[item["run"], item["tool"], canonical(item["args"])] = ident
        else:
            yield {"type": "tool-output-denied", "toolCallId": ident}

    def _offer(self, item: Item) -> Iterator[Chunk]:
        """A call for a tool in a browser: this client's, as long as nobody has it. Its part is told once more then, as
        one to run; the output that comes of it, from wherever, makes it one that is not (``_output``)."""
        key, call = _key(item), self._call_of(item)
        if item["status"] != "pending" or call is None or key in self._told:
            return
        self._told[key] = _DONE
        self._left.add(call)
        args = item["args"]
        about = {"toolCallId": call, "toolName": args.get("name"), "input": args.get("args"), "providerExecuted": False}
        yield {"type": "tool-input-available", **about, **self._marked(item)}

    # --- ends
    def close_texts(self, items: Iterable[Item]) -> Iterator[Chunk]:
        """End the texts that are open for the client; the stream does not go on."""
        for item in items:
            if item["kind"] in _TEXTS and self._told.get(_key(item)) == "open":
                self._told[_key(item)] = _DONE
                yield {"type": f"{_TEXTS[item['kind']]}-end", "id": item["id"]}

    def settle(self, items: Iterable[Item]) -> Iterator[Chunk]:
        """The run has ended: what was allowed and not done is told as decided, so that no part stays open."""
        for item in items:
            if item["kind"] == "approval" and self._told.get(_key(item)) == "granted":
                about = {f: item[f] for f in ("by", "note") if item.get(f)}
                yield {"type": "tool-output-available", "toolCallId": item["id"], "output": {"approved": True, **about}}


def _key(item: Item) -> str:
    return f"{item['kind']}:{item['id']}"


def _output(item: Item, ident: str) -> Chunk:
    about = {"toolCallId": ident, "providerExecuted": True}
    if item["status"] == "cut":
        return {"type": "tool-output-error", **about, "errorText": "cut before there was a result"}
    if "error" in item:
        error = item["error"]
        words = error.get("message", "") if isinstance(error, dict) else str(error)
        return {"type": "tool-output-error", **about, "errorText": words or "the tool failed"}
    output = parsed(item.get("result", ""))
    if "blob" in item:  # what is kept in the log is only the beginning
        output = {"blob": item["blob"], "preview": item.get("result", "")}
    return {"type": "tool-output-available", **about, "output": output}
