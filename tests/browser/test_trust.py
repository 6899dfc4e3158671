"""Pages and what strangers put before them: names that are not what they look like, and addresses that make one somebody else."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from holdfast.agents.holdfast import Holdfast
from holdfast.agents.run import RunContext
from holdfast.edge import auth
from holdfast.protocol import wire
from holdfast.protocol.events import Draft
from tests.browser.chromium import Chromium, Tab
from tests.browser.conftest import Demo

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.process]

TURNED = "read\u202eELIF_eteled\u202c\u2066\u200b\x1b[2K"
UNSEEN = r"""
(() => {
  const acts = /(?![\n\t\u200c\u200d])[\p{Cc}\p{Cf}\u2028\u2029]/u;
  const found = [];
  const walk = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    if (node.nodeType === 3) {
      if (acts.test(node.data) && !node.parentElement.closest(".text, .prose, script, style")) found.push(node.parentElement.outerHTML);
    } else for (const name of ["title", "aria-label", "alt", "placeholder"])
      if (acts.test(node.getAttribute(name) ?? "")) found.push(`${name} of ${node.outerHTML.slice(0, 200)}`);
  }
  return found;
})()
"""


def key(demo: Demo, subject: str, **more: Any) -> str:
    secret = auth.read_secret(str(demo.folder / "demo.db"))
    assert secret is not None
    return auth.mint(secret, subject=subject, **more)


async def waiting(demo: Demo) -> str:
    """A session of somebody else's agent, which waits for an approval, with names that turn their letters around."""

    async def act(run: RunContext) -> None:
        await run.say(f"said {TURNED} and **{TURNED}**")
        await run.tool(TURNED, {TURNED: TURNED}, lambda **_: TURNED)
        await run.activity(TURNED, {"a": TURNED})
        async with run.step(TURNED), run.sub(TURNED) as child:
            await child.say(TURNED)
        await run.approve(TURNED, {TURNED: TURNED}, wait=True)

    async with Holdfast(demo.server, token=key(demo, "agent:w", agents=["*"])) as hf:
        hf.add_agent(TURNED, act)
        serving = asyncio.create_task(hf.serve(signals=False))
        async with demo.client() as person:
            session = await person.create(title=f"About {TURNED}", agent=TURNED)
            run = await session.send(f"please {TURNED}")
            usage = [Draft("CUSTOM", {"name": TURNED, "value": TURNED})]
            await session.connection.request(wire.Append(session=session.id, events=usage))
            async with session.live() as live:
                await live.until(lambda view: view.runs[run.id]["status"] == "waiting")
        serving.cancel()
        return session.id


async def test_pages_show_names_as_they_are(demo: Demo, browser: Chromium) -> None:
    session = await waiting(demo)
    chat = await browser.tab(demo.page(session))
    await chat.until("document.querySelector('.approval[data-status=pending]') !== null")
    await chat.until("document.querySelector('#sessions-list .title')?.textContent.includes('U+202E')")
    assert await chat.run(UNSEEN) == []
    shown = await chat.run("document.querySelector('.approval code').textContent")
    assert shown == "read⟨U+202E⟩ELIF_eteled⟨U+202C⟩⟨U+2066⟩⟨U+200B⟩⟨U+001B⟩[2K"
    said = await chat.run("document.querySelector('#list .input .text').textContent")
    assert said == f"please {TURNED}", "what is said is there as it stands in the log"
    assert chat.errors == []
    console = await browser.tab(f"{demo.server}/console/#t={demo.token}")
    await console.until("document.body.dataset.line === 'live'")
    for place in (
        "sessions",
        "runs",
        "connections",
        f"session/{session}",
        f"session/{session}?pane=runs",
        f"session/{session}?pane=raw",
    ):
        await console.run(f"location.hash = '#/{place}'")
        await console.until("document.querySelector('main')?.textContent.length > 40")
        await console.until(f"location.hash === '#/{place}'")
        assert await console.run(UNSEEN) == [], place
    assert console.errors == []
    await chat.close()
    await console.close()


# --- as whom a tab speaks
async def me(tab: Tab) -> str:
    return str(
        await tab.until(
            "document.body.dataset.line === 'live' && (window.holdfast ?? window.operator).client.principal"
        )
    )


async def follow(tab: Tab, token: str) -> None:
    """Follow a link with a key in the open page, which loads itself again."""
    tab._loaded.clear()
    await tab.run(f"void setTimeout(() => location.hash = {json.dumps('#t=' + token)})")
    async with asyncio.timeout(30):
        await tab._loaded.wait()


async def opened(demo: Demo, browser: Chromium, page: str) -> Tab:
    """A tab in which ann has written half a sentence."""
    tab = await browser.tab(f"{demo.server}{page}#t={key(demo, 'user:ann')}")
    assert await me(tab) == "user:ann"
    await tab.run("sessionStorage.setItem('holdfast.draft ', 'my secret')")
    return tab


@pytest.mark.parametrize("page", ["/", "/console/"])
async def test_an_address_makes_nobody_somebody_else_without_a_word(demo: Demo, browser: Chromium, page: str) -> None:
    tab = await opened(demo, browser, page)
    foreign = key(demo, "user:eve")
    await follow(tab, foreign)
    await tab.until("document.querySelector('#who')?.checkVisibility()")
    words = await tab.run("document.querySelector('#who').innerText")
    assert "user:ann" in words and "user:eve" in words
    assert await tab.run("location.href.includes('t=')") is False, "the key leaves the address at once"
    assert await tab.run("window.holdfast ?? window.operator ?? null") is None, "nothing is sent as either"
    await tab.click("#stay")
    assert await me(tab) == "user:ann"
    assert await tab.run("sessionStorage.getItem('holdfast.draft ')") == "my secret"
    await tab.go(f"{demo.server}{page}?again#t={foreign}")
    await tab.click("#change")
    assert (await me(tab)).startswith("user:eve")
    assert await tab.run("sessionStorage.getItem('holdfast.draft ')") is None, "nothing of ann is left for eve"
    await tab.reload()
    assert (await me(tab)).startswith("user:eve")
    await tab.close()


async def test_a_newer_key_of_the_same_person_is_taken(demo: Demo, browser: Chromium) -> None:
    tab = await opened(demo, browser, "/")
    fresh = key(demo, "user:ann", ttl_s=time.time() % 1_000 + 100)
    await follow(tab, fresh)
    await tab.until(f"sessionStorage.getItem('holdfast.token') === {json.dumps(fresh)}")
    assert await me(tab) == "user:ann"
    assert await tab.run("document.querySelector('#who')") is None
    other_tenant = key(demo, "user:ann", tenant="elsewhere")
    await follow(tab, other_tenant)
    await tab.until("document.querySelector('#who')?.checkVisibility()")
    assert "user:ann of elsewhere" in await tab.run("document.querySelector('#who').innerText")
    await tab.close()
