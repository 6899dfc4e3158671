"""Which drivers there are, and how one is made for a target."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from holdfast.audit.budget import ProbeBudget
from holdfast.audit.drivers import (
    ag_ui,
    agno,
    ai_sdk,
    anthropic,
    chainlit,
    durable_streams,
    google_adk,
    langgraph,
    litellm,
    openai_chat,
    openai_responses,
    text,
)
from holdfast.audit.drivers import holdfast as own
from holdfast.audit.drivers.http import HttpEndpoint
from holdfast.audit.drivers.socketio import SocketIoEndpoint
from holdfast.audit.drivers.websocket import WebSocketEndpoint
from holdfast.audit.endpoint import Endpoint
from holdfast.audit.recipe import Recipe, check, load
from holdfast.errors import Refused

Make = Callable[[str, Recipe, ProbeBudget, dict[str, str], frozenset[str]], Endpoint]

RECIPES: Final = {
    recipe.name: recipe
    for recipe in (
        openai_chat.RECIPE,
        openai_responses.RECIPE,
        openai_responses.BACKGROUND,
        anthropic.RECIPE,
        ai_sdk.RECIPE,
        ai_sdk.WEBSOCKET,
        ag_ui.RECIPE,
        text.RECIPE,
        text.GET,
        chainlit.RECIPE,
        langgraph.RECIPE,
        agno.RECIPE,
        agno.BACKGROUND,
        google_adk.RECIPE,
        litellm.RECIPE,
        durable_streams.RECIPE,
        own.RECIPE,
    )
}
TRANSPORTS: Final[dict[str, Make]] = {
    "http": HttpEndpoint,
    "websocket": WebSocketEndpoint,
    "socketio": SocketIoEndpoint,
    "holdfast": own.HoldfastEndpoint,
}


def recipe_named(name: str) -> Recipe:
    """A driver's recipe by name, or a recipe file by path.

    Raises:
        Refused: ``config.invalid``.
    """
    if name in RECIPES:
        return RECIPES[name]
    if Path(name).suffix in (".yaml", ".yml", ".json"):
        return load(Path(name))
    raise Refused("config.invalid", f"no driver is called {name!r}: {', '.join(RECIPES)}, or a recipe file")


def endpoint(url: str, recipe: Recipe, budget: ProbeBudget, headers: dict[str, str], hosts: frozenset[str]) -> Endpoint:
    """An endpoint under audit.

    Raises:
        Refused: ``config.invalid`` when the recipe cannot be followed there.
    """
    return TRANSPORTS[recipe.transport](url, check(recipe), budget, headers, hosts)
