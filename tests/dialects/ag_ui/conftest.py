"""A real server, agents that work for it, and unmodified AG-UI clients in Node processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import holdfast
from tests.unit.edge.conftest import Site, anyio_backend, settings, site

__all__ = ["Agents", "Node", "Site", "agents", "anyio_backend", "node", "settings", "site"]

HERE = Path(__file__).parent
CLIENTS = HERE.parent / "node_modules" / "@ag-ui" / "client"
Line = dict[str, Any]


class Node:
    """One AG-UI client. Attributes: ``events``: all it was given; ``warnings``: what it said about them."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.events: list[Line] = []
        self.warnings: list[str] = []

    def do(self, what: str, **fields: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": what, **fields}).encode() + b"\n")

    async def until(self, condition: Callable[[Line], Any]) -> Line:
        """The next line for which ``condition`` is true."""
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            while True:
                raw = await self.process.stdout.readline()
                assert raw, "the client ended"
                line: Line = json.loads(raw)
                if "event" in line:
                    self.events.append(line["event"])
                if "warn" in line:
                    self.warnings.append(line["warn"])
                if condition(line):
                    return line

    async def done(self) -> Line:
        """The end of the run or join at hand."""
        return await self.until(lambda line: "done" in line)

    async def until_event(self, type_: str, **fields: Any) -> Line:
        """The next event of a type with these fields."""

        def condition(line: Line) -> bool:
            event = line.get("event", {})
            return event.get("type") == type_ and all(event.get(name) == value for name, value in fields.items())

        return (await self.until(condition))["event"]

    async def until_text(self, words: str) -> None:
        """Wait until messages have streamed in that hold these words; deltas may have been merged on the way."""

        def text() -> str:
            return "".join(event["delta"] for event in self.events if event["type"] == "TEXT_MESSAGE_CONTENT")

        if words not in text():
            await self.until(lambda line: words in text())

    def types(self) -> list[str]:
        return [event["type"] for event in self.events]


Start = Callable[..., Any]


@pytest.fixture
def packages() -> None:
    """The clients are needed: a machine without them skips, CI must not."""
    if not CLIENTS.exists() or shutil.which("node") is None:
        if os.environ.get("CI"):
            pytest.fail("no Node or no tests/dialects/node_modules, and in CI these tests must run")
        pytest.skip("needs Node and `npm ci` in tests/dialects")


@pytest.fixture
async def node(site: Site, packages: None) -> AsyncIterator[Start]:
    """``await node(thread, version=…, agent=…, subject=…)`` starts a client."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(
            thread: str, version: str = "1.0", agent: str = "writer", subject: str = "user:ann", **token: Any
        ) -> Node:
            base = f"{site.url}/v1/ag-ui/agent/{agent}"
            process = await asyncio.create_subprocess_exec(
                "node", str(HERE / "client.mjs"), version, base, thread, site.token(subject, **token),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 24,
            )  # fmt: skip
            stack.push_async_callback(end, process)
            return Node(process)

        yield start


async def end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


class Agents:
    """Agents for the tests. ``gate`` holds the writer after its first half; ``calls`` counts a tool's side effects."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.calls = 0
        self.media_types: list[Any] = []

    async def writer(self, run: holdfast.RunContext) -> None:
        """Thinks, looks something up, answers in two halves."""
        async with run.reasoning() as thought:
            await thought.write("The tide, ")
            await thought.write("then.")
        async with run.step("look up"):
            await run.tool("tide_table", {"port": "Bergen"}, self._table)
        await run.emit("STATE_SNAPSHOT", {"snapshot": {"topic": run.input.text, "stage": 1}})
        async with run.message() as out:
            for word in ("The tide 🌊 ", "rises ", "at "):
                await out.write(word)
            await run.flush()
            await self.gate.wait()
            await run.emit("STATE_DELTA", {"delta": [{"op": "replace", "path": "/stage", "value": 2}]})
            for word in ("six ", "o'clock."):
                await out.write(word)
        await run.emit("CUSTOM", {"name": "tide", "value": None})

    async def _table(self, port: str) -> dict[str, int]:
        self.calls += 1
        return {"high": 6}

    async def reader(self, run: holdfast.RunContext) -> None:
        """Says what it was given to go by."""
        await run.say(" · ".join(said["content"] for said in run.history))

    async def team(self, run: holdfast.RunContext) -> None:
        """Three sub-agents at a time, each saying something in two parts, then a word of its own."""

        async def one(name: str) -> None:
            async with run.sub(name) as child, child.step("read"), child.message() as out:
                await out.write(f"{name} begins, ")
                await child.flush()
                await self.gate.wait()
                await out.write(f"{name} ends.")

        async with asyncio.TaskGroup() as group:
            for name in ("north", "south", "west"):
                group.create_task(one(name))
        await run.say("All have spoken.")

    async def clerk(self, run: holdfast.RunContext) -> None:
        """Mails something when it may."""
        await run.say("I would mail it.", key="intent")
        approval = await run.approve("mail", {"to": "bo@example.com"}, wait=True)
        await run.say("Mailed." if approval else f"Not mailed: {approval.note}")

    async def buyer(self, run: holdfast.RunContext) -> None:
        """Has a sub-agent that asks, and waits where it is."""
        async with run.sub("scout") as child:
            approval = await child.approve("buy", {"fish": 2})
            await child.say("Bought." if approval else "Left.")

    async def browser(self, run: holdfast.RunContext) -> None:
        """Leaves a tool call to the client, and reads the answer when it is asked to go on."""
        answered = [i for i in run.items if i["kind"] == "tool" and i.get("result")]
        if answered:
            self.media_types = [attachment["mediaType"] for i in run.items for attachment in i.get("attachments", [])]
            await run.say(f"It is {answered[-1]['result']}.")
            return
        call = f"{run.id}.colour"
        await run.emit("TOOL_CALL_START", {"toolCallId": call, "toolCallName": "pick_colour"})
        await run.emit("TOOL_CALL_ARGS", {"toolCallId": call, "delta": "{}"})
        await run.emit("TOOL_CALL_END", {"toolCallId": call})

    async def librarian(self, run: holdfast.RunContext) -> None:
        """Calls a tool in the browser as the input's JSON says, and says what came of it."""
        await run.say("I ask you. ", key="ask")
        try:
            picked = await run.browser_tool(**{"name": "pick_file", "args": {"n": 1}, **json.loads(run.input.text)})
        except holdfast.HoldfastError as error:
            picked = error.detail
        await run.say(f"Got {json.dumps(picked)}.", key="got")

    async def chief(self, run: holdfast.RunContext) -> None:
        """Has a sub-agent that calls a tool in the browser."""
        async with run.sub("scout") as child:
            await child.say(f"Got {await child.browser_tool('pick_file', {})}.")

    async def failing(self, run: holdfast.RunContext) -> None:
        """Fails half-way."""
        async with run.message() as out:
            await out.write("So far ")
            await run.flush()
            raise ValueError("the well is dry")


@pytest.fixture
async def agents(site: Site) -> AsyncIterator[Agents]:
    names = ("writer", "reader", "team", "clerk", "buyer", "browser", "librarian", "chief", "failing")
    working = Agents()
    async with holdfast.connect(site.url, token=site.token("agent:crew", agents=["*"])) as hf:
        for name in names:
            hf.agent(name)(getattr(working, name))
        serving = asyncio.create_task(hf.serve(slots=8))
        try:
            yield working
        finally:
            working.gate.set()
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving
