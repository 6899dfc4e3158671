"""What providers call the tier, the speed and the region that served, and what of it has a price of its own."""

from __future__ import annotations

from typing import Final

from holdfast.governance.pricing.additions import REGION_FACTORS, SAME_EVERYWHERE
from holdfast.governance.pricing.model import STANDARD

PROVISIONED: Final = "provisioned"
"""Served by capacity that was bought by the hour: the list price is the standard one, and nothing more is invoiced."""
_NAMES: Final = {
    "": STANDARD, "default": STANDARD, "standard": STANDARD, "auto": STANDARD, "on_demand": STANDARD, "ondemand": STANDARD,
    "standard_only": STANDARD, "not_available": STANDARD, "traffic_type_unspecified": STANDARD, "unspecified": STANDARD,
    "on_demand_priority": "priority", "on_demand_flex": "flex", "provisioned_throughput": PROVISIONED, "scale": PROVISIONED,
    "reserved": PROVISIONED,
}  # fmt: skip
_OF_PROVIDERS: Final = {
    # Anthropic's priority tier is bought as a commitment; its tokens have no list price of their own
    ("anthropic", "priority"): STANDARD,
    # Groq prices flex as it prices what is on demand
    ("groq", "flex"): STANDARD,
}


def tier_of(provider: str, name: str) -> str:
    """The tier that has a price, for the name that a provider gives the one that served."""
    plain = name.strip().lower().removeprefix("service_tier_")
    tier = _NAMES.get(plain, plain)
    return _OF_PROVIDERS.get((provider, tier), tier)


def speed_of(name: str) -> str:
    """The speed that has a price; empty for the usual one."""
    plain = name.strip().lower()
    return "" if plain in ("", "standard", "default", "normal") else plain


def region_of(provider: str, name: str) -> str:
    """The region that changes the price; empty where none does. What a provider with such regions calls another one is kept,
    so that it has no price instead of a wrong one."""
    factors = REGION_FACTORS.get(provider)
    plain = name.strip().lower()
    return "" if factors is None or plain in SAME_EVERYWHERE else plain
