"""Unmodified AG-UI clients against a real server: what they hold in the end is what the log says."""

from __future__ import annotations

import pytest

from tests.acceptance.cutting import Cut, CuttingProxy
from tests.dialects.ag_ui.conftest import Agents, Site, Start
from tests.dialects.ag_ui.holding import assert_same, view_of

pytestmark = [pytest.mark.anyio, pytest.mark.process]
VERSIONS = ["1.0", "0.0.59"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_run_to_its_end(site: Site, agents: Agents, node: Start, version: str) -> None:
    agents.gate.set()
    client = await node("t1", version)
    client.do("say", id="u1", text="When?")
    client.do("run")
    done = await client.done()
    await assert_same(site, "t1", done, client)
    assert [m["role"] for m in done["messages"]] == ["user", "reasoning", "assistant", "tool", "assistant"]
    assert done["messages"][-1]["content"] == "The tide 🌊 rises at six o'clock."
    assert done["state"] == {"topic": "When?", "stage": 2}
    assert client.types()[0] == "RUN_STARTED"
    assert client.types()[-1] == "RUN_FINISHED"
    assert "STEP_STARTED" in client.types()
    assert "CUSTOM" in client.types()


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_client_that_goes_away_and_comes_back(site: Site, agents: Agents, node: Start, version: str) -> None:
    client = await node("t2", version)
    client.do("say", id="u1", text="When?")
    client.do("run")
    await client.until_event("TEXT_MESSAGE_CONTENT")
    client.do("abort")
    cut = await client.done()
    assert not cut["messages"][-1]["content"].endswith("o'clock.")
    client.do("connect")
    await client.until_event("MESSAGES_SNAPSHOT")
    agents.gate.set()
    done = await client.done()
    await assert_same(site, "t2", done, client)
    assert agents.calls == 1


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_line_that_is_cut(site: Site, agents: Agents, node: Start, version: str) -> None:
    """The connection breaks in the middle of an answer, wherever that is: the run goes on and is joined again."""
    proxy = CuttingProxy(site.port)
    async with proxy.running():
        client = await node("cut", version)
        client.do("through", base=f"{proxy.url}/v1/ag-ui/agent/writer")
        client.do("say", id="u1", text="When?")
        for size in (500, 700, 850, 1_000, 1_150):
            proxy.plan.append(Cut(bytes_=size))
            client.do("run")
            await client.done()
        told = [sum(counts[True]) for counts in proxy.carried]
        agents.gate.set()
        client.do("run")
        done = await client.done()
    assert len(told) >= 5
    await assert_same(site, "cut", {**done, "error": None}, client)
    assert len((await view_of(site, "cut"))["runs"]) == 1


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_page_that_is_reloaded(site: Site, agents: Agents, node: Start, version: str) -> None:
    client = await node("t3", version)
    client.do("say", id="u1", text="When?")
    client.do("run")
    await client.until_text("rises at ")
    client.do("abort")
    await client.done()
    client.do("reload")
    client.do("connect")
    await client.until_event("TEXT_MESSAGE_START")
    agents.gate.set()
    await assert_same(site, "t3", await client.done(), client)
    client.do("reload")
    client.do("connect")
    done = await client.done()
    await assert_same(site, "t3", done, client)
    assert client.types()[-4:] == ["RUN_STARTED", "MESSAGES_SNAPSHOT", "STATE_SNAPSHOT", "RUN_FINISHED"]
    client.do("connect")  # again, with everything there already
    assert (await client.done())["messages"] == done["messages"]


async def test_a_second_client_joins_and_speaks(site: Site, agents: Agents, node: Start) -> None:
    ann, bo = await node("t4"), await node("t4", "0.0.59", subject="user:bo")
    ann.do("say", id="u1", text="When?")
    ann.do("run")
    await ann.until_text("rises at ")
    bo.do("connect")
    joined = await bo.until_event("MESSAGES_SNAPSHOT")
    assert joined["messages"][-1]["content"] == "", "what is open is told after its START, from its beginning"
    await bo.until_text("The tide 🌊 rises at ")
    async with site.http(site.token("user:cy")) as http:
        said = await http.post("/v1/sessions/t4/messages", json={"text": "I listen too.", "silent": True})
        assert said.status_code == 201
    for client in (ann, bo):
        await client.until_text("I listen too.")
    agents.gate.set()
    for client in (ann, bo):
        await assert_same(site, "t4", await client.done(), client)


@pytest.mark.parametrize("version", VERSIONS)
async def test_stop(site: Site, agents: Agents, node: Start, version: str) -> None:
    client = await node("t5", version)
    client.do("say", id="u1", text="When?")
    client.do("run", parameters={"runId": "mine"})
    await client.until_text("rises at ")
    async with site.http(site.token()) as http:
        stopped = await http.post("/v1/ag-ui/agent/writer/stop/t5", json={"runId": "mine"})
        assert stopped.json()["stopped"] is True
        done = await client.done()
        assert (await http.post("/v1/ag-ui/agent/writer/stop/t5")).json() == {"stopped": False, "runs": []}
    await assert_same(site, "t5", done, client)
    assert done["messages"][-1]["content"] == "The tide 🌊 rises at "
    if version == "1.0":
        assert client.events[-1]["outcome"] == {"type": "cancelled"}
    else:
        assert (client.events[-1]["type"], client.events[-1]["code"]) == ("RUN_ERROR", "run.cancelled")
    agents.gate.set()
    client.do("say", id="u2", text="Once more.")
    client.do("run")
    await assert_same(site, "t5", await client.done(), client)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("approved", [True, False])
async def test_an_approval_is_an_interrupt(
    site: Site, agents: Agents, node: Start, version: str, approved: bool
) -> None:
    client = await node("t6", version, agent="clerk")
    client.do("say", id="u1", text="Mail it.")
    client.do("run")
    waits = await client.done()
    await assert_same(site, "t6", waits, client)
    [interrupt] = waits["interrupts"]
    assert interrupt["metadata"]["holdfast"]["tool"] == "mail"
    assert interrupt["metadata"]["holdfast"]["args"] == {"to": "bo@example.com"}
    other = await node("t6", version, agent="clerk")  # it is not lost on another device
    other.do("connect")
    assert (await other.done())["interrupts"] == [interrupt]
    payload = {"approved": approved, "note": "not today"}
    answer = {"interruptId": interrupt["id"], "status": "resolved", "payload": payload}
    client.do("run", parameters={"resume": [answer]})
    done = await client.done()
    await assert_same(site, "t6", done, client)
    assert done["messages"][-1]["content"] == ("Mailed." if approved else "Not mailed: not today")
    assert done["interrupts"] == []
    late = {"interruptId": interrupt["id"], "status": "cancelled"}
    other.do("run", parameters={"resume": [late]})  # the first decision stands, and the loser sees it
    await assert_same(site, "t6", await other.done(), other)


@pytest.mark.parametrize("version", VERSIONS)
async def test_three_sub_agents(site: Site, agents: Agents, node: Start, version: str) -> None:
    client, late = await node("t7", version, agent="team"), await node("t7", version, agent="team")
    client.do("say", id="u1", text="Report.")
    client.do("run")
    for name in ("north", "south", "west"):
        await client.until_text(f"{name} begins, ")
    late.do("connect")
    await late.until_event("MESSAGES_SNAPSHOT")
    agents.gate.set()
    done, joined = await client.done(), await late.done()
    for one, node_ in ((done, client), (joined, late)):
        await assert_same(site, "t7", one, node_)
        said = {m["name"]: m for m in one["messages"] if m.get("name")}
        assert {name: m["content"] for name, m in said.items()} == {
            name: f"{name} begins, {name} ends." for name in ("north", "south", "west")
        }
        assert len({m["subagentRunId"] for m in said.values()}) == 3
    for one in (client, late):
        assert {e["name"] for e in one.events if e["type"] == "SUBAGENT_STARTED"} == {"north", "south", "west"}
        assert one.types().count("SUBAGENT_FINISHED") == 3


async def test_a_sub_agent_that_asks(site: Site, agents: Agents, node: Start) -> None:
    client = await node("t16", agent="buyer")
    client.do("say", id="u1", text="Fish?")
    client.do("run")
    [interrupt] = (await client.done())["interrupts"]
    started = [event for event in client.events if event["type"] == "SUBAGENT_STARTED"]
    finished = [event for event in client.events if event["type"] == "SUBAGENT_FINISHED"]
    assert interrupt["subagentRunId"] == started[0]["subagentRunId"] == finished[0]["subagentRunId"]
    assert finished[0]["outcome"] == {"type": "suspended", "interruptIds": [interrupt["id"]]}
    # an answer with something new to say: both are done
    client.do("say", id="u2", text="And bread?")
    client.do("run", parameters={"resume": [{"interruptId": interrupt["id"], "status": "resolved", "payload": True}]})
    [second] = (await client.done())["interrupts"]
    assert second["id"] != interrupt["id"]
    client.do("run", parameters={"resume": [{"interruptId": second["id"], "status": "cancelled"}]})
    done = await client.done()
    await assert_same(site, "t16", done, client)
    assert [m["content"] for m in done["messages"]] == ["Fish?", "And bread?", "Bought.", "Left."] or [
        m["content"] for m in done["messages"]
    ] == ["Fish?", "Bought.", "And bread?", "Left."]


async def test_a_token_that_expires(site: Site, agents: Agents, node: Start) -> None:
    """The client is told that the run goes on, and joins it with another token."""
    client = await node("t17", ttl_s=3)
    client.do("say", id="u1", text="When?")
    client.do("run")
    await client.done()
    assert (client.events[-1]["type"], client.events[-1]["code"]) == ("RUN_ERROR", "connection.lost")
    agents.gate.set()
    again = await node("t17")
    again.do("connect")
    await assert_same(site, "t17", await again.done(), again)


async def test_a_session_that_is_deleted(site: Site, agents: Agents, node: Start) -> None:
    client = await node("t18")
    client.do("say", id="u1", text="When?")
    client.do("run")
    await client.until_text("rises at ")
    async with site.http(site.token(capabilities={"*": ["admin", "read"]})) as http:
        assert (await http.delete("/v1/sessions/t18")).status_code == 200
    await client.done()
    assert (client.events[-1]["type"], client.events[-1]["code"]) == ("RUN_ERROR", "session.deleted")


async def test_a_client_without_sub_agents_is_told_in_custom(site: Site, agents: Agents, node: Start) -> None:
    agents.gate.set()
    async with site.http(site.token()) as http:
        body = {"threadId": "t8", "runId": "a", "messages": [{"id": "u1", "role": "user", "content": "Report."}]}
        text = (await http.post("/v1/ag-ui/agent/team/run?version=0.0.57", json=body)).text
    assert "SUBAGENT_STARTED" in text
    assert '"type":"SUBAGENT' not in text
    assert "subagentRunId" not in text.replace('"value":{"subagentRunId"', "")


async def test_a_failure(site: Site, agents: Agents, node: Start) -> None:
    client = await node("t9", agent="failing")
    client.do("say", id="u1", text="Draw.")
    client.do("run")
    done = await client.done()
    await assert_same(site, "t9", done, client)
    assert client.events[-1]["type"] == "RUN_ERROR"
    assert client.events[-1]["code"] == "agent.failed"
    assert "the well is dry" in client.events[-1]["message"]
