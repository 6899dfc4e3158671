"""Sign-ins that tokens speak of: noted now and then, off the path of requests, and never more of them than there may be."""

from __future__ import annotations

import pytest

from holdfast.errors import Unavailable
from holdfast.governance import limits
from holdfast.governance.directory.service import Directory
from holdfast.governance.directory.token_sign_ins import TokenSignIns
from holdfast.governance.store.store import Store
from holdfast.session.access import Principal
from holdfast.testing import FakeClock

pytestmark = pytest.mark.anyio
HOUR_S = 3_600


@pytest.fixture
async def directory(store: Store, clock: FakeClock) -> Directory:
    made = Directory(store, clock.wall_ms)
    await made.refresh()
    return made


@pytest.fixture
def seen(directory: Directory, clock: FakeClock) -> TokenSignIns:
    return TokenSignIns(directory, clock.wall_ms)


def token(signed_s: int, actor: str = "user:ann") -> Principal:
    return Principal(actor, "acme", (), labels=(("sign_in", str(signed_s)),))


async def test_what_a_token_says_is_noted_and_survives(
    store: Store, directory: Directory, seen: TokenSignIns, clock: FakeClock
) -> None:
    now_s = clock.wall_ms() // 1_000
    seen.see(token(now_s - 60, "user:Ann"), "")
    seen.see(token(now_s - 600), "")
    seen.see(token(now_s, "agent:writer"), "")
    seen.see(Principal("user:bob", "acme", ()), "")
    assert directory.signed_in_ms("acme", "ann") is None, "nobody waits for the store"
    await seen.note()
    assert directory.signed_in_ms("acme", "ann") == (now_s - 60) * 1_000
    assert directory.signed_in_ms("other", "ann") is None
    again = Directory(store, clock.wall_ms)
    await again.refresh()
    assert again.signed_in_ms("acme", "ann") == (now_s - 60) * 1_000
    assert again.signed_in_ms("acme", "writer") is None and again.signed_in_ms("acme", "bob") is None


async def test_one_who_is_silently_signed_in_anew_is_noted_once_in_a_while(
    store: Store, directory: Directory, seen: TokenSignIns, clock: FakeClock
) -> None:
    first_s = clock.wall_ms() // 1_000
    numbers = []
    for later_s in (0, 60, HOUR_S - 1, HOUR_S):
        clock.advance(later_s)
        seen.see(token(first_s + later_s), "")
        await seen.note()
        numbers.append(directory.signed_in_ms("acme", "ann"))
    assert numbers == [first_s * 1_000] * 3 + [(first_s + HOUR_S) * 1_000]


async def test_a_moment_to_come_is_now(directory: Directory, seen: TokenSignIns, clock: FakeClock) -> None:
    seen.see(token(clock.wall_ms() // 1_000 + 30), "")
    await seen.note()
    assert directory.signed_in_ms("acme", "ann") == clock.wall_ms()


async def test_what_waits_is_bounded_and_what_the_store_refuses_waits_on(
    store: Store, directory: Directory, seen: TokenSignIns, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DIRECTORY_SIGN_INS", 2)
    now_s = clock.wall_ms() // 1_000
    for name in ("ann", "bob", "cem"):
        seen.see(token(now_s, f"user:{name}"), "")

    async def down(*_: object) -> None:
        raise Unavailable("store.unavailable")

    with monkeypatch.context() as broken:
        broken.setattr(directory, "sign_ins", down)
        await seen.note()
    await seen.stop()
    noted = [directory.signed_in_ms("acme", name) for name in ("ann", "bob", "cem")]
    assert noted == [clock.wall_ms(), clock.wall_ms(), None], "the third is seen with the next request"


async def test_a_directory_has_no_more_of_them_than_people(
    directory: Directory, seen: TokenSignIns, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DIRECTORY_PEOPLE", 1)
    now_s = clock.wall_ms() // 1_000
    await directory.sign_in("acme", "ann", clock.wall_ms() - 2 * HOUR_S * 1_000)
    seen.see(token(now_s), "")
    seen.see(token(now_s, "user:bob"), "")
    await seen.note()
    assert directory.signed_in_ms("acme", "ann") == now_s * 1_000, "who is there already is noted"
    assert directory.signed_in_ms("acme", "bob") is None
