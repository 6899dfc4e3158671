"""Drivers against real servers of their protocol: the AI SDK's WebSocket as this project serves it, Anthropic's recorded words."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from msgspec import structs

from holdfast.audit.budget import ProbeBudget, Redactor
from holdfast.audit.detect import detect
from holdfast.audit.drivers import registry
from holdfast.audit.drivers.http import HttpEndpoint
from holdfast.audit.examine import PROBES, examine
from holdfast.audit.finding import Contact, Finding
from holdfast.audit.lab import AuditOptions
from holdfast.audit.recipe import Recipe, RecipeCall
from tests.adapters import replay
from tests.audit.test_holdfast import site, verdicts

pytestmark = pytest.mark.anyio


# --- the AI SDK's WebSocket -----------------------------------------------------------------------------------------------
def with_token(recipe: Recipe, token: str) -> Recipe:
    """A transport with ``headers``: they stand in every frame that asks or resumes."""

    def told(call: RecipeCall | None) -> RecipeCall:
        assert call is not None
        return structs.replace(call, send=[{**m, "headers": {"authorization": f"Bearer {token}"}} for m in call.send])

    ask, resume, join = told(recipe.ask[0]), told(recipe.resume), told(recipe.join)
    return structs.replace(recipe, ask=[ask], resume=resume, join=join)


async def test_the_ai_sdk_websocket_against_a_server_that_speaks_it() -> None:
    async with site(pace_s=0.04) as (url, token):  # an abort after a resume takes half a second, see ai_sdk/socket.py
        found = await verdicts(
            f"{url.replace('http', 'ws')}/v1/ai-sdk/v7/writer", token,
            with_token(registry.RECIPES["ai-sdk-websocket"], token),
            "resilient.half_open", "resilient.end_marked", "continuity.from_start", "continuity.middle",
            "continuity.other_device", "control.stop", "control.stop_both", "control.stop_after_reload",
        )  # fmt: skip
    assert {id_: told for id_, told in found.items() if told[0] != "pass"} == {}


async def test_an_abort_names_the_request_of_its_own_connection() -> None:
    """What another tab's connection was told last is not what this one may abort."""
    async with site() as (url, token):
        recipe = with_token(registry.RECIPES["ai-sdk-websocket"], token)
        abort = structs.replace(recipe, stop=RecipeCall(send=[{"type": "abort", "requestId": "of nobody"}]))
        address = f"{url.replace('http', 'ws')}/v1/ai-sdk/v7/writer"
        assert (await verdicts(address, token, abort, "control.stop"))["control.stop"][0] == "fail"


# --- Anthropic ------------------------------------------------------------------------------------------------------------
def anthropic_words() -> tuple[list[dict[str, Any]], str]:
    """The recorded answer with most pieces of text, and its text."""
    told = []
    for recording in replay.recordings("anthropic.messages"):
        said = replay.events(recording)
        pieces = [e["delta"]["text"] for e in said if e.get("delta", {}).get("type") == "text_delta"]
        told.append((len(pieces), said, "".join(pieces)))
    if not told:
        pytest.skip("the recorded provider streams are not on this machine")
    _, said, text = max(told, key=lambda found: found[0])
    return said, text


async def anthropic(script: replay.Script, *only: str) -> tuple[Contact, dict[str, Finding], list[dict[str, Any]]]:
    provider = replay.Provider()
    provider.script = script
    async with provider.running():
        budget = ProbeBudget(requests=50, ask_above=50, total_s=60, answer_s=10)
        endpoint = HttpEndpoint(f"{provider.url}/v1/messages", registry.RECIPES["anthropic"], budget)
        probes = [probe for probe in PROBES if probe.id in only]
        given = AuditOptions(prompt="one", second_prompt="two")
        contact, found = await examine(endpoint, given, budget, Redactor(), probes=probes)
        return contact, {finding.id: finding for finding in found}, provider.requests


async def test_anthropic_as_recorded() -> None:
    said, text = anthropic_words()
    deltas = [n for n, event in enumerate(said) if event.get("delta", {}).get("type") == "text_delta"]
    at = deltas[len(deltas) * 3 // 4]
    whole, first, rest = replay.framed(said), replay.framed(said[:at]), replay.framed(said[at:])
    hold = asyncio.Event()
    contact, found, asked = await anthropic(
        lambda number, _: whole if number < 3 else (first, hold, rest), "resilient.resume", "resilient.end_marked",
    )  # fmt: skip
    assert (contact.state, contact.answer_chars, contact.marks_end) == ("ok", len(text), True), contact
    assert contact.deterministic
    assert found["resilient.end_marked"].verdict == "pass"
    lost = found["resilient.resume"]
    assert (lost.verdict, lost.lacks) == ("fail", True) and lost.saw.endswith("it can only ask again"), lost.saw
    assert [body["messages"][0]["content"] for body in asked] == ["one", "one", "two", "one"]
    assert all(body["stream"] and body["max_tokens"] for body in asked)


async def test_an_error_of_anthropics_in_the_middle_is_one() -> None:
    said, _ = anthropic_words()
    cut = [*said[: len(said) // 2], {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}]
    contact, _, _ = await anthropic(lambda number, _: replay.framed(cut))
    assert contact.state == "refused" and "error" in contact.message, contact


async def test_anthropic_is_detected() -> None:
    said, _ = anthropic_words()
    provider = replay.Provider()

    def only_anthropic(number: int, asked: dict[str, Any]) -> Any:
        fits = "max_tokens" in asked and isinstance(asked["messages"][0]["content"], str)
        return replay.framed(said) if fits else replay.refusal(400, type="invalid_request_error", message="no")

    provider.script = only_anthropic
    async with provider.running():
        guesses = await detect(f"{provider.url}/v1/messages", ProbeBudget(), {}, frozenset())
    assert guesses[0].name == "anthropic" and guesses[0].confidence >= 0.9, guesses


# --- Holdfast -------------------------------------------------------------------------------------------------------------
async def test_holdfast_is_recognised_without_asking_it_anything() -> None:
    async with site() as (url, _):
        guesses = await detect(url, budget := ProbeBudget(), {}, frozenset())
    assert [(guess.name, budget.used) for guess in guesses] == [("holdfast", 1)]
    assert "--agent" in guesses[0].why


@pytest.mark.process
async def test_holdfast_without_an_agent_is_told_to_name_one() -> None:
    async with site() as (url, _):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "holdfast.cli", "audit", url,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        told, _ = await process.communicate()
    assert process.returncode == 1 and "--agent" in told.decode(), told.decode()
