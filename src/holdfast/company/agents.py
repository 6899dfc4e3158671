"""The company's agents: each is an agent of Holdfast with a ``RunContext``, and asks models through the gateway.

How one works is its workflow's: one answer; a loop of tools; a crew of sub-agents and a summary; a batch of short calls.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

from holdfast.agents.run import RunContext
from holdfast.company.conversation import ModelConversation
from holdfast.company.description import WorkflowDescription
from holdfast.company.models import Address, ModelClient, ModelRefused, StreamedAnswer
from holdfast.company.words import sentences
from holdfast.errors import Unavailable

TOOLS: Final = ("search_orders", "read_policy")
_CREW: Final = ("scout", "checker")
_TRIES: Final = 3
_RESULT_TOKENS: Final = 150
AddressOf = Callable[[str, bool], Address]
"""Where and with which key a person's work is asked for; ``True``: at the provider, past the gateway."""


class CompanyAgent:
    """The agent of one workflow.

    Args:
        anthropic: whether its model speaks Anthropic's messages.
        address: whose key it takes.
    """

    def __init__(self, workflow: WorkflowDescription, anthropic: bool, models: ModelClient, address: AddressOf) -> None:
        self.workflow = workflow
        self._anthropic, self._models, self._address = anthropic, models, address
        self._instructions = sentences(random.Random(f"instructions of {workflow.name}"), workflow.prompt)

    async def __call__(self, run: RunContext) -> None:
        """Answer, as the workflow does."""
        work: dict[str, Callable[[RunContext], Awaitable[None]]] = {
            "answer": self._loop, "tools": self._loop, "crew": self._lead, "batch": self._batch,
        }  # fmt: skip
        await work[self.workflow.agent](run)

    # --- how it works
    async def _loop(self, run: RunContext) -> None:
        """Ask until the model wants no tool any more; what it says is the answer."""
        conversation = self.begin(run, TOOLS if self.workflow.agent == "tools" else ())
        for message in run.history:
            conversation.say(message["role"], message["content"])
        while True:
            answer = await self._ask(run, conversation)
            text = []
            async for words in answer.words():
                text.append(words)
                if len(text) == 1:
                    out = await run.message().__aenter__()
                await out.write(words)
            if text:
                await out.close()
            await self._note(run, answer.call)
            whole(answer)
            if not answer.calls:
                return
            for call in answer.calls:
                result = await run.tool(
                    call.name, {"query": call.arguments[:200]}, self._tool, call_id=f"{run.id}.{call.id}"
                )
                conversation.add_result(call, result["text"])

    async def _lead(self, run: RunContext) -> None:
        """Two sub-agents look at it, each with a question of its own; what they find is summed up."""
        found = await asyncio.gather(*(self._scout(run, name) for name in _CREW))
        conversation = self.begin(run)
        for message in run.history:
            conversation.say(message["role"], message["content"])
        conversation.say("user", "\n\n".join(found))
        answer = await self._ask(run, conversation)
        async with run.message() as out:
            async for words in answer.words():
                await out.write(words)
        whole(answer)
        await self._note(run, answer.call)

    async def _scout(self, run: RunContext, name: str) -> str:
        async with run.sub(name, input=run.input.text) as child:
            conversation = self.begin(run)
            conversation.say("user", f"As {name}: {run.input.text}")
            answer = await self._ask(child, conversation, run)
            text = "".join([words async for words in answer.words()])
            whole(answer)
            await child.say(text)
            await self._note(child, answer.call)
        return text

    async def _batch(self, run: RunContext) -> None:
        """Short calls, one for each item, that are not streamed."""
        meta = _hints(run)
        for number in range(meta.get("rounds", 1)):
            conversation = self.begin(run)
            conversation.say("user", f"{number + 1}. {run.input.text}")
            address = self._address(_person(run), bool(run.input.meta.get("past")))
            _, call = await self._models.whole(
                address, self.workflow.model, conversation, {"words": meta.get("words", 0)}, {}
            )
            await self._note(run, call)
        await run.say(f"{meta.get('rounds', 1)} done.")

    # --- what all of them do
    def begin(self, run: RunContext, tools: tuple[str, ...] = ()) -> ModelConversation:
        """A conversation with the workflow's instructions, and what there is to look at in this session."""
        size = _hints(run).get("document", 0)
        document = sentences(random.Random(f"document of {run.session.id}"), size) if size else ""
        stamp = str(run.input.meta.get("stamp", ""))
        instructions = f"It is {stamp}.\n{self._instructions}" if stamp else self._instructions
        return ModelConversation(self._anthropic, (instructions, document), tools)

    async def _ask(
        self, run: RunContext, conversation: ModelConversation, lead: RunContext | None = None
    ) -> StreamedAnswer:
        """Ask the model; what is refused for a moment is asked again."""
        lead = lead or run
        hints = {name: value for name, value in _hints(lead).items() if name in ("rounds", "words", "stall")}
        address = self._address(_person(lead), bool(lead.input.meta.get("past")))
        for left in range(_TRIES - 1, -1, -1):
            try:
                return await self._models.stream(address, self.workflow.model, conversation, hints, {})
            except ModelRefused as error:
                if not left or error.status < 429:
                    raise
        raise AssertionError("it is answered or raised")

    async def _note(self, run: RunContext, call: str) -> None:
        """Link the run to the gateway's record of the call."""
        if call:
            await run.usage(self.workflow.model, call=call)

    async def _tool(self, query: str) -> dict[str, str]:
        return {"text": sentences(random.Random(query), _RESULT_TOKENS)}


def whole(answer: StreamedAnswer) -> None:
    """Raises ``upstream.failed`` for an answer that ended before its end: it may not look like a whole one."""
    if answer.failure:
        raise Unavailable("upstream.failed", answer.failure)


def _hints(run: RunContext) -> dict[str, int]:
    return {name: int(value) for name, value in (run.input.meta.get("hints") or {}).items()}


def _person(run: RunContext) -> str:
    return str(run.input.meta.get("person", ""))
