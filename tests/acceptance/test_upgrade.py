"""What version 0.1 left behind, in ``tests/fixtures/v0_1``: it is opened, folds to what was seen, and goes on."""

from __future__ import annotations

import asyncio
import json
import lzma
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest

import holdfast
from holdfast.edge import auth
from holdfast.edge.app import Edge
from holdfast.edge.config import Settings
from holdfast.edge.server import port_of, running
from holdfast.edge.webhooks import Webhooks
from holdfast.engines.sqlite.backup import backup, restore
from holdfast.engines.sqlite.check import Problem, verify
from holdfast.engines.sqlite.engine import SqliteEngine
from holdfast.hub.hub import Hub

pytestmark = pytest.mark.anyio

FIXTURE = Path(__file__).parents[1] / "fixtures" / "v0_1"
EXPECTED: dict[str, Any] = json.loads(lzma.decompress((FIXTURE / "expected.json.xz").read_bytes()))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "holdfast.db"
    path.write_bytes(lzma.decompress((FIXTURE / "holdfast.db.xz").read_bytes()))
    shutil.copy(FIXTURE / "holdfast.db.secret", f"{path}.secret")
    os.chmod(f"{path}.secret", 0o600)
    return path


class Site:
    def __init__(self, edge: Edge, port: int, secret: str) -> None:
        self.hub, self.url, self._secret = edge.hub, f"http://127.0.0.1:{port}", secret

    def token(self, subject: str = "user:me") -> str:
        return auth.mint(self._secret, subject=subject, tenant="default", agents=("*",), ttl_s=3_600)

    def http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.url, headers={"authorization": f"Bearer {self.token()}"}, trust_env=False
        )


@pytest.fixture
async def site(database: Path) -> AsyncIterator[Site]:
    settings = Settings(db=str(database), port=0, drain_s=1)
    hub = Hub(SqliteEngine(str(database), reserve_bytes=0))
    await hub.open()
    edge = Edge(hub, settings)
    async with running(edge) as server:
        secret = auth.read_secret(str(database))
        assert secret is not None
        yield Site(edge, port_of(server), secret)


async def test_its_sessions_verify_and_fold_to_what_was_seen(site: Site, database: Path) -> None:
    async with site.http() as me:
        for name, expected in EXPECTED.items():
            found = (await me.get(f"/v1/sessions/{name}")).json()
            assert (found["incarnation"], found["seq"]) == (expected["incarnation"], expected["seq"]), name
            assert found["view"] == expected["view"], name
        page = (await me.get("/v1/sessions/long/history/1")).json()
        assert page["page"]["items"][0]["text"] == "long"
        blob = next(item["blob"] for item in EXPECTED["files"]["view"]["items"] if item.get("blob"))
        assert len((await me.get(f"/v1/sessions/files/blobs/{blob}")).content) == 5 * 80_000
    assert [found for found in verify(str(database)) if isinstance(found, Problem)] == []


async def test_what_waited_goes_on_with_a_worker_of_today(site: Site) -> None:
    """Runs and approvals have the ids that version gave them; who reads them now acts on them now."""
    async with holdfast.connect(site.url, token=site.token()) as hf:

        @hf.agent("writer")
        async def write(run: holdfast.RunContext) -> None:
            if run.input.text.startswith("wait"):
                done = await run.gated_tool("mail", {"to": "ann@example.org"}, lambda to: f"sent to {to}", wait=True)
            elif run.input.text.startswith("ask"):
                done = await run.gated_tool("refund", {"order": "O1"}, lambda order: f"refunded {order}")
            else:
                done = "two, too"
            await run.say(str(done))

        serving = asyncio.create_task(hf.serve())
        for name, said in (("waiting", "sent to ann@example.org"), ("pending", "refunded O1")):
            session = hf.session(name)
            async with session.live() as live:
                run = next(iter(live.view.runs))
                approval = next(item["id"] for item in live.view.items if item["kind"] == "approval")
                await session.approve(approval)
                assert (await session.run(run).finished())["status"] == "completed"
                assert await session.run(run).text() == said
        session = hf.session("plain")
        again = await (await session.send("and now", agent="writer")).text()
        assert again == "two, too"
        serving.cancel()


async def test_its_ids_say_no_life_so_whoever_uses_them_says_it(site: Site) -> None:
    async with site.http() as me:
        view = EXPECTED["waiting"]
        approval = next(item["id"] for item in view["view"]["items"] if item["kind"] == "approval")
        path = f"/v1/sessions/waiting/approvals/{approval}"
        refused = (await me.post(path, json={"decision": "denied"})).json()["error"]
        assert refused["code"] == "session.incarnation" and refused["incarnation"] == view["incarnation"]
        assert (await me.post(f"{path}@{view['incarnation']}", json={"decision": "denied"})).status_code == 200
        run = next(iter(view["view"]["runs"]))
        stopped = await me.post(f"/v1/sessions/waiting/runs/{run}/cancel", json={"incarnation": view["incarnation"]})
        assert stopped.status_code == 200


async def test_a_backup_of_it_is_restored_as_a_database_that_gives_space_back(database: Path, tmp_path: Path) -> None:
    backup(str(database), str(tmp_path / "copy.db"))
    assert restore(str(tmp_path / "copy.db"), str(tmp_path / "new.db")) == len(EXPECTED)
    assert [found for found in verify(str(tmp_path / "new.db")) if isinstance(found, Problem)] == []
    engine = SqliteEngine(str(tmp_path / "new.db"), reserve_bytes=0)
    await engine.open()
    writer = engine._store.writer
    assert writer is not None and writer.pragma("auto_vacuum") == 2
    await engine.close()


async def test_webhooks_go_on_where_that_version_stopped(database: Path) -> None:
    """One waited for another try, one had not been read yet."""
    notices = [
        {"type": "run.ended", "session": "s1", "incarnation": "i9", "seq": seq, "ts": 1_700, "participants": ["user:me"],
         "connected": False, "run": f"r{seq}", "agent": "w", "status": "completed"}
        for seq in (4, 9)
    ]  # fmt: skip
    connection = apsw.Connection(str(database))
    at = 0
    for notice in notices:
        connection.execute(
            "INSERT INTO notice (tenant, name, data) VALUES ('t', 's1', ?)", (json.dumps(notice).encode(),)
        )
        at = at or connection.last_insert_rowid()
    retry = json.dumps({"attempt": 2, "due_ms": 1, "tenant": "t"}).encode()
    facts = {"webhooks:position": str(at).encode(), f"webhooks:again:{at}": retry}
    connection.executemany("INSERT INTO fact VALUES (?, ?)", facts.items())
    connection.close()
    sent: dict[str, Any] = {}

    def take(request: httpx.Request) -> httpx.Response:
        sent[request.headers["webhook-id"]] = json.loads(request.content)["data"]["run"]
        return httpx.Response(200)

    hub = Hub(SqliteEngine(str(database), reserve_bytes=0))
    await hub.open()
    client = httpx.AsyncClient(transport=httpx.MockTransport(take))
    settings = Settings(db="memory:", webhook_url="http://receiver.example/")
    webhooks = Webhooks(hub, settings, client=client)
    await webhooks.start()
    async with asyncio.timeout(10):
        while len(sent) < 2 or webhooks.waiting:
            await asyncio.sleep(0.01)
    await webhooks.stop()
    await hub.close()
    assert sent == {"msg_i9_4": "r4", "msg_i9_9": "r9"} and webhooks.gaps == 0


WORKER = """
import asyncio, sys, holdfast

async def main():
    async with holdfast.connect(sys.argv[1], token=sys.argv[2]) as hf:
        @hf.agent("old")
        async def old(run):
            await run.say(f"{holdfast.__version__} heard {run.input}")
        serving = asyncio.create_task(hf.serve())
        run = await hf.session("plain").send("hello", agent="old")
        print(await run.text(), flush=True)
        async with hf.session("plain").live() as live:
            print((await hf.session("plain").send("no", agent="nobody")).id)
            await hf.session("plain").cancel(scope="all")
        serving.cancel()

asyncio.run(main())
"""


@pytest.mark.process
async def test_a_worker_and_a_client_of_that_version_still_work(site: Site, tmp_path: Path) -> None:
    """In what is new they are told the ids that say their life; that is all they need."""
    await asyncio.to_thread(venv.create, tmp_path / "old", symlinks=True, system_site_packages=False)
    python = tmp_path / "old" / "bin" / "python"
    packages = next((tmp_path / "old" / "lib").glob("python*/site-packages"))
    shutil.unpack_archive(next(FIXTURE.glob("*.whl")), packages, "zip")
    mine = next(path for path in sys.path if path.endswith("site-packages"))
    (packages / "theirs.pth").write_text(f"{mine}\n")  # what it depends on is what this version does
    done = await asyncio.to_thread(
        subprocess.run, [python, "-c", WORKER, site.url, site.token()], capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "0.1.0 heard hello"


# --- dialects, whose wires have no field for the life
AGENTS = {"waiting": ("mail", "sent to ann@example.org"), "pending": ("refund", "refunded O1")}


async def write(run: holdfast.RunContext) -> None:
    """The agent that asked."""
    if run.input.text.startswith("wait"):
        done = await run.gated_tool("mail", {"to": "ann@example.org"}, lambda to: f"sent to {to}", wait=True)
    else:
        done = await run.gated_tool("refund", {"order": "O1"}, lambda order: f"refunded {order}")
    await run.say(str(done))


async def streamed(me: httpx.AsyncClient, method: str, url: str, **given: Any) -> list[dict[str, Any]]:
    """What an event stream tells to its end."""
    answer = await me.request(method, url, timeout=20, **given)
    assert answer.status_code == 200, answer.text
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def chat_of(name: str, chunks: list[dict[str, Any]], approval: str) -> dict[str, Any]:
    """The request with which the AI SDK approves what these chunks ask."""
    start = next(chunk for chunk in chunks if chunk["type"] == "start")
    metadata = {"holdfast": next(chunk for chunk in chunks if chunk["type"] == "finish")["messageMetadata"]["holdfast"]}
    asked = next(chunk for chunk in chunks if chunk["type"] == "tool-input-available")
    part = {
        "type": f"tool-{asked['toolName']}", "toolCallId": asked["toolCallId"], "input": asked["input"],
        "state": "approval-responded", "approval": {"id": approval, "approved": True}, "providerExecuted": True,
    }  # fmt: skip
    message = {"id": start["messageId"], "role": "assistant", "parts": [part], "metadata": metadata}
    return {"id": name, "trigger": "submit-message", "messages": [message]}


@pytest.mark.parametrize("dialect", ["ai-sdk", "ag-ui"])
@pytest.mark.parametrize("name", AGENTS)
async def test_what_waited_is_approved_in_dialects_whose_ids_say_the_life(site: Site, name: str, dialect: str) -> None:
    """The ids that they are given say it, so an answer is never taken for one to another life's question."""
    tool, said = AGENTS[name]
    life = EXPECTED[name]["incarnation"]
    async with site.http() as me, holdfast.connect(site.url, token=site.token()) as hf:
        hf.add_agent("writer", write)
        serving = asyncio.create_task(hf.serve())
        try:
            if dialect == "ai-sdk":
                api = "/v1/ai-sdk/v6/writer"
                chunks = await streamed(me, "GET", f"{api}/{name}/stream")
                approval = next(c["approvalId"] for c in chunks if c["type"] == "tool-approval-request")
                former = approval.removesuffix(life) + "0123456789ab"
                refused = await me.post(api, json=chat_of(name, chunks, former))
                bare = await me.post(api, json=chat_of(name, chunks, approval.removesuffix(f"@{life}")))
                told = await streamed(me, "POST", api, json=chat_of(name, chunks, approval))
                output = next(chunk for chunk in told if chunk["type"] == "tool-output-available")
                assert said in (output["output"], *(c.get("delta") for c in told))
                assert told[-1]["type"] == "finish", told
            else:
                api = "/v1/ag-ui/agent/writer"
                asked: dict[str, Any] = {
                    "threadId": name, "runId": "x1", "messages": [], "tools": [], "context": [], "state": {},
                }  # fmt: skip
                (*_, finished) = await streamed(me, "POST", f"{api}/connect", json=asked)
                approval = finished["outcome"]["interrupts"][0]["id"]
                assert finished["outcome"]["interrupts"][0]["metadata"]["holdfast"]["tool"] == tool

                def resumed(ident: str) -> dict[str, Any]:
                    entry = {"interruptId": ident, "status": "resolved", "payload": {"approved": True}}
                    return {**asked, "runId": "x2", "resume": [entry]}

                former = approval.removesuffix(life) + "0123456789ab"
                refused = await me.post(f"{api}/run", json=resumed(former))
                bare = await me.post(f"{api}/run", json=resumed(approval.removesuffix(f"@{life}")))
                told = await streamed(me, "POST", f"{api}/run", json=resumed(approval))
                assert said in json.dumps(told) and told[-1]["type"] == "RUN_FINISHED", told
            assert approval.endswith(f"@{life}")
            for answer in (refused, bare):
                assert answer.status_code == 409 and "another life" in answer.text, answer.text
        finally:
            serving.cancel()


@pytest.mark.parametrize("dialect", ["ai-sdk", "ag-ui"])
async def test_what_waits_is_stopped_in_dialects(site: Site, dialect: str) -> None:
    async with site.http() as me:
        if dialect == "ai-sdk":
            stopped = await me.delete("/v1/ai-sdk/v7/writer/waiting/stream")
        else:
            stopped = await me.post("/v1/ag-ui/agent/writer/stop/waiting")
        assert stopped.status_code == 200, stopped.text
        runs = (await me.get("/v1/sessions/waiting")).json()["view"]["runs"]
        assert [run["status"] for run in runs.values()] == ["cancelled"]
