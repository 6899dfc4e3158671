"""Every way in which a run or a call may be begun, each asked once with something fresh: what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

import httpx
import websockets

import holdfast
from holdfast.client.session import Session
from holdfast.edge.config import Settings
from holdfast.edge.extensions.extension_set import ExtensionSet
from holdfast.engines.memory import MemoryEngine
from holdfast.errors import HoldfastError
from holdfast.extensions import ExtensionMount, Services
from holdfast.gateway.settings import GatewaySettings
from holdfast.governance.app import Governance
from holdfast.governance.extension import GovernanceExtension
from holdfast.governance.keys.model import KeyRequest
from holdfast.governance.settings import GovernanceSettings
from holdfast.hub.hot import HotSession
from holdfast.hub.hub import Hub
from holdfast.hub.observer import Commit, SessionObserver
from holdfast.protocol import wire
from holdfast.protocol.events import RUN_QUEUED
from tests.fake_upstream.process import FakeUpstream
from tests.unit.edge.conftest import Site, serving

WORKFLOW: Final = "refunds"
LABELS: Final = {"workflow": WORKFLOW, "team": "support", "task": "answer"}
Act = Callable[[], Awaitable[str]]
"""Asks, and answers the code of the refusal; empty when it was begun."""


class QueuedRuns(SessionObserver[HotSession]):
    """Counts the runs that were ever queued."""

    def __init__(self) -> None:
        self.count = 0

    def committed(self, session: HotSession, commit: Commit) -> None:
        self.count += sum(event.type == RUN_QUEUED for event in commit.events)


class House:
    """A governed server with a gateway, and a hub embedded in this process.

    Attributes:
        orders: what the chief, who is a running agent, is told: to spawn a sub-run, and where the code goes.
    """

    def __init__(self, site: Site, governance: Governance, fake: FakeUpstream) -> None:
        self.site, self.governance, self.fake = site, governance, fake
        self.key = ""
        self.queued = QueuedRuns()
        self.embedded: holdfast.EmbeddedHub
        self.embedded_governance: Governance
        self.person: holdfast.Holdfast
        self.orders: asyncio.Queue[asyncio.Future[str]] = asyncio.Queue()
        self._numbers = itertools.count(1)

    def name(self) -> str:
        return f"s{next(self._numbers)}"

    def token(self) -> str:
        return self.site.token("user:ann", tenant="default", labels=LABELS)

    def http(self) -> httpx.AsyncClient:
        return self.site.http(self.token())

    def begun(self) -> int:
        """How many runs there ever were, and how often a provider was asked."""
        return self.queued.count + self.fake.stats().started

    async def session(self) -> Session:
        return await self.person.create(self.name(), agent="writer")

    @property
    def governances(self) -> tuple[Governance, Governance]:
        return self.governance, self.embedded_governance


class WithoutPaths(GovernanceExtension):
    """As it is in an embedded hub, whose router has no room for the paths of a gateway."""

    def mounts(self, services: Services) -> Sequence[ExtensionMount]:
        self._of(services)
        return ()


def governed(fake: FakeUpstream, kind: type[GovernanceExtension]) -> tuple[GovernanceExtension, Settings]:
    settings = Settings(db="memory:", port=0, drain_s=1, extensions=("governance",))
    extension = kind(GovernanceSettings(), settings)
    upstreams = [
        {"name": "openai", "url": f"{fake.url}/v1", "models": ["gpt-*"], "provider": "openai"},
        {"name": "anthropic", "url": fake.url, "shape": "anthropic", "models": ["claude-x=claude-sonnet-4-5"]},
    ]
    extension.upstreams = GatewaySettings.of({"upstreams": upstreams}, "test")
    return extension, settings


@contextlib.asynccontextmanager
async def house(fake: FakeUpstream, stores: tuple[str, str]) -> AsyncIterator[House]:
    """All of it, with a worker for both hubs."""
    extension, settings = governed(fake, GovernanceExtension)
    extension.settings = GovernanceSettings(url=stores[0])
    inner, _ = governed(fake, WithoutPaths)
    inner.settings = GovernanceSettings(url=stores[1])
    extensions = ExtensionSet([extension])
    hub = Hub(MemoryEngine(), policy=extensions.policy)
    async with contextlib.AsyncExitStack() as stack:
        site = await stack.enter_async_context(serving(hub, settings, extensions=extensions))
        assert extension.governance is not None
        made = House(site, extension.governance, fake)
        hub.sessions.observe(made.queued)
        made.embedded = holdfast.EmbeddedHub("memory:", extensions=[inner])
        made.embedded.hub.sessions.observe(made.queued)
        made.embedded.agent("writer")(_write)
        made.embedded.agent("spender")(_spend)
        await stack.enter_async_context(made.embedded)
        assert inner.governance is not None
        made.embedded_governance = inner.governance
        asked = KeyRequest(**LABELS, usage="headless", agents=("writer",), sessions="keyed*", actor="user:ann")
        made.key = (await made.governance.keys.create(asked, by="user:bea", declare=True)).secret
        made.person = await stack.enter_async_context(holdfast.connect(site.url, token=made.token()))
        worker = await stack.enter_async_context(
            holdfast.connect(site.url, token=site.token("agent:worker", tenant="default", agents=["*"]))
        )
        worker.agent("writer")(_write)

        @worker.agent("chief")
        async def lead(run: holdfast.RunContext) -> None:
            answer = await made.orders.get()
            try:
                await run.spawn("writer", "help")
            except asyncio.CancelledError:
                answer.set_result("cancelled")
                raise
            except HoldfastError as error:
                answer.set_result(error.code)
            else:
                answer.set_result("")

        working = asyncio.create_task(worker.serve(slots=64))
        stack.callback(working.cancel)
        yield made


async def _write(run: holdfast.RunContext) -> None:
    await run.say("done")


async def _spend(run: holdfast.RunContext) -> None:
    await run.usage("gpt-5-mini", input_tokens=10, output_tokens=100_000)


# --- ways
def code_of(answer: httpx.Response) -> str:
    """The code of an error of whatever dialect; empty for an answer."""
    if not answer.is_error:
        if "text/event-stream" in answer.headers.get("content-type", ""):
            events = [
                json.loads(line[5:]) for line in answer.text.splitlines() if line.startswith("data:") and "{" in line
            ]
            return next((str(event["code"]) for event in events if event.get("type") == "RUN_ERROR"), "")
        return ""
    if answer.headers["content-type"].startswith("text/plain"):
        return answer.text.partition(":")[0]
    error = answer.json()["error"]
    return str(error.get("code") or error["details"]["error_code"])


async def post(client: httpx.AsyncClient, path: str, body: dict[str, Any], **headers: str) -> str:
    async with client:
        return code_of(await client.post(path, json=body, headers=headers, timeout=30))


async def refused(asking: Awaitable[Any]) -> str:
    try:
        await asking
    except HoldfastError as error:
        return error.code
    return ""


async def chat_page(it: House) -> Act:
    session = await it.session()

    async def act() -> str:
        url = f"{it.site.url.replace('http', 'ws')}/v1/connect"
        async with websockets.connect(url, proxy=None) as socket:
            await socket.send(json.dumps({"op": "hello", "token": it.token()}))
            await socket.send(json.dumps({"op": "send", "id": 2, "session": session.id, "text": "hi", "key": "k1"}))
            while True:
                message = json.loads(await socket.recv())
                if message.get("id") == 2:
                    return str(message["error"]["code"]) if message["op"] == "error" else ""

    return act


async def client(it: House) -> Act:
    session = await it.session()
    return lambda: refused(session.send("hi"))


async def rest(it: House) -> Act:
    session = await it.session()
    return lambda: post(it.http(), f"/v1/sessions/{session.id}/messages", {"text": "hi"})


async def regenerate(it: House) -> Act:
    session = await it.session()
    run = await session.send("hi")
    await run.finished()
    return lambda: post(it.http(), f"/v1/sessions/{session.id}/messages/{run.input}/regenerate", {})


async def interrupt(it: House) -> Act:
    session = await it.session()
    await (await session.send("hi")).finished()
    return lambda: post(it.http(), f"/v1/sessions/{session.id}/interrupt", {"text": "rather this"})


async def spawn(it: House) -> Act:
    session = await it.session()
    run = await session.send("hi", agent="chief")
    async with session.live() as live:
        await live.until(lambda view: view.runs[run.id]["status"] == "running")

    async def act() -> str:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        it.orders.put_nowait(answer)
        try:
            if await answer != "cancelled":
                return answer.result()
            async with session.live() as live:  # what everybody who watches is shown
                view = await live.until(lambda view: any(item["kind"] == "activity" for item in view.items))
            return str(next(item["content"]["code"] for item in view.items if item["kind"] == "activity"))
        finally:
            with contextlib.suppress(HoldfastError):
                await session.connection.request(wire.Cancel(session=session.id, run=run.id))

    return act


async def ai_sdk_http(it: House) -> Act:
    message = {"id": f"m-{it.name()}", "role": "user", "parts": [{"type": "text", "text": "hi"}]}
    body = {"id": it.name(), "messages": [message]}
    return lambda: post(it.http(), "/v1/ai-sdk/v7/writer", body)


async def ai_sdk_socket(it: House) -> Act:
    message = {"id": f"m-{it.name()}", "role": "user", "parts": [{"type": "text", "text": "hi"}]}
    headers = {"authorization": f"Bearer {it.token()}"}
    frame = {"type": "send", "requestId": "q1", "id": it.name(), "messages": [message], "headers": headers}

    async def act() -> str:
        async with websockets.connect(f"{it.site.url.replace('http', 'ws')}/v1/ai-sdk/v7/writer", proxy=None) as socket:
            await socket.send(json.dumps(frame))
            found = json.loads(await socket.recv())
            return str(found["errorText"]).partition(":")[0] if found["type"] == "error" else ""

    return act


async def ag_ui(it: House) -> Act:
    message = {"id": f"m-{it.name()}", "role": "user", "content": "hi"}
    body = {"threadId": it.name(), "runId": "c1", "messages": [message]}
    return lambda: post(it.http(), "/v1/ag-ui/agent/writer/run", body)


async def openai_responses(it: House) -> Act:
    body = {"model": "writer", "input": "hi", "conversation": it.name(), "background": True}
    return lambda: post(it.http(), "/v1/responses", body)


def _gateway(path: str, **more: Any) -> Callable[[House], Awaitable[Act]]:
    async def prepare(it: House) -> Act:
        says = {"input": "hi"} if path.endswith("responses") else {"messages": [{"role": "user", "content": "hi"}]}
        body = {"model": "gpt-5-mini", **says, **more}
        return lambda: post(it.site.http(it.key), path, body)

    return prepare


async def gateway_session(it: House) -> Act:
    body = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]}
    session = f"keyed-{it.name()}"
    return lambda: post(it.site.http(it.key), "/v1/chat/completions", body, **{"x-holdfast-session": session})


async def agent_as_a_model(it: House) -> Act:
    body = {"model": "agent/writer", "messages": [{"role": "user", "content": "hi"}]}
    session = f"keyed-{it.name()}"
    return lambda: post(it.site.http(it.key), "/v1/chat/completions", body, **{"x-holdfast-session": session})


async def embedded(it: House) -> Act:
    session = it.embedded.session(it.name())
    return lambda: refused(session.start("writer", "hi"))


WAYS: Final[dict[str, Callable[[House], Awaitable[Act]]]] = {
    "chat page": chat_page, "WebSocket client": client, "REST": rest, "regenerate": regenerate, "interrupt": interrupt,
    "sub-run": spawn, "AI SDK over HTTP": ai_sdk_http, "AI SDK over WebSocket": ai_sdk_socket, "AG-UI": ag_ui,
    "OpenAI Responses": openai_responses, "gateway chat": _gateway("/v1/chat/completions"),
    "gateway responses": _gateway("/v1/responses"),
    "gateway messages": _gateway("/v1/messages", model="claude-x", max_tokens=64),
    "gateway call of a session": gateway_session, "agent as a model": agent_as_a_model, "embedded hub": embedded,
}  # fmt: skip
"""By name: prepares, while nothing stands in the way, and gives what is asked then."""
