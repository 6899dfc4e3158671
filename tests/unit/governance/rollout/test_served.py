"""Gate 5.b goes from unknown over red to green by calls that are really made, and nothing that was served can be talked away."""

from __future__ import annotations

import pytest

from holdfast.gateway.port import Served
from holdfast.governance.ledger import settling
from tests.unit.governance.rollout.conftest import TENANT, WORKFLOW
from tests.unit.governance.rollout.till import ON_SQLITE, Till, till

__all__ = ["till"]
pytestmark = pytest.mark.anyio
OTHER = "m1-2026-01-01"


async def test_from_unknown_over_red_to_green(till: Till) -> None:
    assert (await till.verdict("5.b"))[0] == "unknown"
    await till.manifest()
    assert await till.verdict("5.b") == ("unknown", "the manifest names no models")
    await till.models("m1")
    assert await till.verdict("5.b") == ("unknown", "no attempts in the window")
    await till.calls(3, "m2")
    till.pass_days(1)
    shown, reason = await till.verdict("5.b")
    assert shown == "fail" and reason.startswith("3 of 3 attempts: m2 served on ")
    till.pass_days(1)
    await till.calls(2)
    till.pass_days(28)
    assert await till.verdict("5.b") == ("pass", "2 attempts, served by m1")


@ON_SQLITE
async def test_an_alias_that_is_served_by_another_id_fails(till: Till) -> None:
    await till.models("m1")
    await till.calls(2, "m1")
    await till.calls(1, "m1", served=OTHER)
    till.pass_days(1)
    shown, reason = await till.verdict("5.b")
    assert shown == "fail" and f"m1 was asked for and {OTHER} served" in reason


@ON_SQLITE
async def test_a_manifest_that_names_a_model_afterwards_makes_nothing_good(till: Till) -> None:
    await till.models("m1")
    till.pass_days(1)
    await till.calls(1, "m2")
    till.pass_days(1)
    await till.models("m1", "m2")
    shown, reason = await till.verdict("5.b")
    assert shown == "fail" and "when the manifest did not name it" in reason
    await till.calls(1, "m2")
    till.pass_days(28)
    assert (await till.verdict("5.b"))[0] == "pass", "what it served since is as it should be"


async def test_a_correction_makes_no_model_another_one(till: Till) -> None:
    await till.models("m1")
    (one,) = await till.calls(1, "m2")
    await till.ledger.correct(TENANT, one.id, why="it was m1", model="m1")
    await till.ledger.correct(TENANT, one.id, why="it was nobody's", labels={"workflow": "other"})
    till.pass_days(1)
    assert (await till.verdict("5.b"))[0] == "fail"


@ON_SQLITE
async def test_what_names_the_workflow_and_is_nobodys_by_the_tree_is_its_own(till: Till) -> None:
    await till.calls(1, "m2")  # before anybody has described it
    await till.models("m1")
    till.pass_days(1)
    assert (await till.verdict("5.b"))[0] == "fail"


@ON_SQLITE
async def test_a_response_that_names_no_model_is_unknown_and_a_violation_beside_it_fails(till: Till) -> None:
    await till.models("m1")
    await till.calls(1)
    await till.calls(1, served="")
    till.pass_days(1)
    assert await till.verdict("5.b") == ("unknown", "1 of 2 responses name no model")
    await till.calls(1, "m2")
    till.pass_days(1)
    assert (await till.verdict("5.b"))[0] == "fail"


@ON_SQLITE
async def test_lost_attempts_are_borne_up_to_a_share(till: Till) -> None:
    await till.models("m1")
    await till.calls(19)
    for _ in range(2):
        one = till.opening()
        await till.ledger.open(one)
        await till.ledger.settle(settling.lost(one))
    till.pass_days(1)
    assert await till.verdict("5.b") == ("unknown", "2 of 21 attempts were lost")
    await till.calls(30)
    till.pass_days(1)
    assert (await till.verdict("5.b"))[0] == "pass"


@ON_SQLITE
async def test_what_nothing_was_served_of_and_what_a_test_key_did_never_counts(till: Till) -> None:
    await till.models("m1")
    one = till.opening("m2")
    await till.ledger.open(one)
    await till.ledger.settle(Served(one.id, "refused", at_ms=till.clock.wall_ms()))
    await till.calls(2, "m2", labels={"test": "yes"})
    till.pass_days(1)
    assert await till.verdict("5.b") == ("unknown", "no attempts in the window")


@ON_SQLITE
async def test_a_tag_that_says_test_without_the_label_hides_nothing(till: Till) -> None:
    await till.models("m1")
    await till.calls(1, "m2", labels={"note": '"test":"yes"', "Test": "yes"})
    till.pass_days(1)
    assert (await till.verdict("5.b"))[0] == "fail"


@ON_SQLITE
async def test_old_calls_are_no_evidence_and_an_old_verdict_expires(till: Till) -> None:
    await till.models("m1")
    await till.calls(1)
    till.pass_days(1)
    assert (await till.verdict("5.b"))[0] == "pass"
    till.pass_days(7.1)
    found = next(one for one in till.plan.gates(TENANT, WORKFLOW) if one.gate == "5.b")
    assert (found.shown, found.cause) == ("unknown", "stale")
    till.pass_days(28)
    assert await till.verdict("5.b") == ("unknown", "no attempts in the window")
