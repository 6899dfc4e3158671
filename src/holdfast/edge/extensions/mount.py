"""An application of an extension: an ASGI callable with doors of its own, for callers who have no token of the server.

A gateway for models has keys of its own, and a page to log in has nobody yet. What is mounted checks its callers itself;
Host and Origin are checked before it all the same, as for every request.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from holdfast.edge.extensions.route import METHODS
from holdfast.errors import Unavailable

_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)+(?:/\{[a-z_]+:path\})?")
Wanted = Callable[[Scope], bool]


@dataclass(frozen=True)
class ExtensionMount:
    """One path of an application.

    Attributes:
        path: of its own, anywhere but below what the server serves; ``/like/{rest:path}`` for all below it.
        app: answers every request to it. The scope's path is whole, as it came.
        methods: those it takes.
        wanted: where the server itself serves the path as well: which requests are the application's; None for all.
        otherwise: it is asked last instead: for what neither the server nor an extension serves.
    """

    path: str
    app: ASGIApp
    methods: tuple[str, ...] = METHODS
    wanted: Wanted | None = None
    otherwise: bool = False

    def problem(self) -> str | None:
        """Why it cannot be served; None when it can."""
        if not _PATH.fullmatch(self.path):
            return "its path is none that can be served; write /like/this or /like/{rest:path}"
        if not self.methods or set(self.methods) - set(METHODS):
            return f"its methods are not among {', '.join(METHODS)}"
        return None

    def served(self, started: Callable[[], bool]) -> Route:
        """As Starlette serves it.

        Args:
            started: whether the extension runs; while it does not, requests are told to come again.
        """
        return _MountRoute(self, started)


class _MountRoute(Route):
    """A route to an application, which may share its path."""

    def __init__(self, mount: ExtensionMount, started: Callable[[], bool]) -> None:
        self.wanted = mount.wanted

        async def never() -> Response:
            raise NotImplementedError

        super().__init__(mount.path, never, methods=list(mount.methods))

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if not started():
                raise Unavailable("server.restarting")
            await mount.app(scope, receive, send)

        self.app = app

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As a route, for those requests that are its."""
        match, child = super().matches(scope)
        if match is not Match.FULL or (self.wanted is not None and not self.wanted(scope)):
            return (Match.NONE, {}) if self.wanted is not None else (match, child)
        return match, child
