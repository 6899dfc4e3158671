"""When somebody signed in: what every token of a login says, and what the directory is told."""

from __future__ import annotations

import pytest

from holdfast.errors import HoldfastError
from holdfast.governance.directory.model import Person
from holdfast.governance.directory.service import Directory
from holdfast.governance.store.store import Store
from holdfast.testing import FakeClock
from tests.unit.governance.oversight.console import Console, Open

pytestmark = pytest.mark.anyio


def sign_in_of(console: Console, token: str) -> int:
    return int(dict(console.verifier.verify(token).labels)["sign_in"])


async def test_every_token_of_a_login_says_when_its_person_signed_in(console: Console, clock: FakeClock) -> None:
    began_s = clock.wall_ms() // 1_000
    await console.login()
    first = (await console.token()).json()["token"]
    clock.advance(120)
    second = (await console.token()).json()["token"]
    assert [sign_in_of(console, token) for token in (first, second)] == [began_s, began_s], "it does not grow newer"


async def test_who_the_provider_knew_already_signed_in_when_it_says(console: Console, clock: FakeClock) -> None:
    now_s = clock.wall_ms() // 1_000
    for auth_time, wanted in ((now_s - 7_200, now_s - 7_200), (now_s + 30, now_s), ("soon", now_s), (True, now_s)):
        console.provider.claims["auth_time"] = auth_time
        await console.login()
        assert sign_in_of(console, (await console.token()).json()["token"]) == wanted, auth_time


class Noted:
    """A directory that remembers, or fails."""

    def __init__(self) -> None:
        self.logins: list[tuple[str, Person, int]] = []
        self.error: HoldfastError | None = None

    def is_unproven(self, tenant: str, login: Person) -> bool:
        return False

    async def login(self, tenant: str, login: Person, at_ms: int) -> None:
        if self.error is not None:
            raise self.error
        self.logins.append((tenant, login, at_ms))


async def test_the_directory_is_told_of_each_login_and_what_the_provider_says_of_somebody(
    opened: Open, clock: FakeClock
) -> None:
    noted = Noted()
    async with opened(directory=noted, oidc_unit_claim="dept") as console:
        now_s = clock.wall_ms() // 1_000
        console.provider.claims |= {
            "dept": "Finance",
            "name": "Ann Lee",
            "email": "ann@x.example",
            "auth_time": now_s - 60,
        }
        await console.login()
        console.provider.claims |= {"email_verified": True, "dept": ["Finance"], "name": "Ann\nLee", "auth_time": None}
        await console.login()
        noted.error = HoldfastError("store.unavailable")
        assert (await console.login()).status_code == 303, "nobody is sent away for that"
    assert noted.logins == [
        ("default", Person("ann", "", "Ann Lee", "Finance"), (now_s - 60) * 1_000),
        ("default", Person("ann", "ann@x.example", "", ""), clock.wall_ms()),
    ]


async def test_nobody_logs_in_under_an_address_of_somebody_here_that_is_not_verified(
    opened: Open, store: Store, clock: FakeClock
) -> None:
    directory = Directory(store, clock.wall_ms)
    await directory.refresh()
    await directory.bring("default", [Person("eve"), Person("boss", email="boss@x.example")])
    async with opened(directory=directory, oidc_actor_claim="preferred_username") as console:
        console.provider.claims |= {"preferred_username": "boss@x.example", "email": "boss@x.example"}
        for claims in ({}, {"email_verified": False}, {"email_verified": True, "email": "eve@x.example"}):
            console.provider.claims |= claims
            answer = await console.login()
            assert "has not verified it" in answer.text and answer.status_code == 403, claims
        assert directory.signed_in_ms("default", "boss") is None
        console.provider.claims |= {"email": "Boss@x.example"}
        assert (await console.login()).status_code == 303
        assert directory.signed_in_ms("default", "boss") == clock.wall_ms()
        assert [one.user_name for one in directory.people("default")] == ["boss", "eve"]
