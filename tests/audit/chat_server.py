"""A chat server that does everything right, or everything but one thing: what the audit must tell apart.

It speaks HTTP by hand, so that it can know a reset from an orderly close.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from holdfast.audit.recipe import Recipe, RecipeCall, Rule

WORDS = 60
PACE_S = 0.008
PADDING = "." * 1_800

RECIPE = Recipe(
    name="chat-server",
    ask=[RecipeCall(path="/ask", headers={"x-device": "{device}"}, body={"chat": "{chat}", "text": "{prompt}"})],
    resume=RecipeCall(method="GET", path="/chat/{chat}/events", headers={"last-event-id": "{cursor}"}, gives="rest"),
    join=RecipeCall(method="GET", path="/chat/{chat}/events", headers={"x-device": "{device}"}),
    stop=RecipeCall(path="/chat/{chat}/stop"),
    steer=RecipeCall(path="/chat/{chat}/steer", body={"text": "{text}"}),
    approve=RecipeCall(path="/chat/{chat}/approve", body={"id": "{approval}"}),
    read=[
        Rule(when={"t": "user"}, user="text", id="id"),
        Rule(when={"t": "delta"}, text="text", id="id"),
        Rule(when={"t": "end", "how": "complete"}, end="complete", id="id"),
        Rule(when={"t": "end", "how": "stopped"}, end="stopped", id="id"),
        Rule(when={"t": "end", "how": "error"}, end="error", id="id"),
        Rule(when={"t": "steer"}, steer="text", id="id"),
        Rule(when={"t": "approval"}, approval="id"),
        Rule(when={"t": "resolved"}, resolved="id"),
        Rule(when={"t": "agent"}, agent="text", by="name", id="id"),
    ],
)

FAULTS = {
    "skips one piece when resuming": "resilient.resume",
    "repeats one piece when resuming": "resilient.no_repeat",
    "a reset cancels": "resilient.keeps_generating",
    "refuses while the old line lives": "resilient.half_open",
    "resumes only once": "resilient.proxy_timeout",
    "says no end": "resilient.end_marked",
    "drops pieces of slow readers": "resilient.slow_reader",
    "says nothing of a dead agent": "resilient.agent_killed",
    "nobody joins at the start": "continuity.from_start",
    "joins see only what comes": "continuity.middle",
    "forgets after the end": "continuity.after_end",
    "one device only": "continuity.other_device",
    "questions after answers": "continuity.order",
    "no question while it runs": "continuity.reload",
    "closing cancels": "control.disconnect",
    "stop is ignored": "control.stop",
    "only the asker sees the stop": "control.stop_both",
    "stop is bound to the asker's connection": "control.stop_after_reload",
    "steering is ignored": "control.steer",
    "a second message is dropped": "control.new_message",
    "pending approvals are not shown": "control.approval_after_reload",
    "conversations mix": "control.concurrent",
    "sub-agents are not shown": "agents.direct",
    "says nothing of a dead orchestrator": "agents.orchestrator_dies",
}
"""Each planted fault, and the one probe that must fail."""


@dataclass
class Conversation:
    """One chat: a log of events; ``r`` is the run an event belongs to."""

    log: list[dict[str, Any]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    queue: list[tuple[str, str]] = field(default_factory=list)
    running: asyncio.Task[None] | None = None
    run: str = ""
    device: str = ""
    askers: int = 0
    readers: int = 0
    resumed: int = 0
    approved: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, **event: Any) -> None:
        self.log.append({**event, "n": len(self.log) + 1})
        self.changed.set()
        self.changed = asyncio.Event()

    @property
    def busy(self) -> bool:
        return bool(self.queue) or (self.running is not None and not self.running.done())


def answer_to(prompt: str) -> list[str]:
    """What is always answered."""
    seed = sum(prompt.encode())
    count = WORDS if seed % 2 == 0 else WORDS - 7
    return [f"w{seed % 97}-{number} " for number in range(count)]


class ChatServer:
    """The server; ``fault`` is one of ``FAULTS``, or empty. With ``samples`` no answer is given twice."""

    def __init__(self, fault: str = "", *, samples: bool = False) -> None:
        assert not fault or fault in FAULTS
        self.fault = fault
        self.samples = samples
        self.chats: dict[str, Conversation] = {}
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[ChatServer]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            tasks = [*self._tasks, *(c.running for c in self.chats.values() if c.running)]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # --- runs
    async def _work(self, chat: Conversation) -> None:
        while chat.queue:
            chat.run, prompt = chat.queue.pop(0)
            run = chat.run
            chat.add(t="user", id=f"u{run}", text=prompt, r=run)
            try:
                await self._answer(chat, run, prompt)
                how = "complete"
            except asyncio.CancelledError as why:
                how = str(why.args[0]) if why.args else "stopped"
                task = asyncio.current_task()
                assert task is not None
                task.uncancel()
                if how == "vanished":
                    await asyncio.sleep(3600)
            chat.add(t="end", id=run, how=how, r=run)

    async def _answer(self, chat: Conversation, run: str, prompt: str) -> None:
        if "agents" in prompt and self.fault != "sub-agents are not shown":
            for number in range(30):
                chat.add(t="agent", id=f"a{run}", name="reader", text=f"page {number} ", r=run)
                await asyncio.sleep(PACE_S)
        words = answer_to(prompt)
        if self.samples:
            words = [f"{word.strip()}.{run[-6:]} " for word in words]
        for number, word in enumerate(words):
            if "approval" in prompt and number == 10:
                chat.add(t="approval", id=f"p{run}", r=run)
                await chat.approved.wait()
                chat.add(t="resolved", id=f"p{run}", r=run)
            chat.add(t="delta", id=run, text=word, r=run)
            if self.fault == "nobody joins at the start" and number == 3:
                await asyncio.sleep(0.5)
            if self.fault == "conversations mix" and number == 5:
                for other in self.chats.values():
                    if other is not chat and other.busy and other.run:
                        other.add(t="delta", id=other.run, text=word, r=other.run)
            await asyncio.sleep(PACE_S)

    def _stop(self, chat: Conversation, how: str = "stopped") -> None:
        if chat.running is not None and not chat.running.done():
            chat.running.cancel(how)

    # --- HTTP
    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8_192)
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, path, _ = head.split("\r\n")[0].split(" ")
            headers = {k.lower(): v for k, v in re.findall(r"^([\w-]+): ?(.*?)\r$", head, re.MULTILINE)}
            raw = await reader.readexactly(int(headers.get("content-length", 0)))
            body = json.loads(raw) if raw else {}
            await self._route(method, path, headers, body, reader, writer)

    async def _route(
        self, method: str, path: str, headers: dict[str, str], body: dict[str, Any], reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:  # fmt: skip
        if path == "/ask" and set(body) != {"chat", "text"}:
            return _reply(writer, 422, {"error": "chat and text"})
        if path == "/ask":
            return await self._ask(headers, body, reader, writer)
        if path.startswith("/kill"):
            vanish = "agent" if "agent" in path else "orchestrator"
            for chat in self.chats.values():
                self._stop(chat, "vanished" if self.fault == f"says nothing of a dead {vanish}" else "error")
            return _reply(writer, 200, {})
        _, _, ident, verb = path.split("/")
        chat = self.chats.get(ident)
        if chat is None:
            return _reply(writer, 404, {"error": "no such chat"})
        if verb == "events":
            return await self._events(chat, headers, reader, writer)
        if verb == "stop":
            bound = self.fault == "stop is bound to the asker's connection" and not chat.askers
            if self.fault != "stop is ignored" and not bound:
                self._stop(chat)
        elif verb == "steer" and self.fault != "steering is ignored":
            chat.add(t="steer", id=f"s{len(chat.log)}", text=body["text"], r=chat.run)
        elif verb == "approve":
            chat.approved.set()
        return _reply(writer, 202, {"ok": True})

    async def _ask(
        self, headers: dict[str, str], body: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        chat = self.chats.setdefault(body["chat"], Conversation())
        chat.device = chat.device or headers.get("x-device", "")
        run = f"r{len(chat.log) + 1}-{body['text'][:3]}{random.randrange(10**5, 10**6) if self.samples else ''}"
        if not (self.fault == "a second message is dropped" and chat.busy):
            busy = chat.busy
            chat.queue.append((run, body["text"]))
            if not busy:
                chat.running = asyncio.create_task(self._work(chat))
            chat.askers += 1
            try:
                return await self._follow(chat, 0, reader, writer, run)
            finally:
                chat.askers -= 1
        return await self._follow(chat, len(chat.log), reader, writer, "none")

    async def _events(
        self, chat: Conversation, headers: dict[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        at = int(headers["last-event-id"]) if headers.get("last-event-id") else None
        if at is not None:
            if self.fault == "refuses while the old line lives" and chat.askers:
                return _reply(writer, 409, {"error": "already streaming"})
            chat.resumed += 1
            if self.fault == "resumes only once" and chat.resumed > 1:
                return _reply(writer, 404, {"error": "no such stream"})
            at += 1 if self.fault == "skips one piece when resuming" else 0
            at -= 1 if self.fault == "repeats one piece when resuming" else 0
            return await self._follow(chat, at, reader, writer)
        early = sum(1 for event in chat.log if event["t"] == "delta") < 5
        if self.fault == "nobody joins at the start" and early:
            return _reply(writer, 404, {"error": "not there yet"})
        if self.fault == "forgets after the end" and not chat.busy:
            return _reply(writer, 404, {"error": "no such chat"})
        if self.fault == "one device only" and headers.get("x-device") != chat.device:
            return _reply(writer, 403, {"error": "another device has it"})
        start = len(chat.log) if self.fault == "joins see only what comes" and chat.busy else 0
        return await self._follow(chat, start, reader, writer)

    async def _follow(
        self, chat: Conversation, at: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, run: str = ""
    ) -> None:
        """Send events from a position on; with ``run`` only its own, to its end; else until nothing runs."""
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        gone = asyncio.create_task(self._gone(chat, reader, bool(run)))
        try:
            while not gone.done():
                events = chat.log[at:]
                at += len(events)
                if self.fault == "questions after answers" and not run and not chat.busy:
                    events.sort(key=lambda event: event["t"] == "user")
                for event in events:
                    if not run or event["r"] == run:
                        await self._send(chat, writer, event, asker=bool(run))
                ended = run == "none" or any(e["t"] == "end" and e["r"] == run for e in chat.log)
                silent = (
                    self.fault == "only the asker sees the stop" and not run and chat.log[-1].get("how") == "stopped"
                )
                if at == len(chat.log) and not silent and (ended if run else not chat.busy):
                    writer.write(b"0\r\n\r\n")
                    return await writer.drain()
                changed = asyncio.create_task(chat.changed.wait())
                await asyncio.wait((changed, gone), timeout=0.05, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
        except ConnectionError:
            await gone  # a write may be told of the reset before the read is; what a reset means is decided there
            raise
        finally:
            gone.cancel()

    async def _send(
        self, chat: Conversation, writer: asyncio.StreamWriter, event: dict[str, Any], *, asker: bool
    ) -> None:
        kind = event["t"]
        if kind == "end" and self.fault == "says no end":
            return
        if kind == "end" and event["how"] == "stopped" and self.fault == "only the asker sees the stop" and not asker:
            return
        if kind == "approval" and self.fault == "pending approvals are not shown" and not asker:
            return
        running = chat.busy and event["r"] == chat.run
        if kind == "user" and self.fault == "no question while it runs" and running and not asker:
            return
        full = asker and writer.transport.get_write_buffer_size() > 2_000
        if self.fault == "drops pieces of slow readers" and kind == "delta" and full:
            return
        data = b"id: %d\ndata: %b\n\n" % (event["n"], json.dumps({**event, "padding": PADDING}).encode())
        writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        if self.fault != "drops pieces of slow readers":
            await writer.drain()

    async def _gone(self, chat: Conversation, reader: asyncio.StreamReader, asker: bool) -> None:
        """Ends when the client is gone; a reset and an orderly close are told apart."""
        try:
            await reader.read()
            if asker and self.fault == "closing cancels":
                self._stop(chat)
        except ConnectionError:
            if asker and self.fault == "a reset cancels":
                self._stop(chat)


def _reply(writer: asyncio.StreamWriter, status: int, body: dict[str, Any]) -> None:
    raw = json.dumps(body).encode()
    writer.write(
        b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (status, len(raw), raw)
    )
