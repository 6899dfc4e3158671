"""The directory: who is found, what stands before what, when it spoke, and that other processes see it."""

from __future__ import annotations

import pytest

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.directory import store as statements
from holdfast.governance.directory.model import DirectoryPerson, Person
from holdfast.governance.directory.service import DOMAIN, Directory
from holdfast.governance.store.changes import Changes
from holdfast.governance.store.store import Store
from holdfast.testing import FakeClock

pytestmark = pytest.mark.anyio


@pytest.fixture
async def directory(store: Store, clock: FakeClock) -> Directory:
    made = Directory(store, clock.wall_ms)
    await made.refresh()
    return made


async def put(store: Store, name: str, ident: str = "", **facts: object) -> None:
    """Somebody, as SCIM writes them."""
    person = DirectoryPerson(id=ident or name, user_name=name, **facts)  # type: ignore[arg-type]
    await store.write(lambda c: statements.put(c, "acme", person, {}, statements.next_number(c)))


@pytest.mark.parametrize(
    ("user_type", "human"),
    [("", True), ("Employee", True), ("Contractor", True), ("Service", False), ("serviceAccount", False),
     ("SHARED_MAILBOX", False), ("Bot", False), ("bots", False), ("Robotics engineer", True), ("Room", False)],
)  # fmt: skip
def test_who_is_no_person_is_told_by_the_type(user_type: str, human: bool) -> None:
    assert DirectoryPerson(id="1", user_name="x", user_type=user_type).human is human


async def test_people_are_found_by_name_then_by_address_and_never_where_it_could_be_several(
    store: Store, directory: Directory
) -> None:
    await put(store, "Ann@Acme.example", "1", email="ann.mail@acme.example")
    await put(store, "bob", "2", email="shared@acme.example")
    await put(store, "cem", "3", email="Shared@acme.example")
    await put(store, "ann-admin", "4", email="ann@acme.example")
    await directory.refresh()

    def found(name: str) -> str | None:
        person = directory.person("acme", name)
        return person and person.id

    assert found("ann@acme.example") == "1", "a user name goes before an address"
    assert found("ANN.mail@acme.example") == "1"
    assert found("shared@acme.example") is None
    assert found("bob") == "2"
    assert found("") is None
    assert directory.person("other", "bob") is None
    assert [one.id for one in directory.people("acme")] == ["4", "1", "2", "3"]


async def test_what_another_process_wrote_is_seen_with_one_look(
    store: Store, directory: Directory, clock: FakeClock
) -> None:
    other = Directory(store, clock.wall_ms)
    changes = Changes(store)
    changes.follow(DOMAIN, other.refresh)
    await changes.look()
    await put(store, "ann", "1")
    await put(store, "bob", "2")
    await changes.look()
    assert [one.active for one in other.people("acme")] == [True, True]

    await put(store, "ann", "1", active=False)
    await store.write(lambda c: statements.remove(c, "acme", "2", statements.next_number(c), clock.wall_ms()))
    await changes.look()
    ann = other.person("acme", "ann")
    assert ann is not None and not ann.active
    assert other.person("acme", "bob") is None

    await put(store, "bob", "3")
    await changes.look()
    assert [one.id for one in other.people("acme")] == ["1", "3"], "a name is free when nobody has it"


async def test_a_refresh_reads_only_what_is_new(store: Store, directory: Directory) -> None:
    await put(store, "ann", "1")
    await directory.refresh()
    number = directory._number
    await put(store, "bob", "2")
    news = await store.read(lambda c: statements.read_since(c, number))
    assert [ident for _, ident, _ in news.people] == ["2"]


async def test_the_latest_sign_in_counts_under_the_name_and_the_address(
    store: Store, directory: Directory, clock: FakeClock
) -> None:
    await put(store, "ann", "1", email="ann@acme.example")
    await directory.refresh()
    assert directory.signed_in_ms("acme", "ann") is None
    await directory.sign_in("acme", "ANN@acme.example", 2_000)
    await directory.sign_in("acme", "ann", 1_000)
    assert directory.signed_in_ms("acme", "Ann") == 2_000
    await directory.sign_in("acme", "ann", 3_000)
    assert directory.signed_in_ms("acme", "ann@acme.example") == 3_000
    assert directory.signed_in_ms("other", "ann") is None
    fresh = Directory(store, clock.wall_ms)
    await fresh.refresh()
    assert fresh.signed_in_ms("acme", "ann") == 3_000


async def test_a_login_makes_somebody_only_where_no_directory_keeps_people(
    store: Store, directory: Directory, clock: FakeClock
) -> None:
    await directory.login("acme", Person("ann", unit="Finance"), 5_000)
    ann = directory.person("acme", "ann")
    assert ann is not None and (ann.unit, ann.source) == ("Finance", "oidc")
    assert directory.heard_ms("acme") is None, "a login is no directory"
    await directory.login("acme", Person("ann", unit="Legal"), 6_000)
    assert [one.unit for one in directory.people("acme")] == ["Legal"]

    await put(store, "bob", "2", unit="Sales")
    await directory.hear("acme")
    await directory.login("acme", Person("bob", unit="Board"), 7_000)
    await directory.login("acme", Person("eve", unit="Board"), 7_000)
    bob = directory.person("acme", "bob")
    assert bob is not None and (bob.unit, bob.source) == ("Sales", "scim")
    assert directory.person("acme", "eve") is None
    assert directory.signed_in_ms("acme", "eve") == 7_000


async def test_a_file_is_everybody_but_whom_scim_keeps(store: Store, directory: Directory, clock: FakeClock) -> None:
    await put(store, "scim", "1", unit="Sales")
    await directory.login("acme", Person("ann", unit="Board"), 5_000)
    first = await directory.bring("acme", [Person("Ann", unit="Finance"), Person("bob"), Person("scim", unit="Board")])
    assert (first.people, first.changed, first.kept_by_scim, first.ended) == (3, 2, 1, 0)
    assert directory.heard_ms("acme") == clock.wall_ms()
    again = await directory.bring("acme", [Person("Ann", unit="Finance"), Person("bob"), Person("scim", unit="Board")])
    assert again.changed == 0
    third = await directory.bring("acme", [Person("Ann", unit="Finance")])
    assert (third.changed, third.ended) == (0, 1)
    found = {one.user_name: (one.unit, one.active, one.source) for one in directory.people("acme")}
    assert found == {
        "Ann": ("Finance", True, "import"), "bob": ("", False, "import"), "scim": ("Sales", True, "scim"),
    }  # fmt: skip
    await directory.login("acme", Person("ann", unit="Board"), 9_000)
    ann = directory.person("acme", "ann")
    assert ann is not None and ann.unit == "Finance", "a file has the last word over a login"
    with pytest.raises(Refused, match="twice"):
        await directory.bring("acme", [Person("ann"), Person("ANN")])


async def test_the_directory_is_heard_to_the_minute(store: Store, directory: Directory, clock: FakeClock) -> None:
    assert directory.heard_ms("acme") is None
    await directory.hear("acme")
    began = clock.wall_ms()
    clock.advance(limits.DIRECTORY_HEARD_S - 1)
    await directory.hear("acme")
    assert directory.heard_ms("acme") == began
    clock.advance(1)
    await directory.hear("acme")
    other = Directory(store, clock.wall_ms)
    await other.refresh()
    assert other.heard_ms("acme") == clock.wall_ms() > began
    assert other.heard_ms("other") is None


async def test_a_token_opens_its_tenant_until_it_is_revoked_or_over(
    store: Store, directory: Directory, clock: FakeClock
) -> None:
    token, text = await directory.new_token("acme", "user:ann", 600)
    _, long = await directory.new_token("acme", "user:ann")
    other = Directory(store, clock.wall_ms)
    await other.refresh()
    assert other.tenant_of(text) == "acme"
    wrong = f"{text[:-1]}{'A' if text[-1] != 'A' else 'B'}"
    for bad in ("", "hfd_", wrong, text.upper(), f"{text} ", "hfd_" + "0" * 16 + "_" + "A" * 43):
        with pytest.raises(Refused) as refused:
            other.tenant_of(bad)
        assert refused.value.code == "directory.denied"
    clock.advance(600)
    with pytest.raises(Refused):
        other.tenant_of(text)
    assert other.tenant_of(long) == "acme"

    assert not await directory.revoke("globex", directory.tokens("acme")[0].id, "user:eve")
    assert await directory.revoke("acme", long.split("_")[1], "user:bob")
    await other.refresh()
    with pytest.raises(Refused):
        other.tenant_of(long)
    rows = await store.read(lambda c: repr(c.execute(statements.tokens.select()).all()))
    assert text not in rows and long not in rows and long.split("_", 2)[2] not in rows
    assert token.expires_ms == token.created_ms + 600_000


async def test_a_tenant_has_so_many_tokens(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DIRECTORY_TOKENS", 1)
    token, _ = await directory.new_token("acme", "user:ann")
    with pytest.raises(Refused, match="at most 1"):
        await directory.new_token("acme", "user:ann")
    await directory.revoke("acme", token.id, "user:ann")
    await directory.new_token("acme", "user:ann")
    with pytest.raises(Refused):
        await directory.new_token("globex", "user:ann", ttl_s=1e9)
