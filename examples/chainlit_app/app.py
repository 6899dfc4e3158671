"""A Chainlit app whose answers survive: a reload, a second tab, a lost connection, a restart of the app itself.

Chainlit shows; the sessions are Holdfast's. What a person says goes into the session, an agent answers there, and every
page follows the session. Start it with ``chainlit run app.py``; sessions are in ``sessions.db``.
"""

import asyncio
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import chainlit as cl
from chainlit.config import config
from chainlit.context import local_steps
from chainlit.data.base import BaseDataLayer
from chainlit.session import WebsocketSession
from chainlit.types import PageInfo, PaginatedResponse, Pagination, ThreadDict, ThreadFilter

import holdfast

hub = holdfast.EmbeddedHub(os.environ.get("SESSIONS", "sqlite:///sessions.db"))
config.features.edit_message = False
PACE_S = float(os.environ.get("PACE_S", "0.05"))
FOLLOWING: dict[str, asyncio.Task[None]] = {}  # by page


@hub.agent("writer")
async def write(run: holdfast.RunContext) -> None:
    """Stands for a model. Registered by name, so a run is taken up again after a restart."""
    async with run.message() as out:
        for number in range(1, 61):
            await out.write(f"{run.input} {number}, ")
            await asyncio.sleep(PACE_S)


# --- what Chainlit calls ----------------------------------------------------------------------------------------------
cl.on_app_startup(hub.open)


@cl.on_app_shutdown
async def shutdown() -> None:
    """Runs at hand are let go; the next start takes them up."""
    for task in FOLLOWING.values():
        task.cancel()
    await hub.close()


@cl.password_auth_callback
async def login(name: str, password: str) -> cl.User | None:
    """Put your own login here."""
    return cl.User(identifier=name) if name.isalnum() and password == "tide" else None


@cl.on_message
async def on_message(message: cl.Message) -> None:
    """Into the session with it; the page follows. Waiting for the end only keeps the stop button there."""
    session = await the_session()
    await session.create(meta={"owner": owner()})
    follow_once(session)
    run = await session.send(message.content, agent="writer", key=message.id)
    await run.finished()


@cl.on_chat_start
async def started() -> None:
    """A page whose connection broke while it was opening a thread comes here, and not to ``on_chat_resume``."""
    if cl.context.session.thread_id_to_resume:
        follow_once(await the_session(), after=asyncio.current_task())


@cl.on_chat_resume
async def resumed(thread: ThreadDict) -> None:
    """A page was opened, or reloaded, on a thread: follow it, as soon as Chainlit has shown what is in it."""
    follow_once(await the_session(), after=asyncio.current_task())


@cl.on_stop
async def stopped() -> None:
    """The stop button. Closing the page stops nothing."""
    await (await the_session()).cancel()


# --- from the session to the page -------------------------------------------------------------------------------------
def owner() -> str:
    """Who uses this page."""
    return str(cl.user_session.get("user").identifier)


async def the_session() -> holdfast.Session:
    """The session of this page's thread, as its user."""
    return (await hub.client(f"user:{owner()}")).session(cl.context.session.thread_id)


def follow_once(session: holdfast.Session, after: asyncio.Task[Any] | None = None) -> None:
    """Let this page follow a session, unless it does."""
    page = cl.context.session.id
    if page not in FOLLOWING:
        FOLLOWING[page] = asyncio.create_task(follow(session, after))
        FOLLOWING[page].add_done_callback(lambda task: FOLLOWING.pop(page))


async def follow(session: holdfast.Session, after: asyncio.Task[Any] | None) -> None:
    """Show on this page what is said in a session, for as long as Chainlit knows the page."""
    local_steps.set(None)  # what is shown belongs to no step of Chainlit's
    if after is not None:
        await asyncio.wait({after})
    page, changed = cl.context.session, asyncio.Event()
    connection, busy_at, shown = page.socket_id, 0.0, dict[str, cl.Message]()
    async with session.live() as live:
        live.on_change(lambda live: changed.set())
        while WebsocketSession.get_by_id(page.id) is page:
            if page.socket_id != connection:  # the page is back, and Chainlit does not say so: send what it may lack
                connection, busy_at = page.socket_id, 0.0
                for message in shown.values():
                    await message.send()
            changed.clear()
            await show(live.view, shown)
            busy, now = any(run["status"] in ("queued", "running") for run in live.view.runs.values()), monotonic()
            if busy and now > busy_at + 1:  # said again and again: Chainlit takes it back when a page reconnects
                busy_at = now
                await cl.context.emitter.task_start()
            elif not busy and busy_at:
                busy_at = 0.0
                await cl.context.emitter.task_end()
            try:
                await asyncio.wait_for(changed.wait(), 1.0)
            except TimeoutError:
                continue


async def show(view: holdfast.View, shown: dict[str, cl.Message]) -> None:
    """Bring the page from what it shows to the view. Messages have the session's ids: one that is there is replaced."""
    messages = {item["id"]: item for item in valid_messages(view.visible(), view.runs)}
    for removed in shown.keys() - messages.keys():
        await shown.pop(removed).remove()
    for item in messages.values():
        message = shown.get(item["id"])
        if message is None:
            kind = "user_message" if item["role"] == "user" else "assistant_message"
            shown[item["id"]] = message = cl.Message(item["text"], id=item["id"], type=kind, author=author(item))
            await message.send()
        await message.stream_token(item["text"][len(message.content) :])
        if message.streaming and item["status"] != "open":
            await message.update()


def valid_messages(items: list[dict[str, Any]], runs: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The messages, without what lost attempts said in vain: the next attempt says it anew."""
    for item in items:
        losses = runs.get(item.get("run", ""), {}).get("losses", [])
        lost = item.get("attempt") in {loss["attempt"] for loss in losses}
        if item["kind"] == "message" and not (lost and not item.get("kept")):
            yield item


def author(item: dict[str, Any]) -> str:
    """``user:ann`` as people read it."""
    return str(item["actor"].partition(":")[2])


# --- Chainlit's history is the sessions: nothing is kept twice ----------------------------------------------------------
class Threads(BaseDataLayer):
    """The threads in Chainlit's sidebar, read from the sessions."""

    async def get_thread(self, thread_id: str) -> ThreadDict | None:
        try:
            session = (await hub.client("system:threads")).session(thread_id)
            view = await session.state()
            items, runs, page = view.items, dict(view.runs), view.older
            while page > 0:
                older = await session.history(page)
                items, runs, page = [*older["page"]["items"], *items], {**older["page"]["runs"], **runs}, older["older"]
        except holdfast.Refused:
            return None
        person = view.meta.get("owner")
        steps = [
            step(item, thread_id) for item in valid_messages(items, runs) if item["status"] != "open"
        ]  # those are followed
        return ThreadDict(
            id=thread_id, createdAt=time(items[0]["ts"] if items else 0), name=view.title or None, userId=person,
            userIdentifier=person, tags=[], metadata={}, steps=steps, elements=[],
        )  # fmt: skip

    async def get_thread_author(self, thread_id: str) -> str:
        thread = await self.get_thread(thread_id)
        return (thread or {}).get("userIdentifier") or ""

    async def list_threads(self, pagination: Pagination, filters: ThreadFilter) -> PaginatedResponse[ThreadDict]:
        async with (await hub.client(f"user:{filters.userId}")).sessions() as sessions:
            rows = [row for row in sessions.rows if (filters.search or "").lower() in row["title"].lower()]
        ids = [row["session"] for row in rows]
        first = ids.index(pagination.cursor) + 1 if pagination.cursor in ids else 0
        page = rows[first : first + pagination.first]
        threads = [
            ThreadDict(
                id=row["session"], createdAt=time(row["active_ms"]), name=row["title"], userId=filters.userId,
                userIdentifier=filters.userId, tags=[], metadata={}, steps=[], elements=[],
            )
            for row in page
        ]  # fmt: skip
        ends = {"startCursor": page[0]["session"], "endCursor": page[-1]["session"]} if page else {}
        info = PageInfo.from_dict({"hasNextPage": first + len(page) < len(rows), **ends})
        return PaginatedResponse(pageInfo=info, data=threads)

    async def update_thread(
        self,
        thread_id: str,
        name: str | None = None,
        user_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        tags: list[str] | None = None,
    ) -> None:
        session = (await hub.client("system:threads")).session(thread_id)
        if user_id is not None:  # the first message: it may come before or after the message itself
            await session.create(meta={"owner": user_id})
        if name is not None:
            await session.rename(name[:80])

    async def delete_thread(self, thread_id: str) -> None:
        await (await hub.client("system:threads")).session(thread_id).delete()

    async def get_user(self, identifier: str) -> cl.PersistedUser:
        return cl.PersistedUser(id=identifier, identifier=identifier, createdAt=time(0))

    async def create_user(self, user: cl.User) -> cl.PersistedUser:
        return await self.get_user(user.identifier)

    async def _nothing(self, *_: Any, **__: Any) -> Any:
        """What is said is in the session already; the rest this app does not use."""

    create_step = update_step = delete_step = create_element = get_element = delete_element = _nothing
    upsert_feedback = delete_feedback = build_debug_url = close = _nothing

    async def get_favorite_steps(self, user_id: str) -> list[Any]:
        return []


cl.data_layer(Threads)


def step(item: dict[str, Any], thread: str) -> Any:
    """A message as Chainlit keeps them."""
    kind = "user_message" if item["role"] == "user" else "assistant_message"
    return {
        "id": item["id"], "threadId": thread, "parentId": None, "type": kind, "name": author(item),
        "output": item["text"], "createdAt": time(item["ts"]), "start": time(item["ts"]), "end": time(item["ts"]),
        "streaming": False, "isError": False, "metadata": {}, "tags": [],
    }  # fmt: skip


def time(ms: int) -> str:
    """Unix milliseconds in ISO 8601."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat().replace("+00:00", "Z")
