"""AG-UI: an unmodified ``HttpAgent`` runs, joins and stops durable runs (https://docs.ag-ui.com).

``POST /v1/ag-ui/agent/{agent}/run`` takes a ``RunAgentInput`` and streams the run's events; ``…/connect`` joins what runs, or
sends the state when nothing does; ``…/stop/{thread}`` stops. The thread is the session. Paths are those that CopilotKit's
front end asks its runtime for. A client that goes away stops nothing (CTL-1).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from holdfast.edge.dialects.ag_ui.commands import AgUiCommands
from holdfast.edge.dialects.ag_ui.content import AgUiEvent
from holdfast.edge.dialects.ag_ui.input import DECODER, RunAgentInput
from holdfast.edge.dialects.ag_ui.stream import Stream
from holdfast.edge.dialects.ag_ui.versions import Version, version_of
from holdfast.edge.dialects.life_ids import incoming_id, outgoing_id
from holdfast.edge.listener import Listener
from holdfast.edge.local_subscription import LocalSubscription, SubscriptionMessage
from holdfast.edge.request import Requests, json_response
from holdfast.edge.sse import COMMENT, HEADERS, SubscriptionResponse
from holdfast.errors import Code, HoldfastError, Refused
from holdfast.hub import operations
from holdfast.protocol import codec, limits, wire
from holdfast.protocol.fold import View
from holdfast.protocol.view import ENDED
from holdfast.protocol.view_data import RunEntry
from holdfast.session.access import Principal, authorise

PREFIX: Final = "/v1/ag-ui/agent/{agent}"
_PAGES: Final = 16  # of older history that a client is given when it joins


class _Stop(msgspec.Struct):
    """What to stop: all runs of the agent, or the one a client's run id or a session's run id names."""

    runId: wire.Label | None = None
    force: bool = False


_STOP: Final = msgspec.json.Decoder(_Stop)


class AgUi:
    """The AG-UI dialect of one server."""

    def __init__(self, listener: Listener, requests: Requests) -> None:
        self._listener = listener
        self._hub = listener.hub
        self._requests = requests
        self._commands = AgUiCommands(listener)

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        return [
            Route(f"{PREFIX}/run", self.run, methods=["POST"]),
            Route(f"{PREFIX}/connect", self.connect, methods=["POST"]),
            Route(f"{PREFIX}/stop/{{thread}}", self.stop, methods=["POST"]),
        ]

    async def run(self, request: Request) -> Response:
        """Do what the input asks for, and stream the run until it ends or waits for people or the client's tools. A client
        that brings no conversation and no answers has nothing to say: it joins."""
        principal, run_input, version = await self._read_input(request)
        authorise(principal, "read", run_input.threadId)  # before anything is appended
        if not run_input.messages and not run_input.resume and not run_input.options.state:
            return await self._join(principal, run_input, version)
        targets = await self._commands.execute(principal, request.path_params["agent"], run_input)
        client_messages = run_input.messages if targets is not None else None
        stream = Stream(version, run_input.threadId, run_input.runId, targets, principal.actor, run_input.declared)
        return await self._stream(principal, run_input, stream, client_messages)

    async def connect(self, request: Request) -> Response:
        """Join what runs in the thread; nothing is appended."""
        principal, run_input, version = await self._read_input(request)
        authorise(principal, "read", run_input.threadId)
        return await self._join(principal, run_input, version)

    async def _join(self, principal: Principal, run_input: RunAgentInput, version: Version) -> Response:
        try:
            stream = Stream(version, run_input.threadId, "", None, principal.actor, run_input.declared)
            return await self._stream(principal, run_input, stream, None)
        except Refused as error:
            if error.code != "session.not_found":
                raise
        run = {"threadId": run_input.threadId, "runId": run_input.runId}  # a thread nobody has written to yet is empty
        nothing: list[AgUiEvent] = [] if run_input.messages else [{"type": "MESSAGES_SNAPSHOT", "messages": []}]
        return StreamingResponse(
            _once(_encode([{"type": "RUN_STARTED", **run}, *nothing, {"type": "RUN_FINISHED", **run}])),
            headers=HEADERS,
            media_type="text/event-stream",
        )

    async def stop(self, request: Request) -> Response:
        """Stop the agent's runs in a thread: ``{"stopped": true, "runs": […]}``."""
        principal = self._requests.principal(request)
        async with self._requests.body(request) as raw:
            stop_request = codec.decode(raw, _STOP, "body") if raw.strip() else _Stop()
        thread, agent = codec.check_session_id(request.path_params["thread"]), request.path_params["agent"]
        authorise(principal, "control", thread)  # whether or not anything runs
        life, _, view = await self._hub.view(principal, thread)
        run_id = (
            incoming_id(self._commands.run_of(principal, thread, stop_request.runId), life)
            if stop_request.runId
            else None
        )
        runs = [
            run["id"]
            for run in view.runs.values()
            if run["status"] not in ENDED and (run["id"] == run_id if run_id else _is_of(run, agent))
        ]
        for run in runs:
            try:
                op = wire.Cancel(session=thread, run=run, force=stop_request.force, incarnation=life)
                await operations.execute(self._hub, principal, op)
            except Refused as error:
                if error.code != "run.ended":
                    raise
        return json_response({"stopped": bool(runs), "runs": [outgoing_id(run, life) for run in runs]})

    # --- streaming
    async def _read_input(self, request: Request) -> tuple[Principal, RunAgentInput, Version]:
        principal = self._requests.principal(request)
        async with self._requests.body(request, limits.CONVERSATION_BYTES) as raw:
            run_input: RunAgentInput = codec.decode(raw, DECODER, "body", limits.CONVERSATION_BYTES)
        codec.check_session_id(run_input.threadId)
        return principal, run_input, version_of(request.query_params.get("version"), run_input.protocolVersion)

    async def _stream(
        self,
        principal: Principal,
        run_input: RunAgentInput,
        stream: Stream,
        client_messages: list[dict[str, Any]] | None,
    ) -> Response:
        subscription = await LocalSubscription.open(
            self._listener, principal, run_input.threadId, "snapshot", surface="ag-ui"
        )
        return SubscriptionResponse(subscription, self._body(subscription, stream, run_input.state, client_messages))

    async def _body(
        self, subscription: LocalSubscription, stream: Stream, state: Any, client_messages: list[dict[str, Any]] | None
    ) -> AsyncIterator[bytes]:
        """The response: the AG-UI run, whole, or until the subscription ends."""
        try:
            async for message in subscription.messages():
                events = await self._events_of(subscription, stream, message, client_messages, state)
                end_events = stream.end_events()
                if events or end_events:
                    yield _encode(events + end_events)
                if end_events:
                    self._commands.mark_reported(subscription.principal, stream.session, stream.targets)
                    return
                client_messages = client_messages if message is None or message.op != "snapshot" else None
                if message is None:
                    yield COMMENT
                elif stream.stale:
                    await operations.subscribe(
                        self._hub, subscription, wire.Subscribe(session=stream.session, start="snapshot")
                    )
            yield _encode(
                [stream.run_error("connection.lost", f"{subscription.close_reason}: the run goes on; connect again.")]
            )
        except HoldfastError as error:
            yield _encode([stream.run_error(error.code, error.text)])

    async def _events_of(
        self,
        subscription: LocalSubscription,
        stream: Stream,
        message: SubscriptionMessage | None,
        client_messages: list[dict[str, Any]] | None,
        state: Any,
    ) -> list[AgUiEvent]:
        """What a message of the session is to the client. Raises ``Refused`` when the session is closed to it."""
        if message is None:
            return []
        if message.op == "snapshot":
            return await self._snapshot_events(subscription.principal, stream, message, client_messages, state)
        if message.op == "closed":
            raise Refused(cast(Code, message.code or "session.deleted"))
        return stream.events(message.events)

    async def _snapshot_events(
        self,
        principal: Principal,
        stream: Stream,
        message: SubscriptionMessage,
        client_messages: list[dict[str, Any]] | None,
        state: Any,
    ) -> list[AgUiEvent]:
        """A snapshot for the client. One that must be given messages is given older pages of the history as well."""
        view = message.view or {}
        if view["older"] and (client_messages is None or not stream.covers_view(View.load(view), client_messages)):
            client_messages = None
            for number in range(view["older"], max(0, view["older"] - _PAGES), -1):
                page = await self._older(principal, stream.session, number)
                view.update(items=page["items"] + view["items"], runs=page["runs"] | view["runs"], older=number - 1)
        stream.life = message.incarnation or ""
        return stream.snapshot(message.seq or 0, View.load(view), client_messages, state)

    async def _older(self, principal: Principal, session: str, page: int) -> dict[str, Any]:
        result = await operations.execute(self._hub, principal, wire.History(session=session, page=page))
        older: dict[str, Any] = msgspec.json.decode(result["page"])
        return older


def _is_of(run: RunEntry, agent: str) -> bool:
    return run["agent"] == agent and "parent" not in run


def _encode(events: list[AgUiEvent]) -> bytes:
    return b"".join(b"data: %b\n\n" % codec.encode(event) for event in events)


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
