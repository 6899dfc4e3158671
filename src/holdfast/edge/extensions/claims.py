"""Who serves which path: two that would answer the same request are found before there is one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Final, NamedTuple

from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

SERVER: Final = "the server itself"
REST_OF_PATH: Final = "{rest:path}"


class PathClaim(NamedTuple):
    """A method of a path, and whose it is: ``SERVER``, or ``extension 'NAME'``.

    ``ordered``: among its owner's own, the first that fits is meant.
    """

    owner: str
    method: str
    path: str
    ordered: bool = False


def overlap(one: str, other: str) -> bool:
    """Whether some path matches both patterns."""
    for part, rival in zip_longest(one.strip("/").split("/"), other.strip("/").split("/")):
        if part is None or rival is None:
            return False
        if part.endswith(":path}") or rival.endswith(":path}"):
            return True
        if part != rival and not part.startswith("{") and not rival.startswith("{"):
            return False
    return True


def conflict(claims: Iterable[PathClaim]) -> tuple[PathClaim, PathClaim] | None:
    """The first two claims, of different owners or one owner twice, that a request could mean both of."""
    before: list[PathClaim] = []
    for claim in claims:
        for rival in before:
            if rival.owner == claim.owner and (rival.owner == SERVER or (rival.ordered and claim.ordered)):
                continue
            if rival.method == claim.method and overlap(rival.path, claim.path):
                return rival, claim
        before.append(claim)
    return None


def claims_of(owner: str, routes: Iterable[BaseRoute]) -> Iterator[PathClaim]:
    """What routes claim."""
    for route in routes:
        if isinstance(route, Route):
            yield from (PathClaim(owner, method, route.path) for method in sorted((route.methods or set()) - {"HEAD"}))
        elif isinstance(route, WebSocketRoute):
            yield PathClaim(owner, "GET", route.path)
        elif isinstance(route, Mount):
            yield PathClaim(owner, "GET", route.path or "/")
            yield PathClaim(owner, "GET", f"{route.path}/{REST_OF_PATH}")
