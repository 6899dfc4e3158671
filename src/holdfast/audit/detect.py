"""Guess which driver fits an endpoint: ask it one short question in each dialect and look at what comes back.

Holdfast is asked nothing: without an agent's name nobody would answer. It is known by how it refuses.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from holdfast.audit.budget import Budget, OutOfBudget, Redactor
from holdfast.audit.drivers import registry
from holdfast.audit.drivers.http import HttpEndpoint
from holdfast.audit.finding import Contact
from holdfast.audit.clients import Chat
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


class Refusal(NamedTuple):
    """What a driver was answered that does not fit: the refusal as it came, or what was not understood."""

    name: str
    told: str


@dataclass
class Detected:
    """What came of asking.

    Attributes:
        guesses: the drivers that fit, the surest first. refusals: what the others were answered.
        unreached: why nothing is there at all; empty: something answered.
    """

    guesses: list[Guess] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    unreached: str = ""

    @property
    def about_a_model(self) -> bool:
        """Whether somebody would have answered another model's name."""
        return any("model" in refusal.told.lower() for refusal in self.refusals)


async def detect(
    url: str, budget: Budget, headers: dict[str, str], hosts: frozenset[str], *, agent: str = "", model: str = ""
) -> list[Guess]:
    """The drivers that fit, the surest first; empty when none does. Stops at the first it is sure of."""
    return (await look_around(url, budget, headers, hosts, agent=agent, model=model)).guesses


async def look_around(
    url: str, budget: Budget, headers: dict[str, str], hosts: frozenset[str], *, agent: str = "", model: str = ""
) -> Detected:
    """The same, with what was answered where nothing fits.

    Args:
        agent, model: whom to ask, where a dialect needs a name.
    """
    found = Detected()
    with contextlib.suppress(Refused, OutOfBudget, OSError):
        if await _is_holdfast(url, budget, hosts, found):
            found.guesses.append(Guess("holdfast", 0.95, HOLDFAST))
            return found
    for name in ORDER:
        if name not in registry.RECIPES or found.unreached:
            continue
        try:
            guess = await _try(name, url, budget, headers, hosts, (agent, model), found)
        except (Refused, OutOfBudget, OSError) as error:
            found.refusals.append(Refusal(name, str(error)))
            continue
        if guess is not None:
            found.guesses.append(guess)
            if guess.sure >= 0.9:
                break
    found.guesses.sort(key=lambda guess: -guess.sure)
    return found


async def _is_holdfast(url: str, budget: Budget, hosts: frozenset[str], found: Detected) -> bool:
    endpoint, chat = HttpEndpoint(url, KNOCK, budget, {}, hosts), Chat()
    lab = Lab(endpoint, budget, Options(), Redactor(), Contact(state="ok", told=""))
    async with lab.scene() as scene:
        tab = await scene.tab("detect")
        receipt = await endpoint.command("stop", tab, chat, {})
        found.unreached = tab.proxy.unreached
    return receipt.status == 401 and tab.names.get("code") == "auth.required" and bool(tab.names.get("fix"))


async def _try(
    name: str, url: str, budget: Budget, headers: dict[str, str], hosts: frozenset[str], asked: tuple[str, str],
    found: Detected,
) -> Guess | None:  # fmt: skip
    endpoint = registry.endpoint(url, registry.RECIPES[name].asking(*asked), budget, headers, hosts)
    lab = Lab(endpoint, budget, Options(), Redactor(*headers.values()), Contact(state="ok", told=""))
    try:
        async with asyncio.timeout(budget.within(LOOK_S)), lab.scene() as scene:
            tab = await scene.tab("detect")
            stream = await scene.ask(tab, "Say hello.")
            await stream.until(lambda page: page.pieces >= 3 or page.ended > 0, LOOK_S - 1)
            found.unreached = found.unreached or tab.proxy.unreached
            guess = _judge(name, stream)
            if guess is None:
                found.refusals.append(Refusal(name, lab.redactor.text(_answered(stream))))
            return guess
    except TimeoutError:
        found.refusals.append(Refusal(name, f"nothing within {LOOK_S:g} s"))
        return None
    finally:
        await endpoint.close()


def _answered(stream: Stream) -> str:
    """What came, where no text was understood."""
    if stream.closed is not None and stream.closed.ending == "cut":
        return stream.closed.detail
    kind = next((line for line in stream.head.splitlines() if line.lower().startswith("content-type")), "")
    messages = f"{stream.transcript.pieces} messages without text" if stream.transcript.pieces else "nothing"
    return f"{stream.head.splitlines()[0] if stream.head else 'answered'}, {kind}: {messages} that it understands"


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
