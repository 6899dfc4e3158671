"""Gate 5.b: only models that the manifest names have served. The exact id that the provider says counts, not the one that was
asked for; and a manifest names it before it serves."""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from holdfast.governance.rollout.gate import Gate
from holdfast.governance.rollout.model import Evidence, GateScope, Row, Rows, Ruling, Thresholds, fails, passes, unknown


class NamedModels(NamedTuple):
    """The models of a manifest, from when on it holds, Unix ms."""

    at_ms: int
    models: frozenset[str]


def decide(evidence: Evidence, scope: GateScope, thresholds: Thresholds) -> Ruling:
    """Whether every attempt was served by a model that the manifest of its time names.

    An alias in the manifest that the provider resolves to another id fails: what serves can change under it. A manifest that
    names a model afterwards makes none of its earlier attempts good; before the first manifest, the first one counts.
    """
    manifests = [NamedModels(int(row["at_ms"] or 0), _models(row)) for row in in_order(evidence["manifests"].rows)]
    if not manifests:
        return unknown("missing", "the workflow has no manifest", "Write one: holdfast workflow init")
    if not manifests[-1].models:
        return unknown("missing", "the manifest names no models", "Name the models that may serve in the manifest")
    rows = evidence["served"].rows
    n = sum(int(row["n"] or 0) for row in rows)
    lost = sum(int(row["n"] or 0) for row in rows if row["lost"])
    unnamed = sum(int(row["n"] or 0) for row in rows if not row["lost"] and not row["named"])
    outside = [row for row in rows if not row["lost"] and row["named"] and not _is_named(row, manifests)]
    if outside:
        first, count = outside[0], sum(int(row["n"] or 0) for row in outside)
        return fails(n, f"{count} of {n} attempts: {_why(first, manifests)}", _fix(first))
    if not n:
        return unknown("missing", "no attempts in the window", "Let it run: its models are seen then")
    if unnamed:
        return unknown(
            "missing", f"{unnamed} of {n} responses name no model",
            "Have the upstream say which model answers, or take it out of the workflow", n,
        )  # fmt: skip
    if lost * 100 > n * int(thresholds["lost_percent"]):
        return unknown(
            "missing", f"{lost} of {n} attempts were lost", "Look why gateways went away while they served", n
        )
    models = sorted({str(row["model"]) for row in rows if row["named"]})
    return passes(n, f"{n} attempts, served by {', '.join(models[:5])}{' and others' if len(models) > 5 else ''}")


def in_order(rows: Rows) -> list[Row]:
    """Manifests as they followed each other, those of one millisecond too: each names the version before it."""
    left, found = list(rows), list[Row]()
    while left:
        last = str(found[-1]["version"]) if found else ""
        same = [row for row in left if row["at_ms"] == left[0]["at_ms"]]
        found.append(next((row for row in same if row["before"] == last), same[0]))
        left.remove(found[-1])
    return found


def _models(manifest: Row) -> frozenset[str]:
    document = json.loads(str(manifest["document"] or "{}"))
    return frozenset(str(one["model"]) for one in document.get("models", ()))


def _is_named(row: Row, manifests: list[NamedModels]) -> bool:
    """Whether the manifests of all the time in which it served that day name it."""
    first, last, model = int(row["first_ms"] or 0), int(row["last_ms"] or 0), str(row["model"])
    before = [one for one in manifests if one.at_ms <= first][-1:] or manifests[:1]
    meanwhile = [one for one in manifests if first < one.at_ms <= last]
    return all(model in one.models for one in (*before, *meanwhile))


def _why(row: Row, manifests: list[NamedModels]) -> str:
    model, requested, day = str(row["model"]), str(row["asked"] or ""), row["day"]
    if model in manifests[-1].models:
        return f"{model} served on {day}, when the manifest did not name it"
    if requested and requested != model and requested in manifests[-1].models:
        return f"{requested} was asked for and {model} served on {day}, which the manifest does not name"
    return f"{model} served on {day}, which the manifest does not name"


def _fix(row: Row) -> str:
    model = row["model"]
    return f"Name {model} in the manifest before it serves again, or take it from the keys of the workflow"


GATE: Final = Gate(
    "5.b", "served models", ("P",), queries=("manifests", "served", "kin"), thresholds={"lost_percent": 5}, decide=decide,
    effect="the workflow may leave its pilot",
)  # fmt: skip
