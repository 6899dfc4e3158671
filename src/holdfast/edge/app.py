"""Assembling the edge: verifier, listener, routes, middleware. It only assembles."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware as StarletteMiddleware
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from holdfast.edge import auth
from holdfast.edge.asgi_ws import serve_socket
from holdfast.edge.browser import BrowserCheck
from holdfast.edge.config import Settings
from holdfast.edge.consumers import Consumers
from holdfast.edge.dialects.ag_ui.routes import AgUi
from holdfast.edge.dialects.ai_sdk.http import AiSdk
from holdfast.edge.dialects.openai_responses.routes import PATH as RESPONSES
from holdfast.edge.dialects.openai_responses.routes import OpenAIResponses, answer_as_openai
from holdfast.edge.extensions.claims import SERVER, PathClaim, claims_of
from holdfast.edge.extensions.extension_set import ExtensionSet
from holdfast.edge.extensions.services import Services
from holdfast.edge.http import Rest
from holdfast.edge.listener import PATH, Listener
from holdfast.edge.metrics import Health
from holdfast.edge.middleware import Middleware, not_found_handler
from holdfast.edge.operators import Operators
from holdfast.edge.pages import PATHS, page_routes
from holdfast.edge.request import Requests
from holdfast.edge.revocation import Revocations
from holdfast.edge.tokens import Tokens
from holdfast.edge.webhooks import Webhooks
from holdfast.hub.hub import Hub


class Edge:
    """Everything between the hub and the network.

    Args:
        hub: opened by the caller before ``start``.
        settings: see ``edge/config.py``.
        pages: whether the chat and the console are served beside the API (``edge/pages.py``).
        extensions: what plugs in (``edge/extensions``); the hub was made with their policy.

    Raises:
        HoldfastError: ``config.invalid`` for settings or extensions that cannot be honoured.
    """

    def __init__(
        self, hub: Hub, settings: Settings, *, pages: bool = False, extensions: ExtensionSet | None = None
    ) -> None:
        self.extensions = ExtensionSet() if extensions is None else extensions
        self.extensions.check(settings.extensions, hub.runtime.policy)
        self.hub = hub
        hub.extensions = self.extensions.names
        self.settings = settings
        self.secret = auth.ensure_secret(settings) if "HS256" in settings.algorithms else None
        self.revocations = Revocations(hub)
        self.verifier = auth.Verifier(settings, self.secret, self.revocations)
        self.listener = Listener(hub, settings, self.verifier)
        self.browser = BrowserCheck(settings)
        self.requests = Requests(self.listener, self.verifier)
        self.tokens = Tokens(settings, self.secret, self.verifier, self.revocations)
        self.webhooks = Webhooks(hub, settings)
        self.consumers = Consumers(self.listener, self.requests)
        rest = Rest(self.listener, self.requests, self.tokens)
        own: list[BaseRoute] = [
            *rest.routes(),
            *Operators(self.listener, self.requests).routes(),
            *self.consumers.routes(),
            *Health(self.listener, self.requests, self.webhooks, self.consumers).routes(),
            *OpenAIResponses(self.listener, self.requests).routes(),
            *AgUi(self.listener, self.requests).routes(),
            WebSocketRoute(PATH, self._socket),
            *AiSdk(self.listener, self.requests).routes(),
        ]
        self._services = Services(hub, settings, self.requests, self.listener, self.secret, self.revocations)
        claimed = [*claims_of(SERVER, own), *(PathClaim(SERVER, "GET", path) for path in (PATHS if pages else ()))]
        plugged = self.extensions.plug(self._services, claimed)
        self.routes = [*self.extensions.first, *own, *plugged]
        rest.extension_routes = self.extensions.routes
        self.app = Starlette(
            routes=[*self.routes, *(page_routes() if pages else [])],
            middleware=[StarletteMiddleware(Middleware, browser=self.browser, hub=hub)],
            exception_handlers={HTTPException: not_found_handler({RESPONSES: answer_as_openai})},
        )

    async def start(self) -> None:
        """Read what must be known before the first request. Begin to fetch the issuer's keys and to send webhooks;
        extensions come last. When one of them fails, what was started is for ``stop``."""
        await self.revocations.load()
        if self.verifier.keys is not None:
            self.verifier.keys.start()
        await self.webhooks.start()
        await self.consumers.start()
        await self.extensions.start(self._services)

    async def stop(self) -> None:
        """Stop what runs beside the requests; the hub is closed by whoever opened it."""
        await self.extensions.stop()
        if self.verifier.keys is not None:
            await self.verifier.keys.stop()
        await self.consumers.stop()
        await self.webhooks.stop()

    async def _socket(self, socket: WebSocket) -> None:
        await serve_socket(self.listener, self.browser, socket)
