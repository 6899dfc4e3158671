"""Where workflows stand: manifests that hold here and in the organisation, transitions, roles and classes of tools."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from holdfast.errors import Refused
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.store.store import Store
from holdfast.governance.workflows.model import (
    ManifestTool,
    WorkflowManifest,
    differences,
    version_of,
)
from holdfast.governance.workflows.service import Workflows
from holdfast.testing import FakeClock

pytestmark = pytest.mark.anyio
MAIL = WorkflowManifest(
    workflow="answer-mail", title="Answer mail", unit="sales", owner="ann", deputy="bob", stage="pilot", agents=("mailer",),
    tools=(ManifestTool("crm.read", "read"),),
)  # fmt: skip


async def test_a_manifest_holds_here_and_in_the_organisation(workflows: Workflows, organisation: Organisation) -> None:
    made = await workflows.apply(MAIL, by="user:ann", reason="first")
    assert made.changed
    assert made.version == version_of(MAIL)
    one = workflows.current("default", "answer-mail")
    assert one is not None
    assert (one.owner, one.deputy, one.unit, one.stage) == ("ann", "bob", "sales", "pilot")
    assert (one.state, one.mode, one.manifest) == ("registered", "observe", MAIL)
    there = organisation.workflow("answer-mail")
    assert there is not None
    assert (there.owner, there.deputy, there.stage, there.declared) == ("ann", "bob", "pilot", True)
    assert organisation.resolve({"workflow": "answer-mail"}, organisation._now_ms()).team == "sales"


async def test_applying_the_same_twice_is_once(workflows: Workflows, store: Store) -> None:
    await workflows.apply(MAIL, by="user:ann")
    steps = await workflows.steps("default", "answer-mail")
    again = await workflows.apply(MAIL, by="user:bob")
    assert not again.changed
    assert await workflows.steps("default", "answer-mail") == steps
    assert len(await workflows.versions("default", "answer-mail")) == 1


async def test_nothing_holds_of_what_contradicts_the_organisation_or_itself(
    workflows: Workflows, organisation: Organisation
) -> None:
    for wrong in (replace(MAIL, unit="nowhere"), replace(MAIL, deputy="ann")):
        with pytest.raises(Refused, match=r"workflow\.invalid"):
            await workflows.apply(wrong, by="user:ann")
    assert workflows.current("default", "answer-mail") is None
    assert await workflows.versions("default", "answer-mail") == []
    assert organisation.workflow("answer-mail") is None


async def test_a_dry_run_changes_nothing(workflows: Workflows, organisation: Organisation) -> None:
    made = await workflows.apply(MAIL, by="user:ann", dry_run=True)
    assert made.changed
    await workflows.refresh()
    assert workflows.current("default", "answer-mail") is None
    assert organisation.workflow("answer-mail") is None


async def test_a_rollback_changes_what_runs_and_nobody_who_answers_for_it(workflows: Workflows) -> None:
    first = await workflows.apply(MAIL, by="user:ann")
    second = replace(MAIL, owner="cat", tools=())
    await workflows.apply(second, by="user:cat")
    one = await workflows.set_version("default", "answer-mail", first.version, by="user:ops", reason="it sends twice")
    assert one.manifest == MAIL
    assert one.owner == "cat"
    step = next(step for step in await workflows.steps("default", "answer-mail") if step.by == "user:ops")
    assert (step.what, step.before, step.after, step.reason) == (
        "version", version_of(second), first.version, "it sends twice",
    )  # fmt: skip
    with pytest.raises(Refused, match=r"workflow\.not_found"):
        await workflows.set_version("default", "answer-mail", "0" * 12, by="user:ops", reason="")


async def test_another_process_sees_it(
    workflows: Workflows, store: Store, organisation: Organisation, clock: FakeClock
) -> None:
    other = Workflows(store, organisation, clock.wall_ms)
    await workflows.apply(MAIL, by="user:ann")
    await workflows.set_tool("default", "crm.read", "read", by="user:eve")
    await other.refresh()
    assert other.listed("default") == workflows.listed("default")
    assert other.effect_of("default", "crm.read") == "read"


async def test_a_door_refuses_with_every_reason(workflows: Workflows) -> None:
    await workflows.apply(MAIL, by="user:ann")

    async def against(tenant: str, workflow: str) -> Sequence[str]:
        return ["the owner has not accepted", "no cap"]

    workflows.launch_check = against
    with pytest.raises(Refused, match=r"workflow\.launch.*has not accepted; no cap"):
        await workflows.launch("default", "answer-mail", by="user:ann")
    with pytest.raises(Refused, match=r"workflow\.invalid"):
        await workflows.to_production("default", "answer-mail", by="user:ann")
    one = workflows.current("default", "answer-mail")
    assert one is not None
    assert one.state == "registered"


async def test_the_way_of_a_workflow(workflows: Workflows) -> None:
    await workflows.apply(MAIL, by="user:ann")
    assert (await workflows.launch("default", "answer-mail", by="user:ann")).state == "pilot"
    assert (await workflows.to_production("default", "answer-mail", by="user:ann")).state == "production"
    await workflows.set_state("default", "answer-mail", "retired", by="user:ann", reason="replaced")
    with pytest.raises(Refused, match=r"workflow\.retired"):
        await workflows.launch("default", "answer-mail", by="user:ann")
    await workflows.apply(MAIL, by="user:bob")
    states = [step.after for step in await workflows.steps("default", "answer-mail") if step.what == "state"]
    assert sorted(states) == ["pilot", "production", "registered", "registered", "retired"]


async def test_a_manifest_does_not_lift_enforcement(workflows: Workflows) -> None:
    await workflows.apply(replace(MAIL, mode="enforce"), by="user:ann")
    with pytest.raises(Refused, match="does not lift"):
        await workflows.apply(replace(MAIL, mode="observe"), by="user:ann")
    await workflows.apply(MAIL, by="user:ann")
    one = workflows.current("default", "answer-mail")
    assert one is not None
    assert one.enforced
    assert (
        await workflows.set_mode("default", "answer-mail", "observe", by="user:eve", reason="a trial")
    ).mode == "observe"


async def test_whose_a_run_is(workflows: Workflows) -> None:
    await workflows.apply(MAIL, by="user:ann")
    assert workflows.workflow_of("default", {"workflow": "answer-mail"}, "x") == "answer-mail"
    assert workflows.workflow_of("default", {}, "mailer") == "answer-mail"  # whether it observes or enforces
    assert workflows.workflow_of("default", {"workflow": "made-up"}, "mailer") == "answer-mail"
    assert workflows.workflow_of("default", {"workflow": "made-up"}, "x") == "unassigned"
    assert workflows.workflow_of("default", {}, "mailer/reader") == "answer-mail", (
        "what is inside an agent is that agent's"
    )
    assert workflows.claims_of("default", {"team": "sales", "workflow": "made-up"}, "mailer") == {
        "team": "sales", "workflow": "answer-mail",
    }  # fmt: skip
    await workflows.apply(replace(MAIL, workflow="other"), by="user:ann")
    assert workflows.workflow_of("default", {}, "mailer") == "unassigned"  # two name it
    assert workflows.claims_of("default", {"team": "sales"}, "mailer") == {"team": "sales"}
    assert sorted(workflows.claimants("default", {}, "mailer")) == ["answer-mail", "other"]


async def test_another_manifest_leads_nobody_past_an_enforced_one(workflows: Workflows) -> None:
    await workflows.apply(replace(MAIL, mode="enforce"), by="user:ann")
    await workflows.launch("default", "answer-mail", by="user:ann", reason="")
    decoy = replace(MAIL, workflow="decoy")
    for mode in ("observe", "enforce"):
        await workflows.apply(replace(decoy, mode=mode), by="user:ann")
        assert workflows.workflow_of("default", {}, "mailer") == "answer-mail", "which was not launched"
    await workflows.launch("default", "decoy", by="user:ann", reason="")
    assert sorted(workflows.claimants("default", {}, "mailer")) == ["answer-mail", "decoy"], "each is asked"
    await workflows.set_mode("default", "decoy", "observe", by="user:ann", reason="a trial")
    assert workflows.claimants("default", {}, "mailer") == ["answer-mail"]
    assert workflows.claimants("default", {"workflow": "decoy"}, "mailer") == ("decoy",)
    assert workflows.claimants("default", {}, "x") == ()


async def test_roles_are_taken_on_by_those_who_have_them(workflows: Workflows, clock: FakeClock) -> None:
    await workflows.apply(MAIL, by="user:ann")
    await workflows.accept("default", "answer-mail", "ann")
    clock.advance(5.0)
    await workflows.accept("default", "answer-mail", "ann")
    said = await workflows.accept("default", "answer-mail", "bob")
    assert said.role == "deputy"
    assert [(one.role, one.at_ms) for one in workflows.acceptances("default", "answer-mail")] == [
        ("deputy", clock.wall_ms()), ("owner", clock.wall_ms()),
    ]  # fmt: skip
    with pytest.raises(Refused, match="neither owner nor deputy"):
        await workflows.accept("default", "answer-mail", "eve")


async def test_people_change_here_and_in_the_organisation(workflows: Workflows, organisation: Organisation) -> None:
    await workflows.apply(MAIL, by="user:ann")
    await organisation.move("workflow", "answer-mail", "support", by="user:ops")
    await workflows.set_people(
        "default", "answer-mail", owner="bob", deputy="", by="system:directory", reason="ann left"
    )
    there = organisation.workflow("answer-mail")
    assert there is not None
    assert (there.owner, there.deputy) == ("bob", "")
    assert organisation.resolve({"workflow": "answer-mail"}, organisation._now_ms()).team == "support"


async def test_a_tool_that_nobody_classed_writes(workflows: Workflows) -> None:
    assert workflows.effect_of("default", "anything") == "write"
    await workflows.set_tool("default", "anything", "memory", by="user:eve")
    assert workflows.effect_of("default", "anything") == "memory"
    assert workflows.effect_of("other", "anything") == "write"


def test_a_version_is_of_what_a_manifest_says() -> None:
    assert version_of(replace(MAIL, usage="both")) == version_of(MAIL)
    assert version_of(replace(MAIL, usage="seated")) != version_of(MAIL)
    found = differences(MAIL, replace(MAIL, owner="cat", tools=(ManifestTool("crm.read", "write"),)))
    assert found == [("owner", "ann", "cat"), ("tools.crm.read", "read", "write")]
