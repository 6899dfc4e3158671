"""The official validator of FOCUS reads what we export. Part of ``make prove``.

``focus-validator`` needs Python 3.12 or newer and half a gigabyte, so it has an environment of its own under ``build``. It
brings the rules of FOCUS 1.2 and is told to download nothing. Of what it checks, three concepts do not apply to us
(``NOT_SUPPORTED``).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.governance.ledger.bills.focus.columns import NOT_SUPPORTED
from holdfast.governance.ledger.bills.focus.export import export
from tests.unit.governance.ledger.bills.test_focus import rows

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / "build" / "focus-validator"
LOCKED = Path(__file__).with_name("focus_validator.txt")
PYTHONS = ("python3.14", "python3.13", "python3.12")
ALTERNATIVES = {"InvoiceId-C-005-C": "InvoiceId-C-003-C"}
"""Rules of which one of two must hold, and the rule that says so: the validator reports the other as failed even so. Here
no charge is of an invoice, so ``InvoiceId`` is null everywhere."""

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(
        not os.environ.get("HOLDFAST_FOCUS_VALIDATOR"),
        reason="HOLDFAST_FOCUS_VALIDATOR=1 installs and runs the validator",
    ),
]

_RULE = re.compile(r"^\S+ (\S+): (PASS|FAIL|SKIPPED)", re.MULTILINE)


def python() -> str:
    """A Python that the validator runs with."""
    named = os.environ.get("HOLDFAST_FOCUS_PYTHON", "")
    for name in (named, *PYTHONS):
        found = shutil.which(name) if name else None
        if found and not subprocess.run([found, "--version"], capture_output=True, check=False).returncode:
            return found
    pytest.skip(f"no Python of {', '.join(PYTHONS)} is here; HOLDFAST_FOCUS_PYTHON names another one")


@pytest.fixture(scope="module")
def validator() -> Path:
    """The environment's ``bin``, with the validator in it."""
    ready = ENVIRONMENT / ".ready"
    if not ready.exists() or ready.read_text() != LOCKED.read_text():
        subprocess.run([python(), "-m", "venv", "--clear", ENVIRONMENT], check=True)
        pip = [ENVIRONMENT / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "-r", LOCKED], check=True)
        ready.write_text(LOCKED.read_text())
    return ENVIRONMENT / "bin"


def validate(validator: Path, data: Path) -> dict[str, str]:
    """What became of every rule."""
    # the validator looks for its own lists below the folder it is started in
    (home,) = (validator.parent / "lib").glob("python3*/site-packages")
    criteria = subprocess.run(
        [
            validator / "python", "-c",
            "import json, pathlib, sys; print(*json.loads(next(pathlib.Path('focus_validator/rules').glob('model-1.2.*.json'))"
            ".read_text())['ApplicabilityCriteria'])",
        ],
        cwd=home, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    done = subprocess.run(
        [
            validator / "focus-validator", "--data-file", data, "--validate-version", "1.2", "--block-download",
            "--applicability-criteria", ",".join(name for name in criteria if name not in NOT_SUPPORTED), "--show-violations",
        ],
        cwd=home, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return dict(_RULE.findall(done.stdout))


def failed(rules: dict[str, str]) -> list[str]:
    """Rules that do not hold."""
    return [
        name
        for name, how in rules.items()
        if how == "FAIL" and not (name in ALTERNATIVES and rules.get(ALTERNATIVES[name]) == "PASS")
    ]


def test_the_official_validator_passes_what_we_export(
    validator: Path, tmp_path: Path, record_property: Callable[[str, int], None]
) -> None:
    data = tmp_path / "focus.csv"
    text, _ = export(rows)
    data.write_text(text)
    rules = validate(validator, data)
    passed = sum(how == "PASS" for how in rules.values())
    record_property("rules of FOCUS 1.2 that hold", passed)
    record_property("charges checked", text.count("\n") - 1)
    assert failed(rules) == []
    assert passed > 250, "fewer rules were looked at than there are"


def test_the_official_validator_finds_what_is_wrong(validator: Path, tmp_path: Path) -> None:
    data = tmp_path / "focus.csv"
    text, _ = export(lambda: rows()[:40])
    data.write_text(text.replace("Usage-Based", "Sometimes").replace(",Usage,", ",Usages,"))
    assert {"ChargeFrequency-C-003-M", "ChargeCategory-C-003-M"} <= set(failed(validate(validator, data)))
