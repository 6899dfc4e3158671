"""Pages of an extension: files under a prefix of their own, with the rules of what a browser may do on them.

All pages of a server have one origin, and what people type into the chat is one script away from any of them. So a page
may say where its images and connections come from, but never that its scripts come from elsewhere or stand in its text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from holdfast.edge.middleware import CONTENT_SECURITY

_PREFIX: Final = re.compile(r"(?:/[a-z0-9][a-z0-9_-]*)+")
_SOURCE: Final = re.compile(r"[!-+\--:<-~]+")  # visible ASCII without , and ;
LOOSENED: Final = frozenset({"img-src", "media-src", "font-src", "connect-src", "style-src", "frame-src", "worker-src"})
"""Directives that an extension may give other sources than the server's own pages have."""
_OWN_ONLY: Final = frozenset({"worker-src", "frame-src"})


@dataclass(frozen=True)
class ExtensionPages:
    """A folder of files.

    Attributes:
        path: the prefix they are served under, such as ``/budgets``; never under ``/v1``.
        folder: where they are; ``index.html`` is what the prefix itself shows.
        sources: by directive of the content-security policy, the sources that replace those of the server's own pages.
    """

    path: str
    folder: Path
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def problem(self) -> str | None:
        """Why the server cannot serve them as they are said; None when it can."""
        if not _PREFIX.fullmatch(self.path) or f"{self.path}/".startswith("/v1/"):
            return "pages have a prefix of their own, such as /budgets, and none under /v1"
        if not (self.folder / "index.html").is_file():
            return f"there is no index.html in {self.folder}"
        for directive, sources in self.sources.items():
            if directive not in LOOSENED:
                return f"{directive!r} is the same for all pages of a server; {', '.join(sorted(LOOSENED))} may differ"
            for source in sources:
                if not _SOURCE.fullmatch(source):
                    return f"{source!r} is no source of {directive}"
                if directive in _OWN_ONLY and source not in ("'self'", "'none'"):
                    return f"{directive} may be 'self' or 'none', not {source}"
        return None

    def policy(self) -> str:
        """The content-security policy of these pages."""
        directives = {**CONTENT_SECURITY, **{name: " ".join(sources) for name, sources in self.sources.items()}}
        return "; ".join(f"{name} {sources}" for name, sources in directives.items())

    def served(self) -> Mount:
        """The files as Starlette serves them."""
        return Mount(self.path, _Files(self.folder, self.policy()))


class _Files(StaticFiles):
    """Files with a content-security policy of their own."""

    def __init__(self, folder: Path, policy: str) -> None:
        super().__init__(directory=folder, html=True)
        self._policy = policy

    async def get_response(self, path: str, scope: Scope) -> Response:
        """See ``StaticFiles``."""
        response = await super().get_response(path, scope)
        response.headers["content-security-policy"] = self._policy
        response.headers["cache-control"] = "no-cache"
        return response
