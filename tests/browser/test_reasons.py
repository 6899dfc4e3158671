"""Pages say why: why somebody stopped a run, and which rule of the owner's policy asks for an approval."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from holdfast.agents.holdfast import Holdfast
from holdfast.agents.run import RunContext
from holdfast.client.client import Client
from holdfast.client.session import Session
from holdfast.edge.config import Settings
from holdfast.edge.pages import PAGES
from holdfast.engines.memory import MemoryEngine
from holdfast.errors import ApprovalNeeded
from holdfast.hub.hub import Hub
from holdfast.protocol import wire
from holdfast.session.access import Principal
from holdfast.session.policy import Allow, DefaultPolicy, Facts, RequireApproval, Verdict
from tests.browser.chromium import Chromium, Tab
from tests.unit.edge.conftest import Site, serving

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.process]

REASON = "it reads the wrong folder <b>" + "and goes on " * 20
WHY = "it names a price"


class _Owner(DefaultPolicy):
    """Sends with a price want an approval, and agents may say what silence means."""

    def judge(self, facts: Facts, principal: Principal, command: wire.Op) -> Verdict:
        if isinstance(command, wire.Send) and "$" in command.text:
            return RequireApproval("prices", WHY)
        return Allow()

    def may_ask(self, facts: Facts, ask: wire.Ask) -> Allow:
        return Allow("house-7")


@pytest.fixture
async def site(anyio_backend: str) -> AsyncIterator[Site]:
    if not (PAGES / "chat").is_dir():
        pytest.skip("the pages are not built: make web")
    hub = Hub(MemoryEngine(), policy=_Owner())
    async with serving(hub, Settings(db="memory:", port=0, drain_s=1), pages=True) as site:
        yield site


@pytest.fixture
async def session(site: Site) -> AsyncIterator[Session]:
    """A session of an agent that works, with a sub-agent, until it is stopped; asked first whether silence approves."""

    async def work(run: RunContext) -> None:
        if "ask" in run.input.text:
            await run.approve("mail", {"to": "bob"}, default="approved")
        async with run.sub("helper") as child:
            await child.say("looking")
            await asyncio.Event().wait()

    async with (
        Holdfast(site.url, token=site.token("agent:writer", agents=["*"])) as worker,
        Client(site.url, site.token("user:ann")) as ann,
    ):
        worker.add_agent("writer", work)
        serving = asyncio.create_task(worker.serve(signals=False))
        yield await ann.create("s1", title="Why", agent="writer")
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def pages(site: Site, browser: Chromium) -> tuple[Tab, Tab]:
    """The chat and the console of somebody else's."""
    token = site.token("user:bob")
    chat = await browser.tab(f"{site.url}/#t={token}&s=s1")
    console = await browser.tab(f"{site.url}/console/#t={token}")
    for tab in (chat, console):
        await tab.until("document.body.dataset.line === 'live'")
    await console.run("location.hash = '#/session/s1'")
    return chat, console


async def close(*tabs: Tab) -> None:
    for tab in tabs:
        assert tab.errors == []
        assert await tab.run("document.documentElement.scrollWidth <= innerWidth"), "nothing overflows"
        await tab.close()


async def test_a_stopped_run_says_why(site: Site, session: Session, browser: Chromium) -> None:
    run = await session.send("go")
    async with session.live() as live:
        await live.until(lambda view: any(item.get("text") == "looking" for item in view.export()["items"]))
    chat, console = await pages(site, browser)
    await chat.until("document.querySelector('.run.root[data-status=running] .run.sub')")
    assert await chat.run("document.querySelectorAll('.stop-reason').length") == 0
    await run.cancel(reason=REASON.strip())
    await chat.until("document.querySelector('.run.root[data-status=cancelled]')")
    wanted = f"Stopped by ann: {REASON.strip()}"
    assert await chat.run("[...document.querySelectorAll('.stop-reason')].map((n) => n.textContent)") == [wanted], (
        "once, and not below it again"
    )
    await console.run("location.hash = '#/session/s1?pane=runs'")
    await console.until("document.querySelector('.tree .stop-reason')")
    assert await console.run("[...document.querySelectorAll('.stop-reason')].map((n) => n.textContent)") == [wanted]
    await close(chat, console)


async def test_an_approval_that_a_rule_asks_for_names_the_rule_and_says_why(
    site: Site, session: Session, browser: Chromium
) -> None:
    with pytest.raises(ApprovalNeeded):
        await session.send("it costs $5", key="k1")
    chat, console = await pages(site, browser)
    for tab in (chat, console):
        await tab.until("document.querySelector('.approval .rule')")
        assert await tab.run("document.querySelector('.rule').textContent") == f"The rule prices asks for it: {WHY}"
        heading = await tab.run("document.querySelector('.approval h3').textContent")
        assert heading == "ann wants to run command.send"
    assert "denied on" in await chat.run("document.querySelector('.approval .decision').textContent")
    await chat.click(".approval .primary")
    await chat.until("document.querySelector('.approval[data-status=approved]')")
    assert await chat.run("document.querySelector('.approval .rule').textContent"), "also when it is decided"
    await close(chat, console)


async def test_an_approval_that_silence_may_give_says_which_rule_lets_it(
    site: Site, session: Session, browser: Chromium
) -> None:
    await session.send("ask first")
    chat, console = await pages(site, browser)
    for tab in (chat, console):
        await tab.until("document.querySelector('.approval .rule')")
        assert (
            await tab.run("document.querySelector('.rule').textContent") == "The rule house-7 lets silence approve it."
        )
        assert "writer wants to run mail" in await tab.run("document.querySelector('.approval h3').textContent")
    assert "it is approved on" in await chat.run("document.querySelector('.approval .decision').textContent")
    await close(chat, console)
