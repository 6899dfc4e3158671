"""Guess which driver fits an endpoint: ask it one short question in each dialect and look at what comes back.

Holdfast is asked nothing: without an agent's name nobody would answer. It is known by how it refuses.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final, NamedTuple

from holdfast.audit.budget import Budget, OutOfBudget, Redactor
from holdfast.audit.drivers import registry
from holdfast.audit.drivers.http import HttpEndpoint
from holdfast.audit.endpoint import Chat
from holdfast.audit.finding import Contact
from holdfast.audit.lab import Lab, Options
from holdfast.audit.recipe import Call, Recipe
from holdfast.audit.stream import Stream
from holdfast.errors import Refused

LOOK_S: Final = 8.0
ORDER: Final = (
    "openai-chat", "openai-responses-background", "openai-responses", "anthropic", "ai-sdk", "ag-ui",
    "ai-sdk-websocket", "chainlit", "text", "text-get",
)  # fmt: skip
CEILING: Final = {"text": 0.5, "text-get": 0.4}
"""Anything is text: what is only that is never sure."""

KNOCK: Final = Recipe(
    ask=[Call()],
    stop=Call(method="GET", path="{base}/v1/sessions", capture={"code": "error.code", "fix": "error.fix"}),
)
"""A request without a token, which Holdfast refuses with a code and what to do about it (docs/reference/errors.md)."""
HOLDFAST: Final = "it refuses a request without a token as Holdfast does; name an agent with --agent"


class Guess(NamedTuple):
    """A driver, how sure (0 to 1), and why."""

    name: str
    sure: float
    why: str


async def detect(url: str, budget: Budget, headers: dict[str, str], hosts: frozenset[str]) -> list[Guess]:
    """The drivers that fit, the surest first; empty when none does. Stops at the first it is sure of."""
    guesses: list[Guess] = []
    with contextlib.suppress(Refused, OutOfBudget, OSError):
        if await _is_holdfast(url, budget, hosts):
            return [Guess("holdfast", 0.95, HOLDFAST)]
    for name in ORDER:
        if name not in registry.RECIPES:
            continue
        try:
            guess = await _try(name, url, budget, headers, hosts)
        except (Refused, OutOfBudget, OSError):
            continue
        if guess is not None:
            guesses.append(guess)
            if guess.sure >= 0.9:
                break
    return sorted(guesses, key=lambda guess: -guess.sure)


async def _is_holdfast(url: str, budget: Budget, hosts: frozenset[str]) -> bool:
    endpoint, chat = HttpEndpoint(url, KNOCK, budget, {}, hosts), Chat()
    lab = Lab(endpoint, budget, Options(), Redactor(), Contact(state="ok", told=""))
    async with lab.scene() as scene:
        receipt = await endpoint.command("stop", await scene.tab("detect"), chat, {})
    return receipt.status == 401 and chat.names.get("code") == "auth.required" and bool(chat.names.get("fix"))


async def _try(name: str, url: str, budget: Budget, headers: dict[str, str], hosts: frozenset[str]) -> Guess | None:
    endpoint = registry.endpoint(url, registry.RECIPES[name], budget, headers, hosts)
    lab = Lab(endpoint, budget, Options(), Redactor(), Contact(state="ok", told=""))
    try:
        async with asyncio.timeout(budget.within(LOOK_S)), lab.scene() as scene:
            stream = await scene.ask(await scene.tab("detect"), "Say hello.")
            await stream.until(lambda page: page.pieces >= 3 or page.ended > 0, LOOK_S - 1)
            return _judge(name, stream)
    except TimeoutError:
        return None
    finally:
        await endpoint.close()


def _judge(name: str, stream: Stream) -> Guess | None:
    page = stream.transcript
    if not page.answer:
        return None
    understood = 1 - page.others / max(1, page.pieces)
    kind = next((line for line in stream.head.splitlines() if line.lower().startswith("content-type")), "").lower()
    sure = min(CEILING.get(name, 1.0), 0.95 * understood)
    if name.startswith("text") and ("event-stream" in kind or "json" in kind or "html" in kind):
        sure = 0.1
    return Guess(name, round(sure, 2), f"{page.pieces - page.others} of {page.pieces} messages understood")
