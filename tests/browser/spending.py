"""Six weeks of a small company's spending, written through the domains' own services: for the console's pages on money.

    python -m tests.browser.spending FOLDER      # writes it into an empty folder, serves it, prints the console's address

What stands in it that a page must show: a team whose spend doubles, calls of workflows that nobody described, a model
without a price under a waiver, streams that were cut, retries, a cache that is not used, a session of an agent with two
sub-agents, a bill that lacks a day and has what never passed, a price that waits to be approved, callers without a key.
"""

from __future__ import annotations

import asyncio
import datetime
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from holdfast.edge import auth
from holdfast.gateway.port import Caller, ModelCall, Opening, Served, Stranger
from holdfast.gateway.settings import GatewaySettings
from holdfast.governance.app import Governance
from holdfast.governance.keys.model import KeyRequest
from holdfast.governance.ledger.imports.service import Importer, ImportOptions
from holdfast.governance.ledger.model import Row
from holdfast.governance.organisation.document import parse
from holdfast.providers.billing.model import BilledAttempt
from holdfast.session.access import MONEY_VERBS, SESSION_VERBS
from holdfast.testing import FakeClock

DAY_MS: Final = 86_400_000
WEEKS: Final = 6
FAMILY: Final = "family-1"
"""The session whose agent has sub-agents."""
ORGANISATION: Final = b"""
organisation: {name: Acme, time_zone: UTC, currency: USD}
cost_centres: [{name: "4711", title: Sales}, {name: "4712", title: Service}, {name: "4800", title: Research}]
teams:
  - {name: sales, cost_centre: "4711"}
  - {name: service, cost_centre: "4712"}
  - {name: research, cost_centre: "4800"}
workflows:
  - {name: answer-mail, team: service, owner: ann, deputy: bob, stage: stateful}
  - {name: triage, team: service, owner: ann, deputy: bob, stage: pilot}
  - {name: offers, team: sales, owner: cat, deputy: dan, stage: pilot}
  - {name: literature, team: research, owner: eve, deputy: ann, stage: chat}
"""
WORKLOADS: Final = (
    # workflow, team, task, upstream, model, calls a weekday, input, output, usage
    ("answer-mail", "service", "draft", "anthropic", "claude-sonnet-4-5", 14, 9_000, 700, "seated"),
    ("triage", "service", "classify", "openai", "gpt-5-mini", 22, 2_400, 60, "headless"),
    ("offers", "sales", "write", "openai", "gpt-5", 8, 6_500, 1_900, "seated"),
    ("literature", "research", "summarise", "anthropic", "claude-opus-4-1", 3, 38_000, 2_400, "headless"),
    ("side-project", "sales", "try", "openai", "gpt-5", 2, 3_000, 900, "headless"),  # nobody described it
)


class Company:
    """Writes; everything is drawn from one seed."""

    def __init__(self, folder: Path, now_ms: int) -> None:
        self.today = datetime.datetime.fromtimestamp(now_ms / 1_000, datetime.UTC).date()
        self.since = self.today - datetime.timedelta(weeks=WEEKS)
        self.folder = folder
        self.clock = FakeClock(now_ms)
        self.governance = Governance(str(folder / "holdfast-governance.db"), self.clock, GatewaySettings())
        self._random = random.Random(11)
        self._number = 0
        self.billed: dict[tuple[str, str], int] = {}

    async def write(self) -> None:
        """All of it."""
        await self.governance.start()
        try:
            await self._describe()
            for day in range(WEEKS * 7):
                await self._day(day)
            await self._family()
            await self._bill()
            await self._prices()
            self._strangers()
            await self.further()
            await self.governance.keys.flush()
        finally:
            await self.governance.stop()

    async def further(self) -> None:
        """What else a company of another kind has."""

    async def _describe(self) -> None:
        organisation = self.governance.organisation
        await organisation.change(parse(ORGANISATION, "yaml"), since=self.since, by="user:ann")
        self.keys = {}
        for workflow, team, task, *_, usage in WORKLOADS[:4]:
            request = KeyRequest(workflow=workflow, team=team, task=task, usage=usage, name=f"{workflow} in production")  # fmt: skip
            self.keys[workflow] = (await self.governance.keys.create(request, by="user:ann")).key.id
        self.keys["side-project"] = self.keys["offers"]

    async def _day(self, number: int) -> None:
        date = self.since + datetime.timedelta(days=number)
        start_ms = int(datetime.datetime.combine(date, datetime.time(), datetime.UTC).timestamp() * 1_000)
        busy = 1.0 if date.weekday() < 5 else 0.2
        calls = []
        for workload in WORKLOADS:
            growth = 2.2 if workload[0] == "offers" and number >= (WEEKS - 1) * 7 else 1.0
            for call in range(round(workload[5] * busy * growth * self._random.uniform(0.8, 1.2))):
                at_ms = start_ms + 7 * 3_600_000 + self._random.randrange(11 * 3_600_000)
                calls.append(self._call(workload, number, call, at_ms))
        await asyncio.gather(*calls)  # one commit has many of them

    async def _call(self, workload: Sequence[Any], day: int, call: int, at_ms: int) -> None:
        workflow, team, task, provider, model, _, reads, writes, usage = workload
        self._number += 1
        mine = self._number
        session = f"{workflow}-{day}-{call // 3}" if usage == "seated" else ""
        labels = {"workflow": workflow, "team": team, "task": task, "usage": usage, "user": f"person{call % 7}"}
        caller = Caller(self.keys[workflow], labels=tuple(sorted(labels.items())))
        asked = ModelCall(f"c{mine}", caller, "classes", model, at_ms, input_bytes=reads * 4, session=session,
                     run=f"r{call % 3 + 1}" if session else "", attempt=1 if session else 0)  # fmt: skip
        tries = 2 if mine % 31 == 0 else 1
        attempts = []
        for number in range(1, tries + 1):
            opening = Opening(
                f"a{mine}.{number}", asked, number, f"{provider}-eu", provider, model, at_ms + number * 900
            )
            attempts.append((opening, self._served(mine, opening, number < tries, reads, writes)))
        for (
            opening,
            served,
        ) in attempts:  # nothing is drawn after the first wait: whoever is served first changes nothing
            await self.governance.ledger.open(opening)
            await self.governance.ledger.settle(served)

    def _served(self, mine: int, opening: Opening, fails: bool, reads: int, writes: int) -> Served:
        end_ms = opening.at_ms + self._random.randrange(1_200, 9_000)
        if fails:
            return Served(opening.id, "failed", reason="http 529", at_ms=end_ms)
        reads, writes = (max(1, round(each * self._random.uniform(0.6, 1.4))) for each in (reads, writes))
        if mine % 47 == 0:
            seen = BilledAttempt(model=opening.model, counts={"input": reads, "output": writes // 3}, reported=False)
            return Served(opening.id, "cut", estimated=seen, reason="client.left", at_ms=end_ms, first_ms=700)
        cached = reads * 2 // 3 if opening.call.caller.label("workflow") == "answer-mail" and mine % 3 else 0
        counts = {"input": reads - cached, "cache_read": cached, "output": writes}
        if opening.model.startswith("gpt-5"):
            counts["reasoning"] = writes // 2
        return Served(
            opening.id, "served", (BilledAttempt(model=opening.model, counts=counts),), at_ms=end_ms, first_ms=640
        )

    async def _family(self) -> None:
        """An agent that asks two sub-agents, one of whose tries is lost, and waits for a person in between."""
        at_ms = self.clock.wall_ms() - 3 * 3_600_000
        labels = {"workflow": "literature", "team": "research", "task": "survey", "usage": "headless"}
        parts = (
            ("1", "r1", 1, "", "lead", "served", 0, 4_000), ("2", "r4", 1, "r1", "lead/finder", "failed", 6_000, 9_000),
            ("3", "r4", 2, "r1", "lead/finder", "served", 20_000, 12_000), ("4", "r6", 1, "r1", "lead/reader", "served", 21_000, 30_000),
            ("5", "r9", 1, "r6", "lead/reader/checker", "served", 40_000, 6_000), ("6", "r1", 1, "", "lead", "served", 640_000, 9_000),
        )  # fmt: skip
        rows = []
        for number, run, attempt, parent, agent, outcome, after_ms, took_ms in parts:
            counts = {"input": 8_000 * int(number), "output": 0 if outcome == "failed" else 900}
            row = Row(
                id=f"u{number}", call=f"family.{number}", at_ms=at_ms + after_ms + took_ms, day="", month="", source="agent",
                session=FAMILY, run=run, run_attempt=attempt, parent_run=parent, agent=agent, provider="anthropic",
                asked="claude-sonnet-4-5", model="claude-sonnet-4-5", wire="classes", counts=counts, outcome=outcome,
                reason="http 500" if outcome == "failed" else "", took_ms=took_ms, first_ms=800,
            )  # fmt: skip
            rows.append(self.governance.ledger.complete(row, labels))
        await self.governance.ledger.append(rows)

    async def _bill(self) -> None:
        """A month's bill of one provider: a day is missing, and it has spend that never passed."""
        last = self.today - datetime.timedelta(days=1)
        since = last - datetime.timedelta(days=27)
        found = await self.governance.desk.reader.spend(
            "default", since.isoformat(), last.isoformat(), ("model", "day"), filters={"provider": ("anthropic",)}
        )
        buckets: dict[str, list[dict[str, Any]]] = {}
        for group in found.groups:
            model, day = group.values
            if day == (since + datetime.timedelta(days=9)).isoformat():
                continue
            cents = group.figures.billed_nano / 10_000_000
            buckets.setdefault(day, []).append(_line(model, f"{cents:.6f}"))
        outside = (since + datetime.timedelta(days=16)).isoformat()
        buckets.setdefault(outside, []).append(_line("claude-haiku-4-5", "412.5"))
        data = [
            {"starting_at": f"{day}T00:00:00Z", "ending_at": f"{datetime.date.fromisoformat(day) + datetime.timedelta(days=1)}T00:00:00Z", "results": results}
            for day, results in sorted(buckets.items())
        ]  # fmt: skip
        report = json.dumps({"data": data, "has_more": False, "next_page": None}).encode()
        await Importer(self.governance.ledger).import_file(
            io.BytesIO(report), ImportOptions(name="cost_report.json", by="user:fin")
        )

    async def _prices(self) -> None:
        document = {"provider": "openai", "model": "gpt-5", "prices": {"input": "1.5", "output": "12"}, "extends": True}
        await self.governance.prices.propose("override", document, by="user:fin", why="announced for next month")
        card = {"upstream": "anthropic-eu", "from": self.today.isoformat(), "discounts": [{"percent": "12"}]}
        change = await self.governance.prices.propose("card", card, by="user:fin", why="signed on Monday")
        await self.governance.prices.reject(change.id, by="user:ann", words="the contract begins next quarter")

    def _strangers(self) -> None:
        now_ms = self.clock.wall_ms()
        for count, agent, fingerprint in (
            (40, "OpenAI/Python 2.8.0", "4be1c09d27a1f8836f1f6a0f5f6d92c1"),
            (3, "curl/8.5.0", ""),
        ):
            for number in range(count):
                self.governance.keys.note(Stranger(fingerprint, "10.0.0.7", agent, "/v1/chat/completions", now_ms - number * 60_000))  # fmt: skip


def _line(model: str, cents: str) -> dict[str, Any]:
    return {
        "currency": "USD", "amount": cents, "workspace_id": None, "description": f"{model} Usage", "cost_type": "tokens",
        "context_window": "0-200k", "model": model, "service_tier": "standard", "token_type": "uncached_input_tokens",
        "inference_geo": "global",
    }  # fmt: skip


class GovernedServer:
    """``holdfast serve --governance`` over a folder.

    Args:
        port: 0 for any.
        settings: environment variables of its own.
    """

    def __init__(self, folder: Path, port: int = 0, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        command = [
            sys.executable,
            "-m",
            "holdfast.cli",
            "serve",
            "--db",
            str(folder / "log.db"),
            "--port",
            str(port),
            "--governance",
        ]
        environment = {**os.environ, "COLUMNS": "4000", **(settings or {})}
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        assert self._process.stdout is not None
        said: list[str] = []
        for line in self._process.stdout:
            said.append(line)
            if found := re.search(r"(http://[^\s/]+)", line):
                self.server = found[1]
                break
        else:
            raise RuntimeError("the server did not start:\n" + "".join(said))
        self._reading = threading.Thread(target=self._process.stdout.read, daemon=True)
        self._reading.start()

    def token(self, subject: str, *verbs: str, ttl_s: float = 86_400) -> str:
        """An access token; with everything when no verb is named."""
        secret = auth.read_secret(str(self.folder / "log.db"))
        assert secret is not None
        may = list(verbs) or sorted(SESSION_VERBS | MONEY_VERBS)
        return auth.mint(secret, subject=subject, capabilities={"*": may}, agents=["*"], ttl_s=ttl_s)

    def page(self, subject: str = "user:ann", *verbs: str) -> str:
        """The console's address for somebody."""
        return f"{self.server}/console/#t={self.token(subject, *verbs)}"

    def stop(self) -> None:
        """As Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(20)
        self._reading.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


def governed_company(folder: Path) -> Iterator[GovernedServer]:
    """The company, written and served; for a fixture."""
    asyncio.run(Company(folder, int(time.time() * 1_000)).write())
    running = GovernedServer(folder)
    yield running
    running.stop()


def main() -> None:
    """See the module."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "holdfast-governance.db").exists():
        asyncio.run(Company(folder, int(time.time() * 1_000)).write())
    running = GovernedServer(folder)
    print(running.page(), flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        running.stop()


if __name__ == "__main__":
    main()
