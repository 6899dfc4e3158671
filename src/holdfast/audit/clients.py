"""Clients and their conversations: which ids stand in a conversation's address, and which one client alone received.

A page that is reloaded, and another device, have the address only. Ids that arrived on the stream of the asking tab stay
with that tab; a client that needs more asks the endpoint, as ``find`` and ``history`` of the recipe say.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

from holdfast.audit.proxy import FaultProxy


def fresh() -> str:
    """A new id that nobody has used: a random UUID, which every endpoint takes."""
    return str(uuid.uuid4())


@dataclass
class Chat:
    """One conversation.

    Attributes:
        id: known to every client. names: what stands beside it in the conversation's address, which every client knows.
        told_to: which clients received an id, by the id's name. calls_made: requests that are made once in a conversation's
            life, and were.
    """

    id: str = field(default_factory=fresh)
    names: dict[str, str] = field(default_factory=dict)
    told_to: dict[str, set[str]] = field(default_factory=dict)
    calls_made: set[int] = field(default_factory=set)


@dataclass
class Tab:
    """One client: a tab, or a tab on another device. It reaches the endpoint through a line of its own.

    Attributes:
        proxy: the line. device: tabs on one device share it. headers: what this client sends besides, its own token say.
        names: ids that this client received, and that no other client has by that.
    """

    name: str
    proxy: FaultProxy
    device: str
    id: str = field(default_factory=fresh)
    headers: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


class NameStore(dict[str, str]):
    """Stores the ids a client receives: with its tab, and in the conversation's address where the recipe says so (``shared``)."""

    def __init__(self, tab: Tab, chat: Chat, shared: Iterable[str], also: dict[str, str] | None = None) -> None:
        super().__init__()
        self._tab, self._chat, self._shared, self._also = tab, chat, frozenset({"chat", *shared}), also

    def __setitem__(self, name: str, value: str) -> None:
        super().__setitem__(name, value)
        self._tab.names[name] = value
        self._chat.told_to.setdefault(name, set()).add(self._tab.name)
        if name in self._shared:
            self._chat.names[name] = value
        if self._also is not None:
            self._also[name] = value


class NameUnknown(Exception):
    """A client would need an id that it did not receive. ``known_to_others``: another client did."""

    def __init__(self, tab: Tab, chat: Chat, missing: Iterable[str]) -> None:
        names = sorted(missing)
        placeholders = ", ".join(f"{{{name}}}" for name in names)
        holders = sorted(set.union(*(chat.told_to.get(name, set()) for name in names)))
        self.known_to_others = bool(holders)
        if holders:
            message = f"{tab.name} cannot know {placeholders}: only {', '.join(holders)} was told, and nothing that others can read says it"
        else:
            message = (
                f"{tab.name} needs {placeholders}, which no answer told: does the recipe capture it where it stands?"
            )
        super().__init__(message)
