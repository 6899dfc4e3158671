"""The verbs a chat client has, whatever the endpoint: what probes use and drivers provide."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from holdfast.audit.budget import Budget
from holdfast.audit.clients import Chat, Learner, Tab, Untold
from holdfast.audit.recipe import KNOWN, Call, Recipe, Verb
from holdfast.audit.stream import Stream
from holdfast.audit.transcript import Transcript


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
        self.recipe = recipe.asking()
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
        """Open the conversation with nothing but what its address holds."""

    @abstractmethod
    async def history(self, tab: Tab, chat: Chat) -> Transcript | None:
        """What was said so far; None when the endpoint refused."""

    @abstractmethod
    async def command(
        self, verb: Verb, tab: Tab, chat: Chat, names: dict[str, str], on: Stream | None = None
    ) -> Receipt:
        """Stop, steer or approve."""

    async def find(self, tab: Tab, chat: Chat) -> None:  # noqa: B027 not every transport has requests
        """Ask for the ids that a client needs which knows nothing but the conversation's address."""

    # --- what a client knows
    def known(self, tab: Tab, chat: Chat, **more: str) -> dict[str, str]:
        """The names a template of this client may use now."""
        about = {"chat": chat.id, "tab": tab.id, "device": tab.device, "user": "audit"}
        return {**about, **chat.names, **tab.names, **more}

    def learner(self, tab: Tab, chat: Chat, beside: dict[str, str] | None = None) -> Learner:
        """Where captures go that a client makes."""
        return Learner(tab, chat, self.recipe.shared, beside)

    async def knowing(self, call: Call, tab: Tab, chat: Chat, **more: str) -> dict[str, str]:
        """The names a call needs, asking for them first where the recipe says how a client learns them.

        Raises:
            Untold: nobody told this client.
        """
        if self._lacks(call, tab, chat, more) and self.recipe.find:
            await self.find(tab, chat)
        if call is not self.recipe.history and self._lacks(call, tab, chat, more) & self.recipe.told_by_history:
            await self.history(tab, chat)
        if lacks := self._lacks(call, tab, chat, more):
            raise Untold(tab, chat, lacks)
        return self.known(tab, chat, **more)

    def _lacks(self, call: Call, tab: Tab, chat: Chat, more: dict[str, str]) -> set[str]:
        names = self.known(tab, chat, **more)
        return {name for name in call.uses & (self.recipe.captured - KNOWN) if not names.get(name)}

    async def close(self) -> None:  # noqa: B027 most have nothing to close
        """Nothing more is asked of it."""
