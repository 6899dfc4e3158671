"""Who is meant by a name: one person under several of them, several under none, and nobody by taking on somebody else's."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from sqlalchemy import delete, select

from holdfast.governance import limits
from holdfast.governance.directory import resources
from holdfast.governance.directory import store as statements
from holdfast.governance.directory.model import DirectoryPerson, Person, TokenSignIn
from holdfast.governance.directory.scim.people import person_of
from holdfast.governance.directory.service import Directory
from holdfast.governance.inbox.port import has_left
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.directory import directory_names
from holdfast.testing import FakeClock

pytestmark = pytest.mark.anyio
ANN = {
    "userName": "ann", "externalId": "E-7", "emails": [
        {"value": "ann@acme.example", "type": "work", "primary": True}, {"value": "A.Lee@acme.example", "type": "work"},
        {"value": "bob@home.example", "type": "home"}, {"value": "ann@acme.example"},
    ],
}  # fmt: skip


class Names:
    """A directory, and what comes into it."""

    def __init__(self, store: Store, clock: FakeClock) -> None:
        self.store = store
        self.directory = Directory(store, clock.wall_ms)

    async def scim(self, ident: str, **document: Any) -> None:
        """A provider writes somebody."""
        person = person_of(document, ident, 1, 1)
        await self.store.write(lambda c: statements.put(c, "acme", person, document, statements.next_number(c)))
        await self.directory.refresh()

    def of(self, name: str) -> str | None:
        person = self.directory.person("acme", name)
        return person and person.id

    async def whole(self) -> dict[str, str | None]:
        """What a process finds that reads it all now."""
        again = Directory(self.store, lambda: 0)
        await again.refresh()
        keys = await self.store.read(lambda c: list(c.scalars(select(directory_names.c.name_key).distinct())))
        found = {key: (one := again.person("acme", key)) and one.id for key in keys}
        assert found == {key: self.of(key) for key in keys}, "what was read piece by piece is the same"
        return found


@pytest.fixture
async def names(store: Store, clock: FakeClock) -> Names:
    made = Names(store, clock)
    await made.directory.refresh()
    return made


async def test_somebody_is_one_person_under_all_names_that_the_directory_has(names: Names) -> None:
    await names.scim("1", **ANN)
    await names.scim("2", userName="bob", emails=[{"value": "bob@acme.example"}])
    for name in ("Ann", "ANN@acme.example", "a.lee@acme.example", "e-7", " ann "):
        assert names.of(name) == "1", name
        assert names.directory.same("acme", name, "ann@acme.example") and names.directory.same("acme", "ann", name)
    assert names.of("bob@home.example") is None, "people write their private addresses themselves"
    assert not names.directory.same("acme", "bob", "ann") and not names.directory.same("acme", "", "")
    assert names.directory.same("acme", "zoe", "Zoe") and not names.directory.same("acme", "zoe", "zed")
    assert await names.whole() == {
        "ann": "1", "ann@acme.example": "1", "a.lee@acme.example": "1", "e-7": "1", "bob": "2", "bob@acme.example": "2",
    }  # fmt: skip
    await names.scim("1", userName="ann", emails=[{"value": "ann@acme.example"}])
    assert [names.of(name) for name in ("e-7", "a.lee@acme.example", "ann@acme.example")] == [None, None, "1"]
    await names.whole()


async def test_nobody_becomes_somebody_else_by_taking_on_their_name(names: Names) -> None:
    await names.scim("1", **ANN)
    await names.scim("2", userName="eve", emails=[{"value": "ann", "type": "work"}], externalId="ann@acme.example")
    assert names.of("ann") == "1", "a user name goes before an address"
    assert names.of("ann@acme.example") == "1", "and an address before an id"
    assert not names.directory.same("acme", "eve", "ann") and not names.directory.same(
        "acme", "eve", "ann@acme.example"
    )
    assert names.directory.names("acme", "eve") == {"eve"}, "a name that means another is not hers"
    await names.scim("3", userName="zoe", emails=[{"value": "ann@acme.example", "primary": True}])
    assert names.of("ann@acme.example") is None, "what could be several is nobody's"
    assert not names.directory.same("acme", "ann", "ann@acme.example")
    assert names.of("ann") == "1"


async def test_nobody_leaves_because_somebody_else_has_their_address_too(names: Names) -> None:
    await names.scim("1", **ANN)
    await names.directory.hear("acme")
    await names.scim("2", userName="eve", emails=[{"value": "ann@acme.example"}])
    assert names.of("ann@acme.example") is None
    assert not has_left(names.directory, "acme", "ann@acme.example")
    await names.scim("1", **ANN, active=False)
    assert has_left(names.directory, "acme", "ann") and not has_left(names.directory, "acme", "ann@acme.example")
    await names.scim("2", userName="eve", active=False)
    assert has_left(names.directory, "acme", "ann@acme.example")
    assert not has_left(names.directory, "acme", "nobody"), "who never was there has not left"


async def test_a_login_with_a_verified_address_is_whoever_has_it(names: Names, store: Store) -> None:
    await names.scim("1", **ANN)
    await names.directory.hear("acme")
    await names.directory.login("acme", Person("00u1", email="Ann@acme.example"), 5_000)
    assert names.of("00u1") == "1" and names.directory.signed_in_ms("acme", "ann@acme.example") == 5_000
    token = TokenSignIn(9_000, "ann@acme.example")
    await names.directory.sign_ins({("acme", "sub-1"): token, ("acme", "sub-2"): TokenSignIn(8_000)})
    assert names.of("sub-1") == "1" and names.of("sub-2") is None
    assert names.directory.signed_in_ms("acme", "ann") == 9_000
    await names.whole()
    await names.scim("1", **ANN)
    assert names.of("00u1") == "1", "the provider's next word takes no name of a login away"
    await names.scim("2", userName="eve", emails=[{"value": "eve@acme.example"}])
    await names.directory.login("acme", Person("00u1", email="eve@acme.example"), 6_000)
    assert names.of("00u1") == "2", "what was verified last counts"
    assert not names.directory.same("acme", "00u1", "ann")
    await names.whole()
    await store.write(lambda c: statements.remove(c, "acme", "2", statements.next_number(c), 9))
    await names.directory.refresh()
    assert names.of("00u1") is None and names.of("sub-1") == "1"
    await names.whole()


async def test_a_login_whose_address_is_not_verified_or_is_several_peoples_is_nobody(names: Names) -> None:
    await names.scim("1", **ANN)
    await names.scim("2", userName="bob", emails=[{"value": "shared@acme.example"}])
    await names.scim("3", userName="cem", emails=[{"value": "shared@acme.example"}])
    await names.directory.hear("acme")
    for login in (Person("x1"), Person("x2", email="shared@acme.example"), Person("x3", email="none@acme.example")):
        await names.directory.login("acme", login, 5_000)
        assert names.of(login.user_name) is None
    await names.directory.login("acme", Person("bob", email="ann@acme.example"), 5_000)
    assert names.of("bob") == "2", "the directory has its own word on this name"
    assert not names.directory.same("acme", "bob", "ann")


async def test_a_name_that_is_an_address_of_somebody_has_to_be_verified(names: Names) -> None:
    await names.scim("1", **ANN)
    await names.scim("2", userName="bob@acme.example", emails=[{"value": "bob@acme.example"}])

    def unproven(name: str, email: str = "") -> bool:
        return names.directory.is_unproven("acme", Person(name, email=email))

    assert (
        unproven("ann@acme.example")
        and unproven("A.Lee@acme.example")
        and unproven("ann@acme.example", "eve@acme.example")
    )
    assert not unproven("ann@acme.example", "Ann@acme.example") and not unproven(
        "a.lee@acme.example", "ann@acme.example"
    )
    assert not unproven("bob@acme.example"), "it is the user name"
    assert not unproven("ann") and not unproven("zoe@acme.example") and not unproven("e-7")


async def test_names_of_logins_are_bounded(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DIRECTORY_LOGINS", 2)
    await names.scim("1", **ANN)
    for number in range(3):
        await names.directory.login("acme", Person(f"00u{number}", email="ann@acme.example"), 5_000)
    assert [names.of(f"00u{number}") for number in range(3)] == ["1", "1", None]
    assert names.of("ann@acme.example") == "1", "nor does the third become somebody with the same address"


async def test_who_logged_in_before_a_directory_had_them_is_one_person_with_it(names: Names) -> None:
    await names.directory.login("acme", Person("00u1", email="ann@acme.example"), 5_000)
    first = names.of("ann@acme.example")
    assert first is not None and names.of("00u1") == first
    await names.directory.bring("acme", [Person("ann", email="Ann@acme.example", unit="Sales")])
    ann = names.directory.person("acme", "00u1")
    assert ann is not None and (ann.user_name, ann.unit, ann.source) == ("ann", "Sales", "import")
    assert names.of("ann@acme.example") == ann.id != first
    assert [one.user_name for one in names.directory.people("acme")] == ["ann"]
    await names.directory.login("acme", Person("00u1", email="ann@acme.example"), 6_000)
    assert [one.user_name for one in names.directory.people("acme")] == ["ann"], "and does not become two again"
    await names.whole()


async def test_a_store_of_before_has_the_names_of_its_people(names: Names, store: Store) -> None:
    await names.scim("1", **ANN)
    await names.scim("2", userName="Bob")
    await store.write(lambda c: statements.remove(c, "acme", "2", statements.next_number(c), 9))
    step = importlib.import_module("holdfast.governance.store.migrations.versions.directory_0002")

    def again(connection: Any) -> set[tuple[str, str, str]]:
        connection.execute(delete(directory_names))
        step.fill(connection)
        rows = connection.execute(select(directory_names.c.kind, directory_names.c.name_key, directory_names.c.id))
        return {tuple(row) for row in rows}

    assert await store.write(again) == {
        ("user_name", "ann", "1"), ("email", "ann@acme.example", "1"), ("external_id", "e-7", "1"),
    }  # fmt: skip


async def test_scim_that_makes_somebody_whom_a_login_brought(names: Names, store: Store) -> None:
    """The provider's resource has another id: names of the login's row are not left behind."""
    await names.directory.login("acme", Person("ann", email="ann@acme.example"), 5_000)
    ann = DirectoryPerson(id="9", user_name="ann", email="ann@acme.example", changed_ms=7)
    await store.write(lambda c: resources.put_person(c, "acme", ann, ANN, None) and None)
    await names.directory.refresh()
    assert names.of("ann") == names.of("ann@acme.example") == "9"
    await names.whole()
