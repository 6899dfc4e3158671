"""The verbs a chat client has, whatever the endpoint: what probes use and drivers provide."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import NamedTuple

from holdfast.audit.budget import Budget
from holdfast.audit.proxy import FaultProxy
from holdfast.audit.recipe import Recipe, Verb
from holdfast.audit.stream import Stream
from holdfast.audit.transcript import Transcript


def fresh() -> str:
    """A new id that nobody has used: a random UUID, which every endpoint takes."""
    return str(uuid.uuid4())


@dataclass
class Chat:
    """One conversation. Every client of it knows ``id``, and what the endpoint named in it.

    Attributes:
        names: ids the endpoint gave, by the names templates use.
    """

    id: str = field(default_factory=fresh)
    names: dict[str, str] = field(default_factory=dict)


@dataclass
class Tab:
    """One client: a tab, or a tab on another device. It reaches the endpoint through a line of its own.

    Attributes:
        proxy: the line. device: tabs on one device share it. headers: what this client sends besides, its own token say.
    """

    name: str
    proxy: FaultProxy
    device: str
    id: str = field(default_factory=fresh)
    headers: dict[str, str] = field(default_factory=dict)


class Receipt(NamedTuple):
    """How an endpoint answered a command."""

    ok: bool
    told: str
    status: int = 0


class Endpoint(ABC):
    """An endpoint under audit.

    Attributes:
        url: where it is. recipe: how to speak to it. budget: what may be used.
    """

    def __init__(self, url: str, recipe: Recipe, budget: Budget) -> None:
        self.url = url
        self.recipe = recipe
        self.budget = budget

    def offers(self, verb: Verb) -> bool:
        """Whether its clients can do this at all, as far as the recipe says."""
        return self.recipe.call(verb) is not None

    @property
    @abstractmethod
    def address(self) -> tuple[str, int]:
        """Host and port, for the proxy."""

    @abstractmethod
    async def ask(self, tab: Tab, chat: Chat, prompt: str, on: Stream | None = None) -> Stream:
        """Say something; the answer arrives on the stream. ``on`` is the connection the tab has already, if any."""

    @abstractmethod
    async def resume(self, tab: Tab, chat: Chat, after: Stream) -> Stream:
        """Go on where a stream broke, as the endpoint's clients do. The stream begins with what they had, if they keep it."""

    @abstractmethod
    async def join(self, tab: Tab, chat: Chat) -> Stream:
        """Open the conversation with nothing but its id."""

    @abstractmethod
    async def history(self, tab: Tab, chat: Chat) -> Transcript | None:
        """What was said so far; None when the endpoint refused."""

    @abstractmethod
    async def command(
        self, verb: Verb, tab: Tab, chat: Chat, names: dict[str, str], on: Stream | None = None
    ) -> Receipt:
        """Stop, steer or approve."""

    async def close(self) -> None:  # noqa: B027 most have nothing to close
        """Nothing more is asked of it."""
