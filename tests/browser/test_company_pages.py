"""The demo company in a browser: every page says that it is simulated, shows something, and fits a phone."""

from __future__ import annotations

import pytest

from tests.browser.chromium import Chromium, Tab
from tests.browser.fjordline import Fjordline
from tests.unit.company.small import day

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


async def test_every_page_says_that_it_is_simulated(browser: Chromium, fjordline: Fjordline) -> None:
    tab = await browser.tab(fjordline.page, width=360)
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
    session = fjordline.sessions["regenerated"][0]
    await tab.run(f"location.hash = '#/cost/{session}'")
    await tab.until("document.querySelectorAll('.calls a').length >= 4")
    await says_so(tab)
    await cheats(tab)
    assert tab.errors == []
    chat = await browser.tab(fjordline.page.replace("/console/#", "/#") + f"&s={session}", width=360)
    await chat.until("document.body.dataset.line === 'live' && document.querySelector('#list article')")
    await says_so(chat)
    assert await chat.run("document.querySelector('#agents').innerText.includes('ad-copy')")
    assert chat.errors == []
