"""Made-up rows of every query, for the two implementations of each rule: few values, so that they meet each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from hypothesis import strategies as st

from holdfast.governance.rollout.model import VerdictRow, identity

AS_OF = 1_764_000_000_000
DAY = 86_400_000
HOUR = 3_600_000
Strategy = st.SearchStrategy[list[dict[str, Any]]]
FLAG = st.integers(0, 1)
COUNT = st.integers(0, 300)
NAME = st.sampled_from(["ann", "Ann", "bob", "ann@acme.example", "eve", ""])
UNIT = st.sampled_from(["sales", "Sales", "it", "support", ""])
STAGE = st.sampled_from(["chat", "pilot", "stateful", ""])


def rows(most: int = 4, **columns: st.SearchStrategy[Any]) -> Strategy:
    """A few rows."""
    return st.lists(st.fixed_dictionaries(columns), max_size=most)


def before(*ages: int) -> st.SearchStrategy[int]:
    """A moment so long before the verdict, or just beside that."""
    return st.sampled_from([AS_OF - age + beside for age in (0, *ages) for beside in (-1, 0, 1)]).map(
        lambda at: min(at, AS_OF)
    )


def workflow() -> Strategy:
    """The manifest that holds, mostly a good one, or none."""
    good = {
        "version": "v", "state": "pilot", "mode": "observe", "stage": "pilot", "unit": "sales", "owner": "ann", "deputy": "bob",
        "sponsor": "cem", "payer": "dee", "since_ms": 1,
    }  # fmt: skip
    changes = st.fixed_dictionaries({}, optional={"stage": STAGE, "unit": UNIT, "owner": NAME, "deputy": NAME})
    staged = STAGE.map(lambda stage: [{**good, "stage": stage}])
    return st.one_of(staged, changes.map(lambda some: [{**good, **some}]), st.just([]))


def acceptances() -> Strategy:
    """Of either role, at the edges of what is too long ago; mostly there."""
    some = rows(4, role=st.sampled_from(["owner", "deputy"]), person=NAME, at_ms=before(DAY, 180 * DAY))
    names = ("ann", "bob", "ann@acme.example", "eve")
    whole = [{"role": role, "person": name, "at_ms": AS_OF - DAY} for role in ("owner", "deputy") for name in names]
    return st.one_of(st.just(whole), some, st.just(whole), some.map(lambda few: [*whole, *few]))


def people() -> Strategy:
    """Of the directory."""
    kinds = st.sampled_from(["", "Employee", "SharedMailbox", "shared", "Rooms", "ServiceAccount", "Business", "APP"])
    some = rows(
        3, user_type=kinds, active=FLAG, unit=UNIT, source=st.sampled_from(["scim", "scim", "import", "oidc"])
    )  # fmt: skip
    whole = [{"user_type": "", "active": 1, "unit": "sales"}] * 3
    listed = st.one_of(st.just(whole), some, st.just(whole))
    return listed.map(
        lambda found: [
            {"id": str(number), "user_name": "x", "email": "", "source": "scim", **row}
            for number, row in enumerate(found)
        ]
    )


NAME_KEY = st.sampled_from(["ann", "bob", "ann@acme.example", "eve", "00u1"])


def person_names() -> Strategy:
    """Who is found by which name; mostly one each."""
    whole = [
        {"name": name, "kind": kind, "id": ident}
        for name, kind, ident in (
            ("00u1", "login", "0"), ("ann", "user_name", "0"), ("ann@acme.example", "email", "0"), ("bob", "user_name", "1"),
            ("eve", "user_name", "2"),
        )
    ]  # fmt: skip
    kinds = st.sampled_from(["user_name", "email", "address", "external_id", "login", "odd"])
    more = rows(3, name=NAME_KEY, kind=kinds, id=st.sampled_from(["0", "1", "2", "9"]))
    return st.one_of(st.just(whole), more, st.just(whole), more.map(lambda few: [*whole, *few]))


def sign_ins() -> Strategy:
    """At the edges of what is too long ago; mostly there."""
    whole = [{"person": name, "at_ms": AS_OF - DAY} for name in ("ann", "bob", "ann@acme.example", "eve")]
    return st.one_of(st.just(whole), st.just(whole), rows(3, person=NAME_KEY, at_ms=before(30 * DAY)))


WANTED = ["4.a", "5.a", "5.b", "6.b", "7.b", "8.b", "9.a", "9.b", "11.a"]


@st.composite
def passed(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Verdicts of other gates as they are on record, mostly all of them passed; some were changed afterwards."""
    found = []
    for gate in [*WANTED, "6.a", "10.a"]:
        if draw(st.sampled_from([True] * 40 + [False])):
            word: Any = draw(st.sampled_from(["pass"] * 40 + ["fail", "unknown", "not_applicable"]))
            row = VerdictRow(
                tenant="default", gate=gate, workflow="w", profile="enterprise", version=0, thresholds={"days": 3, "a": "b"},
                verdict=word, cause="", n=1, reason="r", fix="", as_of_ms=1, valid_until_ms=2, computed_ms=1, evidence="e",
            )  # fmt: skip
            facts = {**msgspec.structs.asdict(row), "id": identity(row), "thresholds": '{"a":"b","days":3}'}
            del facts["since_ms"]
            found.append(
                {**facts, **draw(st.sampled_from([{}] * 60 + [{"verdict": "pass"}, {"n": 2}, {"thresholds": "{"}]))}
            )
    return found


EVIDENCE: Mapping[str, Strategy] = {
    "workflow": workflow(),
    "stage_runs": rows(5, interactive=FLAG, memory=FLAG, side_effects=FLAG, unclassified=FLAG, lost=FLAG, n=COUNT),
    "manifest_tools": rows(
        3, tool=st.sampled_from(["mail", "read"]), declared=st.just("read"),
        effect=st.sampled_from(["read", "write", "memory", "unclassified"]),
    ),
    "stages": st.one_of(
        st.just([
            {"stage": stage, "since_ms": AS_OF - 90 * DAY + place, "until_ms": AS_OF - 9 * DAY, "runs": 200}
            for place, stage in enumerate(("chat", "pilot"))
        ]),
        rows(4, stage=STAGE, since_ms=before(28 * DAY, 40 * DAY), until_ms=st.one_of(st.none(), st.just(AS_OF)),
             runs=st.sampled_from([0, 120, 199, 200, 900])),
    ),
    "passed": passed(),
    "waived": rows(2, gate=st.sampled_from(["4.a", "5.a", "7.b", "11.a"]), workflow=st.just("w"), id=st.just("w-1")),
    "unrecorded_runs": st.sampled_from([0, 0, 1, 50]).map(lambda n: [{"n": n}]),
    "succession": rows(
        3, id=st.just("s"), before=st.sampled_from(["eve", "Eve", "zoe"]), after=st.sampled_from(["ann", "Ann", "bob"]),
        at_ms=before(14 * DAY, 10 * DAY),
    ).map(lambda found: sorted(found, key=lambda row: row["at_ms"])),
    "directory": st.one_of(
        st.just([{"source": "scim", "at_ms": AS_OF - HOUR}]),
        rows(2, source=st.sampled_from(["scim", "import"]), at_ms=before(24 * HOUR, DAY)),
    ),
    "people": people(),
    "person_names": person_names(),
    "acceptances": acceptances(),
    "sign_ins": sign_ins(),
    "kin": rows(
        3, workflow=st.sampled_from(["w2", "w3"]), shares=st.just("credential k1"), n=COUNT, reason=st.just("it does"),
        gate=st.sampled_from(["", "", "1.a", "4.b", "5.a", "5.b", "6.a", "9.a"]),
    ),
}  # fmt: skip
"""Rows by query."""
