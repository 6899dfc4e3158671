"""assistant-ui and TanStack AI in a real browser, unmodified, as docs/howto has them: they talk, stop and come back."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import pytest

import holdfast
from holdfast.edge.config import Settings
from holdfast.engines.memory import MemoryEngine
from holdfast.hub.hub import Hub
from holdfast.protocol.view import ENDED
from tests.browser.chromium import Chromium, Tab
from tests.browser.frontends import needed, pages
from tests.unit.edge.conftest import Site, serving

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.process]

DURABLE = ("ai-sdk", "ag-ui", "tanstack-ai")
"""The pages whose session is the one in their address."""


class World:
    """A server, an agent that says the second half when it is let, and a site with the pages."""

    def __init__(self, site: Site, origin: str, hf: holdfast.Holdfast, person: holdfast.Client) -> None:
        self.site = site
        self.origin = origin
        self.hf = hf
        self.person = person
        self.let: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def writer(self, run: holdfast.RunContext) -> None:
        """Says two halves, the second when ``let`` of the words is set. Asked for a letter, it is a clerk."""
        if "letter" in run.input.text:
            return await self.clerk(run)
        async with run.message() as out:
            await out.write(f"To {run.input.text}: first half, ")
            await self.let[run.input.text].wait()
            await out.write("second half.")
        return None

    async def clerk(self, run: holdfast.RunContext) -> None:
        """Mails when it may."""
        approval = await run.approve("send_mail", {"to": "bo"}, wait=True)
        await run.say("Sent." if approval else "Not sent.")

    async def ended(self, session: str) -> list[str]:
        """How the runs of a session ended, once none is left."""
        async with self.person.session(session).live() as live:
            view = await live.until(
                lambda now: bool(now.runs) and all(run["status"] in ENDED for run in now.runs.values())
            )
            return [run["status"] for run in view.runs.values()]


@pytest.fixture(scope="module")
async def world(anyio_backend: str) -> AsyncIterator[World]:
    needed()
    with pages() as site:
        settings = Settings(db="memory:", port=0, drain_s=1, origins=(site.url,))
        async with serving(Hub(MemoryEngine()), settings) as ours:
            await asyncio.to_thread(site.build, ["assistant-ui.md", "tanstack-ai.md"], ours.url)
            site.token = ours.token()
            async with (
                holdfast.connect(ours.url, token=ours.token("agent:crew", agents=["*"])) as hf,
                holdfast.connect(ours.url, token=site.token) as person,
            ):
                world = World(ours, site.url, hf, person)
                hf.add_agent("writer", world.writer)
                task = asyncio.create_task(hf.serve())
                yield world
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


async def ask(tab: Tab, words: str) -> None:
    """Type and send; returns when the first half is seen."""
    await tab.until("document.querySelector('.send') !== null")
    await tab.type("textarea", words)
    await tab.click(".send")
    await half(tab, words)


async def half(tab: Tab, words: str) -> None:
    """The first half is seen, on a page that shows that there is more to come."""
    await tab.until(
        f"[...document.querySelectorAll('.assistant')].at(-1)?.innerText.includes('To {words}: first half,')"
    )
    await tab.until("document.querySelector('.cancel') !== null")


async def session_of(tab: Tab) -> str:
    return str(await tab.until("location.hash.slice(1)"))


async def shown(tab: Tab) -> list[Any]:
    """Who said what, on a page at rest."""
    await tab.until("document.querySelector('.send') !== null && !document.querySelector('.cancel')")
    said = "[...document.querySelectorAll('.user, .assistant')].map((n) => [n.classList[0], n.innerText.trim()])"
    return list(await tab.run(said))


def conversation(*words: str) -> list[list[str]]:
    return [line for one in words for line in (["user", one], ["assistant", f"To {one}: first half, second half."])]


async def test_the_default_thread_id_is_a_session_and_cancel_stops_its_run(world: World, browser: Chromium) -> None:
    tab = await browser.tab(f"{world.origin}/default.html")
    await ask(tab, "default")
    session = await session_of(tab)
    assert session.startswith("__LOCALID_")
    await tab.click(".cancel")
    assert await world.ended(session) == ["cancelled"]
    await tab.until("!document.querySelector('.cancel')")
    world.let["default again"].set()
    await tab.type("textarea", "default again")
    await tab.click(".send")
    await tab.until("document.body.innerText.includes('To default again: first half, second half.')")
    assert await world.ended(session) == ["cancelled", "completed"]
    assert tab.errors == []
    await tab.close()


@pytest.mark.parametrize("page", DURABLE)
async def test_a_reload_shows_the_conversation_and_goes_on_with_the_running_answer(
    world: World, browser: Chromium, page: str
) -> None:
    one, two, three = (f"{page} {number}" for number in ("one", "two", "three"))
    tab = await browser.tab(f"{world.origin}/{page}.html")
    world.let[one].set()
    await tab.until("document.querySelector('.send') !== null")
    await tab.type("textarea", one)
    await tab.click(".send")
    await tab.until("document.body.innerText.includes('second half.')")
    assert await shown(tab) == conversation(one)
    await ask(tab, two)
    session = await session_of(tab)
    await tab.reload()
    await half(tab, two)
    world.let[two].set()
    await tab.until("document.body.innerText.split('second half.').length === 3")
    assert await shown(tab) == conversation(one, two)
    assert await world.ended(session) == ["completed", "completed"], "a page that goes stops nothing"
    await tab.reload()
    await tab.until("document.body.innerText.split('second half.').length === 3")
    assert await shown(tab) == conversation(one, two)
    world.let[three].set()
    await tab.type("textarea", three)
    await tab.click(".send")
    await tab.until("document.body.innerText.split('second half.').length === 4")
    assert await shown(tab) == conversation(one, two, three), "and the talk goes on"
    assert tab.errors == []
    await tab.close()


@pytest.mark.parametrize("page", DURABLE)
async def test_a_component_that_goes_away_stops_nothing(world: World, browser: Chromium, page: str) -> None:
    tab = await browser.tab(f"{world.origin}/{page}.html")
    await ask(tab, f"{page} left")
    session = await session_of(tab)
    await tab.run("root.unmount()")
    await tab.until("document.querySelector('#root').childElementCount === 0")
    world.let[f"{page} left"].set()
    assert await world.ended(session) == ["completed"]
    assert tab.errors == []
    await tab.close()


@pytest.mark.parametrize("page", DURABLE)
async def test_cancel_stops_the_run(world: World, browser: Chromium, page: str) -> None:
    tab = await browser.tab(f"{world.origin}/{page}.html")
    await ask(tab, f"{page} stopped")
    session = await session_of(tab)
    await tab.click(".cancel")
    assert await world.ended(session) == ["cancelled"]
    await tab.until("!document.querySelector('.cancel')")
    await tab.reload()
    await tab.until("document.body.innerText.includes('first half,')")
    assert await shown(tab) == [["user", f"{page} stopped"], ["assistant", f"To {page} stopped: first half,"]]
    assert tab.errors == []
    await tab.close()


@pytest.mark.parametrize("page", ["ai-sdk", "ag-ui"])
@pytest.mark.parametrize(("way", "says"), [("approve", "Sent."), ("deny", "Not sent.")])
async def test_approvals_are_answered_there_also_after_a_reload(
    world: World, browser: Chromium, page: str, way: str, says: str
) -> None:
    tab = await browser.tab(f"{world.origin}/{page}.html")
    await tab.until("document.querySelector('.send') !== null")
    await tab.type("textarea", f"a letter to {way}")
    await tab.click(".send")
    session = await session_of(tab)
    await tab.until("document.querySelector('.approve') !== null")
    if way == "deny":
        await tab.reload()
    await tab.click(f".{way}")
    await tab.until(f"document.querySelector('.assistant:last-of-type').innerText.includes('{says}')")
    assert await world.ended(session) == ["completed"]
    await tab.until("document.querySelector('.approve') === null")
    assert tab.errors == []
    await tab.close()
