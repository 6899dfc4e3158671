"""Parts of the page that need a browser's DOM, and long sessions."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

import pytest

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
  const { Growing } = look;
  return texts.map((text) => {
    const whole = document.createElement("div");
    new Growing(whole).show(text);
    const grown = document.createElement("div");
    const growing = new Growing(grown);
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
