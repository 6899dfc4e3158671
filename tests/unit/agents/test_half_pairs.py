"""Halves of surrogate pairs, wherever an agent's text enters: those that meet are joined, a lone one becomes U+FFFD."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from holdfast.agents.errors import ToolDenied
from holdfast.agents.run import RunContext
from holdfast.protocol.fold import View
from tests.unit.agents.conftest import House, items, seen

pytestmark = pytest.mark.anyio

HIGH, LOW = "\ud83c", "\udf0a"  # of 🌊
FILE = "caf\udce9.txt"  # a file name that is not UTF-8, as ``os.listdir`` gives it
SHOWN = "caf\ufffd.txt"


async def written(house: House, agent: Any) -> View:
    worker, session = await house.worker(), await house.session()
    worker.add_agent("writer", agent)
    house.serve(worker)
    run = await session.send("hi")
    over = await run.finished()
    assert over["status"] == "completed", over
    return await session.state()


@pytest.mark.parametrize(
    ("writes", "shown"),
    [
        (["sea " + HIGH, LOW + " end"], "sea 🌊 end"),
        (["sea " + HIGH + LOW + " end"], "sea 🌊 end"),
        (["sea " + HIGH + " end"], "sea \ufffd end"),
        (["sea " + HIGH, " end"], "sea \ufffd end"),
        (["sea " + HIGH], "sea \ufffd"),
        ([HIGH, "", LOW], "🌊"),
        ([HIGH, HIGH, LOW], "\ufffd🌊"),
        ([LOW, HIGH], "\ufffd\ufffd"),
        (["a" + LOW + "b"], "a\ufffdb"),
        (["🌊" + HIGH, LOW + "🌊"], "🌊🌊🌊"),
    ],
)
@pytest.mark.parametrize("kind", ["message", "reasoning"])
async def test_texts(house: House, kind: str, writes: list[str], shown: str) -> None:
    async def write(run: RunContext) -> None:
        async with run.message() if kind == "message" else run.reasoning() as out:
            for text in writes:
                await out.write(text)

    view = await written(house, write)
    assert [i["text"] for i in items(view, kind) if "run" in i] == [shown]


async def test_two_texts_at_a_time_keep_their_own_halves(house: House) -> None:
    async def write(run: RunContext) -> None:
        async with run.message() as one, run.message() as two, run.reasoning() as three:
            for out in (one, two, three):
                await out.write(HIGH)
                await run.flush()
            await two.write("x")
            await one.write(LOW)
            await three.write(LOW)

    view = await written(house, write)
    assert [i["text"] for i in items(view, "message") if "run" in i] == ["🌊", "\ufffdx"]
    assert [i["text"] for i in items(view, "reasoning")] == ["🌊"]


async def test_a_text_that_a_failure_cuts_ends_in_what_it_had(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "holdfast.agents")  # half a pair is more than the runner of the tests can carry
    worker, session = await house.worker(), await house.session()

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        async with run.message() as out:
            await out.write("sea " + HIGH)
            raise OSError(FILE)

    house.serve(worker)
    run = await session.send("hi", attempts=1)
    over = await run.finished()
    assert over["error"] == {"code": "agent.failed", "message": f"OSError: {SHOWN}"}
    texts = [(i["text"], i["status"]) for i in items(await session.state(), "message") if "run" in i]
    assert texts == [("sea \ufffd", "cut")]


async def test_arguments_that_a_model_writes(house: House) -> None:
    async def write(run: RunContext) -> None:
        await run.tools.announce("c1", "mail")
        for piece in ('{"to": "', HIGH, LOW, '", "cc": "' + HIGH, '"}'):
            await run.tools.append_args("c1", piece)
        await run.tool("mail", {"to": HIGH + LOW, "cc": HIGH}, lambda to, cc: [to, cc], call_id="c1")
        await run.tools.announce("c2", "cut")
        await run.tools.append_args("c2", HIGH)
        await run.tools.record_result("c2", "cut", {}, "denied")

    view = await written(house, write)
    one, two = items(view, "tool")
    assert (one["args"], one["result"]) == ('{"to": "🌊", "cc": "\ufffd"}', '["🌊","\ufffd"]')
    assert (two["args"], two["result"]) == ("\ufffd", "denied")


async def test_calls_with_what_the_file_system_gives(house: House) -> None:
    seen_args: list[Any] = []

    async def write(run: RunContext) -> None:
        def read(name: str, **more: Any) -> Any:
            seen_args.append(name)
            return {FILE: [FILE], "n": 1}

        await run.tool("read " + FILE, {"name": FILE, FILE: (FILE, 1)}, read)
        await run.tool("words", {}, lambda: FILE)

        def broken() -> None:
            raise FileNotFoundError(2, "no such file", FILE)

        with pytest.raises(FileNotFoundError):
            await run.tool("broken", {}, broken)

    view = await written(house, write)
    read, words, broken = items(view, "tool")
    assert seen_args == [SHOWN]
    assert (read["name"], read["args"]) == (f"read {SHOWN}", f'{{"name":"{SHOWN}","{SHOWN}":["{SHOWN}",1]}}')
    assert read["result"] == f'{{"{SHOWN}":["{SHOWN}"],"n":1}}'
    assert words["result"] == SHOWN
    assert SHOWN in broken["error"]["message"] or "\\udce9" in broken["error"]["message"]


async def test_everything_else_an_agent_says(house: House) -> None:
    async def write(run: RunContext) -> None:
        async with run.step("step " + FILE):
            activity = await run.activity("files " + FILE, {FILE: [FILE]})
            await activity.patch([{"op": "add", "path": "/more", "value": FILE}])
        await run.session.rename("title " + FILE)
        await run.state.set({"file": FILE})
        await run.state.patch([{"op": "add", "path": "/other", "value": HIGH + LOW}])
        await run.usage("model " + FILE, note=FILE)
        await run.emit("CUSTOM", {"name": "x", "value": {"deep": [{FILE: FILE}]}})
        async with run.message(name="n" + FILE) as out:
            await out.write("x")
            await out.source("file:///" + FILE, title=FILE, quote=FILE)
        async with run.sub("helper " + FILE, input={"text": FILE}) as child:
            await child.say(FILE)

    view = await written(house, write)
    assert [i["name"] for i in items(view, "step")] == [f"step {SHOWN}"]
    (activity,) = items(view, "activity")
    assert (activity["name"], activity["content"]) == (f"files {SHOWN}", {SHOWN: [SHOWN], "more": SHOWN})
    assert view.title == f"title {SHOWN}"
    assert view.state == {"file": SHOWN, "other": "🌊"}
    messages = [i for i in items(view, "message") if "run" in i]
    assert messages[0]["name"] == "n" + SHOWN
    assert messages[0]["sources"] == [
        {"sourceId": f"file:///{SHOWN}", "uri": f"file:///{SHOWN}", "title": SHOWN, "quote": SHOWN}
    ]
    assert (messages[1]["text"], messages[1]["actor"]) == (SHOWN, f"agent:writer/helper {SHOWN}")


async def test_what_people_are_asked_is_what_is_done(house: House) -> None:
    worker, session = await house.worker(), await house.session()
    deleted: list[str] = []

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        await run.gated_tool("delete", {"file": FILE}, lambda file: deleted.append(file))
        with pytest.raises(ToolDenied):
            await run.gated_tool("delete", {"file": HIGH + LOW}, lambda file: deleted.append(file))

    house.serve(worker)
    run = await session.send("hi")
    view = await seen(session, lambda v: [i for i in items(v, "approval") if i["status"] == "pending"])
    (first,) = items(view, "approval")
    assert first["args"] == {"file": SHOWN}
    await session.approve(first["id"], hash=first["hash"])
    view = await seen(session, lambda v: [i for i in items(v, "approval") if i["status"] == "pending"])
    assert items(view, "approval")[1]["args"] == {"file": "🌊"}
    await session.deny(items(view, "approval")[1]["id"])
    assert (await run.finished())["status"] == "completed"
    assert deleted == [SHOWN]
