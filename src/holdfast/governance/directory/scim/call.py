"""A request of an identity provider, and what it is answered: between the event loop and the thread that answers."""

from __future__ import annotations

from typing import NamedTuple


class ScimCall(NamedTuple):
    """One request that was let in, as a thread gets it."""

    tenant: str
    method: str
    base_url: str
    path: str
    query: dict[str, str]
    headers: list[tuple[str, str]]
    body: bytes


class ScimAnswer(NamedTuple):
    """What it is answered."""

    status: int
    headers: dict[str, str]
    body: bytes
