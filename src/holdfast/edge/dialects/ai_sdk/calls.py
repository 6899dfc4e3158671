"""Tool calls and what allows them, as parts of a UI message, and how much of each was sent to the client.

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
from holdfast.protocol.view import ENDED, Entry

Chunk = dict[str, Any]
_ANY: Final = msgspec.json.Decoder()
DONE: Final = "done"
_STAGES: Final = {-1: "begun", -2: "called", -3: "cut"}


def parse_json(text: str) -> Any:
    """A tool's arguments or result: JSON where it is JSON, else the text itself."""
    try:
        value = decode(text, _ANY, "text", limits.SERVER_MESSAGE_BYTES)
        if isinstance(value, (dict, list)):
            check_value(value)
    except Refused:  # what a browser cannot read as JSON, it gets as text
        return text
    return value


class SdkClient(NamedTuple):
    """Who the answer is sent to, which decides the calls to tools in a browser that are left to it.

    Attributes:
        version: of the SDK: 5, 6 or 7.
        actor: the person, ``user:ann``.
        tools: those the page has; None when it does not say: it may have any.
    """

    version: int
    actor: str = ""
    tools: frozenset[str] | None = None


class CallParts:
    """What of a run's tool calls and approvals was sent, and the chunks of the rest.

    Attributes:
        runs: the run and its sub-runs, as the view has them.
        approval_parts: of each approval that was sent, the ids of the parts that ask for it.
        merged_approvals: the calls that are one part with an approval that did not name them.
    """

    def __init__(self, root: str, client: SdkClient) -> None:
        self.runs: dict[str, Any] = {}
        self.approval_parts: dict[str, list[str]] = {}
        self.merged_approvals: dict[str, str] = {}
        self._root = root
        self._client = client
        self._stages: dict[str, str] = {}  # where each stands
        self._sent_chars: dict[str, int] = {}  # characters of arguments
        self._calls: dict[str, Entry] = {}
        self._approvals: dict[str, Entry] = {}
        self._about_call: dict[str, dict[str, Entry]] = {}  # approvals by the call they are about
        self._decided: frozenset[str] = frozenset()
        self._approved_actions: dict[tuple[str, str, bytes], str] = {}  # run, tool, arguments: the approval
        self._client_calls: set[str] = set()  # calls to tools in a browser that the client is to run
        self._step: set[str] = set()  # the parts of the last step

    # --- what there is
    def reset(self) -> None:
        """The view is another one: its items are learned anew."""
        self._calls, self._approvals, self._about_call = {}, {}, {}

    def add_item(self, item: Entry) -> None:
        """A call or an approval there is, before anything of it is sent."""
        if item["kind"] == "tool":
            self._calls[item["id"]] = item
            return
        self._approvals[item["id"]] = item
        call = item["args"].get("toolCallId") if browser_tools.is_call(item) else item.get("call")
        if isinstance(call, str):
            self._about_call.setdefault(call, {})[item["id"]] = item

    @property
    def approvals(self) -> Iterable[Entry]:
        """All there are."""
        return self._approvals.values()

    def awaits(self, approval: Entry) -> bool:
        """Whether nothing can come of an approval before the client comes back: it has not answered, and can."""
        if approval["status"] != "pending" or approval["id"] in self._decided:
            return False
        if browser_tools.is_call(approval):
            return self._offered_call(approval) is not None
        return self._client.version >= 6

    def _offered_call(self, approval: Entry) -> str | None:
        """The call to a tool in a browser that an approval offers to this client."""
        return browser_tools.offered_call(approval["tool"], approval["args"], self._client.actor, self._client.tools)

    def _approvals_of(self, call: Entry) -> Iterable[Entry]:
        return self._about_call.get(call["id"], {}).values()

    def _in_browser(self, call: Entry) -> bool:
        return any(browser_tools.is_call(a) for a in self._approvals_of(call))

    def _matching_approvals(self, call: Entry) -> list[Entry]:
        """The approvals of the very action that a call is."""
        return [a for a in self._approvals_of(call) if _same_action(call, a)] if self._client.version >= 6 else []

    def _in_progress(self, call: Entry) -> bool:
        """Whether a call is neither done, nor its part waits for an answer."""
        return (
            self._status(call) in ("open", "called") and not self._in_browser(call) and not self._awaits_approval(call)
        )

    def _awaits_approval(self, call: Entry) -> bool:
        """Whether people are asked about a call in its own part."""
        return any(
            a["status"] == "pending" and call["id"] in self.approval_parts.get(a["id"], ())
            for a in self._approvals_of(call)
        )

    def _status(self, call: Entry) -> Any:
        """A call that a browser is asked for is not cut when the worker is let go or lost: the next attempt waits on."""
        live = self.runs.get(call.get("run", ""), {}).get("status") not in ENDED
        return "called" if call["status"] == "cut" and live and self._in_browser(call) else call["status"]

    # --- what an earlier stream sent
    def restore(
        self,
        items: list[Entry],
        seq: int,
        open_: dict[str, int],
        merged_approvals: dict[str, str],
        approval_parts: dict[str, list[str]],
        step: list[str],
        decided: frozenset[str],
    ) -> None:
        """An earlier stream sent the client everything up to ``seq``, except what was ``open_`` then."""
        self._decided, self.merged_approvals, self.approval_parts, self._step = (
            decided,
            dict(merged_approvals),
            dict(approval_parts),
            set(step),
        )
        for item in items:
            key, ident = _key(item), item["id"]
            if item["seq"] > seq or item["kind"] not in ("tool", "approval"):
                continue
            if item["kind"] == "approval":
                pending = open_.get(key) == -1 or ident in decided
                self._stages[key] = "granted" if open_.get(key) == -2 else "pending" if pending else DONE
                if open_.get(key) == -2:
                    self._record_approved(item)
            elif key not in open_:
                self._stages[key] = DONE
            elif open_[key] in _STAGES:
                self._stages[key] = _STAGES[open_[key]]

    @property
    def step(self) -> list[str]:
        """The parts of the last step in which there may be more to come."""
        waiting = {place for places in self.pending_parts.values() for place in places}
        live = (ident for ident in self._step if ident in self._calls and self._stages.get(f"tool:{ident}") != DONE)
        return sorted({*live, *self._step & waiting})

    @property
    def pending_parts(self) -> dict[str, list[str]]:
        """The places of the approvals that are not decided."""
        return {
            ident: places
            for ident, places in self.approval_parts.items()
            if self._stages.get(f"approval:{ident}") != DONE
        }

    def unfinished(self, items: Iterable[Entry]) -> dict[str, int]:
        """What ``restore`` must know later, as it travels in the message's metadata."""
        open_ = {}
        for item in items:
            key = _key(item)
            if item["kind"] == "tool" and self._stages.get(key) != DONE:
                open_[key] = {None: 0, "called": -2, "cut": -3}.get(self._stages.get(key), -1)
            elif item["kind"] == "approval" and self._stages.get(key) in ("pending", "granted"):
                open_[key] = -1 if self._stages[key] == "pending" else -2
        return open_

    # --- steps
    def _step_in_progress(self, *, but: str = "") -> bool:
        """Whether something of the last step goes on, which no answer will end."""
        return any(
            ident != but and ident in self._calls and self._in_progress(self._calls[ident]) for ident in self._step
        )

    def _parent_in_progress(self, call: Entry) -> bool:
        """Whether a call of a run above goes on in the last step: an agent that is used as a tool has made this one."""
        ancestors, run = set(), self.runs.get(call.get("run", ""), {}).get("parent")
        while run in self.runs:
            ancestors.add(run)
            run = self.runs[run].get("parent")
        calls = (self._calls[ident] for ident in self._step if ident in self._calls)
        return any(other.get("run") in ancestors and self._in_progress(other) for other in calls)

    def _start_step(self) -> Iterator[Chunk]:
        self._step.clear()
        yield {"type": "start-step"}  # no finish: to the SDK that ends the texts that are open

    def pause(self) -> Iterator[Chunk]:
        """The client is to answer now: what it is asked stands in the last step, and nothing there goes on."""
        approvals = [a for a in self.approvals if not browser_tools.is_call(a) and self.awaits(a)]
        if approvals and self._step_in_progress():
            yield from self._start_step()
        for approval in approvals:
            if not self._step.intersection(self.approval_parts.get(approval["id"], ())):
                yield from self._separate_part(approval)

    # --- chunks
    def _run_metadata(self, item: Entry) -> dict[str, Any]:
        run = item.get("run")
        fields = {"run": run, "agent": self.runs[run]["agent"]} if run != self._root and run in self.runs else {}
        return {"providerMetadata": {"holdfast": fields}} if fields else {}

    def append_delta(self, ident: str, delta: str) -> Iterator[Chunk]:
        """The arguments of a call that the client knows grow."""
        key = f"tool:{ident}"
        if key in self._sent_chars and self._stages.get(key) == "open" and ident in self._step:
            self._sent_chars[key] += len(delta)
            yield {"type": "tool-input-delta", "toolCallId": ident, "inputTextDelta": delta}

    def call_chunks(self, item: Entry) -> Iterator[Chunk]:
        """What the client does not know of a call."""
        key, ident, status, args = _key(item), item["id"], self._status(item), item["args"]
        stage = self._stages.get(key)
        if stage == DONE or (stage == "cut" and status == "cut"):
            return
        if stage == "cut":  # a later attempt makes the call again, or has its result
            stage = "called" if status == "done" or ident not in self._step else None
        if stage is None:
            if self._may_be_approved(item):
                if status == "open":  # its arguments say whether it is what was approved
                    return
                stage = "called" if self._merge(item) else None
            if stage is None:
                if self._client.version >= 6 and self._parent_in_progress(item):
                    yield from self._start_step()
                stage, self._sent_chars[key] = "open", 0
                self._step.add(ident)
                metadata = self._run_metadata(item) if self._client.version >= 6 else {}
                yield {"type": "tool-input-start", **self._call_fields(item), **metadata}
        approvals = self._matching_approvals(item)
        if stage in ("open", "begun"):  # what was begun in an earlier stream gets its whole input, and no more pieces
            in_last_step = ident in self._step  # the SDK looks for the input of a call in the last step only
            if in_last_step and stage == "open" and len(args) > self._sent_chars[key] and not approvals:
                delta = args[self._sent_chars[key] :]
                yield {"type": "tool-input-delta", "toolCallId": ident, "inputTextDelta": delta}
                self._sent_chars[key] = len(args)
            if approvals or status in ("called", "done") or (status == "cut" and not isinstance(parse_json(args), str)):
                stage = "called"
                input_ = approvals[0]["args"] if approvals else parse_json(args)
                if in_last_step:
                    yield {
                        "type": "tool-input-available",
                        **self._call_fields(item),
                        "input": input_,
                        **self._run_metadata(item),
                    }
        self._stages[key] = stage
        if status in ("done", "cut") and all(self._stages.get(_key(a)) in ("granted", DONE) for a in approvals):
            self._stages[key] = DONE if status == "done" else "cut"
            yield _output_chunk(item, self.merged_approvals.get(ident) or ident)

    def _call_fields(self, item: Entry) -> Chunk:
        ident = item["id"]
        return {"toolCallId": ident, "toolName": item["name"], "providerExecuted": ident not in self._client_calls}

    def _may_be_approved(self, item: Entry) -> bool:
        return any(run == item.get("run") and tool == item["name"] for run, tool, _ in self._approved_actions)

    def _merge(self, item: Entry) -> bool:
        """Whether the call is the very action that was approved; they are one part then."""
        approval = self._approved_actions.pop(
            (item.get("run", ""), item["name"], canonical(parse_json(item["args"]))), None
        )
        if approval is None:
            return False
        self.merged_approvals[item["id"]] = approval
        self._stages[f"approval:{approval}"] = DONE
        return True

    # --- what allows them
    def approval_chunks(self, item: Entry) -> Iterator[Chunk]:
        """What the client does not know of an approval; of versions that know approvals."""
        if browser_tools.is_call(item):
            yield from self._offer_to_client(item)
            return
        key, ident, status = _key(item), item["id"], item["status"]
        call = self._matching_call(item)
        if key not in self._stages:
            self._stages[key] = "pending"
            yield from self._request_approval(item, call)
        if self._stages[key] != "pending" or status == "pending":
            return
        parts = self._parts_of(item)
        approved = item.get("decision") == "approved"
        if self._client.version >= 7:
            response = {"type": "tool-approval-response", "approvalId": ident, "approved": approved}
            yield {**response, **({"reason": item["note"]} if item.get("note") else {})}
        self._stages[key] = "granted" if approved else DONE
        if not approved:
            for part in parts:
                if part in self._calls:
                    self._stages[f"tool:{part}"] = DONE
                yield {"type": "tool-output-denied", "toolCallId": part}
        else:
            for part in (p for p in parts[1:] if p not in self._calls):
                yield self._approval_output(item, part)
            self._record_approved(item)
        if call is not None:
            yield from self.call_chunks(call)

    def _record_approved(self, item: Entry) -> None:
        """An approval that names no call is one with the first call of the same action."""
        if "call" not in item:
            self._approved_actions[item["run"], item["tool"], canonical(item["args"])] = item["id"]

    def _matching_call(self, approval: Entry) -> Entry | None:
        """The call that an approval is one with."""
        call = self._calls.get(approval.get("call", ""))
        return call if call is not None and _same_action(call, approval) else None

    def _parts_of(self, approval: Entry) -> list[str]:
        """The parts in which an approval was asked for; where a client forgot that, the part where it would be."""
        call = self._matching_call(approval)
        return self.approval_parts.get(approval["id"]) or [call["id"] if call is not None else approval["id"]]

    def _request_approval(self, item: Entry, call: Entry | None) -> Iterator[Chunk]:
        """Ask for an approval: in the part of its call where that can be answered, else in one of its own."""
        if call is not None:
            yield from self.call_chunks(call)
            if (
                call["id"] in self._step
                and not self._awaits_approval(call)
                and not self._step_in_progress(but=call["id"])
            ):
                self.approval_parts[item["id"]] = [call["id"]]
                yield {"type": "tool-approval-request", "approvalId": item["id"], "toolCallId": call["id"]}
                return
        if item["status"] == "pending" and self._step_in_progress():
            yield from self._start_step()
        yield from self._separate_part(item)

    def _separate_part(self, item: Entry) -> Iterator[Chunk]:
        parts = self.approval_parts.setdefault(item["id"], [])
        part = item["id"] if item["id"] not in parts else f"{item['id']}~{len(parts)}"
        parts.append(part)
        self._step.add(part)
        fields = {"toolCallId": part, "toolName": item["tool"], "input": item["args"], "providerExecuted": True}
        yield {"type": "tool-input-available", **fields, **self._run_metadata(item)}
        yield {"type": "tool-approval-request", "approvalId": item["id"], "toolCallId": part}

    def _offer_to_client(self, item: Entry) -> Iterator[Chunk]:
        """A call for a tool in a browser: this client's, as long as nobody has it. Its part is sent once more then, as
        one to run; the output that comes of it, from wherever, makes it one that is not (``_output_chunk``)."""
        key, call = _key(item), self._offered_call(item)
        if item["status"] != "pending" or call is None or key in self._stages:
            return
        self._stages[key] = DONE
        self._client_calls.add(call)
        args = item["args"]
        fields = {
            "toolCallId": call,
            "toolName": args.get("name"),
            "input": args.get("args"),
            "providerExecuted": False,
        }
        yield {"type": "tool-input-available", **fields, **self._run_metadata(item)}

    def finish(self) -> Iterator[Chunk]:
        """The run has ended: what was allowed and not done is sent as decided, so that no part stays open."""
        for item in self.approvals:
            part = self._parts_of(item)[0]
            if self._stages.get(_key(item)) == "granted" and part not in self._calls:
                yield self._approval_output(item, part)

    def _approval_output(self, item: Entry, part: str) -> Chunk:
        fields = {f: item[f] for f in ("by", "note") if item.get(f)}
        return {"type": "tool-output-available", "toolCallId": part, "output": {"approved": True, **fields}}


def _key(item: Entry) -> str:
    return f"{item['kind']}:{item['id']}"


def _same_action(call: Entry, approval: Entry) -> bool:
    """Whether an approval is of the very action that a call is; while it is written anew, it has been."""
    if call["name"] != approval["tool"]:
        return False
    return call["status"] == "open" or canonical(parse_json(call["args"])) == canonical(approval["args"])


def _output_chunk(item: Entry, ident: str) -> Chunk:
    fields = {"toolCallId": ident, "providerExecuted": True}
    if item["status"] == "cut":
        return {"type": "tool-output-error", **fields, "errorText": "cut before there was a result"}
    if "error" in item:
        error = item["error"]
        text = error.get("message", "") if isinstance(error, dict) else str(error)
        return {"type": "tool-output-error", **fields, "errorText": text or "the tool failed"}
    output = parse_json(item.get("result", ""))
    if "blob" in item:  # what is kept in the log is only the beginning
        output = {"blob": item["blob"], "preview": item.get("result", "")}
    return {"type": "tool-output-available", **fields, "output": output}
