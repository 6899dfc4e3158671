"""AG-UI: an unmodified ``HttpAgent`` runs, joins and stops durable runs (https://docs.ag-ui.com).

``POST /v1/ag-ui/agent/{agent}/run`` takes a ``RunAgentInput`` and streams the run's events; ``…/connect`` joins what runs, or
tells the state when nothing does; ``…/stop/{thread}`` stops. The thread is the session. Paths are those that CopilotKit's
front end asks its runtime for. A client that goes away stops nothing (CTL-1).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from holdfast.edge.dialects.ag_ui.content import Sent
from holdfast.edge.dialects.ag_ui.input import DECODER, Asked, Input
from holdfast.edge.dialects.ag_ui.stream import Stream
from holdfast.edge.dialects.ag_ui.versions import Version, version_of
from holdfast.edge.dialects.lives import meant, told
from holdfast.edge.door import Door
from holdfast.edge.reading import Message, Reading
from holdfast.edge.request import Requests, answer
from holdfast.edge.sse import COMMENT, HEADERS, Following
from holdfast.errors import HoldfastError, Refused
from holdfast.protocol import codec, limits, wire
from holdfast.protocol.fold import View
from holdfast.protocol.view import ENDED
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

    def __init__(self, door: Door, requests: Requests) -> None:
        self._door = door
        self._hub = door.hub
        self._requests = requests
        self._asked = Asked(door)

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
        principal, given, version = await self._given(request)
        authorise(principal, "read", given.threadId)  # before anything is appended
        if not given.messages and not given.resume and not given.options.state:
            return await self._joined(principal, given, version)
        targets = await self._asked.runs_of(principal, request.path_params["agent"], given)
        known = given.messages if targets is not None else None
        stream = Stream(version, given.threadId, given.runId, targets, principal.actor, given.declared)
        return await self._stream(principal, given, stream, known)

    async def connect(self, request: Request) -> Response:
        """Join what runs in the thread; nothing is appended."""
        principal, given, version = await self._given(request)
        authorise(principal, "read", given.threadId)
        return await self._joined(principal, given, version)

    async def _joined(self, principal: Principal, given: Input, version: Version) -> Response:
        try:
            stream = Stream(version, given.threadId, "", None, principal.actor, given.declared)
            return await self._stream(principal, given, stream, None)
        except Refused as error:
            if error.code != "session.not_found":
                raise
        run = {"threadId": given.threadId, "runId": given.runId}  # a thread nobody has written to yet is empty
        nothing: list[Sent] = [] if given.messages else [{"type": "MESSAGES_SNAPSHOT", "messages": []}]
        return StreamingResponse(
            _once(_encoded([{"type": "RUN_STARTED", **run}, *nothing, {"type": "RUN_FINISHED", **run}])),
            headers=HEADERS, media_type="text/event-stream",
        )  # fmt: skip

    async def stop(self, request: Request) -> Response:
        """Stop the agent's runs in a thread: ``{"stopped": true, "runs": […]}``."""
        principal = self._requests.principal(request)
        async with self._requests.body(request) as raw:
            wanted = codec.decode(raw, _STOP, "body") if raw.strip() else _Stop()
        thread, agent = codec.check_session_id(request.path_params["thread"]), request.path_params["agent"]
        authorise(principal, "control", thread)  # whether or not anything runs
        life, _, raw = await self._hub.snapshot(principal, thread)
        view = msgspec.json.decode(raw)
        named = meant(self._asked.run_of(principal, thread, wanted.runId), life) if wanted.runId else None
        runs = [
            run["id"]
            for run in view["runs"].values()
            if run["status"] not in ENDED and (run["id"] == named if named else _is_of(run, agent))
        ]
        for run in runs:
            try:
                op = wire.Cancel(session=thread, run=run, force=wanted.force, incarnation=life)
                await self._hub.execute(principal, op)
            except Refused as error:
                if error.code != "run.ended":
                    raise
        return answer({"stopped": bool(runs), "runs": [told(run, life) for run in runs]})

    # --- streaming
    async def _given(self, request: Request) -> tuple[Principal, Input, Version]:
        principal = self._requests.principal(request)
        async with self._requests.body(request, limits.CONVERSATION_BYTES) as raw:
            given: Input = codec.decode(raw, DECODER, "body", limits.CONVERSATION_BYTES)
        codec.check_session_id(given.threadId)
        return principal, given, version_of(request.query_params.get("version"), given.protocolVersion)

    async def _stream(
        self, principal: Principal, given: Input, stream: Stream, known: list[dict[str, Any]] | None
    ) -> Response:
        reading = await Reading.open(self._door, principal, given.threadId, "snapshot", surface="ag-ui")
        return Following(reading, self._body(reading, stream, given.state, known))

    async def _body(
        self, reading: Reading, stream: Stream, state: Any, known: list[dict[str, Any]] | None
    ) -> AsyncIterator[bytes]:
        """The response: the AG-UI run, whole, or until the reading ends."""
        try:
            async for message in reading.messages():
                sent = await self._sent(reading, stream, message, known, state)
                ending = stream.ending()
                if sent or ending:
                    yield _encoded(sent + ending)
                if ending:
                    self._asked.told(reading.principal, stream.session, stream.targets)
                    return
                known = known if message is None or message.op != "snapshot" else None
                if message is None:
                    yield COMMENT
                elif stream.stale:
                    await self._hub.attach_reader(reading, stream.session, "snapshot")
            yield _encoded([stream.failed("connection.lost", f"{reading.closed}: the run goes on; connect again.")])
        except HoldfastError as error:
            yield _encoded([stream.failed(error.code, error.text)])

    async def _sent(
        self, reading: Reading, stream: Stream, message: Message | None, known: list[dict[str, Any]] | None, state: Any
    ) -> list[Sent]:
        """What a message of the session is to the client. Raises ``Refused`` when the session is closed to it."""
        if message is None:
            return []
        if message.op == "snapshot":
            return await self._snapshot(reading.principal, stream, message, known, state)
        if message.op == "closed":
            raise Refused(message.code or "session.deleted")
        return stream.events(message.events)

    async def _snapshot(
        self, principal: Principal, stream: Stream, message: Message, known: list[dict[str, Any]] | None, state: Any
    ) -> list[Sent]:
        """A snapshot for the client. One that must be given messages is given older pages of the history as well."""
        view = message.view or {}
        if view["older"] and (known is None or not stream.covers(View.load(view), known)):
            known = None
            for number in range(view["older"], max(0, view["older"] - _PAGES), -1):
                page = await self._older(principal, stream.session, number)
                view.update(items=page["items"] + view["items"], runs=page["runs"] | view["runs"], older=number - 1)
        stream.life = message.incarnation or ""
        return stream.snapshot(message.seq or 0, View.load(view), known, state)

    async def _older(self, principal: Principal, session: str, page: int) -> dict[str, Any]:
        found = await self._hub.execute(principal, wire.History(session=session, page=page))
        older: dict[str, Any] = msgspec.json.decode(found["page"])
        return older


def _is_of(run: dict[str, Any], agent: str) -> bool:
    return run["agent"] == agent and "parent" not in run


def _encoded(events: list[Sent]) -> bytes:
    return b"".join(b"data: %b\n\n" % codec.encode(event) for event in events)


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
