"""The chat says whose budget has ended an answer, offers to ask for more, and shows while somebody is asked."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.agents.holdfast import Holdfast
from holdfast.agents.run import RunContext
from holdfast.client.client import Client
from holdfast.client.run import Run
from holdfast.client.session import Session
from holdfast.edge.config import Settings
from holdfast.edge.extensions.extension_set import ExtensionSet
from holdfast.edge.extensions.port import Extension, ExtensionSettings
from holdfast.edge.extensions.route import ExtensionRoute, RouteCall
from holdfast.edge.extensions.services import Services
from holdfast.edge.pages import PAGES
from holdfast.engines.memory import MemoryEngine
from holdfast.errors import Refused
from holdfast.gateway import budget_news
from holdfast.gateway.port import BrakeNews
from holdfast.governance.budgets.braked_agents import BrakedAgents
from holdfast.hub.hub import Hub
from holdfast.protocol import events as e
from holdfast.session.policy import Policy
from tests.browser.chromium import Chromium, Tab
from tests.unit.edge.conftest import Site, serving

pytestmark = [pytest.mark.anyio, pytest.mark.browser, pytest.mark.process]

WORDS = "The tide turns twice a day, and the harbour with it. "
FIELDS: dict[str, Any] = {
    "budget": "support-month", "payer": "Customer care", "decider": "user:ann", "spent_usd": "25", "cap_usd": "25.00",
}  # fmt: skip
SENTENCE = "Stopped: the budget support-month (paid by Customer care) is spent: $25.00 of $25.00. Ann can raise it."
PICTURES = os.environ.get("HOLDFAST_PICTURES", "")
"""A folder for pictures of the page; empty for none."""


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """A request to raise a budget, as the page sends it."""

    budget: str
    why: str
    session: str = ""
    run: str = ""
    to_usd: str = ""


class Budgets(Extension):
    """What the page knows of governance: the policy, and the route for requests."""

    name = "governance"

    def __init__(self) -> None:
        super().__init__(ExtensionSettings(), Settings(db="memory:", port=0))
        self.spent = False
        self.refusing = False
        self.asked: list[tuple[str, Asked]] = []

    def age_s(self) -> float:
        return 0.0

    def any_spent(self) -> bool:
        return self.spent

    def refusal(self, tenant: str, labels: Mapping[str, str], session: str, run: str) -> Refused | None:
        return Refused("budget.exceeded", "the budget 'support-month' is spent", **FIELDS) if self.spent else None

    def policy(self) -> Policy:
        return BrakedAgents(self)

    def routes(self, services: Services) -> Sequence[ExtensionRoute]:
        path = "/v1/x/governance/budgets/requests"
        return (ExtensionRoute("POST", path, "Ask for more", self.ask, verb="", body=Asked),)

    async def ask(self, call: RouteCall) -> dict[str, Any]:
        if self.refusing:
            raise Refused("budget.not_found", "there is no budget 'support-month'")
        self.asked.append((call.principal.actor, call.body))
        return {"request": {"id": "q1", "state": "waiting"}}


class Stage:
    """A session whose agent says what a gateway would."""

    def __init__(self, site: Site, session: Session, budgets: Budgets) -> None:
        self.site, self.session, self.budgets = site, session, budgets
        self.news: asyncio.Queue[BrakeNews | str] = asyncio.Queue()

    async def work(self, run: RunContext) -> None:
        async with run.message() as out:
            await out.write(WORDS * 3)
            while (news := await self.news.get()) != "end":
                if isinstance(news, str):
                    await out.write(news)
                else:
                    await run.emit(e.ACTIVITY_SNAPSHOT, budget_news.activity_of(run.id, news))

    async def tab(self, browser: Chromium, **look: Any) -> Tab:
        token = self.site.token("user:bob")
        tab = await browser.tab(f"{self.site.url}/#t={token}&s=s1", **look)
        await tab.until("document.body.dataset.line === 'live'")
        return tab


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    if not (PAGES / "chat").is_dir():
        pytest.skip("the pages are not built: make web")
    budgets = Budgets()
    plugged = ExtensionSet([budgets])
    hub = Hub(MemoryEngine(), policy=plugged.policy)
    async with (
        serving(hub, Settings(db="memory:", port=0, drain_s=1), pages=True, extensions=plugged) as site,
        Holdfast(site.url, token=site.token("agent:writer", agents=["*"])) as worker,
        Client(site.url, site.token("user:bob")) as person,
    ):
        stage = Stage(site, await person.create("s1", title="Tides", agent="writer"), budgets)
        worker.add_agent("writer", stage.work)
        serve = asyncio.create_task(worker.serve(signals=False))
        yield stage
        serve.cancel()
        await asyncio.gather(serve, return_exceptions=True)


async def stopped(stage: Stage) -> Run:
    """A run that was stopped in mid-answer."""
    run = await stage.session.send("Tell me of the tide.")
    async with stage.session.live() as live:
        await live.until(lambda view: view.runs[run.id]["status"] == "running")
    stage.budgets.spent = True
    stage.news.put_nowait("And then")
    assert (await run.finished())["status"] == "cancelled"
    return run


async def text(tab: Tab, selector: str) -> str:
    return str(await tab.run(f"document.querySelector('{selector}').innerText.replace(/\\s+/g, ' ').trim()"))


async def picture(tab: Tab, name: str) -> None:
    if PICTURES:
        await tab.picture(Path(PICTURES) / f"{name}.png")


async def close(tab: Tab) -> None:
    assert tab.errors == []
    assert await tab.run("document.documentElement.scrollWidth <= innerWidth"), "nothing overflows"
    await tab.close()


async def test_an_answer_that_a_budget_ended_says_whose_it_is_and_who_can_raise_it(browser: Chromium) -> None:
    async with staged() as stage:
        await stopped(stage)
        tab = await stage.tab(browser, width=360, height=700)
        await tab.until("document.querySelector('.run.root .body > .message + .budget')")
        assert (await text(tab, ".budget > p")) == SENTENCE
        assert await tab.run("document.querySelector('.budget > p').getAttribute('role')") == "status"
        assert await tab.run("document.querySelectorAll('.stop-reason, .failure').length") == 0, "it is said once"
        await picture(tab, "ended-360")
        await tab.look(1280, 800, dark=True)
        await picture(tab, "ended-dark")
        await close(tab)


async def test_more_is_asked_for_by_keyboard_and_the_page_says_who_is_waited_for(browser: Chromium) -> None:
    async with staged() as stage:
        run = await stopped(stage)
        tab = await stage.tab(browser)
        await tab.until("document.querySelector('.budget button')")
        stage.budgets.refusing = True
        await tab.run("document.querySelector('.budget button').focus()")
        await tab.press("Enter")
        await tab.until("document.querySelector('.budget .decision[data-state=refused]')")
        assert "there is no budget 'support-month'" in await text(tab, ".budget .decision")
        await picture(tab, "refused-light")
        stage.budgets.refusing = False
        await tab.press("Enter")
        await tab.until("document.querySelector('.budget .decision[data-state=asked]')")
        assert await text(tab, ".budget .decision") == "Asked, waiting for Ann."
        assert await tab.run("document.querySelector('.budget button') === null")
        why = "The answer to “Tell me of the tide.” was not done."
        assert stage.budgets.asked == [("user:bob", Asked("support-month", why, "s1", run.id))]
        await picture(tab, "asked-light")
        await close(tab)


async def test_whoever_can_raise_it_is_told_so_and_asks_nobody(browser: Chromium) -> None:
    async with staged() as stage:
        await stopped(stage)
        tab = await browser.tab(f"{stage.site.url}/#t={stage.site.token('user:ann')}&s=s1")
        await tab.until("document.querySelector('.budget')")
        assert (await text(tab, ".budget > p")).endswith("You can raise it.")
        assert await tab.run("document.querySelector('.budget button') === null")
        await close(tab)


async def test_while_a_person_is_asked_the_answer_waits_and_goes_on_when_more_is_given(browser: Chromium) -> None:
    async with staged() as stage:
        run = await stage.session.send("Tell me of the tide.")
        until = int(time.time() * 1_000) + 300_000
        asked = BrakeNews("asked", "ask", "budget.exceeded", "the budget is spent", {**FIELDS, "until_ms": until})
        stage.news.put_nowait(asked)
        tab = await stage.tab(browser, width=360, height=700, dark=True)
        await tab.until("document.querySelector('.budget[data-stage=asked]')")
        words = await text(tab, ".budget > p")
        assert words.startswith(
            "Waiting: the budget support-month (paid by Customer care) is spent: $25.00 of $25.00. Ann is asked to raise it"
        )
        await tab.until("/^[0-9]:[0-9]{2} left$/.test(document.querySelector('.budget .left').innerText)")
        assert await tab.run("document.querySelector('.budget .left').getAttribute('aria-live')") == "off"
        await picture(tab, "waiting-360-dark")
        await tab.look(1280, 800)
        await picture(tab, "waiting-light")
        stage.news.put_nowait(BrakeNews("resumed", "ask", "budget.exceeded", "more was given", FIELDS))
        stage.news.put_nowait("More of it.")
        stage.news.put_nowait("end")
        assert (await run.finished())["status"] == "completed"
        await tab.until("document.querySelector('.run.root[data-status=completed] .budget-line')")
        assert await text(tab, ".budget-line") == "The budget support-month was raised; the answer went on."
        assert await tab.run("document.querySelector('.budget') === null")
        await picture(tab, "resumed-light")
        await close(tab)


async def test_an_answer_that_is_stopped_while_a_person_is_asked_waits_no_more(browser: Chromium) -> None:
    async with staged() as stage:
        run = await stage.session.send("Tell me of the tide.")
        stage.news.put_nowait(BrakeNews("asked", "ask", "budget.exceeded", "the budget is spent", FIELDS))
        tab = await stage.tab(browser)
        await tab.until("document.querySelector('.budget[data-stage=asked]')")
        assert await tab.run("document.querySelector('.budget .left') === null"), "no deadline, no countdown"
        await run.cancel(reason="never mind")
        await tab.until("document.querySelector('.budget-line')")
        assert await text(tab, ".stop-reason") == "Stopped by you: never mind"
        await close(tab)


async def test_an_answer_that_was_cut_short_says_so_though_its_run_completed(browser: Chromium) -> None:
    async with staged() as stage:
        run = await stage.session.send("Tell me of the tide.")
        fields = {**FIELDS, "payer": "it", "spent_usd": "0.0042", "cap_usd": "0.004"}
        stage.news.put_nowait(BrakeNews("ended", "truncate", "budget.exceeded", "the budget is spent", fields))
        stage.news.put_nowait("end")
        assert (await run.finished())["status"] == "completed"
        tab = await stage.tab(browser)
        await tab.until("document.querySelector('.budget')")
        wanted = "Cut short: the budget support-month (paid by IT) is spent: $0.0042 of $0.004. Ann can raise it."
        assert await text(tab, ".budget > p") == wanted
        await close(tab)
