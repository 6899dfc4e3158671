"""Columns of the Cost and Usage dataset of FOCUS, by version.

Source: https://focus.finops.org/focus-specification/. FOCUS has no column for tokens or models: tokens are
``ConsumedQuantity`` with their unit, the model is part of ``SkuId`` and ``SkuPriceId``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Version = Literal["1.2", "1.3", "1.4"]
VERSIONS: Final[tuple[Version, ...]] = ("1.2", "1.3", "1.4")

_V1_2: Final = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingAccountType", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd",
    "ChargePeriodStart", "CommitmentDiscountCategory", "CommitmentDiscountId", "CommitmentDiscountName",
    "CommitmentDiscountQuantity", "CommitmentDiscountStatus", "CommitmentDiscountType", "CommitmentDiscountUnit",
    "ConsumedQuantity", "ConsumedUnit", "ContractedCost", "ContractedUnitPrice", "EffectiveCost",
    "InvoiceId", "InvoiceIssuerName", "ListCost", "ListUnitPrice", "PricingCategory", "PricingCurrency",
    "PricingCurrencyContractedUnitPrice", "PricingCurrencyEffectiveCost", "PricingCurrencyListUnitPrice",
    "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "RegionId", "RegionName", "ResourceId",
    "ResourceName", "ResourceType", "ServiceCategory", "ServiceName", "ServiceSubcategory", "SkuId", "SkuMeter",
    "SkuPriceDetails", "SkuPriceId", "SubAccountId", "SubAccountName", "SubAccountType", "Tags",
)  # fmt: skip
_V1_3: Final = ("HostProviderName", "ServiceProviderName")
_GONE_IN_1_4: Final = ("ProviderName", "PublisherName")
NOT_SUPPORTED: Final = (
    "AVAILABILITY_ZONE_SUPPORTED",
    "CAPACITY_RESERVATION_SUPPORTED",
    "COMMITMENT_DISCOUNT_SUPPORTED",
)
"""What FOCUS calls applicability criteria, of concepts that the dataset does not have. Columns that are wanted with them only
are left out; those of commitment discounts are there and null, since rules of other columns read them."""

COLUMNS: Final[Mapping[Version, tuple[str, ...]]] = {
    "1.2": _V1_2,
    "1.3": tuple(sorted((*_V1_2, *_V1_3))),
    "1.4": tuple(sorted({*_V1_2, *_V1_3} - {*_GONE_IN_1_4})),
}
"""In the order in which they are written."""

OWN: Final = ("x_KeyId", "x_Model", "x_Source", "x_Basis", "x_TokenClass")
"""Columns of ours, which FOCUS allows with this prefix."""

UNITS: Final[Mapping[str, str]] = {
    "web_searches": "Searches", "characters": "Characters", "images": "Images", "pages": "Pages", "requests": "Requests",
    "seconds": "Seconds", "whole": "Requests",
}  # fmt: skip
"""Units of classes; all others are tokens."""
METERS: Final[Mapping[str, str]] = {
    "input": "Input Tokens", "input_audio": "Audio Input Tokens", "input_image": "Image Input Tokens",
    "cache_read": "Cache Read Tokens", "cache_read_audio": "Audio Cache Read Tokens", "cache_write": "Cache Write Tokens",
    "cache_write_5m": "Cache Write Tokens 5 Minutes", "cache_write_30m": "Cache Write Tokens 30 Minutes",
    "cache_write_1h": "Cache Write Tokens 1 Hour", "cache_write_12h": "Cache Write Tokens 12 Hours",
    "output": "Output Tokens", "reasoning": "Reasoning Tokens", "output_audio": "Audio Output Tokens",
    "output_image": "Image Output Tokens", "web_searches": "Web Searches", "characters": "Characters", "images": "Images",
    "pages": "Pages", "requests": "Requests", "seconds": "Seconds of Audio", "whole": "Usage Without Units",
}  # fmt: skip
"""``SkuMeter`` of a class."""
