"""A chat server whose runs have ids, with a history that is read apart: what the audit must tell of who knows what.

Without a fault it does everything right. It speaks HTTP by hand, so that it can know a reset from an orderly close.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec import structs

from holdfast.audit.recipe import Recipe, RecipeCall, Rule
from tests.audit.conftest import raw_server

WORDS: Final = 50
PACE_S: Final = 0.012

FAULTS: Final = {
    "a stopped answer is shown to nobody else": "control.stop_both",
    "a second message is kept instead of the first": "control.new_message",
    "a second message ends the first without a word": "control.new_message",
    "a second message empties the first": "control.new_message",
    "a second message makes an error of the first": "control.new_message",
    "the run is told to the asker alone": "continuity.middle",
    "nobody else can join": "continuity.middle",
    "whoever joins sees an empty stream": "continuity.middle",
    "a reset aborts, and only the history says so": "resilient.keeps_generating",
    "closing aborts, and only the history says so": "control.disconnect",
    "a stop only closes": "control.stop",
    "a stop only closes the asker's stream": "control.stop",
    "a stop breaks the asker's line": "control.stop",
    "a stop is said, and the answer is written on": "control.stop",
    "the history has another order": "continuity.order",
    "a steer ends the answer": "control.steer",
    "an approval is accepted, and nothing comes of it": "control.approval_after_reload",
}
"""Each planted fault, and the one probe that must fail."""
BESIDES: Final = ("nothing comes after a resume", "a dead agent's answer is called complete")
"""Faults that tests of their own look for."""

RECIPE: Final = Recipe(
    name="desk",
    ask=[RecipeCall(path="/chats/{chat}/messages", body={"text": "{prompt}"})],
    resume=RecipeCall(
        method="GET", path="/chats/{chat}/runs/{run}", headers={"last-event-id": "{cursor}"}, gives="rest"
    ),
    join=RecipeCall(method="GET", path="/chats/{chat}/runs/{run}"),
    history=RecipeCall(method="GET", path="/chats/{chat}"),
    stop=RecipeCall(path="/chats/{chat}/runs/{run}/stop"),
    steer=RecipeCall(path="/chats/{chat}/runs/{run}/steer", body={"text": "{text}"}),
    approve=RecipeCall(path="/chats/{chat}/runs/{run}/approve", body={"id": "{approval}"}),
    read=[
        Rule(when={"t": "run"}, begin=True, id="run", capture={"run": "run"}),
        Rule(when={"t": "user"}, user="text", id="run"),
        Rule(when={"t": "delta"}, text="text", id="run"),
        Rule(when={"t": "emptied"}, whole="text", id="run"),
        Rule(when={"t": "steer"}, steer="text", id="id"),
        Rule(when={"t": "approval"}, approval="id"),
        Rule(when={"t": "resolved"}, resolved="id"),
        Rule(when={"t": "end", "how": "complete"}, end="complete", id="run"),
        Rule(when={"t": "end", "how": ["stopped", "aborted"]}, end="stopped", id="run"),
        Rule(when={"t": "end", "how": "error"}, end="error", id="run"),
    ],
    read_history=[
        Rule(each="turns", user="asked", id="run", capture={"run": "run"}),
        Rule(each="turns", where={"said": True}, whole="said", id="run"),
        Rule(each="turns", where={"status": "complete"}, end="complete", id="run"),
        Rule(each="turns", where={"status": ["stopped", "aborted"]}, end="stopped", id="run"),
        Rule(each="turns", where={"status": "error"}, end="error", id="run"),
    ],
)
SNAPSHOTS: Final = structs.replace(
    RECIPE,
    read=[
        *[structs.replace(rule, begin=False, id=rule.id * bool(rule.steer)) for rule in RECIPE.read if not rule.text],
        Rule(each="messages", where={"role": "person"}, user="text"),
        Rule(each="messages", where={"role": "machine"}, whole="text"),
    ],
)
"""Every event holds the whole conversation as it stands, in messages without ids."""
ONE_ID: Final = structs.replace(
    RECIPE,
    read=[
        structs.replace(rule, id="answer" if rule.text or rule.end or rule.begin else rule.id) for rule in RECIPE.read
    ],
)
"""Ids that say nothing: every answer's is the same."""


@dataclass
class Run:
    """One question and its answer."""

    question: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    answer: str = ""
    status: str = "running"
    log: list[dict[str, Any]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    approved: asyncio.Event = field(default_factory=asyncio.Event)
    work: asyncio.Task[None] | None = None
    forgotten: bool = False
    overtaken: bool = False
    silenced: bool = False
    shut: bool = False

    def add(self, kind: str, **more: Any) -> None:
        """One more event."""
        self.log.append({"t": kind, "run": self.id, **more, "n": len(self.log) + 1})
        self.changed.set()
        self.changed = asyncio.Event()

    def stop(self, how: str) -> None:
        """End it, if it is not over."""
        if self.work is not None and self.status == "running":
            self.work.cancel(how)


def words_of(text: str) -> list[str]:
    """What is always answered; every answer begins with the same words, and no two are the same."""
    mark = sum(text.encode()) % 89
    return [f"{'the same beginning ' if not number else ''}w{number}.{mark * (number > 5)} " for number in range(WORDS)]


class Desk:
    """The server. ``fault`` is one of ``FAULTS`` or empty.

    With ``snapshots`` each event holds the whole conversation; with ``one_id`` every answer has the same id.
    """

    def __init__(self, fault: str = "", *, snapshots: bool = False, one_id: bool = False) -> None:
        assert not fault or fault in (*FAULTS, *BESIDES)
        self.fault = fault
        self.snapshots = snapshots
        self.one_id = one_id
        self.chats: dict[str, list[Run]] = {}
        self.port = 0

    @property
    def recipe(self) -> Recipe:
        """How to speak to it."""
        return SNAPSHOTS if self.snapshots else ONE_ID if self.one_id else RECIPE

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Desk]:
        async with raw_server(self._connected) as self.port:
            yield self
        working = [run.work for chat in self.chats.values() for run in chat if run.work is not None]
        for work in working:
            work.cancel("over")
        await asyncio.gather(*working, return_exceptions=True)

    # --- runs
    async def _answer(self, run: Run, before: Run | None) -> None:
        try:
            if before is not None and before.work is not None and not self.fault.startswith("a second message"):
                await asyncio.shield(asyncio.gather(before.work, return_exceptions=True))
            if "approval" in run.question:
                run.add("approval", id=f"p{run.id}")
                await run.approved.wait()
                run.add("resolved", id=f"p{run.id}")
            for word in words_of(run.question):
                run.answer += word
                if not run.silenced:
                    run.add("delta", text=word)
                await asyncio.sleep(PACE_S)
            run.status = "complete"
        except asyncio.CancelledError as why:
            run.status = str(why.args[0]) if why.args else "stopped"
        if run.status == "aborted" and "only the history" in self.fault:
            run.answer, run.forgotten = "", True
        run.shut = run.shut or (run.status == "stopped" and self.fault.startswith("a stop "))
        if not run.silenced:
            run.add("end", how=run.status)

    def _interrupted(self, run: Run) -> None:
        """What a second message does to the first answer, when that is the fault."""
        if run.status != "running":
            return
        if self.fault == "a second message is kept instead of the first":
            run.overtaken = True
        elif self.fault == "a second message ends the first without a word":
            run.shut = True
            run.stop("stopped")
        elif self.fault == "a second message makes an error of the first":
            run.stop("error")
        elif self.fault == "a second message empties the first":
            run.add("emptied", text="")
            run.answer = ""
            run.stop("stopped")

    # --- HTTP
    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path, _ = head.split("\r\n")[0].split(" ")
        headers = {k.lower(): v for k, v in re.findall(r"^([\w-]+): ?(.*?)\r$", head, re.MULTILINE)}
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        _, _, chat, *rest = path.split("/")
        runs = self.chats.setdefault(chat, [])
        if rest == ["messages"]:
            for run in runs:
                self._interrupted(run)
            run = Run(json.loads(raw)["text"])
            before = runs[-1] if runs else None
            runs.append(run)
            run.add("run")
            run.add("user", text=run.question)
            run.work = asyncio.create_task(self._answer(run, before))
            return await self._follow(runs, run, 0, reader, writer, asker=True)
        if chat == "kill":
            for run in [run for runs in self.chats.values() for run in runs]:
                run.stop("complete" if self.fault == "a dead agent's answer is called complete" else "error")
            return _reply(writer, 200, {})
        if not rest:
            return _reply(writer, 200, {"turns": self._turns(runs)})
        found = next((run for run in runs if run.id == rest[1]), None)
        alone = self.fault == "nobody else can join" and "last-event-id" not in headers
        if found is None or ((found.forgotten or alone) and method == "GET"):
            return _reply(writer, 404, {"error": "no such run"})
        if method == "GET":
            at = int(headers.get("last-event-id") or 0)
            if at and self.fault == "nothing comes after a resume":
                return writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
            return await self._follow(runs, found, at, reader, writer, asker=False)
        return self._command(found, rest[2], raw, writer)

    def _command(self, run: Run, verb: str, raw: bytes, writer: asyncio.StreamWriter) -> None:
        if verb == "stop" and self.fault == "a stop is said, and the answer is written on":
            run.silenced = True
            run.add("end", how="stopped")
        elif verb == "stop" or (verb == "steer" and self.fault == "a steer ends the answer"):
            run.stop("stopped")
        elif verb == "steer":
            run.add("steer", id=uuid.uuid4().hex, text=json.loads(raw)["text"])
        elif self.fault == "an approval is accepted, and nothing comes of it":
            run.stop("error")
        else:
            run.approved.set()
        _reply(writer, 202, {})

    def _turns(self, runs: list[Run]) -> list[dict[str, Any]]:
        told = [
            {"asked": run.question, "said": run.answer, "status": run.status, "run": run.id}
            for run in runs
            if not run.overtaken
        ]
        if self.fault == "the run is told to the asker alone":
            told = [turn if turn["status"] != "running" else {**turn, "run": ""} for turn in told]
        return told[::-1] if self.fault == "the history has another order" else told

    async def _follow(
        self, runs: list[Run], run: Run, at: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *,
        asker: bool,
    ) -> None:  # fmt: skip
        """Send a run's events from a position on, to its end."""
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        gone = asyncio.create_task(self._gone(run, reader, asker))
        hides = (
            self.fault == "a stopped answer is shown to nobody else" and not asker and "approval" not in run.question
        )
        shows_nothing = self.fault == "whoever joins sees an empty stream" and not asker and not at
        hides = hides or shows_nothing
        try:
            while not gone.done():
                changed, over = run.changed, run.log[-1]["t"] == "end"
                events = [] if hides and (not over or run.status == "stopped" or shows_nothing) else run.log[at:]
                at += len(events)
                for event in events:
                    if event["t"] != "end" or not (run.shut and (asker or "asker's" not in self.fault)):
                        self._send(writer, {**event, "answer": "a1"}, self._messages(runs, run, event))
                if over:
                    if asker and run.status == "stopped" and self.fault == "a stop breaks the asker's line":
                        writer.transport.abort()
                        return None
                    writer.write(b"0\r\n\r\n")
                    return await writer.drain()
                waiting = asyncio.create_task(changed.wait())
                await asyncio.wait((waiting, gone), return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
        finally:
            gone.cancel()

    def _messages(self, runs: list[Run], run: Run, event: dict[str, Any]) -> list[dict[str, str]]:
        """The conversation as it stood at an event."""
        told = []
        for one in runs[: runs.index(run) + 1]:
            log = run.log[: event["n"]] if one is run else one.log
            said = "".join(e["text"] for e in log if e["t"] == "delta")
            told += [{"role": "person", "text": one.question}] + [{"role": "machine", "text": said}] * bool(said)
        return told

    def _send(self, writer: asyncio.StreamWriter, event: dict[str, Any], messages: list[dict[str, str]]) -> None:
        if self.snapshots:
            event = {**{k: v for k, v in event.items() if k != "text" or event["t"] == "steer"}, "messages": messages}
        data = b"id: %d\ndata: %b\n\n" % (event["n"], json.dumps(event).encode())
        writer.write(b"%x\r\n%b\r\n" % (len(data), data))

    async def _gone(self, run: Run, reader: asyncio.StreamReader, asker: bool) -> None:
        """Ends when the client is gone; a reset and an orderly close are told apart."""
        try:
            await reader.read()
            closes = "closing aborts"
        except ConnectionError:
            closes = "a reset aborts"
        if asker and self.fault.startswith(closes):
            run.stop("aborted")


def _reply(writer: asyncio.StreamWriter, status: int, body: dict[str, Any]) -> None:
    raw = json.dumps(body).encode()
    writer.write(
        b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (status, len(raw), raw)
    )
