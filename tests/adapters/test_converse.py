"""``converse`` of each provider's adapter with its own client: what people see, what the model is told, who is asked."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import threading
from typing import Any

import pytest

import holdfast
from holdfast.agents.adapters.conversation import Rules
from holdfast.agents.adapters.functions import Function
from holdfast.protocol import wire
from tests.adapters.conftest import converse_agent
from tests.adapters.replay import Provider, framed, refusal
from tests.adapters.scripts import ALL, conversation_of, streamed
from tests.adapters.workshop import Workshop, answers, ended, items, seen

pytestmark = [pytest.mark.anyio, pytest.mark.process]


def look_up(word: str, times: int = 1) -> str:
    """Look a word up."""
    return f"{word} means tide" * times


@dataclasses.dataclass
class Order:
    number: int


@pytest.mark.parametrize("api", ALL)
async def test_a_loop_of_model_and_tools(bench: Workshop, provider: Provider, api: str) -> None:
    responses = [
        streamed(
            api, "Let me look.", ("a", "look_up", {"word": "ebb"}), ("b", "look_up", {"word": "flow", "times": 2})
        ),
        streamed(api, "It is the tide."),
        streamed(api, "You are welcome."),
    ]
    provider.script = lambda number, request: responses[number]
    await bench.worker(writer=converse_agent(api, provider, look_up))
    session = await bench.session()
    run = await session.send("What is ebb?")
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "completed", view.runs[run.id]
    assert answers(view, run.id) == ["Let me look.", "It is the tide."]
    shown = [(i["id"], i["name"], json.loads(i["args"]), i["status"]) for i in items(view, "tool")]
    assert shown == [
        (f"{run.id}.a", "look_up", {"word": "ebb"}, "done"),
        (f"{run.id}.b", "look_up", {"word": "flow", "times": 2}, "done"),
    ]
    joined = await (await bench.person("user:bob")).session("s1").state()
    assert joined.export() == view.export()

    conversation = [
        ("user", "What is ebb?"),
        ("assistant", "Let me look."),
        ("call", ("look_up", {"word": "ebb"})),
        ("call", ("look_up", {"word": "flow", "times": 2})),
        ("result", "ebb means tide"),
        ("result", "flow means tideflow means tide"),
    ]
    assert conversation_of(api, provider.requests[0]) == conversation[:1]
    assert conversation_of(api, provider.requests[1]) == conversation
    (tool,) = provider.requests[0]["tools"]
    tool = tool.get("function", tool)
    assert (tool["name"], tool["description"]) == ("look_up", "Look a word up.")
    schema = tool.get("parameters") or tool["input_schema"]
    assert schema == {
        "type": "object", "properties": {"word": {"type": "string"}, "times": {"type": "integer", "default": 1}},
        "required": ["word"], "additionalProperties": False,
    }  # fmt: skip

    again = await session.send("Thank you")
    await ended(session, again.id)
    expected = [*conversation, ("assistant", "It is the tide."), ("user", "Thank you")]
    assert sorted(map(str, conversation_of(api, provider.requests[2]))) == sorted(map(str, expected))
    assert conversation_of(api, provider.requests[2])[-2:] == expected[-2:]


@pytest.mark.parametrize("api", ALL)
async def test_a_gated_tool_is_decided_elsewhere_while_no_worker_is_there(
    bench: Workshop, provider: Provider, api: str
) -> None:
    sent: list[str] = []

    async def send_mail(to: str) -> str:
        sent.append(to)
        return "sent"

    responses = [
        streamed(api, "Two mails.", ("a", "send_mail", {"to": "ann"}), ("b", "send_mail", {"to": "eve"})),
        streamed(api, "One is sent."),
    ]
    provider.script = lambda number, request: responses[number]
    worker = await bench.worker(
        writer=converse_agent(api, provider, send_mail, look_up, rules=Rules(gated=["send_mail"]))
    )
    session = await bench.session()
    run = await session.send("Mail them")
    view = await seen(session, lambda view: view.runs[run.id]["status"] == "waiting")
    await worker.leave()
    first, second = items(view, "approval")
    assert [(i["tool"], i["args"]) for i in (first, second)] == [
        ("send_mail", {"to": "ann"}),
        ("send_mail", {"to": "eve"}),
    ]
    assert sent == []
    phone = (await bench.person("user:bob")).session("s1")
    await phone.approve(first["id"], hash=first["hash"])
    await phone.deny(second["id"], note="not to her")
    await bench.worker(writer=converse_agent(api, provider, send_mail, look_up, rules=Rules(gated=["send_mail"])))
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "completed", view.runs[run.id]
    assert sent == ["ann"]
    assert answers(view, run.id) == ["Two mails.", "One is sent."]
    assert [result for kind, result in conversation_of(api, provider.requests[1]) if kind == "result"] == [
        "sent",
        "not to her",
    ]
    assert len(provider.requests) == 2
    assert [i.get("error", {}).get("code") for i in items(view, "tool")] == [None, "tool.denied"]


@pytest.mark.parametrize("api", ALL)
async def test_a_steer_between_two_requests_is_told_to_the_model(bench: Workshop, provider: Provider, api: str) -> None:
    session = await bench.session()

    async def price() -> int:
        await session.run(run.id).steer("In euros")
        await seen(session, lambda view: items(view, "steer"))
        return 3

    responses = [streamed(api, "", ("a", "price", {})), streamed(api, "3 €")]
    provider.script = lambda number, request: responses[number]
    await bench.worker(writer=converse_agent(api, provider, price))
    run = await session.send("How much?")
    view = await ended(session, run.id)
    assert conversation_of(api, provider.requests[1]) == [
        ("user", "How much?"), ("call", ("price", {})), ("result", "3"), ("user", "In euros"),
    ]  # fmt: skip
    assert [i["status"] for i in items(view, "steer")] == ["delivered"]


@pytest.mark.parametrize("api", ALL)
async def test_a_steer_during_the_answer_is_answered(bench: Workshop, provider: Provider, api: str) -> None:
    session, hold = await bench.session(), asyncio.Event()
    whole = streamed(api, "Three dollars.")
    half = whole.index(b"\n\n", whole.index(b"Three")) + 2
    provider.script = lambda number, request: whole if number else (whole[:half], hold, whole[half:])
    await bench.worker(writer=converse_agent(api, provider))
    run = await session.send("How much?")
    await seen(session, lambda view: items(view, "message", run=run.id))
    await session.run(run.id).steer("In euros")
    await seen(session, lambda view: items(view, "steer"))
    hold.set()
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "completed", view.runs[run.id]
    assert conversation_of(api, provider.requests[1])[1:] == [("assistant", "Three dollars."), ("user", "In euros")]


@pytest.mark.parametrize("api", ALL)
async def test_what_goes_wrong_with_a_tool_is_told_to_the_model(bench: Workshop, provider: Provider, api: str) -> None:
    def cancel(order: Order) -> None:
        raise LookupError(f"no order {order.number}")

    calls = [("a", "cancel", {"order": {"number": 7}}), ("b", "cancel", {"order": 7}), ("c", "erase", {})]
    responses = [streamed(api, "", *calls), streamed(api, "I could not.")]
    provider.script = lambda number, request: responses[number]
    await bench.worker(writer=converse_agent(api, provider, cancel, rules=Rules(gated=["cancel"], wait=False)))
    session = await bench.session()
    run = await session.send("Cancel it")
    view = await seen(session, lambda view: items(view, "approval"))
    (approval,) = items(view, "approval")  # nobody is asked about a call that cannot be made
    await session.approve(approval["id"])
    view = await ended(session, run.id)
    results = [result for kind, result in conversation_of(api, provider.requests[1]) if kind == "result"]
    assert results[0] == "LookupError: no order 7"
    assert results[1].startswith("The arguments do not fit: ") and results[2] == "There is no tool 'erase'."
    assert {i["error"]["message"] for i in items(view, "tool")} == set(results)
    assert answers(view, run.id) == ["I could not."]


@pytest.mark.parametrize("api", ALL)
async def test_a_stop_closes_the_connection_to_the_provider(bench: Workshop, provider: Provider, api: str) -> None:
    half = streamed(api, "Half an")[:-20]
    responses = [streamed(api, "", ("a", "look_up", {"word": "x"})), (half, asyncio.Event())]
    provider.script = lambda number, request: responses[number]
    await bench.worker(writer=converse_agent(api, provider, look_up))
    session = await bench.session()
    run = await session.send("go")
    await seen(session, lambda view: items(view, "message", run=run.id))
    await run.cancel()
    await asyncio.wait_for(provider.cut.wait(), 10)
    view = await ended(session, run.id)
    assert view.runs[run.id]["status"] == "cancelled"
    assert [i["status"] for i in items(view, "message", run=run.id)] == ["cut"]


@pytest.mark.parametrize("api", ALL)
async def test_a_refusal_after_a_tool_fails_the_run(bench: Workshop, provider: Provider, api: str) -> None:
    responses: list[Any] = [
        streamed(api, "", ("a", "look_up", {"word": "x"})),
        refusal(429, type="rate_limited", message="Too many"),
    ]
    provider.script = lambda number, request: responses[number]
    await bench.worker(writer=converse_agent(api, provider, look_up))
    session = await bench.session()
    run = await session.send("go")
    view = await ended(session, run.id)
    assert (view.runs[run.id]["status"], view.runs[run.id]["error"]["code"]) == ("failed", "upstream.failed")
    assert [i["status"] for i in items(view, "tool")] == ["done"]


async def test_a_model_that_never_answers_is_not_asked_for_ever(bench: Workshop, provider: Provider) -> None:
    provider.script = lambda number, request: streamed("openai.chat", "", ("0", "look_up", {"word": "x"}))
    await bench.worker(writer=converse_agent("openai.chat", provider, look_up, rules=Rules(requests=3)))
    session = await bench.session()
    run = await session.send("go")
    view = await ended(session, run.id)
    assert (view.runs[run.id]["status"], view.runs[run.id]["error"]["code"]) == ("failed", "agent.failed")
    assert len(provider.requests) == 3
    assert [i["id"] for i in items(view, "tool")] == [f"{run.id}.0", f"{run.id}.0.2", f"{run.id}.0.3"]


async def test_a_gate_around_nothing_is_refused(bench: Workshop, provider: Provider) -> None:
    await bench.worker(writer=converse_agent("openai.chat", provider, look_up, rules=Rules(gated=["lookup"])))
    session = await bench.session()
    run = await session.send("go")
    view = await ended(session, run.id)
    assert view.runs[run.id]["error"]["code"] == "config.invalid" and provider.requests == []


async def test_blocking_tools_get_the_run_and_block_nobody(bench: Workshop, provider: Provider) -> None:
    both = threading.Barrier(2, timeout=20)  # passes only when both calls are inside at the same time
    run_ids: list[str] = []

    def meet(run: holdfast.RunContext, at: str) -> str:
        both.wait()
        run_ids.append(run.id)
        return at

    responses = [
        streamed("openai.chat", "", ("a", "meet", {"at": "pier"}), ("b", "meet", {"at": "quay"})),
        streamed("openai.chat", "Met."),
    ]
    provider.script = lambda number, request: responses[number]
    await bench.worker(writer=converse_agent("openai.chat", provider, meet, system="Be brief."))
    session = await bench.session()
    run = await session.send("go")
    view = await ended(session, run.id)
    assert answers(view, run.id) == ["Met."] and run_ids == [run.id, run.id]
    assert provider.requests[0]["messages"][0] == {"role": "system", "content": "Be brief."}
    assert "run" not in provider.requests[0]["tools"][0]["function"]["parameters"]["properties"]


@pytest.mark.parametrize("api", ALL)
async def test_attachments_are_told_to_the_model(bench: Workshop, provider: Provider, api: str) -> None:
    provider.script = lambda number, request: streamed(api, "A boat.")
    await bench.worker(writer=converse_agent(api, provider))
    person = await bench.person()
    session = await person.create("s1", agent="writer")
    files = [
        ("boat.png", "image/png", b"\x89PNG"),
        ("log.txt", "text/plain", b"calm"),
        ("map.pdf", "application/pdf", b"%PDF"),
    ]
    attached = [
        wire.Attachment(blob=await person.blobs.put("s1", data, kind), name=name, media_type=kind)
        for name, kind, data in files
    ]
    run = await session.send("What is this?", attachments=attached)
    await ended(session, run.id)
    contents = [what for _, what in conversation_of(api, provider.requests[0])]
    assert contents[0] == "What is this?" and contents[2] == "log.txt:\ncalm"
    for part, data in (contents[1], b"\x89PNG"), (contents[3], b"%PDF"):
        assert base64.b64encode(data).decode() in json.dumps(part)


async def test_a_tool_with_a_schema_of_its_own(bench: Workshop, provider: Provider) -> None:
    received: list[Any] = []
    schema = {"type": "object", "properties": {"from": {"type": "string"}}}
    tool = Function("go", "Go.", schema, lambda **args: received.append(args))
    own = {"type": "web_search"}
    responses = [streamed("openai.responses", "", ("a", "go", {"from": "here"})), streamed("openai.responses", "Gone.")]
    provider.script = lambda number, request: responses[number]
    await bench.worker(writer=converse_agent("openai.responses", provider, tool, own, store=False))
    session = await bench.session()
    run = await session.send("go")
    view = await ended(session, run.id)
    assert answers(view, run.id) == ["Gone."] and received == [{"from": "here"}]
    assert provider.requests[0]["tools"][0]["parameters"] == schema and provider.requests[0]["tools"][1] == own
    assert provider.requests[0]["include"] == ["reasoning.encrypted_content"]
    assert ("result", "null") in conversation_of("openai.responses", provider.requests[1])


@pytest.mark.parametrize("allowed", [True, False])
async def test_an_mcp_server_at_the_provider_asks_people(bench: Workshop, provider: Provider, allowed: bool) -> None:
    item = {
        "id": "mcpr_1", "type": "mcp_approval_request", "server_label": "shop", "name": "buy", "arguments": '{"n": 2}',
    }  # fmt: skip
    over = {"id": "r", "object": "response", "model": "gpt", "status": "completed", "output": [], "usage": None}
    asks = framed(
        [
            {"type": "response.output_item.added", "output_index": 0, "item": item | {"arguments": ""}},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": over},
        ]
    )
    provider.script = lambda number, request: streamed("openai.responses", "Done.") if number else asks
    await bench.worker(writer=converse_agent("openai.responses", provider))
    session = await bench.session()
    run = await session.send("Buy two")
    view = await seen(session, lambda view: view.runs[run.id]["status"] == "waiting")
    (approval,) = items(view, "approval")
    assert (approval["tool"], approval["args"]) == ("buy", {"n": 2})
    await (session.approve if allowed else session.deny)(approval["id"], note="" if allowed else "one is enough")
    view = await ended(session, run.id)
    assert answers(view, run.id) == ["Done."], view.runs[run.id]
    answer = provider.requests[1]["input"][-1]
    assert (answer["type"], answer["approval_request_id"]) == ("mcp_approval_response", "mcpr_1")
    assert (answer["approve"], answer.get("reason")) == (allowed, None if allowed else "one is enough")


async def test_a_turn_that_anthropic_paused_goes_on(bench: Workshop, provider: Provider) -> None:
    api = "anthropic.messages"
    paused = streamed(api, "Searching.").replace(b"end_turn", b"pause_turn")
    provider.script = lambda number, request: streamed(api, "Found.") if number else paused
    await bench.worker(writer=converse_agent(api, provider))
    session = await bench.session()
    run = await session.send("Search")
    view = await ended(session, run.id)
    assert answers(view, run.id) == ["Searching.", "Found."]
    assert conversation_of(api, provider.requests[1]) == [("user", "Search"), ("assistant", "Searching.")]
