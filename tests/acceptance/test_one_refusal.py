"""One refusal, one code, one fix: the same fault through every surface that can carry it."""

from __future__ import annotations

import contextlib
import json
from typing import Any, NamedTuple

import pytest
import websockets

import holdfast
from holdfast.client.client import Client
from holdfast.errors import CODES, HoldfastError, Refused
from holdfast.protocol import limits, wire
from holdfast.protocol.codec import encode
from holdfast.protocol.events import Draft

from .conftest import Site

pytestmark = pytest.mark.anyio

LONG = "x" * (limits.TEXT_CHARS + 1)
NAME = "n" * (limits.NAME_CHARS + 1)
ID = "i" * (limits.ENTITY_ID_CHARS + 1)
SESSION = "s" * (limits.SESSION_ID_CHARS + 1)
FILES = [{"blob": "b1"}] * (limits.INPUT_FILES + 1)


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"x": value}
    return value


class Fault(NamedTuple):
    """What is wrong, as an operation; ``fix`` is a part of what must be said to do."""

    name: str
    op: str
    fields: dict[str, Any]
    code: str
    fix: str


EVENT = {"type": "CUSTOM", "data": {"name": "n", "value": 1}}
DATA = {"type": "CUSTOM", "data": {"name": "n", "value": "v" * limits.EVENT_BYTES}}
DELTA = {"type": "TEXT_MESSAGE_CONTENT", "data": {"messageId": "m", "delta": "d" * (limits.DELTA_CHARS + 1)}}
OPENED = {"type": "TEXT_MESSAGE_START", "data": {"messageId": "m"}}
VERY_DEEP = nested(5_000)
FAULTS = [
    Fault("a text", "send", {"text": LONG}, "input.too_large", f"{limits.TEXT_CHARS} characters, or put"),
    Fault("words to a run", "steer", {"run": "r1", "text": LONG}, "input.too_large", f"{limits.TEXT_CHARS} characters"),
    Fault("an interruption", "interrupt", {"text": LONG}, "input.too_large", f"{limits.TEXT_CHARS} characters"),
    Fault("a title", "create", {"title": NAME}, "input.too_large", "Use at most 200 characters."),
    Fault("a new title", "rename", {"title": NAME}, "input.too_large", "Use at most 200 characters."),
    Fault("an agent's name", "send", {"text": "x", "agent": NAME}, "input.too_large", "Use at most 200 characters."),
    Fault("attachments", "send", {"text": "x", "attachments": FILES}, "input.too_large", "Send at most 32"),
    Fault("events", "append", {"events": [EVENT] * (limits.BATCH_EVENTS + 1)}, "input.too_large", "Send at most 1000"),
    Fault("one event", "append", {"events": [DATA]}, "input.too_large", f"{limits.EVENT_BYTES} bytes, or put"),
    Fault("a delta", "append", {"events": [OPENED, DELTA]}, "input.too_large", f"{limits.DELTA_CHARS} characters"),
    Fault(
        "meta", "create", {"meta": {"x": "y" * limits.EVENT_BYTES}}, "input.too_large", f"{limits.EVENT_BYTES} bytes"
    ),
    Fault("a deep value", "create", {"meta": nested(limits.JSON_DEPTH + 1)}, "input.too_deep", "Flatten"),
    Fault("a very deep value", "create", {"meta": VERY_DEEP}, "input.too_deep", "Flatten"),
    Fault("a number", "create", {"meta": {"x": 2**53}}, "input.number_range", "as strings"),
    Fault("a position", "read", {"seq": 2**53}, "input.number_range", "as strings"),
    Fault("a session id", "create", {"session": SESSION}, "input.session_id", "Use 1 to 128"),
    Fault("an id with a space", "create", {"session": "a b"}, "input.session_id", "Use 1 to 128"),
    Fault("a session id to write to", "send", {"session": SESSION, "text": "x"}, "input.session_id", "Use 1 to 128"),
    Fault("a key", "send", {"text": "x", "key": ID}, "input.malformed", "Use 1 to 200 printable ASCII"),
    Fault("a key with a space", "send", {"text": "x", "key": "a b"}, "input.malformed", "Use 1 to 200 printable ASCII"),
    Fault("a run's id", "cancel", {"run": ID}, "input.malformed", "Use 1 to 200 printable ASCII"),
    Fault("half a character", "send", {"text": "\ud83c"}, "input.malformed", "UTF-8"),
    Fault("no text", "send", {"text": 3}, "input.malformed", "matches PROTOCOL.md"),
]
ROUTES = {
    "create": ("POST", "/v1/sessions"), "rename": ("PATCH", "/v1/sessions/{session}"),
    "send": ("POST", "/v1/sessions/{session}/messages"), "append": ("POST", "/v1/sessions/{session}/events"),
    "steer": ("POST", "/v1/sessions/{session}/runs/{run}/steer"), "interrupt": ("POST", "/v1/sessions/{session}/interrupt"),
    "cancel": ("POST", "/v1/sessions/{session}/cancel"), "read": ("PUT", "/v1/sessions/{session}/read"),
}  # fmt: skip


def text(fields: dict[str, Any]) -> str:
    """JSON text also of what Python's own encoder is not deep enough for."""
    if fields.get("meta") is VERY_DEEP:
        return json.dumps({**fields, "meta": "@"}).replace('"@"', '{"x":' * 5_000 + "1" + "}" * 5_000)
    return json.dumps(fields)


def code_and_fix(error: dict[str, Any]) -> tuple[str, str]:
    return error["code"], error["fix"]


async def over_websocket(site: Site, fault: Fault) -> tuple[str, str]:
    headers = {"authorization": f"Bearer {site.token()}"}
    url = f"{site.url.replace('http', 'ws')}/v1/connect"
    async with websockets.connect(url, additional_headers=headers, max_size=None, proxy=None) as socket:
        await socket.send(json.dumps({"op": "create", "id": 1, "session": "s1"}))
        await socket.send(text({"op": fault.op, "id": 2, "session": "s1", **fault.fields}))
        while True:
            message = json.loads(await socket.recv())
            if message["op"] == "error" or message.get("id") == 2:
                assert message.get("id", 2) == 2
                return code_and_fix(message["error"])


async def over_rest(site: Site, fault: Fault) -> tuple[str, str]:
    method, path = ROUTES[fault.op]
    fields = {"session": "s1", **fault.fields}
    headers = {"content-type": "application/json"}
    if "key" in fields:
        headers["idempotency-key"] = fields.pop("key")
    path = path.format_map(fields)
    if fault.op != "create":
        del fields["session"]
    async with site.http(site.token()) as http:
        await http.post("/v1/sessions", json={"session": "s1"})
        response = await http.request(method, path, content=text(fields), headers=headers)
        assert response.status_code == CODES[response.json()["error"]["code"]].status
        return code_and_fix(response.json()["error"])


def struct(fault: Fault) -> wire.Op:
    """The operation without the bounds of its fields, as an application may make one."""
    fields = {"session": "s1", **fault.fields}
    if "events" in fields:
        fields["events"] = [Draft(**event) for event in fields["events"]]
    if "attachments" in fields:
        fields["attachments"] = [wire.Attachment(**file) for file in fields["attachments"]]
    return wire.OPS[fault.op](**fields)


async def over_client(client: Any, fault: Fault) -> tuple[str, str]:
    with contextlib.suppress(HoldfastError):
        await client.session("s1").create()
    with pytest.raises(HoldfastError) as refused:
        await client.connection.request(struct(fault), timeout_s=20)
    return refused.value.code, refused.value.fix


async def from_python(site: Site, fault: Fault) -> tuple[str, str]:
    async with Client(site.url, site.token()) as client:
        return await over_client(client, fault)


async def in_process(hub: holdfast.EmbeddedHub, fault: Fault) -> tuple[str, str]:
    return await over_client(await hub.client(), fault)


SURFACES = [over_websocket, over_rest, from_python, in_process]


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.__name__)
async def test_a_fault_has_one_code_and_one_fix(site: Site, surface: Any) -> None:
    otherwise = []
    async with holdfast.EmbeddedHub("memory:") as hub:
        for fault in FAULTS:
            code, fix = await surface(hub if surface is in_process else site, fault)
            if code != fault.code or fault.fix not in fix:
                otherwise.append(f"{fault.name}: {code}: {fix}")
    assert not otherwise, "\n".join(otherwise)


# --- the dialects: the same texts, in the words of their own protocols
def ai_sdk(text: str = "x", chat: str = "c1", ident: str = "m1", parts: int = 0) -> tuple[str, Any]:
    file = {"type": "file", "mediaType": "text/plain", "url": "data:text/plain;base64,eA=="}
    message = {"id": ident, "role": "user", "parts": [{"type": "text", "text": text}, *[file] * parts]}
    return "/v1/ai-sdk/v7/writer", {"id": chat, "messages": [message], "trigger": "submit-message"}


def ag_ui(text: str = "x", chat: str = "c1", ident: str = "m1", parts: int = 0) -> tuple[str, Any]:
    file = {"type": "binary", "mimeType": "text/plain", "data": "eA=="}
    content: Any = [{"type": "text", "text": text}, *[_source(file)] * parts] if parts else text
    message = {"id": ident, "role": "user", "content": content}
    body = {"threadId": chat, "runId": "run1", "messages": [message], "tools": [], "context": [], "state": None}
    return "/v1/ag-ui/agent/writer/run", body


def _source(file: dict[str, Any]) -> dict[str, Any]:
    return {"type": "document", "source": {"type": "data", "value": file["data"], "mimeType": file["mimeType"]}}


def responses(text: str = "x", chat: str = "c1", ident: str = "m1", parts: int = 0) -> tuple[str, Any]:
    file = {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,eA=="}
    content = [{"type": "input_text", "text": text}, *[file] * parts]
    return "/v1/responses", {"model": "writer", "input": [{"role": "user", "content": content}], "conversation": chat}


GIVEN: list[tuple[dict[str, Any], str, str]] = [
    ({"text": LONG}, "input.too_large", f"{limits.TEXT_CHARS} characters, or put"),
    ({"parts": limits.INPUT_FILES + 1}, "input.too_large", "Send at most"),
    ({"chat": SESSION}, "input.session_id", "Use 1 to 128"),
    ({"chat": "a b"}, "input.session_id", "Use 1 to 128"),
    ({"ident": ID}, "input.malformed", "Use 1 to 200 printable ASCII"),
    ({"text": "x" * (5 << 20)}, "input.too_large", "bytes, or put"),
]


@pytest.mark.parametrize("dialect", [ai_sdk, ag_ui, responses], ids=lambda dialect: dialect.__name__)
async def test_dialects_refuse_with_the_same_codes(site: Site, dialect: Any) -> None:
    async with site.http(site.token()) as http:
        for given, code, fix in GIVEN:
            if dialect is responses and "ident" in given:
                continue  # its messages have no ids
            path, body = dialect(**given)
            answer = await http.post(path, json=body)
            assert answer.status_code == CODES[code].status, answer.text
            assert code in answer.text and fix in answer.text


RESUMED = [
    ("nonsense", "", "input.malformed", "id` of the last event received"),
    ("a:b", "", "input.malformed", "incarnation:seq"),
    (":5", "", "input.malformed", "incarnation:seq"),
    ("i1:-5", "", "input.malformed", "incarnation:seq"),
    ("i1:9007199254740992", "", "input.number_range", "as strings"),
    ("", "cursor=nonsense", "input.malformed", "incarnation:seq"),
    ("", "start=middle", "input.malformed", "start=snapshot or start=tail"),
]
PARAMETERS = [
    ("/v1/sessions?limit=0", "input.malformed", "Send a whole number from 1 to 100."),
    ("/v1/sessions?limit=x", "input.malformed", "Send a whole number from 1 to 100."),
    ("/v1/sessions/s1/events?after=-1", "input.malformed", "Send a whole number from 0"),
    ("/v1/sessions/s1/events?after=9007199254740992", "input.number_range", "as strings"),
    ("/v1/sessions/s1/history/x", "input.malformed", "Send a whole number from 0"),
]


async def test_where_to_resume_and_what_a_parameter_must_be_is_said(site: Site) -> None:
    async with site.http(site.token()) as http:
        await http.post("/v1/sessions", json={"session": "s1"})
        for header, query, code, fix in RESUMED:
            headers = {"accept": "text/event-stream", **({"last-event-id": header} if header else {})}
            error = (await http.get(f"/v1/sessions/s1/events?{query}", headers=headers)).json()["error"]
            assert error["code"] == code and fix in error["fix"], error
            assert "JSON" not in error["fix"]
        for path, code, fix in PARAMETERS:
            error = (await http.get(path)).json()["error"]
            assert error["code"] == code and fix in error["fix"], error


async def test_a_value_of_wrong_size_in_a_message_of_any_size_names_whose_answer_it_is(site: Site) -> None:
    """The refusal carries the id also where the operation could not be decoded."""
    headers = {"authorization": f"Bearer {site.token()}"}
    url = f"{site.url.replace('http', 'ws')}/v1/connect"
    async with websockets.connect(url, additional_headers=headers, proxy=None) as socket:
        await socket.send(encode({"op": "send", "id": 77, "session": "s1", "text": LONG}).decode())
        while (message := json.loads(await socket.recv()))["op"] != "error":
            pass
        assert message["id"] == 77


def test_a_refusal_in_words_says_what_to_do() -> None:
    assert (
        Refused("input.session_id").text
        == f"{CODES['input.session_id'].wrong.rstrip('.')}. {CODES['input.session_id'].fix}"
    )
