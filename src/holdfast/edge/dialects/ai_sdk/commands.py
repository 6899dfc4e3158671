"""The requests of an SDK client, as operations: its messages are not trusted, and only the last one is looked at."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from holdfast.edge.browser_calls import BrowserCallResponder
from holdfast.edge.dialects.ai_sdk.answer import Answer
from holdfast.edge.dialects.ai_sdk.calls import SdkClient
from holdfast.edge.dialects.ai_sdk.history import conversation
from holdfast.edge.dialects.ai_sdk.request import ChatRequest, client_position, resolve_ops, tool_results
from holdfast.edge.dialects.ai_sdk.states import AnswerState, answer_states
from holdfast.edge.dialects.ai_sdk.user_message import File, UIMessage, parse
from holdfast.edge.dialects.life_ids import incoming_id
from holdfast.edge.listener import Listener
from holdfast.edge.local_subscription import LocalSubscription
from holdfast.errors import Refused
from holdfast.hub import operations
from holdfast.protocol import codec, ids, limits, wire
from holdfast.protocol.bounds import too_large
from holdfast.protocol.fold import View
from holdfast.protocol.view import ENDED
from holdfast.session.access import Principal, authorise

SURFACE: Final = "ai-sdk"
REPLAY_S: Final = 3_600.0
"""An answer that ended is sent again for so long to version 7, which replaces what it has of it: it may have been away."""

_ANY: Final = msgspec.json.Decoder()


class ChatCommands:
    """Carries out what one principal asks of one agent.

    Args:
        version: of the SDK: 5, 6 or 7.
        tools: the browser's tools the page has, as its header says them (``parse_tools``).
    """

    def __init__(
        self, listener: Listener, principal: Principal, agent: str, version: int, tools: frozenset[str] | None = None
    ) -> None:
        self.hub = listener.hub
        self._listener = listener
        self.principal = principal
        self._agent = agent
        self._version = version
        self._client = SdkClient(version, principal.actor, tools)

    async def send(self, request: ChatRequest) -> tuple[LocalSubscription, Answer] | None:
        """Append the last message, or decide what it decides, and read the answer. Raises ``HoldfastError``.

        None when no agent answers, because a person has taken over (CTL-8).
        """
        session = codec.check_session_id(request.id)
        authorise(self.principal, "read", session)  # before anything is written: the answer is to be read
        if len(self._agent) > limits.NAME_CHARS:
            raise too_large("agent", limits.NAME_CHARS, "characters")
        if not request.messages:
            raise Refused("input.malformed", "messages: at least one is needed")
        last = request.messages[-1]
        run: str | None
        if request.trigger == "regenerate-message":
            run = await self._regenerate(session, request)
        elif last.role == "assistant":
            return await self._decide(session, last)
        elif last.role == "user":
            run = await self._send_message(session, last, edited=request.messageId == last.id)
        else:
            raise Refused("input.malformed", f"messages: the last one is of role {last.role!r:.40}")
        return None if run is None else await self._subscribe(session, Answer(session, run, self._client))

    async def resume(self, session: str) -> tuple[LocalSubscription, Answer] | None:
        """Read the answer that is being given; None when there is none."""
        run = await self.active(session, ended_s=REPLAY_S if self._version >= 7 else 0)
        if run is None:
            return None
        states = await answer_states(self.hub, self.principal, session, (await self._view(session))[1])
        state = states.get(run)
        return await self._subscribe(session, Answer(session, run, self._client, state=state))

    async def messages(self, session: str) -> list[dict[str, Any]]:
        """The conversation as ``UIMessage[]``, without the answer that is being given: ``resume`` brings that."""
        life, view = await self._view(session)
        states: dict[str, AnswerState] = {}
        if view.state:  # the log is read for it, and the view goes on meanwhile: this one stays as it is
            life, _, raw = await self.hub.snapshot(self.principal, session)
            view = View.load(_ANY.decode(raw))
            states = await answer_states(self.hub, self.principal, session, view)
        return conversation(session, life, view, self._version, states)

    async def stop(self, session: str, run: str | None = None) -> dict[str, Any]:
        """Cancel a run, by default the one that ``resume`` would read. Nothing to stop is no error."""
        authorise(self.principal, "control", session)  # whether or not anything runs
        run = run or await self.active(session)
        if run is None:
            return {"runs": []}
        try:
            op = wire.Cancel(session=session, run=run, incarnation=await self._incarnation(session))
            return await operations.execute(self.hub, self.principal, op)
        except Refused as error:
            if error.code != "run.ended":
                raise
            return {"runs": []}

    async def _incarnation(self, session: str) -> str:
        return (await self.hub.sessions.load(self.principal, codec.check_session_id(session))).incarnation

    async def _view(self, session: str) -> tuple[str, View]:
        """The session's life, and the view as ``Hub.view`` gives it: to be looked at before the next ``await``."""
        life, _, view = await self.hub.view(self.principal, codec.check_session_id(session))
        return life, view

    async def active(self, session: str, ended_s: float = 0) -> str | None:
        """The root run that is being executed or waits: of this agent before any other's, the earliest first.

        With ``ended_s`` also the newest one, when it ended no longer ago.
        """
        try:
            _, view = await self._view(session)
        except Refused as error:
            if error.code != "session.not_found":
                raise
            return None
        runs = [run for run in view.runs.values() if "parent" not in run]
        live = [run for run in runs if run["status"] not in ENDED]
        if live:
            return str(min(live, key=lambda run: (run["agent"] != self._agent, run["seq"]))["id"])
        since_ms = self.hub.clock.wall_ms() - ended_s * 1_000
        if ended_s and runs and runs[-1].get("ended_ts", 0) >= since_ms:
            return str(runs[-1]["id"])
        return None

    # --- subscribing
    async def _subscribe(self, session: str, answer: Answer) -> tuple[LocalSubscription, Answer]:
        return await LocalSubscription.open(
            self._listener, self.principal, session, "snapshot", surface=SURFACE
        ), answer

    # --- writing
    async def _send_message(self, session: str, message: UIMessage, *, edited: bool) -> str | None:
        key = codec.check_entity_id(message.id, "messages: id")
        user_message = parse(message)
        for file in user_message.files:  # nothing is written for a message that cannot be
            if file.blob:
                await self._check_blob(session, file.blob)
        await self._create(session)
        fields: dict[str, Any] = {
            "session": session,
            "agent": self._agent,
            "text": user_message.text,
            "meta": user_message.meta,
            "attachments": [await self._attach(session, file) for file in user_message.files],
        }
        if edited:
            try:
                result = await operations.execute(self.hub, self.principal, wire.Send(edits=key, **fields))
                return result["run"]  # type: ignore[no-any-return]
            except Refused as error:
                if error.code != "input.not_found":  # it never arrived: then this is the first time
                    raise
        return (await operations.execute(self.hub, self.principal, wire.Send(key=key, **fields)))["run"]  # type: ignore[no-any-return]

    async def _check_blob(self, session: str, blob: str) -> None:
        """Raises ``blob.not_found``, also for a chat that nobody has written to yet."""
        try:
            await self.hub.blobs.get(self.principal, session, blob)
        except Refused as error:
            raise Refused("blob.not_found") if error.code == "session.not_found" else error from None

    async def _create(self, session: str) -> None:
        try:
            await self.hub.sessions.load(self.principal, session, "append")
        except Refused as error:
            if error.code != "session.not_found":
                raise
            await operations.execute(self.hub, self.principal, wire.Create(session=session, agent=self._agent))

    async def _attach(self, session: str, file: File) -> wire.Attachment:
        blob = file.blob or await self.hub.blobs.put(self.principal, session, file.media_type, file.data)
        return wire.Attachment(blob, file.name, file.media_type)

    async def _regenerate(self, session: str, request: ChatRequest) -> str | None:
        """Another answer to the input that the named answer answers, or to the last user message."""
        last = next((message for message in reversed(request.messages) if message.role == "user"), None)
        try:
            life, view = await self._view(session)
            run = view.runs.get(incoming_id(request.messageId or "", life))  # an assistant message's id is its run's
            if run is not None and run.get("input"):
                ident = run["input"]
            elif last is not None:
                ident = incoming_id(codec.check_entity_id(last.id, "messages: id"), life)
                edits = [i["id"] for i in view.items if i["kind"] == "message" and i.get("edits") == ident]
                ident = edits[-1] if edits else ident  # to the SDK an edited message keeps its id
            else:
                raise Refused("input.malformed", "messages: no user message to answer again")
            op = wire.Regenerate(
                session=session, input=ident, agent=self._agent, select=True, incarnation=life
            )  # as the SDK, which drops the rest
            return str((await operations.execute(self.hub, self.principal, op))["run"])
        except Refused as error:
            if error.code not in ("session.not_found", "input.not_found") or last is None:
                raise
        return await self._send_message(session, last, edited=False)  # it never arrived: the page tries again

    async def _decide(self, session: str, message: UIMessage) -> tuple[LocalSubscription, Answer]:
        """The client answers approvals and calls to tools of its own: its message comes back with them, and goes on after
        what it has."""
        resolutions, results = resolve_ops(session, message), tool_results(message)
        if len(resolutions) > limits.PENDING_APPROVALS:
            raise too_large("messages", limits.PENDING_APPROVALS, "decisions")
        if not resolutions and not results:
            raise Refused(
                "input.malformed", "messages: the last one is neither the user's nor does it answer what was asked"
            )
        run = incoming_id(message.id, await self._incarnation(session))
        await BrowserCallResponder(self._listener, self.principal, session, SURFACE).answer(results)
        position = client_position(message, frozenset(ids.unbind(op.approval)[0] for op in resolutions))
        subscription, answer = await self._subscribe(session, Answer(session, run, self._client, position))
        try:
            for op in resolutions:
                try:
                    await operations.execute(self.hub, self.principal, op)
                except Refused as error:
                    if error.code != "approval.resolved":  # somebody was faster: the stream says who
                        raise
        except BaseException:
            subscription.end()
            raise
        return subscription, answer
