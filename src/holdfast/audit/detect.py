"""Guess which driver fits an endpoint: ask it one short question in each dialect and look at what comes back.

Holdfast itself is recognised by how it refuses a request without a token: without an agent's name nobody would answer.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from holdfast.audit.budget import OutOfBudget, ProbeBudget, Redactor
from holdfast.audit.clients import Chat
from holdfast.audit.drivers import registry
from holdfast.audit.drivers.http import HttpEndpoint
from holdfast.audit.finding import Contact
from holdfast.audit.lab import AuditOptions, Lab
from holdfast.audit.recipe import Recipe, RecipeCall
from holdfast.audit.stream import ClientStream
from holdfast.errors import Refused

ANSWER_S: Final = 8.0
TRY_ORDER: Final = (
    "openai-chat", "openai-responses-background", "openai-responses", "anthropic", "ai-sdk", "ag-ui",
    "ai-sdk-websocket", "chainlit", "text", "text-get",
)  # fmt: skip
MAX_CONFIDENCE: Final = {"text": 0.5, "text-get": 0.4}
"""Anything is text: what is only that is never sure."""

UNAUTHENTICATED: Final = Recipe(
    ask=[RecipeCall()],
    stop=RecipeCall(method="GET", path="{base}/v1/sessions", capture={"code": "error.code", "fix": "error.fix"}),
)
"""A request without a token, which Holdfast refuses with a code and what to do about it (docs/reference/errors.md)."""
HOLDFAST_REASON: Final = "it refuses a request without a token as Holdfast does; name an agent with --agent"


class Guess(NamedTuple):
    """A driver, how sure (0 to 1), and why."""

    name: str
    confidence: float
    why: str


class Refusal(NamedTuple):
    """What a driver was answered that does not fit: the refusal as it came, or what was not understood."""

    name: str
    answer: str


@dataclass
class Detection:
    """What came of asking.

    Attributes:
        guesses: the drivers that fit, the surest first. refusals: what the others were answered.
        unreached: why nothing is there at all; empty: something answered.
    """

    guesses: list[Guess] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    connect_error: str = ""

    @property
    def model_refused(self) -> bool:
        """Whether a driver was refused because of the model's name."""
        return any("model" in refusal.answer.lower() for refusal in self.refusals)


async def detect(
    url: str, budget: ProbeBudget, headers: dict[str, str], hosts: frozenset[str], *, agent: str = "", model: str = ""
) -> list[Guess]:
    """The drivers that fit, the surest first; empty when none does. Stops at the first it is sure of."""
    return (await try_drivers(url, budget, headers, hosts, agent=agent, model=model)).guesses


async def try_drivers(
    url: str, budget: ProbeBudget, headers: dict[str, str], hosts: frozenset[str], *, agent: str = "", model: str = ""
) -> Detection:
    """Try the drivers in order; what fits, and the answers to those that do not.

    Args:
        agent, model: whom to ask, where a dialect needs a name.
    """
    found = Detection()
    with contextlib.suppress(Refused, OutOfBudget, OSError):
        if await _is_holdfast(url, budget, hosts, found):
            found.guesses.append(Guess("holdfast", 0.95, HOLDFAST_REASON))
            return found
    for name in TRY_ORDER:
        if name not in registry.RECIPES or found.connect_error:
            continue
        try:
            guess = await _try_driver(name, url, budget, headers, hosts, (agent, model), found)
        except (Refused, OutOfBudget, OSError) as error:
            found.refusals.append(Refusal(name, str(error)))
            continue
        if guess is not None:
            found.guesses.append(guess)
            if guess.confidence >= 0.9:
                break
    found.guesses.sort(key=lambda guess: -guess.confidence)
    return found


async def _is_holdfast(url: str, budget: ProbeBudget, hosts: frozenset[str], found: Detection) -> bool:
    endpoint, chat = HttpEndpoint(url, UNAUTHENTICATED, budget, {}, hosts), Chat()
    lab = Lab(endpoint, budget, AuditOptions(), Redactor(), Contact(state="ok", message=""))
    async with lab.trial() as trial:
        tab = await trial.tab("detect")
        receipt = await endpoint.command("stop", tab, chat, {})
        found.connect_error = tab.proxy.connect_error
    return receipt.status == 401 and tab.names.get("code") == "auth.required" and bool(tab.names.get("fix"))


async def _try_driver(
    name: str,
    url: str,
    budget: ProbeBudget,
    headers: dict[str, str],
    hosts: frozenset[str],
    agent_and_model: tuple[str, str],
    found: Detection,
) -> Guess | None:
    endpoint = registry.endpoint(url, registry.RECIPES[name].with_target(*agent_and_model), budget, headers, hosts)
    lab = Lab(endpoint, budget, AuditOptions(), Redactor(*headers.values()), Contact(state="ok", message=""))
    try:
        async with asyncio.timeout(budget.within(ANSWER_S)), lab.trial() as trial:
            tab = await trial.tab("detect")
            stream = await trial.ask(tab, "Say hello.")
            await stream.until(lambda page: page.pieces >= 3 or page.ended > 0, ANSWER_S - 1)
            found.connect_error = found.connect_error or tab.proxy.connect_error
            guess = _guess(name, stream)
            if guess is None:
                found.refusals.append(Refusal(name, lab.redactor.text(_describe_answer(stream))))
            return guess
    except TimeoutError:
        found.refusals.append(Refusal(name, f"nothing within {ANSWER_S:g} s"))
        return None
    finally:
        await endpoint.close()


def _describe_answer(stream: ClientStream) -> str:
    """What came, where no text was understood."""
    if stream.closed is not None and stream.closed.ending == "cut":
        return stream.closed.detail
    kind = next((line for line in stream.head.splitlines() if line.lower().startswith("content-type")), "")
    messages = f"{stream.transcript.pieces} messages without text" if stream.transcript.pieces else "nothing"
    return f"{stream.head.splitlines()[0] if stream.head else 'answered'}, {kind}: {messages} that it understands"


def _guess(name: str, stream: ClientStream) -> Guess | None:
    page = stream.transcript
    if not page.answer:
        return None
    understood = 1 - page.others / max(1, page.pieces)
    kind = next((line for line in stream.head.splitlines() if line.lower().startswith("content-type")), "").lower()
    confidence = min(MAX_CONFIDENCE.get(name, 1.0), 0.95 * understood)
    if name.startswith("text") and ("event-stream" in kind or "json" in kind or "html" in kind):
        confidence = 0.1
    return Guess(name, round(confidence, 2), f"{page.pieces - page.others} of {page.pieces} messages understood")
