"""The verbs a chat client has, whatever the endpoint: what probes use and drivers provide."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from holdfast.audit.budget import ProbeBudget
from holdfast.audit.clients import Chat, NameStore, NameUnknown, Tab
from holdfast.audit.recipe import BUILT_IN_NAMES, Recipe, RecipeCall, Verb
from holdfast.audit.stream import ClientStream
from holdfast.audit.transcript import Transcript


class Receipt(NamedTuple):
    """How an endpoint answered a command."""

    ok: bool
    detail: str
    status: int = 0


class Endpoint(ABC):
    """An endpoint under audit.

    Attributes:
        url: where it is. recipe: how to speak to it. budget: what may be used.
    """

    def __init__(self, url: str, recipe: Recipe, budget: ProbeBudget) -> None:
        self.url = url
        self.recipe = recipe.with_target()
        self.budget = budget

    def offers(self, verb: Verb) -> bool:
        """Whether its clients can do this at all, as far as the recipe says."""
        return self.recipe.call(verb) is not None

    @property
    @abstractmethod
    def address(self) -> tuple[str, int]:
        """Host and port, for the proxy."""

    @abstractmethod
    async def ask(self, tab: Tab, chat: Chat, prompt: str, on: ClientStream | None = None) -> ClientStream:
        """Say something; the answer arrives on the stream. ``on`` is the connection the tab has already, if any."""

    @abstractmethod
    async def resume(self, tab: Tab, chat: Chat, after: ClientStream) -> ClientStream:
        """Go on where a stream broke, as the endpoint's clients do. The stream begins with what they had, if they keep it."""

    @abstractmethod
    async def join(self, tab: Tab, chat: Chat) -> ClientStream:
        """Open the conversation with nothing but what its address holds."""

    @abstractmethod
    async def history(self, tab: Tab, chat: Chat) -> Transcript | None:
        """What was said so far; None when the endpoint refused."""

    @abstractmethod
    async def command(
        self, verb: Verb, tab: Tab, chat: Chat, names: dict[str, str], on: ClientStream | None = None
    ) -> Receipt:
        """Stop, steer or approve."""

    async def find(self, tab: Tab, chat: Chat) -> None:  # noqa: B027 not every transport has requests
        """Request the ids that a client needs which has nothing but the conversation's address."""

    # --- names in templates
    def template_names(self, tab: Tab, chat: Chat, **more: str) -> dict[str, str]:
        """The names a template of this client may use now."""
        identity = {"chat": chat.id, "tab": tab.id, "device": tab.device, "user": "audit"}
        return {**identity, **chat.names, **tab.names, **more}

    def captures(self, tab: Tab, chat: Chat, also: dict[str, str] | None = None) -> NameStore:
        """Where captures go that a client makes."""
        return NameStore(tab, chat, self.recipe.shared, also)

    async def resolve_names(self, call: RecipeCall, tab: Tab, chat: Chat, **more: str) -> dict[str, str]:
        """The names a call needs, requesting them first where the recipe says how a client gets them.

        Raises:
            NameUnknown: this client did not receive one.
        """
        if self._missing_names(call, tab, chat, more) and self.recipe.find:
            await self.find(tab, chat)
        if (
            call is not self.recipe.history
            and self._missing_names(call, tab, chat, more) & self.recipe.names_in_history
        ):
            await self.history(tab, chat)
        if missing := self._missing_names(call, tab, chat, more):
            raise NameUnknown(tab, chat, missing)
        return self.template_names(tab, chat, **more)

    def _missing_names(self, call: RecipeCall, tab: Tab, chat: Chat, more: dict[str, str]) -> set[str]:
        values = self.template_names(tab, chat, **more)
        return {name for name in call.uses & (self.recipe.captured - BUILT_IN_NAMES) if not values.get(name)}

    async def close(self) -> None:  # noqa: B027 most have nothing to close
        """Nothing more is asked of it."""
