"""An AgentOS of Agno with one agent and a SQLite database. The model counts, and is not paid for."""

import asyncio
import os
from dataclasses import dataclass

from agno.agent import Agent
from agno.db.sqlite import AsyncSqliteDb
from agno.models.base import Model
from agno.models.response import ModelResponse
from agno.os import AgentOS


@dataclass
class Counting(Model):
    """Answers with the first four characters of what was said, sixty times."""

    id: str = "counting"
    name: str = "Counting"
    provider: str = "none"

    async def ainvoke_stream(self, messages, *args, **kwargs):
        text = next(str(message.content) for message in reversed(messages) if message.role == "user")
        for number in range(60):
            yield ModelResponse(role="assistant", content=f"{text[:4]}{number} ")
            await asyncio.sleep(0.04)

    async def ainvoke(self, *args, **kwargs):
        raise NotImplementedError("the audit asks for streams")

    def invoke(self, *args, **kwargs):
        raise NotImplementedError

    def invoke_stream(self, *args, **kwargs):
        raise NotImplementedError

    def _parse_provider_response(self, response, **kwargs):
        return response

    def _parse_provider_response_delta(self, response):
        return response


db = AsyncSqliteDb(db_file=os.environ.get("AUDIT_DB", "agno.db"))
agent = Agent(id="agent", name="agent", model=Counting(), db=db, telemetry=False)
app = AgentOS(id="audited", agents=[agent], db=db, telemetry=False).get_app()
