"""A view as the messages of an AG-UI client (MESSAGES_SNAPSHOT), in the order in which its own fold would put them.

Shapes: https://docs.ag-ui.com/concepts/messages. A tool call lives in an assistant message, its result follows that
message; what a client folds from events and what it is given here are the same list.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, Final

from holdfast.edge.dialects.ag_ui import user_message
from holdfast.protocol import codec
from holdfast.protocol.fold import View
from holdfast.protocol.view import Entry

ROLES: Final = frozenset({"developer", "system", "assistant", "user"})

AgUiMessage = dict[str, Any]


def role_of(role: Any) -> str:
    """A role AG-UI has: a person who took over speaks in the agents' place."""
    return role if role in ROLES else "assistant"


def name_of(view_runs: Mapping[str, Any], run: str | None) -> str:
    """Whose words these are, when they are a sub-agent's: the last part of its agent's name; else empty."""
    info = view_runs.get(run or "")
    return str(info["agent"]).rpartition("/")[2] if info is not None and info.get("parent") else ""


def result_id(call: str) -> str:
    """The id of the message that holds a tool call's result."""
    return f"{call}.result"


def result_text(data: dict[str, Any]) -> str:
    """A tool's result as text; of a failure, what went wrong."""
    content, error = data.get("content", data.get("result")), data.get("error")
    if content in (None, "") and error is not None:
        return str(error.get("message", "failed")) if isinstance(error, dict) else str(error)
    return content if isinstance(content, str) else "" if content is None else codec.encode(content).decode()


def content_of(content: Any) -> dict[str, Any]:
    """An activity's content, which AG-UI wants to be an object."""
    return content if isinstance(content, dict) else {"value": content}


class MessageHistory:
    """Messages as an AG-UI client holds them.

    Attributes:
        messages: in order.
        owners: the sub-run each message and tool call belongs to, by ``(kind, id)``; None is a root run or a person.
    """

    def __init__(self, session: str, view: View, *, subagents: bool) -> None:
        self.messages: list[AgUiMessage] = []
        self.owners: dict[tuple[str, str], str | None] = {}
        self._session = session
        self._view = view
        self._subagents = subagents
        self._by_id: dict[str, AgUiMessage] = {}
        view.export()  # makes open texts whole
        for item in view.visible():
            add = _ADD.get(item["kind"])
            if add is not None:
                add(self, item)

    def without_text(self, texts: Container[tuple[str, str]]) -> list[AgUiMessage]:
        """The messages, without the text of these, by ``(kind, id)``: each is where it belongs, and empty."""
        messages = []
        for message in self.messages:
            kind = "reasoning" if message["role"] == "reasoning" else "message"
            if (kind, message["id"]) in texts:
                message = {**message, "content": ""}
            if any(("tool", call["id"]) in texts for call in message.get("toolCalls", ())):
                calls = [
                    {**call, "function": {**call["function"], "arguments": ""}}
                    if ("tool", call["id"]) in texts
                    else call
                    for call in message["toolCalls"]
                ]
                message = {**message, "toolCalls": calls}
            messages.append(message)
        return messages

    def _add(self, item: Entry, ident: str, **fields: Any) -> AgUiMessage:
        message: AgUiMessage = {"id": ident, **fields}
        run = item.get("run")
        name = name_of(self._view.runs, run)
        if name and fields.get("role") == "assistant":
            message["name"] = name
        if name and self._subagents:
            message["subagentRunId"] = run
        self.messages.append(message)
        self._by_id[ident] = message
        return message

    def _set_owner(self, item: Entry, kind: str) -> None:
        run = item.get("run")
        self.owners[kind, item["id"]] = run if name_of(self._view.runs, run) else None

    def message(self, item: Entry) -> None:
        """Words of a person or an agent."""
        self._set_owner(item, "message")
        if item["role"] == "user" and user_message.is_continue_request(item):
            return
        existing = self._by_id.get(item["id"])
        if existing is not None:  # a tool call named it as its message before it began
            existing["content"] = item["text"]
            return
        text = item["text"]
        meta = item.get("meta")
        content = (
            user_message.content_of(self._session, text, item.get("attachments"), meta)
            if item["role"] == "user"
            else text
        )
        message = self._add(item, item["id"], role=role_of(item["role"]), content=content)
        stored = user_message.stored_meta(meta)
        message.update({field: stored[field] for field in ("name", "metadata") if field in stored})
        if isinstance(item.get("name"), str) and item["name"]:
            message["name"] = item["name"]

    def steer(self, item: Entry) -> None:
        """Words a person put into a running run."""
        self._add({**item, "run": None}, item["id"], role="user", content=item["text"])

    def reasoning(self, item: Entry) -> None:
        """A piece of reasoning."""
        self._set_owner(item, "reasoning")
        self._add(item, item["id"], role="reasoning", content=item["text"])

    def activity(self, item: Entry) -> None:
        """Something structured to show."""
        self._add(item, item["id"], role="activity", activityType=item["name"], content=content_of(item["content"]))

    def tool(self, item: Entry) -> None:
        """A tool call, inside the assistant message it belongs to, and its result after that."""
        self._set_owner(item, "tool")
        parent = self.parent_of(item.get("message"), self.owners["tool", item["id"]])
        owner = self._by_id.get(parent or item["id"])
        if owner is None or owner["role"] != "assistant":
            owner = self._add(item, item["id"] if owner is not None else parent or item["id"], role="assistant")
            owner.pop("name", None)
        function = {"name": item["name"], "arguments": item["args"]}
        owner.setdefault("toolCalls", []).append({"id": item["id"], "type": "function", "function": function})
        if item["status"] != "done":
            return
        at = self.messages.index(owner) + 1
        while at < len(self.messages) and self.messages[at]["role"] == "tool":
            at += 1
        result = self._add(item, result_id(item["id"]), role="tool", toolCallId=item["id"], content=result_text(item))
        self.messages.insert(at, self.messages.pop())
        error = item.get("error")
        if error is not None:
            result["error"] = str(error.get("message", "failed")) if isinstance(error, dict) else str(error)

    def parent_of(self, message: Any, owner: str | None) -> str | None:
        """The message a tool call names as its own, unless it is somebody else's: clients refuse that."""
        if not isinstance(message, str) or not message:
            return None
        return message if self.owners.get(("message", message), owner) == owner else None


_ADD: Final = {
    "message": MessageHistory.message,
    "reasoning": MessageHistory.reasoning,
    "tool": MessageHistory.tool,
    "activity": MessageHistory.activity,
    "steer": MessageHistory.steer,
}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def comparable(messages: list[AgUiMessage]) -> list[tuple[Any, ...]]:
    """What makes two lists of messages the same to their reader; a client keeps its activities to itself."""
    keys = []
    for message in messages:
        if message.get("role") == "activity":
            continue
        content = message.get("content")
        if isinstance(content, list):
            content = "".join(
                str(p.get("text", "")) for p in content if isinstance(p, dict) and p.get("type") == "text"
            )
        calls = [
            (call.get("id"), call.get("function", {}).get("arguments"))
            for call in _list(message.get("toolCalls"))
            if isinstance(call, dict) and isinstance(call.get("function", {}), dict)
        ]
        keys.append((message.get("id"), message.get("role"), content or "", calls))
    return keys
