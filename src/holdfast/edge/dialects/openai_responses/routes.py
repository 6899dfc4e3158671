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
from holdfast.edge.dialects.openai_responses.commands import ResponseCommands
from holdfast.edge.dialects.openai_responses.ids import Ref
from holdfast.edge.dialects.openai_responses.log import ResponseLog, RunRecord
from holdfast.edge.http import number
from holdfast.edge.listener import Listener
from holdfast.edge.request import Requests, error_headers, json_response
from holdfast.edge.sse import SubscriptionResponse
from holdfast.errors import HoldfastError, Refused
from holdfast.hub import operations
from holdfast.protocol import limits, wire
from holdfast.session.access import Principal

PATH: Final = "/v1/responses"
_RESPONSE_PATH: Final = f"{PATH}/{{response}}"
_TYPES: Final = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class OpenAIResponses:
    """The dialect of one server."""

    def __init__(self, listener: Listener, requests: Requests) -> None:
        self.listener = listener
        self.requests = requests
        self._log = ResponseLog(listener)
        self._commands = ResponseCommands(listener, self._log)

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        table: list[tuple[str, str, Callable[[Request, Principal], Awaitable[Response]]]] = [
            ("POST", PATH, self._create),
            ("GET", _RESPONSE_PATH, self._retrieve),
            ("DELETE", _RESPONSE_PATH, self._delete),
            ("POST", f"{_RESPONSE_PATH}/cancel", self._cancel),
            ("GET", f"{_RESPONSE_PATH}/input_items", self._input_items),
        ]
        return [Route(path, self._openai_errors(handle), methods=[method]) for method, path, handle in table]

    def _openai_errors(self, handle: Callable[[Request, Principal], Awaitable[Response]]) -> Any:
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
            response_request = requests_.parse(raw)
            ref = await self._commands.execute(principal, response_request, request.headers.get("idempotency-key"))
        record = await self._log.find_record(principal, ref)
        if response_request.body.stream:
            return await self._stream(principal, record, -1)
        if response_request.body.background:
            return json_response((await self._log.fold_to_tail(principal, record)).response())
        return json_response((await self._log.wait_for_end(principal, record, request.is_disconnected)).response())

    async def _stream(self, principal: Principal, record: RunRecord, after: int) -> Response:
        subscription = await self._log.open(principal, record.ref)
        return SubscriptionResponse(subscription, self._log.stream(principal, record, subscription, after))

    # --- afterwards
    async def _find_record(self, request: Request, principal: Principal) -> RunRecord:
        return await self._log.find_record(principal, Ref.parse(request.path_params["response"]))

    async def _retrieve(self, request: Request, principal: Principal) -> Response:
        """The response as it stands, or with ``stream=true`` its events after ``starting_after``."""
        after = request.query_params.get("starting_after")
        after_seq = -1 if after is None else number(after, "starting_after")
        streamed = query_choice(request, "stream", "false", "true", "0", "1") in ("true", "1")
        record = await self._find_record(request, principal)
        if streamed and request.method != "HEAD":
            return await self._stream(principal, record, after_seq)
        return json_response((await self._log.fold_to_tail(principal, record)).response())

    async def _cancel(self, request: Request, principal: Principal) -> Response:
        """Stop the run and answer with what became of it; a run that has ended stays as it is."""
        record = await self._find_record(request, principal)
        try:
            await operations.execute(
                self.listener.hub,
                principal,
                wire.Cancel(session=record.ref.session, run=record.ref.run, incarnation=record.ref.incarnation),
            )
        except Refused as error:
            if error.code != "run.ended":
                raise
        return json_response((await self._log.wait_for_end(principal, record, request.is_disconnected)).response())

    async def _input_items(self, request: Request, principal: Principal) -> Response:
        """What the response answers, newest first unless ``order=asc``."""
        record = await self._find_record(request, principal)
        most = number(request.query_params.get("limit", "20"), "limit", least=1, most=100)
        items = requests_.input_items(record.input or record.ref.run, record.text, record.body)
        if query_choice(request, "order", "desc", "asc") == "desc":
            items.reverse()
        after = request.query_params.get("after")
        if after is not None:
            places = [place for place, item in enumerate(items) if item["id"] == after]
            if not places:
                raise Refused("input.malformed", "after: names no input item of this response", param="after")
            items = items[places[0] + 1 :]
        page, more = items[:most], len(items) > most
        ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
        return json_response({"object": "list", "data": page, "has_more": more, **ends})

    async def _delete(self, request: Request, principal: Principal) -> Response:
        """Erase the session of a response that has one to itself; a part of a conversation cannot be taken out."""
        record = await self._find_record(request, principal)
        await self._commands.erase(principal, record.ref)
        return json_response({"id": record.ref.id, "object": "response", "deleted": True})


def query_choice(request: Request, name: str, *choices: str) -> str:
    """A query parameter of which there are few; the first is the default."""
    value = request.query_params.get(name, choices[0]).lower()
    if value not in choices:
        raise Refused("input.malformed", f"{name}: one of {', '.join(choices)}", param=name)
    return value


def answer_as_openai(error: HoldfastError) -> Response:
    """An error as OpenAI's clients read it; ``x-should-retry`` is what they go by."""
    status = error.row.status
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    body = {"message": error.text, "type": kind, "param": error.fields.get("param"), "code": error.code}
    retry = {"x-should-retry": "true" if error.row.retry else "false"}
    return json_response({"error": body}, status, {**retry, **error_headers(error)})
