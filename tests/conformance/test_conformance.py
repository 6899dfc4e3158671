"""Every case of the suite holds for every client of ours."""

from __future__ import annotations

import asyncio
import re

import pytest

from conformance import cases, run
from tests.conformance.clients import CLIENTS, ROOT, command


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_holds(client: str) -> None:
    outcomes = asyncio.run(run.run(cases.load(), command(client)))
    broken = [f"{outcome.case.id}: {outcome.problem}" for outcome in outcomes if not outcome.passed]
    assert not broken, "\n".join(broken)
    assert len(outcomes) == len(cases.load())


def test_cases_cite_rules_that_exist() -> None:
    known = set(re.findall(r"\b(?:LOG|SUB|FOLD|RUN|CTL|ACC)-\d+\b", (ROOT / "PROTOCOL.md").read_text()))
    for case in cases.load():
        assert set(case.rules) <= known, case.id


def test_the_rules_of_reading_folding_and_control_have_cases() -> None:
    cited = {rule for case in cases.load() for rule in case.rules}
    wanted = {*(f"FOLD-{n}" for n in range(1, 8)), *(f"SUB-{n}" for n in range(1, 8)), "LOG-5", "LOG-7"}
    wanted |= {f"CTL-{n}" for n in range(1, 9)}
    assert not wanted - cited


def test_a_file_that_does_not_fit_the_schema_is_refused(tmp_path: object) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path))
    (folder / "bad.yaml").write_text("subject: bad\ncases:\n  - {name: n, rules: [FOLD-1], kind: fold, evnets: []}\n")
    with pytest.raises(ValueError, match=r"bad\.yaml"):
        cases.load(folder)
