"""Made-up rows of the inbox, of what people waited for, and of reports, on both sides of every edge."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from hypothesis import strategies as st

from holdfast.governance.rollout.validations import Validation, identity_of
from tests.unit.governance.verifier.evidence_rows import AS_OF, DAY, HOUR, Strategy, before, rows

KIND = st.sampled_from(["gate:6.a", "gate", "budget.spent", "approval", "tool.errors", "odd"])


def due() -> Strategy:
    """Items that were due, most of them done."""
    some = st.fixed_dictionaries({
        "id": st.just("i"), "kind": KIND, "opened_ms": st.just(100), "due_ms": st.just(1_000),
        "closed_ms": st.sampled_from([500, 1_000] * 8 + [None, 99, 1_001]), "closed_by": st.sampled_from(["computed"] * 9 + ["user:ann"]),
        "again_ms": st.sampled_from([None] * 9 + [1_000 + DAY, 500 + DAY - 1]),
    })  # fmt: skip
    return st.lists(some, min_size=3, max_size=12)


@st.composite
def reports(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Reports on record, mostly good ones of the build that serves; some were changed afterwards."""
    found = []
    for _ in range(draw(st.sampled_from([1, 1, 2, 0]))):
        kind: Any = draw(st.sampled_from(["streaming", "load"]))
        word = st.sampled_from(["pass"] * 8 + ["fail", "inconclusive"])
        record = Validation(
            tenant="default", kind=kind, build=draw(st.sampled_from(["b1", "b1", "b2"])), by="user:eve",
            began_ms=draw(before(30 * DAY, 29 * DAY)), recorded_ms=AS_OF - 1, resilient=draw(word), continuity=draw(word),
            control=draw(word), absent=draw(st.sampled_from([0, 0, 0, 2])), calls=draw(st.sampled_from([499, 500, 900])),
            unloaded_ms=draw(st.sampled_from([100, 101])), loaded_ms=draw(st.sampled_from([100, 150, 151, 152])),
        )  # fmt: skip
        facts = {**msgspec.structs.asdict(record), "id": identity_of(record)}
        found.append({**facts, **draw(st.sampled_from([{}] * 8 + [{"loaded_ms": 1}]))})
    return found


CARE_EVIDENCE: Mapping[str, Strategy] = {
    "inbox_due": due(),
    "inbox_kinds": rows(3, kind=KIND, n=st.sampled_from([1, 4, 5, 20, 80])),
    "inbox_handling": rows(3, kind=KIND, minutes=st.sampled_from([1, 5, 60]), n=st.sampled_from([1, 2, 5, 6])),
    "inbox_looks": st.one_of(
        st.just([{"source": "gates", "at_ms": AS_OF - HOUR}]), rows(2, source=st.sampled_from(["gates", "work"]), at_ms=before(24 * HOUR, 25 * HOUR))
    ),
    "owner_hours": st.sampled_from([0.5, 2, 8, 40, None]).map(
        lambda hours: [{"version": "v", "document": json.dumps({"hours": {"owner_week": hours}} if hours else {"workflow": "w"})}]
    ),
    "seated_claims": st.one_of(
        st.just([{"seated": 1_000, "claimed": 1_000, "headless": 9}]),
        rows(1, seated=st.sampled_from([0, 100, 1_000]), claimed=st.sampled_from([0, 99, 100]), headless=st.sampled_from([0, 9])),
    ),
    "first_tokens": st.sampled_from([[499, 500], [500, 500], [500, 900], [], [500]]).flatmap(
        lambda counts: st.tuples(*(st.sampled_from([100, 101, 150, 151]) for _ in counts)).map(
            lambda waits: [
                {"side": side, "n": n, "p99_ms": wait, "low": 0, "high": 9} for side, n, wait in zip(("busy", "calm"), counts, waits, strict=False)
            ]
        )
    ),
    "load_tests": reports(),
    "validations": reports(),
    "builds": st.sampled_from([["b1"], ["b1"], ["b1", "b2"], []]).map(lambda names: [{"build": name, "first_ms": 1, "last_ms": 2} for name in names]),
    "seated_runs": st.sampled_from([0, 7, 7, 7]).map(lambda n: [{"n": n}]),
}  # fmt: skip
"""Rows by query."""
