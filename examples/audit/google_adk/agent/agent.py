"""An agent as ``adk create`` makes one. The model counts, and is not paid for."""

import asyncio

from google.adk.agents import Agent
from google.adk.models import BaseLlm, LlmResponse
from google.genai import types


class Counting(BaseLlm):
    """Answers with the first four characters of what was said, sixty times; then the whole, as Gemini's streams end."""

    async def generate_content_async(self, llm_request, stream=False):
        text = llm_request.contents[-1].parts[0].text or ""
        words = [f"{text[:4]}{number} " for number in range(60)]
        for word in words if stream else ():
            yield LlmResponse(content=types.ModelContent(word), partial=True)
            await asyncio.sleep(0.04)
        yield LlmResponse(content=types.ModelContent("".join(words)))


root_agent = Agent(name="agent", model=Counting(model="counting"), instruction="Count.")
