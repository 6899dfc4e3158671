"""Rule 7: whoever divides a workflow, or begins it again under another name, has one workflow still."""

from __future__ import annotations

import hashlib

import pytest

from holdfast.governance.rollout.kin import Bond, bonds
from holdfast.governance.workflows.model import ManifestModel, ManifestPrompt
from tests.unit.governance.rollout.conftest import TENANT, WORKFLOW
from tests.unit.governance.rollout.till import ON_SQLITE, Till, till

__all__ = ["till"]
pytestmark = pytest.mark.anyio
OTHER = "answer-mail-2"
PROMPT = ManifestPrompt("system", hashlib.sha256(b"Answer the mail.").hexdigest())
OWN = ManifestPrompt("system", hashlib.sha256(b"Answer it better.").hexdigest())
EMPTY = ManifestPrompt("system", hashlib.sha256(b"").hexdigest())


async def other(till: Till, *models: str, prompt: ManifestPrompt = OWN) -> None:
    await till.manifest(
        workflow=OTHER, agents=("mailer-2",), models=tuple(map(ManifestModel, models)), prompts=(prompt,)
    )


async def both(till: Till, *, prompt: ManifestPrompt = OWN) -> None:
    """Two workflows: one does as it should, the other is served by a model that its manifest does not name."""
    await till.models("m1", prompts=(PROMPT,))
    await other(till, "m1", prompt=prompt)


async def test_what_shares_a_credential_is_judged_as_one_until_it_does_not(till: Till) -> None:
    await both(till)
    await till.calls(3)
    till.pass_days(1)
    assert await till.verdict("5.b") == ("pass", "3 attempts, served by m1")
    await till.calls(1, "m2", labels={"workflow": OTHER})  # with the same key
    till.pass_days(1)
    shown, reason = await till.verdict("5.b")
    assert shown == "fail"
    assert reason.startswith(f"it shares credential k1 with {OTHER}, and that fails: 1 of 1 attempts: m2 served on ")
    _, row, answers = await till.plan.explain(TENANT, "5.b", WORKFLOW)
    assert row is not None and row.n == 1 and OTHER in row.fix
    kin = next(one.rows for one in answers if one.query == "kin")
    assert (OTHER, "credential k1", "5.b") in [(row["workflow"], row["shares"], row["gate"]) for row in kin]
    assert (await till.verdict("5.b", OTHER))[1].startswith("1 of 1 attempts"), "its own failure is said first"
    till.pass_days(28)
    await till.calls(1)
    till.pass_days(1)
    assert await till.verdict("5.b") == ("pass", "1 attempts, served by m1"), "what it did is over"


@ON_SQLITE
async def test_who_mends_the_other_is_green_at_once(till: Till) -> None:
    """Neither stays red for the other's sake: each is judged by its own rows only."""
    await both(till)
    await till.calls(2)
    await till.calls(1, "m2", labels={"workflow": OTHER})
    till.pass_days(1)
    await till.plan.compute(TENANT)
    assert (await till.verdict("5.b"))[0] == (await till.verdict("5.b", OTHER))[0] == "fail"
    await till.workflows.set_state(TENANT, OTHER, "retired", by="user:ann", reason="it was one workflow")
    assert (await till.verdict("5.b"))[0] == "pass"


@ON_SQLITE
@pytest.mark.parametrize(("prompt", "shown"), [(PROMPT, "fail"), (OWN, "pass"), (EMPTY, "pass")])
async def test_what_shares_a_prompt_is_judged_as_one(till: Till, prompt: ManifestPrompt, shown: str) -> None:
    await till.models("m1", prompts=(PROMPT if prompt != EMPTY else EMPTY,))
    await other(till, "m1", prompt=prompt)
    await till.calls(2)
    await till.spend(1_000, model="m2", labels={"workflow": OTHER}, key="k9", source="gateway")
    till.pass_days(1)
    assert (await till.verdict("5.b"))[0] == shown


@ON_SQLITE
async def test_a_manifest_alone_binds_nobody(till: Till) -> None:
    """Who writes somebody's prompt into a manifest and does nothing is not yet one with them."""
    await till.models("m1", prompts=(PROMPT,))
    await till.calls(2)
    await till.manifest(workflow=OTHER, agents=("mailer-2",), prompts=(PROMPT,), stage="chat", tools=())
    till.pass_days(1)
    await till.plan.compute(TENANT)
    _, _, answers = await till.plan.explain(TENANT, "5.b", WORKFLOW)
    assert [one.rows for one in answers if one.query == "kin"] == [()]


@ON_SQLITE
async def test_what_is_unknown_of_one_makes_nothing_unknown_of_another(till: Till) -> None:
    await both(till)
    await till.calls(2)
    await till.calls(1, labels={"workflow": OTHER})
    await other(till)  # names no models any more
    await till.budget("mail-2", scope={"workflow": OTHER}, usd="1", run_usd="1", decider="user:dee")
    till.pass_days(1)
    assert (await till.verdict("5.b", OTHER))[0] == "unknown"
    assert (await till.verdict("5.b"))[0] == "pass"
    _, _, answers = await till.plan.explain(TENANT, "5.b", WORKFLOW)
    (kin,) = next(one.rows for one in answers if one.query == "kin")
    assert (kin["workflow"], kin["gate"]) == (OTHER, ""), "who is judged as one with it is said in any case"


def test_whoever_shares_with_somebody_who_shares_is_one_with_both() -> None:
    found = bonds([("k1", "a"), ("k1", "b"), ("k2", "d"), ("k3", "")], {"b": ["p"], "c": ["p"], "d": []})
    assert found == {
        "a": {"b": Bond("credential", "k1"), "c": Bond("prompt", "p")},
        "b": {"a": Bond("credential", "k1"), "c": Bond("prompt", "p")},
        "c": {"a": Bond("credential", "k1"), "b": Bond("prompt", "p")},
    }
