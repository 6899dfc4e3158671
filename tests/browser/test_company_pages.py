"""The demo company in a browser: every page says that it is simulated, shows something, and fits a phone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from holdfast.company.run import page_of
from holdfast.company.simulation import Simulation
from holdfast.edge.pages import PAGES
from tests.browser.chromium import Chromium, Tab
from tests.unit.company.small import SEED, SHARE, day, small

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.process, pytest.mark.slow]
SPAN = f"period={day(0)}/{day(6)}"
BILLED = f"period={day(0)}/{day(3)}"
FILLED = (f"spend?{SPAN}&by=workflow", f"bill?{BILLED}", f"waste?{SPAN}", "callers", "keys", "prices", f"rows?{SPAN}")
"""Pages on money, each of which has a table with something in it."""


async def says_so(tab: Tab) -> None:
    await tab.until("document.querySelector('.simulated')?.innerText.startsWith('Simulated')")
    assert "September 13, 2026" in await tab.run("document.querySelector('.simulated').innerText")
    assert await tab.run("document.documentElement.scrollWidth <= innerWidth")


async def cheats(tab: Tab) -> None:
    """A dashboard is green beside a plan that is not, at the press of a button."""
    await tab.run("location.hash = '#/plan/cheat'")
    await tab.until("document.querySelectorAll('.cheat').length > 10")
    assert await tab.run("document.querySelector('.rooms [aria-current]').innerText") == "Try to cheat"
    await tab.click("[data-move='shared-mailbox'] .cheat-now")
    await tab.until("document.querySelectorAll('.cheat-result section').length === 2")
    dashboard, plan = await tab.run(
        "[...document.querySelectorAll('.cheat-result header .gate-verdict')].map((one) => one.innerText.trim())"
    )
    assert (dashboard, plan) == ("green", "fail")
    await says_so(tab)


async def test_every_page_says_that_it_is_simulated(browser: Chromium, tmp_path: Path) -> None:
    if not (PAGES / "console").is_dir():
        if os.environ.get("CI"):
            pytest.fail("the pages are not built, and in CI these tests must run")
        pytest.skip("the pages are not built: make web")
    async with Simulation(*small(), SEED, tmp_path, share=SHARE).running(pages=True) as found:
        console = page_of(found)
        tab = await browser.tab(console, width=360)
        await tab.until("document.body.dataset.line === 'live'")
        await tab.until("document.querySelectorAll('[data-row]').length > 10")
        await says_so(tab)
        for page in FILLED:
            await tab.run(f"location.hash = '#/{page}'")
            name = page.partition("?")[0]
            await tab.until(
                f"location.hash.startsWith('#/{name}') && document.querySelector('.money-page h1')"
                " && !document.querySelector('.loading') && document.querySelector('.money-page .data tbody tr')"
            )
            await says_so(tab)
        session = next(iter(found.sessions["regenerated"]))
        await tab.run(f"location.hash = '#/cost/{session}'")
        await tab.until("document.querySelectorAll('.calls a').length >= 4")
        await says_so(tab)
        await cheats(tab)
        assert tab.errors == []
        chat = await browser.tab(console.replace("/console/#", "/#") + f"&s={session}", width=360)
        await chat.until("document.body.dataset.line === 'live' && document.querySelector('#list article')")
        await says_so(chat)
        assert await chat.run("document.querySelector('#agents').innerText.includes('ad-copy')")
        assert chat.errors == []
