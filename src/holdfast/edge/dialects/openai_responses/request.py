"""A client's request: the body of ``POST /v1/responses``, parsed and checked before anything is written.

Clients may send the whole conversation with every request; it is untrusted, and the session has it. Only what is new is
taken: what follows the last thing an agent said.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

import msgspec

from holdfast.edge.dialects.openai_responses.ids import parse_approval_request_id
from holdfast.edge.dialects.openai_responses.past import text_of
from holdfast.errors import Refused
from holdfast.protocol import codec, limits
from holdfast.protocol.bounds import too_large
from holdfast.protocol.codec import check_entity_id, check_text, encode

_ANY: Final = msgspec.json.Decoder()
_TEXT_ONLY_FIELDS: Final = frozenset(
    {"model", "input", "stream", "background", "conversation", "store", "include", "stream_options"}
)
"""Fields a request may have without saying more to the agent than its text."""
_ECHO: Final[dict[str, Any]] = {
    "instructions": None, "max_output_tokens": None, "max_tool_calls": None, "metadata": {}, "parallel_tool_calls": True,
    "previous_response_id": None, "prompt_cache_key": None, "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None, "service_tier": "default", "store": True, "temperature": None,
    "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_logprobs": 0, "top_p": None,
    "truncation": "disabled", "user": None,
}  # fmt: skip
"""Fields of a request that its response repeats, and their defaults."""


class RequestBody(msgspec.Struct):
    """The fields of the body that mean something here; the others are kept for the agent and repeated."""

    model: str
    input: str | list[dict[str, Any]] = ""
    stream: bool | None = None
    background: bool | None = None
    conversation: str | dict[str, Any] | None = None
    previous_response_id: str | None = None
    metadata: dict[str, str] | None = None
    instructions: str | list[dict[str, Any]] | None = None
    tools: list[dict[str, Any]] | None = None
    prompt: None = None
    # repeated and nothing else; typed, since clients read them back by these types
    include: list[str] | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    parallel_tool_calls: bool | None = None
    reasoning: dict[str, Any] | None = None
    service_tier: str | None = None
    store: bool | None = None
    stream_options: dict[str, Any] | None = None
    temperature: float | None = None
    text: dict[str, Any] | None = None
    tool_choice: str | dict[str, Any] | None = None
    top_logprobs: int | None = None
    top_p: float | None = None
    truncation: str | None = None
    user: str | None = None


class Decision(msgspec.Struct):
    """A decided approval: an ``mcp_approval_response`` item. ``session`` is where it was asked for, as its id says."""

    session: str | None
    approval: str
    approve: bool
    note: str


class ResponseRequest(msgspec.Struct):
    """A request, read.

    Attributes:
        body, raw: the body, typed and as it came.
        text: the new text.
        files: new files: (name, media type, content).
        results: results of functions that the client carried out: (call id, content).
        calls: calls of functions that came with them, by call id: (name, arguments).
        unanswered: calls that came with them, and no result.
        past: the conversation before all that, which is new to a new session only.
        question: what to ask again in a new session, when results are all that is new.
        decisions: approvals decided.
        text_only: nothing of it is for the agent but the text.
    """

    body: RequestBody
    raw: dict[str, Any]
    text: str
    files: list[tuple[str, str, bytes]]
    results: list[tuple[str, str]]
    decisions: list[Decision]
    text_only: bool
    calls: dict[str, tuple[str, str]] = {}
    unanswered: list[str] = []
    past: list[dict[str, Any]] = []
    question: str = ""

    @property
    def has_input(self) -> bool:
        """Whether there is something for an agent to answer, beyond decided approvals."""
        return bool(self.text or self.files or self.results) or not self.decisions

    @property
    def continues(self) -> bool:
        """Whether it names what it goes on with. Else a client that keeps the conversation itself may have sent all."""
        return self.body.previous_response_id is not None or self.conversation is not None

    @property
    def conversation(self) -> str | None:
        """The session asked for by name."""
        field = self.body.conversation
        ident = (field.get("id") or "") if isinstance(field, dict) else field
        if ident is None:
            ident = (self.body.metadata or {}).get("session")
        elif self.body.previous_response_id is not None:
            raise Refused(
                "input.malformed", "conversation: not together with previous_response_id", param="conversation"
            )
        if ident is None:
            return None
        return codec.check_session_id(ident if isinstance(ident, str) else "")

    def stored(self) -> bytes:
        """The request as the agent may read it."""
        return encode({name: value for name, value in self.raw.items() if name != "stream"})


def parse(raw: bytes) -> ResponseRequest:
    """Read a body. Raises ``input.*``."""
    body = codec.decode(raw, _ANY, "body", limits.CONVERSATION_BYTES)
    if not isinstance(body, dict):
        raise Refused("input.malformed", "body: must be a JSON object")
    try:
        fields = msgspec.convert(body, RequestBody)
    except msgspec.ValidationError as error:
        refused = codec.refusal(error, "body")
        raise Refused(refused.code, refused.detail, **refused.fields, param=_param(str(error))) from None
    if not fields.model:
        raise Refused("run.no_agent", "model: name the agent", param="model")
    if len(fields.model) > limits.NAME_CHARS:
        raise too_large("model", limits.NAME_CHARS, "characters", param="model")
    check_text(fields.model, "model")
    if isinstance(fields.input, str):
        items: list[dict[str, Any]] = [{"role": "user", "content": fields.input}]
    else:
        items = fields.input
    new = _new_items(items)
    plain = all(body[name] is None or name in _TEXT_ONLY_FIELDS for name in body)
    request = ResponseRequest(fields, body, "", [], [], [], plain)
    _sort_items(request, new)
    if fields.previous_response_id is None:
        _read_past(request, items, len(items) - len(new))
    if not request.continues:
        request.text_only &= len(new) == len(items)
    if not items or not (request.text or request.files or request.results or request.decisions):
        raise Refused("input.malformed", "input: there is nothing new in it", param="input")
    if len(request.files) >= limits.INPUT_FILES:
        raise too_large("input", limits.INPUT_FILES - 1, "files", param="input")
    if len(request.decisions) > limits.PENDING_APPROVALS:
        raise too_large("input", limits.PENDING_APPROVALS, "decisions", param="input")
    if len(check_text(request.text, "input")) > limits.TEXT_CHARS:
        raise too_large("input", limits.TEXT_CHARS, "characters", param="input")
    return request


def _read_past(request: ResponseRequest, items: list[dict[str, Any]], old_count: int) -> None:
    """The conversation so far, and the calls whose results are new. A question that is asked again is not repeated."""
    request.calls = dict(_call(item) for item in items if item.get("type") == "function_call")
    outputs = {item.get("call_id") for item in items if item.get("type") == "function_call_output"}
    request.unanswered = [call for call in request.calls if call not in outputs]
    past = items[:old_count]
    if request.results and not request.text:
        user_items = [number for number, item in enumerate(past) if item.get("role") == "user"]
        if user_items:
            request.question = text_of(past[user_items[-1]].get("content"))
            past = past[: user_items[-1]] + past[user_items[-1] + 1 :]
    request.past = past


def _param(message: str) -> str | None:
    """The field that a validation error names: ``… - at `$.input[…].x` ``."""
    _, separator, path = message.partition("`$.")
    return path.rstrip("`") if separator else None


def _is_from_agent(item: dict[str, Any]) -> bool:
    if item.get("type", "message") == "message":
        return item.get("role") == "assistant"
    return item["type"] not in ("function_call_output", "mcp_approval_response", "item_reference")


def _new_items(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What follows the last thing an agent said."""
    agent_items = [number for number, item in enumerate(items) if _is_from_agent(item)]
    return items[agent_items[-1] + 1 :] if agent_items else items


def _sort_items(request: ResponseRequest, items: list[dict[str, Any]]) -> None:
    """Sort what is new into text, files, results and decisions."""
    texts: list[str] = []
    for item in items:
        kind = item.get("type", "message")
        if kind == "message" and item.get("role") == "user":
            texts.append(_text_of(request, item.get("content")))
        elif kind == "message" and item.get("role") in ("system", "developer"):
            request.text_only = False
        elif kind == "function_call_output":
            call = check_entity_id(item.get("call_id"), "input.call_id")
            output = item.get("output", "")
            request.results.append((call, output if isinstance(output, str) else encode(output).decode()))
            request.text_only = False
        elif kind == "mcp_approval_response":
            request.decisions.append(_decision(item))
        elif kind != "item_reference":
            raise Refused("input.malformed", f"input: {str(kind)[:80]!r} is not taken here", param="input")
    request.text = "\n\n".join(word for word in texts if word)


def _call(item: dict[str, Any]) -> tuple[str, tuple[str, str]]:
    call, name, arguments = item.get("call_id"), item.get("name"), item.get("arguments")
    if not isinstance(name, str) or not isinstance(arguments, str):
        raise Refused("input.malformed", "function_call: name and arguments", param="input")
    return check_entity_id(call, "input.call_id"), (name, arguments)


def _decision(item: dict[str, Any]) -> Decision:
    approval, approve, note = item.get("approval_request_id"), item.get("approve"), item.get("reason") or ""
    if not isinstance(approval, str) or not isinstance(approve, bool) or not isinstance(note, str):
        raise Refused("input.malformed", "mcp_approval_response: approval_request_id and approve", param="input")
    session, ident = parse_approval_request_id(approval)
    return Decision(session, check_entity_id(ident, "approval_request_id"), approve, note[: limits.NAME_CHARS])


def _text_of(request: ResponseRequest, content: Any) -> str:
    """The text of a message; its files go into the request, and what is neither makes the request more than text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise Refused("input.malformed", "input: content must be a string or a list", param="input")
    texts = []
    for part in content:
        if not isinstance(part, dict):
            raise Refused("input.malformed", "input: a content part must be an object", param="input")
        if part.get("type") in ("input_text", "text") and isinstance(part.get("text"), str):
            texts.append(part["text"])
            continue
        request.text_only = False
        url = part.get("image_url") or part.get("file_data")
        if isinstance(url, str) and url.startswith("data:"):
            name = part.get("filename")
            request.files.append((name if isinstance(name, str) else "", *_decode_data_url(url)))
    return "\n".join(texts)


def _decode_data_url(url: str) -> tuple[str, bytes]:
    """Media type and content of a ``data:`` URL (RFC 2397) in base64."""
    head, _, data = url[5:].partition(",")
    media, base, _ = head.partition(";base64")
    try:
        if not base:
            raise ValueError("not base64")
        return media or "application/octet-stream", base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("input.malformed", "input: a data: URL must be base64", param="input") from None


# --- a request, seen from its response --------------------------------------------------------------------------------
def echo(body: dict[str, Any]) -> dict[str, Any]:
    """The fields of a request that its response repeats."""
    return {name: body[name] if body.get(name) is not None else default for name, default in _ECHO.items()}


def stored(raw: bytes) -> dict[str, Any]:
    """The request that an attachment holds; empty when it holds none: anybody may give a file this media type."""
    try:
        body = codec.decode(raw, _ANY, "request.json", limits.BLOB_BYTES)
        msgspec.convert(body, RequestBody)
    except (Refused, msgspec.ValidationError):
        return {}
    return body if isinstance(body, dict) else {}


def functions(body: dict[str, Any]) -> frozenset[str]:
    """Names of the functions a request offers for the client to carry out."""
    tools = body.get("tools")
    listed = [tool for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    return frozenset(str(tool.get("name")) for tool in listed if tool.get("type") == "function")


def input_items(ident: str, text: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The input as a list of items with ids."""
    items = body.get("input")
    if not isinstance(items, list):
        items = [{"role": "user", "content": text}]
    result = []
    for number, item in enumerate(items):
        shown_item = {"type": "message", "status": "completed", "id": f"in_{ident}.{number}", **item}
        if isinstance(shown_item.get("content"), str):
            part = "output_text" if shown_item.get("role") == "assistant" else "input_text"
            shown_item["content"] = [{"type": part, "text": shown_item["content"]}]
        result.append(shown_item)
    return result
