"""Reports as providers give them, made by hand in their public shapes."""

from __future__ import annotations

import io
import json
from typing import Any

DAY = ("2026-10-05T00:00:00Z", "2026-10-06T00:00:00Z")
START = 1_791_158_400  # the same day, Unix seconds


def file(value: Any) -> io.BytesIO:
    return io.BytesIO(
        value if isinstance(value, bytes) else value.encode() if isinstance(value, str) else json.dumps(value).encode()
    )


def anthropic_cost(*items: dict[str, Any], more: bool = False) -> dict[str, Any]:
    return {"data": [{"starting_at": DAY[0], "ending_at": DAY[1], "results": list(items)}], "has_more": more,
            "next_page": None}  # fmt: skip


def cost_item(**more: Any) -> dict[str, Any]:
    return {
        "currency": "USD", "amount": "123.45", "workspace_id": "wrkspc_1", "description": "Claude Sonnet 4 Usage - Input Tokens",
        "cost_type": "tokens", "context_window": "0-200k", "model": "claude-sonnet-4", "service_tier": "standard",
        "token_type": "uncached_input_tokens", "inference_geo": "global",
    } | more  # fmt: skip


def anthropic_usage(**more: Any) -> dict[str, Any]:
    item = {
        "uncached_input_tokens": 1500, "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
        "cache_read_input_tokens": 200, "output_tokens": 500, "server_tool_use": {"web_search_requests": 10},
        "api_key_id": "apikey_1", "workspace_id": "wrkspc_1", "model": "claude-sonnet-4", "service_tier": "standard",
        "context_window": "0-200k", "inference_geo": "not_available",
    } | more  # fmt: skip
    return anthropic_cost(item)


def openai_page(*results: dict[str, Any], more: bool = False, start: int = START) -> dict[str, Any]:
    bucket = {"object": "bucket", "start_time": start, "end_time": start + 86_400, "results": list(results)}
    return {"object": "page", "data": [bucket], "has_more": more, "next_page": None}


def openai_cost(**more: Any) -> dict[str, Any]:
    return {
        "object": "organization.costs.result", "amount": {"value": 0.06, "currency": "usd"}, "line_item": "gpt-5, input",
        "project_id": "proj_1", "api_key_id": "key_1",
    } | more  # fmt: skip


def openai_usage(**more: Any) -> dict[str, Any]:
    return {
        "object": "organization.usage.completions.result", "input_tokens": 1000, "output_tokens": 500,
        "input_cached_tokens": 800, "num_model_requests": 5, "project_id": "proj_1", "api_key_id": "key_1", "model": "gpt-5",
        "batch": False, "user_id": None,
    } | more  # fmt: skip


FOCUS_HEAD = (
    "BilledCost,EffectiveCost,ListCost,ContractedCost,BillingCurrency,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,"
    "ChargeClass,ChargeDescription,ProviderName,SubAccountId,SkuId,ConsumedQuantity,ConsumedUnit,x_TokenClass,Tags"
)
FOCUS_LINE = (
    "0.9,0.9,1.0,0.9,USD,2026-10-05T00:00:00Z,2026-10-06T00:00:00Z,Usage,,use,OpenAI,proj_1,gpt-5,1000,Tokens,input,"
    '"{""team"": ""sales""}"'
)
SEATS = (
    "Provider,Plan,User,Team,Cost Centre,Month,Amount,Currency\n"
    "anthropic,team,ann@example.com,sales,cc1,2026-10,25.00,USD\n"
    "anthropic,team,bob@example.com,code,cc2,2026-10,25.00,USD\n"
)
