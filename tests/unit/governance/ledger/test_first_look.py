"""One report shows who spends, and who has no name."""

from __future__ import annotations

from holdfast.governance.ledger.first_look import NOT_SAID, SHOWN, look
from holdfast.governance.ledger.imports.service import read_lines
from tests.unit.governance.ledger.imports import reports as r


def report(*items: tuple[str | None, str, float]) -> object:
    results = [
        r.openai_cost(api_key_id=key, line_item=f"{model}, input", amount={"value": value, "currency": "usd"})
        for key, model, value in items
    ]
    lines, _, _ = read_lines(r.file(r.openai_page(*results)))
    return lines


def test_keys_with_and_without_a_name_are_told_apart() -> None:
    lines = report(("k1", "gpt-5", 6), ("k2", "gpt-5", 3), ("k2", "o3", 1))
    found = look(lines, "openai", "openai-costs", {"k1": "mail"})  # type: ignore[arg-type]
    assert (found.spend_nano, found.named_ppm, found.nameless) == (10_000_000_000, 600_000, ("k2",))
    assert [(each.name, each.owner, each.amount_nano, each.ppm) for each in found.keys] == [
        ("k1", "mail", 6_000_000_000, 600_000), ("k2", "", 4_000_000_000, 400_000),
    ]  # fmt: skip
    assert [each.name for each in found.models] == ["gpt-5", "o3"]
    assert any("Give 1 keys" in step for step in found.steps)


def test_a_report_without_keys_says_what_is_missing() -> None:
    lines, report_, _ = read_lines(r.file(r.anthropic_cost(r.cost_item(workspace_id=None))))
    found = look(lines, "anthropic", "anthropic-cost", {}, complete=False, notes=report_.notes)
    assert found.keys[0].name == NOT_SAID
    assert found.nameless == ()
    assert "grouped by API key" in found.steps[0]
    assert "does not say all" in found.steps[1]


def test_what_has_no_amount_is_unknown_and_not_free() -> None:
    lines, _, _ = read_lines(r.file(r.openai_page(r.openai_usage())))
    found = look(lines, "openai", "openai-usage", {})
    assert (found.spend_nano, found.unpriced, found.named_ppm) == (0, 1, None)
    assert look(lines, "openai", "openai-usage", {"key_1": "x"}, price=lambda line: 5).named_ppm == 1_000_000


def test_credits_are_apart_and_long_tables_are_short() -> None:
    lines = report(*[(f"k{n}", "gpt-5", 1) for n in range(SHOWN + 5)])
    found = look(lines, "openai", "x", {})  # type: ignore[arg-type]
    assert len(found.keys) == SHOWN
    assert found.keys[-1].amount_nano == 6 * 10**9
    assert len(found.nameless) == SHOWN + 5
    text = f"{r.FOCUS_HEAD}\n{r.FOCUS_LINE}\n{r.FOCUS_LINE.replace('Usage', 'Credit').replace('0.9', '-0.5', 1)}\n"
    focus, _, _ = read_lines(r.file(text))
    assert look(focus, "openai", "focus", {}).other_nano == {"credit": -500_000_000}
