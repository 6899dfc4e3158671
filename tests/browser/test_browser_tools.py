"""Tools in tabs of a real browser: of all that have a tool one runs it, and its answer is the agent's (CTL-6)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

import holdfast
from holdfast.client.session import Session
from holdfast.edge.config import Settings
from holdfast.engines.memory import MemoryEngine
from holdfast.hub.hub import Hub
from holdfast.protocol.browser_tools import CLAIM
from tests.browser.chromium import Chromium, Tab
from tests.browser.test_page import WEB, bundled
from tests.unit.edge.conftest import Site, serving

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.process]

SERVE = """
(async ({ token, name, hangs }) => {
  const hf = look.connect("", { token });
  const session = hf.session("s1");
  window.ran = [];
  window.live = session;
  look.serveTools(hf, session, { pick: ({ n }, { id }) => {
    ran.push(id);
    return hangs && n === "hang" ? new Promise(() => {}) : { by: name, n };
  } });
  await session.state();
})
"""
Open = Callable[..., Awaitable[Tab]]


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A server with its pages."""
    async with serving(Hub(MemoryEngine()), Settings(db="memory:", port=0, drain_s=1), pages=True) as site:
        yield site


@pytest.fixture
async def session(site: Site) -> AsyncIterator[Session]:
    """One whose agent calls the tool once for each word of its input, and says what came of each."""
    async with holdfast.connect(site.url, token=site.token("agent:crew", agents=["*"])) as hf:

        @hf.agent("librarian")
        async def librarian(run: holdfast.RunContext) -> None:
            for word in run.input.text.split():
                picked = await run.browser_tool("pick", {"n": word}, claim_s=3.0)  # longer than a tab takes to open
                await run.say(json.dumps(picked))

        serving = asyncio.create_task(hf.serve())
        async with holdfast.connect(site.url, token=site.token()) as ann:
            yield await ann.create("s1", agent="librarian")
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


@pytest.fixture
async def tab(site: Site, session: Session, browser: Chromium) -> AsyncIterator[Open]:
    """``await tab("left")`` opens one that serves the tool."""
    script = bundled(WEB / "packages/client/src/index.ts")
    opened: list[Tab] = []

    async def open_(name: str, *, hangs: bool = False) -> Tab:
        page = await browser.tab(f"{site.url}/openapi.json")
        opened.append(page)
        await page.run(script)
        about = {"token": site.token(), "name": name, "hangs": hangs}
        await page.run(f"{SERVE}({json.dumps(about)})")
        return page

    yield open_
    for page in opened:
        with contextlib.suppress(RuntimeError):  # a test has closed it
            await page.close()


async def said(session: Session) -> list[Any]:
    return [json.loads(i["text"]) for i in (await session.state()).items if i["kind"] == "message" and "run" in i]


async def claims(session: Session) -> list[tuple[str, int]]:
    """Each time a call was offered, as it was: the call's argument and the try."""
    items = [i for i in (await session.state()).items if i["kind"] == "approval" and i["tool"] == CLAIM]
    return [(item["args"]["args"]["n"], item["args"]["try"]) for item in items]


async def test_of_two_tabs_one_runs_each_call(session: Session, tab: Open) -> None:
    tabs = {"left": await tab("left"), "right": await tab("right")}
    run = await session.send("1 2 3 4 5 6")
    assert (await run.finished())["status"] == "completed"
    answers = await said(session)
    assert [answer["n"] for answer in answers] == list("123456")
    ran = {name: await page.run("ran") for name, page in tabs.items()}
    assert len(set(ran["left"]) | set(ran["right"])) == len(ran["left"]) + len(ran["right"]) == 6
    by = [answer["by"] for answer in answers]
    assert {name: by.count(name) for name in tabs} == {name: len(calls) for name, calls in ran.items()}
    assert await claims(session) == [(n, 1) for n in "123456"]
    assert [page.errors for page in tabs.values()] == [[], []]


async def test_a_tab_that_is_closed_loses_the_call_to_another(session: Session, tab: Open) -> None:
    first = await tab("first", hangs=True)
    run = await session.send("hang 2")
    await first.until("ran.length === 1")
    second = await tab("second")
    await first.close()
    assert (await run.finished())["status"] == "completed"
    assert await said(session) == [{"by": "second", "n": "hang"}, {"by": "second", "n": "2"}]
    assert await second.run("ran.length") == 2
    assert await claims(session) == [("hang", 1), ("hang", 2), ("2", 1)]
    assert second.errors == []


async def test_operators_see_a_line_and_nothing_to_decide(
    site: Site, session: Session, browser: Chromium, tab: Open
) -> None:
    run = await session.send("1")
    console = await browser.tab(f"{site.url}/console/#t={site.token()}")
    await console.until("document.querySelector('a.line .state')?.dataset.status === 'running'")
    await console.run("location.hash = '#/session/s1'")
    line = await console.until("document.querySelector('.beside .in-browser')?.innerText")
    assert line == "librarian waits for a tab that has pick"
    assert await console.run("document.querySelectorAll('.beside .approval').length") == 0
    words = await console.until("[...document.querySelectorAll('.item .words')].at(-1)?.innerText")
    assert words == "who runs pick?"
    await tab("one")
    await run.finished()
    await console.until("document.querySelector('.beside .in-browser') === null")
    assert console.errors == []
    await console.close()
