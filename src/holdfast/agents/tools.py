"""Tool calls with a journal: an attempt that repeats a call gets the recorded result, not a second side effect (RUN-4)."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from holdfast.agents.attempt import Attempt
from holdfast.agents.errors import ToolFailed, ToolOutcomeUnknown
from holdfast.errors import HoldfastError, Refused
from holdfast.protocol import events as e
from holdfast.protocol import limits
from holdfast.protocol.codec import canonical, check_value, encode, parse

Tool = Callable[..., Any] | Callable[..., Awaitable[Any]]


_OUTCOME = ("done", "content", "error", "blob")  # a journal's entry that has one of these is of a call that ended


class CallIds:
    """Ids that a later attempt of the same run gives to the same call: the same name and arguments, for the n-th time.

    They do not depend on the order of different calls, so tools may run concurrently.
    """

    def __init__(self, run: str) -> None:
        self._run = run
        self._counts: dict[str, int] = {}

    def next(self, kind: str, name: str, args: Mapping[str, Any]) -> str:
        """The next id of a ``kind`` (a letter) of call."""
        digest = hashlib.sha256(_named({"args": args, "name": name})).hexdigest()[:16]
        prefix = f"{self._run}.{kind}.{digest}"
        self._counts[prefix] = count = self._counts.get(prefix, 0) + 1
        return f"{prefix}.{count}"


def _named(call: dict[str, Any]) -> bytes:
    """A call as bytes that are its own: canonical JSON, or, for arguments that are none (dates, integers beyond a
    browser's), what they are encoded as."""
    try:
        check_value(call, "args", most=limits.MESSAGE_DEPTH)
        return canonical(call)
    except Refused as error:
        if error.code == "input.too_deep":
            raise
        return encode(call)


def to_content(value: Any) -> str:
    """A result as the text a log keeps: a string as it is, anything else as JSON; told apart without doubt.

    Raises:
        Refused: ``input.malformed`` when the value is not JSON.
    """
    if isinstance(value, str):
        return value if _parsed(value) is value else json.dumps(value, ensure_ascii=False)
    try:
        return encode(value).decode()
    except (TypeError, ValueError) as error:
        raise Refused("input.malformed", f"a tool's result must be JSON or text: {error}") from None


def from_content(content: str) -> Any:
    """The value ``to_content`` was given (JSON has no tuples: they come back as lists)."""
    return _parsed(content)


def _parsed(text: str) -> Any:
    try:
        return parse(text)
    except ValueError:
        return text


class Tools:
    """The tool calls of one attempt.

    Args:
        journal: results earlier attempts recorded, by call id.
        begun: ids of calls that earlier attempts began.
        load, store: get and put large results as blobs; None where there are none.

    Attributes:
        unbegun: of the calls that earlier attempts wrote down, those that are known not to have begun: a model had
            asked for them, and that was all.
    """

    def __init__(
        self,
        attempt: Attempt,
        journal: Mapping[str, Mapping[str, Any]],
        begun: set[str],
        load: Callable[[str], Awaitable[bytes]] | None = None,
        store: Callable[[bytes], Awaitable[str]] | None = None,
    ) -> None:
        self._attempt = attempt
        self._journal = journal
        self._begun = begun
        self.load, self.store = load, store
        self._announced: set[str] = set()
        self._made: set[str] = set()
        self._ended: dict[str, dict[str, Any]] = {}
        self.unbegun: set[str] = set()

    async def announce(self, call_id: str, name: str, *, message: str | None = None) -> None:
        """Show a call while a model still writes it; ``grow`` shows its arguments. It begins with ``call``."""
        if call_id not in self._announced and not self._settled(call_id):
            self._announced.add(call_id)
            await self._attempt.producer.write(e.TOOL_START, _opening(call_id, name, message))

    async def grow(self, call_id: str, delta: str) -> None:
        """Append to the arguments, JSON text, of an announced call."""
        if delta and call_id in self._announced:
            await self._attempt.producer.write(e.TOOL_ARGS, {"toolCallId": call_id, "delta": delta})

    async def settle(
        self, call_id: str, name: str, args: dict[str, Any], value: Any, *, error: dict[str, str] | None = None
    ) -> None:
        """Record how a call ended that was not made here: it was denied, say, or the model's provider made it."""
        if self._settled(call_id):
            return
        if call_id not in self._announced and call_id not in self._made:
            self._put_call(call_id, name, args, None)
        self._announced.discard(call_id)
        content = {"content": "", "error": error} if error is not None else await self._content(value)
        self._ended[call_id] = content
        await self._attempt.producer.write(e.TOOL_RESULT, {"toolCallId": call_id, **content})

    def outcome(self, call_id: str) -> Mapping[str, Any] | None:
        """What is recorded of a call, in this attempt or an earlier one: ``{content?, error?, blob?}``; None until it ended."""
        entry = self._ended.get(call_id) or self._journal.get(call_id, {})
        return entry if any(field in entry for field in _OUTCOME) else None

    def _settled(self, call_id: str) -> bool:
        return self.outcome(call_id) is not None

    async def call(
        self, call_id: str, name: str, args: dict[str, Any], tool: Tool, *, idempotent: bool, message: str | None
    ) -> Any:
        """Run the tool, or return what the journal has. See ``RunContext.tool``."""
        entry = self._journal.get(call_id)
        if entry is not None and any(field in entry for field in _OUTCOME):
            return await self._recorded(name, entry)
        begun = (entry is not None or call_id in self._begun) and call_id not in self.unbegun
        if begun and not idempotent:
            raise ToolOutcomeUnknown(name, call_id)
        await self._begin(call_id, name, args, message)
        try:
            value = tool(**args)
            if inspect.isawaitable(value):
                value = await value
        except Exception as error:
            await self._end(call_id, {"content": "", "error": described(error)})
            raise
        await self._end(call_id, await self._content(value))
        return value

    async def _recorded(self, name: str, entry: Mapping[str, Any]) -> Any:
        if entry.get("error") is not None:
            raise ToolFailed(name, entry["error"])
        blob = entry.get("blob")
        if blob is None:
            return from_content(str(entry.get("content") or ""))
        if self.load is None:
            raise Refused("blob.not_found", "the recorded result is a blob, and blobs cannot be read here")
        return from_content((await self.load(blob)).decode())

    async def _begin(self, call_id: str, name: str, args: dict[str, Any], message: str | None) -> None:
        """The call must be durable before its side effect; a fenced attempt ends here and not after it."""
        producer = self._attempt.producer
        self._made.add(call_id)
        if call_id in self._announced:
            self._announced.discard(call_id)
            producer.put(e.TOOL_END, {"toolCallId": call_id})
        else:
            self._put_call(call_id, name, args, message)
        await producer.flush()
        if self._attempt.cancelled is not None or self._attempt.fenced:
            raise asyncio.CancelledError("the run is being stopped")

    def _put_call(self, call_id: str, name: str, args: dict[str, Any], message: str | None) -> None:
        producer = self._attempt.producer
        producer.put(e.TOOL_START, _opening(call_id, name, message))
        producer.put(e.TOOL_ARGS, {"toolCallId": call_id, "delta": encode(args).decode()})
        producer.put(e.TOOL_END, {"toolCallId": call_id})

    async def _end(self, call_id: str, data: dict[str, Any]) -> None:
        self._ended[call_id] = data
        self._attempt.producer.put(e.TOOL_RESULT, {"toolCallId": call_id, **data})
        await self._attempt.producer.flush()

    async def _content(self, value: Any) -> dict[str, Any]:
        content = to_content(value)
        if len(content.encode()) <= limits.EVENT_BYTES - 1_024:
            return {"content": content}
        if self.store is None:
            return {"content": "", "error": {"code": "input.too_large", "message": "the result is too large to record"}}
        return {"content": content[:1_024], "blob": await self.store(content.encode())}


def _opening(call_id: str, name: str, message: str | None) -> dict[str, Any]:
    parent = {"parentMessageId": message} if message is not None else {}
    return {"toolCallId": call_id, "toolCallName": name, **parent}


def described(error: BaseException) -> dict[str, str]:
    """An exception for the log: its class and words, bounded; no trace, which could hold anything."""
    if isinstance(error, HoldfastError):
        return {"code": error.code, "message": error.detail[:500]}
    words = str(error)
    return {
        "code": "agent.failed",
        "message": f"{type(error).__name__}: {words}"[:500] if words else type(error).__name__,
    }
