"""Holdfast itself, through its own client: what a session's events mean on a page."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from holdfast.audit.budget import ProbeBudget
from holdfast.audit.clients import Chat, Tab
from holdfast.audit.endpoint import Endpoint, Receipt
from holdfast.audit.recipe import Recipe, RecipeCall, Rule, Verb
from holdfast.audit.stream import ClientStream
from holdfast.audit.transcript import Piece, StreamEnd, Transcript
from holdfast.client.client import Client
from holdfast.client.feed import Snapshot
from holdfast.client.websocket import WebSocketDialer, connect_url
from holdfast.errors import HoldfastError
from holdfast.protocol import events as e
from holdfast.protocol import wire
from holdfast.protocol.events import Event
from holdfast.protocol.items import Item
from holdfast.protocol.view_data import ViewData

RECIPE: Final = Recipe(
    name="holdfast",
    about="a Holdfast server; the body of ask names the agent",
    framework="holdfast",
    transport="holdfast",
    ask=[RecipeCall(body={"agent": ""})],
    resume=RecipeCall(gives="rest"),
    join=RecipeCall(),
    stop=RecipeCall(),
    steer=RecipeCall(),
    approve=RecipeCall(),
    read=[Rule(user="text", steer="text", approval="approvalId", agent="delta")],
)
END_WORDS: Final = {"completed": "complete", "cancelled": "stopped", "failed": "error", "lost": "error"}


class EventTranslator:
    """Turns what a session's reader gets into pieces. Answers are root runs; sub-runs are sub-agents."""

    def __init__(self, stream: ClientStream) -> None:
        self.stream = stream
        self.cursor: wire.Cursor | None = None
        self.parents: dict[str, str] = {}
        self.run = ""

    def snapshot(self, item: Snapshot) -> None:
        """The page begins anew with this state."""
        view = item.view
        self.stream.transcript = Transcript()
        self.parents = {run["id"]: run.get("parent") or "" for run in view["runs"].values()}
        for part in view["items"]:
            run = part.get("run", "")
            if part["kind"] == "message" and part["role"] == "user":
                self._piece("user", text=part["text"], id=part["id"])
            elif part["kind"] == "message" and not self._lost(view, part):
                self._add_text(run, part["text"], part["actor"])
            elif part["kind"] == "approval":
                self._piece("approval", id=part["id"])
                if part["status"] != "pending":
                    self._piece("resolved", id=part["id"], word=part["status"])
            elif part["kind"] == "steer":
                self._piece("steer", id=part["id"], text=part["text"])
        for entry in view["runs"].values():
            self._run(entry["id"], entry["status"])

    def _lost(self, view: ViewData, part: Item) -> bool:
        run = view["runs"].get(part.get("run", ""))
        losses = run.get("losses", []) if run is not None else []
        return any(loss["attempt"] == part.get("attempt") for loss in losses)

    def event(self, event: Event) -> None:
        """One more event."""
        data, run = event.data, event.run or ""
        if event.type == e.TEXT_CONTENT:
            self._add_text(run, data["delta"], event.actor)
        elif event.type == e.INPUT_MESSAGE:
            self._piece("user", text=data["text"], id=data["messageId"])
        elif event.type == e.INPUT_STEER:
            self._piece("steer", text=data["text"], id=data["steerId"])
        elif event.type == e.APPROVAL_REQUESTED:
            self._piece("approval", id=data["approvalId"])
        elif event.type in (e.APPROVAL_RESOLVED, e.APPROVAL_EXPIRED):
            self._piece("resolved", id=data["approvalId"], word=data.get("decision", "expired"))
        elif event.type == e.RUN_QUEUED:
            self.parents.setdefault(run, data.get("parent") or "")
            self._run(run, "queued")
        elif event.type == e.RUN_ATTEMPT_LOST and not self.parents.get(run):
            self._piece("whole", id=run, text="")
        elif event.type == e.RUN_ENDED:
            self._run(run, data["status"])

    def _add_text(self, run: str, text: str, actor: str) -> None:
        if self.parents.get(run):
            self._piece("agent", id=run, text=text, by=actor)
        else:
            self._piece("text", id=run, text=text)

    def _run(self, run: str, status: str) -> None:
        if self.parents.get(run):
            return
        self.run = run
        if status in END_WORDS:
            self._piece("end", id=run, word=END_WORDS[status])
        else:
            self._piece("begin", id=run)

    def _piece(self, kind: Any, **fields: str) -> None:
        self.stream.piece(Piece(kind, **fields))


class HoldfastEndpoint(Endpoint):
    """A Holdfast server.

    Args:
        url: its address. headers: ``authorization`` carries the token. The agent stands in the recipe.
    """

    def __init__(
        self,
        url: str,
        recipe: Recipe,
        budget: ProbeBudget,
        headers: dict[str, str] | None = None,
        hosts: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(url, recipe, budget)
        self._parts = urlsplit(connect_url(url))
        self._headers = headers or {}
        body = recipe.ask[0].body if recipe.ask else {}
        self.agent = str((body or {}).get("agent", "")) if isinstance(body, dict) else ""
        self._clients: dict[str, Client] = {}
        self._pages: dict[int, EventTranslator] = {}

    @property
    def address(self) -> tuple[str, int]:
        return self._parts.hostname or "", self._parts.port or (443 if self._parts.scheme == "wss" else 80)

    # --- verbs
    async def ask(self, tab: Tab, chat: Chat, prompt: str, on: ClientStream | None = None) -> ClientStream:
        stream = on if on is not None and on.closed is None and id(on) in self._pages else None
        try:
            client = await self._client(tab)
            session = client.session(f"audit-{chat.id}")
            await session.create(agent=self.agent)
            if stream is None:
                stream = await self._follow(tab, client, chat, "snapshot", ClientStream(self.budget))
            run = await session.send(prompt)
            tab.names["run"] = run.id
        except (HoldfastError, OSError) as error:
            stream = stream or ClientStream(self.budget)
            stream.end(StreamEnd("refused", str(error)))
        return stream

    async def resume(self, tab: Tab, chat: Chat, after: ClientStream) -> ClientStream:
        page = self._pages.get(id(after))
        start: Any = page.cursor if page is not None and page.cursor is not None else "snapshot"
        await after.close()
        stream = ClientStream(self.budget, after.transcript.copy() if start != "snapshot" else None)
        try:
            follower = await self._follow(tab, await self._client(tab, anew=True), chat, start, stream)
            if page is not None:
                self._pages[id(follower)].parents |= page.parents
        except (HoldfastError, OSError) as error:
            stream.end(StreamEnd("refused", str(error)))
        return stream

    async def join(self, tab: Tab, chat: Chat) -> ClientStream:
        stream = ClientStream(self.budget)
        try:
            return await self._follow(tab, await self._client(tab), chat, "snapshot", stream)
        except (HoldfastError, OSError) as error:
            stream.end(StreamEnd("refused", str(error)))
            return stream

    async def history(self, tab: Tab, chat: Chat) -> Transcript | None:
        return None

    async def command(
        self, verb: Verb, tab: Tab, chat: Chat, names: dict[str, str], on: ClientStream | None = None
    ) -> Receipt:
        page = self._pages.get(id(on)) if on is not None else None
        run = (page.run if page is not None else "") or tab.names.get("run", "")
        try:
            session = (await self._client(tab)).session(f"audit-{chat.id}")
            if verb == "stop":
                return Receipt(True, f"stopping {', '.join(await session.cancel(scope='all'))}")
            if verb == "steer":
                return Receipt(True, f"steer {await session.steer(run, names['text'])}")
            await session.approve(names["approval"])
            return Receipt(True, "approved")
        except (HoldfastError, OSError) as error:
            return Receipt(False, str(error))

    # --- connections
    async def _client(self, tab: Tab, *, anew: bool = False) -> Client:
        client_before = self._clients.get(tab.id)
        if client_before is not None and not anew:
            return client_before
        if client_before is not None:
            await self._disconnect(client_before)
        self.budget.spend()
        dial = WebSocketDialer(self.url, via=("127.0.0.1", tab.proxy.port))
        token = {**self._headers, **tab.headers}.get("authorization", "").partition(" ")[2]
        client = Client(dial, token or None, surface="audit", device=tab.name)
        await client.__aenter__()
        self._clients[tab.id] = client
        return client

    async def _disconnect(self, client: Client) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(1):
                await client.close()

    async def _follow(self, tab: Tab, client: Client, chat: Chat, start: Any, stream: ClientStream) -> ClientStream:
        page = self._pages[id(stream)] = EventTranslator(stream)
        reader = client.session(f"audit-{chat.id}").events(after=start)
        stream.head = f"Holdfast session audit-{chat.id} from {start}"

        async def work() -> None:
            async with reader:
                async for item in reader:
                    stream.received(msgspec.json.encode(item)[:400] + b"\n")
                    if isinstance(item, Snapshot):
                        page.snapshot(item)
                    else:
                        page.event(item)
                    page.cursor = reader.cursor
                    stream.cursor = f"{page.cursor.incarnation}:{page.cursor.seq}" if page.cursor else ""

        async def close() -> None:
            reader.close()
            if self._clients.get(tab.id) is client:
                del self._clients[tab.id]
                await self._disconnect(client)

        return stream.run(work(), close)

    async def close(self) -> None:
        for client in list(self._clients.values()):
            await self._disconnect(client)
        self._clients.clear()
