"""Who speaks in a LangGraph run: the graph itself, and each subgraph as a sub-agent of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk

from holdfast.agents.adapters.framework import plain_id
from holdfast.agents.adapters.texts import Texts
from holdfast.agents.adapters.unknown import UnknownEvents
from holdfast.agents.output import TextOut
from holdfast.agents.run import RunContext

Namespace = tuple[str, ...]
"""Where a subgraph is: ``("node:task", "node:task")``; empty for the graph itself."""


_KNOWN_BLOCKS = frozenset({"text", "reasoning", "tool_call", "tool_call_chunk", "invalid_tool_call"})


def session_call_id(run: RunContext, call: str) -> str:
    """A call's id in the session, where models' ids need not be unique."""
    return f"{run.id}.{plain_id(call)}"


class _SubgraphSpeaker:
    """A subgraph's sub-run, in a task of its own: people can stop it, and the graph goes on without its output."""

    def __init__(self, run: RunContext, name: str) -> None:
        self._queue: asyncio.Queue[Callable[[Texts], Awaitable[None]] | None] = asyncio.Queue()
        self.task = asyncio.create_task(self._run(run, name))

    def write(self, write: Callable[[Texts], Awaitable[None]]) -> None:
        self._queue.put_nowait(write)

    async def end(self) -> None:
        self._queue.put_nowait(None)
        await asyncio.wait({self.task})

    async def _run(self, run: RunContext, name: str) -> None:
        async with run.sub(name) as child:
            texts = Texts(child)
            while (write := await self._queue.get()) is not None:
                await write(texts)
            await texts.end_all()
            for text in texts.take():
                await text.close()


class Speakers:
    """Writes what models in the graph say, each namespace as a speaker of its own."""

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._texts = Texts(run)
        self._subgraphs: dict[Namespace, _SubgraphSpeaker] = {}
        self._calls: dict[tuple[str | None, Any], str] = {}
        self._unknown = UnknownEvents(run, "langgraph")

    async def write(self, namespace: Namespace, message: AIMessage, *, last: bool) -> None:
        """Write a message, or the next chunk of one."""

        async def write_message(texts: Texts) -> None:
            await _write_message(texts, message, last=last)

        if namespace:
            speaker = self._subgraphs.get(namespace)
            if speaker is None:
                speaker = self._subgraphs[namespace] = _SubgraphSpeaker(self._run, _node(namespace))
            speaker.write(write_message)
        else:
            await write_message(self._texts)
        await self._show_calls(message)
        await self._record_usage(message)

    async def _show_calls(self, message: AIMessage) -> None:
        """Tool calls are the run's, also those of subgraphs: its journal has them."""
        if isinstance(message, AIMessageChunk):
            for chunk in message.tool_call_chunks:
                await self._show_call(
                    message, chunk.get("index"), chunk.get("id"), chunk.get("name"), chunk.get("args")
                )
        for block in message.content_blocks:
            await self._read_block(message, block)

    async def _read_block(self, message: AIMessage, block: Any) -> None:
        """What a model's provider did itself; and unknown blocks are counted."""
        kind = block["type"]
        if kind in ("server_tool_call", "server_tool_call_chunk"):
            args = block.get("args")
            json_args = json.dumps(args, ensure_ascii=False) if isinstance(args, dict) and args else args
            place = ("server", block.get("index"))
            await self._show_call(
                message, place, block.get("id"), block.get("name"), json_args if isinstance(json_args, str) else ""
            )
        elif kind == "server_tool_result":
            detail = "it failed" if block.get("status") == "error" else ""
            error = {"code": "tool.failed", "message": detail} if detail else None
            call = session_call_id(self._run, str(block.get("tool_call_id")))
            await self._run.tools.record_result(call, "tool", {}, block.get("output"), error=error)
        elif kind not in _KNOWN_BLOCKS:
            self._unknown.count(f"content.{kind}")

    async def _show_call(self, message: AIMessage, index: Any, upstream: Any, name: Any, args: Any) -> None:
        """A call begins, or more of its arguments comes."""
        key = (message.id, index)
        if upstream:
            self._calls[key] = session_call_id(self._run, str(upstream))
            await self._run.tools.announce(self._calls[key], str(name or "tool"))
        if key in self._calls:
            await self._run.tools.append_args(self._calls[key], str(args or ""))

    async def _record_usage(self, message: AIMessage) -> None:
        usage = message.usage_metadata
        if usage:
            model = str(message.response_metadata.get("model_name", ""))
            await self._run.usage(model, input_tokens=usage["input_tokens"], output_tokens=usage["output_tokens"])

    async def end(self, namespace: Namespace) -> None:
        """The subgraph of a namespace is done, and those below it."""
        for child in [n for n in self._subgraphs if n[: len(namespace)] == namespace]:
            await self._subgraphs.pop(child).end()

    async def end_all(self) -> None:
        """The graph has stopped: nobody says more for now."""
        await self.end(())
        await self._texts.end_all()
        await self._unknown.record()

    async def cancel(self) -> None:
        """Stop the sub-runs of subgraphs."""
        tasks = [speaker.task for speaker in self._subgraphs.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def take(self, namespace: Namespace) -> list[TextOut]:
        """The graph's own texts that are whole and not completed yet; those of subgraphs are completed by themselves."""
        return [] if namespace else self._texts.take()


def _node(namespace: Namespace) -> str:
    """The node that runs a subgraph. A number after it tells several of one node apart."""
    return next((part for part in reversed(namespace) if ":" in part), namespace[-1]).partition(":")[0]


async def _write_message(texts: Texts, message: AIMessage, *, last: bool) -> None:
    reasoning = "".join(
        str(block.get("reasoning") or "") for block in message.content_blocks if block["type"] == "reasoning"
    )
    await texts.write("reasoning", message.id, reasoning)
    text = str(message.text)
    if text:
        texts.end("reasoning", message.id)
    await texts.write("message", message.id, text)
    await _cite(texts, message)
    if any(block["type"].startswith("server_tool_") for block in message.content_blocks):
        texts.break_message()
    if last:
        texts.end("reasoning", message.id)
        texts.end("message", message.id)


async def _cite(texts: Texts, message: AIMessage) -> None:
    blocks: list[Any] = [block for block in message.content_blocks if block["type"] == "text"]
    for note in (note for block in blocks for note in block.get("annotations") or []):
        if note.get("type") == "citation" and note.get("url"):
            title, quote = str(note.get("title") or ""), str(note.get("cited_text") or "")
            await texts.cite(message.id, str(note["url"]), title, quote)
