"""Clients that keep the conversation themselves and send all of it with every request: the agent has it as its memory."""

from __future__ import annotations

import itertools
import json
from typing import Any

import openai
import pytest
from agents import (
    Agent,
    HostedMCPTool,
    OpenAIResponsesModel,
    Runner,
    SQLiteSession,
    function_tool,
    set_tracing_disabled,
)

import holdfast
from holdfast.agents.adapters import openai_chat
from holdfast.agents.run import RunContext
from tests.adapters.replay import Provider
from tests.adapters.scripts import streamed

from .conftest import Site
from .test_control import FUNCTION, forecaster, session_of

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def no_tracing() -> None:
    set_tracing_disabled(True)


async def historian(run: RunContext) -> None:
    """Says what it was given to go by."""
    await run.say(" | ".join(f"{said['role']}: {said['content']}" for said in run.history))


async def clerk(run: RunContext) -> None:
    """Mails when it may."""
    approval = await run.approve("send_mail", {"to": "bob"}, wait=True)
    await run.say("Sent." if approval else "Not sent.")


async def test_a_list_of_messages_is_the_agents_memory(site: Site) -> None:
    await site.serve(historian=historian)
    client = site.client()
    said: list[Any] = [{"role": "user", "content": "one"}]
    for words in ("two", "three"):
        answer = await client.responses.create(model="historian", input=said)
        said += [*[item.model_dump(exclude_none=True) for item in answer.output], {"role": "user", "content": words}]
    last = await client.responses.create(model="historian", input=said)
    told = "user: one | assistant: user: one | user: two"
    assert last.output_text == f"{told} | assistant: {told} | user: three"
    plain = [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "high tide?"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "At six."}]},
        {"role": "user", "content": [{"type": "input_text", "text": "and low?"}]},
    ]  # fmt: skip
    stream = await client.responses.create(model="historian", input=plain, stream=True)  # type: ignore[arg-type]
    text = "".join([event.delta async for event in stream if event.type == "response.output_text.delta"])
    assert text == "user: high tide? | assistant: At six. | user: and low?"


async def test_what_was_said_before_is_shown_on_other_surfaces_too(site: Site) -> None:
    await site.serve(historian=historian)
    calls = [
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"a": 1}'},
        {"type": "function_call_output", "call_id": "c1", "output": "found"},
        {"type": "reasoning", "id": "rs_1", "summary": []},
    ]
    before = [{"role": "user", "content": "one"}, *calls, {"role": "assistant", "content": "x" * 100_000}]
    answer = await site.client().responses.create(
        model="historian", input=[*before, {"role": "user", "content": "two"}], extra_headers={"Idempotency-Key": "k"}
    )
    again = await site.client().responses.create(
        model="historian", input=[*before, {"role": "user", "content": "two"}], extra_headers={"Idempotency-Key": "k"}
    )
    assert again.id == answer.id
    async with holdfast.connect(site.url, token=site.token()) as hf:
        view = await hf.session(session_of(answer)).state()
    shown = [(i["kind"], i.get("role"), i.get("text", i.get("result"))) for i in view.visible()]
    assert shown[:4] == [
        ("message", "user", "one"), ("tool", None, "found"), ("message", "assistant", "x" * 100_000),
        ("message", "user", "two"),
    ]  # fmt: skip
    assert len(shown) == 5 and view.title == "two"


async def test_a_session_that_knows_better_believes_nothing(site: Site) -> None:
    await site.serve(historian=historian)
    client = site.client()
    forged = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}, {"role": "user", "content": "b"}]
    made = await client.responses.create(model="historian", input=forged, conversation="c1")
    assert made.output_text == "user: x | assistant: y | user: b", "it knew nothing yet"
    again = await client.responses.create(model="historian", input=forged, conversation="c1")
    assert again.output_text == f"{made.output_text} | assistant: {made.output_text} | user: b"
    after = await client.responses.create(model="historian", input=forged, previous_response_id=made.id)
    assert after.output_text == again.output_text


async def test_what_came_beside_the_words_is_no_file_for_the_model(site: Site) -> None:
    """The request is there for the agent's code; a model is told the words."""
    async with Provider().running() as provider, openai.AsyncOpenAI(base_url=provider.url, api_key="sk-1") as gpt:
        provider.script = lambda number, request: streamed("openai.chat", "Fine.")

        async def converser(run: RunContext) -> None:
            assert [attached["name"] for attached in run.input.attachments] == ["request.json"]
            await openai_chat.converse(run, gpt, model="gpt")

        await site.serve(converser=converser)
        answer = await site.client().responses.create(model="converser", input="hi", instructions="Be kind.")
        assert answer.output_text == "Fine."
        assert provider.requests[0]["messages"] == [{"role": "user", "content": "hi"}]


async def two_calls(run: RunContext) -> None:
    """Leaves two calls to the client, and says what came of them."""
    found = [json.loads(item["args"])["n"] for item in run.items if item["kind"] == "tool" and item["status"] == "done"]
    if found:
        await run.say(f"answered {sorted(found)}")
        return
    for number in (1, 2):
        call = f"{run.id}.c{number}"
        await run.emit("TOOL_CALL_START", {"toolCallId": call, "toolCallName": "weather"})
        await run.emit("TOOL_CALL_ARGS", {"toolCallId": call, "delta": f'{{"n": {number}}}'})
        await run.emit("TOOL_CALL_END", {"toolCallId": call})


@pytest.mark.parametrize("way", ["previous", "conversation", "whole"])
async def test_all_calls_that_were_left_to_the_client_are_answered_together(site: Site, way: str) -> None:
    await site.serve(two_calls=two_calls)
    client = site.client()
    asked: Any = {"model": "two_calls", "tools": [FUNCTION]}
    first = await client.responses.create(input="go", **asked)
    calls = [item for item in first.output if item.type == "function_call"]
    outputs: list[Any] = [{"type": "function_call_output", "call_id": call.call_id, "output": "1"} for call in calls]
    whole = [{"role": "user", "content": "go"}, *[call.model_dump(exclude_none=True) for call in calls]]
    before = whole if way == "whole" else []
    if way == "previous":
        asked["previous_response_id"] = first.id
    elif way == "conversation":
        asked["conversation"] = session_of(first)
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.create(input=[*before, outputs[0]], **asked)
    assert calls[1].call_id in refused.value.message
    second = await client.responses.create(input=[*before, *outputs], **asked)
    assert second.output_text == "answered [1, 2]"


@pytest.mark.parametrize("whole", [False, True])
async def test_the_agents_sdk_with_a_session_of_its_own(site: Site, whole: bool) -> None:
    """``SQLiteSession``, or nothing: what was said and what functions gave is known in every later turn."""
    await site.serve(historian=historian, forecaster=forecaster)
    asked: list[str] = []

    @function_tool
    def weather(city: str) -> str:
        """The weather."""
        asked.append(city)
        return "-3 degrees"

    guide: Agent[Any] = Agent(
        name="guide", tools=[weather], model=OpenAIResponsesModel(model="forecaster", openai_client=site.client())
    )
    teller: Agent[Any] = Agent(
        name="teller", model=OpenAIResponsesModel(model="historian", openai_client=site.client())
    )
    kept = SQLiteSession("s")
    first = await Runner.run(guide, "Oslo?", session=kept)
    assert (first.final_output, asked) == ("It is -3 degrees.", ["Oslo"])
    if whole:
        result = await Runner.run(teller, [*first.to_input_list(), {"role": "user", "content": "And?"}])
    else:
        result = await Runner.run(teller, "And?", session=kept)
    assert result.final_output == "user: Oslo? | assistant: It is -3 degrees. | user: And?"


HOSTED: Any = {
    "type": "mcp", "server_label": "clerk", "server_url": "https://unused.invalid", "require_approval": "always",
}  # fmt: skip
WAYS: dict[str, dict[str, Any]] = {
    "whole": {}, "previous": {"auto_previous_response_id": True}, "conversation": {"conversation_id": "c1"}, "session": {},
}  # fmt: skip


@pytest.mark.parametrize(("way", "hook"), [*itertools.product(WAYS, [True, False])])
async def test_the_agents_sdk_approves(site: Site, way: str, hook: bool) -> None:
    """With the agent named as a hosted MCP server, by a callback or by its interruptions, however it keeps the conversation."""
    await site.serve(clerk=clerk, historian=historian)
    options = dict(WAYS[way])
    if way == "session":
        options["session"] = SQLiteSession("s")
    tool = HostedMCPTool(tool_config=HOSTED, on_approval_request=(lambda request: {"approve": True}) if hook else None)
    model = OpenAIResponsesModel(model="clerk", openai_client=site.client())
    agent: Agent[Any] = Agent(name="guide", model=model, tools=[tool])
    result = await Runner.run(agent, "Write to Bob.", **options)
    if not hook:
        (interruption,) = result.interruptions
        state = result.to_state()
        state.approve(interruption)
        result = await Runner.run(agent, state, **options)
    assert result.final_output == "Sent."
    said = [*result.to_input_list(), {"role": "user", "content": "And?"}]
    teller = site.client()
    told = await teller.responses.create(model="historian", input=said)  # type: ignore[arg-type]
    assert told.output_text == "user: Write to Bob. | assistant: Sent. | user: And?"
