"""Planted bugs of the verifier: what it would believe if it were a little kinder."""

from __future__ import annotations

from typing import Any

from conformance.planting import replace

from holdfast.governance.verifier import content, published, record, rerun, validity, waiver_rules
from tests.mutants.plant import mutant

VERIFIER = "tests/unit/governance/verifier"
FORGERIES = f"{VERIFIER}/test_forgeries.py"
CHANGED = f"{VERIFIER}/test_changed_store.py"


@mutant("GATE-1", "the hashes of a verdict are believed", FORGERIES)
def believed_hashes() -> None:
    replace(content, "hashes", lambda verdict: iter(()))


@mutant("GATE-1", "the word of a verdict is believed, and its rows are not judged", FORGERIES)
def believed_word() -> None:
    replace(content, "recomputed", lambda verdict: iter(()))


@mutant("GATE-3", "the numbers that a verdict states are its numbers", FORGERIES)
def believed_numbers() -> None:
    replace(validity, "numbers", lambda *_: iter(()))


@mutant("GATE-3", "what has expired passes for fresh", FORGERIES)
def eternal() -> None:
    replace(validity, "standing", lambda *_: iter(()))


@mutant("GATE-4", "whoever owns a workflow may waive its gates", FORGERIES)
def own_waiver() -> None:
    replace(waiver_rules, "_giver", lambda *_: iter(()))


@mutant("GATE-1", "rows that are gone are rows that moved on", CHANGED)
def gone_is_moved() -> None:
    def nothing(*_: Any) -> Any:
        return iter(())

    replace(rerun, "_counts", nothing)
    replace(rerun, "_newest", nothing)


@mutant("GATE-1", "a row is as old as it says", CHANGED)
def believed_dates() -> None:
    async def nothing(*_: Any) -> list[Any]:
        return []

    replace(record, "not_back_dated", nothing)


@mutant("GATE-1", "the text of a query is the one that its name has", FORGERIES)
def believed_text() -> None:
    real = published.published_text
    replace(content, "published_text", lambda name: "" if name == "stage_runs" else real(name))
