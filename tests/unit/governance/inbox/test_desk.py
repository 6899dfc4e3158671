"""Everybody sees their own; what others have to do is shown with audit or spend."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.errors import Refused
from holdfast.extensions import Principal
from holdfast.governance.actions import ActionCall
from holdfast.governance.directory.model import Person
from holdfast.governance.inbox import desk
from holdfast.governance.inbox.desk import InboxDesk
from holdfast.governance.inbox.service import OwnerInbox
from holdfast.governance.workflows.model import OwnerHours
from holdfast.session.access import Capability
from tests.unit.governance.inbox.conftest import Things, thing
from tests.unit.governance.rollout.conftest import TENANT, WORKFLOW, Company

pytestmark = pytest.mark.anyio


def call(who: str, *verbs: str, **facts: str) -> ActionCall:
    rights = (Capability("*", frozenset(verbs)),) if verbs else ()
    return ActionCall(f"user:{who}", TENANT, facts, None, Principal(f"user:{who}", TENANT, rights))


@pytest.fixture
async def at(company: Company, inbox: OwnerInbox, things: Things) -> InboxDesk:
    await company.manifest(hours=OwnerHours(0.1))
    things.found = [thing("a", workflow=WORKFLOW), thing("b", person="bob")]
    await inbox.compute(TENANT)
    return InboxDesk(inbox, company.workflows)


async def keys(found: Any) -> list[str]:
    return [one["key"] for one in (await found)["items"]]


async def test_own_items_need_no_right_and_those_of_others_do(at: InboxDesk) -> None:
    assert await keys(desk.listed(at, call("ann"))) == ["a"]
    assert await keys(desk.listed(at, call("ann", person="ANN"))) == ["a"]
    for person in ("bob", "*"):
        for ask in (desk.listed, desk.history, desk.notices):
            with pytest.raises(Refused, match="audit or spend"):
                await ask(at, call("ann", person=person))
    for verb in ("audit", "spend"):
        assert await keys(desk.listed(at, call("eve", verb, person="bob"))) == ["b"]
        assert await keys(desk.listed(at, call("eve", verb, person="*"))) == ["a", "b"]
    assert all(action.verb == "" for action in desk.ACTIONS)


async def test_an_item_of_somebody_else_is_not_there(at: InboxDesk) -> None:
    (item,) = (await at.inbox.listed(TENANT, "bob")).items
    for ask in (desk.shown, desk.done):
        with pytest.raises(Refused, match="there is no item"):
            await ask(at, call("ann", item=item.id))
    assert (await at.inbox.item(TENANT, item.id)).done_by == ""
    assert (await desk.shown(at, call("eve", "audit", item=item.id)))["item"]["seen_ms"] == 0
    assert (await desk.shown(at, call("bob", item=item.id)))["item"]["seen_by"] == "bob"
    answer = await desk.done(at, call("bob", item=item.id))
    assert not answer["closed"] and answer["why"] == "it is still so: it is so"


async def test_the_brief_of_a_role_is_for_who_answers_and_who_may_look(at: InboxDesk, things: Things) -> None:
    things.found += [thing(f"k{number}", workflow=WORKFLOW) for number in range(9)]
    await at.inbox.compute(TENANT)
    answer = await desk.brief_of(at, call("bob", workflow=WORKFLOW))
    assert answer["short_minutes"] == 44
    assert answer["brief"].splitlines()[:3] == [
        "answer-mail: 0.8 h a week are needed, 0.1 h are allotted.",
        "A second owner for 0.7 h a week would:",
        "- look at answers that people edited or asked again: 10 in four weeks, 20 minutes each (declared)",
    ]
    for ask in (call("flo", workflow=WORKFLOW), call("eve", "audit", workflow="none")):
        with pytest.raises(Refused, match="there is no workflow"):
            await desk.brief_of(at, ask)


async def test_somebody_sees_what_they_have_to_do_under_any_of_their_names(
    at: InboxDesk, company: Company, things: Things
) -> None:
    await company.people(Person("00u1", email="Ann@acme.example"), Person("eve", email="eve@acme.example"))
    await company.manifest(owner="ann@acme.example", hours=OwnerHours(0.1))
    things.found = [thing("c", person="ann@acme.example", workflow=WORKFLOW)]
    await at.inbox.compute(TENANT)
    assert await keys(desk.listed(at, call("00u1"))) == await keys(desk.listed(at, call("ann@acme.example"))) == ["c"]
    assert await keys(desk.listed(at, call("00u1", person="ann@acme.example"))) == ["c"]
    (item,) = (await at.inbox.listed(TENANT, "00u1")).items
    assert (await desk.shown(at, call("00u1", item=item.id)))["item"]["seen_by"] == "00u1"
    assert (await desk.brief_of(at, call("00u1", workflow=WORKFLOW)))["load"]["workflow"] == WORKFLOW
    with pytest.raises(Refused, match="there is no item"):
        await desk.shown(at, call("eve", item=item.id))
    with pytest.raises(Refused, match="audit or spend"):
        await desk.listed(at, call("eve", person="ann@acme.example"))
    things.found = []
    await at.inbox.compute(TENANT)
    assert "c" in await keys(desk.history(at, call("00u1")))
