"""CopilotKit's chat in a browser over its real runtime with our runner: what it stops is stopped, and nothing is kept there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

import holdfast
from tests.browser.chromium import Tab
from tests.browser.clients_site import Clients, clients, pages

__all__ = ["clients", "pages"]

pytestmark = [pytest.mark.anyio, pytest.mark.process]

WORDS = [f"w{number}" for number in range(1, 61)]


class Slow:
    """Says sixty words and waits after the ninth."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, run: holdfast.RunContext) -> None:
        async with run.message() as out:
            for word in WORDS:
                await out.write(f"{word} ")
                if word == "w9":
                    await run.flush()
                    await self.go.wait()


@pytest.fixture
async def slow(clients: Clients) -> AsyncIterator[Slow]:
    agent = Slow()
    async with holdfast.connect(clients.site.url, token=clients.site.token("agent:writers", agents=["*"])) as hf:
        hf.add_agent("writer", agent)
        serving = asyncio.create_task(hf.serve())
        yield agent
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


IDLE = "document.querySelector('#outcome')?.dataset.running === 'false'"
SAID = "document.body.innerText"


async def ask(tab: Tab, words: str) -> None:
    await tab.until(IDLE)
    await tab.type("textarea", words)
    await tab.press("Enter")


async def view(clients: Clients, thread: str) -> dict[str, Any]:
    """The session's view."""
    async with clients.site.http(clients.site.token("user:ann")) as http:
        found: dict[str, Any] = (await http.get(f"/v1/sessions/{thread}")).json()["view"]
    return found


async def status(clients: Clients, thread: str) -> str:
    """What the newest run of the session came to."""
    return str(list((await view(clients, thread))["runs"].values())[-1]["status"])


async def in_order(tab: Tab, *words: str) -> None:
    """The page shows these, in this order, each once."""
    await tab.until(" && ".join(f"{SAID}.includes({word!r})" for word in words))
    said = str(await tab.run(SAID))
    at = [said.index(word) for word in words]
    assert at == sorted(at) and [said.count(word) for word in words] == [1] * len(words), said


async def test_its_stop_stops_the_run_and_a_reload_says_so(clients: Clients, slow: Slow) -> None:
    tab = await clients.open("copilotkit", "writer", "stopped")
    await ask(tab, "Sixty words")
    await tab.until(f"{SAID}.includes('w9')")
    await tab.click("[data-testid=copilot-send-button]")
    await tab.until(f"{IDLE} && document.querySelector('#outcome').textContent === 'cancelled'")
    assert await status(clients, "stopped") == "cancelled"
    await tab.reload()
    await tab.until(f"{IDLE} && document.querySelector('#outcome').textContent === 'cancelled'")
    await in_order(tab, "Sixty words", "w1 w2 w3 w4 w5 w6 w7 w8 w9")
    assert "w10" not in await tab.run(SAID)
    await tab.close()


async def test_a_restart_of_the_runtime_loses_nothing(clients: Clients, slow: Slow) -> None:
    tab = await clients.open("copilotkit", "writer", "restarted")
    slow.go.set()
    await ask(tab, "First question")
    await tab.until(f"{SAID}.includes('w60')")
    slow.go.clear()
    await ask(tab, "Second question")
    await tab.until(f"{SAID}.split('w9').length > 2")
    await clients.end_runtime()
    await clients.runtime()
    assert await status(clients, "restarted") == "running"
    await tab.reload()
    await in_order(tab, "First question", "w60", "Second question")
    slow.go.set()
    await tab.until(f"{IDLE} && {SAID}.split('w60').length === 3")
    assert await status(clients, "restarted") == "completed"
    await tab.close()


async def test_a_second_tab_follows_and_stops_it(clients: Clients, slow: Slow) -> None:
    tab = await clients.open("copilotkit", "writer", "shared")
    await ask(tab, "Sixty words")
    await tab.until(f"{SAID}.includes('w9')")
    other = await clients.open("copilotkit", "writer", "shared")
    await in_order(other, "Sixty words", "w1 w2 w3 w4 w5 w6 w7 w8 w9")
    await other.click("[data-testid=copilot-send-button]")
    for each in (tab, other):
        await each.until(f"{IDLE} && document.querySelector('#outcome').textContent === 'cancelled'")
        await each.close()
    assert await status(clients, "shared") == "cancelled"


@pytest.mark.parametrize("given", [{}, {"state": "yes"}], ids=["kept to itself", "given to agents"])
async def test_what_a_page_changes_of_the_state(clients: Clients, slow: Slow, given: dict[str, str]) -> None:
    slow.go.set()
    thread = f"liked-{len(given)}"
    tab = await clients.open("copilotkit", "writer", thread, **given)
    await tab.until(IDLE)
    await tab.click("#like")
    await ask(tab, "Sixty words")
    await tab.until(f"{IDLE} && {SAID}.includes('w60')")
    assert (await view(clients, thread))["state"] == ({"liked": True} if given else {})
    await tab.close()
