"""The commands on rows as people type them: what they show, what they change, what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from holdfast.cli.parser import app
from tests.unit.governance.ledger.imports import reports

SPAN = ("--since", "2026-10-01", "--until", "2026-10-31")


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Types a command of ``holdfast ledger`` on a store with spend of two keys; answers exit code and output."""
    monkeypatch.setenv("HOLDFAST_GOVERNANCE_URL", str(tmp_path / "store.db"))
    monkeypatch.setenv("COLUMNS", "200")
    costs = [reports.openai_cost(), reports.openai_cost(api_key_id="key_2", amount={"value": 1, "currency": "usd"})]
    (tmp_path / "costs.json").write_text(json.dumps(reports.openai_page(*costs)))

    def run(*words: object) -> tuple[int, str]:
        found = CliRunner().invoke(app, ["ledger", *map(str, words)])
        return found.exit_code, found.output

    code, words = run("import", tmp_path / "costs.json", "--as", "spend", "--labels", "team=sales,cost_centre=cc1")
    assert code == 0, words
    return run


def row_of(typed: Any) -> str:
    _, output = typed("--json", "show", *SPAN)
    row: str = json.loads(output)["rows"][0]["id"]
    return row


def test_rows_are_listed_and_shown_with_what_replaced_them(typed: Any) -> None:
    code, output = typed("show", *SPAN)
    assert code == 0
    row = row_of(typed)
    assert row in output
    code, output = typed("show", row)
    assert code == 0
    assert "provider_key" in output
    code, output = typed("correct", row, "--why", "the invoice says so", "--billed", "0.5")
    assert code == 0, output
    assert f"{row}~1 replaces {row}: 0.50 USD" in output
    code, output = typed("--json", "show", row)
    first, second = json.loads(output)["rows"]
    assert (first["id"], second["billed_nano"], second["basis"]) == (row, 500_000_000, "corrected")
    assert second["reason"].endswith(": the invoice says so")
    code, output = typed("show", *SPAN, "--where", "team=code")
    assert "no rows" in output


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (("--why", "x"), "changes nothing"), (("--why", "x", "--count", "input"), "NAME=VALUE"),
        (("--why", "x", "--count", "input=-1"), "no count"), (("--why", "x", "--billed", "much"), "no amount"),
    ],
)  # fmt: skip
def test_a_correction_that_cannot_be_is_refused_in_a_sentence(typed: Any, words: tuple[str, ...], refusal: str) -> None:
    code, output = typed("correct", row_of(typed), *words)
    assert code == 1
    assert refusal in " ".join(output.split())


def test_a_shared_cost_is_in_the_journal(typed: Any) -> None:
    code, output = typed("allocate", "2026-10", "platform", "100", "--by", "spend")
    assert code == 0, output
    assert "cc1" in output
    assert "100.00" in output
    code, output = typed("export", "2026-10")
    lines = output.splitlines()
    assert lines[0].startswith("period,cost_centre,account,amount")
    assert any(line.startswith("2026-10,cc1,shared:platform,100.00,USD") for line in lines)
    assert any(line.startswith("2026-10,cc1,models:openai,1.06,USD") for line in lines)
    code, output = typed("allocate", "2026-10", "other", "1", "--by", "size")
    assert code == 1
    assert "tokens, spend, calls, equal" in " ".join(output.split())


def test_costs_of_a_session_and_gaps_are_told(typed: Any) -> None:
    assert "no rows" in typed("tree", "nobody")[1]
    code, output = typed("gaps")
    assert (code, "nothing was missed" in output) == (0, True)
