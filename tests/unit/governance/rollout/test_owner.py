"""Gate 6.a goes from unknown over red to green by what people really do, and each way to fake an owner stays red."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, update

from holdfast.errors import Refused
from holdfast.governance.directory.model import Person
from holdfast.governance.store.tables.directory import directory_people, directory_syncs
from tests.unit.governance.rollout.conftest import DAY_MS, TENANT, WORKFLOW, Company

pytestmark = pytest.mark.anyio
ANN, BOB = Person("ann", unit="sales"), Person("bob", unit="sales")


async def test_from_unknown_over_red_to_green(company: Company) -> None:
    assert (await company.verdict("6.a"))[0] == "unknown"
    await company.manifest(owner="", deputy="")
    assert await company.verdict("6.a") == ("fail", "nobody owns the workflow")
    await company.manifest()
    assert await company.verdict("6.a") == ("fail", "ann did not accept to be owner")
    await company.workflows.accept(TENANT, WORKFLOW, "ann")
    await company.workflows.accept(TENANT, WORKFLOW, "bob")
    assert await company.verdict("6.a") == ("unknown", "no directory says who is who")
    await company.people(ANN, BOB)
    assert await company.verdict("6.a") == ("fail", "ann signed in never")
    for name in ("ann", "bob"):
        await company.directory.sign_in(TENANT, name, company.clock.wall_ms())
    assert await company.verdict("6.a") == ("pass", "ann owns it, bob is deputy")
    assert company.plan.failing(TENANT, WORKFLOW) is None
    await company.people(Person("ann", unit="sales", active=False), BOB)
    assert await company.verdict("6.a") == ("fail", "the owner ann has left")
    failure = company.plan.failing(TENANT, WORKFLOW)
    assert failure is not None and (failure.gate, failure.fix) == ("6.a", "Name another owner")


@pytest.mark.parametrize(
    ("ann", "why"),
    [
        (Person("ann", unit="support"), "the owner ann is of support, the workflow of sales"),
        (Person("ann", unit="sales", user_type="SharedMailbox"), "the owner ann is no person"),
        (Person("somebody", unit="sales"), "the owner ann is not in the directory"),
    ],
)
async def test_what_is_no_owner_of_the_unit_is_red(company: Company, ann: Person, why: str) -> None:
    await company.manifest()
    await company.staffed()
    assert (await company.verdict("6.a"))[0] == "pass"
    await company.people(ann, BOB, *([Person("ann", active=False)] if ann.user_name != "ann" else []))
    shown, reason = await company.verdict("6.a")
    assert shown == "fail"
    assert reason == why or ann.user_name != "ann"


async def test_a_directory_is_as_fresh_as_what_keeps_owner_and_deputy(company: Company) -> None:
    """A file that anybody imports makes nobody fresher whom SCIM keeps, which is silent."""
    await company.manifest()
    await company.staffed()

    def kept(connection: Connection) -> None:
        connection.execute(update(directory_people).where(directory_people.c.user_name == "ann").values(source="scim"))
        connection.execute(
            directory_syncs.insert(), {"tenant": TENANT, "source": "scim", "at_ms": company.clock.wall_ms()}
        )

    await company.store.write(kept)
    assert (await company.verdict("6.a"))[0] == "pass"
    company.pass_days(8)
    await company.people(BOB)
    assert await company.verdict("6.a") == ("unknown", "the directory was silent for 192 hours")
    assert company.plan.failing(TENANT, WORKFLOW) is None


async def test_who_only_logged_in_is_in_no_directory_that_another_source_makes_fresh(company: Company) -> None:
    await company.manifest()
    await company.directory.login(TENANT, ANN, company.clock.wall_ms())
    await company.people(BOB)
    for name in ("ann", "bob"):
        await company.directory.sign_in(TENANT, name, company.clock.wall_ms())
        await company.workflows.accept(TENANT, WORKFLOW, name)
    assert await company.verdict("6.a") == ("unknown", "ann logged in, and no directory has them")
    await company.people(Person("bob", unit="sales", active=False))
    assert await company.verdict("6.a") == ("fail", "the deputy bob has left"), (
        "what is proven is so, whatever is missing"
    )


async def test_an_owner_without_a_deputy_is_red(company: Company) -> None:
    await company.manifest(deputy="")
    assert await company.verdict("6.a") == ("fail", "ann has no deputy")


async def test_a_mailbox_that_nobody_signs_in_with_is_red_after_thirty_days(company: Company) -> None:
    await company.manifest()
    await company.staffed()
    company.pass_days(31)
    await company.people(ANN, BOB)  # the directory speaks still
    assert await company.verdict("6.a") == ("fail", "ann signed in not for 31 days")


async def test_an_acceptance_expires(company: Company) -> None:
    await company.manifest()
    await company.staffed()
    company.pass_days(181)
    await company.people(ANN, BOB)
    for name in ("ann", "bob"):
        await company.directory.sign_in(TENANT, name, company.clock.wall_ms())
    assert await company.verdict("6.a") == ("fail", "ann accepted to be owner too long ago")


async def test_while_the_directory_is_down_the_verdict_stands_for_seven_days_and_no_longer(company: Company) -> None:
    await company.manifest()
    await company.staffed()
    assert (await company.verdict("6.a"))[0] == "pass"
    company.pass_days(3)
    shown, reason = await company.verdict("6.a")
    assert shown == "pass" and "stands, for the directory was silent for 72 hours" in reason
    company.pass_days(4.1)
    assert (await company.verdict("6.a"))[0] == "unknown"
    assert company.plan.failing(TENANT, WORKFLOW) is None  # what is unknown stops nothing


async def test_a_red_that_was_there_before_the_directory_went_down_stays_red(company: Company) -> None:
    await company.manifest()
    await company.staffed()
    await company.people(Person("ann", unit="sales", active=False), BOB)
    assert (await company.verdict("6.a"))[0] == "fail"
    company.pass_days(3)
    assert (await company.verdict("6.a"))[0] == "fail"


async def test_another_owner_who_never_accepted_does_not_live_on_what_stood_while_the_directory_is_down(
    company: Company,
) -> None:
    await company.manifest()
    await company.staffed()
    assert (await company.verdict("6.a"))[0] == "pass"
    company.pass_days(3)
    await company.manifest(owner="eve")
    assert await company.verdict("6.a") == ("fail", "eve did not accept to be owner")


async def test_one_person_under_two_names_is_no_owner_with_a_deputy(company: Company) -> None:
    ann = Person("ann", email="ann@acme.example", unit="sales")
    await company.manifest(deputy="ann@acme.example")
    await company.people(ann)
    for name in ("ann", "ann@acme.example"):
        await company.directory.sign_in(TENANT, name, company.clock.wall_ms())
        await company.workflows.accept(TENANT, WORKFLOW, name)
    assert await company.verdict("6.a") == ("fail", "ann and ann@acme.example are one person")


async def test_a_deputy_who_left_is_red_also_where_the_unit_of_the_owner_is_not_known(company: Company) -> None:
    await company.manifest()
    await company.staffed()
    await company.people(Person("ann"), Person("bob", unit="sales", active=False))
    assert await company.verdict("6.a") == ("fail", "the deputy bob has left")


ADDRESS = "ann@acme.example"


async def test_an_owner_who_is_named_by_address_is_whoever_signs_in_under_another_name(company: Company) -> None:
    await company.manifest(owner=ADDRESS)
    await company.people(Person("ann", email="Ann@acme.example", unit="sales"), BOB)
    await company.directory.sign_in(TENANT, "bob", company.clock.wall_ms())
    for name in ("ann", "bob"):
        await company.workflows.accept(TENANT, WORKFLOW, name)
    assert await company.verdict("6.a") == ("fail", f"{ADDRESS} signed in never")
    await company.directory.login(TENANT, Person("00u1", email=ADDRESS), company.clock.wall_ms())
    assert await company.verdict("6.a") == ("pass", f"{ADDRESS} owns it, bob is deputy")
    assert [one.person for one in company.workflows.acceptances(TENANT, WORKFLOW)] == ["bob", ADDRESS]
    await company.people(Person("ann", email=ADDRESS, unit="sales", active=False), BOB)
    assert await company.verdict("6.a") == ("fail", f"the owner {ADDRESS} has left")


async def test_nobody_becomes_the_owner_by_an_address_that_nobody_verified(company: Company) -> None:
    await company.manifest(owner=ADDRESS)
    await company.people(Person("ann", email=ADDRESS, unit="sales"), BOB, Person("eve", unit="sales"))
    await company.directory.sign_in(TENANT, "bob", company.clock.wall_ms())
    for login in (Person("eve", email=ADDRESS), Person("00u2"), Person("00u3", email="other@acme.example")):
        await company.directory.login(TENANT, login, company.clock.wall_ms())
        with pytest.raises(Refused, match="neither owner nor deputy"):
            await company.workflows.accept(TENANT, WORKFLOW, login.user_name)
    await company.workflows.accept(TENANT, WORKFLOW, "ann")
    await company.workflows.accept(TENANT, WORKFLOW, "bob")
    assert await company.verdict("6.a") == ("fail", f"{ADDRESS} signed in never"), (
        "eve is in the directory under her name"
    )


async def test_an_address_of_two_people_is_no_owner(company: Company) -> None:
    await company.manifest(owner=ADDRESS)
    ann, zoe = Person("ann", email=ADDRESS, unit="sales"), Person("zoe", email=ADDRESS, unit="sales")
    await company.people(ann, BOB, zoe)
    for name in ("ann", "zoe"):
        with pytest.raises(Refused, match="neither owner nor deputy"):
            await company.workflows.accept(TENANT, WORKFLOW, name)
    for name in (ADDRESS, "bob"):
        await company.directory.sign_in(TENANT, name, company.clock.wall_ms())
        await company.workflows.accept(TENANT, WORKFLOW, name)
    assert await company.verdict("6.a") == ("fail", f"the owner {ADDRESS} is twice in the directory")


async def test_an_owner_under_another_name_waives_nothing_and_sets_no_numbers(company: Company) -> None:
    await company.manifest(owner=ADDRESS, sponsor="cem@acme.example", deputy="")
    await company.people(Person("ann", email=ADDRESS, unit="sales"), Person("cem", email="cem@acme.example"))
    await company.directory.login(TENANT, Person("00u1", email=ADDRESS), company.clock.wall_ms())
    until_ms = company.clock.wall_ms() + DAY_MS
    for name in ("ann", "00u1", ADDRESS):
        with pytest.raises(Refused, match="owns the workflow"):
            await company.plan.waive(
                TENANT, "6.a", WORKFLOW, by=f"user:{name}", reason="soon", until_ms=until_ms, may_waive=True
            )
        with pytest.raises(Refused, match="answers for"):
            await company.plan.set_profile(TENANT, "startup", {}, by=f"user:{name}", reason="less")
    made = await company.plan.waive(
        TENANT, "6.a", WORKFLOW, by="user:cem", reason="soon", until_ms=until_ms, may_waive=False
    )
    assert made.office == "sponsor"
