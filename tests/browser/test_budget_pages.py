"""The console's pages on budgets, models, routing and outcomes in a real browser, over a real gateway and its store."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast.edge.pages import PAGES
from tests.browser.budgeting import GovernedSite, controlled_company
from tests.browser.chromium import Chromium, Tab
from tests.browser.test_money_pages import CONTRAST, saved

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.process]
ALL = ("budgets", "budgets/service", "budgets/research", "budgets/every%20workflow", "routing", "outcomes", "models")


@pytest.fixture(scope="module")
def company() -> Iterator[GovernedSite]:
    if not (PAGES / "console").is_dir():
        if os.environ.get("CI"):
            pytest.fail("the pages are not built, and in CI these tests must run")
        pytest.skip("the pages are not built: make web")
    with tempfile.TemporaryDirectory(prefix="holdfast-budgets-") as folder:
        yield from controlled_company(Path(folder))


@pytest.fixture
async def console(company: GovernedSite, browser: Chromium) -> AsyncIterator[Tab]:
    tab = await browser.tab(company.page("user:ben"))
    await tab.until("document.body.dataset.line === 'live'")
    yield tab
    assert tab.errors == []
    await tab.close()


async def opened(tab: Tab, page: str) -> None:
    """A page is shown, and has all its answers."""
    await tab.run(f"location.hash = '#/{page}'")
    await tab.until(
        f"location.hash === '#/{page}' && document.querySelector('.money-page .data') && !document.querySelector('.loading')"
    )


async def answer(company: GovernedSite, path: str) -> Any:
    headers = {"authorization": f"Bearer {company.token('user:test', 'spend')}"}
    async with httpx.AsyncClient(base_url=company.server, headers=headers, trust_env=False) as http:
        return (await http.get(f"/v1/x/governance/{path}")).raise_for_status().json()


async def call(company: GovernedSite, model: str, **knobs: Any) -> httpx.Response:
    """One call of triage through the gateway."""
    company.fake.always(**knobs)
    body = {"model": model, "max_tokens": 200, "messages": [{"role": "user", "content": "which queue?"}]}
    headers = {"authorization": f"Bearer {company.secret}"}
    async with httpx.AsyncClient(base_url=company.server, headers=headers, timeout=60, trust_env=False) as http:
        return await http.post("/v1/chat/completions", json=body)


def row(key: str, label: str = "Budgets, the closest to its cap first") -> str:
    return f'document.querySelector(\'.data[aria-label="{label}"] tr[data-key="{key}"]\')'


async def test_the_closest_to_its_cap_is_first_and_its_money_leads_to_its_rows(
    console: Tab, company: GovernedSite
) -> None:
    await opened(console, "budgets")
    await console.until(row("service"))
    names = await console.run(
        "[...document.querySelectorAll('.data[aria-label^=\"Budgets\"] tbody tr')].map((n) => n.dataset.key)"
    )
    lines = (await answer(company, "budgets"))["accounts"]
    used = {}
    for line in lines:
        name = line["budget"]["name"]
        share = (line["spent_nano"] + line["reserved_nano"]) / line["budget"]["cap_nano"]
        used[name] = max(share, used.get(name, 0.0))
    shown = [next(name for name in used if key.startswith(name)) for key in names]
    assert shown == sorted(used, key=lambda name: (name == "a run", -used[name])), (
        "one line for each budget, that of every run last: most runs are over"
    )
    research = next(line for line in lines if line["budget"]["name"] == "research")
    await console.run(f"{row('research')}.querySelector('td[data-label=spent] a').click()")
    await console.until("document.querySelector('[data-sum]') && !document.querySelector('.loading')")
    total = await console.run("document.querySelector('[data-sum]').dataset.sum")
    assert Decimal(total) == Decimal(research["spent_nano"]).scaleb(-9), "its rows sum to what is spent of it"


async def test_false_refusals_come_first_and_observed_ones_are_marked(console: Tab) -> None:
    await opened(console, "budgets")
    table = '.data[aria-label="What did not fit, by reason"] tbody tr'
    await console.until(f"document.querySelectorAll('{table}').length >= 2")
    lines = await console.run(f"[...document.querySelectorAll('{table}')].map((n) => n.innerText)")
    assert "(100 %)" in lines[0], "the refusal that was false"
    assert any("observed" in line for line in lines)
    first = await console.run(
        "document.querySelector('.data[aria-label=\"Calls that did not fit\"] tbody tr').innerText"
    )
    assert "false" in first and "trial" in first
    assert "refused although the money was there" in await console.run("document.querySelector('.attention').innerText")


async def test_what_a_call_holds_is_seen_while_it_runs(console: Tab, company: GovernedSite) -> None:
    await opened(console, "budgets")
    held = f"{row('service')}?.querySelector('td[data-label=\"held now\"]').innerText"
    await console.until(f"{held}?.includes('$0.00')")
    running = asyncio.create_task(call(company, "gpt-5-mini", hang=3))
    try:
        await console.until(f"{held}?.includes('1 call')")
        assert await console.run(
            f"{row('service')}.querySelector('[data-part=held]').getBoundingClientRect().width > 0"
        )
        await opened(console, "budgets/service")
        await console.until(
            "document.querySelectorAll('.data[aria-label=\"Held by calls under way\"] tbody tr').length === 1"
        )
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    await console.until("document.querySelector('.data[aria-label=\"Held by calls under way\"] .nothing')")


async def test_whoever_decides_approves_with_a_reason_and_sees_a_receipt(console: Tab, company: GovernedSite) -> None:
    await opened(console, "budgets")
    waiting = ".waiting-requests .proposal"
    await console.until(f"document.querySelectorAll('{waiting}').length === 2")
    ident = next(
        one["id"] for one in (await answer(company, "budgets/requests"))["requests"] if one["name"] == "service"
    )
    mine = f'[data-request="{ident}"]'
    await console.click(f"{mine} .row .primary")
    await console.until(f"document.querySelector('{mine} .consequence')?.innerText.includes('at once, and stays so')")
    await console.click(f"{mine} .consequence .primary")
    assert (await answer(company, "budgets/requests?state=waiting"))["requests"][0]["state"] == "waiting", (
        "not without a reason"
    )
    await console.type(f"{mine} .consequence input", "until Friday, as agreed")
    await console.click(f"{mine} .consequence .primary")
    await console.until(f"document.querySelector('{mine} .receipt')?.innerText.includes('approved by user:ben')")
    cap = (await answer(company, "budgets/of/service"))["budget"]["cap_usd"]
    shown = f"{Decimal(cap):.2f}"
    await console.until(f"{row('service')}.querySelector('td[data-label=cap]').innerText.includes('{shown}')")
    assert await console.run(f"document.querySelector('{mine} .receipt') !== null"), (
        "it stays when the list is refreshed"
    )


async def test_nobody_decides_for_themselves(company: GovernedSite, browser: Chromium) -> None:
    tab = await browser.tab(company.page("user:ann"))
    await opened(tab, "budgets/sales")
    await tab.until("document.querySelector('.waiting-requests .proposal')")
    words = await tab.run("document.querySelector('.waiting-requests').innerText")
    assert "withdraw" in words and "approve" not in words and "Nobody decides for themselves" in words
    await tab.close()
    tab = await browser.tab(company.page("user:eve", "read", "spend"))
    await opened(tab, "budgets/sales")
    await tab.until("document.querySelector('.waiting-requests .proposal')")
    words = await tab.run("document.querySelector('.waiting-requests').innerText")
    assert "approve" not in words and "budget" in words, "what it takes is said"
    await tab.close()


async def test_a_forecast_stands_beside_its_back_test_and_the_plot_beside_its_numbers(
    console: Tab, company: GovernedSite
) -> None:
    await opened(console, "budgets/research")
    words = await console.until("document.querySelector('.back-test')?.innerText")
    (found,) = (await answer(company, "budgets/forecast?budget=research"))["forecasts"]
    test = found["back_test"]
    assert words == f"the truth fell inside {test['inside']} of {test['n']} times"
    await console.until("document.querySelector('.forecast .chart canvas')")
    await console.run("document.querySelector('.forecast details').open = true")
    lines = await saved(console, '.data[aria-label="Forecast by day"] .save')
    assert Decimal(lines[-1]["p90_usd"]) == Decimal(found["p90_usd"]) and Decimal(lines[-1]["p10_usd"]) == Decimal(
        found["p10_usd"]
    )
    assert sum(bool(line["p50_usd"]) for line in lines) == found["left_days"]
    today = next(line for line in lines if line["day"] == found["today"])
    spent = (await answer(company, "budgets/of/research"))["accounts"][0]["spent_nano"]
    assert Decimal(today["spent_usd"]) == Decimal(spent).scaleb(-9)
    await opened(console, "budgets/sales")
    await console.until("document.querySelector('.forecast .hatched')?.innerText.startsWith('unknown')")


async def test_another_model_than_asked_for_is_seen_with_its_decision(console: Tab, company: GovernedSite) -> None:
    assert (await call(company, "route/triage", served="gpt-4.1-mini")).status_code == 200
    assert (await call(company, "gpt-5-mini")).status_code == 200
    await opened(console, "routing")
    table = "document.querySelector('.data[aria-label=\"Decisions, the newest first\"]')"
    await console.until(f"{table}.innerText.includes('another than asked for')")
    assert "answered by another model" in await console.until(
        "document.querySelector('.attention')?.innerText.includes('another') && document.querySelector('.attention').innerText"
    )
    await console.click(".attention a")
    await console.until("location.hash.includes('other=yes')")
    await console.until(f"{table}.querySelectorAll('tbody tr').length === 1")
    reason = (await answer(company, "routing/decisions?other=yes"))["decisions"][0]["reason"]
    assert reason and reason in await console.run(f"{table}.innerText")
    await console.click('.data[aria-label="Decisions, the newest first"] tbody a')
    await console.until(
        "document.querySelector('h1').innerText === 'Rows' && document.querySelectorAll('tbody tr').length === 1"
    )
    await opened(console, "models")
    await console.until("document.querySelector('.attention')?.innerText.includes('gpt-4.1-mini answered where')")


async def test_a_peel_says_how_sure_it_is_and_an_experiment_is_stopped_with_a_reason(
    console: Tab, company: GovernedSite
) -> None:
    await opened(console, "routing")
    peel = "document.querySelector('.data[aria-label=\"What a cheaper model could take over\"] tbody tr')"
    words = await console.until(f"{peel}?.innerText")
    (found,) = (one for one in (await answer(company, "routing/report"))["peels"] if one["cheaper"] == "gpt-5-nano")
    assert f"{found['accepted']} of {found['n']}" in words and "clears it" in words
    unknown = 'document.querySelector(\'.data[aria-label^="Cost per accepted"] tr[data-key="offers write gpt-5-mini"] .unknown\')'
    assert await console.until(f"{unknown}?.innerText") == "unknown", "no outcome is not zero"
    await console.click(".experiment[data-state=shadow] .danger")
    await console.type(".experiment .consequence input", "the labels change next week")
    await console.click(".experiment .consequence .danger")
    await console.until("document.querySelector('.experiment .receipt')?.innerText.includes('stopped')")
    states = {one["name"]: one for one in (await answer(company, "routing/experiments"))["experiments"]}
    assert (states["triage-nano"]["state"], states["triage-nano"]["why"]) == ("stopped", "the labels change next week")


async def test_an_outcome_is_recorded_and_a_later_word_replaces_it(console: Tab, company: GovernedSite) -> None:
    ident = (await call(company, "gpt-5-mini")).headers["x-holdfast-call"]
    await opened(console, "outcomes")
    for verdict in ("rejected", "accepted"):
        await console.click("#new-outcome")
        await console.until("document.querySelector('.consequence [name=call]')")
        await console.run(
            f"(n => (n.value = '{verdict}', n.dispatchEvent(new Event('change', {{bubbles: true}}))))(document.querySelector('[name=outcome]'))"
        )
        await console.type(".consequence [name=call]", ident)
        await console.click(".consequence .primary")
        await console.until(f"document.querySelector('.receipt')?.innerText.startsWith('{verdict} on record')")
        await console.click(".receipt button")
    mine = f"[...document.querySelectorAll('.data[aria-label^=Outcomes] tbody tr')].filter((n) => n.innerText.includes('{ident}')).map((n) => n.innerText)"
    await console.until(f"{mine}.length === 1 && {mine}[0].includes('accepted')")
    await opened(console, "outcomes?all=yes")
    await console.until(
        f"{mine}.length === 2 && {mine}.some((words) => words.includes('rejected') && words.includes('replaced'))"
    )
    words = await console.run("document.querySelector('.data[aria-label=Proxies]').innerText")
    assert "unknown" in words, "without a run that was edited nothing is known, and that is not 0"


async def test_a_run_leads_to_its_session(console: Tab) -> None:
    await opened(console, "outcomes")
    await console.until("document.querySelector('td[data-label=session] a')")
    assert (await console.run("document.querySelector('td[data-label=session] a').hash")).startswith("#/cost/offers-")
    assert (await console.run("document.querySelector('td[data-label=work] a[href^=\"#/session/\"]').hash")).startswith("#/session/offers-")  # fmt: skip


async def test_every_page_has_the_command_that_shows_the_same(console: Tab) -> None:
    for page, command in (
        ("budgets", "holdfast budget list"), ("budgets/every%20workflow", "holdfast budget show 'every workflow'"),
        ("routing", "holdfast routing report"), ("routing?other=yes", "holdfast routing decisions --other"),
        ("outcomes", "holdfast outcomes list"),
    ):  # fmt: skip
        await opened(console, page)
        await console.until(f"document.querySelector('.command').dataset.command === \"{command}\"")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_every_page_fits_a_phone_and_can_be_read(console: Tab, dark: bool) -> None:
    await console.look(360, 740, dark=dark)
    for page in ALL:
        await opened(console, page)
        await asyncio.sleep(0.3)
        widths = await console.run(
            "[document.documentElement.scrollWidth, document.querySelector('#page').scrollWidth]"
        )
        assert max(widths) <= 360, page
        assert await console.run(CONTRAST) == [], page


async def test_what_is_printed_can_be_read_also_by_who_reads_in_the_dark(console: Tab) -> None:
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    for page in ("budgets", "routing"):
        await opened(console, page)
        await console.call("Emulation.setEmulatedMedia", media="print", features=dark)
        assert await console.run(CONTRAST) == [], page
        await console.call("Emulation.setEmulatedMedia", media="", features=dark)
