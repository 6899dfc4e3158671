"""The made-up models count as their providers do: caches hold as long as theirs, and an answer follows from its question."""

from __future__ import annotations

import datetime

from holdfast.company.description import described
from holdfast.company.provider.answers import Block, ModelQuestion, PrefixCache, answer
from holdfast.company.provider.books import PriceSheet, Used

LONG = "x" * 8_000  # 2,000 tokens


def asked(provider: str, *blocks: Block, key: str = "k") -> ModelQuestion:
    return ModelQuestion(provider, key, "m", blocks)


def test_a_marked_prefix_is_written_read_and_forgotten() -> None:
    cache, question = PrefixCache(), asked("anthropic", Block("system", LONG, mark=True), Block("user", "Hello, you."))
    assert cache.read(question, 0) == {"input": 3, "cache_read": 0, "cache_write_5m": 2_000}
    assert cache.read(question, 299_000) == {"input": 3, "cache_read": 2_000, "cache_write_5m": 0}
    assert cache.read(question, 599_001) == {"input": 3, "cache_read": 0, "cache_write_5m": 2_000}
    assert cache.read(asked("anthropic", Block("system", LONG), Block("user", "Hello, you.")), 0)["cache_read"] == 0


def test_another_one_finds_prefixes_by_itself_in_steps() -> None:
    cache = PrefixCache()
    first, second = (
        asked("openai", Block("system", LONG), Block("user", words)) for words in ("Hello, you.", "Bye for now!")
    )
    assert cache.read(first, 0) == {"input": 2_003, "cache_read": 0}
    assert cache.read(second, 1) == {"input": 2_003 - 1_920, "cache_read": 1_920}
    assert cache.read(asked("openai", *first.blocks, key="other"), 2)["cache_read"] == 0


def test_an_answer_follows_from_its_question() -> None:
    one, again, other = (
        answer(asked("own", Block("user", words)), PrefixCache(), 0) for words in ("How many?", "How many?", "How few?")
    )
    assert one == again
    assert one.text != other.text


def test_a_price_holds_from_its_day_and_beyond_its_limit() -> None:
    sheet, noon_ms = PriceSheet(described().rates), 1_787_227_200_000
    day = datetime.datetime.fromtimestamp(noon_ms / 1_000, datetime.UTC).date().isoformat()
    assert day == "2026-08-20"
    before, after = (
        Used(ms, "anthropic", "k", "claude-haiku-4-5", {"output": 10}) for ms in (noon_ms - 86_400_000, noon_ms)
    )
    assert (sheet.cost(before), sheet.cost(after)) == ({"output": 50_000}, {"output": 40_000})
    small, large = (Used(noon_ms, "openai", "k", "gpt-5.4", {"input": n, "output": 1}) for n in (272_000, 272_001))
    assert (sheet.cost(small)["output"], sheet.cost(large)["output"]) == (15_000, 22_500)
