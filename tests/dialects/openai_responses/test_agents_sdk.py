"""OpenAI's Agents SDK with its own loop, unmodified: its model is an agent here, its functions are carried out there."""

from __future__ import annotations

from typing import Any

import pytest
from agents import Agent, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled

from .conftest import Site
from .test_control import forecaster
from .test_python_client import WORDS, deltas, teller

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def no_tracing() -> None:
    set_tracing_disabled(True)


def offering(site: Site, asked: list[str]) -> Agent[Any]:
    @function_tool
    def weather(city: str) -> str:
        """The weather."""
        asked.append(city)
        return "-3 degrees"

    model = OpenAIResponsesModel(model="forecaster", openai_client=site.client())
    return Agent(name="guide", model=model, tools=[weather])


@pytest.mark.parametrize("way", [{}, {"auto_previous_response_id": True}, {"conversation_id": "c1"}])
async def test_its_loop_carries_functions_out(site: Site, way: dict[str, Any]) -> None:
    """However it keeps the conversation: itself, by the response before, or by name."""
    await site.serve(forecaster=forecaster)
    asked: list[str] = []
    result = await Runner.run(offering(site, asked), "Oslo?", max_turns=3, **way)
    assert result.final_output == "It is -3 degrees." and asked == ["Oslo"]


async def test_it_streams(site: Site) -> None:
    await site.serve(teller=teller)
    agent = Agent(name="guide", model=OpenAIResponsesModel(model="teller", openai_client=site.client()))
    result = Runner.run_streamed(agent, "go")
    raw = [event.data async for event in result.stream_events() if event.type == "raw_response_event"]
    assert deltas(raw) == result.final_output == "".join(WORDS)
