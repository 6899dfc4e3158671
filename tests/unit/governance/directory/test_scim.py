"""What identity providers send, as Entra and Okta send it, and what the directory knows then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast.governance.directory.model import Person
from holdfast.governance.directory.service import Directory
from holdfast.governance.store.store import Store
from tests.unit.governance.directory.served_directory import ENTERPRISE, GROUP, USER, Provider, provider_of

pytestmark = pytest.mark.anyio


@pytest.fixture
async def provider(store: Store) -> AsyncIterator[Provider]:
    async with provider_of(store) as made:
        yield made


async def test_somebody_comes_moves_and_leaves_as_entra_says_it(provider: Provider, store: Store) -> None:
    ann = await provider.make(
        "Ann@Acme.example", schemas=[USER, ENTERPRISE], externalId="obj-1", active="True", displayName="Ann Lee",
        emails=[{"primary": True, "type": "work", "value": "ann@acme.example"}], meta={"resourceType": "User"},
        name={"formatted": "Ann Lee", "familyName": "Lee", "givenName": "Ann"}, roles=[], userType="Employee",
        **{ENTERPRISE: {"department": "Finance", "manager": "obj-9"}},
    )  # fmt: skip
    person = provider.directory.person("acme", "ann@acme.example")
    assert person is not None and (person.id, person.unit, person.display, person.active) == (
        ann,
        "Finance",
        "Ann Lee",
        True,
    )
    assert (person.external_id, person.source, person.human) == ("obj-1", "scim", True)
    assert provider.directory.heard_ms("acme") is not None

    await provider.patch(
        f"/Users/{ann}",
        {"op": "Replace", "path": "name.familyName", "value": "Miller"},
        {"op": "Add", "path": f"{ENTERPRISE}:department", "value": "Legal"},
        {"op": "Add", "path": f"{ENTERPRISE}:manager", "value": "obj-7"},
        {"op": "Add", "path": 'phoneNumbers[type eq "mobile"].value', "value": "+49 1"},
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "ann.miller@acme.example"},
        {"op": "Replace", "path": "displayName", "value": "Ann Miller"},
        {"op": "Add", "path": "urn:acme:custom:2.0:User:badge", "value": "7"},
    )
    shown = await provider.ask("GET", f"/Users/{ann}", status=200)
    assert shown["name"]["familyName"] == "Miller" and shown["phoneNumbers"] == [{"type": "mobile", "value": "+49 1"}]
    assert shown[ENTERPRISE]["manager"]["value"] == "obj-7"
    person = provider.directory.person("acme", "ann.miller@acme.example")
    assert person is not None and (person.unit, person.display) == ("Legal", "Ann Miller")
    assert provider.directory.person("acme", "ann@acme.example") == person, "she is still called so"

    await provider.patch(f"/Users/{ann}", {"op": "Replace", "path": "active", "value": "False"})
    person = provider.directory.person("acme", "ann@acme.example")
    assert person is not None and not person.active
    other = Directory(store, lambda: 0)
    await other.refresh()
    assert other.person("acme", "ann@acme.example") == person, "and so it is for other processes"


NO: list[dict[str, Any]] = [
    {"op": "Replace", "path": "active", "value": "False"}, {"op": "replace", "path": "active", "value": "false"},
    {"op": "Replace", "value": {"active": "False"}}, {"op": "REPLACE", "value": {"active": False}},
    {"op": "add", "path": "active", "value": False}, {"op": "Replace", "path": f"{USER}:active", "value": "FALSE"},
]  # fmt: skip


async def test_active_is_taken_away_in_every_way_in_which_they_say_it(provider: Provider) -> None:
    ann = await provider.make("ann", active=True)

    def active() -> bool:
        person = provider.directory.person("acme", "ann")
        assert person is not None
        return person.active

    for operation in NO:
        await provider.patch(f"/Users/{ann}", operation)
        assert not active(), operation
        shown = await provider.ask("GET", f"/Users/{ann}", status=200)
        assert shown["active"] is False, operation
        await provider.patch(f"/Users/{ann}", {"op": "Replace", "path": "active", "value": "True"})
        assert active(), operation
    for value in ("False", "false", False):
        whole = {"schemas": [USER], "id": ann, "userName": "ann", "active": value, "password": "never kept"}
        assert (await provider.ask("PUT", f"/Users/{ann}", whole, status=200))["active"] is False
        assert not active()
        await provider.patch(f"/Users/{ann}", {"op": "Replace", "path": "active", "value": True})
    bob = await provider.make("bob", active="False")
    found = provider.directory.person("acme", "bob")
    assert found is not None and found.id == bob and not found.active


async def test_people_are_found_by_what_providers_look_for(provider: Provider) -> None:
    ann = await provider.make(
        "Ann@acme.example", externalId="x-1", emails=[{"type": "work", "value": "ann.lee@acme.example"}]
    )
    bob = await provider.make(
        "bob", externalId="X-1", emails=[{"type": "home", "value": "bob@home.example"}], active=False
    )
    for wanted, ids in (
        ('userName eq "ann@ACME.example"', [ann]), ('userName Eq "bob"', [bob]), ('externalId eq "x-1"', [ann]),
        ('emails.value eq "ANN.lee@acme.example"', [ann]), ('emails[type eq "work"].value eq "bob@home.example"', []),
        ('emails[type eq "home"].value eq "bob@home.example"', [bob]), (f'id eq "{bob}"', [bob]),
        (f'{USER}:userName eq "bob"', [bob]), ('active eq false', [bob]), ('userName eq "bob" and active eq true', []),
        ('userName eq "bob" or userName eq "ann@acme.example"', sorted((ann, bob))), ('userName sw "an"', [ann]),
        ('not (userName eq "bob")', [ann]), ('userName eq "x\\" or \\"1\\" eq \\"1"', []), ('displayName eq "100%"', []),
    ):  # fmt: skip
        assert await provider.found(wanted) == ids, wanted
    wrong = await provider.ask("GET", "/Users", params={"filter": "userName eq"}, status=400)
    assert wrong["scimType"] == "invalidFilter"


async def test_pages_go_through_everybody_once(provider: Provider) -> None:
    made = {await provider.make(f"u{n}") for n in range(7)}
    listed: list[str] = []
    for start in (1, 4, 7, 10):
        page = await provider.ask("GET", "/Users", params={"startIndex": start, "count": 3}, status=200)
        assert page["totalResults"] == 7 and page["itemsPerPage"] == len(page.get("Resources", []))
        listed += [one["id"] for one in page.get("Resources", [])]
    assert len(listed) == 7 and set(listed) == made
    part = await provider.ask(
        "GET", "/Users", params={"filter": 'userName sw "u"', "startIndex": 6, "count": 5}, status=200
    )
    assert (part["totalResults"], part["itemsPerPage"]) == (7, 2)
    none = await provider.ask("GET", "/Users", params={"count": 0}, status=200)
    assert none["totalResults"] == 7 and not none.get("Resources")


async def test_a_name_is_one_persons(provider: Provider) -> None:
    ann = await provider.make("ann")
    bob = await provider.make("bob")
    taken = await provider.ask("POST", "/Users", {"schemas": [USER], "userName": "ANN"}, status=409)
    assert taken["scimType"] == "uniqueness"
    await provider.patch(f"/Users/{bob}", {"op": "replace", "path": "userName", "value": "Ann"}, status=409)
    await provider.patch(f"/Users/{ann}", {"op": "replace", "path": "userName", "value": "ANN"})
    await provider.ask("DELETE", f"/Users/{ann}", status=204)
    assert provider.directory.person("acme", "ann") is None
    await provider.ask("GET", f"/Users/{ann}", status=404)
    await provider.ask("DELETE", f"/Users/{ann}", status=404)
    again = await provider.make("ann")
    assert again != ann


async def test_whom_a_login_or_a_file_brought_becomes_the_providers(provider: Provider) -> None:
    await provider.directory.login("acme", Person("ann", unit="Board"), 5)
    await provider.directory.bring("acme", [Person("bob", unit="Board")])
    assert await provider.found('userName eq "ann"') == [], "she is none of its resources"
    ann = await provider.make("Ann", **{ENTERPRISE: {"department": "Sales"}})
    other = await provider.make("other")
    await provider.patch(f"/Users/{other}", {"op": "replace", "path": "userName", "value": "bob"})
    found = {one.user_name: (one.id, one.unit, one.source) for one in provider.directory.people("acme")}
    assert found == {"Ann": (ann, "Sales", "scim"), "bob": (other, "", "scim")}
    assert provider.directory.signed_in_ms("acme", "ann") == 5


async def test_groups_have_members_until_those_are_deleted(provider: Provider) -> None:
    ann, bob = await provider.make("ann"), await provider.make("bob")
    body = {"schemas": [GROUP], "displayName": "Finance", "externalId": "g-1", "members": []}
    group = (await provider.ask("POST", "/Groups", body, status=201))["id"]
    path = f"/Groups/{group}"

    async def members() -> list[str]:
        shown = await provider.ask("GET", path, status=200)
        return [one["value"] for one in shown.get("members", [])]

    await provider.patch(path, {"op": "Add", "path": "members", "value": [{"value": ann}, {"value": bob}]})
    await provider.patch(path, {"op": "Add", "path": "members", "value": [{"$ref": None, "value": ann}]})
    assert await members() == [ann, bob]
    await provider.patch(path, {"op": "Remove", "path": "members", "value": []})
    assert await members() == [ann, bob], "to remove nobody is not to remove everybody"
    await provider.patch(path, {"op": "Remove", "path": "members", "value": [{"value": ann}]})
    assert await members() == [bob]
    await provider.patch(path, {"op": "Add", "path": "members", "value": [{"value": ann}]})
    await provider.patch(path, {"op": "remove", "path": f'members[value eq "{bob}"]'})
    assert await members() == [ann]
    assert await provider.found('displayName eq "FINANCE"', "/Groups") == [group]
    assert await provider.found('externalId eq "g-1"', "/Groups") == [group]
    assert await provider.found(f'members.value eq "{ann}"', "/Groups") == [group]
    assert await provider.found(f'id eq "{group}" and members.value eq "{bob}"', "/Groups") == []
    brief = await provider.ask("GET", "/Groups", params={"excludedAttributes": "members"}, status=200)
    assert "members" not in brief["Resources"][0]
    await provider.patch(path, {"op": "replace", "value": {"id": group, "displayName": "Money"}})
    await provider.ask("DELETE", f"/Users/{ann}", status=204)
    assert await members() == []
    await provider.ask("DELETE", path, status=204)
    await provider.ask("GET", path, status=404)


async def test_a_version_that_is_old_changes_nothing_and_changes_at_once_all_count(provider: Provider) -> None:
    ann = await provider.make("ann")
    first = await provider.http.get(f"/Users/{ann}")
    tag = first.headers["etag"]
    assert (await provider.http.get(f"/Users/{ann}", headers={"if-none-match": tag})).status_code == 304
    await provider.patch(f"/Users/{ann}", {"op": "replace", "path": "title", "value": "a"})
    whole = {"schemas": [USER], "userName": "ann", "title": "b"}
    await provider.ask("PUT", f"/Users/{ann}", whole, status=412, headers={"if-match": tag})
    await provider.ask("DELETE", f"/Users/{ann}", status=412, headers={"if-match": tag})
    await asyncio.gather(
        *(
            provider.patch(f"/Users/{ann}", {"op": "add", "path": "phoneNumbers", "value": [{"value": str(n), "type": "work"}]})
            for n in range(4)
        )
    )  # fmt: skip
    shown = await provider.ask("GET", f"/Users/{ann}", status=200)
    assert sorted(one["value"] for one in shown["phoneNumbers"]) == ["0", "1", "2", "3"]
