"""Planted bugs of the verifier: what it would believe if it were a little kinder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from conformance.planting import replace

from holdfast.governance.verifier import content, published, record, rerun, validity, waiver_rules
from tests.mutants.plant import mutant


def nothing(*_: Any, **__: Any) -> Iterator[Any]:
    """A check that finds nothing."""
    yield from ()


VERIFIER = "tests/unit/governance/verifier"
FORGERIES = f"{VERIFIER}/test_forgeries.py"
CHANGED = f"{VERIFIER}/test_changed_store.py"


@mutant("GATE-1", "the hashes of a verdict are believed", FORGERIES)
def believed_hashes() -> None:
    replace(content, "hashes", nothing)


@mutant("GATE-1", "the word of a verdict is believed, and its rows are not judged", FORGERIES)
def believed_word() -> None:
    replace(content, "recomputed", nothing)


@mutant("GATE-3", "the numbers that a verdict states are its numbers", FORGERIES)
def believed_numbers() -> None:
    replace(validity, "numbers", nothing)


@mutant("GATE-3", "what has expired passes for fresh", FORGERIES)
def eternal() -> None:
    replace(validity, "standing", nothing)


@mutant("GATE-4", "whoever owns a workflow may waive its gates", FORGERIES)
def own_waiver() -> None:
    replace(waiver_rules, "_giver", nothing)


@mutant("GATE-1", "rows that are gone are rows that moved on", CHANGED)
def gone_is_moved() -> None:
    replace(rerun, "_counts", nothing)
    replace(rerun, "_newest", nothing)


@mutant("GATE-1", "a row is as old as it says", CHANGED)
def believed_dates() -> None:
    async def no_remarks(store: Any, verdict: Any) -> list[Any]:
        return []

    replace(record, "not_back_dated", no_remarks)


@mutant("GATE-1", "the text of a query is the one that its name has", FORGERIES)
def believed_text() -> None:
    real = published.published_text
    replace(content, "published_text", lambda query: "" if query == "stage_runs" else real(query))
