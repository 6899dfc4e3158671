"""What an agent says: texts that grow token by token, steps, activities and the shared state."""

from __future__ import annotations

import copy
from types import TracebackType
from typing import Any

from holdfast.agents.attempt import Attempt
from holdfast.agents.errors import Released
from holdfast.errors import Refused
from holdfast.protocol import events as e
from holdfast.protocol.codec import well_formed_data
from holdfast.protocol.patch import PatchError, apply_patch


class TextOut:
    """A message or a piece of reasoning while it is written: ``async with run.message() as out: await out.write(…)``.

    It is complete when the block ends. A block left by an exception leaves it to the end of the run, which marks it as
    cut (FOLD-4).

    Attributes:
        id: the message's id.
        replayed: an earlier attempt completed it already: what is written is not shown again.
    """

    def __init__(
        self,
        attempt: Attempt,
        kind: str,
        ident: str,
        start_data: dict[str, Any],
        open_texts: dict[str, TextOut],
        replayed: bool,
        has_key: bool = False,
    ) -> None:
        self._attempt = attempt
        self._start_data = start_data
        self._open_texts = open_texts
        start, content, end = (
            (e.TEXT_START, e.TEXT_CONTENT, e.TEXT_END)
            if kind == "message"
            else (e.REASONING_START, e.REASONING_CONTENT, e.REASONING_END)
        )
        self._start, self._content, self._end = start, content, end
        self.id = ident
        self.replayed = replayed
        self._has_key = has_key

    async def write(self, text: str) -> None:
        """Append text. It is on its way when this returns, and durable when the run goes on past the next tool call,
        approval or end."""
        if text and not self.replayed:
            if self.id not in self._open_texts:
                raise Refused("content.not_open", "write inside `async with`, and not after it")
            await self._attempt.producer.write(self._content, {"messageId": self.id, "delta": text})

    async def source(
        self, uri: str, *, title: str = "", source_id: str = "", quote: str = "", score: float | None = None
    ) -> None:
        """Cite a source for this message."""
        optional = {"title": title, "quote": quote, "score": score}
        data: dict[str, Any] = {"messageId": self.id, "sourceId": source_id or uri, "uri": uri}
        data.update({name: value for name, value in optional.items() if value not in ("", None)})
        if not self.replayed:
            await self._attempt.producer.write(e.SOURCE_CITED, data)

    async def close(self, *, keep: bool = False) -> None:
        """Complete it, if it is open. ``keep``: no later attempt says it again, as is so for what has a key (RUN-8)."""
        if self._open_texts.pop(self.id, None) is not None:
            flags = {"kept": True} if keep or self._has_key else {}
            await self._attempt.producer.write(self._end, {"messageId": self.id, **flags})

    async def __aenter__(self) -> TextOut:
        if not self.replayed:
            await self._attempt.producer.write(self._start, {"messageId": self.id, **self._start_data})
            self._open_texts[self.id] = self
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, Released):
            await self.close()
        else:
            self._open_texts.pop(self.id, None)


class StepOut:
    """A named step, shown while its block runs."""

    def __init__(self, attempt: Attempt, name: str) -> None:
        self._attempt = attempt
        self._name = name

    async def __aenter__(self) -> StepOut:
        await self._attempt.producer.write(e.STEP_STARTED, {"stepName": self._name})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self._attempt.producer.write(e.STEP_FINISHED, {"stepName": self._name})


class ActivityOut:
    """Something structured that changes while people look, for example a plan or the progress of a search."""

    def __init__(self, attempt: Attempt, ident: str, name: str) -> None:
        self._attempt = attempt
        self.id = ident
        self.name = name

    async def set(self, content: Any) -> None:
        """Replace the content."""
        await self._attempt.producer.write(
            e.ACTIVITY_SNAPSHOT, {"messageId": self.id, "activityType": self.name, "content": content, "replace": True}
        )

    async def patch(self, patch: list[dict[str, Any]]) -> None:
        """Change the content by a JSON Patch (RFC 6902)."""
        await self._attempt.producer.write(
            e.ACTIVITY_DELTA, {"messageId": self.id, "activityType": self.name, "patch": patch}
        )


class StateOut:
    """The session's shared state: one JSON value that people and agents see.

    Attributes:
        value: as it was when this attempt began, with this attempt's own changes.
    """

    def __init__(self, attempt: Attempt, value: Any) -> None:
        self._attempt = attempt
        self.value = copy.deepcopy(value)

    async def set(self, value: Any) -> None:
        """Replace the state."""
        await self._attempt.producer.write(e.STATE_SNAPSHOT, {"snapshot": value})
        self.value = copy.deepcopy(well_formed_data(value))  # as it was written

    async def patch(self, patch: list[dict[str, Any]]) -> None:
        """Change the state by a JSON Patch (RFC 6902).

        Raises:
            Refused: ``input.malformed`` when it does not fit the state as this attempt knows it.
        """
        patch = well_formed_data(patch)
        try:
            changed = apply_patch(self.value, patch)
        except PatchError as error:
            raise Refused("input.malformed", f"state patch: {error}") from None
        await self._attempt.producer.write(e.STATE_DELTA, {"delta": patch})
        self.value = changed
