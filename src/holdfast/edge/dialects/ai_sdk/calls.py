"""Tool calls and what allows them, as parts of a UI message, and how much of each the client has been told.

An approval of a call is one part with it. The SDK sends its user's answers when every tool part of the last step is done or
answered, so what waits for an answer has to stand in a step without anything that still goes on (``step``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from holdfast.errors import Refused
from holdfast.protocol import browser_tools, limits
from holdfast.protocol.codec import canonical, check_value, decode
from holdfast.protocol.view import ENDED, Item

Chunk = dict[str, Any]
_ANY: Final = msgspec.json.Decoder()
DONE: Final = "done"
_TOLD_OF_TOOLS: Final = {-1: "begun", -2: "called", -3: "cut"}


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


class Calls:
    """What of a run's tool calls and approvals has been told, and the chunks that tell the rest.

    Attributes:
        runs: the run and its sub-runs, as the view has them.
        places: of each approval that was told, the ids of the parts that ask for it.
        bound: the calls that are one part with an approval that did not name them.
    """

    def __init__(self, root: str, client: Client) -> None:
        self.runs: dict[str, Any] = {}
        self.places: dict[str, list[str]] = {}
        self.bound: dict[str, str] = {}
        self._root = root
        self._client = client
        self._told: dict[str, str] = {}  # where each stands
        self._sent: dict[str, int] = {}  # characters of arguments
        self._calls: dict[str, Item] = {}
        self._approvals: dict[str, Item] = {}
        self._about_call: dict[str, dict[str, Item]] = {}  # approvals by the call they are about
        self._answered: frozenset[str] = frozenset()
        self._granted: dict[tuple[str, str, bytes], str] = {}  # run, tool, arguments: the approval
        self._left: set[str] = set()  # calls to tools in a browser that the client is to run
        self._step: set[str] = set()  # the parts of the last step

    # --- what there is
    def forget(self) -> None:
        """The view is another one: its items are learned anew."""
        self._calls, self._approvals, self._about_call = {}, {}, {}

    def learn(self, item: Item) -> None:
        """A call or an approval there is, before anything of it is told."""
        if item["kind"] == "tool":
            self._calls[item["id"]] = item
            return
        self._approvals[item["id"]] = item
        call = item["args"].get("toolCallId") if item["tool"] in browser_tools.ASKS else item.get("call")
        if isinstance(call, str):
            self._about_call.setdefault(call, {})[item["id"]] = item

    @property
    def approvals(self) -> Iterable[Item]:
        """All there are."""
        return self._approvals.values()

    def awaits(self, approval: Item) -> bool:
        """Whether nothing can come of an approval before the client comes back: it has not answered, and can."""
        if approval["status"] != "pending" or approval["id"] in self._answered:
            return False
        if approval["tool"] in browser_tools.ASKS:
            return self._call_of(approval) is not None
        return self._client.version >= 6

    def _call_of(self, approval: Item) -> str | None:
        """The call to a tool in a browser that an approval offers to this client."""
        return browser_tools.offered_call(approval["tool"], approval["args"], self._client.actor, self._client.tools)

    def _asks(self, call: Item) -> Iterable[Item]:
        return self._about_call.get(call["id"], {}).values()

    def _in_browser(self, call: Item) -> bool:
        return any(a["tool"] in browser_tools.ASKS for a in self._asks(call))

    def _asking(self, call: Item) -> list[Item]:
        """The approvals of the very action that a call is."""
        return [a for a in self._asks(call) if _same(call, a)] if self._client.version >= 6 else []

    def _goes_on(self, call: Item) -> bool:
        """Whether a call is neither done, nor its part waits for an answer."""
        return self._status(call) in ("open", "called") and not self._in_browser(call) and not self._asked(call)

    def _asked(self, call: Item) -> bool:
        """Whether people are asked about a call in its own part."""
        return any(a["status"] == "pending" and call["id"] in self.places.get(a["id"], ()) for a in self._asks(call))

    def _status(self, call: Item) -> Any:
        """A call that a browser is asked for is not cut when the worker is let go or lost: the next attempt waits on."""
        live = self.runs.get(call.get("run", ""), {}).get("status") not in ENDED
        return "called" if call["status"] == "cut" and live and self._in_browser(call) else call["status"]

    # --- what an earlier stream told
    def restore(
        self, items: list[Item], seq: int, open_: dict[str, int], bound: dict[str, str], places: dict[str, list[str]],
        step: list[str], answered: frozenset[str],
    ) -> None:  # fmt: skip
        """The client was told everything up to ``seq`` by an earlier stream, except what was ``open_`` then."""
        self._answered, self.bound, self.places, self._step = answered, dict(bound), dict(places), set(step)
        for item in items:
            key, ident = _key(item), item["id"]
            if item["seq"] > seq or item["kind"] not in ("tool", "approval"):
                continue
            if item["kind"] == "approval":
                pending = open_.get(key) == -1 or ident in answered
                self._told[key] = "granted" if open_.get(key) == -2 else "pending" if pending else DONE
                if open_.get(key) == -2:
                    self._grant(item)
            elif key not in open_:
                self._told[key] = DONE
            elif open_[key] in _TOLD_OF_TOOLS:
                self._told[key] = _TOLD_OF_TOOLS[open_[key]]

    @property
    def step(self) -> list[str]:
        """The parts of the last step in which there may be more to come."""
        waiting = {place for places in self.waiting.values() for place in places}
        live = (ident for ident in self._step if ident in self._calls and self._told.get(f"tool:{ident}") != DONE)
        return sorted({*live, *self._step & waiting})

    @property
    def waiting(self) -> dict[str, list[str]]:
        """The places of the approvals that are not decided."""
        return {ident: places for ident, places in self.places.items() if self._told.get(f"approval:{ident}") != DONE}

    def unfinished(self, items: Iterable[Item]) -> dict[str, int]:
        """What ``restore`` must know later, as it travels in the message's metadata."""
        found = {}
        for item in items:
            key = _key(item)
            if item["kind"] == "tool" and self._told.get(key) != DONE:
                found[key] = {None: 0, "called": -2, "cut": -3}.get(self._told.get(key), -1)
            elif item["kind"] == "approval" and self._told.get(key) in ("pending", "granted"):
                found[key] = -1 if self._told[key] == "pending" else -2
        return found

    # --- steps
    def _executing(self, *, but: str = "") -> bool:
        """Whether something of the last step goes on, which no answer will end."""
        return any(ident != but and ident in self._calls and self._goes_on(self._calls[ident]) for ident in self._step)

    def _above(self, call: Item) -> bool:
        """Whether a call of a run above goes on in the last step: an agent that is used as a tool has made this one."""
        above, run = set(), self.runs.get(call.get("run", ""), {}).get("parent")
        while run in self.runs:
            above.add(run)
            run = self.runs[run].get("parent")
        going = (self._calls[ident] for ident in self._step if ident in self._calls)
        return any(other.get("run") in above and self._goes_on(other) for other in going)

    def _new_step(self) -> Iterator[Chunk]:
        self._step.clear()
        yield {"type": "start-step"}  # no finish: to the SDK that ends the texts that are open

    def pause(self) -> Iterator[Chunk]:
        """The client is to answer now: what it is asked stands in the last step, and nothing there goes on."""
        asked = [a for a in self.approvals if a["tool"] not in browser_tools.ASKS and self.awaits(a)]
        if asked and self._executing():
            yield from self._new_step()
        for approval in asked:
            if not self._step.intersection(self.places.get(approval["id"], ())):
                yield from self._apart(approval)

    # --- telling
    def _whose(self, item: Item) -> dict[str, Any]:
        run = item.get("run")
        about = {"run": run, "agent": self.runs[run]["agent"]} if run != self._root and run in self.runs else {}
        return {"providerMetadata": {"holdfast": about}} if about else {}

    def grow(self, ident: str, delta: str) -> Iterator[Chunk]:
        """The arguments of a call that the client knows grow."""
        key = f"tool:{ident}"
        if key in self._sent and self._told.get(key) == "open" and ident in self._step:
            self._sent[key] += len(delta)
            yield {"type": "tool-input-delta", "toolCallId": ident, "inputTextDelta": delta}

    def call(self, item: Item) -> Iterator[Chunk]:
        """What the client does not know of a call."""
        key, ident, status, args = _key(item), item["id"], self._status(item), item["args"]
        told = self._told.get(key)
        if told == DONE or (told == "cut" and status == "cut"):
            return
        if told == "cut":  # a later attempt makes the call again, or has its result
            told = "called" if status == "done" or ident not in self._step else None
        if told is None:
            if self._maybe_granted(item):
                if status == "open":  # its arguments say whether it is what was approved
                    return
                told = "called" if self._bind(item) else None
            if told is None:
                if self._client.version >= 6 and self._above(item):
                    yield from self._new_step()
                told, self._sent[key] = "open", 0
                self._step.add(ident)
                marked = self._whose(item) if self._client.version >= 6 else {}
                yield {"type": "tool-input-start", **self._about(item), **marked}
        asking = self._asking(item)
        if told in ("open", "begun"):  # what was begun in an earlier stream gets its whole input, and no more pieces
            here = ident in self._step  # the SDK looks for the input of a call in the last step only
            if here and told == "open" and len(args) > self._sent[key] and not asking:
                delta = args[self._sent[key] :]
                yield {"type": "tool-input-delta", "toolCallId": ident, "inputTextDelta": delta}
                self._sent[key] = len(args)
            if asking or status in ("called", "done") or (status == "cut" and not isinstance(parsed(args), str)):
                told = "called"
                input_ = asking[0]["args"] if asking else parsed(args)
                if here:
                    yield {"type": "tool-input-available", **self._about(item), "input": input_, **self._whose(item)}
        self._told[key] = told
        if status in ("done", "cut") and all(self._told.get(_key(a)) in ("granted", DONE) for a in asking):
            self._told[key] = DONE if status == "done" else "cut"
            yield _output(item, self.bound.get(ident) or ident)

    def _about(self, item: Item) -> Chunk:
        ident = item["id"]
        return {"toolCallId": ident, "toolName": item["name"], "providerExecuted": ident not in self._left}

    def _maybe_granted(self, item: Item) -> bool:
        return any(run == item.get("run") and tool == item["name"] for run, tool, _ in self._granted)

    def _bind(self, item: Item) -> bool:
        """Whether the call is the very action that was approved; they are one part then."""
        approval = self._granted.pop((item.get("run", ""), item["name"], canonical(parsed(item["args"]))), None)
        if approval is None:
            return False
        self.bound[item["id"]] = approval
        self._told[f"approval:{approval}"] = DONE
        return True

    # --- what allows them
    def approval(self, item: Item) -> Iterator[Chunk]:
        """What the client does not know of an approval; of versions that know approvals."""
        if item["tool"] in browser_tools.ASKS:
            yield from self._offer(item)
            return
        key, ident, status = _key(item), item["id"], item["status"]
        call = self._call_asked(item)
        if key not in self._told:
            self._told[key] = "pending"
            yield from self._ask(item, call)
        if self._told[key] != "pending" or status == "pending":
            return
        places = self._places(item)
        approved = item.get("decision") == "approved"
        if self._client.version >= 7:
            told = {"type": "tool-approval-response", "approvalId": ident, "approved": approved}
            yield {**told, **({"reason": item["note"]} if item.get("note") else {})}
        self._told[key] = "granted" if approved else DONE
        if not approved:
            for place in places:
                if place in self._calls:
                    self._told[f"tool:{place}"] = DONE
                yield {"type": "tool-output-denied", "toolCallId": place}
        else:
            for place in (p for p in places[1:] if p not in self._calls):
                yield self._allowed(item, place)
            self._grant(item)
        if call is not None:
            yield from self.call(call)

    def _grant(self, item: Item) -> None:
        """An approval that names no call is one with the first call of the same action."""
        if "call" not in item:
            self._granted[item["run"], item["tool"], canonical(item["args"])] = item["id"]

    def _call_asked(self, approval: Item) -> Item | None:
        """The call that an approval is one with."""
        call = self._calls.get(approval.get("call", ""))
        return call if call is not None and _same(call, approval) else None

    def _places(self, approval: Item) -> list[str]:
        """The parts in which an approval was asked for; where a client forgot that, the part where it would be."""
        call = self._call_asked(approval)
        return self.places.get(approval["id"]) or [call["id"] if call is not None else approval["id"]]

    def _ask(self, item: Item, call: Item | None) -> Iterator[Chunk]:
        """Ask for an approval: in the part of its call where that can be answered, else in one of its own."""
        if call is not None:
            yield from self.call(call)
            if call["id"] in self._step and not self._asked(call) and not self._executing(but=call["id"]):
                self.places[item["id"]] = [call["id"]]
                yield {"type": "tool-approval-request", "approvalId": item["id"], "toolCallId": call["id"]}
                return
        if item["status"] == "pending" and self._executing():
            yield from self._new_step()
        yield from self._apart(item)

    def _apart(self, item: Item) -> Iterator[Chunk]:
        places = self.places.setdefault(item["id"], [])
        part = item["id"] if item["id"] not in places else f"{item['id']}~{len(places)}"
        places.append(part)
        self._step.add(part)
        about = {"toolCallId": part, "toolName": item["tool"], "input": item["args"], "providerExecuted": True}
        yield {"type": "tool-input-available", **about, **self._whose(item)}
        yield {"type": "tool-approval-request", "approvalId": item["id"], "toolCallId": part}

    def _offer(self, item: Item) -> Iterator[Chunk]:
        """A call for a tool in a browser: this client's, as long as nobody has it. Its part is told once more then, as
        one to run; the output that comes of it, from wherever, makes it one that is not (``_output``)."""
        key, call = _key(item), self._call_of(item)
        if item["status"] != "pending" or call is None or key in self._told:
            return
        self._told[key] = DONE
        self._left.add(call)
        args = item["args"]
        about = {"toolCallId": call, "toolName": args.get("name"), "input": args.get("args"), "providerExecuted": False}
        yield {"type": "tool-input-available", **about, **self._whose(item)}

    def settle(self) -> Iterator[Chunk]:
        """The run has ended: what was allowed and not done is told as decided, so that no part stays open."""
        for item in self.approvals:
            place = self._places(item)[0]
            if self._told.get(_key(item)) == "granted" and place not in self._calls:
                yield self._allowed(item, place)

    def _allowed(self, item: Item, place: str) -> Chunk:
        about = {f: item[f] for f in ("by", "note") if item.get(f)}
        return {"type": "tool-output-available", "toolCallId": place, "output": {"approved": True, **about}}


def _key(item: Item) -> str:
    return f"{item['kind']}:{item['id']}"


def _same(call: Item, approval: Item) -> bool:
    """Whether an approval is of the very action that a call is; while it is written anew, it has been."""
    if call["name"] != approval["tool"]:
        return False
    return call["status"] == "open" or canonical(parsed(call["args"])) == canonical(approval["args"])


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
