"""Moments between the happy ones: words said before there is a line, a stop that is on its way, a key that ends."""

from __future__ import annotations

import httpx
import jwt
import pytest

from tests.browser.chromium import Chromium
from tests.browser.conftest import Chat, Demo

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.process]

QUESTION = "What happens to a run when its lease expires?"
FACTS = "document.querySelector('.run.root > header').innerText"


async def test_first_words_of_a_session_said_while_the_line_is_cut(chat: Chat) -> None:
    await chat.tab.click("#new")
    await chat.tab.run("holdfast.client.cut(1500)")
    await chat.tab.until("document.body.dataset.line === 'offline'")
    await chat.tab.type("#words", "What is a lease?")
    await chat.tab.press("Enter")
    await chat.tab.until("document.querySelector('.input.sending')")
    await chat.ended()
    await chat.exact()


async def test_the_tab_that_watches_says_that_an_attempt_was_lost(chat: Chat) -> None:
    await chat.ask(QUESTION)
    await chat.mid_answer()
    await chat.break_it("librarian", 1)
    try:
        await chat.tab.until("document.querySelector('.loss')?.innerText.includes('fell silent')")
        assert "at work" not in await chat.tab.run(FACTS)
    finally:
        await chat.break_it("librarian", 1)
    await chat.ended()
    await chat.exact()


async def test_the_agent_outlives_a_server_that_is_away_for_longer_than_its_lease(chat: Chat, demo: Demo) -> None:
    await chat.ask(QUESTION)
    await chat.mid_answer()
    for _ in range(3):
        await chat.break_it("server")
        await chat.tab.until("document.body.dataset.line === 'offline'")
        await chat.tab.until("document.body.dataset.line === 'live'")
    await chat.ended()
    view = await chat.exact()
    assert not any(run.get("losses") for run in view.runs.values())


async def test_what_waits_for_a_person_can_be_stopped(chat: Chat) -> None:
    await chat.ask("Note: not this one.", "clerk")
    await chat.tab.until("document.querySelector('.approval[data-status=pending]')")
    await chat.tab.until("document.querySelector('.run.root[data-status=waiting]')")
    await chat.tab.click("#stop")
    await chat.ended("cancelled")
    assert "did not answer" not in await chat.tab.run(FACTS)
    assert "Not decided" in await chat.tab.run("document.querySelector('.approval').innerText")
    await chat.exact()


async def test_a_stop_pressed_offline_is_shown_and_sent(chat: Chat) -> None:
    await chat.ask(QUESTION)
    await chat.mid_answer()
    await chat.tab.run("holdfast.client.cut(1500)")
    await chat.tab.until("document.body.dataset.line === 'offline'")
    await chat.tab.click("#stop")
    await chat.tab.until(f"{FACTS}.includes('sending your stop')")
    await chat.ended("cancelled")
    await chat.exact()


async def test_an_action_is_shown_as_it_is(chat: Chat) -> None:
    await chat.ask("Note: pay \u202e00001\u202c euros.", "clerk")
    shown = await chat.tab.until("document.querySelector('.approval[data-status=pending] .args')?.innerText")
    assert "⟨U+202E⟩00001⟨U+202C⟩" in shown
    await chat.tab.click(".approval[data-status=pending] .danger")
    await chat.ended()


async def test_a_key_that_ends_takes_nothing_from_the_page_and_another_goes_on(demo: Demo, browser: Chromium) -> None:
    async with httpx.AsyncClient(base_url=demo.server, trust_env=False) as http:
        asked = {"sub": "user:you", "caps": {"*": ["read", "append", "control", "approve", "presence"]}}
        given = await http.post("/v1/tokens", json=asked, headers={"authorization": f"Bearer {demo.token}"})
        token = given.json()["token"]
        chat = Chat(demo, await browser.tab(f"{demo.server}/#t={token}"))
        await chat.ask("What is a lease?")
        await chat.ended()
        said = await chat.answer()
        await chat.tab.type("#words", "half a thought")
        ident = jwt.decode(token, options={"verify_signature": False})["jti"]
        await http.post("/v1/tokens/revoke", json={"jti": ident}, headers={"authorization": f"Bearer {token}"})
    await chat.tab.until("document.querySelector('#expired')?.checkVisibility()")
    assert await chat.answer() == said
    await chat.tab.run(f"void (location.hash = 't={demo.token}&s={await chat.session}')")
    await chat.tab.until("document.body?.dataset.line === 'live' && !document.querySelector('#expired')")
    await chat.exact()
    assert await chat.tab.run("words.value") == "half a thought"
    await chat.tab.close()


async def test_words_go_to_the_agent_of_the_session(chat: Chat, demo: Demo, browser: Chromium) -> None:
    await chat.ask("Note: an anchor.", "clerk")
    await chat.tab.click(".approval[data-status=pending] .danger")
    await chat.ended()
    second = Chat(demo, await browser.tab(demo.page(await chat.session)))
    await second.tab.until("document.querySelector('#agents input[value=clerk]')?.checked")
    await second.tab.close()
