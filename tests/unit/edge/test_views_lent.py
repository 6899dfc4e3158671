"""Who reads in the process looks at the hub's own view (``Hub.view``), and leaves it as it was."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast.agents.holdfast import Holdfast
from holdfast.agents.run import RunContext
from holdfast.client.client import Client
from holdfast.edge import charges
from holdfast.edge.dialects.openai_responses.ids import Ref
from holdfast.engines.port import Key
from holdfast.hub.hot import HotSession
from holdfast.hub.hub import Hub
from holdfast.protocol.codec import encode
from holdfast.protocol.fold import View
from holdfast.session.access import full_access
from tests.dialects.lent_views import LentViews

from .conftest import Site

pytestmark = pytest.mark.anyio


async def writer(run: RunContext) -> None:
    """Shows one of everything, a state when asked for one; asked about the future it waits for a person."""
    async with run.reasoning() as thought:
        await thought.write("The tide, then.")
    async with run.step("look up"):
        await run.tool("tide_table", {"port": "Bergen"}, _table)
    has_state = "state" in run.input.text
    if has_state:
        await run.emit("STATE_SNAPSHOT", {"snapshot": {"topic": run.input.text, "stage": {"number": 1}}})
    await run.emit("ACTIVITY_SNAPSHOT", {"messageId": "a1", "activityType": "plan", "content": {"steps": [1]}})
    await run.say("It rises at six.")
    if has_state:
        await run.emit("STATE_DELTA", {"delta": [{"op": "replace", "path": "/stage/number", "value": 2}]})
    if "tomorrow" in run.input.text:
        async with run.message() as out:
            await out.write("Unfinished, ")
            await run.flush()
            await run.approve("mail", {"to": "bo"})


async def _table(port: str) -> dict[str, int]:
    return {"high": 6}


class Talk:
    """A session with an answer that is whole and one that waits, and every way there is to read it."""

    def __init__(self, site: Site, hot: HotSession, run: str) -> None:
        self.hot = hot
        self._http = site.http(site.token())
        session, self.run = hot.key.session, run
        response = Ref.of_run(session, hot.incarnation, run).id
        rest, chat, agui = f"/v1/sessions/{session}", f"writer/{session}", "/v1/ag-ui/agent"
        joins = {"threadId": session, "runId": "join", "messages": []}
        self.reads: list[tuple[str, str, dict[str, Any]]] = [
            *(("GET", f"{rest}{path}", {}) for path in ("", "/runs", f"/runs/{run}", "/approvals", "/approvals?status=pending")),
            *(("GET", f"/v1/ai-sdk/v{version}/{chat}", {}) for version in (5, 6, 7)),
            *(("GET", f"/v1/ai-sdk/v{version}/{chat}/stream", {}) for version in (6, 7)),
            ("POST", f"{agui}/writer/connect", joins),
            ("POST", f"{agui}/nobody/stop/{session}", {}),
            ("GET", f"/v1/responses/{response}", {}),
            ("GET", f"/v1/responses/{response}/input_items", {}),
        ]  # fmt: skip

    async def read(self, method: str, path: str, body: dict[str, Any]) -> bytes:
        """What one way of reading gives, up to where the answer waits for somebody."""
        async with asyncio.timeout(10):
            answer = await self._http.request(method, path, json=body or None)
        assert answer.status_code == 200, (path, answer.text)
        return answer.content

    async def close(self) -> None:
        await self._http.aclose()


@pytest.fixture(params=["with a state", "with a state, later", "with nothing"])
async def talk(site: Site, request: pytest.FixtureRequest) -> Any:
    async with (
        Holdfast(site.url, site.token("agent:worker", agents=["*"])) as worker,
        Client(site.url, site.token()) as ann,
    ):
        worker.add_agent("writer", writer)
        serving = asyncio.create_task(worker.serve())
        session = await ann.create("talk", agent="writer")
        first = await session.send(f"When? Answer {request.param.replace('a state, later', 'nothing')}.")
        await first.finished()
        await session.send(f"And tomorrow? Answer {request.param}.")
        hot = site.hub.sessions[Key("acme", "talk")]
        async with asyncio.timeout(10), session.live() as live:
            while not any(i["kind"] == "approval" for i in live.view.items):
                await asyncio.sleep(0.01)
        await hot.wait_until_idle()
        talk = Talk(site, hot, first.id)
        yield talk
        await talk.close()
        serving.cancel()


def encoded(hot: HotSession) -> bytes:
    return encode(hot.view.export())


async def test_no_way_of_reading_changes_the_view(talk: Talk) -> None:
    before, seq = encoded(talk.hot), talk.hot.tail
    for read in talk.reads:
        await talk.read(*read)
        assert talk.hot.tail == seq, f"{read} wrote something"
        assert encoded(talk.hot) == before, f"{read} changed the view"


async def test_no_way_of_reading_keeps_a_part_of_it(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    """They say the same of a view that is emptied as soon as they wait for the log."""
    answers = [await talk.read(*read) for read in talk.reads]
    lent, read_log = LentViews(), Hub.read

    async def read_later(*args: Any) -> Any:  # this engine would answer at once; one on a disk does not
        await asyncio.sleep(0)
        return await read_log(*args)

    monkeypatch.setattr(Hub, "view", lambda *args: lent.view(*args))
    monkeypatch.setattr(Hub, "read", read_later)
    for read, answer in zip(talk.reads, answers, strict=True):
        assert await talk.read(*read) == answer, read
    assert lent.count >= 11 and lent.changed == []


async def test_it_is_the_view_that_readers_are_given(site: Site, talk: Talk) -> None:
    """With the texts that still grow as far as they have come."""
    ann = full_access("acme", "user:ann")
    incarnation, seq, view = await site.hub.view(ann, "talk")
    assert view is talk.hot.view
    assert any(i.get("text") == "Unfinished, " and i["status"] == "open" for i in view.items)
    assert (incarnation, seq, encode(view.export())) == await site.hub.snapshot(ann, "talk")


async def test_a_look_at_it_is_charged_by_its_items_and_what_is_sent(site: Site, talk: Talk) -> None:
    spent: list[int] = []
    spend = site.edge.listener.charges.spend
    site.edge.listener.charges.spend = lambda account, work: (spent.append(work), spend(account, work))[1]  # type: ignore[method-assign]
    body = await talk.read("GET", "/v1/sessions/talk/runs", {})
    assert spent[-2:] == [len(talk.hot.view.items) * charges.VIEW_ITEM_WORK, len(body) // charges.SENT_TIMES]


async def test_whoever_changes_or_keeps_it_is_found(site: Site, talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check on lent views itself."""
    lent, ann = LentViews(), full_access("acme", "user:ann")
    monkeypatch.setattr(Hub, "view", lambda *args: lent.view(*args))
    _, _, view = await site.hub.view(ann, "talk")
    kept: dict[str, Any] = view.items[0]
    assert isinstance(view, View) and kept["kind"] == "message"
    await asyncio.sleep(0)
    assert (kept, view.items, view.runs, lent.changed) == ({}, [], {}, [])
    _, _, view = await site.hub.view(ann, "talk")
    view.items[0]["text"] = "something else"
    await asyncio.sleep(0)
    assert lent.changed == ["talk"]
