"""Canonical JSON and the three hashes of a plan, written from their description and not with the gates' code. Pure.

Canonical: UTF-8, keys sorted, no spaces, nothing escaped but what JSON has to have escaped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from holdfast.governance.verifier.documents import StatedAnswer, StatedVerdict

HASHED: Final = (
    "tenant", "gate", "workflow", "profile", "version", "thresholds", "verdict", "cause", "n", "reason", "fix", "as_of_ms",
    "valid_until_ms", "computed_ms", "evidence",
)  # fmt: skip
"""What the id of a verdict is a hash of."""


def canonical(value: Any) -> bytes:
    """A JSON value in the one way in which it is hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def rows_hash(rows: Iterable[Mapping[str, Any]]) -> str:
    """The digest of an answer's rows."""
    return hashlib.sha256(canonical([dict(row) for row in rows])).hexdigest()


def evidence_hash(answers: Iterable[StatedAnswer]) -> str:
    """The digest of all answers of a verdict, in the order of their names."""
    listed = [
        {
            "query": one.query, "params": one.params, "rows": [dict(row) for row in one.rows], "positions": one.positions,
            "digest": one.digest, "cut": one.cut,
        }
        for one in sorted(answers, key=lambda one: one.query)
    ]  # fmt: skip
    return hashlib.sha256(canonical(listed)).hexdigest()


def verdict_id(verdict: StatedVerdict) -> str:
    """The id that a verdict with this content has."""
    return f"v-{hashlib.sha256(canonical({name: getattr(verdict, name) for name in HASHED})).hexdigest()[:32]}"
