"""Gateways alone, with the sessions of a server that is another process: the same as beside it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
from msgspec import structs

import holdfast
from holdfast.edge import auth
from holdfast.gateway.sessions import RemoteSessions
from holdfast.session.access import SESSION_VERBS
from tests.fake_upstream.process import FakeUpstream
from tests.unit.gateway.conftest import KEY, Site, served, upstreams_of
from tests.unit.gateway.holds import FIELDS, ScriptedHold

pytestmark = [pytest.mark.anyio, pytest.mark.process]


class SessionServer:
    """``holdfast serve``, without governance."""

    def __init__(self, folder: Path) -> None:
        self._db = str(folder / "log.db")
        command = [sys.executable, "-m", "holdfast.cli", "serve", "--db", self._db, "--port", "0"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "4000"}
        )
        assert self.process.stdout is not None
        self.url = next(found[0] for line in self.process.stdout if (found := re.search(r"http://[^\s/]+", line)))

    def token(self, subject: str, *agents: str) -> str:
        secret = auth.read_secret(self._db)
        assert secret is not None
        everything = {"*": sorted(SESSION_VERBS)}
        return auth.mint(secret, subject=subject, capabilities=everything, agents=agents, ttl_s=600)

    def sessions(self, agent: str = "model") -> RemoteSessions:
        token = self.token("agent:gateway", agent)

        async def found() -> str:
            return token

        return RemoteSessions(self.url, found, agent)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SessionServer]:
    running = SessionServer(tmp_path_factory.mktemp("remote"))
    yield running
    running.process.terminate()
    running.process.communicate()


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


def allow(site: Site, **more: object) -> None:
    site.keys.callers[KEY] = structs.replace(site.keys.callers[KEY], sessions="desk-*", actor="user:ann", **more)


def client(site: Site) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=KEY, max_retries=0)


async def ask(site: Site, session: str) -> str:
    async with client(site) as ours:
        answer = await ours.chat.completions.create(
            model="gpt-5", messages=[{"role": "user", "content": "Where is my parcel?"}],
            extra_headers={"x-holdfast-session": session},
        )  # fmt: skip
    return answer.choices[0].message.content or ""


async def test_a_call_is_a_run_that_people_watch_and_that_is_billed_once(
    server: SessionServer, fake: FakeUpstream
) -> None:
    async with served(*upstreams_of(fake), sessions=server.sessions()) as site:
        allow(site)
        said = await ask(site, "desk-1")
        async with holdfast.connect(server.url, token=server.token("user:mia")) as mia:
            (ident,) = (await mia.session("desk-1").state()).runs
            await mia.session("desk-1").run(ident).finished()  # the caller has its answer before the log has
            view = await mia.session("desk-1").state()
        texts = [(item["role"], item["text"]) for item in view.items if item["kind"] == "message"]
        assert texts == [("user", "Where is my parcel?"), ("assistant", said)]
        (run,) = view.runs.values()
        assert (run["status"], run["by"]) == ("completed", "user:ann")
        (opening,) = site.meter.opened
        assert (opening.call.session, opening.call.run) == ("desk-1", run["id"])
        headers = {"authorization": f"Bearer {server.token('user:mia')}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, trust_env=False) as http:
            page = (await http.get("/v1/sessions/desk-1/events")).json()
        queued, used = (
            [event["data"] for frame in page["frames"] for event in frame["events"] if event["type"] == kind]
            for kind in ("run.queued", "usage.recorded")
        )
        assert [one["labels"] for one in queued] == [{"workflow": "refunds", "team": "support", "task": "answer"}]
        assert [one["call"] for one in used] == [opening.call.id], "so that the server's own ledger counts it once"


async def test_it_is_stopped_from_another_device(server: SessionServer, fake: FakeUpstream) -> None:
    async with (
        served(*upstreams_of(fake, "hang=5"), sessions=server.sessions()) as site,
        holdfast.connect(server.url, token=server.token("user:mia")) as mia,
        client(site) as ours,
    ):
        allow(site)
        stream = await ours.chat.completions.create(
            model="gpt-5", messages=[{"role": "user", "content": "hi"}], stream=True,
            extra_headers={"x-holdfast-session": "desk-2"},
        )  # fmt: skip
        with pytest.raises(openai.APIError) as caught:
            stopped = False
            async for chunk in stream:
                if not stopped and chunk.choices and chunk.choices[0].delta.content:
                    stopped = True
                    session = mia.session("desk-2")
                    (run,) = (await session.state()).runs
                    await session.cancel(run)
        assert caught.value.code == "call.stopped"
        (one,) = await site.meter.all_settled(1)
        assert (one.outcome, one.reason) == ("cut", "run.cancelled")


async def test_two_gateways_of_one_server_answer_their_own_callers(server: SessionServer, fake: FakeUpstream) -> None:
    async with (
        served(*upstreams_of(fake), sessions=server.sessions("model-a")) as one,
        served(*upstreams_of(fake), sessions=server.sessions("model-b")) as two,
    ):
        for number, site in enumerate([one, two, one, two]):
            allow(site)
            assert await ask(site, f"desk-3-{number % 2}")
        assert [len(site.meter.opened) for site in (one, two)] == [2, 2]


async def test_a_server_that_is_away_is_said_and_nobody_is_asked(tmp_path: Path, fake: FakeUpstream) -> None:
    gone = SessionServer(tmp_path)
    async with served(*upstreams_of(fake), sessions=gone.sessions()) as site, site.http() as http:
        allow(site)
        gone.process.kill()
        gone.process.communicate()
        body = {"model": "gpt-5", "messages": [{"role": "user", "content": "x"}]}
        answer = await http.post(
            "/v1/chat/completions", json=body, headers={"x-holdfast-session": "desk-4"}, timeout=60
        )
        assert answer.status_code == 503 and not site.meter.opened
        assert (await http.post("/v1/chat/completions", json=body)).status_code == 200, "calls without one go on"


async def test_a_run_that_a_budget_brakes_fails_with_the_error_and_people_see_whose_it_is(
    server: SessionServer, fake: FakeUpstream
) -> None:
    """A gateway's token mints none for ``policy:budget``, so nothing there can cancel in its name."""
    fake.always(tokens=400, input=30)
    async with served(*upstreams_of(fake), sessions=server.sessions()) as site, site.http() as http:
        site.keys.callers[KEY] = structs.replace(site.keys.callers[KEY], sessions="desk-*", actor="user:ann")
        site.meter.hold = lambda _: ScriptedHold(20, tranche=20, cap=60)
        body = {"model": "gpt-5", "messages": [{"role": "user", "content": "hi"}], "stream": True}
        answer = await http.post("/v1/chat/completions", json=body, headers={"x-holdfast-session": "desk-braked"})
        assert '"budget_exceeded"' in answer.text
    async with (
        holdfast.connect(server.url, token=server.token("user:bo")) as client,
        client.session("desk-braked").live() as live,
    ):
        view = await live.until(lambda view: all("ended_ts" in run for run in view.runs.values()))
    (run,) = view.runs.values()
    assert (run["status"], run["error"]["code"]) == ("failed", "budget.exceeded")
    (shown,) = [item["content"] for item in view.items if item["kind"] == "activity"]
    assert (shown["stage"], shown["budget"], shown["decider"]) == ("ended", FIELDS["budget"], FIELDS["decider"])
