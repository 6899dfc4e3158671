"""The web pages that come with the package: the chat at ``/``, the console at ``/console/``.

They are built by ``make web`` (``web/apps``) into ``holdfast/pages`` and travel in the wheel. Nothing in them is secret:
a page can do what the token that somebody opens it with can do, through the same doors as any other client.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

PAGES: Final = Path(__file__).parents[1] / "pages"
PATHS: Final = ("/", "/index.html", "/icon.svg", "/assets/{rest:path}", "/console", "/console/{rest:path}")
"""What nobody else may serve beside them."""
_UNBUILT: Final = "The pages are not built. In a checkout, run: make web\n"


class _Built(StaticFiles):
    """Files whose names carry a hash of their content may be kept; the page that names them is asked for again."""

    def file_response(self, full_path, stat_result, scope, status_code=200):  # type: ignore[no-untyped-def]
        """See ``StaticFiles``."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        hashed = "/assets/" in scope["path"]
        response.headers["cache-control"] = "public, max-age=31536000, immutable" if hashed else "no-cache"
        return response


def page_routes(pages: Path = PAGES) -> list[BaseRoute]:
    """Routes of the pages, to come after all others."""
    routes: list[BaseRoute] = []
    for name, path in (("console", "/console"), ("chat", "/")):
        built = pages / name
        if built.is_dir():
            routes.append(Mount(path, _Built(directory=built, html=True)))
        else:
            routes.append(Route(path, _unbuilt, methods=["GET"]))
    return routes


async def _unbuilt(request: Request) -> Response:
    return PlainTextResponse(_UNBUILT, 503)
