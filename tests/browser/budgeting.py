"""The small company of ``spending.py`` with budgets, outcomes and routes, and a gateway before a fake provider.

    python -m tests.browser.budgeting FOLDER     # writes it into an empty folder, serves it, prints the console's address

What stands in it that a page must show: a budget close to its cap, one that is passed and only observes, one without an
approval, one of every workflow, a refusal that was false and one that was not, requests that wait for two people and one
that was denied, a cheaper model that clears the floor and one of which too little is known, an experiment in shadow and one
that returned, outcomes of runs, of calls and of work that the ledger does not know.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from holdfast.errors import Refused
from holdfast.gateway.port import Caller, ModelCall, Opening, Served
from holdfast.governance.budgets.definitions import BudgetTerms
from holdfast.governance.budgets.requests import Requester, Wish
from holdfast.governance.keys.model import KeyRequest
from holdfast.governance.money import show
from holdfast.governance.outcomes.service import OutcomeRequest
from holdfast.governance.routing import store as routing_store
from holdfast.governance.routing.experiment import Experiment, ExperimentRequest
from holdfast.providers.billing.model import BilledAttempt
from tests.browser.spending import Company, GovernedServer
from tests.fake_upstream.process import FakeUpstream

ROLLING_S: Final = 28 * 86_400
WIDE: Final = {"window": 1_000_000, "tools": True, "images": True}
DOCUMENT: Final[dict[str, Any]] = {
    "models": dict.fromkeys(("gpt-5-nano", "gpt-5-mini", "gpt-5", "gpt-4.1-mini"), WIDE),
    "rules": [
        {"name": "interns", "when": {"team": "intern-*"}, "models": ["*-mini"], "why": "until they know what costs what"},
        {"name": "nothing-personal-abroad", "when": {"data": "personal"}, "regions": ["eu"], "why": "the works council"},
    ],
    "routes": [
        {"name": "triage", "workflow": "triage", "task": "classify", "candidates": ["gpt-5-nano", "gpt-5-mini"], "floor": 0.9},
        {"name": "offers", "workflow": "offers", "task": "write", "candidates": ["gpt-5-mini", "gpt-5"], "floor": 0.85},
    ],
}  # fmt: skip
FINANCE: Final = Requester("user:fin", "default")


class GovernedCompany(Company):
    """Writes; the spending is that of ``Company``.

    Attributes:
        secret: of a key of the service team's triage, for calls of the gateway.
    """

    def __init__(self, folder: Path, now_ms: int) -> None:
        super().__init__(folder, now_ms)
        self._ids = itertools.count(1)
        self.secret = ""

    async def further(self) -> None:
        """See ``Company``."""
        key = KeyRequest(
            workflow="triage",
            team="service",
            task="classify",
            usage="headless",
            tags={"data": "public"},
            name="triage by hand",
        )
        self.secret = (await self.governance.keys.create(key, by="user:ann")).secret
        await self._work("gpt-5-nano", 80)
        await self._budgets()
        await self._refusals()
        await self._requests()
        await self._outcomes()
        await self._routes()

    async def _set(self, name: str, usd: str, **terms: Any) -> None:
        await self.governance.budget_desk.set("default", name, BudgetTerms(usd=usd, **terms), "user:fin")

    async def _share_of_spent(self, name: str, percent: int, **terms: Any) -> None:
        """A budget of whose cap so much is spent: whatever day it is."""
        await self._set(name, "1000", per="rolling", rolling_s=ROLLING_S, **terms)
        (account,) = (await self.governance.budget_desk.show("default", name))["accounts"]
        await self._set(name, show(account["spent_nano"] * 100 // percent), approved_by=terms.get("approved_by"))

    async def _budgets(self) -> None:
        await self._share_of_spent(
            "service", 93, scope={"team": "service"}, mode="enforce", payer="4712", decider="user:ben",
            approved_by="user:ben",
        )  # fmt: skip
        await self._share_of_spent("sales", 112, scope={"team": "sales"}, payer="4711", decider="user:cat")
        await self._set("research", "60", scope={"team": "research"}, per="week", mode="enforce", payer="4800", decider="user:eve")  # fmt: skip
        await self._set(
            "every workflow", "900", per="quarter", each="workflow", strength="soft", approved_by="user:fin"
        )
        await self._set("a run", "0.50", per="total", each="run", mode="enforce", approved_by="user:fin")
        await self._set(
            "trial",
            "0.05",
            scope={"workflow": "offers", "task": "try"},
            per="month",
            mode="enforce",
            decider="user:cat",
        )

    def _opening(self, workflow: str, model: str, input_bytes: int, **labels: str) -> Opening:
        at_ms = self.clock.wall_ms()
        own = {"workflow": workflow, "task": "try", "usage": "headless", **labels}
        caller = Caller(self.keys.get(workflow, self.keys["offers"]), labels=tuple(sorted(own.items())))
        call = ModelCall(f"b{next(self._ids)}", caller, "openai.chat", model, at_ms, input_bytes)
        return Opening(f"{call.id}.1", call, 1, "openai", "openai", model, at_ms)

    async def _refusals(self) -> None:
        """The first call holds most of the trial and uses little: refusing the second was false, the third was too large."""
        budgets = self.governance.budgets
        first, second, third = (self._opening("offers", "gpt-5", size) for size in (20_000, 20_000, 400_000))
        await budgets.open(first)
        for opening in (second, third):
            with contextlib.suppress(Refused):
                await budgets.open(opening)
        billed = BilledAttempt(model="gpt-5", counts={"input": 40, "output": 20})
        await budgets.settle(Served(first.id, "served", billed=(billed,), at_ms=self.clock.wall_ms()))
        sales = self._opening("offers", "gpt-5", 9_000, team="sales", task="write")
        await budgets.open(sales)
        billed = BilledAttempt(model="gpt-5", counts={"input": 2_000, "output": 900})
        await budgets.settle(Served(sales.id, "served", billed=(billed,), at_ms=self.clock.wall_ms()))

    async def _requests(self) -> None:
        desk = self.governance.budget_desk
        cap = {line["budget"]["name"]: line["budget"]["cap_nano"] for line in (await desk.list("default"))["accounts"]}

        async def ask(by: str, name: str, percent: int, why: str) -> str:
            wish = Wish(budget=name, to_usd=show(cap[name] * percent // 100), why=why)
            return str((await desk.ask(Requester(by, "default"), wish))["request"]["id"])

        await ask("user:cat", "service", 150, "The tickets of the recall come on top until Friday.")
        await ask("user:ann", "sales", 125, "Offers for the fair.")
        denied = await ask("user:dan", "research", 300, "More papers.")
        await desk.decide(
            Requester("user:eve", "default"), denied, "denied", "The summaries of last month are not read yet."
        )

    async def _work(self, model: str, count: int) -> None:
        workload = ("triage", "service", "classify", "openai", model, 0, 2_400, 60, "headless")
        at_ms = self.clock.wall_ms() - 5 * 86_400_000
        self.nano_from = self._number + 1
        for number in range(count):
            await self._call(workload, 0, number, at_ms + number * 1_000)

    async def _outcomes(self) -> None:
        outcomes = self.governance.outcomes
        triage = await self.governance.desk.reader.rows(
            "default", self.since.isoformat(), self.today.isoformat(), {"workflow": ("triage",), "asked": ("gpt-5-mini",)}, limit=90
        )  # fmt: skip
        said = [
            (row.call, "rejected" if at % 15 == 7 else "accepted", "check:labels") for at, row in enumerate(triage.rows)
        ]
        said += [
            (f"c{self.nano_from + at}", "escalated" if at == 5 else "accepted", "check:labels") for at in range(80)
        ]
        for call, verdict, by in said:
            await outcomes.record(OutcomeRequest(outcome=verdict, call=call), by=by, tenant="default")
            self.clock.advance(0.001)  # so that the page, which begins with the newest, begins with those of runs
        for day, verdict, value in ((36, "accepted", "40"), (37, "rejected", ""), (38, "accepted", "")):
            words = OutcomeRequest(outcome=verdict, session=f"offers-{day}-0", run="r1", value_usd=value)
            await outcomes.record(words, by="user:cat", tenant="default")
        await outcomes.record(OutcomeRequest(outcome="rejected", call="c-unheard-of"), by="user:ann", tenant="default")

    async def _routes(self) -> None:
        routing = self.governance.routing
        await routing.set_document(DOCUMENT, by="user:ann", tenant="default")
        await routing.begin(ExperimentRequest(name="triage-nano", route="triage", cheap="gpt-5-nano"), by="user:ann", tenant="default")  # fmt: skip
        offers = ExperimentRequest(name="offers-mini", route="offers", cheap="gpt-5-mini")
        done = await routing.begin(offers, by="user:cat", tenant="default")
        running = await routing.experiment("triage-nano", "default")

        def seen(connection: Connection) -> None:
            counts = {"answered": 31, "failed": 1, "compared": 31, "same": 27}
            routing_store.count_shadows(
                connection, {running.id: counts, done.id: {"answered": 50, "compared": 50, "same": 12}}
            )
            self._returned(connection, done)

        await self.governance.store.write(seen)

    def _returned(self, connection: Connection, done: Experiment) -> None:
        now_ms = self.clock.wall_ms()
        routing_store.move(connection, done, "share", "50 of 50 shadows came whole", "policy:routing", now_ms, {})
        why = "29 of 40 outcomes accepted: the floor of 0.85 is missed"
        (shared,) = (one for one in routing_store.read_experiments(connection) if one.id == done.id)
        routing_store.move(
            connection, shared, "returned", why, "policy:routing", now_ms, {"outcomes": 40, "accepted": 29}
        )


class GovernedSite(GovernedServer):
    """The company, served beside its gateway.

    Attributes:
        fake: the provider behind it.
        secret: of the key of triage.
    """

    fake: FakeUpstream
    secret: str


def controlled_company(
    folder: Path, port: int = 0, kind: type[GovernedCompany] = GovernedCompany
) -> Iterator[GovernedSite]:
    """The company, written and served; for a fixture."""
    company = kind(folder, int(time.time() * 1_000))
    asyncio.run(company.write())
    with FakeUpstream() as fake:
        upstream = f'upstreams: [{{name: openai, url: "{fake.url}/v1", models: ["gpt-*"], provider: openai}}]'
        (folder / "gateway.yaml").write_text(upstream)
        running = GovernedSite(folder, port)
        running.fake, running.secret = fake, company.secret
        yield running
        running.stop()


def main() -> None:
    """See the module."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for running in controlled_company(folder):
        print(running.page(), running.secret, running.fake.url, flush=True)
        try:
            time.sleep(86_400)
        except KeyboardInterrupt:
            break


if __name__ == "__main__":
    main()
