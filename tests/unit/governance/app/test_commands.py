"""The commands of governance as people type them, on a store of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from holdfast.cli.parser import app

BUCKET = {"object": "bucket", "start_time": 1793491200, "end_time": 1793577600}


def cost(value: float, line: str, project: str | None) -> dict[str, Any]:
    amount = {"value": value, "currency": "usd"}
    return {"object": "organization.costs.result", "amount": amount, "line_item": line, "project_id": project}


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A cost report of OpenAI's, of one day."""
    results = [cost(12.5, "gpt-5-mini, input", "proj_a"), cost(2.25, "gpt-5, output", None)]
    page = {"object": "page", "data": [{**BUCKET, "results": results}], "has_more": False, "next_page": None}
    path = tmp_path / "costs.json"
    path.write_text(json.dumps(page))
    return path


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Types a command; answers its exit code and what it printed."""
    monkeypatch.setenv("HOLDFAST_GOVERNANCE_URL", str(tmp_path / "store.db"))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object) -> tuple[int, str]:
        found = CliRunner().invoke(app, [str(word) for word in words])
        return found.exit_code, found.output

    return run


def test_the_first_half_hour(typed: Any, report: Path) -> None:
    code, said = typed("plan", "init", "--report", report, "--workflow", "w", "--team", "t", "--task", "k")
    assert code == 0, said
    assert "14.75 USD at openai, 2026-11-01 to 2026-11-01" in " ".join(said.split())
    assert "(the report does not say)" in said
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert "proj_a 12.50 84 nobody yet" in lines
    assert any(line.startswith("hfk_") for line in lines)
    code, said = typed("keys", "list")
    assert code == 0 and "w" in said and "hfk_" not in said


def test_a_report_is_a_bill_unless_somebody_says_that_it_is_spend(typed: Any, report: Path) -> None:
    code, said = typed("ledger", "import", report)
    assert code == 0, said
    assert "2 lines, 14.75 USD" in said
    code, said = typed("ledger", "import", report)
    assert code == 0 and "it was here already" in said
    assert "nothing was spent" in typed("ledger", "spend", "--since", "2026-11-01", "--until", "2026-11-30")[1]
    code, said = typed("ledger", "import", report, "--as", "spend")
    assert code == 0, said
    code, said = typed("ledger", "spend", "--by", "provider", "--since", "2026-11-01", "--until", "2026-11-30")
    assert code == 0 and "14.75" in said
    code, said = typed("ledger", "verify")
    assert (code, "hold together" in said) == (0, True), said
    code, said = typed("ledger", "export", "2026-11")
    assert code == 0 and "14.75" in said


def test_a_first_plan_needs_no_report(typed: Any, report: Path) -> None:
    code, said = typed("plan", "init")
    assert code != 0 and "use case" in " ".join(said.split())
    code, said = typed("plan", "init", "--use-case", "mail", "--json")
    assert code == 0, said
    assert set(json.loads(said)) == {"plan"}
    code, said = typed("plan", "init", "--use-case", "mail", "--report", report)
    assert code == 0, said
    assert "14.75 USD at openai" in said and "the pilot may begin on" in said
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert any(line.startswith("done finance: Import the last closed bill") for line in lines)


def test_a_workflow_from_its_manifest_to_its_pilot(typed: Any, tmp_path: Path) -> None:
    teams, manifest = tmp_path / "org.yaml", tmp_path / "mail.yaml"
    teams.write_text("teams: [{name: sales}]\n")
    manifest.write_text("workflow: mail\nunit: sales\nowner: ann\ndeputy: ann\n")
    assert typed("org", "import", teams)[0] == 0
    code, said = typed("workflow", "lint", manifest)
    assert code == 1 and "line 4: deputy" in said
    code, said = typed("workflow", "apply", manifest)
    assert code != 0 and "workflow.invalid" in said
    manifest.write_text("workflow: mail\nunit: sales\nowner: ann\ndeputy: bob\n")
    assert typed("workflow", "apply", manifest)[0] == 0
    assert "nothing changed" in typed("workflow", "apply", manifest)[1]
    assert "holds exactly so" in typed("workflow", "diff", manifest)[1]
    code, said = typed("workflow", "launch", "mail", "--reason", "now")
    assert (
        code != 0 and "workflow.launch" in said and "gate 6.a: ann did not accept to be owner" in " ".join(said.split())
    )
    code, said = typed("workflow", "show", "mail")
    assert code == 0 and "registered" in said and "Blast radius:" in said
    code, said = typed("workflow", "runs", "mail", "--top", "yes", "--since-ms", "1")
    assert code == 0 and "No run fits." in said
    code, said = typed("workflow", "runs", "mail", "--lost", "perhaps")
    assert code != 0 and "yes or no" in said
    assert typed("workflow", "stage", "mail", "pilot")[0] == 0
    assert typed("plan", "status", "mail")[0] == 0
    code, said = typed("plan", "explain", "1.b", "mail")
    assert code == 0 and "stages: 1 rows" in said
    assert "→ holdfast workflow runs mail --until-ms " in said and "--top yes --test no" in said
    code, said = typed("plan", "waive", "6.a", "mail", "--reason", "the deputy is on leave", "--days", "3")
    assert code == 0 and said.index("Blast radius: mail calls no tool") < said.index("is waived by")
    code, said = typed("plan", "waive", "6.b", "mail", "--reason", "nobody had time yet", "--json")
    assert json.loads(said)["radius"]["sentence"].startswith("mail calls no tool")
    code, said = typed("workflow", "init", "mail")
    assert code == 0 and "deputy: bob" in said.splitlines()
    code, said = typed("workflow", "idea", "triage", "nothing", "--risk", "odd")
    assert code != 0 and "workflow.invalid" in said


def test_what_cannot_be_is_said_in_a_sentence(typed: Any, tmp_path: Path, report: Path) -> None:
    code, said = typed("plan", "init", "--report", tmp_path / "nowhere.json")
    assert code != 0 and "nowhere.json" in "".join(said.split())
    code, said = typed("ledger", "import", report, "--as", "gift")
    assert code != 0 and "bill or spend" in " ".join(said.split())
    code, said = typed("ledger", "close", "2999-01")
    assert code != 0 and "has not ended" in " ".join(said.split())
    code, said = typed("keys", "create", "--workflow", "w")
    assert code != 0 and "team" in said


FOCUS = "BilledCost,BillingCurrency,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ServiceProviderName,x_Model\n"


def test_a_bill_in_euros_wants_the_rates_of_its_days(typed: Any, tmp_path: Path) -> None:
    bill, rates = tmp_path / "bill.csv", tmp_path / "rates.csv"
    bill.write_text(f"{FOCUS}10.005,EUR,2026-11-03T00:00:00Z,2026-11-04T00:00:00Z,Usage,mistral,mistral-large\n")
    rates.write_text("day,currency,usd\n2026-11-02,EUR,1.0842\n")
    code, said = typed("ledger", "import", bill)
    assert code != 0 and "price.currency" in said and "prices currency" in said
    assert typed("prices", "currency", rates, "--source", "ecb")[0] == 0
    code, said = typed("ledger", "import", bill)
    assert code == 0 and "10.847421 USD" in said
    code, said = typed("ledger", "reconcile", bill)
    assert "mistral, 2026-11-03 to 2026-11-03" in said and "bill $10.85" in said and "0.0 % of the bill" in said


def test_what_has_no_price_is_not_free(typed: Any, tmp_path: Path) -> None:
    usage = {
        "object": "organization.usage.completions.result",
        "input_tokens": 5,
        "output_tokens": 1,
        "model": "no-such",
    }
    page = {"object": "page", "data": [{**BUCKET, "results": [usage]}], "has_more": False}
    path = tmp_path / "usage.json"
    path.write_text(json.dumps(page))
    assert typed("ledger", "import", path, "--as", "spend")[0] == 0
    code, said = typed("ledger", "spend", "--by", "model", "--since", "2026-11-01", "--until", "2026-11-30")
    assert code == 0 and "without a price" in said and "1 calls" in said
