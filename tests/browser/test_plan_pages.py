"""The console's pages of the plan in a real browser, over a company whose plan was computed for weeks."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast.client.client import Client
from holdfast.edge.pages import PAGES
from tests.browser.budgeting import GovernedSite
from tests.browser.chromium import Chromium, Tab
from tests.browser.planning import MANIFESTS, planned_company
from tests.browser.test_money_pages import CONTRAST

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.process]
ALL = (
    "plan", "plan/workflow/offers", "plan/workflow/offers?gate=6.a", "plan/workflow/triage", "plan/grid", "plan/inbox?person=*",
    "plan/inventory", "plan/incidents", "plan/waivers", "plan/gate/4.a",
    "plan/runs?workflow=offers&since_ms=1790000000000&until_ms=1800000000000&side_effects=yes&test=no",
)  # fmt: skip
PARTS = "[...document.querySelectorAll('.plan-page .plan-part > header h2, .plan-page .data > header h2')].map((n) => n.innerText)"
LOW = """[...document.querySelectorAll('.plan-page :is(button, a.button)')].filter((n) => n.checkVisibility() && !n.closest('td .command, thead'))
  .map((n) => [n.getBoundingClientRect().height, n.innerText]).filter(([height]) => height < 43.5)"""
"""Buttons that a thumb misses."""


@pytest.fixture(scope="module")
def company() -> Iterator[GovernedSite]:
    if not (PAGES / "console").is_dir():
        if os.environ.get("CI"):
            pytest.fail("the pages are not built, and in CI these tests must run")
        pytest.skip("the pages are not built: make web")
    with tempfile.TemporaryDirectory(prefix="holdfast-plan-") as folder:
        yield from planned_company(Path(folder))


@pytest.fixture
async def console(company: GovernedSite, browser: Chromium) -> AsyncIterator[Tab]:
    tab = await browser.tab(company.page("user:root"))
    await tab.until("document.body.dataset.line === 'live'")
    yield tab
    assert tab.errors == []
    await tab.close()


async def opened(tab: Tab, page: str) -> None:
    """A page is shown, and has all its answers."""
    await tab.run(f"location.hash = '#/{page}'")
    await tab.until(
        f"location.hash === '#/{page}' && document.querySelector('.plan-page h1') && !document.querySelector('.loading')"
    )


async def answer(company: GovernedSite, path: str) -> Any:
    headers = {"authorization": f"Bearer {company.token('user:test')}"}
    async with httpx.AsyncClient(base_url=company.server, headers=headers, trust_env=False, timeout=60) as http:
        return (await http.get(f"/v1/x/governance/{path}")).raise_for_status().json()


async def test_monday_says_first_who_has_to_do_what(console: Tab, company: GovernedSite) -> None:
    await opened(console, "plan")
    await console.until("document.querySelector('.data[aria-label^=\"What it costs\"]')")
    parts = await console.run(PARTS)
    wanted = ("Who has to do what", "May each workflow go on?", "Flipped since", "Incidents and stops", "Waivers past expiry", "What it costs")  # fmt: skip
    places = [next(at for at, part in enumerate(parts) if part.startswith(words)) for words in wanted]
    assert places == sorted(places) and places[0] == 0
    found = await answer(company, "plan/monday")
    people = [
        one["who"] for one in found["people"] if any(each["gate"] not in found["unbuilt"] for each in one["actions"])
    ]
    assert await console.run("[...document.querySelectorAll('.person')].map((n) => n.dataset.who)") == people
    stops = await console.run("document.querySelector('.person li[data-stops]').innerText")
    assert "Nothing new runs until then" in stops and "offers" in stops
    lines = await console.run("[...document.querySelectorAll('.sentences li')].map((n) => n.dataset.stands)")
    assert lines == sorted(lines, key=("fail", "unknown", "pass").index) and len(lines) == len(MANIFESTS)
    flip = await console.run("document.querySelector('.flips .flip').closest('li').innerText")
    assert "6.a" in flip and "pass" in flip and "fail" in flip
    assert "eve looks for a deputy" in await console.run("document.querySelector('[data-waiver]').innerText")
    await console.run(
        'document.querySelector(\'.data[aria-label^="What it costs"] td[data-label="7 days"] a\').click()'
    )
    await console.until("document.querySelector('h1')?.innerText === 'Rows' && document.querySelector('[data-sum]')")


async def test_a_workflow_says_its_sentence_its_doors_and_its_evidence_at_an_address(
    console: Tab, company: GovernedSite
) -> None:
    await opened(console, "plan/workflow/offers")
    (found,) = (await answer(company, "plan?workflow=offers"))["workflows"]
    assert await console.run("document.querySelector('.the-sentence').innerText") == found["sentence"]
    doors = await console.run("[...document.querySelectorAll('.doors li')].map((n) => [n.dataset.door, n.innerText])")
    assert [name for name, _ in doors] == ["L", "P", "O", "R"]
    running = next(one for one in found["doors"] if one["door"] == "R")
    assert "shut" in doors[3][1] and all(gate in doors[3][1] for gate in running["shut_by"])
    first = "document.querySelector('.gates .gate')"
    assert await console.run(f"{first}.dataset.shown") == "fail", "what wants something comes first"
    await console.run("document.querySelector('[data-gate=\"6.a\"] .gate-doors a').click()")
    await console.until("document.querySelector('.evidence [data-query=people] tbody tr')")
    assert await console.run("location.hash") == "#/plan/workflow/offers?gate=6.a"
    evidence = (await answer(company, "plan/gates/6.a?workflow=offers"))["evidence"]
    words = await console.run("document.querySelector('.evidence').innerText")
    people = next(one for one in evidence if one["query"] == "people")
    assert people["digest"][:12] in words and "directory" in words
    await console.run("document.querySelector('[data-query=people] details').open = true")
    assert "FROM directory_people" in await console.run("document.querySelector('[data-query=people] pre').innerText")
    kinds = await console.run("[...document.querySelectorAll('.strip i')].map((n) => n.dataset.verdict)")
    assert kinds[-1] == "fail" and "pass" in kinds, "how it stood before"
    assert "erp.read" in await console.run("document.querySelector('.data[aria-label=Tools]').innerText")
    assert await console.run("document.querySelector('.blast').innerText.length > 20")


async def test_a_number_of_evidence_opens_the_rows_it_counts(console: Tab, company: GovernedSite) -> None:
    await opened(console, "plan/workflow/answer-mail?gate=5.b")
    await console.until("document.querySelector('.evidence [data-query=served] tbody tr')")
    (served,) = [
        one for one in (await answer(company, "plan/gates/5.b?workflow=answer-mail"))["evidence"] if one["query"] == "served"
    ]  # fmt: skip
    first = "document.querySelector('[data-query=served] tbody tr')"
    count = int((await console.run(f"{first}.querySelector('td[data-label=n] a').innerText")).replace(",", ""))
    day, model = [
        await console.run(f"{first}.querySelector('td[data-label={name}]').innerText") for name in ("day", "model")
    ]
    assert any((row["day"], row["model"], row["n"]) == (day, model, count) for row in served["rows"])
    await console.run(f"{first}.querySelector('td[data-label=n] a').click()")
    await console.until("document.querySelector('h1')?.innerText === 'Rows' && document.querySelector('[data-sum]')")
    assert f"All {count:,} rows" in await console.run("document.querySelector('.sum').innerText")
    await console.run("history.back()")
    await console.until("document.querySelector('[data-query=served] .behind a')")
    command = await console.run("document.querySelector('[data-query=served] .behind .command').dataset.command")
    assert command.startswith("holdfast ledger show --since ") and "workflow=answer-mail" in command


async def test_a_gate_is_waived_with_a_reason_and_never_becomes_green(console: Tab, company: GovernedSite) -> None:
    await opened(console, "plan/workflow/recall-letters")
    row = '[data-gate="1.a"]'
    await console.click(f"{row} .waive")
    says = await console.until(f"document.querySelector('{row} .consequence p')?.innerText")
    assert "in your name" in says and "waived" in says
    await console.click(f"{row} .consequence .danger")
    gates = (await answer(company, "plan?workflow=recall-letters"))["workflows"][0]["gates"]
    assert next(one for one in gates if one["gate"] == "1.a")["shown"] == "fail", "not without a reason"
    await console.type(f"{row} .consequence input", "the letters are read by two people until January")
    await console.click(f"{row} .consequence .danger")
    receipt = await console.until(f"document.querySelector('{row} .receipt')?.innerText")
    assert "waived by user:root (risk officer)" in receipt and "w-" in receipt
    await console.until(f"document.querySelector('{row}').dataset.shown === 'waived'")
    assert "It would be fail" in await console.run(f"document.querySelector('{row}').innerText")
    await opened(console, "plan/waivers")
    table = "document.querySelector('.data[aria-label^=Waivers]').innerText"
    assert "two people until January" in await console.until(
        f"document.querySelector('.data[aria-label^=Waivers]') && {table}"
    )
    button = "[...document.querySelectorAll('.data[aria-label^=Waivers] tbody tr')].find((n) => n.innerText.includes('two people')).querySelector('button')"
    await console.run(f"{button}.click()")
    await console.click(".consequence .danger")
    await console.until("document.querySelector('.receipt')?.innerText.includes('holds no more')")


async def test_an_owner_is_not_offered_to_waive(company: GovernedSite, browser: Chromium) -> None:
    tab = await browser.tab(company.page("user:bob"))
    await opened(tab, "plan/workflow/recall-letters?gate=1.a")
    words = await tab.until(
        "document.querySelector('[data-gate=\"1.a\"] .evidence') && document.querySelector('[data-gate=\"1.a\"]').innerText"
    )
    assert "neither waives its gates" in words
    assert await tab.run("document.querySelector('.waive') === null")
    await tab.close()


async def test_the_grid_has_a_word_in_every_cell_and_nothing_unknown_is_green(
    console: Tab, company: GovernedSite
) -> None:
    await opened(console, "plan/grid")
    cells = await console.run(
        "[...document.querySelectorAll('.plan-grid td')].map((n) => [n.dataset.verdict, n.innerText.trim(), getComputedStyle(n.querySelector('a')).color, getComputedStyle(n.querySelector('a')).backgroundImage, n.querySelector('svg') !== null])"
    )
    assert len(cells) == len(MANIFESTS) * 11
    assert all(words and glyph for _, words, _, _, glyph in cells)
    green = {colour for shown, _, colour, _, _ in cells if shown == "pass"}
    unknown = [(words, colour, image) for shown, words, colour, image, _ in cells if shown == "unknown"]
    assert unknown and all("unknown" in words and image.startswith("repeating") for words, _, image in unknown)
    assert not green & {colour for _, colour, _ in unknown}
    unbuilt = [one["gate"] for one in (await answer(company, "plan"))["gates"] if not one["built"]]
    assert f"{len(unbuilt)} gate" in await console.run("document.querySelector('.plan-page').innerText")
    await console.run("document.querySelector('tr[data-key=offers] td:nth-of-type(6) a').focus()")
    says = await console.until(
        "document.querySelector('.plan-pointed b') && document.querySelector('.plan-pointed').innerText"
    )
    assert "offers, 6 internal owners" in says and "6.a" in says
    assert await console.run("document.querySelector('.plan-part').getAttribute('aria-label')") == "Red now"


async def test_a_stop_says_how_many_it_ends_asks_for_a_reason_and_is_lifted(
    console: Tab, company: GovernedSite
) -> None:
    async with Client(company.server, company.token("user:ann")) as client:
        for name in ("mail-1", "mail-2"):
            session = await client.create(name)
            await session.send("Answer this, please.", agent="mailer")
    await opened(console, "plan/workflow/answer-mail")
    await console.click(".stop-row .stop")
    says = await console.until("document.querySelector('.consequence p')?.innerText")
    assert "2 runs of answer-mail end now" in says and "2 sessions" in says and "1 person" in says
    await console.click(".consequence .danger")
    assert not (await answer(company, "operations/stops"))["stops"], "not without a reason"
    await console.type(".consequence input", "it writes to the wrong people")
    await console.click(".consequence .danger")
    receipt = await console.until("document.querySelector('.receipt')?.innerText")
    assert "answer-mail is stopped by root" in receipt and "2 queued" in receipt
    await console.until("document.querySelector('.stopped')?.innerText.includes('it writes to the wrong people')")
    await opened(console, "plan")
    await console.until("document.querySelector('.plan-page').innerText.includes('workflow answer-mail is stopped')")
    await opened(console, "plan/incidents")
    await console.until(
        "document.querySelector('.data[aria-label=Incidents] tbody')?.innerText.includes('answer-mail')"
    )
    await console.click(".stopped .lift")
    await console.type(".stopped .consequence input", "the list is mended")
    await console.click(".stopped .consequence .primary")
    await console.until("document.querySelector('.plan-page').innerText.includes('Stopped before')")
    assert not (await answer(company, "operations/stops"))["stops"]


async def test_a_manifest_is_rolled_back_with_a_receipt(console: Tab, company: GovernedSite) -> None:
    await opened(console, "plan/workflow/triage")
    await console.until("document.querySelector('.data[aria-label^=Versions] .roll-back')")
    before = (await answer(company, "workflows/named/triage"))["workflow"]["version"]
    await console.click(".data[aria-label^=Versions] .roll-back")
    assert "brings nobody back" in await console.until("document.querySelector('.consequence p')?.innerText")
    await console.type(".consequence input", "the small model misses half")
    await console.click(".consequence .danger")
    await console.until("document.querySelector('.receipt')?.innerText.includes('again, in place of')")
    assert (await answer(company, "workflows/named/triage"))["workflow"]["version"] != before


async def test_an_item_closes_when_it_is_computed_as_gone_and_not_when_it_is_clicked(
    company: GovernedSite, browser: Chromium
) -> None:
    tab = await browser.tab(company.page("user:bob"))
    await opened(tab, "plan/inbox")
    first = "document.querySelector('.inbox li')"
    await tab.until(first)
    ident = await tab.run(f"{first}.dataset.item")
    await tab.click(".inbox li .done")
    assert "still so, as computed just now" in await tab.until("document.querySelector('.inbox .computed')?.innerText")
    assert ident in await tab.run("[...document.querySelectorAll('.inbox li')].map((n) => n.dataset.item)")
    assert await tab.until("document.querySelector('.role-brief')?.innerText.includes('h a week are needed')")
    await tab.close()


async def test_what_has_no_workflow_says_how_it_gets_one(console: Tab) -> None:
    await opened(console, "plan/inventory")
    table = "document.querySelector('.data[aria-label^=Seen]')"
    words = await console.until(f"{table}?.innerText")
    assert "side-project" in words and "holdfast workflow init side-project" in words
    ideas = await console.until("document.querySelector('.data[aria-label=Ideas]')?.innerText")
    assert "contract-check" in ideas and "suits, with gaps" in ideas and "not answered yet" in ideas


async def test_every_page_has_the_command_that_shows_the_same(console: Tab) -> None:
    for page, command in (
        ("plan", "holdfast plan monday"), ("plan/workflow/offers", "holdfast plan status offers"), ("plan/grid", "holdfast plan status"),
        ("plan/inbox", "holdfast inbox list"), ("plan/inventory", "holdfast workflow inventory"), ("plan/incidents", "holdfast stop list"),
        ("plan/waivers", "holdfast plan waivers"), ("plan/gate/4.a", "holdfast plan explain 4.a"),
    ):  # fmt: skip
        await opened(console, page)
        await console.until(f"document.querySelector('.bar .command').dataset.command === \"{command}\"")


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
        assert await console.run(LOW) == [], page


async def test_text_can_be_doubled(console: Tab) -> None:
    await console.look(1024, 740)
    await console.run("document.documentElement.style.fontSize = '200%'")
    for page in ALL:
        await opened(console, page)
        await asyncio.sleep(0.2)
        assert await console.run("document.documentElement.scrollWidth") <= 1024, page


async def test_what_is_printed_can_be_read_also_by_who_reads_in_the_dark(console: Tab) -> None:
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    for page in ("plan", "plan/workflow/offers", "plan/grid"):
        await opened(console, page)
        await console.call("Emulation.setEmulatedMedia", media="print", features=dark)
        assert await console.run(CONTRAST) == [], page
        assert await console.run("[...document.querySelectorAll('.plan-page button')].every((n) => n.closest('th') || !n.checkVisibility())")  # fmt: skip
        await console.call("Emulation.setEmulatedMedia", media="", features=dark)
