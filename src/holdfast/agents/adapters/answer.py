"""What the adapters of providers have in common: reading a provider's stream to its end, and writing what comes into a run.

A relay reads one stream with ``open_stream``, which closes it whatever happens, and writes through a ``RunWriter``, which gathers
the ``ModelAnswer``. What a provider refuses or breaks off becomes ``ProviderFailed``, and with it the run's error.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import re
from collections.abc import AsyncIterable, AsyncIterator, Awaitable
from typing import Any

import msgspec

from holdfast.agents.adapters.framework import plain_id
from holdfast.agents.adapters.texts import Texts
from holdfast.agents.adapters.unknown import UnknownEvents
from holdfast.agents.run import RunContext
from holdfast.errors import HoldfastError
from holdfast.protocol import limits
from holdfast.protocol.codec import parse, well_formed, well_formed_data

__all__ = ["Call", "ModelAnswer", "ProviderFailed", "ProviderStream"]

ProviderStream = AsyncIterable[Any] | Awaitable[AsyncIterable[Any]]
"""A provider's stream, or what gives one when it is awaited: the call of the provider's client, as it is."""

_CLIENT_PACKAGES = frozenset({"openai", "anthropic", "httpx", "httpx2", "httpcore", "httpcore2"})
_ADDRESS = re.compile(r"\b\w+://\S+")
_KEY = re.compile(r"[\w*.+/=-]{20,}")


class ProviderFailed(HoldfastError):
    """A model's provider refused, failed, or broke off; code ``upstream.failed``.

    The words are the provider's own, without addresses and without anything as long as a key; where the provider refuses
    the credentials, they are left out. ``fields`` has the provider's ``status`` and its ``reason``, where it gave them.
    """

    def __init__(self, detail: str, *, status: int | None = None, reason: str = "") -> None:
        fields: dict[str, Any] = {"status": status, "reason": reason}
        super().__init__("upstream.failed", detail, **{name: value for name, value in fields.items() if value})


class Call(msgspec.Struct):
    """A tool call that a model asks for.

    Attributes:
        id: of the call in the session: ``run.tool(call.name, call.arguments, fn, call_id=call.id)``.
        upstream: the provider's id for it, which its result is to name.
        args: JSON text, as the model wrote it.
        kind: ``function``, or another type of call that only some providers have.
    """

    id: str
    upstream: str
    name: str
    args: str = ""
    kind: str = "function"

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments. Raises ``ValueError`` when they are no JSON object."""
        value = parse(self.args or "{}")
        if not isinstance(value, dict):
            raise ValueError("the arguments are not a JSON object")
        arguments: dict[str, Any] = well_formed_data(value)
        return arguments


class ModelAnswer(msgspec.Struct):
    """What came of one stream.

    Attributes:
        finish: why the model stopped, in the provider's word.
        usage: tokens by kind, named as in ``run.usage``.
        classes: the same tokens by the classes that are billed apart: no two of them count the same.
        tier: the service tier that served it.
        content: the answer in the provider's own form, to be sent back to it with the next request.
    """

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls: list[Call] = []
    finish: str = ""
    model: str = ""
    usage: dict[str, int] = {}
    classes: dict[str, int] = {}
    tier: str = ""
    content: list[dict[str, Any]] = []


class RunWriter:
    """Writes one answer into a run, piece by piece; the provider's own keys tell which text a piece belongs to.

    Args:
        adapter: whose events are read, for operators.
        close_texts: complete the texts at the end of the answer; otherwise ``texts.take`` gives them for completion.
        pending_calls: calls that the provider makes itself, of the answers before, whose outcome is not known, by the provider's
            ids: an answer that paused in the middle of one goes on in the next.

    Attributes:
        call_ids: the provider's ids of all calls, of those it made itself, too, in their order.
        pending_calls: as the argument, after this answer.
    """

    def __init__(
        self,
        run: RunContext,
        adapter: str = "adapter",
        *,
        close_texts: bool = True,
        pending_calls: dict[str, Call] | None = None,
    ) -> None:
        self.run = run
        self.close_texts = close_texts
        self.answer = ModelAnswer()
        self.texts = Texts(run)
        self.unknown = UnknownEvents(run, adapter)
        self.call_ids: list[str] = []
        self.pending_calls: dict[str, Call] = dict(pending_calls or {})
        self._calls: dict[Any, Call] = dict(self.pending_calls)
        self._keys: dict[Any, str] = {}

    async def write_text(self, key: Any, delta: str) -> None:
        """Append to a message."""
        self.answer.text += delta
        self._keys[key] = "message"
        await self.texts.write("message", key, delta)

    async def write_refusal(self, key: Any, delta: str) -> None:
        """Append to the words with which the model refuses: a message, to people."""
        self.answer.refusal += delta
        self._keys[key] = "message"
        await self.texts.write("message", key, delta)

    async def write_reasoning(self, key: Any, delta: str) -> None:
        """Append to a piece of reasoning."""
        self.answer.reasoning += delta
        self._keys[key] = "reasoning"
        await self.texts.write("reasoning", key, delta)

    def end_text(self, key: Any) -> None:
        """Nothing more comes under a key, or under the keys that begin with it."""
        for open_key, kind in self._keys.items():
            if open_key == key or (isinstance(open_key, tuple) and open_key[0] == key):
                self.texts.end(kind, open_key)

    async def start_call(self, key: Any, upstream: str, name: str, kind: str = "function") -> Call:
        """A call begins; it is shown while the model writes its arguments."""
        call = Call(call_id(self.run, upstream), well_formed(upstream), well_formed(name), kind=kind)
        self._calls[key] = call
        self.call_ids.append(call.upstream)
        self.answer.calls.append(call)
        self.texts.break_message()
        await self.run.tools.announce(call.id, call.name)
        return call

    async def append_args(self, key: Any, delta: str) -> None:
        """Append to the arguments of a call."""
        call = self._calls.get(key)
        if call is not None and delta:
            call.args += delta
            await self.run.tools.append_args(call.id, delta)

    def find_call(self, key: Any) -> Call | None:
        """The call of a key."""
        return self._calls.get(key)

    async def start_provider_call(self, key: Any, upstream: str, name: str) -> None:
        """A call that the provider makes itself begins; ``record_result`` says what came of it."""
        call = await self.start_call(key, upstream, name)
        self.answer.calls.remove(call)
        self.pending_calls[call.upstream] = self.run.tools.provider_calls[call.upstream] = call

    async def record_result(self, key: Any, value: Any, error: str = "") -> None:
        """What came of a call that the provider made; ``key`` is that of the call, or the provider's id for it."""
        call = self._calls.get(key) or self.pending_calls.get(key) or self.run.tools.provider_calls.get(key)
        if call is None:
            self.unknown.count("the result of a call that was not made")
            return
        self.pending_calls.pop(call.upstream, None)
        self.run.tools.provider_calls.pop(call.upstream, None)
        failed = {"code": "tool.failed", "message": error[:500]} if error else None
        await self.run.tools.record_result(call.id, call.name, {}, value, error=failed)

    async def complete_pending(self) -> None:
        """The answer is whole, and calls that the provider made have no result: they are done."""
        for ident in list(self.pending_calls):
            await self.record_result(ident, "completed")

    async def show(self, name: str, content: dict[str, Any]) -> None:
        """Something else that people may look at, whole."""
        self.texts.break_message()
        await self.run.activity(name, content)

    async def cite(self, key: Any, uri: str, title: str = "", quote: str = "") -> None:
        """Cite a source for the message of a key, whose first word may still come."""
        await self.texts.cite(key, uri, title, quote)

    def set_usage(self, **counts: int | None) -> None:
        """Tokens used so far; a later count replaces an earlier one."""
        self.answer.usage.update({name: count for name, count in counts.items() if count})

    async def record(self) -> None:
        """Record the usage, also of an answer that was stopped, and what was not understood."""
        if self.answer.usage:
            more: dict[str, Any] = {"classes": self.answer.classes, "tier": self.answer.tier}
            counts = self.answer.usage | {name: value for name, value in more.items() if value}
            await self.run.usage(self.answer.model, **counts)
        await self.unknown.record()

    async def complete(self) -> ModelAnswer:
        """Complete the texts.

        Raises:
            ProviderFailed: the stream ended before the answer did.
        """
        if not self.answer.finish:
            raise ProviderFailed("the provider's stream ended before the answer did")
        await self.texts.end_all()
        if self.close_texts:
            for text in self.texts.take():
                await text.close()
        self._repair()
        return self.answer

    def _repair(self) -> None:
        """What is sent back to the provider and saved is UTF-8, too: pieces were put together as they came."""
        answer = self.answer
        answer.text, answer.reasoning = well_formed(answer.text), well_formed(answer.reasoning)
        answer.refusal, answer.content = well_formed(answer.refusal), well_formed_data(answer.content)
        for call in [*answer.calls, *self.pending_calls.values()]:
            call.args = well_formed(call.args)


def call_id(run: RunContext, upstream: str) -> str:
    """A provider's call id as one that is unique in the session: some providers count 0, 1, 2 … in every answer."""
    ident = plain_id(upstream)
    number = run.count(f"call:{ident}")
    return f"{run.id}.{ident}" if number == 1 else f"{run.id}.{ident}.{number}"


@contextlib.asynccontextmanager
async def open_stream(stream: ProviderStream) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """The chunks of a provider's stream as plain objects. The stream is closed at the end, and with it its connection.

    Raises:
        ProviderFailed: in place of what the provider's client raises.
    """
    chunks: Any = None
    try:
        chunks = await stream if inspect.isawaitable(stream) else stream
        yield (_to_dict(chunk) async for chunk in chunks)
    except Exception as error:
        wrapped = client_error(error)
        if wrapped is None:
            raise
        raise wrapped from error
    finally:
        close = getattr(chunks, "aclose", None) or getattr(chunks, "close", None)
        if close is not None:
            with contextlib.suppress(Exception):
                result = close()
                if inspect.isawaitable(result):
                    async with asyncio.timeout(limits.CLOSE_S):
                        await result


def _to_dict(chunk: Any) -> dict[str, Any]:
    if isinstance(chunk, dict):
        return chunk
    fields: dict[str, Any] = chunk.model_dump(mode="json", exclude_unset=True, warnings=False)
    return fields


def client_error(error: Exception) -> ProviderFailed | None:
    """What a provider's client raised, as our own; None when it is of somebody else."""
    if type(error).__module__.split(".")[0] not in _CLIENT_PACKAGES:
        return None
    status = getattr(error, "status_code", None)
    body = getattr(error, "body", None)
    if status is None and not isinstance(body, dict):
        return ProviderFailed(f"the provider could not be reached, or broke off: {type(error).__name__}")
    return provider_error(body if isinstance(body, dict) else {}, status)


def provider_error(body: dict[str, Any], status: int | None = None) -> ProviderFailed:
    """The error in a provider's response: ``{code?, type?, message?}``, or the same under ``error``."""
    nested = body.get("error")
    fields = nested if isinstance(nested, dict) else body
    reason = str(fields.get("code") or fields.get("type") or "")[:100]
    message = "" if status in (401, 403) else scrub(str(fields.get("message") or ""))
    label = " ".join(part for part in (str(status or ""), reason) if part)
    detail = ": ".join(
        part for part in (f"the provider refused ({label})" if label else "the provider failed", message) if part
    )
    return ProviderFailed(detail, status=status, reason=reason)


def scrub(text: str) -> str:
    """Text for the log: no addresses, nothing that could be a key, at most 300 characters."""
    scrubbed = _KEY.sub(lambda m: "…" if any(c.isdigit() or c == "*" for c in m[0]) else m[0], _ADDRESS.sub("…", text))
    return scrubbed[:300]
