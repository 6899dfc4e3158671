"""From the events of the OpenAI Responses API to texts and tool calls in the session."""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Any

from pydantic_core import to_jsonable_python

from holdfast.agents.adapters.framework import plain_id
from holdfast.agents.adapters.texts import Texts
from holdfast.agents.adapters.unknown import UnknownEvents
from holdfast.agents.results import to_data
from holdfast.agents.run import RunContext

_DELTA_EVENTS = {
    "response.output_text.delta": "message",
    "response.refusal.delta": "message",
    "response.reasoning_text.delta": "reasoning",
    "response.reasoning_summary_text.delta": "reasoning",
}


_IGNORED_EVENTS = re.compile(
    r"response\.(created|queued|in_progress|failed|content_part\.\w+|compaction\.\w+|reasoning_summary_part\.\w+|output_item\.done"
    r"|(output_text|refusal|reasoning_text|reasoning_summary_text|audio|audio\.transcript)\.done|audio\.delta"
    r"|\w+_call\.\w+|mcp_list_tools\.\w+|\w+_call_arguments\.\w+"
    r"|(code_interpreter_call_code|custom_tool_call_input|shell_call_\w+|apply_patch_call_operation_diff)\.\w+)"
)
"""Events that add nothing: their content comes again when the response is whole."""


class Speaker:
    """Writes what one agent says: ``run`` is the run that says it, ``journal`` the run that has its tool calls.

    Args:
        within: the call by which an agent works that is used as a tool; its calls are named with it.

    Attributes:
        name: the sub-agent's, or empty for the run's own agent.
        hidden: tools that are no tools to people: hand-offs.
        call_names: names of the calls so far, by their ids.
    """

    def __init__(
        self,
        run: RunContext,
        *,
        journal: RunContext,
        name: str = "",
        call_names: dict[str, str] | None = None,
        within: str = "",
    ) -> None:
        self.name = name
        self.texts = Texts(run)
        self.unknown = UnknownEvents(run, "openai_agents")
        self.hidden: Container[str] = ()
        self.call_names: dict[str, str] = {} if call_names is None else call_names
        self._run = run
        self._journal = journal
        self._within = f"{within}." if within else ""
        self._items: dict[int, str] = {}
        self._streamed: set[tuple[str, Any]] = set()

    def call_id(self, call: str) -> str:
        """A call's id in the session, where models' ids need not be unique."""
        return f"{self._journal.id}.{plain_id(self._within + call)}"

    async def handle_event(self, event: Any) -> None:
        """Write the content of a streamed event of the Responses API (its types are those of the ``openai`` package)."""
        kind = _DELTA_EVENTS.get(event.type)
        if kind is not None:
            part = getattr(event, "content_index", None), getattr(event, "summary_index", None)
            self._streamed.add((kind, event.output_index))
            await self.texts.write(kind, (event.output_index, part), event.delta)
        elif event.type == "response.output_item.added":
            await self._start_call(event.output_index, event.item)
        elif event.type == "response.function_call_arguments.delta" and event.output_index in self._items:
            self._streamed.add(("tool", event.output_index))
            await self._journal.tools.append_args(self._items[event.output_index], event.delta)
        elif event.type == "response.output_text.annotation.added":
            await self._cite(event.output_index, event.content_index, event.annotation)
        elif event.type in ("response.completed", "response.incomplete"):
            await self._complete_response(event.response)
        elif event.type == "response.output_item.done" and _is_provider_call(event.item):
            await self._record_provider_call(event.item)
        elif not _IGNORED_EVENTS.fullmatch(event.type):
            self.unknown.count(event.type)

    async def record_output(self, raw: Any, output: Any) -> None:
        """A result goes to the model; record it, where the call was not made here: denied, for example."""
        call = str(raw.get("call_id") if isinstance(raw, dict) else getattr(raw, "call_id", None))
        await self._journal.tools.record_result(self.call_id(call), self.call_names.get(call, "tool"), {}, output)

    async def _start_call(self, index: int, item: Any) -> None:
        if item.type == "function_call" and item.name not in self.hidden:
            self.texts.break_message()
            self._items[index] = self.call_id(item.call_id)
            self.call_names[item.call_id] = item.name
            await self._journal.tools.announce(self._items[index], item.name)

    async def _cite(self, index: int, part: int, annotation: Any) -> None:
        annotation = annotation if isinstance(annotation, dict) else to_jsonable_python(annotation)
        if annotation.get("type") == "url_citation":
            await self.texts.cite((index, (part, None)), str(annotation["url"]), str(annotation.get("title") or ""))

    async def _complete_response(self, response: Any) -> None:
        """The response is whole: what was not streamed is written now, and what the provider's own tools did."""
        for index, item in enumerate(response.output):
            if item.type == "message" and ("message", index) not in self._streamed:
                text = "".join(
                    str(getattr(part, "text", None) or getattr(part, "refusal", "")) for part in item.content
                )
                await self.texts.write("message", (index, (0, None)), text)
            if item.type == "message":
                for part_index, part in enumerate(item.content):
                    for annotation in getattr(part, "annotations", None) or []:
                        await self._cite(index, part_index, annotation)
            elif item.type == "reasoning" and ("reasoning", index) not in self._streamed:
                text = "\n\n".join(part.text for part in item.summary)
                await self.texts.write("reasoning", (index, (0, None)), text)
            elif item.type == "function_call":
                await self._start_call(index, item)
                if index in self._items and ("tool", index) not in self._streamed:
                    await self._journal.tools.append_args(self._items[index], item.arguments)
            elif _is_provider_call(item):
                await self._record_provider_call(item)
        await self.texts.end_all()
        self._items.clear()
        self._streamed.clear()
        if response.usage is not None:
            usage = response.usage
            await self._run.usage(
                str(response.model), input_tokens=usage.input_tokens, output_tokens=usage.output_tokens
            )
        await self.unknown.record()

    async def _record_provider_call(self, item: Any) -> None:
        """A tool that runs at the provider: a web search, say. Its call and its outcome come at once."""
        self.texts.break_message()
        data = to_data(item)
        name = item.type.removesuffix("_call")
        args = {
            k: v
            for k, v in data.items()
            if k in ("action", "queries", "code", "arguments") and isinstance(v, dict | list | str)
        }
        await self._journal.tools.record_result(
            self.call_id(item.id), name, args, data.get("results") or data.get("status")
        )


def _is_provider_call(item: Any) -> bool:
    """Whether an item is of a tool that runs at the provider."""
    return bool(item.type.endswith("_call")) and item.type != "function_call"
