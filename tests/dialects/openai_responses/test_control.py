"""Cancel, retries, approvals, functions, lost attempts and sub-agents, as OpenAI's Python client sees them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from typing import Any

import openai
import pytest

import holdfast
from holdfast.agents.holdfast import Holdfast
from holdfast.agents.run import RunContext
from holdfast.client.client import Client
from holdfast.engines.port import Key

from .conftest import Site
from .test_python_client import deltas, echo

pytestmark = pytest.mark.anyio

FUNCTION = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}


async def endless(run: RunContext) -> None:
    async with run.message() as out:
        for number in range(10_000):
            await out.write(f"{number} ")
            await asyncio.sleep(0.01)


async def clerk(run: RunContext) -> None:
    await run.say("I have a draft.", key="draft")
    approval = await run.approve("send_mail", {"to": "bob@example.com"}, wait=True)
    await run.say("Sent." if approval else f"Not sent: {approval.note}.")


async def forecaster(run: RunContext) -> None:
    """Offers the client's function a call, and says what came of it."""
    results = [item["result"] for item in run.items if item["kind"] == "tool" and "result" in item]
    if results:
        await run.say(f"It is {results[-1]}.")
        return
    call = f"call_{run.id}"
    await run.emit("TOOL_CALL_START", {"toolCallId": call, "toolCallName": "weather"})
    await run.emit("TOOL_CALL_ARGS", {"toolCallId": call, "delta": '{"city":'})
    await run.emit("TOOL_CALL_ARGS", {"toolCallId": call, "delta": '"Oslo"}'})
    await run.emit("TOOL_CALL_END", {"toolCallId": call})


def session_of(response: Any) -> str:
    return str(response.conversation.id)


def key_of(response: Any) -> Key:
    return Key("default", session_of(response))


# --- cancel -------------------------------------------------------------------------------------------------------------
async def test_cancel_stops_the_run_and_keeps_what_was_said(site: Site) -> None:
    await site.serve(endless=endless)
    client = site.client()
    ident, read = "", []
    async for event in await client.responses.create(model="endless", input="go", stream=True):
        read.append(event)
        if event.type == "response.created":
            ident = event.response.id
        if event.type == "response.output_text.delta" and len(read) == 12:
            cancelled = await client.responses.cancel(ident)
            assert cancelled.status == "cancelled"
    assert read[-1].type == "response.incomplete" and read[-1].response.status == "cancelled"
    assert read[-1].response.output_text == deltas(read) == cancelled.output_text
    assert (await client.responses.cancel(ident)).status == "cancelled"  # again, as OpenAI does


async def test_closing_a_stream_cancels_nothing(site: Site) -> None:
    gate = asyncio.Event()

    async def patient(run: RunContext) -> None:
        async with run.message() as out:
            await out.write("before ")
            await gate.wait()
            await out.write("after")

    await site.serve(patient=patient)
    client = site.client()
    stream = await client.responses.create(model="patient", input="go", stream=True)
    ident = ""
    async for event in stream:
        if event.type == "response.created":
            ident = event.response.id
        if event.type == "response.output_text.delta":
            break
    await stream.close()
    waiting = asyncio.create_task(site.client().responses.create(model="patient", input="go"))
    await asyncio.sleep(0.2)
    waiting.cancel()  # one that does not stream goes away, too
    gate.set()
    async with asyncio.timeout(20):
        while (response := await client.responses.retrieve(ident)).status != "completed":
            await asyncio.sleep(0.02)
    assert response.output_text == "before after"
    async with asyncio.timeout(20):  # and nobody goes on reading for those who left
        while any(conn.surface == "openai" for conn in site.hub.connections.values()):
            await asyncio.sleep(0.02)


# --- retries ------------------------------------------------------------------------------------------------------------
async def test_a_retry_with_a_key_says_nothing_twice(site: Site) -> None:
    await site.serve(echo=echo)
    client = site.client()
    headers = {"Idempotency-Key": "one / two"}
    first = await client.responses.create(model="echo", input="hello", extra_headers=headers)
    again = await client.responses.create(model="echo", input="hello", extra_headers=headers)
    assert again.model_dump() == first.model_dump()
    with pytest.raises(openai.ConflictError) as other:
        await client.responses.create(model="echo", input="other", extra_headers=headers)
    assert other.value.code == "producer.conflict"
    stranger = site.client(token=site.token("user:bob"))
    theirs = await stranger.responses.create(model="echo", input="hello", extra_headers=headers)
    assert theirs.id != first.id


async def test_the_clients_own_retries_carry_the_key(site: Site) -> None:
    """The answer to the first request is lost on the way; the client repeats it, and one run answers both."""
    await site.serve(echo=echo)
    client = site.client(cut=True, max_retries=4)
    site.cutter.budget = 20
    asking = asyncio.create_task(
        client.responses.create(model="echo", input="hello", conversation="c1", extra_headers={"Idempotency-Key": "k1"})
    )
    await asyncio.sleep(0.3)
    site.cutter.budget = None
    response = await asyncio.wait_for(asking, 20)
    assert response.output_text == "You said: hello"
    async with Client(site.url, site.token()) as hf:
        assert len((await hf.session("c1").state()).runs) == 1


# --- conversations -------------------------------------------------------------------------------------------------------
async def test_a_conversation_goes_on_by_response_or_by_name(site: Site) -> None:
    async def historian(run: RunContext) -> None:
        await run.say(" | ".join(message["content"] for message in run.history))

    await site.serve(historian=historian)
    client = site.client()
    one = await client.responses.create(model="historian", input="a", conversation="c1", metadata={"for": "test"})
    assert one.metadata == {"for": "test"} and session_of(one) == "c1"
    two = await client.responses.create(model="historian", input="b", previous_response_id=one.id)
    assert (two.output_text, two.previous_response_id) == ("a | a | b", one.id)
    three = await client.responses.create(model="historian", input="c", previous_response_id=one.id)
    assert three.output_text == "a | a | c"  # a branch beside the second
    history = [
        {"role": "user", "content": "x"}, {"role": "assistant", "content": "y"},
        {"role": "user", "content": [{"type": "input_text", "text": "d"}]},
    ]  # fmt: skip
    four = await client.responses.create(model="historian", input=history, conversation={"id": "c1"})
    assert four.output_text == "a | a | c | a | a | c | d"  # what clients say was said before is not taken
    items = await client.responses.input_items.list(four.id, order="asc")
    assert [item.content[0].text for item in items.data] == ["d"]  # type: ignore[union-attr]


async def test_it_goes_on_after_the_very_response_it_names(site: Site) -> None:
    """Also when another surface has had the same input answered anew meanwhile."""
    tries = itertools.count(1)

    async def teller(run: RunContext) -> None:
        await run.say(" | ".join(said["content"] for said in run.history) + f" #{next(tries)}")

    await site.serve(teller=teller)
    client = site.client()
    one = await client.responses.create(model="teller", input="a")
    async with holdfast.connect(site.url, token=site.token()) as hf:
        session = hf.session(session_of(one))
        first = (await session.state()).branch["head"]
        await (await session.regenerate(first)).finished()
    two = await client.responses.create(model="teller", input="b", previous_response_id=one.id)
    assert two.output_text == "a | a #1 | b #3"
    three = await client.responses.create(model="teller", input="c", previous_response_id=two.id)
    assert three.output_text == "a | a #1 | b | a | a #1 | b #3 | c #4"


async def test_files_come_as_attachments_and_the_request_with_them(site: Site) -> None:
    async def reader(run: RunContext) -> None:
        loaded = {a["mediaType"]: await run.get_blob(a["blob"]) for a in run.input.attachments}
        asked = json.loads(loaded["application/vnd.openai.response-request+json"])
        await run.say(f"{asked['instructions']} {loaded['image/png'].decode()} {run.input.text}")

    await site.serve(reader=reader)
    content = [
        {"type": "input_text", "text": "what is it?"},
        {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,cGl4ZWxz"},
    ]
    response = await site.client().responses.create(
        model="reader", instructions="Be brief.", input=[{"role": "user", "content": content}]
    )
    assert response.output_text == "Be brief. pixels what is it?"
    assert response.instructions == "Be brief."


# --- approvals and functions -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("approve", [True, False])
async def test_approvals_are_asked_and_answered_as_items(site: Site, approve: bool) -> None:
    await site.serve(clerk=clerk)
    client = site.client()
    first = await client.responses.create(model="clerk", input="go")
    assert first.status == "completed" and first.output_text == "I have a draft."
    request = first.output[-1]
    assert request.type == "mcp_approval_request"
    assert (request.name, json.loads(request.arguments)) == ("send_mail", {"to": "bob@example.com"})
    answer: Any = {
        "type": "mcp_approval_response", "approval_request_id": request.id, "approve": approve, "reason": "wrong day",
    }  # fmt: skip
    second = await client.responses.create(model="clerk", previous_response_id=first.id, input=[answer])
    assert second.status == "completed" and second.id != first.id
    assert second.output_text == ("Sent." if approve else "Not sent: wrong day.")
    assert (await client.responses.retrieve(first.id)).model_dump() == first.model_dump()
    stream = await client.responses.retrieve(second.id, stream=True)
    read = [event async for event in stream]
    assert read[0].type == "response.created" and read[0].sequence_number == 0
    assert deltas(read) == second.output_text
    same = await client.responses.create(model="clerk", previous_response_id=first.id, input=[answer])
    assert same.id == second.id  # the first decision stands, and this is it
    with pytest.raises(openai.ConflictError) as late:
        other = {**answer, "approve": not approve}
        await client.responses.create(model="clerk", previous_response_id=first.id, input=[other])
    assert late.value.code == "approval.resolved"


async def test_functions_are_called_by_the_client(site: Site) -> None:
    await site.serve(forecaster=forecaster)
    client = site.client()
    events = [
        event
        async for event in await client.responses.create(
            model="forecaster",
            input="Oslo?",
            tools=[FUNCTION],
            stream=True,  # type: ignore[list-item]
        )
    ]
    first = events[-1].response  # type: ignore[union-attr]
    (call,) = first.output
    assert call.type == "function_call" and json.loads(call.arguments) == {"city": "Oslo"}
    types = {event.type for event in events if "function_call" in event.type}
    assert types == {"response.function_call_arguments.delta", "response.function_call_arguments.done"}
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "-3 degrees"}
    second = await client.responses.create(
        model="forecaster",
        previous_response_id=first.id,
        input=[output],
        tools=[FUNCTION],  # type: ignore[list-item]
    )
    assert second.output_text == "It is -3 degrees."
    unoffered = await client.responses.create(model="forecaster", input="Oslo?", conversation="c2")
    assert unoffered.output[0].type == "mcp_call"  # nobody offered to carry it out: the agent's own tool


async def test_an_agents_own_tools_are_calls_on_a_server(site: Site) -> None:
    async def user(run: RunContext) -> None:
        total = await run.tool("add", {"a": 1, "b": 2}, lambda a, b: a + b)
        with contextlib.suppress(ZeroDivisionError):
            await run.tool("divide", {"a": 1}, lambda a: a / 0)
        await run.say(f"{total}")

    await site.serve(user=user)
    response = await site.client().responses.create(model="user", input="go")
    added, divided, message = response.output
    assert added.type == "mcp_call" and divided.type == "mcp_call" and message.type == "message"
    assert (added.name, added.server_label, added.output, added.status) == ("add", "user", "3", "completed")
    assert divided.status == "failed" and divided.error is not None
    assert divided.error.type == "mcp_tool_execution_error" and "ZeroDivisionError" in str(divided.error.content)


# --- failures and sub-agents ---------------------------------------------------------------------------------------------
async def test_a_failed_run_is_a_failed_response(site: Site) -> None:
    async def broken(run: RunContext) -> None:
        async with run.message() as out:
            await out.write("half")
            raise RuntimeError("no more tide")

    await site.serve(broken=broken)
    client = site.client()
    read = [event async for event in await client.responses.create(model="broken", input="go", stream=True)]
    assert read[-1].type == "response.failed"
    response = read[-1].response
    assert response.status == "failed" and response.error is not None
    assert response.error.code == "server_error" and "no more tide" in response.error.message
    assert response.output[0].status == "incomplete" and response.output_text == "half"  # type: ignore[union-attr]


async def test_the_text_of_a_lost_attempt_is_streamed_and_then_withdrawn(site: Site) -> None:
    async def doubtful(run: RunContext) -> None:
        async with run.message() as out:
            await out.write("It is a")
            await run.flush()
            if run.attempt_number == 1:
                await asyncio.sleep(60)
            await out.write("t six.")

    first = Holdfast(site.url, site.token("agent:first", agents=["*"]))
    async with first:
        first.add_agent("doubtful", doubtful)
        serving = asyncio.create_task(first.serve())
        stream = await site.client().responses.create(model="doubtful", input="go", stream=True)
        read = []
        async for event in stream:
            read.append(event)
            if event.type == "response.output_text.delta":
                break
        serving.cancel()  # its connection closes, and its lease runs out
    await site.serve(doubtful=doubtful)
    async for event in stream:
        read.append(event)
    final = read[-1].response  # type: ignore[union-attr]
    assert final.status == "completed" and final.output_text == "It is at six."
    assert deltas(read) == "It is a" + "It is at six."
    assert [item.status for item in final.output] == ["incomplete", "completed"]
    assert (await site.client().responses.retrieve(final.id)).model_dump() == final.model_dump()


async def test_sub_agents_speak_in_items_of_their_own(site: Site) -> None:
    async def editor(run: RunContext) -> None:
        async with run.sub("checker") as child:
            await child.say("Checked.")
        await run.say("Done.")

    await site.serve(editor=editor)
    response = await site.client().responses.create(model="editor", input="go")
    said = [(item.agent, item.phase, item.content[0].text) for item in response.output]  # type: ignore[union-attr]
    assert said == [("editor/checker", "commentary", "Checked."), ("editor", None, "Done.")]


async def test_a_sub_agent_speaks_on_while_its_parent_waits(site: Site) -> None:
    gate = asyncio.Event()

    async def scout(run: RunContext) -> None:
        async with run.message() as out:
            await out.write("before ")
            await run.flush()
            await gate.wait()
            await out.write("after")

    async def captain(run: RunContext) -> None:
        child = await run.spawn("scout", "look", name="look")
        if run.attempt_number == 1:
            async with run.session.live() as live:
                await live.until(lambda view: "before " in [i.get("text") for i in view.export()["items"]])
        await run.approve("sail", wait=True)
        gate.set()
        await child.finished()
        await run.say("Done.")

    await site.serve(scout=scout, captain=captain)
    client = site.client()
    first = await client.responses.create(model="captain", input="go")
    speaking, request = first.output
    assert (speaking.status, speaking.content[0].text) == ("incomplete", "before ")  # type: ignore[union-attr]
    answer: Any = {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": True}
    read = [
        event
        async for event in await client.responses.create(
            model="captain", previous_response_id=first.id, input=[answer], stream=True
        )
    ]
    second = read[-1].response  # type: ignore[union-attr]
    assert [(i.agent, i.status, i.content[0].text) for i in second.output] == [
        ("scout", "completed", "after"), ("captain", "completed", "Done."),
    ]  # fmt: skip
    assert (await client.responses.retrieve(second.id)).model_dump() == second.model_dump()


async def test_usage_is_for_operators_and_changes_no_number(site: Site) -> None:
    async def frugal(run: RunContext) -> None:
        await run.usage("m", input_tokens=5, output_tokens=1)
        await run.say("one")
        await run.usage("m", input_tokens=7, output_tokens=2, reasoning_tokens=1)

    await site.serve(frugal=frugal)
    caps = {"*": ["read", "append"]}
    plain = site.client(token=site.token("user:bob", capabilities=caps))
    response = await plain.responses.create(model="frugal", input="go")
    assert response.usage is None
    seen = await site.client().responses.retrieve(response.id)
    assert seen.usage is not None
    assert (seen.usage.input_tokens, seen.usage.output_tokens, seen.usage.total_tokens) == (12, 3, 15)
    assert seen.usage.output_tokens_details.reasoning_tokens == 1
    numbers = []
    for client in (plain, site.client()):
        stream = await client.responses.retrieve(response.id, stream=True)
        numbers.append([(e.type, e.sequence_number) async for e in stream])
    assert numbers[0] == numbers[1]
