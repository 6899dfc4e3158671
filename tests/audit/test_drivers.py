"""The ways of carrying: WebSockets by recipe, Socket.IO, HTTP in several requests; and what each shape of stream means."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import websockets
from websockets.asyncio.server import ServerConnection

from holdfast.audit.budget import Budget, Redactor
from holdfast.audit.detect import detect
from holdfast.audit.drivers import registry
from holdfast.audit.endpoint import Endpoint
from holdfast.audit.examine import PROBES, examine
from holdfast.audit.finding import Contact
from holdfast.audit.lab import Lab, Options
from holdfast.audit.reading import Cutter, Reader
from holdfast.audit.recipe import Call, Recipe, Rule
from holdfast.audit.transcript import Transcript
from holdfast.errors import Refused
from tests.audit.chat_server import RECIPE, ChatServer

pytestmark = pytest.mark.anyio
WORDS = [f"w{n} " for n in range(40)]


def sse(*events: Any) -> bytes:
    return b"".join(b"data: %b\n\n" % (e if isinstance(e, str) else json.dumps(e)).encode() for e in events)


SAMPLES: dict[str, bytes] = {
    "openai-chat": sse(
        {"object": "chat.completion.chunk", "choices": [{"delta": {"role": "assistant", "content": ""}}]},
        {"object": "chat.completion.chunk", "choices": [{"delta": {"content": "Hel"}}]},
        {"object": "chat.completion.chunk", "choices": [{"delta": {"content": "lo"}}]},
        {"object": "chat.completion.chunk", "choices": [{"delta": {}, "finish_reason": "stop"}]},
        {"object": "chat.completion.chunk", "choices": [], "usage": {"total_tokens": 3}},
        "[DONE]",
    ),
    "openai-responses": sse(
        {"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1"}},
        {"type": "response.output_item.added", "sequence_number": 1, "item": {"id": "m1"}},
        {"type": "response.output_text.delta", "sequence_number": 2, "item_id": "m1", "delta": "Hel"},
        {"type": "response.output_text.delta", "sequence_number": 3, "item_id": "m1", "delta": "lo"},
        {"type": "response.output_text.done", "sequence_number": 4, "item_id": "m1", "text": "Hello"},
        {"type": "response.completed", "sequence_number": 5, "response": {"id": "resp_1", "status": "completed"}},
    ),
    "anthropic": sse(
        {"type": "message_start", "message": {"id": "msg_1"}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_stop"},
    ),
    "ai-sdk": sse(
        {"type": "start", "messageId": "m1"},
        {"type": "text-start", "id": "t1"},
        {"type": "text-delta", "id": "t1", "delta": "Hel"},
        {"type": "text-delta", "id": "t1", "delta": "lo"},
        {"type": "text-end", "id": "t1"},
        {"type": "finish"},
        "[DONE]",
    ),
    "ag-ui": sse(
        {"type": "RUN_STARTED", "threadId": "t", "runId": "r"},
        {"type": "TEXT_MESSAGE_START", "messageId": "m", "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "Hel"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "lo"},
        {"type": "TEXT_MESSAGE_END", "messageId": "m"},
        {"type": "RUN_FINISHED", "threadId": "t", "runId": "r"},
    ),
}


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("step", [1, 7, 10_000])
async def test_a_stream_means_the_same_however_it_is_cut(name: str, step: int) -> None:
    page, names = Transcript(), dict[str, str]()
    cutter, reader = Cutter("sse"), Reader(registry.RECIPES[name].read, names)
    data = SAMPLES[name]
    for start in range(0, len(data), step):
        for message in cutter.feed(data[start : start + step]):
            for piece in reader.read(message):
                page.apply(piece)
    assert page.answer == "Hello"
    assert [entry.end for entry in page.answers] == ["complete"]
    assert page.others == 0
    if name == "openai-responses":
        assert (reader.cursor, names["run"]) == ("5", "resp_1")


@pytest.mark.parametrize("step", [1, 3, 100])
async def test_server_sent_events_with_every_line_ending(step: int) -> None:
    data = "event: a\r\nid: 7\r\ndata: one\r\ndata: two\r\n\r\n: comment\n\ndata: drei ü\n\n".encode()
    cutter = Cutter("sse")
    found = [m for at in range(0, len(data), step) for m in cutter.feed(data[at : at + step])]
    assert [(m.event, m.raw, m.mark) for m in found] == [("a", "one\ntwo", "7"), ("", "drei ü", "7")]
    assert cutter.comments == 1


async def test_rules_about_the_items_of_a_list_keep_their_order() -> None:
    rules = [
        Rule(each="messages", where={"role": "user"}, user="text"),
        Rule(each="messages", where={"role": "assistant"}, whole="text", end="complete", id="id"),
    ]
    said = [("user", "a"), ("answer", "b"), ("user", "c"), ("answer", "d")]
    messages = [{"role": "user" if k == "user" else "assistant", "text": t, "id": t} for k, t in said]
    page = Transcript()
    for message in Cutter("json").feed(json.dumps({"messages": messages}).encode(), last=True):
        for piece in Reader(rules, {}).read(message):
            page.apply(piece)
    assert page.outline() == said and page.ended == 2


# --- WebSockets ---------------------------------------------------------------------------------------------------------
Handle = Callable[[ServerConnection], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(handle: Handle) -> AsyncIterator[str]:
    async with websockets.serve(handle, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/chat"


def made(url: str, recipe: Recipe) -> Endpoint:
    budget = Budget(requests=500, ask_above=500, total_s=60, answer_s=5)
    return registry.endpoint(url, recipe, budget, {}, frozenset())


async def findings(endpoint: Endpoint, *ids: str, **options: Any) -> dict[str, str]:
    given = Options(prompt="one", second_prompt="two", stop_s=1.5, **options)
    probes = [probe for probe in PROBES if probe.id in ids]
    contact, found = await examine(endpoint, given, endpoint.budget, Redactor(), probes=probes, jobs=4)
    assert contact.state == "ok", contact
    return {finding.id: finding.verdict for finding in found}


SOCKET = Recipe(
    name="socket",
    transport="websocket",
    ask=[Call(send=[{"do": "say", "chat": "{chat}", "text": "{prompt}"}])],
    stop=Call(send=[{"do": "stop", "chat": "{chat}"}]),
    read=[Rule(when={"t": "token"}, text="text"), Rule(when={"t": "end"}, end="complete")],
)


async def connection_bound(connection: ServerConnection) -> None:
    """What most WebSocket chats are: the answer belongs to the connection."""
    writing: asyncio.Task[None] | None = None

    async def write(text: str) -> None:
        for word in WORDS:
            await connection.send(json.dumps({"t": "token", "text": text[:1] + word}))
            await asyncio.sleep(0.008)
        await connection.send(json.dumps({"t": "end"}))

    async for raw in connection:
        message = json.loads(raw)
        if message["do"] == "say":
            writing = asyncio.create_task(write(message["text"]))
        elif writing is not None:
            writing.cancel()
            await connection.send(json.dumps({"t": "end"}))


async def test_a_websocket_chat_by_recipe() -> None:
    async with serving(connection_bound) as url:
        verdicts = await findings(
            made(url, SOCKET), "resilient.resume", "resilient.end_marked", "continuity.middle", "control.stop",
            "control.concurrent",
        )  # fmt: skip
    assert verdicts == {
        "resilient.resume": "fail", "resilient.end_marked": "pass", "continuity.middle": "fail",
        "control.stop": "pass", "control.concurrent": "pass",
    }  # fmt: skip


async def test_a_handshake_that_is_refused_is_told() -> None:
    async def handle(connection: ServerConnection) -> None: ...

    async def deny(connection: ServerConnection, request: Any) -> Any:
        return connection.respond(403, "no")

    async with websockets.serve(handle, "127.0.0.1", 0, process_request=deny) as server:
        endpoint = made(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", SOCKET)
        contact, _ = await examine(endpoint, Options(), endpoint.budget, Redactor(), probes=[])
    assert contact.state == "refused" and "403" in contact.told


async def test_a_socket_io_chat_as_chainlit_speaks_it() -> None:
    pongs = 0

    async def handle(connection: ServerConnection) -> None:
        nonlocal pongs
        assert connection.request is not None and "EIO=4" in connection.request.path
        await connection.send('0{"sid":"x","pingInterval":25000}')
        connected = str(await connection.recv())
        assert connected.startswith("40{") and "sessionId" in connected
        await connection.send('40{"sid":"y"}')
        await connection.send("2")
        await connection.send('42["task_end",{}]')  # as Chainlit says before anything was asked
        async for raw in connection:
            packet = str(raw)
            if packet == "3":
                pongs += 1
            elif packet.startswith("42") and json.loads(packet[2:])[0] == "client_message":
                ident = json.loads(packet[2:])[1]["message"]["id"]

                def event(name: str, data: Any) -> str:
                    return "42" + json.dumps([name, data])

                await connection.send(event("stream_start", {"id": f"a{ident}", "output": "first "}))
                for word in WORDS:
                    await connection.send(
                        event("stream_token", {"id": f"a{ident}", "token": word, "isSequence": False})
                    )
                    await asyncio.sleep(0.005)
                await connection.send(event("task_end", {}))

    async with serving(handle) as url:
        verdicts = await findings(made(url, registry.RECIPES["chainlit"]), "resilient.end_marked", "control.concurrent")
    assert verdicts == {"resilient.end_marked": "pass", "control.concurrent": "pass"}
    assert pongs


# --- HTTP ---------------------------------------------------------------------------------------------------------------
async def test_detection_says_which_and_how_sure() -> None:
    async with ChatServer().running() as server:
        assert await detect(server.url + "ask", Budget(), {}, frozenset()) == []

    async def openai(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        status = b"200 OK" if b'"messages"' in body and b"max_tokens" not in body else b"422 No"
        writer.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\n\r\n" + SAMPLES["openai-chat"])

    from tests.audit.conftest import raw_server

    async with raw_server(openai) as port:
        guesses = await detect(f"http://127.0.0.1:{port}/v1/chat/completions", Budget(), {}, frozenset())
    assert guesses[0].name == "openai-chat" and guesses[0].sure > 0.9


async def test_a_recipe_stays_on_its_host() -> None:
    wrong = Recipe(ask=[Call(path="http://elsewhere.example/steal")])
    async with ChatServer().running() as server:
        endpoint = made(server.url, wrong)
        lab = Lab(endpoint, endpoint.budget, Options(), Redactor(), Contact(state="ok", told=""))
        async with lab.scene() as scene:
            with pytest.raises(Refused, match="only to hosts that were named"):
                await scene.ask(await scene.tab("A"))


async def test_history_and_answers_that_come_on_the_stream_of_join() -> None:
    """An endpoint whose POST only says yes, with the answer on a stream that was opened before."""
    from msgspec import structs

    async with ChatServer().running() as server:
        await_first = structs.replace(RECIPE, listens=False, history=Call(method="GET", path="/chat/{chat}/events"))
        verdicts = await findings(made(server.url, await_first), "continuity.after_end", "continuity.reload")
    assert verdicts == {"continuity.after_end": "pass", "continuity.reload": "pass"}
