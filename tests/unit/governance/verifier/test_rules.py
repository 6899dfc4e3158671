"""Two implementations of every rule agree on any rows: the gate's, and the verifier's, which was written without it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.governance.rollout import model as gates
from holdfast.governance.rollout import profiles, registry
from holdfast.governance.rollout.profiles import Profile
from holdfast.governance.rollout.ruling import ruled, verdict_row
from holdfast.governance.verifier import canonical, content, published
from holdfast.governance.verifier.documents import StatedVerdict
from tests.unit.governance.verifier.care_rows import CARE_EVIDENCE
from tests.unit.governance.verifier.evidence_rows import AS_OF, EVIDENCE
from tests.unit.governance.verifier.money_rows import MONEY_EVIDENCE, MONTH

BUILT = [gate for gate in registry.GATES if gate.decide is not None]
ROWS = {**EVIDENCE, **MONEY_EVIDENCE, **CARE_EVIDENCE}
PARAMS: dict[str, int | str] = {"month": MONTH, "workflow": "w"}
ANSWERS = st.dictionaries(
    st.text(max_size=4), st.one_of(st.text(), st.integers(-(1 << 62), 1 << 62), st.none()), max_size=4
)


def test_the_verifier_has_a_rule_of_its_own_for_every_gate_that_is_built() -> None:
    assert {gate.name: gate.queries for gate in BUILT} == {
        name: one.queries for name, one in published.PUBLISHED.items()
    }


@pytest.mark.parametrize("profile", sorted(profiles.BASES))
def test_the_published_numbers_are_those_of_the_gates(profile: str) -> None:
    assert set(published.PROFILES) == set(profiles.BASES)
    for gate in BUILT:
        assert published.base_numbers(profile, gate.name) == Profile(profile).of(gate.name)
        assert published.PUBLISHED[gate.name].of_organisation == (gate.span == "organisation")


@pytest.mark.parametrize("gate", BUILT, ids=lambda gate: gate.name)
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_both_make_the_same_of_any_rows(gate: Any, data: st.DataObject) -> None:
    scope = gates.GateScope(
        "default", "" if gate.span == "organisation" else "w", AS_OF, AS_OF - 28 * 86_400_000, AS_OF, MONTH
    )
    evidence = {}
    for query in gate.queries:
        rows = tuple(data.draw(ROWS[query], label=query))
        evidence[query] = gates.EvidenceAnswer(
            query, PARAMS, rows, {}, gates.digest_of(rows), data.draw(st.booleans()) if rows else False
        )
    ruling = ruled(gate, evidence, scope, Profile().of(gate.name))
    row = verdict_row(gate, scope, Profile(), ruling, gates.digest_of_evidence(list(evidence.values())), None, AS_OF)
    stated = msgspec.convert(
        {**msgspec.to_builtins(row), "answers": msgspec.to_builtins(list(evidence.values()))}, StatedVerdict
    )
    found = content.judged(stated)
    assert found is not None
    assert (found.verdict, found.why) == (ruling.verdict, found.why), ruling.reason
    assert not [*content.hashes(stated), *content.recomputed(stated)], ruling.reason


@settings(max_examples=200, deadline=None)
@given(rows=st.lists(ANSWERS, max_size=3), params=st.dictionaries(st.text(max_size=3), st.text(), max_size=3))
def test_both_hash_the_same_content_to_the_same(rows: list[Any], params: dict[str, Any]) -> None:
    assert canonical.rows_hash(rows) == gates.digest_of(rows)
    answer = gates.EvidenceAnswer("q", params, tuple(rows), {"a": 1}, "d", False)
    stated = msgspec.convert(msgspec.to_builtins(answer), content.StatedAnswer)
    assert canonical.evidence_hash([stated]) == gates.digest_of_evidence([answer])
