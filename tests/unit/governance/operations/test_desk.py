"""What people ask of operations, over REST beside a gateway that answers, and on the command line over a store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from holdfast.errors import Refused
from holdfast.governance.keys.model import KeyRequest
from holdfast.governance.opening import operations_desk, workflow_desk
from holdfast.governance.operations.commands import add_to, incident_group, stop_group
from holdfast.governance.organisation.document import parse
from holdfast.governance.workflows import commands as workflow_commands
from holdfast.governance.workflows.model import WorkflowManifest
from holdfast.governance.workflows.terminal import asker_of
from holdfast.session.access import SESSION_VERBS
from holdfast.testing import FakeClock
from tests.fake_upstream.process import FakeUpstream
from tests.unit.governance.app.conftest import Served, beside, both_wires, fake, process
from tests.unit.governance.governed_server import Run, runner

from .conftest import REASON

pytestmark = [pytest.mark.anyio, pytest.mark.process]
__all__ = ["fake", "process"]
SAID: Any = [{"role": "user", "content": "hello"}]
ROOT = "/v1/x/governance/operations"
STOP = {"scope": "workflow", "subject": "refunds", "reason": REASON, "grace_s": 0.5}


@asynccontextmanager
async def site(fake: FakeUpstream, folder: Path) -> AsyncIterator[Served]:
    fake.always(tokens=40, input=300, hang=5)
    async with beside(str(folder / "store.db"), FakeClock(), *both_wires(fake)) as served:
        try:
            async with asyncio.timeout(60):
                yield served
        finally:
            fake.always()


def console(served: Served, *verbs: str, subject: str = "user:kim") -> httpx.AsyncClient:
    assert served.site is not None
    token = served.site.token(subject, tenant="default", capabilities={"*": list(verbs)})
    return httpx.AsyncClient(
        base_url=f"{served.url}{ROOT}", headers={"authorization": f"Bearer {token}"}, trust_env=False
    )


async def done(kim: httpx.AsyncClient, ident: str) -> dict[str, Any]:
    while (found := (await kim.get(f"/stops/{ident}")).json())["stop"]["state"] == "stopping":
        await asyncio.sleep(0)
    return dict(found)


async def test_calls_under_way_end_in_the_words_of_their_wire_and_others_are_refused(
    fake: FakeUpstream, tmp_path: Path
) -> None:
    async with site(fake, tmp_path) as served, console(served, "control") as kim:
        keys = served.governance.keys
        other = (
            await keys.create(KeyRequest(workflow="letters", team="support", task="write"), by="user:ann", declare=True)
        ).secret
        chat = openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0)
        letters = openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key=other, max_retries=0)
        claude = anthropic.AsyncAnthropic(base_url=served.url, api_key=served.key, max_retries=0)
        async with chat, letters, claude:
            streams: list[Any] = [
                await chat.chat.completions.create(model="gpt-5-mini", messages=SAID, stream=True),
                await chat.responses.create(model="gpt-5-mini", input="hello", stream=True),
                await claude.messages.create(model="claude-x", max_tokens=99, messages=SAID, stream=True),
            ]
            kept = await letters.chat.completions.create(model="gpt-5-mini", messages=SAID, stream=True)
            for stream in (*streams, kept):
                await anext(aiter(stream))
            assert (await kim.get("/preview", params={"scope": "workflow", "subject": "refunds"})).json()["calls"] == 3
            made = (await kim.post("/stops", json=STOP)).json()
            assert made["stop"]["calls"] == 3 and made["stop"]["by"] == "user:kim"
            for stream in streams:
                with pytest.raises((openai.APIError, anthropic.APIStatusError)) as caught:
                    async for _ in stream:
                        pass
                error: Any = caught.value
                assert "workflow.stopped" in f"{getattr(error, 'code', '')} {error.body}"
                assert "user:kim" in str(error.body) + str(error)
            going = (await kim.get("/preview", params={"scope": "workflow", "subject": "letters"})).json()["calls"]
            assert going == 1, "another workflow's answer goes on"
            await kept.close()
            with pytest.raises(openai.PermissionDeniedError) as refused:
                await chat.chat.completions.create(model="gpt-5-mini", messages=SAID)
            assert refused.value.code == "workflow.stopped"
            assert (await done(kim, made["stop"]["id"]))["stop"]["refused"] == 0
            await served.governance.operations.flush()
            assert (await kim.get(f"/stops/{made['stop']['id']}")).json()["stop"]["refused"] == 1


async def test_the_run_of_a_call_is_cancelled_by_who_stopped_it_and_its_caller_hears_why(
    fake: FakeUpstream, tmp_path: Path
) -> None:
    async with site(fake, tmp_path) as served, console(served, "control") as kim:
        asked = KeyRequest(workflow="refunds", team="support", task="watch", session="desk-1")
        key = (await served.governance.keys.create(asked, by="user:ann", declare=True)).secret
        async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key=key, max_retries=0) as chat:
            stream = await chat.chat.completions.create(model="gpt-5-mini", messages=SAID, stream=True)
            await anext(aiter(stream))
            made = (await kim.post("/stops", json=STOP)).json()
            with pytest.raises(openai.APIError) as caught:
                async for _ in stream:
                    pass
        assert caught.value.code == "workflow.stopped"
        assert (await done(kim, made["stop"]["id"]))["running"] == 1
        assert served.site is not None
        async with served.site.connect("user:ann", tenant="default") as ann:
            (run,) = (await ann.session("desk-1").state()).runs.values()
        assert (run["status"], run["cancel"]["by"]) == ("cancelled", "user:kim")


async def test_a_stopped_model_is_asked_by_nobody_and_routes_avoid_it(fake: FakeUpstream, tmp_path: Path) -> None:
    async with site(fake, tmp_path) as served, console(served, "control") as kim:
        fake.always(tokens=5)
        models = {name: {"window": 400_000, "tools": True} for name in ("gpt-5", "gpt-5-mini")}
        route = {"name": "any", "workflow": "refunds", "candidates": ["gpt-5-mini", "gpt-5"], "floor": 0.5}
        await served.governance.routing.set_document(
            {"models": models, "routes": [route]}, by="user:ann", tenant="default"
        )
        async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0) as chat:

            async def answered() -> str:
                return (await chat.chat.completions.create(model="route/any", messages=SAID)).model

            first = await answered()
            made = (await kim.post("/stops", json={"scope": "model", "subject": first, "reason": REASON})).json()
            assert await answered() not in ("", first)
            with pytest.raises(openai.PermissionDeniedError) as caught:
                await chat.chat.completions.create(model=first, messages=SAID)
            assert caught.value.code == "workflow.stopped" and REASON in str(caught.value)
            async with console(served, "audit") as lee:
                await lee.post(f"/stops/{made['stop']['id']}/lift", json={"reason": "it is right again"})
            assert (await chat.chat.completions.create(model=first, messages=SAID)).model == first


async def test_each_asks_for_the_right_it_needs(fake: FakeUpstream, tmp_path: Path) -> None:
    async with site(fake, tmp_path) as served:
        everything = sorted(SESSION_VERBS - {"control"})
        async with console(served, *everything) as nobody, console(served, "control") as kim:
            assert (await nobody.post("/stops", json=STOP)).json()["error"]["code"] == "auth.denied"
            assert (await nobody.get("/stops")).status_code == 403
            made = (await kim.post("/stops", json=STOP)).json()
            lift = f"/stops/{made['stop']['id']}/lift"
            assert (await kim.post(lift, json={"reason": "x"})).json()["error"]["code"] == "auth.denied"
            async with console(served, "audit", subject="user:lee") as lee:
                assert (await lee.post(lift, json={"reason": "x"})).json()["stop"]["lifted_by"] == "user:lee"
                assert (await lee.post("/workflows/refunds/retire", json={"reason": "x"})).status_code == 403
            assert [one["state"] for one in (await kim.get("/stops", params={"all": "yes"})).json()["stops"]] == [
                "lifted"
            ]
            assert (await kim.get("/stops")).json() == {"stops": []}
            (incident,) = (await kim.get("/incidents")).json()["incidents"]
            assert (await kim.get(f"/incidents/{incident['id']}")).json()["incident"]["cost_usd"] == "0.00"


async def test_a_workflow_is_rolled_back_and_retired(fake: FakeUpstream, tmp_path: Path) -> None:
    async with site(fake, tmp_path) as served, console(served, "budget", subject="user:bea") as bea:
        workflows = served.governance.workflows
        await served.governance.organisation.change(parse(b"teams: [{name: support}]", "yaml"), by="user:ann")
        first = WorkflowManifest(
            workflow="refunds", unit="support", title="one", owner="ann", deputy="bob", stage="chat"
        )
        one = await workflows.apply(first, by="user:ann")
        two = await workflows.apply(WorkflowManifest(**{**_fields(first), "title": "two"}), by="user:ann")
        back = await bea.post("/workflows/refunds/rollback", json={"version": one.version, "reason": "two is worse"})
        assert back.json() == {
            "workflow": "refunds",
            "before": two.version,
            "after": one.version,
            "state": "registered",
        }
        wrong = await bea.post("/workflows/refunds/rollback", json={"version": "nothing", "reason": "x"})
        assert wrong.json()["error"]["code"] == "workflow.not_found"
        receipt = (await bea.post("/workflows/refunds/retire", json={"reason": "nobody uses it"})).json()
        assert (receipt["before"], len(receipt["keys"]), receipt["running"]) == ("registered", 1, 0)
        again = (await bea.post("/workflows/refunds/retire", json={"reason": "nobody uses it"})).json()
        assert (again["before"], again["keys"]) == ("retired", []), "twice is once"
        current = workflows.current("default", "refunds")
        assert current is not None and (current.state, current.mode) == ("retired", "enforce")
        async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0) as chat:
            with pytest.raises(openai.AuthenticationError) as caught:
                await chat.chat.completions.create(model="gpt-5-mini", messages=SAID)
            assert caught.value.code == "key.revoked"
        assert served.site is not None
        async with served.site.connect("user:ann", tenant="default", labels={"workflow": "refunds"}) as ann:
            session = await ann.create("s1", agent="writer")
            with pytest.raises(Refused) as refused:
                await session.send("hi")
            assert refused.value.code == "workflow.retired"


def _fields(manifest: WorkflowManifest) -> dict[str, Any]:
    return {name: getattr(manifest, name) for name in manifest.__struct_fields__}


def test_the_command_line(tmp_path: Path) -> None:
    store = ("--governance", str(tmp_path / "store.db"))
    stop: Run = runner(stop_group(operations_desk, workflow_desk), *store)
    incidents: Run = runner(incident_group(operations_desk), *store)
    group = workflow_commands.group(workflow_desk)
    add_to(group, operations_desk, asker_of)
    workflow: Run = runner(group, *store)
    assert stop("list") == "Nothing is stopped."
    assert "--url" in stop("workflow", "refunds", "--dry-run")
    with pytest.raises(Refused, match="say why"):
        stop("workflow", "refunds")
    made = stop("workflow", "refunds", "--reason", REASON, as_json=True)
    ident = made["stop"]["id"]
    assert made["stop"]["state"] == "stopping", "the server that has the sessions carries it out"
    assert REASON in stop("list") and ident in stop("list")
    assert "go on still" in stop("show", ident)
    for scope in ("agent", "model", "tool"):
        assert f"{scope} x is stopped" in stop(scope, "x", "--reason", REASON)
    assert "everything is stopped" in stop("everything", "--reason", REASON)
    lifted = stop("lift", ident, "--reason", "it is right again")
    assert "workflow refunds may begin again." in lifted and "of no workflow that is declared" in lifted
    assert ident not in stop("list") and ident in stop("list", "--all")
    with pytest.raises(Refused, match="no stop"):
        stop("show", "st-nothing")
    (first,) = incidents("list", as_json=True)["incidents"]
    own = incidents("add", "refunds", "--notes", "two letters", "--since", "2026-03-01T10:00", as_json=True)["incident"]
    assert own["from_ms"] == 1_772_359_200_000 and "2026-03-01T10:00:00Z" in incidents("show", own["id"])
    assert "both taken back" in incidents(
        "close", own["id"], "--notes", "both taken back", "--until", "2026-03-01T11:00+00:00"
    )
    assert {one["id"] for one in incidents("list", "--workflow", "refunds", as_json=True)["incidents"]} == {
        first["id"],
        own["id"],
    }
    with pytest.raises(Refused, match="no time"):
        incidents("add", "refunds", "--notes", "x", "--since", "soon")
    with pytest.raises(Refused, match="no workflow"):
        workflow("retire", "refunds", "--reason", "x")
    with pytest.raises(Refused, match="no workflow"):
        workflow("rollback", "refunds", "v1", "--reason", "x")
