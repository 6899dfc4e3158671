"""A race on LiteLLM's budget of a session, run with LiteLLM's own Python: its hook as its proxy calls it, before each call and
after it. Prints how many calls were admitted, and what was spent, as JSON.

Arguments: the number of calls, US dollars for each, the cap.
"""
# mypy: ignore-errors

import asyncio
import json
import sys

from litellm import DualCache
from litellm.proxy._types import UserAPIKeyAuth
from litellm.proxy.agent_endpoints.agent_registry import global_agent_registry
from litellm.proxy.hooks.max_budget_per_session_limiter import PROXY_MaxBudgetPerSessionHandler
from litellm.proxy.utils import InternalUsageCache
from litellm.types.agents import AgentResponse


async def race(calls: int, usd: float, cap: float) -> dict[str, float]:
    """All calls at once: each asks, all are under way together, each is counted when it is over."""
    card = {
        "name": "racer",
        "description": "",
        "url": "http://localhost",
        "version": "1",
        "skills": [],
        "capabilities": {},
    }
    agent = AgentResponse(
        agent_id="a1", agent_name="racer", agent_card_params=card, litellm_params={"max_budget_per_session": cap}
    )
    global_agent_registry.register_agent(agent)
    cache = DualCache()
    limiter = PROXY_MaxBudgetPerSessionHandler(InternalUsageCache(cache))
    key, metadata = UserAPIKeyAuth(agent_id="a1"), {"session_id": "s1", "agent_id": "a1"}
    asked = asyncio.Barrier(calls) if hasattr(asyncio, "Barrier") else None

    async def one() -> float:
        try:
            await limiter.async_pre_call_hook(key, cache, {"metadata": metadata, "model": "m"}, "completion")
            admitted = True
        except Exception:
            admitted = False
        if asked is not None:
            await asked.wait()
        if admitted:
            facts = {"litellm_params": {"metadata": metadata}, "response_cost": usd}
            await limiter.async_log_success_event(facts, None, None, None)
        return usd if admitted else 0.0

    spent = await asyncio.gather(*(one() for _ in range(calls)))
    after = limiter.async_pre_call_hook(key, cache, {"metadata": metadata, "model": "m"}, "completion")
    try:
        await after
        refuses = False
    except Exception:
        refuses = True
    return {"admitted": sum(each > 0 for each in spent), "spent_usd": round(sum(spent), 6), "refuses_after": refuses}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(race(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))))
