"""The console in a real browser: what operators see is what the log holds, and its buttons do what they say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from holdfast.protocol import wire
from holdfast.protocol.codec import canonical
from holdfast.protocol.events import Draft
from holdfast.protocol.fold import View
from holdfast.protocol.frames import decode_frame
from tests.browser.chromium import Chromium, Tab
from tests.browser.conftest import Chat, Demo

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.process]
EVENTS = 10_000


@pytest.fixture
async def console(demo: Demo, browser: Chromium) -> AsyncIterator[Tab]:
    tab = await browser.tab(f"{demo.server}/console/#t={demo.token}")
    await tab.until("document.body.dataset.line === 'live'")
    yield tab
    assert tab.errors == []
    await tab.close()


async def folded(demo: Demo, session: str, seq: int) -> View:
    """The session as it was at ``seq``, by the Python fold."""
    view = View()
    headers = {"authorization": f"Bearer {demo.token}"}
    async with httpx.AsyncClient(base_url=demo.server, headers=headers, trust_env=False) as http:
        after = 0
        while after < seq:
            page = (await http.get(f"/v1/sessions/{session}/events", params={"after": after})).json()
            for frame in page["frames"]:
                events = decode_frame(canonical(frame)).events if frame["op"] == "events" else []
                for event in events:
                    if event.seq <= seq:
                        assert view.apply(event)
                after = frame["to"]
    return view


async def long_session(demo: Demo) -> str:
    """A session of ten thousand events."""
    async with demo.client() as client:
        session = await client.create(title="Ten thousand", agent="librarian", meta={"workflow": "tides"})
        for number in range(EVENTS // 100):
            ident = {"messageId": f"m{number}"}
            drafts = [Draft("TEXT_MESSAGE_START", {**ident, "role": "assistant"})]
            drafts += [Draft("TEXT_MESSAGE_CONTENT", {**ident, "delta": f"{word} tide "}) for word in range(98)]
            drafts += [Draft("TEXT_MESSAGE_END", ident)]
            await client.connection.request(wire.Append(session=session.id, events=drafts))
        return session.id


async def test_sessions_are_found_and_filtered(console: Tab, chat: Chat) -> None:
    await chat.ask("What is a lease?")
    session = await chat.session
    row = f'a.line[href="#/session/{session}"]'
    await console.until(f"document.querySelector('{row}')")
    await console.type("#find", "nothing of the kind")
    await console.press("Enter")
    await console.until(f"document.querySelector('{row}') === null && document.querySelector('.nothing')")
    await console.run("location.hash = '#/sessions?agent=librarian'")
    await console.until(f"document.querySelector('{row}')?.innerText.includes('librarian')")
    await chat.ended()
    await console.until(f"document.querySelector('{row} .state')?.dataset.status === 'completed'")


async def test_the_scrubber_folds_to_any_position(console: Tab, chat: Chat, demo: Demo) -> None:
    await chat.ask("What happens to a run when its lease expires?")
    session = await chat.session
    await console.run(f"location.hash = '#/session/{session}'")
    await chat.ended()
    tail = await chat.tail()
    await console.until(f"document.querySelector('.at')?.innerText.startsWith('live at {tail}')")
    for seq in (1, 2, tail // 3, tail // 2, tail - 1):
        await console.run(f"location.hash = '#/session/{session}?at={seq}'")
        await console.until(f"document.querySelector('.at').innerText.startsWith('as it was at {seq}')")
        wanted = await folded(demo, session, seq)
        runs = sorted(run["status"] for run in wanted.runs.values())
        shown = "[...document.querySelectorAll('.folded .branch .state')].map((n) => n.dataset.status).sort()"
        await console.until(f"JSON.stringify({shown}) === {json.dumps(json.dumps(runs, separators=(',', ':')))}")
        items = await console.run("document.querySelector('.folded .virtual > div')?.style.height ?? '0px'")
        assert items == f"{60 * len(wanted.items)}px"
    await console.run("document.querySelector('.scrubber button').click()")
    await console.until(f"document.querySelector('.at').innerText.startsWith('live at {tail}')")


async def test_ten_thousand_events_are_a_few_rows(console: Tab, demo: Demo) -> None:
    session = await long_session(demo)
    await console.run(f"location.hash = '#/session/{session}?pane=raw'")
    await console.until(
        f"[...document.querySelectorAll('.event .num')].some((n) => Number(n.innerText) >= {EVENTS})", 60
    )
    assert await console.run("document.querySelectorAll('.event').length") < 100
    await console.run("document.querySelector('.virtual').scrollTop = 28 * 5000")
    await console.until("[...document.querySelectorAll('.event .num')].some((n) => n.innerText === '5001')")
    await console.run(f"location.hash = '#/session/{session}?at=5050'")
    await console.until("document.querySelector('.at')?.innerText.startsWith('as it was at 5,050')")
    assert await console.run("document.querySelectorAll('.item').length") < 60
    await console.run("location.hash = '#/sessions?workflow=tides'")
    await console.until("document.querySelectorAll('a.line').length === 1")


async def test_a_connection_is_cut_and_nothing_is_lost(console: Tab, chat: Chat) -> None:
    await chat.ask("What happens to a run when its lease expires?")
    await chat.mid_answer()
    mine = await chat.tab.run("holdfast.client.connection.welcome.connection")
    await console.run("location.hash = '#/connections'")
    row = f"[...document.querySelectorAll('tr[data-row]')].find((n) => n.innerText.includes('{await chat.session}') && n.innerText.includes('web'))"
    await console.until(f"{row} !== undefined")
    await console.run(f"{row}.querySelector('button').click()")
    await chat.tab.until(f"holdfast.client.connection.welcome.connection !== '{mine}'")
    await console.until("document.querySelector('#notice').innerText.includes('was cut')")
    await chat.ended()
    await chat.exact()


async def test_an_operator_stops_and_approves(console: Tab, chat: Chat) -> None:
    await chat.ask("Note: tides wait for nobody.", "clerk")
    await console.run(f"location.hash = '#/session/{await chat.session}'")
    await console.until("document.querySelector('.beside .approval')")
    assert "write" in await console.run("document.querySelector('.beside .approval').innerText")
    await console.run("document.querySelector('.beside .approval button.primary').click()")
    await chat.ended()
    await chat.ask("What happens to a run when its lease expires?")
    await chat.mid_answer()
    await console.run("location.hash = '#/runs'")
    stop = "[...document.querySelectorAll('tr[data-row]')].find((n) => n.innerText.includes('librarian'))?.querySelector('button.danger')"
    await console.until(stop)
    assert await console.run("document.querySelector('.lease meter')?.value") > 0
    await console.run(f"{stop}.click()")
    await chat.ended("cancelled")
    await chat.exact()


async def test_rates_and_latencies_are_drawn(console: Tab, chat: Chat) -> None:
    await console.run("location.hash = '#/traffic'")
    await chat.ask("What is a cursor?")
    await console.until("document.querySelectorAll('.chart canvas').length === 2")
    drawn = "[...document.querySelectorAll('.traffic details td')].some((n) => /[1-9]/.test(n.textContent))"
    await console.until(drawn)
    await chat.ended()


@pytest.mark.parametrize("page", ["sessions", "runs", "connections", "traffic"])
async def test_nothing_overflows_on_a_phone(console: Tab, page: str) -> None:
    await console.look(360, 740)
    await console.run(f"location.hash = '#/{page}'")
    await asyncio.sleep(0.5)
    assert await console.run("document.documentElement.scrollWidth") <= 360


async def test_keys_move_between_pages_and_rows(console: Tab, chat: Chat) -> None:
    await chat.ask("What is a lease?")
    await chat.ended()
    await console.until("document.querySelector('a.line')")
    await console.press("j")
    assert await console.run("document.activeElement.matches('[data-row]')")
    await console.press("2")
    await console.until("document.querySelector('h1').innerText === 'Runs'")
    await console.press("/")
    assert await console.run("document.activeElement.id") == "find"
