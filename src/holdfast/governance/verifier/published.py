"""What is published of each gate: its queries, its numbers, its rule. Numbers and rules are written here a second time; only
the text of the queries is the one that the gates have, since it is run on the same store."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final, NamedTuple

from holdfast.governance.verifier.rules import care, models, money, owner, stage
from holdfast.governance.verifier.rules.judgement import Rule


class PublishedGate(NamedTuple):
    """A gate as it is published.

    Attributes:
        queries: what it reads; a reckoning has no text.
        numbers: of the profile ``enterprise``.
        of_organisation: whether it is asked of the organisation and not of a workflow.
    """

    rule: Rule
    queries: tuple[str, ...]
    numbers: Mapping[str, int | str]
    of_organisation: bool = False


PUBLISHED: Final[dict[str, PublishedGate]] = {
    "1.a": PublishedGate(stage.stage, ("workflow", "stage_runs", "manifest_tools", "unrecorded_runs", "kin"), {"lost_percent": 5}),
    "1.b": PublishedGate(
        stage.no_skip, ("workflow", "stages", "passed", "waived"),
        {"days": 28, "runs": 200, "gates": "4.a,5.a,5.b,6.b,7.b,8.b,9.a,9.b,11.a"},
    ),
    "4.a": PublishedGate(
        money.bill, ("bill", "bill_month", "bill_before", "bill_changed", "ledger_month", "ledger_verified", "periods"),
        {"gap_percent": 2, "line_share_percent": 1, "line_gap_percent": 10, "catch_all_percent": 5}, of_organisation=True,
    ),
    "4.b": PublishedGate(
        money.cap,
        ("workflow", "person_names", "caps", "budgets", "budget_spent", "cap_calls", "refusals", "ledger_verified", "strangers", "bill", "kin"),
        {"times_p90": 2, "calls": 1_000, "false_ppm": 1_000},
    ),
    "5.a": PublishedGate(
        models.peel, ("workflow", "task_spend", "task_outcomes", "routes", "kin"),
        {"task_percent": 5, "n": 100, "floor_ppm": 900_000, "used_percent": 1, "rest_percent": 50},
    ),
    "5.b": PublishedGate(models.served, ("manifests", "served", "kin"), {"lost_percent": 5}),
    "10.a": PublishedGate(
        money.accounts, ("weeks", "weeks_spent", "units"), {"weeks": 13, "usd": 1, "ppm": 5_000}, of_organisation=True
    ),
    "6.a": PublishedGate(
        owner.owner,
        ("workflow", "directory", "people", "person_names", "acceptances", "sign_ins", "succession"),
        {"directory_h": 24, "accepted_days": 180, "sign_in_days": 30, "succession_days": 14, "own_unit": 1, "central_it": "it,central-it"},
    ),
    "6.b": PublishedGate(
        care.sustained, ("workflow", "inbox_due", "inbox_kinds", "inbox_handling", "inbox_looks", "owner_hours"),
        {"percent": 90, "least": 5, "look_h": 24},
    ),
    "9.a": PublishedGate(
        care.people_protected, ("seated_claims", "first_tokens", "load_tests", "kin"),
        {"times_percent": 150, "least": 500, "unclaimed_permille": 10, "test_days": 30},
    ),
    "9.b": PublishedGate(
        care.streaming, ("seated_runs", "builds", "validations"), {"days": 30}, of_organisation=True
    ),
}  # fmt: skip
"""The gates that are built."""

PROFILES: Final[Mapping[str, Mapping[str, Mapping[str, int | str]]]] = {
    "enterprise": {},
    "startup": {"1.b": {"days": 14, "runs": 100}, "6.a": {"own_unit": 0}},
    "team": {"1.b": {"days": 7, "runs": 50}, "6.a": {"own_unit": 0, "accepted_days": 365}, "6.b": {"percent": 80}},
}
"""What other profiles have instead."""

ROWS: Final = 5_000
"""An answer has at most so many rows; one with more is cut, and nothing passes by it."""
CUT_BYTES: Final = 3 << 20
"""One with fewer is cut only where its rows are at least so large together: 4 MiB less the largest that may come next."""


def base_numbers(profile: str, gate: str) -> dict[str, int | str]:
    """The numbers of a gate in a profile that nobody changed. Raises ``KeyError``."""
    return {**PUBLISHED[gate].numbers, **PROFILES[profile].get(gate, {})}


@cache
def published_text(query: str) -> str:
    """The text of a query; empty where none is published."""
    if not re.fullmatch(r"[a-z][a-z_0-9]{0,60}", query):
        return ""
    file = resources.files("holdfast.governance").joinpath("rollout", "queries", f"{query}.sql")
    return file.read_text("utf-8") if file.is_file() else ""


def parameters(text: str) -> set[str]:
    """The names of a query's parameters."""
    code = "\n".join(line for line in text.splitlines() if not line.strip().startswith("--"))
    return set(re.findall(r"(?<![:\w]):([a-z_]+)", code))
