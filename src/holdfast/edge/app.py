"""Assembling the edge: verifier, door, HTTP routes, middleware."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from holdfast.edge import auth
from holdfast.edge.browser import BrowserCheck
from holdfast.edge.config import Settings
from holdfast.edge.door import Door
from holdfast.hub.hub import Hub


class Edge:
    """Everything between the hub and the network.

    Args:
        hub: opened by the caller.
        settings: see ``edge/config.py``.
        pages: a folder of static pages served at ``/``, if any.
        routes: further routes, before the pages.
    """

    def __init__(
        self, hub: Hub, settings: Settings, *, pages: Path | None = None, routes: list[BaseRoute] | None = None
    ) -> None:
        self.hub = hub
        self.settings = settings
        self.secret = auth.ensure_secret(settings) if "HS256" in settings.algorithms else None
        self.verifier = auth.Verifier(settings, self.secret)
        self.door = Door(hub, settings, self.verifier)
        self.browser = BrowserCheck(settings)
        mounted: list[BaseRoute] = [*(routes or [])]
        if pages is not None:
            mounted.append(Mount("/", StaticFiles(directory=pages, html=True)))
        self.app = Starlette(routes=mounted)
