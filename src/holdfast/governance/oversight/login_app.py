"""The routes of the login, which are open to who has no token yet: an application of its own, at ``PATH``.

- ``GET  PATH?then=/console/`` sends the browser to the identity provider; one that came by another name of this machine than
  the public address goes there first, where its cookies will be looked for when it is back;
- ``GET  PATH/callback`` is where it comes back to; it is logged in then, and sent on;
- ``POST PATH/token`` gives the page a short access token; with it the page asks everything else;
- ``POST PATH/logout`` ends the login and every token it gave.

The cookie of who is logged in opens nothing but the last two: no route of the API looks at it. Those two take a request only
from a page of this server: it has to carry a header that no form and no foreign page can send without being asked first.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlencode, urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from holdfast.edge.request import error_headers, json_response
from holdfast.errors import HoldfastError, Refused
from holdfast.governance import limits
from holdfast.governance.oversight.service import Logins
from holdfast.governance.oversight.settings import LoginConfig
from holdfast.visible import logger, visible

log: Final = logger("holdfast.governance")

PATH: Final = "/governance/login"
HEADER: Final = "x-holdfast-console"
"""What a page sends with the two that need the cookie: any value."""
_PENDING: Final = "holdfast-login"
_SESSION: Final = "holdfast-session"
_FIELD_CHARS: Final = 4_096
_MOVED: Final = "moved"
_NO_STORE: Final = {"cache-control": "no-store"}

Handler = Callable[[Request], Awaitable[Response]]


class LoginRoutes:
    """The four routes.

    Args:
        logins: what they ask.
        config: the settings.
    """

    def __init__(self, logins: Logins, config: LoginConfig) -> None:
        self._logins = logins
        self._config = config

    def app(self) -> Starlette:
        """The application. It takes whole paths."""
        return Starlette(
            routes=[
                Route(PATH, self._page(self.begin), methods=["GET"]),
                Route(f"{PATH}/callback", self._page(self.callback), methods=["GET"]),
                Route(f"{PATH}/token", self._call(self.token), methods=["POST"]),
                Route(f"{PATH}/logout", self._call(self.logout), methods=["POST"]),
            ]
        )

    async def begin(self, request: Request) -> Response:
        """Send the browser to the provider."""
        query = request.query_params
        public = urlsplit(self._config.public_url).netloc
        if (
            request.headers.get("host", "").lower() != public and _MOVED not in query
        ):  # once: a proxy may name us otherwise
            moved = urlencode([*query.multi_items(), (_MOVED, "1")])
            return RedirectResponse(f"{self._config.public_url}{PATH}?{moved}", 303, _NO_STORE)
        started = await self._logins.begin(query.get("then", ""), again="again" in query)
        response = RedirectResponse(started.url, 303, _NO_STORE)
        # lax: it has to come along when the provider sends the browser back
        self._set(response, _PENDING, started.cookie, int(limits.LOGIN_S), "lax")
        return response

    async def callback(self, request: Request) -> Response:
        """Take the browser back, logged in."""
        query = request.query_params
        fields = [query.getlist(name) for name in ("state", "code", "iss", "error")]
        if any(len(values) > 1 or len("".join(values)) > _FIELD_CHARS for values in fields):
            raise Refused("login.refused", "the answer of the identity provider says something twice, or too much")
        state, code, issuer, error = ("".join(values) for values in fields)
        secret, then = await self._logins.end(self._cookie(request, _PENDING), state, code, issuer, error)
        response = RedirectResponse(then, 303, _NO_STORE)
        self._set(response, _PENDING, "", 0, "lax")
        self._set(response, _SESSION, secret, int(limits.LOGIN_SESSION_S), "strict")
        return response

    async def token(self, request: Request) -> Response:
        """Give the page a token."""
        return json_response(await self._logins.token(self._cookie(request, _SESSION)))

    async def logout(self, request: Request) -> Response:
        """End the login."""
        await self._logins.logout(self._cookie(request, _SESSION))
        response = json_response({})
        self._set(response, _SESSION, "", 0, "strict")
        return response

    def _name(self, name: str) -> str:
        return f"__Host-{name}" if self._config.secure else name

    def _cookie(self, request: Request, name: str) -> str:
        return request.cookies.get(self._name(name), "")

    def _set(self, response: Response, name: str, value: str, max_age_s: int, same_site: str) -> None:
        assert same_site in ("lax", "strict")
        response.set_cookie(
            self._name(name),
            value,
            max_age=max_age_s,
            path="/",
            secure=self._config.secure,
            httponly=True,
            samesite="lax" if same_site == "lax" else "strict",
        )

    def _check_origin(self, request: Request) -> None:
        """Whether the request is from a page of this server. Raises ``auth.origin``."""
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
        foreign = origin is not None and origin.lower() != self._config.public_url
        if foreign or site not in (None, "same-origin") or HEADER not in request.headers:
            fix = f"Only the console asks for this, with the header {HEADER}."
            raise Refused("auth.origin", "the request is not from a page of this server", fix=fix)

    def _call(self, handler: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            try:
                self._check_origin(request)
                return await handler(request)
            except HoldfastError as error:
                return json_response({"error": error.wire()}, error.row.status, error_headers(error))

        return handle

    def _page(self, handler: Handler) -> Handler:
        """What a person sees: an error is a page with a sentence and a way back."""

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except HoldfastError as error:
                log.info("a login was refused: %s", visible(error.detail))
                detail, fix = html.escape(_sentence(error.detail)), html.escape(error.fix)
                page = _PAGE.format(style=_STYLE, detail=detail, fix=fix, path=PATH)
                response = HTMLResponse(page, error.row.status, _NO_STORE | {"content-security-policy": _POLICY})
                self._set(response, _PENDING, "", 0, "lax")
                return response

        return handle


def _sentence(text: str) -> str:
    """Text as a sentence; names such as ``user:ann`` stay as they are."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


_STYLE: Final = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; }
main { max-width: 52ch; padding: 24px; overflow-wrap: anywhere; }
h1 { font-size: 1.25rem; }
a { color: light-dark(#1f7a5c, #5cc3a0); }
"""
_POLICY: Final = (
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-"
    f"{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
)
_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Login refused</title>
<style>{style}</style>
<main>
<h1>You are not logged in</h1>
<p>{detail}</p>
<p>{fix}</p>
<p><a href="{path}?again=1">Log in again</a>, as somebody else perhaps</p>
</main>
</html>
"""
