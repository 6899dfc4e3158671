"""The AI SDK over HTTP and over its own WebSocket transport: routes.

``{api}`` is ``/v1/ai-sdk/{version}/{agent}``, the version ``v5``, ``v6`` or ``v7``. The chat's id is the session's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final
from urllib.parse import unquote

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute, compile_path
from starlette.websockets import WebSocket

from holdfast.edge.asgi_ws import serve_socket
from holdfast.edge.browser import BrowserCheck
from holdfast.edge.dialects.ai_sdk.answer import Answer
from holdfast.edge.dialects.ai_sdk.calls import Chunk
from holdfast.edge.dialects.ai_sdk.commands import ChatCommands
from holdfast.edge.dialects.ai_sdk.request import TOOLS_HEADER, ChatRequest, parse_tools
from holdfast.edge.dialects.ai_sdk.socket import socket_kind
from holdfast.edge.listener import Listener, SocketKind
from holdfast.edge.local_subscription import LocalSubscription
from holdfast.edge.request import Requests, error_headers, json_response
from holdfast.edge.sse import COMMENT, SubscriptionResponse
from holdfast.errors import HoldfastError, Refused
from holdfast.protocol import codec

API: Final = "/v1/ai-sdk/{version}/{agent}"
VERSIONS: Final = {"v5": 5, "v6": 6, "v7": 7}
HEADERS: Final = {"x-vercel-ai-ui-message-stream": "v1"}
_CHAT_REQUEST: Final = msgspec.json.Decoder(ChatRequest)
_END: Final = b"data: [DONE]\n\n"
_API = compile_path(API)[0]


class AiSdk:
    """The dialect, on one server."""

    def __init__(self, listener: Listener, requests: Requests) -> None:
        self.listener = listener
        self.requests = requests
        listener.socket_kinds.append(self._socket_kind)

    def routes(self) -> list[BaseRoute]:
        """All routes, for an application or a router."""
        chat, stream = f"{API}/{{chat}}", f"{API}/{{chat}}/stream"
        return [
            Route(API, _text_errors(self.send), methods=["POST"]),
            Route(chat, self.messages, methods=["GET"]),
            Route(stream, _text_errors(self.resume), methods=["GET"]),
            Route(stream, self.stop, methods=["DELETE"]),
            WebSocketRoute(API, self._socket),
        ]

    # --- HTTP
    async def send(self, request: Request) -> Response:
        """Append the user's message and stream the answer (``DefaultChatTransport.sendMessages``)."""
        commands = self._commands(request)
        async with self.requests.body(request) as raw:
            chat_request: ChatRequest = codec.decode(raw, _CHAT_REQUEST, "body")
            stream = await commands.send(chat_request)
        return (
            stream_response(*stream)
            if stream is not None
            else Response(_END, headers=HEADERS, media_type="text/event-stream")
        )

    async def resume(self, request: Request) -> Response:
        """Stream the answer that is being given, from its beginning; 204 when there is none."""
        stream = await self._commands(request).resume(_chat(request))
        return stream_response(*stream) if stream is not None else Response(status_code=204)

    async def stop(self, request: Request) -> Response:
        """Cancel the answer that is being given: ``{runs}``. Closing a request does not."""
        return json_response(await self._commands(request).stop(_chat(request)))

    async def messages(self, request: Request) -> Response:
        """The conversation as ``UIMessage[]``, without the answer that is being given: ``resume`` brings that."""
        commands = self._commands(request)
        return json_response(await commands.messages(_chat(request)))

    def _commands(self, request: Request) -> ChatCommands:
        version = _version(request.path_params)
        tools = parse_tools(request.headers.get(TOOLS_HEADER))
        return ChatCommands(
            self.listener, self.requests.principal(request), request.path_params["agent"], version, tools
        )

    # --- WebSocket
    def _socket_kind(self, path: str) -> SocketKind | None:
        match = _API.fullmatch(path)
        if match is None or match["version"] not in VERSIONS:
            return None
        return socket_kind(VERSIONS[match["version"]], unquote(match["agent"]))

    async def _socket(self, socket: WebSocket) -> None:
        kind = socket_kind(_version(socket.path_params), socket.path_params["agent"])
        await serve_socket(self.listener, BrowserCheck(self.listener.settings), socket, kind)


def _chat(request: Request) -> str:
    return codec.check_session_id(request.path_params["chat"])


def _version(params: dict[str, str]) -> int:
    if params["version"] not in VERSIONS:
        raise Refused("route.not_found", "the AI SDK is spoken in versions v5, v6 and v7")
    return VERSIONS[params["version"]]


def _text_errors(handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """The SDK makes the body of a refusal the message of its error."""

    async def handler(request: Request) -> Response:
        try:
            return await handle(request)
        except HoldfastError as error:
            headers = {"cache-control": "no-store", **error_headers(error)}
            return Response(error_text(error), error.row.status, headers, media_type="text/plain")

    return handler


def error_text(error: HoldfastError) -> str:
    """An error as a person may read it, and a program may recognise it."""
    return f"{error.code}: {error.text}"


def stream_response(subscription: LocalSubscription, answer: Answer) -> Response:
    """A UI message stream (SSE, protocol ``v1``) of an answer."""
    return SubscriptionResponse(subscription, _body(subscription, answer), HEADERS)


async def _body(subscription: LocalSubscription, answer: Answer) -> AsyncIterator[bytes]:
    async for message in subscription.messages():
        if message is None:
            yield COMMENT
            continue
        lines = [_sse(chunk) for chunk in answer.chunks(message)]
        if lines:
            yield b"".join(lines)
        if answer.done:
            break
    for chunk in answer.close_with_error(f"interrupted: {subscription.close_reason or 'the session ended'}"):
        yield _sse(chunk)
    yield _END


def _sse(chunk: Chunk) -> bytes:
    return b"data: %b\n\n" % codec.encode(chunk)
