"""``/v1/responses``: OpenAI's Responses API over durable runs. ``model`` is the agent, a response is a run.

A response belongs to its session and not to the request that made it: closing a connection cancels nothing, whether or
not ``background`` was asked for (CTL-1). Shapes follow OpenAI's API reference; ``docs/reference/openai-responses.md``
says what is different here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from holdfast.edge.dialects.openai_responses import request as requests_
from holdfast.edge.dialects.openai_responses.asking import Asking
from holdfast.edge.dialects.openai_responses.ids import Ref
from holdfast.edge.dialects.openai_responses.log import Known, Log
from holdfast.edge.door import Door
from holdfast.edge.http import number
from holdfast.edge.request import Requests, answer, headers_of
from holdfast.edge.sse import Following
from holdfast.errors import HoldfastError, Refused
from holdfast.protocol import limits, wire
from holdfast.session.access import Principal

PATH: Final = "/v1/responses"
_ONE: Final = f"{PATH}/{{response}}"
_TYPES: Final = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class OpenAIResponses:
    """The dialect of one server."""

    def __init__(self, door: Door, requests: Requests) -> None:
        self.door = door
        self.requests = requests
        self._log = Log(door)
        self._asking = Asking(door, self._log)

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        table: list[tuple[str, str, Callable[[Request, Principal], Awaitable[Response]]]] = [
            ("POST", PATH, self._create),
            ("GET", _ONE, self._retrieve),
            ("DELETE", _ONE, self._delete),
            ("POST", f"{_ONE}/cancel", self._cancel),
            ("GET", f"{_ONE}/input_items", self._input_items),
        ]
        return [Route(path, self._told(handle), methods=[method]) for method, path, handle in table]

    def _told(self, handle: Callable[[Request, Principal], Awaitable[Response]]) -> Any:
        """A route whose errors have OpenAI's shape."""

        async def endpoint(request: Request) -> Response:
            try:
                return await handle(request, self.requests.principal(request))
            except HoldfastError as error:
                return answer_as_openai(error)

        return endpoint

    # --- create
    async def _create(self, request: Request, principal: Principal) -> Response:
        """Say something, and answer with the response, or with its stream."""
        async with self.requests.body(request, limits.CONVERSATION_BYTES) as raw:
            asked = requests_.read(raw)
            ref = await self._asking.carry_out(principal, asked, request.headers.get("idempotency-key"))
        known = await self._log.known(principal, ref)
        if asked.fields.stream:
            return await self._stream(principal, known, -1)
        if asked.fields.background:
            return answer((await self._log.folded(principal, known)).response())
        return answer((await self._log.ended(principal, known, request.is_disconnected)).response())

    async def _stream(self, principal: Principal, known: Known, after: int) -> Response:
        reading = await self._log.open(principal, known.ref)
        return Following(reading, self._log.stream(principal, known, reading, after))

    # --- afterwards
    async def _known(self, request: Request, principal: Principal) -> Known:
        return await self._log.known(principal, Ref.parse(request.path_params["response"]))

    async def _retrieve(self, request: Request, principal: Principal) -> Response:
        """The response as it stands, or with ``stream=true`` its events after ``starting_after``."""
        after = request.query_params.get("starting_after")
        beyond = -1 if after is None else number(after, "starting_after")
        streamed = _choice(request, "stream", "false", "true", "0", "1") in ("true", "1")
        known = await self._known(request, principal)
        if streamed and request.method != "HEAD":
            return await self._stream(principal, known, beyond)
        return answer((await self._log.folded(principal, known)).response())

    async def _cancel(self, request: Request, principal: Principal) -> Response:
        """Stop the run and answer with what became of it; a run that has ended stays as it is."""
        known = await self._known(request, principal)
        try:
            await self.door.hub.execute(
                principal, wire.Cancel(session=known.ref.session, run=known.ref.run, incarnation=known.ref.incarnation)
            )
        except Refused as error:
            if error.code != "run.ended":
                raise
        return answer((await self._log.ended(principal, known, request.is_disconnected)).response())

    async def _input_items(self, request: Request, principal: Principal) -> Response:
        """What the response answers, newest first unless ``order=asc``."""
        known = await self._known(request, principal)
        most = number(request.query_params.get("limit", "20"), "limit", least=1, most=100)
        items = requests_.input_items(known.input or known.ref.run, known.text, known.body)
        if _choice(request, "order", "desc", "asc") == "desc":
            items.reverse()
        after = request.query_params.get("after")
        if after is not None:
            places = [place for place, item in enumerate(items) if item["id"] == after]
            if not places:
                raise Refused("input.malformed", "after: names no input item of this response", param="after")
            items = items[places[0] + 1 :]
        page, more = items[:most], len(items) > most
        ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
        return answer({"object": "list", "data": page, "has_more": more, **ends})

    async def _delete(self, request: Request, principal: Principal) -> Response:
        """Erase the session of a response that has one to itself; a part of a conversation cannot be taken out."""
        known = await self._known(request, principal)
        await self._asking.erase(principal, known.ref)
        return answer({"id": known.ref.id, "object": "response", "deleted": True})


def _choice(request: Request, name: str, *choices: str) -> str:
    """A query parameter of which there are few; the first is the default."""
    given = request.query_params.get(name, choices[0]).lower()
    if given not in choices:
        raise Refused("input.malformed", f"{name}: one of {', '.join(choices)}", param=name)
    return given


def answer_as_openai(error: HoldfastError) -> Response:
    """An error as OpenAI's clients read it; ``x-should-retry`` is what they go by."""
    status = error.row.status
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    body = {"message": error.text, "type": kind, "param": error.fields.get("param"), "code": error.code}
    retry = {"x-should-retry": "true" if error.row.retry else "false"}
    return answer({"error": body}, status, {**retry, **headers_of(error)})
