"""The console's pages on money in a real browser, over a company that was written through the domains' own services."""

from __future__ import annotations

import asyncio
import csv
import datetime
import io
import json
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast.edge.pages import PAGES
from tests.browser.chromium import Chromium, Tab
from tests.browser.spending import FAMILY, GovernedServer, governed_company

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.process]
ALL = ("spend", "bill", "waste", "callers", "keys", "prices", "rows?where=team:sales", f"cost/{FAMILY}", "row/u2")
CAUGHT = """(() => { const first = window.saved === undefined; window.saved = []; if (!first) return true; const make = URL.createObjectURL.bind(URL);
  URL.createObjectURL = (blob) => { saved.push(blob); return make(blob); }; return true; })()"""
CONTRAST = """(() => {
  const lightOf = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4)); return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const behind = (n) => { for (; n; n = n.parentElement) { const c = parts(getComputedStyle(n).backgroundColor); if (c[3] !== 0) return c; } return [255, 255, 255]; };
  return [...document.querySelectorAll('.money-page *')].filter((n) => n.checkVisibility() && !n.disabled && [...n.childNodes].some((c) => c.nodeType === 3 && c.data.trim()) && !n.closest(':disabled, option'))
    .map((n) => { const [one, two] = [lightOf(parts(getComputedStyle(n).color)), lightOf(behind(n))]; return [(Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05), n.textContent.slice(0, 40)]; })
    .filter(([ratio]) => ratio < 4.5);
})()"""
"""Texts whose contrast with what is behind them is less than AA wants."""


@pytest.fixture(scope="module")
def company() -> Iterator[GovernedServer]:
    if not (PAGES / "console").is_dir():
        if os.environ.get("CI"):
            pytest.fail("the pages are not built, and in CI these tests must run")
        pytest.skip("the pages are not built: make web")
    with tempfile.TemporaryDirectory(prefix="holdfast-company-") as folder:
        yield from governed_company(Path(folder))


@pytest.fixture
async def console(company: GovernedServer, browser: Chromium) -> AsyncIterator[Tab]:
    tab = await browser.tab(company.page())
    await tab.until("document.body.dataset.line === 'live'")
    yield tab
    assert tab.errors == []
    await tab.close()


async def opened(tab: Tab, page: str) -> None:
    """A page is shown, and has all its answers."""
    await tab.run(f"location.hash = '#/{page}'")
    name = page.split("?")[0].split("/")[0]
    await tab.until(
        f"location.hash.startsWith('#/{name}') && document.querySelector('.money-page') && !document.querySelector('.loading')"
        f" && document.querySelector('.data, .nothing, .failure')"
    )


async def answer(company: GovernedServer, path: str) -> Any:
    headers = {"authorization": f"Bearer {company.token('user:test', 'spend', 'audit')}"}
    async with httpx.AsyncClient(base_url=company.server, headers=headers, trust_env=False) as http:
        return (await http.get(f"/v1/x/governance/{path}")).raise_for_status().json()


async def span_of(company: GovernedServer, days: int) -> str:
    today = datetime.date.fromisoformat((await answer(company, "organisation"))["day"])
    return f"since={today - datetime.timedelta(days=days - 1)}&until={today}"


async def saved(tab: Tab, selector: str) -> list[dict[str, str]]:
    """The file that a button saves."""
    await tab.run(CAUGHT)
    await tab.click(selector)
    await tab.until("saved.length === 1")
    return list(csv.DictReader(io.StringIO(await tab.run("saved[0].text()"))))


async def test_a_figure_leads_to_its_rows_and_a_row_to_its_session(console: Tab, company: GovernedServer) -> None:
    await opened(console, "spend?period=28d&by=team")
    found = await answer(company, f"ledger/spend?{await span_of(company, 28)}&by=team")
    sales = next(group for group in found["groups"] if group["values"] == ["sales"])["figures"]
    figure = "tr[data-key=sales] a.money"
    await console.until(f"document.querySelector('{figure}')?.title.startsWith('{Decimal(sales['billed_nano']).scaleb(-9):.9f}')")  # fmt: skip
    await console.click(figure)
    await console.until("document.querySelector('h1').innerText === 'Rows'")
    while await console.run("document.querySelector('[data-sum]') === null"):
        count = await console.run("document.querySelectorAll('tbody tr').length")
        await console.until("[...document.querySelectorAll('.more button')].some((n) => n.innerText.includes('older')) || document.querySelector('[data-sum]')")  # fmt: skip
        await console.run("[...document.querySelectorAll('.more button')].find((n) => n.innerText.includes('older'))?.click()")  # fmt: skip
        await console.until(f"document.querySelectorAll('tbody tr').length > {count} || document.querySelector('[data-sum]') || document.querySelector('.data small').innerText > '{count}'")  # fmt: skip
    shown = await console.run("document.querySelector('[data-sum]').dataset.sum")
    assert Decimal(shown) == Decimal(sales["billed_nano"]).scaleb(-9), "the rows sum to the figure that led to them"
    session = await console.run("document.querySelector('tbody a[href^=\"#/cost/\"]').innerText")
    await console.click('tbody a[href^="#/cost/"]')
    await console.until(f"document.querySelector('.session-name')?.innerText === '{session}'")
    await console.click(".calls a")
    await console.until("document.querySelector('h1').innerText === 'One row' && document.querySelector('.facts')")
    assert session.split("-")[0] in await console.run("document.querySelector('.facts').innerText")


async def test_a_file_has_what_is_shown_and_sums_to_the_total(console: Tab, company: GovernedServer) -> None:
    await opened(console, "spend?period=28d&by=workflow")
    await console.until("document.querySelectorAll('.ledger tbody tr').length > 3")
    lines = await saved(console, '.data[aria-label="By workflow"] .save')
    names = await console.run("[...document.querySelectorAll('.ledger tbody tr')].map((n) => n.dataset.key)")
    assert [line["workflow"] for line in lines] == names
    total = (await answer(company, f"ledger/spend?{await span_of(company, 28)}"))["total"]
    assert sum(Decimal(line["billed_usd"]) for line in lines) == Decimal(total["billed_nano"]).scaleb(-9)
    assert sum(int(line["rows"]) for line in lines) == total["rows"]
    shown = await console.run("[...document.querySelectorAll('.ledger td[data-label=rows]')].map((n) => n.innerText.replace(/,/g, ''))")  # fmt: skip
    assert [line["rows"] for line in lines] == shown
    await console.click(".ledger th:nth-child(1) button")
    lines = await saved(console, '.data[aria-label="By workflow"] .save')
    assert [line["workflow"] for line in lines] == sorted(names), "sorted as the table was"


async def test_the_change_is_the_sum_of_its_causes(console: Tab) -> None:
    await opened(console, "spend?period=7d&by=workflow")
    await console.until("document.querySelectorAll('.step').length === 5")
    exact = await console.run("[...document.querySelectorAll('.step b')].map((n) => n.innerText)")
    parts = [Decimal(text.replace("−", "-").replace("+", "").replace("±", "").replace("$", "").replace(",", "")) for text in exact]  # fmt: skip
    assert abs(sum(parts[:4]) - parts[4]) < Decimal("0.04"), "as far as cents tell"
    headline = await console.run("document.querySelector('.headline b').innerText")
    assert headline == exact[4]
    await console.until("document.querySelectorAll('.chart canvas').length === 1")


async def test_what_needs_somebody_comes_first(console: Tab) -> None:
    await opened(console, "spend?period=28d")
    await console.until("document.querySelectorAll('.attention li').length >= 3")
    words = await console.run("document.querySelector('.attention').innerText")
    assert "change of prices waits" in words and "side-project" in words and "43 calls" in words
    assert await console.run(
        "document.querySelector('.attention').compareDocumentPosition(document.querySelector('.figures')) & 4"
    ), "before the figure"


async def test_the_causes_of_a_session_are_a_tree(console: Tab) -> None:
    await opened(console, f"cost/{FAMILY}")
    tree = """[...document.querySelectorAll('.tree-of-cost summary')].map((n) => [n.querySelector('.agent').innerText, (n.closest('li').parentElement.closest('li')?.querySelector('.agent').innerText ?? '')])"""  # fmt: skip
    await console.until("document.querySelectorAll('.tree-of-cost summary').length === 4")
    assert await console.run(tree) == [
        ["lead", ""], ["lead/finder", "lead"], ["lead/reader", "lead"], ["lead/reader/checker", "lead/reader"],
    ]  # fmt: skip
    words = await console.run("document.querySelector('.tree-of-cost').innerText")
    assert "2 tries" in words and "in vain" in words and "failed: http 500" in words and "waited 9 min" in words


async def test_the_bill_says_what_remains_and_the_waste_what_is_unknown(console: Tab) -> None:
    await opened(console, "bill")
    await console.until("document.querySelector('.verdict')")
    words = await console.run("document.querySelector('.attention').innerText")
    assert "missed day" in words and "outside" in words
    share = await console.run("document.querySelector('.figures .first').innerText")
    assert "%" in share and "cannot be told" in share, "a day is missing: it cannot pass"
    lines = await saved(console, '.data[aria-label="Lines that differ"] .save')
    assert {line["causes"] for line in lines} == {"missed_day", "outside"}
    assert all(Decimal(line["bill_usd"] or 0) - Decimal(line["ledger_usd"] or 0) == Decimal(line["difference_usd"]) for line in lines)  # fmt: skip
    await opened(console, "waste")
    await console.until("document.querySelector('#waste-unread')")
    unread = await console.run("document.querySelector('#waste-unread').innerText")
    assert "unknown" in unread and await console.run("document.querySelector('#waste-unread .hatched') !== null")
    # what no session shows leads to its rows all the same
    nano = await console.run("document.querySelector('#waste-retries .elsewhere a.money').title.split(' ')[0]")
    await console.click("#waste-retries .elsewhere a.money")
    await console.until("document.querySelector('[data-sum]') && !document.querySelector('.loading')")
    assert await console.run("Number(document.querySelector('[data-sum]').dataset.sum)") == pytest.approx(float(nano))


async def test_a_key_is_shown_once_rotated_and_revoked(console: Tab, company: GovernedServer) -> None:
    await opened(console, "keys")
    await console.click("#new-key")
    for name, value in (("workflow", "offers"), ("team", "sales"), ("task", "try-out")):
        await console.until(f"document.querySelector('[name={name}]')")
        await console.type(f"[name={name}]", value)
    await console.click(".key-form .primary")
    secret = await console.until("document.querySelector('.secret code')?.innerText")
    assert secret.startswith("hfk_")
    await console.click(".secret .primary")
    await console.until("!document.querySelector('.secret')")
    assert secret not in await console.run("document.documentElement.outerHTML")
    rows = (await answer(company, "keys"))["keys"]
    ident = next(row["id"] for row in rows if row["labels"]["task"] == "try-out")
    assert secret not in json.dumps(rows)
    await console.click(f"tr[data-key='{ident}'] .danger")
    await console.click(".consequence .danger")
    await console.until("document.querySelector('.receipt')?.innerText.includes('revoked by user:ann')")
    await console.click(".receipt button")
    await console.until(f"document.querySelector(\"tr[data-key='{ident}'] .key-state\")?.dataset.state === 'revoked'")


async def test_keys_expire_by_the_clock_of_the_server(console: Tab) -> None:
    await console.run("Date.now = () => 4e12")  # this browser is a century ahead
    await opened(console, "keys")
    await console.until("document.querySelectorAll('.ledger tbody tr').length >= 4")
    assert await console.run("document.querySelector('.money-page .attention')") is None, "they are good for a year"


async def test_a_change_of_prices_is_decided_with_a_reason(company: GovernedServer, browser: Chromium) -> None:
    tab = await browser.tab(company.page("user:ben"))
    await opened(tab, "prices")
    await tab.until("document.querySelector('.proposal ins')?.innerText === '1.5'")
    effect = await tab.run("document.querySelector('.proposal .figures .first').innerText")
    assert "+$" in effect and "estimated" in effect, "what was used would have cost more"
    await tab.click(".proposal > .row .primary")
    await tab.until("document.querySelector('.consequence input')")
    await tab.click(".consequence .primary")
    assert await tab.run("document.querySelector('.receipt')") is None, "not without a reason"
    await tab.type(".consequence input", "the provider announced it")
    await tab.click(".consequence .primary")
    await tab.until("document.querySelector('.receipt')?.innerText.includes('approved by user:ben')")
    states = {change["words"]: change["state"] for change in await answer(company, "prices/changes")}
    assert states["the provider announced it"] == "approved"
    assert tab.errors == []
    await tab.close()


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
    for page in (f"cost/{FAMILY}", "bill"):
        await opened(console, page)
        dark = [{"name": "prefers-color-scheme", "value": "dark"}]
        await console.call("Emulation.setEmulatedMedia", media="print", features=dark)
        assert await console.run(CONTRAST) == [], page
        await console.call("Emulation.setEmulatedMedia", media="", features=dark)
    words = await console.run("document.querySelector('.attention').innerText")
    assert "`" not in words and "*" not in words, "commands look like commands, and all keys are called so"


async def test_who_may_not_see_money_is_told_what_to_do(company: GovernedServer, browser: Chromium) -> None:
    tab = await browser.tab(company.page("user:cat", "read", "admin"))
    await tab.until("document.body.dataset.line === 'live'")
    await tab.until("document.querySelector('nav a[href=\"#/spend\"]')")
    await tab.run("location.hash = '#/spend'")
    await tab.until("document.querySelector('.failure')?.innerText.includes('--grant')")
    await tab.close()
