"""A name means a model, or none: what only resembles another model's name has no price."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from genai_prices import data_snapshot

from holdfast.errors import HoldfastError
from holdfast.governance.pricing import source
from holdfast.governance.pricing.catalogue import Catalogue
from holdfast.governance.pricing.matching import provider_id
from holdfast.governance.pricing.rates import parse_rate, written


@pytest.mark.parametrize(
    ("provider", "name", "model"),
    [
        ("anthropic", "claude-opus-4-8", "claude-opus-4-8"),
        ("anthropic", "claude-opus-4-8-20260402", "claude-opus-4-8"),
        ("anthropic", "Claude-Opus-4-8@20260402", "claude-opus-4-8"),
        ("anthropic", "claude-sonnet-4-20250514", "claude-sonnet-4-0"),
        ("anthropic", "claude-haiku-4-5-latest", "claude-haiku-4-5"),
        ("openai", "gpt-5-mini-2025-08-07", "gpt-5-mini"),
        ("openai", "gpt-5.6-sol-20260701", "gpt-5.6-sol"),
        ("azure", "gpt-5-mini-2025-08-07", "gpt-5-mini"),
        ("azure", "claude-opus-4-8", "claude-opus-4-8"),
        ("google", "models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("google", "gemini-2.5-pro-preview-06-05", "gemini-2.5-pro"),
        ("google", "gemini-2.5-pro-tts", "gemini-2.5-pro-tts"),
        ("google", "claude-opus-4-8@20260402", "claude-opus-4-8"),
        ("aws", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "regional.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("aws", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", "global.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("openrouter", "anthropic/claude-4.6-sonnet-20260217", "anthropic/claude-sonnet-4.6"),
    ],
)  # fmt: skip
def test_names_that_mean_a_model(catalogue: Catalogue, provider: str, name: str, model: str) -> None:
    entry = catalogue.entry(provider, name)
    assert entry is not None and entry.model == model


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        ("anthropic", "claude-opus-4-8-turbo"), ("anthropic", "claude-opus-4-80"), ("anthropic", "claude-opus-4-10"),
        ("anthropic", "my-claude-opus-4-8"), ("anthropic", "claude-opus-4-8-fast-20260402"), ("anthropic", "claude"), ("anthropic", ""),
        ("openai", "gpt-5-nano-ultra"), ("openai", "gpt-5-mini-finetuned"), ("openai", "gpt-6-preview-secret"),
        ("google", "gemini-2.5-pro-ultra"), ("x-ai", "grok-4.6-mini"),
        ("aws", "global.anthropic.claude-sonnet-4-5-max-v1:0"), ("nobody", "gpt-5"), ("google", "my-claude-opus-4-8"), ("openrouter", "gpt-5"),
    ],
)  # fmt: skip
def test_names_that_only_resemble_one_mean_none(catalogue: Catalogue, provider: str, name: str) -> None:
    assert catalogue.entry(provider, name) is None


def test_no_name_of_the_catalogue_means_another_model_than_it_says(catalogue: Catalogue) -> None:
    """Every id and other name that genai-prices lists, beside its own looser search."""
    snapshot, compared = data_snapshot.get_snapshot(), 0
    for provider in snapshot.providers:
        for model in provider.models:
            entry = catalogue.entry(provider.id, model.id)
            if entry is not None:
                compared += 1
                assert (entry.provider, entry.model) == (provider.id, model.id)
    assert compared > 2_000


def test_providers_have_other_names() -> None:
    assert [provider_id(n) for n in ("xai", "Bedrock", "vertex_ai", "gemini", "OpenAI", "mistral")] == [
        "x-ai", "aws", "google", "google", "openai", "mistral",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "stored", "again"),
    [
        ("input", "3", "3000", "3"), ("input", "0.0375", "75/2", "0.0375"), ("web_searches", "10/1k", "10000000", "0.01/1"),
        ("web_searches", "0.01", "10000000", "0.01/1"), ("seconds", "0.36", "100000", "0.36"), ("characters", "15", "15000", "15"),
        ("input", "0.083333333333", "83333333333/1000000000", "0.083333333333"), ("images", "0.04", "40000000", "0.04/1"),
    ],
)  # fmt: skip
def test_rates_are_exact_and_are_written_as_they_were_read(name: str, text: str, stored: str, again: str) -> None:
    assert parse_rate(text, name) == stored
    assert written(stored, name) == again


def test_what_no_decimal_ends_says_so() -> None:
    assert written("1/3", "input") == "0.000333333333…"


# --- the published catalogue --------------------------------------------------------------------------------------------
class ClauseNew:
    """A kind of match that nobody knows."""


def model(**change: Any) -> Any:
    price = SimpleNamespace(input_mtok=None, **change.pop("prices", {}))
    equals = data_snapshot.get_snapshot().find_provider_model("gpt-5", None, "openai", None)[1].match
    return SimpleNamespace(**{"id": "m", "match": equals, "prices": price, "price_variants": None, **change})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prices": {"input_smell_mtok": 3}}, "price key 'input_smell_mtok'"),
        ({"match": ClauseNew()}, "match ClauseNew"),
        ({"price_variants": [SimpleNamespace(prices=SimpleNamespace(), constraint=None, when={"mood": "good"})]}, "condition 'mood'"),
        ({"price_variants": [SimpleNamespace(prices=SimpleNamespace(), constraint=ClauseNew(), when={})]}, "condition ClauseNew"),
    ],
)  # fmt: skip
def test_what_the_published_catalogue_says_anew_is_an_error(change: dict[str, Any], words: str) -> None:
    with pytest.raises(HoldfastError, match=words) as failed:
        source._entry("own", model(**change))
    assert failed.value.code == "price.catalogue"


def test_the_hash_says_what_is_in_it(catalogue: Catalogue) -> None:
    again = Catalogue(catalogue.base)
    assert again.hash == catalogue.hash and len(catalogue.hash) == 32
    fewer = type(catalogue.base)(catalogue.base.source, catalogue.base.entries[1:], catalogue.base.fallbacks)
    assert Catalogue(fewer).hash != catalogue.hash
