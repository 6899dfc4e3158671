"""In every adapter: halves of characters are whole or U+FFFD, and whatever a tool returned the run goes on and says so."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

pytest.importorskip("pydantic_ai", reason="Pydantic AI is not installed")
pytest.importorskip("langgraph", reason="LangGraph is not installed")
pytest.importorskip("agents", reason="the OpenAI Agents SDK is not installed")

import agents
import msgspec
from langchain_core.messages import BaseMessage
from langchain_core.tools import StructuredTool
from pydantic_ai import Agent
from pydantic_ai import messages as m
from pydantic_ai.models.function import DeltaToolCall, FunctionModel

from holdfast.agents.adapters import langgraph, openai_agents, openai_chat, pydantic_ai
from holdfast.agents.run import RunContext
from holdfast.embed import EmbeddedBlobs
from holdfast.session.access import full_access
from tests.adapters.langgraph_scripts import Model, last_result, talking
from tests.adapters.test_openai_agents import Scripted, outputs
from tests.adapters.test_provider_events import OVER, chunk, cites, item, messages, relayed, said, text
from tests.adapters.workshop import answers, items
from tests.unit.agents.conftest import House
from tests.unit.agents.test_results import CASES

pytestmark = pytest.mark.anyio

CALL = "c1"
Tool = Callable[[str], Any]
MORE: list[tuple[str, Callable[[], Any]]] = [
    ("a file name", lambda: "caf\udce9.txt"),
    ("file names", lambda: {"caf\udce9.txt": ["\ud83c", "\udf0a"]}),
    ("three million characters", lambda: random.Random(1).randbytes(6_000_000).decode("utf-16-le", "replace")),
]
ODD = [(what, make) for what, make, _ in CASES] + MORE


@pytest.fixture
async def house(anyio_backend: str) -> AsyncIterator[House]:
    house = House(30.0)
    await house.hub.open()
    yield house
    await house.close()


def converse(tool: Tool, args: str, words: list[str]) -> Any:
    """A provider's adapter, on a client that looks like one."""

    def use(of: str) -> Any:
        """Use it."""
        return tool(of)

    class Client:
        def __init__(self) -> None:
            self.chat = self.completions = self

        async def create(self, *, messages: list[Any], **options: Any) -> AsyncIterator[Any]:
            json.dumps(messages, ensure_ascii=False).encode()
            return self._chunks(messages[-1])

        async def _chunks(self, last: Any) -> AsyncIterator[Any]:
            if last["role"] == "tool" or not args:
                for word in words:
                    yield {"choices": [{"index": 0, "delta": {"content": word}}]}
            else:
                for piece in ("", args[:9], args[9:]):
                    call = {"index": 0, "function": {"arguments": piece}}
                    start = {"id": "c1", "function": {"name": "use", "arguments": ""}} if not piece else {}
                    yield {"choices": [{"index": 0, "delta": {"tool_calls": [call | start]}}]}
            yield {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}

    async def writer(run: RunContext) -> None:
        await openai_chat.converse(run, Client(), model="gpt", tools=[use])

    return writer


def with_pydantic_ai(tool: Tool, args: str, words: list[str]) -> Any:
    async def say(messages: list[m.ModelMessage], info: Any) -> AsyncIterator[Any]:
        m.ModelMessagesTypeAdapter.dump_json(messages)
        if len(messages) > 1 or not args:
            for word in words:
                yield word
            return
        yield {1: DeltaToolCall(name="use", tool_call_id=CALL)}
        for piece in (args[:9], args[9:]):
            yield {1: DeltaToolCall(json_args=piece)}

    agent = Agent(FunctionModel(stream_function=say))

    @agent.tool_plain
    def use(of: str) -> Any:
        return tool(of)

    async def writer(run: RunContext) -> None:
        await pydantic_ai.run(run, agent)

    return writer


def with_langgraph(tool: Tool, args: str, words: list[str]) -> Any:
    def use(of: str) -> Any:
        """Use it."""
        return tool(of)

    def say(messages: list[BaseMessage]) -> Any:
        return (
            "|".join(words)
            if last_result(messages) is not None or not args
            else {"name": "use", "args": args, "id": CALL}
        )

    graph = talking(Model(say=say), StructuredTool.from_function(use))

    async def writer(run: RunContext) -> None:
        await langgraph.run(run, graph)

    return writer


def with_openai_agents(tool: Tool, args: str, words: list[str]) -> Any:
    @agents.function_tool
    def use(of: str) -> Any:
        return tool(of)

    def say(items: list[Any]) -> Any:
        json.dumps(items, ensure_ascii=False, default=str).encode()
        return "|".join(words) if outputs(items) or not args else [(CALL, "use", args)]

    agent = agents.Agent(name="a", model=Scripted(say), tools=[use])

    async def writer(run: RunContext) -> None:
        await openai_agents.run(run, agent, run_config=agents.RunConfig(tracing_disabled=True))

    return writer


FRAMEWORKS = [converse, with_pydantic_ai, with_langgraph, with_openai_agents]


async def ran(house: House, *writers: Any) -> list[tuple[str, Any]]:
    """Run each in a session of its own; ids of the runs, and the sessions' views."""
    worker = await house.worker()
    worker.blobs = EmbeddedBlobs(house.hub, full_access("t", "agent:worker", ("*",)))

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        await writers[int(run.input.text)](run)

    house.serve(worker)
    person = await house.client("user:ann")
    results = []
    for number in range(len(writers)):
        session = await person.create(f"s{number}", agent="writer")
        run = await session.send(str(number), attempts=1)
        await run.finished()
        results.append((run.id, await session.state()))
    return results


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_whatever_a_tool_returned_the_run_goes_on(house: House, framework: Any) -> None:
    acted: list[str] = []

    def acting(what: str, make: Callable[[], Any]) -> Tool:
        def act(of: str) -> Any:
            acted.append(what)
            return make()

        return act

    writers = [framework(acting(what, make), '{"of": "tea"}', ["Done."]) for what, make in ODD]
    for (what, _), (run, view) in zip(ODD, await ran(house, *writers), strict=True):
        assert view.runs[run]["status"] == "completed", (what, view.runs[run])
        assert answers(view, run) == ["Done."], what
        (call,) = items(view, "tool")
        assert call["status"] == "done" and (call.get("result") or call.get("error")), what
    assert acted == [what for what, _ in ODD]


HIGH, LOW = "\ud83c", "\udf0a"


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_halves_in_words_and_arguments(house: House, framework: Any) -> None:
    received: list[str] = []

    def note(of: str) -> str:
        received.append(of)
        return "noted"

    texts = [["sea " + HIGH, LOW + " end"], ["sea " + HIGH, " end"], ["sea " + HIGH]]
    arguments = [f'{{"of": "{HIGH}{LOW}"}}', f'{{"of": "{HIGH} x"}}', '{"of": "\\ud83c\\udf0a"}', '{"of": "\\ud83c x"}']
    writers = [framework(note, "", words) for words in texts]
    writers += [framework(note, args, ["Done " + HIGH, LOW]) for args in arguments]
    results = await ran(house, *writers)
    assert [view.runs[run]["status"] for run, view in results] == ["completed"] * len(results), [
        v.runs[r] for r, v in results
    ]
    expected = ["sea 🌊 end", "sea \ufffd end", "sea \ufffd", *["Done 🌊"] * len(arguments)]
    assert [answers(view, run) for run, view in results] == [[text] for text in expected]
    assert [of.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for of in received] == [
        "🌊", "\ufffd x", "🌊", "\ufffd x"
    ]  # fmt: skip
    shown = [items(view, "tool")[0]["args"] for _, view in results[len(texts) :]]
    assert [json.loads(args)["of"] for args in shown[:3]] == ["🌊", "\ufffd x", "🌊"]
    assert not [1 for _, view in results for call in items(view, "tool") if call["status"] != "done"]


PIECES = ["sea " + HIGH, LOW + " end " + HIGH, " " + LOW]
SAYS = {
    "chat": [
        *(chunk({"reasoning": piece}) for piece in PIECES), *(chunk({"content": piece}) for piece in PIECES),
        chunk({"tool_calls": [{"index": 0, "id": "c" + HIGH, "function": {"name": "n" + HIGH, "arguments": '{"a": "' + HIGH}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": LOW + '"}'}}]}), chunk({}, "stop"),
    ],
    "messages": messages(
        ({"type": "thinking", "thinking": ""}, [{"type": "thinking_delta", "thinking": piece} for piece in PIECES]),
        text(cites("https://a.example/" + HIGH, HIGH), *PIECES),
        ({"type": "tool_use", "id": "c" + HIGH, "name": "n" + HIGH, "input": {}},
         [{"type": "input_json_delta", "partial_json": piece} for piece in ('{"a": "' + HIGH, LOW + '"}')]),
    ),
    "responses": [
        *item(0, {"type": "reasoning", "id": "r", "summary": []},
              *({"type": "response.reasoning_summary_text.delta", "summary_index": 0, "delta": piece} for piece in PIECES)),
        *item(1, {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "".join(PIECES)}]},
              *({"type": "response.output_text.delta", "content_index": 0, "delta": piece} for piece in PIECES)),
        *item(2, {"type": "function_call", "call_id": "c" + HIGH, "name": "n" + HIGH, "arguments": '{"a": "' + HIGH + LOW + '"}'},
              *({"type": "response.function_call_arguments.delta", "delta": piece} for piece in ('{"a": "' + HIGH, LOW + '"}'))),
        OVER,
    ],
}  # fmt: skip


@pytest.mark.parametrize("api", SAYS)
async def test_halves_in_a_providers_stream(house: House, api: str) -> None:
    view, answer = await relayed(house, api, SAYS[api])
    whole = "sea 🌊 end \ufffd \ufffd"
    assert sorted(said(view)) == [("message", whole), ("reasoning", whole), ("tool", "n\ufffd")]
    assert items(view, "tool")[0]["args"] == '{"a": "🌊"}'
    assert (answer.text, answer.reasoning, answer.calls[0].arguments) == (whole, whole, {"a": "🌊"})
    msgspec.json.encode(answer)


@pytest.mark.parametrize("framework", [with_pydantic_ai, with_langgraph, with_openai_agents])
@pytest.mark.parametrize("ident", ["call " + "x" * 2_000, "ü1", "c" * 190])
async def test_an_id_of_any_length_and_kind(
    house: House, framework: Any, ident: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some servers hide whole thoughts in the ids of calls."""
    monkeypatch.setitem(globals(), "CALL", ident)
    ((run, view),) = await ran(house, framework(lambda of: of, '{"of": "tea"}', ["Done."]))
    assert view.runs[run]["status"] == "completed", view.runs[run]
    (call,) = items(view, "tool")
    assert (call["status"], call["result"], len(call["id"]) <= 200) == ("done", "tea", True)
