"""The console in a real browser: what operators see is what the log holds, and its buttons do what they say."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from holdfast.client.client import Client
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
        session = await client.create(title="Ten thousand", agent="librarian")
        for number in range(EVENTS // 100):
            ident = {"messageId": f"m{number}"}
            drafts = [Draft("TEXT_MESSAGE_START", {**ident, "role": "assistant"})]
            drafts += [Draft("TEXT_MESSAGE_CONTENT", {**ident, "delta": f"{word} tide "}) for word in range(98)]
            drafts += [Draft("TEXT_MESSAGE_END", ident)]
            await client.connection.request(wire.Append(session=session.id, events=drafts))
    async with Client(demo.server, demo.minted("user:ann", labels={"workflow": "tides"})) as ann:
        await ann.session(session.id).send("for whom is it?", agent="nobody")
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
    row = f"document.querySelector('tr[data-connection=\"{mine}\"]')"
    await console.until(row)
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


async def test_what_was_written_before_the_page_opened_is_drawn(demo: Demo, browser: Chromium) -> None:
    async with demo.client() as client:
        session = (await client.create(title="A moment ago")).id
    late = await browser.tab(f"{demo.server}/console/#t={demo.token}")
    label = f"document.querySelector('a.line[href=\"#/session/{session}\"] .spark')?.getAttribute('aria-label') ?? ''"
    await late.until(f"/^[1-9]\\d* events/.test({label})")
    await late.close()


async def test_connections_name_what_they_read(console: Tab, chat: Chat, demo: Demo) -> None:
    async with demo.client() as client:
        session = await client.create(title="Spring tides")
        async with client.session(session.id).live():
            await console.run("location.hash = '#/connections'")
            link = f"document.querySelector('.connections a[href=\"#/session/{session.id}\"]')"
            await console.until(f"{link}?.innerText === 'Spring tides'")
            words = await console.run("document.querySelector('.connections').innerText")
            idents = await console.run(
                "[...document.querySelectorAll('[data-connection]')].map((n) => n.dataset.connection)"
            )
            assert len(idents) > 2 and not [ident for ident in [session.id, *idents] if ident in words]


@pytest.mark.parametrize("width", [360, 1280])
async def test_labels_of_time_stand_apart(console: Tab, width: int) -> None:
    await console.look(width, 800)
    await console.run("""(() => {
        const made = { at: 1764000044000 - 1000, stats: null };
        const request = operator.request.bind(operator);
        operator.request = async (...what) => {
            const told = await request(...what);
            if (what[0] === "stats") window.labels ??= [];  // what was drawn before is of another clock
            return what[0] === "stats" ? { ...told, now_ms: (made.at += 1000) } : told;
        };
        window.labels = null;
        const draw = CanvasRenderingContext2D.prototype.fillText;
        CanvasRenderingContext2D.prototype.fillText = function (words, x, y, ...more) {
            const at = this.getTransform().transformPoint({ x, y });
            const wide = this.measureText(words).width;
            if (/\\d:\\d|^:\\d\\d/.test(words)) window.labels?.push({ words, from: at.x - wide / 2, to: at.x + wide / 2, y: at.y, whole: this.canvas.width });
            return draw.call(this, words, x, y, ...more);
        };
        location.hash = "#/traffic";
    })()""")
    await console.until("window.labels?.length >= 8")
    drawn = await console.run("labels")
    assert all(one["from"] >= 0 and one["to"] <= one["whole"] for one in drawn), drawn
    for one, other in itertools.pairwise(drawn):
        if other["y"] == one["y"] and other["from"] > one["from"]:
            assert other["from"] > one["to"], (one, other)
    assert len({one["y"] for one in drawn}) == 1, "one row"


async def test_nothing_to_say_takes_no_room(console: Tab) -> None:
    await console.run("operator.showNotice('')")
    assert await console.run("document.querySelector('#page').getBoundingClientRect().bottom === innerHeight")
    assert await console.run("document.querySelector('#notice').checkVisibility({ visibilityProperty: true })") is False
    await console.run("operator.showNotice('Said.')")
    await console.until("document.querySelector('#notice').checkVisibility({ visibilityProperty: true })")


async def test_a_phone_shows_every_lane_and_the_whole_placeholder(console: Tab, demo: Demo) -> None:
    headers = {"authorization": f"Bearer {demo.token}"}
    async with demo.client() as client, httpx.AsyncClient(base_url=demo.server, trust_env=False) as http:
        session = await client.create(title="A crowd")
        for number in range(9):
            asked = {"sub": f"user:p{number}", "caps": {session.id: ["read", "append"]}}
            token = (await http.post("/v1/tokens", json=asked, headers=headers)).json()["token"]
            async with Client(demo.server, token) as person:
                await person.session(session.id).send("hello")
    await console.look(360, 740)
    await console.run(f"location.hash = '#/session/{session.id}'")
    await console.until("document.querySelectorAll('.lane').length === 10")
    hidden = "[...document.querySelectorAll('.lanes, .timeline, .folded > section')].filter((n) => n.scrollHeight > n.clientHeight + 1).map((n) => n.className)"
    assert await console.run(hidden) == []
    assert await console.run(
        "document.querySelector('.split').scrollHeight > document.querySelector('.split').clientHeight"
    ), "the page scrolls"
    room = await console.run("""(() => {
        const box = document.querySelector("#find"), pen = document.createElement("canvas").getContext("2d");
        pen.font = getComputedStyle(box).font;
        return box.clientWidth - pen.measureText(box.placeholder).width;
    })()""")
    assert room >= 0


async def test_a_server_that_is_away_is_said_in_words(console: Tab, demo: Demo) -> None:
    await console.run("location.hash = '#/runs'")
    await console.until("document.querySelector('h1').innerText === 'Runs'")
    await console.network(offline=True)
    await console.until("document.querySelector('.failure')?.innerText === 'The server did not answer.'")
    await console.run("void operator.perform(() => operator.request('connections/c1', 'DELETE'), 'done')")
    await console.until("document.querySelector('#notice').innerText === 'The server did not answer.'")
    await console.network(offline=False)
    await console.until("document.querySelector('.failure') === null")
