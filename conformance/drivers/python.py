"""The driver of ``holdfast.client``: reads commands from standard input, one JSON object a line (DRIVER.md)."""

from __future__ import annotations

import asyncio
import copy
import json
import sys
from collections.abc import Callable
from typing import Any, Literal

import msgspec

import holdfast
from holdfast.client.client import Client
from holdfast.client.events import Events
from holdfast.client.feed import Snapshot
from holdfast.client.live import LiveView
from holdfast.client.run import Run
from holdfast.client.session import Session
from holdfast.errors import HoldfastError
from holdfast.protocol import wire
from holdfast.protocol.codec import encode
from holdfast.protocol.events import Event
from holdfast.protocol.fold import View

Fields = dict[str, Any]


class Commands:
    """What the suite may ask for: one method a command, its fields as arguments; each returns the answer's facts."""

    def __init__(self, say: Callable[[Fields], None]) -> None:
        self._say = say
        self._client: Client | None = None
        self._sessions: dict[str, Session] = {}
        self._followed: dict[str, LiveView] = {}
        self._readers: dict[str, tuple[Events, asyncio.Task[None]]] = {}

    async def hello(self) -> Fields:
        return {"driver": "holdfast.client", "version": holdfast.__version__, "protocol": 1}

    # --- pure
    async def fold(self, events: list[Fields], view: Fields | None = None) -> Fields:
        folded = View.load(view) if view is not None else View()
        joins = [folded.apply(event) for event in msgspec.convert(events, list[Event])]
        return {"joins": joins, **_view_facts(folded)}

    # --- the connection
    async def connect(self, server: str, token: str) -> Fields:
        self._client = client = Client(server, token)
        await client.__aenter__()
        return {"principal": client.principal}

    async def status(self) -> Fields:
        assert self._client is not None
        return {"status": self._client.status.replace("_", "-")}

    async def reset(self) -> Fields:
        for reader in list(self._readers):
            await self.close(reader)
        for followed in self._followed.values():
            followed.close()
        self._followed.clear()
        self._sessions.clear()
        if self._client is not None:
            await self._client.close()
            self._client = None
        return {}

    # --- reading
    def _session(self, session: str) -> Session:
        assert self._client is not None
        if session not in self._sessions:
            self._sessions[session] = self._client.session(session)
        return self._sessions[session]

    async def open(self, session: str) -> Fields:
        if session not in self._followed:
            self._followed[session] = self._session(session).live()
        return {}

    async def state(self, session: str, seq: int = 0) -> Fields:
        await self.open(session)
        live = self._followed[session]
        view = await live.until(lambda view: live.seq >= seq)
        return {"cursor": live.cursor, **_view_facts(view)}

    async def events(self, session: str, reader: str, after: Any = "snapshot") -> Fields:
        start = msgspec.convert(after, Literal["snapshot", "tail"] | wire.Cursor)
        events = self._session(session).events(start)
        self._readers[reader] = events, asyncio.create_task(self._pump(reader, events))
        return {}

    async def cursor(self, reader: str) -> Fields:
        return {"cursor": self._readers[reader][0].cursor}

    async def close(self, reader: str) -> Fields:
        events, task = self._readers.pop(reader)
        events.close()
        await task
        return {}

    async def _pump(self, reader: str, events: Events) -> None:
        try:
            async for item in events:
                kind = "snapshot" if isinstance(item, Snapshot) else "event"
                self._say({"reader": reader, kind: item, "cursor": events.cursor})
        except HoldfastError as error:
            self._say({"reader": reader, "error": error.wire()})

    async def history(self, session: str, page: int) -> Fields:
        return await self._session(session).history(page)

    # --- writing
    async def create(self, session: str, **settings: Any) -> Fields:
        await self._session(session).create(**settings)
        return {}

    async def rename(self, session: str, title: str) -> Fields:
        await self._session(session).rename(title)
        return {}

    async def append(self, session: str, events: list[Fields]) -> Fields:
        producer = self._session(session).producer()
        for event in events:
            producer.put(event["type"], event["data"])
        await producer.flush()
        return {}

    async def send(self, session: str, text: str, **options: Any) -> Fields:
        return _run_facts(await self._session(session).send(text, **options))

    async def interrupt(self, session: str, text: str, **options: Any) -> Fields:
        return _run_facts(await self._session(session).interrupt(text, **options))

    async def regenerate(self, session: str, input: str, **options: Any) -> Fields:
        return _run_facts(await self._session(session).regenerate(input, **options))

    async def cancel(self, session: str, **named: Any) -> Fields:
        return {"runs": await self._session(session).cancel(**named)}

    async def steer(self, session: str, run: str, text: str) -> Fields:
        return {"steerId": await self._session(session).steer(run, text)}

    async def approve(self, session: str, approval: str, **options: Any) -> Fields:
        await self._session(session).approve(approval, **options)
        return {}

    async def deny(self, session: str, approval: str, **options: Any) -> Fields:
        await self._session(session).deny(approval, **options)
        return {}

    async def select(self, session: str, **named: Any) -> Fields:
        await self._session(session).select(**named)
        return {}

    async def take(self, session: str, **options: Any) -> Fields:
        await self._session(session).take(**options)
        return {}

    async def give_back(self, session: str, **options: Any) -> Fields:
        await self._session(session).give_back(**options)
        return {}


def _view_facts(view: View) -> Fields:
    shown = [f"{item['kind']} {item['id']}" for item in view.visible()]
    return {"view": copy.deepcopy(view.export()), "shown": shown}


def _run_facts(run: Run) -> Fields:
    return {"run": run.id, "messageId": run.input}


def say(message: Fields) -> None:
    """Write one line."""
    sys.stdout.buffer.write(encode(message) + b"\n")
    sys.stdout.buffer.flush()


async def answer(commands: Commands, number: int, name: str, fields: Fields) -> None:
    """Do one command and say what came of it."""
    try:
        outcome = {"ok": await getattr(commands, name)(**fields)}
    except HoldfastError as error:
        outcome = {"error": error.wire()}
    except Exception as error:  # told to the suite, which shows it
        outcome = {"error": {"code": "driver.failed", "message": f"{type(error).__name__}: {error}"}}
    say({"id": number, **outcome})


async def main() -> None:
    """Answer commands until standard input ends."""
    lines = asyncio.StreamReader(limit=64 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    commands, tasks = Commands(say), set()
    while line := await lines.readline():
        fields = json.loads(line)  # lets through what a client has to refuse, such as half a surrogate pair
        task = asyncio.create_task(answer(commands, fields.pop("id"), fields.pop("do"), fields))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await commands.reset()


if __name__ == "__main__":
    asyncio.run(main())
