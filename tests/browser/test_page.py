"""Parts of the page that need a browser's DOM, and long sessions."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

import httpx
import pytest

from holdfast.protocol import wire
from holdfast.protocol.events import Draft
from tests.browser.chromium import Chromium
from tests.browser.conftest import Chat, Demo

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.process]

WEB = Path(__file__).parents[2] / "web"
PIECES = [
    "word", " ", "\n", "\n\n", "- item", "1. one", "> quote", "# head", "```js\n", "```", "**", "*", "_", "`", "[a](http://b.c)",
    "[x](javascript:alert(1))", "| a | b |", "<b>", "&amp;", "🐚", "  ", "\t", "https://example.org/x?y=1", "\\", "__", "a_b_c",
]  # fmt: skip

RENDER = """
((texts) => {
  const { GrowingMarkdown } = look;
  return texts.map((text) => {
    const whole = document.createElement("div");
    new GrowingMarkdown(whole).show(text);
    const grown = document.createElement("div");
    const growing = new GrowingMarkdown(grown);
    let at = 0;
    for (const letter of text) { at += letter.length; growing.show(text.slice(0, at)); }
    const links = [...whole.querySelectorAll("a")].map((a) => a.href);
    return { text: whole.textContent, same: whole.innerHTML === grown.innerHTML, links, other: whole.querySelector("b, script, img") !== null };
  });
})
"""


def bundled(module: Path) -> str:
    """A module of the pages as one script that defines ``look``."""
    command = ["npx", "esbuild", str(module), "--bundle", "--format=iife", "--global-name=look", "--log-level=error"]
    return subprocess.run(command, cwd=WEB, capture_output=True, text=True, check=True).stdout + ";0"


async def test_markdown_is_lossless_and_grows_as_it_would_be_drawn_at_once(chat: Chat) -> None:
    chance = random.Random(7)
    await chat.tab.run(bundled(WEB / "packages/look/src/markdown.tsx"))
    texts = ["".join(chance.choices(PIECES, k=chance.randrange(1, 24))) for _ in range(400)]
    for text, drawn in zip(texts, await chat.tab.run(f"{RENDER}({json.dumps(texts)})"), strict=True):
        assert drawn["text"] == text
        assert drawn["same"], text
        assert not drawn["other"]
        assert all(link.startswith(("http://", "https://")) for link in drawn["links"])


async def test_older_pages_come_as_one_scrolls_up(chat: Chat, demo: Demo, browser: Chromium) -> None:
    filling = "The tide comes in and the tide goes out. " * 250
    async with demo.client() as client:
        session = await client.create(title="Long")
        producer = session.producer()
        for number in range(60):
            ident = {"messageId": f"m{number}"}
            await producer.write("TEXT_MESSAGE_START", {**ident, "role": "assistant"})
            await producer.write("TEXT_MESSAGE_CONTENT", {**ident, "delta": f"{number}: {filling}"})
            await producer.write("TEXT_MESSAGE_END", ident)
        await producer.flush()
    long = Chat(demo, await browser.tab(demo.page(session.id)))
    await long.tab.until("holdfast.session?.status === 'live' && document.querySelectorAll('.message').length > 0")
    assert await long.tab.run("holdfast.session.view.older") > 0
    await long.tab.until("(scroller.scrollTop = 0, document.querySelectorAll('#list .message').length === 60)")
    shown = await long.tab.run("[...document.querySelectorAll('#list .message')].map((n) => n.dataset.id)")
    assert shown == [f"m{number}" for number in range(60)]
    assert long.tab.errors == []
    await long.tab.close()


async def test_reading_above_is_not_moved(chat: Chat) -> None:
    await chat.ask("What happens to a run when its lease expires?")
    await chat.tab.look(1280, 420)
    await chat.mid_answer()
    await chat.tab.run("scroller.scrollTop = 40")
    await chat.tab.until("document.querySelector('#below') !== null")
    before = await chat.tab.run("document.querySelector('.run.root > header').getBoundingClientRect().top")
    await chat.ended()
    assert await chat.tab.run("document.querySelector('.run.root > header').getBoundingClientRect().top") == before
    await chat.tab.click("#below")
    await chat.tab.until("scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 2")


async def test_without_a_token_the_page_says_so(demo: Demo, browser: Chromium) -> None:
    tab = await browser.tab(demo.server + "/")
    await tab.until("document.querySelector('#refused')?.checkVisibility()")
    assert "make demo" in await tab.run("document.querySelector('#refused').innerText")
    await tab.close()
    tab = await browser.tab(demo.server + "/#t=nonsense")
    await tab.until("document.querySelector('#refused')?.checkVisibility()")
    await tab.close()


async def test_nothing_overflows(chat: Chat) -> None:
    await chat.ask("What is a lease?")
    await chat.ended()
    wide = "[...document.querySelectorAll('main, #bar, #scroller, #composer, .controls')].filter((n) => n.scrollWidth > n.clientWidth + 1).map((n) => n.id || n.tagName)"
    for width in (360, 768, 1024, 1440):
        await chat.tab.look(width, 800)
        assert await chat.tab.run(wide) == [], width
        assert await chat.tab.run("document.documentElement.scrollWidth") <= width


async def test_raw_events_show_the_end_of_the_log_and_go_on(chat: Chat) -> None:
    async with chat.demo.client() as client:
        session = await client.create(title="Written before")
        drafts = [Draft("CUSTOM", {"name": f"n{number}", "value": number}) for number in range(60)]
        await client.connection.request(wire.Append(session=session.id, events=drafts))
    await chat.tab.run(f"location.hash = '#/{session.id}'")
    await chat.tab.until("holdfast.session?.status === 'live' && holdfast.session.tail > 60")
    tail = await chat.tail()
    await chat.tab.run("document.querySelector('#raw').open = true")
    lines = "document.querySelector('#raw-text').innerText.split('\\n')"
    await chat.tab.until(f"document.querySelector('#raw-text') && {lines}[0].startsWith('{tail} CUSTOM ')")
    seqs = await chat.tab.run(f"{lines}.map((line) => Number.parseInt(line))")
    assert seqs == sorted(seqs, reverse=True) and len(set(seqs)) == len(seqs) == 40
    async with chat.demo.client() as client:
        await client.session(await chat.session).rename("Leases")
    await chat.tab.until(f"{lines}[0].startsWith('{tail + 1} session.renamed ')")


async def test_escape_leaves_nothing_filtered(chat: Chat) -> None:
    async with chat.demo.client() as client:
        await client.create(title="To be found")
    rows = "document.querySelectorAll('#sessions-list a.row').length"
    await chat.tab.until("document.querySelector('#sessions-list').innerText.includes('To be found')")
    before = await chat.tab.run(rows)  # others may come meanwhile
    await chat.tab.type("#search", "nothing of the kind")
    await chat.tab.until(f"{rows} === 0")
    await chat.tab.press("Escape")
    await chat.tab.until(f"{rows} >= {before}")
    assert await chat.tab.run("document.querySelector('#search').value + document.activeElement.id") == ""


@pytest.mark.parametrize("page", ["", "console/"])
async def test_the_address_alone_opens_a_second_tab(chat: Chat, demo: Demo, browser: Chromium, page: str) -> None:
    """No key stands in it: the tab that is open lends its own."""
    await chat.tab.until("holdfast.client.status.state === 'live'")
    async with demo.client() as client:
        session = await client.create(title="Found by its address")
    address = f"{demo.server}/{page}#/{'session/' if page else ''}{session.id}"
    second = await browser.tab(address)
    await second.until("document.querySelector('h1')?.innerText === 'Found by its address'")
    assert await second.run("location.href") == address
    await second.close()


async def test_no_key_is_lent_where_tabs_are_of_different_people(chat: Chat, demo: Demo, browser: Chromium) -> None:
    headers = {"authorization": f"Bearer {demo.token}"}
    async with httpx.AsyncClient(base_url=demo.server, trust_env=False) as http:
        eve = (await http.post("/v1/tokens", json={"sub": "user:eve", "caps": {"*": ["read"]}}, headers=headers)).json()
    other = await browser.tab(f"{demo.server}/#t={eve['token']}")
    await other.until("holdfast.client.status.state === 'live'")
    third = await browser.tab(demo.server + "/")
    await third.until("document.querySelector('#refused')?.checkVisibility()")
    await third.close()
    await other.close()


async def test_sources_are_written_as_the_answer_is(chat: Chat, demo: Demo) -> None:
    async with demo.client() as client:
        session = await client.create(title="Sources")
        ident = {"messageId": "m1"}
        cited = {
            **ident,
            "sourceId": "a",
            "title": "What `heartbeat` **does**",
            "uri": "docs/a.md",
            "quote": "It renews `lease_s`.",
        }
        drafts = [
            Draft("TEXT_MESSAGE_START", {**ident, "role": "assistant"}), Draft("TEXT_MESSAGE_CONTENT", {**ident, "delta": "So."}),
            Draft("source.cited", cited), Draft("TEXT_MESSAGE_END", ident),
        ]  # fmt: skip
        await client.connection.request(wire.Append(session=session.id, events=drafts))
    await chat.tab.run(f"location.hash = '#/{session.id}'")
    await chat.tab.until("document.querySelector('.sources details')")
    await chat.tab.run("document.querySelector('.sources details').open = true")
    codes = await chat.tab.run("[...document.querySelectorAll('.sources code')].map((n) => n.innerText)")
    assert codes == ["heartbeat", "lease_s"]
    assert "does" in await chat.tab.run("document.querySelector('.sources strong').innerText")
    shown = await chat.tab.run("document.querySelector('.sources').innerText")
    assert not set("`*") & set(shown.replace("\n", "")), shown


async def test_on_a_phone_focus_is_one_edge(chat: Chat) -> None:
    """Border and ring, above and below, would be lines across the whole screen."""
    await chat.tab.look(360, 740)
    await chat.tab.run("document.querySelector('#words').focus()")
    style = await chat.tab.run(
        "(({ boxShadow, borderBottomWidth, outlineStyle }) => [boxShadow, borderBottomWidth, outlineStyle])(getComputedStyle(document.querySelector('#composer')))"
    )
    assert style[0].endswith("0px 1px 0px 0px inset") and style[1:] == ["0px", "none"], style
