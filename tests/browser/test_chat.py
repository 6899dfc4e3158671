"""The page in a real browser, broken in every way its buttons offer: it ends with exactly the text the agent wrote."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.browser.chromium import Chromium
from tests.browser.conftest import Chat, Demo

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.process]

QUESTION = "What happens to a run when its lease expires?"
NOTHING_SPINS = "document.querySelector('.state[data-status=running], .state[data-status=stopping]') === null"


@pytest.fixture(scope="module")
async def undisturbed(demo: Demo, browser: Chromium) -> str:
    """What the librarian answers when nobody breaks anything."""
    chat = Chat(demo, await browser.tab(demo.page()))
    await chat.ask(QUESTION)
    await chat.ended()
    await chat.exact()
    text = await chat.answer()
    await chat.tab.close()
    assert len(text) > 300
    return text


async def resumed_exactly(chat: Chat) -> None:
    """The page says so itself, and counted it."""
    found = re.fullmatch(r"resumed at \d+ · (\d+) missed, (\d+) received · 0 gaps · 0 repeats", await chat.line())
    assert found is not None, await chat.line()
    assert found[1] == found[2]


async def test_refresh_mid_answer(chat: Chat, undisturbed: str) -> None:
    await chat.ask(QUESTION)
    await chat.mid_answer()
    await chat.tab.reload()
    await chat.tab.until("holdfast.session?.status === 'live'")
    await resumed_exactly(chat)
    await chat.ended()
    await chat.exact()
    assert await chat.answer() == undisturbed


async def test_second_tab_joins_mid_answer(chat: Chat, demo: Demo, browser: Chromium, undisturbed: str) -> None:
    await chat.ask(QUESTION)
    await chat.mid_answer()
    second = Chat(demo, await browser.tab(await chat.tab.run("holdfast.linkToHere()")))
    await second.tab.until("document.querySelector('.run.root[data-status=running]')")
    assert "t=" not in await second.tab.run("location.href")
    await chat.tab.until("document.querySelector('#here').innerText.includes('2 tabs')")
    for one in (chat, second):
        await one.ended()
        await one.exact()
        assert await one.answer() == undisturbed
    await second.tab.close()


async def test_closing_every_tab_changes_nothing(chat: Chat, demo: Demo, browser: Chromium, undisturbed: str) -> None:
    await chat.ask(QUESTION)
    await chat.mid_answer()
    session = await chat.session
    await chat.tab.go("about:blank")
    async with demo.client() as client, client.session(session).live() as live:
        await live.until(lambda view: all(run["status"] == "completed" for run in view.runs.values()))
    later = Chat(demo, await browser.tab(demo.page(session)))
    await later.ended()
    await later.exact()
    assert await later.answer() == undisturbed
    await later.tab.close()


@pytest.mark.parametrize("button", [0, 2], ids=["cut", "reset by the server"])
async def test_cut(chat: Chat, undisturbed: str, button: int) -> None:
    await chat.ask(QUESTION)
    await chat.mid_answer()
    await chat.break_it("the line", button)
    await chat.tab.until("holdfast.recoveries.length > 1")
    await resumed_exactly(chat)
    await chat.ended()
    await chat.exact()
    assert await chat.answer() == undisturbed


async def test_cut_for_ten_seconds(chat: Chat, undisturbed: str) -> None:
    await chat.ask(QUESTION)
    await chat.mid_answer()
    await chat.break_it("the line", 1)
    await chat.tab.until("document.body.dataset.line === 'offline'")
    await chat.tab.until("holdfast.recoveries.length > 1")
    await resumed_exactly(chat)
    await chat.ended()
    await chat.exact()
    assert await chat.answer() == undisturbed


async def test_stop_in_one_tab_stops_all(chat: Chat, demo: Demo, browser: Chromium, undisturbed: str) -> None:
    await chat.ask(QUESTION)
    await chat.mid_answer()
    second = Chat(demo, await browser.tab(demo.page(await chat.session)))
    await second.tab.click("#stop")
    for one in (chat, second):
        await one.ended("cancelled")
        await one.tab.until(NOTHING_SPINS)
        await one.exact()
    text = await chat.answer()
    assert undisturbed.startswith(text)
    assert len(text) < len(undisturbed)
    await second.tab.close()


async def test_steer(chat: Chat) -> None:
    await chat.ask(QUESTION)
    await chat.mid_answer()
    await chat.tab.type("#words", "only about snapshots")
    await chat.tab.press("Enter")
    await chat.tab.until("document.querySelector('.steer[data-status=delivered]')")
    await chat.ended()
    await chat.exact()
    assert "Heeding “only about snapshots”" in await chat.answer()


async def test_approval_after_reload_writes_once(chat: Chat, demo: Demo) -> None:
    await chat.ask("Note: tides wait for nobody.", "clerk")
    await chat.tab.until("document.querySelector('.approval[data-status=pending]')")
    await chat.tab.reload()
    await chat.tab.until(
        "document.querySelector('.approval[data-status=pending]') && document.body.dataset.line === 'live'"
    )
    assert not (demo.folder / "notes" / "notes.md").exists()
    assert "tides wait for nobody." in await chat.tab.run("document.querySelector('.approval .args').innerText")
    await chat.tab.run("document.activeElement.blur()")
    await chat.tab.press("a")
    await chat.ended()
    await chat.exact()
    assert (demo.folder / "notes" / "notes.md").read_text().count("tides wait for nobody.") == 1
    assert "Approved by you" in await chat.tab.run("document.querySelector('.approval').innerText")


async def test_denied(chat: Chat, demo: Demo) -> None:
    await chat.ask("Note: this is not to be written.", "clerk")
    await chat.tab.click(".approval[data-status=pending] .danger")
    await chat.ended()
    await chat.exact()
    assert "Nothing was written." in await chat.answer()
    notes = demo.folder / "notes" / "notes.md"
    assert not notes.exists() or "not to be written" not in notes.read_text()


async def test_kill_the_server_mid_answer(chat: Chat, undisturbed: str) -> None:
    await chat.ask(QUESTION)
    await chat.mid_answer()
    await chat.tab.run(
        "(show => { window.notices = []; holdfast.showNotice = (...notice) => { notices.push(notice); show(...notice); }; })"
        "(holdfast.showNotice.bind(holdfast))"
    )
    await chat.break_it("server")
    await chat.tab.until("document.body.dataset.line === 'offline'")
    await chat.ended()
    notices = await chat.tab.run("notices.filter(([words, kind]) => /server|fetch/i.test(words) || kind === 'error')")
    assert [words for words, *_ in notices] == ["The server was killed: SIGKILL. It is started again in a moment."], (
        "it worked"
    )
    await chat.exact()
    await resumed_exactly(chat)
    assert await chat.answer() == undisturbed


async def test_kill_the_agent_mid_answer(chat: Chat, undisturbed: str) -> None:
    await chat.ask(QUESTION)
    await chat.mid_answer()
    await chat.break_it("librarian")
    await chat.tab.until("document.querySelector('.loss')?.innerText.includes('Attempt 1 was lost')")
    await chat.ended()
    await chat.tab.until(NOTHING_SPINS)
    await chat.exact()
    assert await chat.answer() == undisturbed
    cut = await chat.tab.run("document.querySelector('.message.superseded > .text').textContent")
    assert undisturbed.startswith(cut)


async def test_freeze_the_agent_and_stop(chat: Chat) -> None:
    await chat.ask(QUESTION)
    await chat.mid_answer()
    await chat.break_it("librarian", 1)
    await chat.tab.until("document.querySelector('.break-row[aria-label=librarian] [data-frozen=true]')")
    await chat.tab.click("#stop")
    await chat.ended("cancelled")
    await chat.tab.until(NOTHING_SPINS)
    stopped = await chat.answer()
    await chat.break_it("librarian", 1)
    await chat.tab.until("document.querySelector('.break-row[aria-label=librarian] [data-frozen=false]')")
    await asyncio.sleep(1)  # what the thawed agent still wanted to say is refused
    await chat.exact()
    assert await chat.answer() == stopped
    await chat.ask("What is a cursor?")  # and it works again
    await chat.ended()


async def test_said_offline_is_sent_once_even_after_a_reload(chat: Chat) -> None:
    await chat.ask("What is a lease?")
    await chat.ended()
    await chat.tab.run("holdfast.client.cut(3000)")
    await chat.tab.type("#words", "What is a cursor?")
    await chat.tab.press("Enter")
    await chat.tab.until("document.querySelector('.input.sending')?.innerText.includes('What is a cursor?')")
    await chat.tab.reload()
    await chat.tab.until("[...document.querySelectorAll('.input:not(.sending) .text')].length === 2")
    await chat.ended()
    view = await chat.exact()
    assert [i["text"] for i in view.items if i.get("role") == "user"] == ["What is a lease?", "What is a cursor?"]


async def test_edit_regenerate_and_switch(chat: Chat) -> None:
    await chat.ask("What is a lease?")
    await chat.ended()
    first = await chat.answer()
    await chat.tab.run("document.querySelector('article.input header .quiet').click()")
    await chat.tab.run("document.querySelector('textarea.editing').value = 'What is a cursor?'")
    await chat.tab.click(".edit .primary")
    await chat.tab.until("document.querySelector('.input .text')?.textContent === 'What is a cursor?'")
    await chat.ended()
    await chat.exact()
    second = await chat.answer()
    assert second != first
    await chat.tab.click(".actions button")
    await chat.tab.until("document.querySelector('.run .siblings .count')?.textContent === '2 / 2'")
    await chat.ended()
    await chat.exact()
    await chat.tab.click(".input .siblings button")
    await chat.tab.until("document.querySelector('.input .text')?.textContent === 'What is a lease?'")
    await chat.exact()
    assert await chat.answer() == first


async def test_take_over_and_give_back(chat: Chat) -> None:
    await chat.ask(QUESTION)
    await chat.mid_answer()
    await chat.tab.click("#hand")
    await chat.ended("cancelled")
    await chat.tab.until("document.querySelector('#taken') !== null")
    await chat.tab.type("#words", "A person speaks.")
    await chat.tab.press("Enter")
    await chat.tab.until("document.querySelector('.input.operator')")
    await chat.tab.click("#hand")
    await chat.tab.until("document.querySelector('#taken') === null")
    await chat.exact()
