"""Tool calls with a journal: an attempt that repeats a call gets the recorded result, not a second side effect (RUN-4)."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from holdfast.agents.attempt import Attempt
from holdfast.agents.errors import CallNotMade, ToolFailed, ToolOutcomeUnknown
from holdfast.agents.results import from_content, to_content, to_data
from holdfast.client.retry import Backoff
from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.protocol import events as e
from holdfast.protocol import limits
from holdfast.protocol.codec import canonical, check_value, encode, well_formed, well_formed_data

Tool = Callable[..., Any] | Callable[..., Awaitable[Any]]
"""What a tool is to us: a function, plain or async, that is called with the arguments by name."""

_OUTCOME_FIELDS = ("done", "content", "error", "blob")
"""An entry of the journal that has one of these is of a call that ended."""
_PREVIEW_CHARS = 1_024  # of a result that is a blob, or cannot be stored
_ENVELOPE_BYTES = 1_024  # of an event with a result, beside the result


class CallIds:
    """Ids that a later attempt of the same run gives to the same call: the same name and arguments, for the n-th time.

    They do not depend on the order of different calls, so tools may run concurrently.
    """

    def __init__(self, run: str) -> None:
        self._run = run
        self._counts: dict[str, int] = {}

    def next(self, kind: str, name: str, args: Mapping[str, Any]) -> str:
        """The next id of a ``kind`` (a letter) of call."""
        prefix = f"{self._run}.{kind}.{_digest(name, args)[:16]}"
        self._counts[prefix] = count = self._counts.get(prefix, 0) + 1
        return f"{prefix}.{count}"


class Tools:
    """The tool calls of one attempt.

    Args:
        journal: results earlier attempts recorded, by call id.
        started: ids of calls that earlier attempts began.
        load, store: get and put large results as blobs; None where there are none.

    Attributes:
        not_started: of the calls that earlier attempts wrote down, those that are known not to have begun: a model had asked
            for them, and that was all.
        provider_calls: calls that a model's provider makes itself and whose outcome is not known, by the provider's ids.
    """

    def __init__(
        self,
        attempt: Attempt,
        journal: Mapping[str, Mapping[str, Any]],
        started: set[str],
        load: Callable[[str], Awaitable[bytes]] | None = None,
        store: Callable[[bytes], Awaitable[str]] | None = None,
    ) -> None:
        self._attempt = attempt
        self._journal = journal
        self._started = started
        self.load, self.store = load, store
        self._announced: set[str] = set()
        self._calls: dict[str, str] = {}  # calls of this attempt, and digests of their arguments
        self._not_made: set[str] = set()
        self._outcomes: dict[str, dict[str, Any]] = {}
        self._paused: dict[str, str] = {ident: call["paused"] for ident, call in journal.items() if call.get("paused")}
        self._journal_bytes = sum(len(encode(entry)) for entry in journal.values())
        self.not_started: set[str] = set()
        self.provider_calls: dict[Any, Any] = {}

    async def announce(self, call_id: str, name: str, *, message: str | None = None) -> None:
        """Show a call while a model still writes it; ``append_args`` shows its arguments. It begins with ``call``."""
        if call_id not in self._announced and not self._has_ended(call_id):
            self._announced.add(call_id)
            await self._attempt.producer.write(e.TOOL_START, _start_data(call_id, name, message))

    async def append_args(self, call_id: str, delta: str) -> None:
        """Append to the arguments, JSON text, of an announced call."""
        if delta and call_id in self._announced:
            await self._attempt.producer.write(e.TOOL_ARGS, {"toolCallId": call_id, "delta": delta})

    async def show(self, call_id: str, name: str, args: dict[str, Any]) -> None:
        """Show a call that people are about to be asked about, where it is not shown yet."""
        if not self.has_call(call_id):
            await self.announce(call_id, name)
            await self.append_args(call_id, encode(args).decode())

    def close_args(self, call_id: str) -> None:
        """People are asked about a call (``wire.Ask.call``): its arguments are closed, and it has not begun."""
        if call_id in self._announced:
            self._announced.discard(call_id)
            self._paused[call_id] = "asks"

    def pause(self, call_id: str, reason: str) -> None:
        """A call that has begun was not made after all: people are asked first. It may be made again, by a later attempt,
        too; ``reason`` is what is asked of them, in the adapter's word."""
        self._attempt.producer.put(e.TOOL_PAUSED, {"toolCallId": call_id, "why": reason})
        self._calls.pop(call_id, None)
        self._paused[call_id] = reason

    def pause_reason(self, call_id: str) -> str:
        """What a call that has not been made asks of people: the ``reason`` of ``pause``; empty when it asks nothing."""
        return "" if self._has_ended(call_id) else self._paused.get(call_id, "")

    def has_call(self, call_id: str) -> bool:
        """Whether the session has the call."""
        return any(
            call_id in calls for calls in (self._announced, self._calls, self._paused, self._journal, self._outcomes)
        )

    async def record_result(
        self, call_id: str, name: str, args: dict[str, Any], value: Any, *, error: dict[str, str] | None = None
    ) -> None:
        """Record how a call ended that was not made here: it was denied, say, or the model's provider made it."""
        if self._has_ended(call_id):
            return
        if not self.has_call(call_id):
            self._put_call(call_id, name, well_formed_data(args), None)
        self._announced.discard(call_id)
        self._not_made.discard(call_id)
        content = {"content": "", "error": error} if error is not None else await self._result_data(value)
        if self._has_ended(call_id):  # while the result was being stored
            return
        self._outcomes[call_id] = content
        await self._attempt.producer.write(e.TOOL_RESULT, {"toolCallId": call_id, **content})

    @property
    def ended_count(self) -> int:
        """How many calls have ended in this attempt."""
        return len(self._outcomes)

    def outcome(self, call_id: str) -> Mapping[str, Any] | None:
        """What is recorded of a call, in this attempt or an earlier one: ``{content?, error?, blob?}``; None until it ended."""
        entry = self._outcomes.get(call_id) or self._journal.get(call_id, {})
        return entry if any(field in entry for field in _OUTCOME_FIELDS) else None

    def _has_ended(self, call_id: str) -> bool:
        return self.outcome(call_id) is not None

    async def call(
        self, call_id: str, name: str, args: dict[str, Any], tool: Tool, *, idempotent: bool, message: str | None
    ) -> Any:
        """Run the tool, or return what the journal has. See ``RunContext.tool``.

        A tool that raises ``CallNotMade`` has not been called after all: its call stays as it is, and may be made again.
        """
        args = well_formed_data(args)
        entry = self._find_entry(call_id, name, args)
        if entry is not None and any(field in entry for field in _OUTCOME_FIELDS):
            return await self._recorded_value(name, entry)
        if call_id not in self._not_made or call_id in self._paused:
            recorded = entry is not None or call_id in self._started
            started = recorded and call_id not in self.not_started and call_id not in self._paused
            if started and not idempotent:
                raise ToolOutcomeUnknown(name, call_id)
            await self._start_call(call_id, name, args, message)
        self._not_made.discard(call_id)
        try:
            value = tool(**args)
            if inspect.isawaitable(value):
                value = await value
        except CallNotMade as not_made:
            self._not_made.add(call_id)
            if not not_made.silent:
                self.pause(call_id, not_made.reason)
            raise
        except Exception as error:
            await self._end(call_id, {"content": "", "error": error_data(error)})
            raise
        await self._end(call_id, await self._result_data(value))
        return value

    def _find_entry(self, call_id: str, name: str, args: dict[str, Any]) -> Mapping[str, Any] | None:
        """What is recorded of this call. Within an attempt an id that is used again names the same call, or none."""
        if self._calls.get(call_id) == _digest(name, to_data(args)):
            return self._outcomes.get(call_id)
        return self._journal.get(call_id)

    async def _recorded_value(self, name: str, entry: Mapping[str, Any]) -> Any:
        if entry.get("error") is not None:
            raise ToolFailed(name, entry["error"])
        blob = entry.get("blob")
        if blob is None:
            return from_content(str(entry.get("content") or ""))
        if self.load is None:
            raise Refused("blob.not_found", "the recorded result is a blob, and blobs cannot be read here")
        return from_content((await self.load(blob)).decode())

    async def _start_call(self, call_id: str, name: str, args: dict[str, Any], message: str | None) -> None:
        """The call must be durable before its side effect; a fenced attempt ends here and not after it."""
        producer = self._attempt.producer
        if self._paused.pop(call_id, None) is not None:
            await producer.flush()  # that it was not made stands in the log before it is started again
        if call_id in self._announced:
            self._announced.discard(call_id)
            producer.put(e.TOOL_END, {"toolCallId": call_id})
        else:
            self._put_call(call_id, name, args, message)
        self._calls.setdefault(call_id, _digest(name, to_data(args)))
        await self._flush()

    async def _flush(self) -> None:
        await self._attempt.producer.flush()
        if self._attempt.cancelled is not None or self._attempt.fenced:
            raise asyncio.CancelledError("the run is being stopped")

    def _put_call(self, call_id: str, name: str, args: dict[str, Any], message: str | None) -> None:
        producer = self._attempt.producer
        producer.put(e.TOOL_START, _start_data(call_id, name, message))
        producer.put(e.TOOL_ARGS, {"toolCallId": call_id, "delta": encode(to_data(args)).decode()})
        producer.put(e.TOOL_END, {"toolCallId": call_id})

    async def _end(self, call_id: str, data: dict[str, Any]) -> None:
        self._outcomes[call_id] = data
        self._attempt.producer.put(e.TOOL_RESULT, {"toolCallId": call_id, **data})
        await self._attempt.producer.flush()

    # --- results
    async def _result_data(self, value: Any) -> dict[str, Any]:
        """A result as the log keeps it: whatever it is, and whatever becomes of it, the tool has acted."""
        content = to_content(value)
        size = len(encode(content))
        if size <= limits.EVENT_BYTES - _ENVELOPE_BYTES and self._journal_bytes + size <= limits.JOURNAL_BYTES // 2:
            self._journal_bytes += size
            return {"content": content}
        reference = await self._store_result(content.encode())
        self._journal_bytes += _PREVIEW_CHARS
        return {"content": content[:_PREVIEW_CHARS], **reference}

    async def _store_result(self, content: bytes) -> dict[str, Any]:
        """The blob of a large result, or why it could not be stored."""
        try:
            return {"blob": await self.store_blob(content, within_s=limits.RESULT_STORE_S)}
        except HoldfastError as error:
            message = f"the call was made; its result of {len(content)} bytes is not kept: {error.detail}"
            return {"error": {"code": error.code, "message": message[:500]}}

    async def store_blob(self, data: bytes, *, within_s: float | None = None) -> str:
        """Store a blob, over any outage of the server that is not longer than ``within_s`` seconds; returns its id.

        Raises:
            Refused: ``input.too_large``, also where blobs cannot be kept. Unavailable: the time is over.
        """
        if self.store is None:
            raise Refused("input.too_large", "there is nowhere to keep it")
        backoff, last_error = Backoff(), Unavailable("timeout")
        try:
            async with asyncio.timeout(within_s):
                while True:
                    try:
                        return await self.store(data)
                    except Unavailable as error:
                        last_error = error
                        await asyncio.sleep(backoff.after_s(error))
        except TimeoutError:
            raise last_error from None


def _digest(name: str, args: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical_bytes(well_formed_data({"args": args, "name": name}))).hexdigest()


def _canonical_bytes(call: dict[str, Any]) -> bytes:
    """A call as bytes that are its own: canonical JSON, or, for arguments that are none (dates, integers beyond a
    browser's), what they are encoded as."""
    try:
        check_value(call, "args", max_depth=limits.MESSAGE_DEPTH)
        return canonical(call)
    except Refused as error:
        if error.code == "input.too_deep":
            raise
        return encode(to_data(call))


def _start_data(call_id: str, name: str, message: str | None) -> dict[str, Any]:
    parent = {"parentMessageId": message} if message is not None else {}
    return {"toolCallId": call_id, "toolCallName": name, **parent}


def error_data(error: BaseException) -> dict[str, str]:
    """An exception for the log: its class and words, bounded; no trace, which could hold anything."""
    if isinstance(error, HoldfastError):
        return {"code": error.code, "message": error.detail[:500]}
    try:
        text = well_formed(str(error))
    except Exception:  # the exception's own code
        text = ""
    return {
        "code": "agent.failed",
        "message": f"{type(error).__name__}: {text}"[:500] if text else type(error).__name__,
    }
