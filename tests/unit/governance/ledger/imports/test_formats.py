"""What each report says comes out of it, exactly; what it does not say is not made up; what is wrong is named."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.ledger.imports import formats, reading
from holdfast.governance.ledger.imports.service import read_lines
from tests.unit.governance.ledger.imports import reports as r


def lines(value: Any, **more: Any) -> Any:
    return read_lines(r.file(value), **more)


def test_amounts_of_anthropic_are_cents() -> None:
    (line,), report, name = lines(r.anthropic_cost(r.cost_item(amount="123.45")))
    assert (name, line.amount_nano, line.day) == ("anthropic-cost", 1_234_500_000, "2026-10-05")
    assert (line.provider, line.account, line.model, line.tier) == (
        "anthropic",
        "wrkspc_1",
        "claude-sonnet-4",
        "standard",
    )
    assert (line.unit, line.region, line.until_ms - line.since_ms) == ("input", "global", 86_400_000)
    assert report.complete
    assert any("priority" in note for note in report.notes)


def test_usage_of_anthropic_is_in_classes_that_do_not_overlap() -> None:
    (line,), _, name = lines(r.anthropic_usage())
    assert (name, line.amount_nano, line.key, line.region) == ("anthropic-usage", None, "apikey_1", "")
    assert line.counts == {
        "input": 1500, "output": 500, "cache_read": 200, "cache_write_5m": 500, "cache_write_1h": 1000, "web_searches": 10
    }  # fmt: skip


@pytest.mark.parametrize("item", [{"uncached_input_tokens": -1}, {"server_tool_use": {"web_search_requests": -1}}])
def test_a_negative_count_is_no_usage(item: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="negative"):
        lines(r.anthropic_usage(**item))


def test_a_report_with_a_hundred_groups_may_be_cut() -> None:
    _, report, _ = lines(r.anthropic_cost(*[r.cost_item(workspace_id=f"w{n}") for n in range(100)]))
    assert not report.complete
    _, whole, _ = lines(r.anthropic_cost(*[r.cost_item(workspace_id=f"w{n}") for n in range(99)]))
    assert whole.complete


def test_amounts_of_openai_are_dollars_and_never_floats() -> None:
    text = json.dumps(r.openai_page(r.openai_cost())).replace("0.06", "0.1000000000000000055511151231257827")
    (line,), _, name = lines(text.encode())
    assert (name, line.amount_nano, line.model, line.key, line.account) == (
        "openai-costs", 100_000_000, "gpt-5", "key_1", "proj_1",
    )  # fmt: skip
    (line,), _, _ = lines(
        r.openai_page(r.openai_cost(line_item="Web search tool calls", amount={"value": -3, "currency": "usd"}))
    )
    assert (line.model, line.amount_nano) == ("", -3_000_000_000)


def test_cached_input_of_openai_is_taken_out_of_its_input() -> None:
    (line,), _, name = lines(r.openai_page(r.openai_usage()))
    assert (name, line.counts) == ("openai-usage", {"input": 200, "cache_read": 800, "output": 500, "requests": 5})
    (line,), _, _ = lines(
        r.openai_page(
            r.openai_usage(
                input_cached_tokens=300, input_audio_tokens=100, input_cached_audio_tokens=40, input_cache_write_tokens=50,
                input_cache_write_30m_tokens=20, output_audio_tokens=10, batch=True,
            )
        )
    )  # fmt: skip
    assert line.counts == {
        "input": 590, "input_audio": 60, "cache_read": 260, "cache_read_audio": 40, "cache_write": 30, "cache_write_30m": 20,
        "output": 490, "output_audio": 10, "requests": 5,
    }  # fmt: skip
    assert sum(line.counts.values()) - 5 == 1500
    assert line.tier == "batch"
    with pytest.raises(Refused, match="larger than its whole"):
        lines(r.openai_page(r.openai_usage(input_cached_tokens=1001)))


@pytest.mark.parametrize("form", ["array", "lines"])
def test_pages_may_be_saved_together(form: str) -> None:
    pages = [r.openai_page(r.openai_cost(), more=True), r.openai_page(r.openai_cost(), start=r.START + 86_400)]
    found, report, _ = lines(pages if form == "array" else "\n".join(map(json.dumps, pages)))
    assert [line.day for line in found] == ["2026-10-05", "2026-10-06"]
    assert report.complete
    _, cut, _ = lines(pages[:1] if form == "array" else json.dumps(pages[0]))
    assert not cut.complete


def test_a_focus_file_keeps_its_four_costs_apart() -> None:
    (line,), _, name = lines(f"{r.FOCUS_HEAD}\n{r.FOCUS_LINE}\n")
    assert name == "focus"
    assert (line.amount_nano, line.list_nano, line.contracted_nano, line.effective_nano) == (
        900_000_000, 1_000_000_000, 900_000_000, 900_000_000,
    )  # fmt: skip
    assert (line.provider, line.account, line.model, line.kind) == ("openai", "proj_1", "gpt-5", "usage")
    assert (line.counts, line.unit, line.tags) == ({"input": 1000}, "Tokens", {"team": "sales"})


@pytest.mark.parametrize(
    ("category", "charge", "kind"), [("Credit", "", "credit"), ("Tax", "", "tax"), ("Usage", "Correction", "adjustment"),
                                     ("Purchase", "", "fee")]
)  # fmt: skip
def test_what_is_no_use_is_told_apart(category: str, charge: str, kind: str) -> None:
    (line,), _, _ = lines(f"{r.FOCUS_HEAD}\n{r.FOCUS_LINE.replace('Usage,', f'{category},{charge}', 1)}\n")
    assert line.kind == kind


def test_seats_name_their_month() -> None:
    found, _, name = lines(r.SEATS)
    assert (name, len(found)) == ("seats", 2)
    assert (found[0].amount_nano, found[0].day, found[0].kind) == (25_000_000_000, "2026-10-01", "seat")
    assert found[0].until_ms == reading.instant("2026-11-01", "")


def test_other_currencies_need_a_rate() -> None:
    text = r.SEATS.replace("USD", "EUR")
    with pytest.raises(Refused, match="no rate"):
        lines(text)
    found, _, _ = lines(text, convert=lambda currency, at_ms: (Fraction(11, 10), "1.1"))
    assert (found[0].amount_nano, found[0].currency, found[0].rate) == (27_500_000_000, "EUR", "1.1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"{", "import.unknown"), (b'{"data": [], "starting_at": 1}', "import.malformed"), (b"", "import.unknown"),
        (b"a,b\n1,2\n", "import.unknown"), (b"\xff\xfe", "import.unknown"), (b'{"x": 1}', "import.unknown"),
        (f"{r.FOCUS_HEAD}\n1,2\n".encode(), "import.malformed"), (f"{r.FOCUS_HEAD}\n\"".encode(), "import.malformed"),
        (f"{r.FOCUS_HEAD},BilledCost\n{r.FOCUS_LINE},1\n".encode(), "import.malformed"),
        (f"{r.FOCUS_HEAD}\n{r.FOCUS_LINE}\n".replace("0.9", "NaN").encode(), "import.malformed"),
        (f"{r.FOCUS_HEAD}\n{r.FOCUS_LINE}\n".replace("0.9", "1e99").encode(), "import.malformed"),
        (f"{r.FOCUS_HEAD}\n{r.FOCUS_LINE}\n".replace("0.9", "9" * 12).encode(), "import.malformed"),
        (f"{r.FOCUS_HEAD}\n{r.FOCUS_LINE}\n".replace("2026-10-06", "2026-10-04").encode(), "import.malformed"),
        (f"{r.FOCUS_HEAD}\n{r.FOCUS_LINE}\n".replace("Usage", "Fun").encode(), "import.malformed"),
        (r.SEATS.replace("2026-10", "2026-13").encode(), "input.malformed"),
        (r.SEATS.encode() + b"x" * (limits.IMPORT_LINE_BYTES + 1), "input.too_large"),
        (b"[" * 100_000, "import.unknown"),
        (b'[{"starting_at":' + b"[" * 100_000, "import.malformed"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(text: bytes, words: str) -> None:
    with pytest.raises(Refused) as refused:
        lines(text)
    assert refused.value.code == words


@given(st.decimals(min_value=-(10**8), max_value=10**8, places=12))
def test_an_amount_is_read_exactly(amount: Any) -> None:
    assert reading.exact(str(amount), "") == Fraction(str(amount))
    assert abs(Fraction(reading.nano(Fraction(str(amount)), ""), 10**9) - Fraction(str(amount))) <= Fraction(
        1, 2 * 10**9
    )


def test_every_format_has_a_report_here() -> None:
    assert set(formats.FORMATS) == {
        "anthropic-cost",
        "anthropic-usage",
        "openai-costs",
        "openai-usage",
        "focus",
        "seats",
    }
