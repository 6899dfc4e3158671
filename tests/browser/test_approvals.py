"""Approvals pressed in real pages of other people's packages, with every adapter: a tool acts exactly when it was allowed."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.browser.chromium import Tab
from tests.browser.clients_site import Clients, clients, pages
from tests.dialects.gated import WHOLE, some

__all__ = ["clients", "pages"]

pytestmark = [pytest.mark.anyio, pytest.mark.process]

NUMBERS = itertools.count(1)
CALLS = "[...document.querySelectorAll('.call')].map((call) => call.dataset.state)"
CASES = (
    some("v6", "v7", "v7-ws", "holdfast", "ag-ui", "copilotkit")
    if WHOLE
    else [
        *some("v6", "holdfast", "ag-ui"),
        ("chat", "hold", "approve", "v7"),
        ("pydantic", "go", "reload", "v7-ws"),
        ("agents_sdk", "go", "reload", "copilotkit"),
        ("langgraph", "go", "deny", "copilotkit"),
        ("messages", "hold", "approve", "copilotkit"),
    ]
)
"""Version 7 is pressed with every adapter in ``tests/dialects``, CopilotKit's chat, the slowest, in the whole matrix."""
DONE = {"v6", "v7", "v7-ws", "holdfast"}
"""Ways in whose calls have the states of the AI SDK; the others say ``complete`` of all that were answered."""


async def shown(tab: Tab, denied: bool) -> list[str]:
    """The states of the calls on the page, once it shows what came of them."""
    words = "Not sent" if denied else "Sent to"
    await tab.until(
        f"document.querySelector('#outcome')?.dataset.running === 'false' && document.body.innerText.includes('{words}')"
    )
    assert await tab.run("document.querySelectorAll('.approval').length") == 0, "a button is left that does nothing"
    found: list[str] = await tab.run(CALLS)
    return found


@pytest.mark.parametrize(("adapter", "held", "then", "way"), CASES)
async def test_the_button_works(
    clients: Clients, adapter: str, held: str, then: str, way: str, record_property: Any
) -> None:
    number = next(NUMBERS)
    whom, thread, denied = f"bo{number}", f"t{number}", then == "deny"
    tab = await clients.open(way, f"{adapter}-{held}", thread)
    await tab.click("textarea")
    await tab.until("document.querySelector('#outcome')?.dataset.running === 'false'")
    await tab.type("textarea", whom)
    await tab.press("Enter")
    await tab.until("!!document.querySelector('.approval .approve')", 20)
    assert whom not in clients.outbox.mails
    if then == "reload":
        await tab.reload()
    await tab.click(".approval .deny" if denied else ".approval .approve")
    states = await shown(tab, denied)
    assert clients.outbox.mails.count(whom) == (0 if denied else 1)
    wanted = ("output-denied" if denied else "output-available") if way in DONE else "complete"
    allowed = {wanted, "output-available"} if way in DONE else {wanted}
    assert set(states) <= allowed and (wanted in states or (not states and denied)), states
    await tab.reload()
    assert await shown(tab, denied) == states
    assert tab.errors == []
    record_property("buttons pressed", 1)
    await tab.close()
