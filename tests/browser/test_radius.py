"""Beside everything that somebody approves stands what the workflow could do wrong: money for those alone who may see it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.agents.holdfast import Holdfast
from holdfast.agents.run import RunContext
from holdfast.edge.config import Settings
from holdfast.edge.extensions.extension_set import ExtensionSet
from holdfast.engines.address import engine_for
from holdfast.governance.budgets.definitions import BudgetTerms
from holdfast.governance.budgets.requests import Requester, Wish
from holdfast.governance.extension import GovernanceExtension
from holdfast.governance.settings import GovernanceSettings
from holdfast.governance.workflows.model import DataSource, ManifestTool, WorkflowManifest
from holdfast.hub.hub import Hub
from tests.browser.chromium import Chromium, Tab
from tests.browser.conftest import need_pages
from tests.unit.edge.conftest import Site, serving

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.process]
PICTURES = os.environ.get("HOLDFAST_PICTURES", "")
"""A folder for pictures of the pages; empty for none."""
MANIFEST = WorkflowManifest(
    workflow="refunds", owner="kim", stage="pilot", sponsor="pia", agents=("clerk",), data=(DataSource("crm", "personal"),),
    tools=(ManifestTool("payments.refund", "write"), ManifestTool("crm.read", "read")),
)  # fmt: skip
PERSON = ["read", "append", "approve", "control", "presence"]
PAYER = [*PERSON, "spend", "budget", "waive"]
LINE = "document.querySelector('.radius:not([aria-busy])')"
WORDS = f"({LINE}?.innerText.replace(/\\s+/g, ' ').trim() ?? '')"
BLOCKED = """window.WebSocket = class extends EventTarget {
  constructor() { super(); setTimeout(() => { this.onerror?.(new Event('error')); this.onclose?.(new CloseEvent('close', { code: 1006 })); this.dispatchEvent(new Event('error')); this.dispatchEvent(new CloseEvent('close', { code: 1006 })); }); }
  send() {} close() {}
}"""
"""No WebSocket of this page ever opens, as behind a proxy that knows none."""
REQUESTS = "performance.getEntriesByType('resource').filter((one) => one.name.includes('/governance/')).length"


async def ask(run: RunContext) -> None:
    await run.approve("payments.refund", {"customer": "4711", "usd": 90})


@contextlib.asynccontextmanager
async def waiting(folder: Path, governance: GovernanceExtension | None = None) -> AsyncIterator[Site]:
    """A server on which a clerk waits for an approval in the session s1."""
    need_pages("chat")
    plugged = ExtensionSet([governance] if governance is not None else [])
    hub = Hub(engine_for("memory:"), policy=plugged.policy)
    settings = Settings(db="memory:", port=0, drain_s=1)
    async with serving(hub, settings, pages=True, extensions=plugged) as site:
        if governance is not None and governance.governance is not None:
            workflows = governance.governance.workflows
            await workflows.apply(MANIFEST, by="user:kim", tenant="default")
            await workflows.set_tool("default", "crm.read", "read", by="user:root")
        token = site.token("agent:clerk", tenant="default", agents=["*"])
        async with Holdfast(site.url, token=token) as worker, site.connect("user:cy", tenant="default") as cy:
            worker.add_agent("clerk", ask)
            working = asyncio.create_task(worker.serve(signals=False))
            session = await cy.create("s1", title="A broken kettle", agent="clerk")
            await session.send("I want my money back.")
            async with session.live() as live:
                await live.until(lambda view: any(item["kind"] == "approval" for item in view.items))
            try:
                yield site
            finally:
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)


@pytest.fixture
def governance(tmp_path: Path) -> GovernanceExtension:
    settings = Settings(db="memory:", port=0, drain_s=1)
    return GovernanceExtension(GovernanceSettings(url=str(tmp_path / "store.db")), settings)


async def opened(browser: Chromium, site: Site, page: str, rights: list[str], **look: Any) -> Tab:
    token = site.token("user:bob", tenant="default", capabilities={"*": rights})
    tab = await browser.tab(f"{site.url}/{page}#t={token}" + ("" if page else "&s=s1"), **look)
    await tab.until("document.body.dataset.line === 'live'")
    return tab


async def pictures(tab: Tab, name: str, of: str = LINE) -> None:
    if PICTURES:
        for kind, width, dark in (("light", 1280, False), ("dark", 1280, True), ("360", 360, False)):
            await tab.look(width, 800, dark=dark)
            await tab.run(f"{of}?.scrollIntoView({{ block: 'center' }})")
            await tab.picture(Path(PICTURES) / f"radius-{name}-{kind}.png")
        await tab.look(1280, 800)


async def close(tab: Tab) -> None:
    assert tab.errors == []
    assert await tab.run("document.documentElement.scrollWidth <= innerWidth"), "nothing overflows"
    await tab.close()


async def test_who_approves_in_the_chat_reads_what_the_run_could_do_wrong(
    tmp_path: Path, governance: GovernanceExtension, browser: Chromium
) -> None:
    async with waiting(tmp_path, governance) as site:
        chat = await opened(browser, site, "", PERSON)
        await chat.until(f"{WORDS}.startsWith('refunds writes with 1 tool (payments.refund)')")
        words = await chat.run(WORDS)
        assert "reads personal data" in words and "ran once in 28 days" in words
        assert "USD" not in words and "cost" not in words, "who may not see what is spent is not told"
        assert await chat.run(f"{LINE}.querySelector('a')") is None
        place = "compareDocumentPosition(document.querySelector('.approval button.primary')) & 4"
        assert await chat.run(f"!!({LINE}.{place})"), "it stands before the buttons"
        await pictures(chat, "chat")
        small = await opened(browser, site, "", PERSON, width=360, height=800)
        await small.until(f"{WORDS}.startsWith('refunds writes')")
        if PICTURES:
            await small.picture(Path(PICTURES) / "radius-chat-360.png")
        await close(small)
        payer = await opened(browser, site, "", PAYER)
        await payer.until(f"{WORDS}.includes('USD in 28 days')")
        link = await payer.run(f"{LINE}.querySelector('a').href")
        assert link == f"{site.url}/console/#/plan/workflow/refunds"
        await pictures(payer, "chat-payer")
        await payer.click(".approval button.primary")
        for tab in (chat, payer):
            await tab.until("document.querySelector('.approval')?.dataset.status === 'approved'")
            assert await tab.run(LINE) is None, "what is decided needs no warning any more"
            await close(tab)


async def test_a_page_without_a_websocket_is_told_of_it_too(
    tmp_path: Path, governance: GovernanceExtension, browser: Chromium
) -> None:
    async with waiting(tmp_path, governance) as site:
        token = site.token("user:bob", tenant="default", capabilities={"*": PERSON})
        tab = await browser.tab("about:blank")
        await tab.call("Page.addScriptToEvaluateOnNewDocument", source=BLOCKED)
        await tab.go(f"{site.url}/#t={token}&s=s1")
        await tab.until(f"{WORDS}.startsWith('refunds writes with 1 tool (payments.refund)')")
        assert await tab.run("holdfast.client.status.transport") == "sse"
        await close(tab)


async def test_pages_ask_nothing_of_a_server_without_governance(tmp_path: Path, browser: Chromium) -> None:
    async with waiting(tmp_path) as site:
        chat = await opened(browser, site, "", PERSON)
        await chat.until("document.querySelector('.approval button.primary')")
        console = await opened(browser, site, "console/", [*PAYER, "admin"])
        await console.run("location.hash = '#/session/s1'")
        await console.until("document.querySelector('.approval button.primary')")
        for tab in (chat, console):
            assert await tab.run(REQUESTS) == 0
            assert await tab.run("document.querySelector('.radius')") is None
            await close(tab)


async def test_the_console_says_it_at_a_session_at_a_request_for_money_and_at_a_waiver(
    tmp_path: Path, governance: GovernanceExtension, browser: Chromium
) -> None:
    async with waiting(tmp_path, governance) as site:
        assert governance.governance is not None
        desk = governance.governance.budget_desk
        terms = BudgetTerms(usd="25", scope={"workflow": "refunds"}, decider="user:bob", mode="enforce")
        await desk.set("default", "refunds", terms, "user:fin")
        await desk.ask(
            Requester("user:cy", "default"), Wish(budget="refunds", to_usd="50", why="the kettles came back")
        )
        await governance.governance.plan.compute("default")
        console = await opened(browser, site, "console/", PAYER)
        await console.run("location.hash = '#/session/s1'")
        await console.until(f"document.querySelector('.approval .radius') && {WORDS}.includes('USD in 28 days')")
        await pictures(console, "session")
        await console.run("location.hash = '#/budgets'")
        await console.until(f"document.querySelector('.proposal .radius') && {WORDS}.startsWith('refunds writes')")
        await pictures(console, "budgets")
        await console.click(".proposal .radius a")
        await console.until("location.hash === '#/plan/workflow/refunds' && document.querySelector('.gate .waive')")
        await console.click(".gate .waive")
        await console.until(f"document.querySelector('.consequence .radius') && {WORDS}.startsWith('refunds writes')")
        await pictures(console, "waiver")
        await close(console)


async def test_a_number_of_evidence_leads_to_the_session_of_the_run_it_counts(
    tmp_path: Path, governance: GovernanceExtension, browser: Chromium
) -> None:
    async with waiting(tmp_path, governance) as site:
        assert governance.governance is not None
        plan = governance.governance.plan
        await plan.compute("default")
        _, _, evidence = await plan.explain("default", "1.b", "refunds")
        assert [one.rows[-1]["runs"] for one in evidence if one.query == "stages"] == [1]
        console = await opened(browser, site, "console/", PAYER)
        await console.run("location.hash = '#/plan/workflow/refunds?gate=1.b'")
        number = "document.querySelector('[data-query=stages] td[data-label=runs] a')"
        assert await console.until(f"{number}?.innerText") == "1"
        await pictures(console, "evidence", "document.querySelector('[data-query=stages]')")
        await console.run(f"{number}.click()")
        row = ".data[aria-label=Runs] tbody tr"
        await console.until(f"document.querySelectorAll('{row}').length === 1")
        words = await console.run("document.querySelector('.plan-page').innerText")
        assert "There is one." in words and "that are no tests" in words and "began by people or programs" in words
        await pictures(console, "runs", f"document.querySelector('{row}')")
        await console.run(f"document.querySelector('{row} td[data-label=session] a').click()")
        await console.until("location.hash.startsWith('#/session/s1?at=') && document.querySelector('.session-page')")
        await close(console)
