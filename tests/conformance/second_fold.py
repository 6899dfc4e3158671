"""A second fold, written from the words of PROTOCOL.md, section 6, and nothing else: what is missing there shows here.

It is plain and slow: it looks for everything anew, and shares no line with ``holdfast.protocol``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.conformance.second_json import patched

Json = Any
ENDED = ("completed", "failed", "cancelled", "lost")


# --- FOLD-1, FOLD-8
def text(data: dict[str, Json], field: str) -> str:
    value = data.get(field)
    return value if isinstance(value, str) else ""


def none(value: Json) -> bool:
    return value is None or (isinstance(value, (str, list, dict)) and not value)


def some(data: dict[str, Json], *fields: str) -> dict[str, Json]:
    return {field: data[field] for field in fields if not none(data.get(field))}


def there(value: Json) -> bool:
    return not none(value) and value is not False and not (isinstance(value, (int, float)) and value == 0)


def units(said: str) -> int:
    return sum(2 if ord(character) > 0xFFFF else 1 for character in said)


# --- the view
def empty() -> dict[str, Json]:
    return {
        "fold": 1, "title": "", "agent": "", "meta": {}, "state": {}, "items": [], "runs": {},
        "branch": {"head": None, "runs": {}, "version": 0}, "handoff": None, "older": 0,
    }  # fmt: skip


class Fold:
    """A view, as JSON, and how events change it."""

    def __init__(self, view: dict[str, Json] | None = None) -> None:
        self.view = empty() if view is None else view

    def apply(self, event: dict[str, Json]) -> bool:
        """Fold one event in; False for a delta that does not join (FOLD-3)."""
        handler = getattr(self, "on_" + event["type"].replace(".", "_"), None) if event["type"] in TYPES else None
        return handler is None or handler(event, event["data"]) is not False

    def find(self, kind: str, ident: Json) -> dict[str, Json] | None:
        return next((item for item in self.view["items"] if item["kind"] == kind and item["id"] == ident), None)

    def begin(self, event: dict[str, Json], kind: str, ident: str, **fields: Json) -> None:
        item = {"kind": kind, "id": ident, "seq": event["seq"], "ts": event["ts"], "actor": event["actor"], **fields}
        if event.get("run") is not None:
            item |= {field: event[field] for field in ("run", "attempt") if event.get(field) is not None}
            run = self.view["runs"].get(event["run"])
            if run is not None and "input" in run:
                item["turn"] = run["input"]
        self.view["items"].append(item)

    def of_run(self, run: Json) -> Iterator[dict[str, Json]]:
        return (item for item in self.view["items"] if item.get("run") == run)

    # --- texts
    def start(self, event: dict[str, Json], kind: str, ident: str, **fields: Json) -> None:
        if ident and self.find(kind, ident) is None:
            self.begin(event, kind, ident, **fields, length=0, status="open")

    def on_TEXT_MESSAGE_START(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        role = text(data, "role") or "assistant"
        self.start(event, "message", text(data, "messageId"), role=role, text="", **some(data, "name"))

    def on_REASONING_MESSAGE_START(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        self.start(event, "reasoning", text(data, "messageId"), text="")

    def on_TOOL_CALL_START(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        ident, known = text(data, "toolCallId"), self.find("tool", text(data, "toolCallId"))
        if known is not None and known["status"] in ("cut", "called"):
            known.pop("approval", None)
            known.pop("paused", None)
            known |= {"args": "", "length": 0, "status": "open"}
            if event.get("attempt") is not None:
                known["attempt"] = event["attempt"]
            return
        message = {} if none(data.get("parentMessageId")) else {"message": data["parentMessageId"]}
        self.start(event, "tool", ident, name=text(data, "toolCallName"), args="", **message)

    def grow(self, event: dict[str, Json], kind: str, ident: str, field: str) -> bool:
        item, delta = self.find(kind, ident), event["data"].get("delta")
        if item is None or item["status"] != "open":
            return True
        if event.get("offset") is not None and event["offset"] != item["length"]:
            return False
        if isinstance(delta, str):
            item[field] += delta
            item["length"] += units(delta)
        return True

    def on_TEXT_MESSAGE_CONTENT(self, event: dict[str, Json], data: dict[str, Json]) -> bool:
        return self.grow(event, "message", text(data, "messageId"), "text")

    def on_REASONING_MESSAGE_CONTENT(self, event: dict[str, Json], data: dict[str, Json]) -> bool:
        return self.grow(event, "reasoning", text(data, "messageId"), "text")

    def on_TOOL_CALL_ARGS(self, event: dict[str, Json], data: dict[str, Json]) -> bool:
        return self.grow(event, "tool", text(data, "toolCallId"), "args")

    def end(self, data: dict[str, Json], kind: str, ident: str, status: str) -> None:
        item = self.find(kind, ident)
        if item is not None and item["status"] == "open":
            item["status"] = status
            if data.get("kept") is True:
                item["kept"] = True

    def on_TEXT_MESSAGE_END(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        self.end(data, "message", text(data, "messageId"), "complete")

    def on_REASONING_MESSAGE_END(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        self.end(data, "reasoning", text(data, "messageId"), "complete")

    def on_TOOL_CALL_END(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        self.end(data, "tool", text(data, "toolCallId"), "called")

    def on_TOOL_CALL_RESULT(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        tool = self.find("tool", text(data, "toolCallId"))
        if tool is None or tool["status"] == "done":
            return
        tool["status"] = "done"
        for field, source in (("result", "content"), ("error", "error"), ("blob", "blob")):
            if data.get(source) is not None:
                tool[field] = data[source]

    def on_source_cited(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        message = self.find("message", text(data, "messageId"))
        if message is not None:
            message.setdefault("sources", []).append(some(data, "sourceId", "title", "uri", "quote", "score"))

    # --- steps, activities, state
    def on_STEP_STARTED(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        name = text(data, "stepName")
        self.begin(event, "step", f"step:{name}:{event['seq']}", name=name, status="open")

    def on_STEP_FINISHED(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        wanted = ("step", text(data, "stepName"), "open")
        steps = [i for i in self.of_run(event.get("run")) if (i["kind"], i.get("name"), i.get("status")) == wanted]
        if steps:
            steps[-1]["status"] = "complete"

    def on_ACTIVITY_SNAPSHOT(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        ident, content = text(data, "messageId"), data.get("content")
        known = self.find("activity", ident)
        if known is None and ident:
            self.begin(event, "activity", ident, name=text(data, "activityType"), content=content)
        elif known is not None and data.get("replace") is not False:
            known["content"] = content

    def on_ACTIVITY_DELTA(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        known = self.find("activity", text(data, "messageId"))
        if known is not None:
            known["content"] = patched(known["content"], data.get("patch"))

    def on_STATE_SNAPSHOT(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        self.view["state"] = data.get("snapshot")

    def on_STATE_DELTA(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        self.view["state"] = patched(self.view["state"], data.get("delta"))

    # --- people
    def on_input_message(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        ident, said = text(data, "messageId"), text(data, "text")
        if not ident or self.find("message", ident) is not None:
            return
        self.begin(
            event, "message", ident, role=text(data, "role") or "user", text=said, length=units(said),
            status="complete", turn=ident, **some(data, "parent", "edits", "agent", "attachments", "meta"),
        )  # fmt: skip
        self.view["branch"]["head"] = ident
        self.view["branch"]["version"] += 1

    def on_input_steer(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        ident = text(data, "steerId")
        if ident and self.find("steer", ident) is None:
            self.begin(event, "steer", ident, text=text(data, "text"), status="pending")

    def steered(self, data: dict[str, Json], status: str) -> None:
        steer = self.find("steer", text(data, "steerId"))
        if steer is not None and steer["status"] == "pending":
            steer["status"] = status

    def on_steer_delivered(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        self.steered(data, "delivered")

    def on_steer_dropped(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        self.steered(data, "dropped")

    def on_approval_requested(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        ident = text(data, "approvalId")
        if ident and self.find("approval", ident) is None:
            fields = {field: data.get(field) for field in ("tool", "args", "hash", "deadline", "default")}
            call = text(data, "toolCallId")
            tool = self.find("tool", call)
            if tool is not None and tool["status"] != "done":
                tool |= {"approval": ident, "status": "called" if tool["status"] == "cut" else tool["status"]}
            optional = {**some(data, "requester", "rule", "why", "purpose"), **({"call": call} if call else {})}
            if data.get("purpose") is None and data.get("tool") in ("browser.claim", "browser.result"):
                optional["purpose"] = "call"
            self.begin(event, "approval", ident, **fields, status="pending", **optional)

    def on_tool_paused(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        tool = self.find("tool", text(data, "toolCallId"))
        if tool is not None and tool["status"] in ("called", "cut"):
            tool |= {"status": "called", "paused": text(data, "why") or "asks"}

    def decided(self, data: dict[str, Json], status: str) -> None:
        approval = self.find("approval", text(data, "approvalId"))
        if approval is not None and approval["status"] == "pending":
            approval |= {"status": status, **some(data, "decision", "by", "note")}

    def on_approval_resolved(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        self.decided(data, text(data, "decision"))

    def on_approval_expired(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        self.decided(data, "expired")

    def on_branch_selected(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        branch, named = self.view["branch"], data.get("run")
        if isinstance(data.get("input"), str):
            branch["head"] = data["input"]
        run = self.view["runs"].get(named) if isinstance(named, str) else None
        if run is not None and "input" in run:
            branch["runs"][run["input"]] = named
        branch["version"] += 1

    def on_handoff_taken(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        self.view["handoff"] = {"by": event["actor"], "ts": event["ts"]}

    def on_handoff_returned(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        self.view["handoff"] = None

    def on_session_created(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        meta = data.get("meta")
        self.view |= {"title": text(data, "title"), "agent": text(data, "agent"), "meta": meta if there(meta) else {}}

    def on_session_renamed(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        self.view["title"] = text(data, "title")

    # --- runs
    def known(self, event: dict[str, Json]) -> dict[str, Json] | None:
        """The run that an event is about, its version counted."""
        run: dict[str, Json] | None = self.view["runs"].get(event.get("run"))
        if run is not None:
            run["version"] += 1
        return run

    def close(self, run: str, *, ended: bool) -> None:
        """FOLD-4."""
        for item in self.of_run(run):
            if not ended and item.get("status") == "called" and ("approval" in item or "paused" in item):
                continue
            if item.get("status") in ("open", "called"):
                item["status"] = "cut"
            elif item.get("status") == "pending" and ended:
                item["status"] = "expired" if item["kind"] == "approval" else "dropped"

    def on_run_queued(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        run = self.known(event)
        if run is not None:
            run["status"] = "queued"
        elif event.get("run"):
            optional = some(data, "name", "input", "parent", "after")
            self.view["runs"][event["run"]] = {
                "id": event["run"], "seq": event["seq"], "agent": text(data, "agent"), "status": "queued", "attempt": 0,
                "attempts": data.get("attempts", 1), "version": 1, "queued_ts": event["ts"], "by": event["actor"],
                **optional,
            }  # fmt: skip
            if "parent" not in optional:
                self.view["branch"]["runs"].pop(optional.get("input"), None)

    def on_run_started(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        run = self.known(event)
        if run is not None:
            run |= {"status": "running", "attempt": data.get("generation", 1), "worker": text(data, "worker")}
            run.setdefault("started_ts", event["ts"])

    def on_run_waiting(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        run = self.known(event)
        if run is not None:
            run["status"] = "waiting"
            self.close(run["id"], ended=False)

    def on_run_attempt_lost(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        run = self.known(event)
        if run is not None:
            loss = {"attempt": data.get("generation", 0), "reason": text(data, "reason"), "ts": event["ts"]}
            run["losses"] = [*run.get("losses", []), loss]
            run["status"] = "queued"
            self.close(run["id"], ended=False)

    def on_run_ended(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        run = self.known(event)
        if run is not None:
            run |= {"status": text(data, "status"), "ended_ts": event["ts"], **some(data, "error")}
            self.close(run["id"], ended=True)

    def on_cancel_requested(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        for named in data["runs"] if isinstance(data.get("runs"), list) else []:
            run = self.view["runs"].get(named) if isinstance(named, str) else None
            if run is not None and run["status"] not in ENDED:
                receipts = {field: run.get("cancel", {}).get(field, False) for field in ("delivered", "effective")}
                run["cancel"] = {"by": event["actor"], "ts": event["ts"], "force": there(data.get("force")), **receipts}
                run["cancel"] |= {"reason": text(data, "reason")} if text(data, "reason") else {}
                run["version"] += 1

    def receipt(self, event: dict[str, Json], field: str) -> None:
        run = self.known(event)
        if run is not None and "cancel" in run:
            run["cancel"][field] = True

    def on_cancel_delivered(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        self.receipt(event, "delivered")

    def on_cancel_effective(self, event: dict[str, Json], data: dict[str, Json]) -> None:
        self.receipt(event, "effective")

    # --- what is shown
    def shown(self) -> list[dict[str, Json]]:
        turns: list[str] = []
        turn = self.view["branch"]["head"]
        while turn is not None and turn not in turns:
            turns.append(turn)
            turn = (self.find("message", turn) or {}).get("parent")
        turns.reverse()
        placed = [(place, item) for item in self.view["items"] if (place := self.place(item, turns)) is not None]
        return [item for _, item in sorted(placed, key=lambda pair: pair[0])]

    def place(self, item: dict[str, Json], turns: list[str]) -> tuple[int, bool, int] | None:
        """The turn in which an item is shown, whether after its answer, and its seq; None when it is not shown."""
        root = self.root(item["run"]) if "run" in item else None
        turn = item.get("turn") or self.view["runs"].get(root, {}).get("input")
        if turn is None:
            before = [n for n, one in enumerate(turns) if (self.find("message", one) or {}).get("seq", 0) < item["seq"]]
            number = before[-1] if before else 0
            return number, bool(turns) and self.is_after_answer(item["seq"], turns[number]), item["seq"]
        if turn not in turns or (root is not None and (self.answer(turn) or root) != root):
            return None
        return turns.index(turn), False, item["seq"]

    def is_after_answer(self, seq: int, turn: str) -> bool:
        again = self.view["runs"].get(self.answer(turn), {}).get("seq", 0)
        began = [item["seq"] for item in self.view["items"] if "run" in item and item.get("turn") == turn]
        return (began[0] if began else again) < seq < again

    def answer(self, turn: str) -> str | None:
        chosen = self.view["branch"]["runs"].get(turn)
        roots = [run for run in self.view["runs"].values() if run.get("input") == turn and "parent" not in run]
        newest = max(roots, key=lambda run: int(run["seq"]), default={"id": None})
        return chosen if chosen is not None else newest["id"]

    def root(self, run: str) -> str:
        while self.view["runs"].get(run, {}).get("parent") in self.view["runs"]:
            run = self.view["runs"][run]["parent"]
        return run


TYPES = {
    name[3:] if name[3:].isupper() else name[3:].replace("_", ".", 1) for name in vars(Fold) if name.startswith("on_")
}
