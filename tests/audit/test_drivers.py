"""The ways of carrying: WebSockets by recipe, Socket.IO, HTTP in several requests; and what each shape of stream means."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import websockets
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import structs
from websockets.asyncio.server import ServerConnection

from holdfast.audit.budget import ProbeBudget, Redactor
from holdfast.audit.detect import detect
from holdfast.audit.drivers import registry
from holdfast.audit.drivers.http import trust
from holdfast.audit.endpoint import Endpoint
from holdfast.audit.examine import PROBES, examine
from holdfast.audit.finding import Contact
from holdfast.audit.lab import AuditOptions, Lab
from holdfast.audit.parsing import MessageSplitter, StreamParser
from holdfast.audit.recipe import Recipe, RecipeCall, Rule
from holdfast.audit.transcript import Transcript
from holdfast.errors import Refused
from tests.audit.chat_server import RECIPE, ChatServer
from tests.audit.conftest import raw_server

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
    cutter, reader = MessageSplitter("sse"), StreamParser(registry.RECIPES[name].read, names)
    data = SAMPLES[name]
    for start in range(0, len(data), step):
        for message in cutter.feed(data[start : start + step]):
            for piece in reader.parse(message):
                page.apply(piece)
    assert page.answer == "Hello"
    assert [entry.end for entry in page.answers] == ["complete"]
    assert page.others == 0
    if name == "openai-responses":
        assert (reader.cursor, names["run"]) == ("5", "resp_1")


@pytest.mark.parametrize("step", [1, 3, 100])
async def test_server_sent_events_with_every_line_ending(step: int) -> None:
    data = "event: a\r\nid: 7\r\ndata: one\r\ndata: two\r\n\r\n: comment\n\ndata: drei ü\n\n".encode()
    cutter = MessageSplitter("sse")
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
    for message in MessageSplitter("json").feed(json.dumps({"messages": messages}).encode(), last=True):
        for piece in StreamParser(rules, {}).parse(message):
            page.apply(piece)
    assert page.outline() == said and page.ended == 2


# --- WebSockets ---------------------------------------------------------------------------------------------------------
Handle = Callable[[ServerConnection], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(handle: Handle) -> AsyncIterator[str]:
    async with websockets.serve(handle, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/chat"


def made(url: str, recipe: Recipe) -> Endpoint:
    budget = ProbeBudget(requests=500, ask_above=500, total_s=60, answer_s=5)
    return registry.endpoint(url, recipe, budget, {}, frozenset())


async def findings(endpoint: Endpoint, *ids: str, **options: Any) -> dict[str, str]:
    given = AuditOptions(prompt="one", second_prompt="two", stop_s=1.5, **options)
    probes = [probe for probe in PROBES if probe.id in ids]
    contact, found = await examine(endpoint, given, endpoint.budget, Redactor(), probes=probes, jobs=4)
    assert contact.state == "ok", contact
    return {finding.id: finding.verdict for finding in found}


SOCKET = Recipe(
    name="socket",
    transport="websocket",
    ask=[RecipeCall(send=[{"do": "say", "chat": "{chat}", "text": "{prompt}"}])],
    stop=RecipeCall(send=[{"do": "stop", "chat": "{chat}"}]),
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
        contact, _ = await examine(endpoint, AuditOptions(), endpoint.budget, Redactor(), probes=[])
    assert contact.state == "refused" and "403" in contact.message


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
        assert await detect(server.url + "ask", ProbeBudget(), {}, frozenset()) == []

    async def openai(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        _, length, rest = head.lower().partition(b"content-length: ")
        body = await reader.readexactly(int(rest.split(b"\r\n")[0])) if length else b""
        status = b"200 OK" if b'"messages"' in body and b"max_tokens" not in body else b"422 No"
        writer.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\n\r\n" + SAMPLES["openai-chat"])

    async with raw_server(openai) as port:
        guesses = await detect(f"http://127.0.0.1:{port}/v1/chat/completions", ProbeBudget(), {}, frozenset())
    assert guesses[0].name == "openai-chat" and guesses[0].confidence > 0.9


async def test_a_recipe_stays_on_its_host() -> None:
    wrong = Recipe(ask=[RecipeCall(path="http://elsewhere.example/steal")])
    async with ChatServer().running() as server:
        endpoint = made(server.url, wrong)
        lab = Lab(endpoint, endpoint.budget, AuditOptions(), Redactor(), Contact(state="ok", message=""))
        async with lab.trial() as trial:
            with pytest.raises(Refused, match="only to hosts that were named"):
                await trial.ask(await trial.tab("A"))


async def test_a_history_that_is_read_apart() -> None:
    async with ChatServer().running() as server:
        apart = structs.replace(RECIPE, history=RecipeCall(method="GET", path="/chat/{chat}/events"))
        verdicts = await findings(made(server.url, apart), "continuity.after_end", "continuity.reload")
    assert verdicts == {"continuity.after_end": "pass", "continuity.reload": "pass"}


async def test_an_answer_that_comes_on_a_stream_that_was_opened_before() -> None:
    """The POST only says yes; everybody who listens to the chat gets the answer."""
    listeners: dict[str, list[asyncio.StreamWriter]] = {}
    logs: dict[str, list[bytes]] = {}

    async def answer(chat: str, text: str) -> None:
        for word in [*WORDS, None]:
            data = sse({"t": "end"} if word is None else {"t": "token", "text": text[:1] + word})
            logs[chat].append(data)
            for writer in listeners.get(chat, []):
                writer.write(data)
            await asyncio.sleep(0.008)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        chat = head.split(" ")[1].split("/")[1]
        if head.startswith("GET"):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + b"".join(logs.get(chat, [])))
            listeners.setdefault(chat, []).append(writer)
            await reader.read()
            listeners[chat].remove(writer)
            return
        size = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
        text = json.loads(await reader.readexactly(size))["text"]
        logs.setdefault(chat, [])
        writing.append(asyncio.create_task(answer(chat, text)))
        writer.write(b"HTTP/1.1 202 OK\r\ncontent-length: 0\r\n\r\n")

    writing: list[asyncio.Task[None]] = []
    recipe = Recipe(
        name="listening", listens=True, ask=[RecipeCall(path="/{chat}/say", body={"text": "{prompt}"})],
        join=RecipeCall(method="GET", path="/{chat}/events"), read=SOCKET.read,
    )  # fmt: skip
    async with raw_server(serve) as port:
        verdicts = await findings(
            made(f"http://127.0.0.1:{port}/", recipe), "resilient.resume", "resilient.keeps_generating",
            "continuity.middle", "control.disconnect", "control.stop",
        )  # fmt: skip
    assert verdicts == {
        "resilient.resume": "pass", "resilient.keeps_generating": "pass", "continuity.middle": "pass",
        "control.disconnect": "pass", "control.stop": "fail",
    }  # fmt: skip


async def test_tls_is_checked_against_the_name_though_the_line_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = tmp_path / "cert.pem"
    certificate.write_bytes(self_signed("localhost"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"host: localhost:" in head.lower()
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + SAMPLES["openai-chat"])
        await writer.drain()
        writer.close()

    async def state(url: str) -> str:
        endpoint = made(url, registry.RECIPES["openai-chat"])
        contact, _ = await examine(endpoint, AuditOptions(), endpoint.budget, Redactor(), probes=[])
        return contact.state

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    try:
        trust.cache_clear()
        assert await state(f"https://localhost:{port}/") == "unreachable", "nobody trusts this certificate"
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        trust.cache_clear()
        assert await state(f"https://localhost:{port}/") in ("ok", "one_piece")
        assert await state(f"https://127.0.0.1:{port}/") == "unreachable", "the certificate is for another name"
    finally:
        trust.cache_clear()
        server.close()


def self_signed(name: str) -> bytes:
    """A certificate and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM) + private
