"""Who knows which id: what stands in a conversation's address, and what one client alone was told.

A page that is reloaded, and another device, know the first only. What the stream of whoever asked told stays with that
tab; a client that needs more has to be told it by the endpoint, as ``find`` and ``history`` of the recipe say.
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
        told: which clients were told a name, by name. begun: requests that are made once in a conversation's life.
    """

    id: str = field(default_factory=fresh)
    names: dict[str, str] = field(default_factory=dict)
    told: dict[str, set[str]] = field(default_factory=dict)
    begun: set[int] = field(default_factory=set)


@dataclass
class Tab:
    """One client: a tab, or a tab on another device. It reaches the endpoint through a line of its own.

    Attributes:
        proxy: the line. device: tabs on one device share it. headers: what this client sends besides, its own token say.
        names: ids that this client was told, and that nobody else knows by that.
    """

    name: str
    proxy: FaultProxy
    device: str
    id: str = field(default_factory=fresh)
    headers: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


class Learner(dict[str, str]):
    """Where what a client is told goes: into its own memory, and into the address what the recipe says stands there."""

    def __init__(self, tab: Tab, chat: Chat, shared: Iterable[str], beside: dict[str, str] | None = None) -> None:
        super().__init__()
        self._tab, self._chat, self._shared, self._beside = tab, chat, frozenset({"chat", *shared}), beside

    def __setitem__(self, name: str, value: str) -> None:
        super().__setitem__(name, value)
        self._tab.names[name] = value
        self._chat.told.setdefault(name, set()).add(self._tab.name)
        if name in self._shared:
            self._chat.names[name] = value
        if self._beside is not None:
            self._beside[name] = value


class Untold(Exception):
    """A client would need an id that it was not told. ``somebody``: another client was told it."""

    def __init__(self, tab: Tab, chat: Chat, missing: Iterable[str]) -> None:
        names = sorted(missing)
        named = ", ".join(f"{{{name}}}" for name in names)
        who = sorted(set.union(*(chat.told.get(name, set()) for name in names)))
        self.somebody = bool(who)
        if who:
            told = f"{tab.name} cannot know {named}: only {', '.join(who)} was told, and nothing that others can read says it"
        else:
            told = f"{tab.name} needs {named}, which no answer told: does the recipe capture it where it stands?"
        super().__init__(told)
