"""Work is charged to the root and the tenant before it is done, waits where it must, and begins in a fair order."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest

from holdfast.edge.accounts import Account
from holdfast.edge.charges import Charges
from holdfast.edge.config import Settings
from holdfast.edge.rate import Bucket
from holdfast.errors import Unavailable
from holdfast.protocol import limits
from holdfast.session.access import Principal, full_access, root_of

pytestmark = pytest.mark.anyio

MIB = 1 << 20


class Clock:
    """Time that stands still unless it is told to go."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def charges(clock: Clock) -> Charges:
    return Charges(Settings(work_per_s=64 * MIB), clock)


def who(charges: Charges, actor: str = "user:ann", tenant: str = "acme") -> Account:
    return charges.account(full_access(tenant, actor))


# --- what is charged, and to whom
@pytest.mark.parametrize(
    ("value", "nodes"),
    [
        (1, 0), ([], 1), ([1, 2, 3], 3), ({"a": 1, "b": [1, 2]}, 4), ([[[]]], 3), ([{"a": 1}] * 1_000, 2_000),
        ({"text": "a, b"}, 2),
    ],
)  # fmt: skip
def test_values_are_counted_before_anything_is_decoded(charges: Charges, value: Any, nodes: int) -> None:
    raw = json.dumps(value, separators=(",", ":")).encode()
    assert charges.price(raw, 7) == len(raw) + nodes * limits.NODE_BYTES + 7
    assert (charges.bytes, charges.nodes) == (len(raw), nodes)


@pytest.mark.parametrize(
    ("actor", "root", "charged"),
    [
        ("agent:writer", "", "agent:writer"),
        ("agent:writer/x", "", "agent:writer"),
        ("agent:writer/x/y", "agent:writer", "agent:writer"),
        ("agent:writer/x", "agent:writer/x", "agent:writer"),
        ("agent:critic", "user:ann", "user:ann"),
        ("user:ann", "user:ann", "user:ann"),
        ("user:bob", "user:admin", "user:bob"),
    ],
)
def test_a_minted_name_has_no_bounds_of_its_own(charges: Charges, actor: str, root: str, charged: str) -> None:
    principal = Principal(actor, "acme", (), root=root)
    assert root_of(principal) == charged
    assert charges.account(principal) is who(charges, charged)
    assert charges.account(principal) is not who(charges, charged, "globex")


def test_an_account_is_kept_while_something_of_it_is_under_way(
    charges: Charges, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.edge.accounts._IDLE_ACCOUNTS", 2)
    busy, owing = who(charges, "user:busy"), who(charges, "user:owing")
    assert charges.admit(busy, 5)
    charges.spend(owing, 5)
    idle = who(charges, "user:idle")
    for n in range(9):
        who(charges, f"user:{n}", f"t{n}")
    assert (who(charges, "user:busy"), who(charges, "user:owing")) == (busy, owing)
    assert who(charges, "user:idle") is not idle
    charges.finish(busy, 5)
    clock.now += 9
    for n in range(9):
        who(charges, f"user:{n}", f"t{n}")
    assert who(charges, "user:busy") is not busy
    assert len(charges._accounts._accounts) <= 4 and len(charges._accounts._tenants) <= 4


# --- rates
def test_a_refusal_says_when_the_same_is_let_through(clock: Clock) -> None:
    for per_s, burst, amounts in ((10.0, 20.0, (20, 5)), (100.0, 200.0, (1_000, 1_000)), (3.0, 3.0, (2, 2, 2))):
        bucket = Bucket(per_s, burst, clock)
        for amount in amounts:
            while True:
                try:
                    bucket.take(amount)
                    break
                except Unavailable as error:
                    wait_s = error.fields["retry_after_s"]
                    assert wait_s > 0
                    clock.now += wait_s * 0.9
                    with pytest.raises(Unavailable):
                        bucket.take(amount)
                    clock.now += wait_s * 0.1
                    bucket.take(amount)
                    break


def test_a_bucket_gives_no_more_than_its_rate(clock: Clock) -> None:
    bucket, began, taken_sum = Bucket(100.0, 200.0, clock), clock.now, 0
    for step in range(2_000):
        clock.now += 0.01
        try:
            bucket.take(1 + step % 7)
            taken_sum += 1 + step % 7
        except Unavailable:
            pass
    assert 0.95 < taken_sum / (200 + 100 * (clock.now - began)) <= 1


async def test_who_owes_is_told_how_long_and_small_work_still_goes(charges: Charges, clock: Clock) -> None:
    ann = who(charges)
    charges.spend(ann, 96 * MIB)  # half a second more than there was
    charges.check(ann, limits.SMALL_WORK_BYTES)
    assert charges.admit(ann, limits.SMALL_WORK_BYTES)
    assert not charges.admit(ann, limits.SMALL_WORK_BYTES + 1)
    with pytest.raises(Unavailable) as caught:
        charges.check(ann, MIB)
    assert (caught.value.code, charges.refused) == ("limit.rate", 1)
    clock.now += caught.value.fields["retry_after_s"]
    charges.check(ann, MIB)
    charges.spend(ann, 130 * MIB)  # more than a second's: now nothing goes
    with pytest.raises(Unavailable) as caught:
        charges.check(ann, 1)
    clock.now += caught.value.fields["retry_after_s"]
    charges.check(ann, 1)


async def test_a_tenant_pays_for_all_its_accounts(charges: Charges) -> None:
    for n in range(2):
        charges.spend(who(charges, f"user:{n}"), 64 * MIB)
    with pytest.raises(Unavailable):
        charges.check(who(charges, "user:other"), MIB)
    charges.check(who(charges, "user:other", "globex"), MIB)


# --- turns
class Desk:
    """Brings work, and keeps in which order it began."""

    def __init__(self, charges: Charges) -> None:
        self.charges = charges
        self.began: list[str] = []

    def bring(self, name: str, account: Account, work: int) -> None:
        if self.charges.admit(account, work):
            self.began.append(name)
        else:
            self.charges.wait(account, work, lambda: self.began.append(name))

    async def turns(self, count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(0)


@pytest.fixture
def desk(charges: Charges, monkeypatch: pytest.MonkeyPatch) -> Desk:
    for name, value in (
        ("WORK_TURN_BYTES", 100), ("WORK_EACH_BYTES", 1_000), ("WORK_TENANT_BYTES", 2_000), ("WORK_BYTES", 3_000),
        ("WORK_OWN_BYTES", 50), ("SMALL_WORK_BYTES", 10),
    ):  # fmt: skip
        monkeypatch.setattr(limits, name, value)
    return Desk(charges)


async def test_after_a_turn_the_rest_waits_until_the_loop_has_gone_round(desk: Desk) -> None:
    ann = who(desk.charges)
    for n in range(5):
        desk.bring(f"{n}", ann, 60)
    assert (desk.began, desk.charges.waited) == (["0", "1"], 3)
    await desk.turns(1)
    assert desk.began == ["0", "1", "2", "3"]
    await desk.turns(1)
    assert desk.began == ["0", "1", "2", "3", "4"]
    assert (desk.charges.in_progress, ann.in_progress) == (300, 300)


async def test_who_had_least_goes_first(desk: Desk) -> None:
    """One asks for much over many connections, then others for little: none of them waits for more than a turn."""
    greedy, tenants = who(desk.charges, "agent:greedy"), ["globex", "initech"]
    for n in range(20):
        desk.bring(f"greedy {n}", greedy, 90)
    for tenant in tenants:
        for n in range(3):
            desk.bring(f"{tenant} {n}", who(desk.charges, f"user:{n}", tenant), 20)
    desk.bring("bob", who(desk.charges, "user:bob"), 20)
    await desk.turns(3)
    ahead = [name for name in desk.began[2:] if name.startswith("greedy")]
    assert {name for name in desk.began if not name.startswith("greedy")} == {
        "globex 0", "globex 1", "globex 2", "initech 0", "initech 1", "initech 2", "bob",
    }  # fmt: skip
    assert len(ahead) <= 2


async def test_a_tenant_of_many_has_no_more_turns_than_a_tenant_of_one(desk: Desk) -> None:
    for _ in range(10):
        for account in range(10):
            desk.bring("many", who(desk.charges, f"user:{account}"), 50)
        desk.bring("one", who(desk.charges, "user:one", "globex"), 50)
    began = desk.began
    for _ in range(40):
        await desk.turns(1)
        for account in [who(desk.charges, f"user:{n}") for n in range(10)]:
            desk.charges.finish(account, account.in_progress)
        if began.count("one") == 9:
            break
    assert began.count("many") <= 14


async def test_small_work_goes_before_large_work_of_the_same(desk: Desk) -> None:
    ann = who(desk.charges)
    for n in range(4):
        desk.bring(f"large {n}", ann, 100)
    desk.bring("small", ann, 10)
    await desk.turns(1)
    assert desk.began == ["large 0", "small", "large 1"]


@pytest.mark.parametrize("most", ["WORK_EACH_BYTES", "WORK_TENANT_BYTES", "WORK_BYTES"])
async def test_what_is_begun_and_not_answered_has_a_most(desk: Desk, most: str) -> None:
    """Of an account, a tenant, and everybody; a tenant that has nothing begun may always begin."""
    spread = {
        "WORK_EACH_BYTES": lambda n: ("acme", "user:ann"),
        "WORK_TENANT_BYTES": lambda n: ("acme", f"user:{n}"),
        "WORK_BYTES": lambda n: (f"t{n}", "user:ann"),
    }[most]
    accounts = [who(desk.charges, actor, tenant) for tenant, actor in map(spread, range(50))]
    for n, account in enumerate(accounts):
        desk.bring(f"{n}", account, 100)
    await desk.turns(60)
    bound: int = getattr(limits, most)
    if most == "WORK_BYTES":
        assert len(desk.began) == 50, "each tenant's own"
        for n, account in enumerate(accounts):
            desk.bring(f"again {n}", account, 100)
        await desk.turns(60)
        assert len(desk.began) == 50
        assert desk.charges.in_progress == 50 * 100 > bound
    else:
        assert desk.charges.in_progress == len(desk.began) * 100 == bound
        desk.charges.finish(accounts[0], 100)
        await desk.turns(2)
        assert desk.charges.in_progress == bound and len(desk.began) == bound // 100 + 1
    desk.bring("another tenant", who(desk.charges, "user:new", "new"), 100)
    await desk.turns(2)
    assert desk.began[-1] == "another tenant"


async def test_who_owes_waits_and_goes_on_when_it_is_paid(desk: Desk, clock: Clock) -> None:
    ann = who(desk.charges)
    desk.charges.spend(ann, 64 * MIB + MIB // 64)
    desk.bring("ann", ann, 50)
    desk.bring("bob", who(desk.charges, "user:bob", "globex"), 50)
    await desk.turns(3)
    assert desk.began == ["bob"]
    clock.now += 1
    async with asyncio.timeout(5):
        while desk.began != ["bob", "ann"]:
            await asyncio.sleep(0.0005)


async def test_one_whose_work_fails_costs_nobody_else_a_turn(desk: Desk) -> None:
    ann, contexts = who(desk.charges), []
    asyncio.get_running_loop().set_exception_handler(lambda loop, about: contexts.append(about))
    desk.bring("0", ann, 100)
    desk.charges.wait(ann, 20, lambda: 1 / 0)
    desk.charges.wait(who(desk.charges, "user:bob"), 20, lambda: desk.began.append("bob"))
    desk.charges.wait(ann, 20, lambda: desk.began.append("ann"))
    await desk.turns(2)
    assert sorted(desk.began) == ["0", "ann", "bob"] and len(contexts) == 1


async def test_who_waits_and_goes_holds_nothing(desk: Desk) -> None:
    ann = who(desk.charges)
    desk.bring("0", ann, 100)
    waiting = asyncio.create_task(desk.charges.wait_turn(ann, 100))
    await desk.turns(1)
    waiting.cancel()
    await desk.turns(3)
    desk.charges.finish(ann, 100)
    assert (ann.in_progress, desk.charges.in_progress) == (0, 0)


async def test_no_order_of_coming_leaves_anybody_behind(desk: Desk) -> None:
    """However work of many sizes comes and is answered, all of it begins."""
    random_ = random.Random(7)
    expected = 0
    in_progress: list[tuple[Account, int]] = []
    for _ in range(400):
        account = who(desk.charges, f"user:{random_.randint(0, 5)}", f"t{random_.randint(0, 3)}")
        work = random_.choice([1, 5, 20, 100, 500, 1_500])
        expected += 1
        if desk.charges.admit(account, work):
            in_progress.append((account, work))
        else:
            desk.charges.wait(account, work, lambda a=account, w=work: in_progress.append((a, w)))  # type: ignore[misc]
        if random_.random() < 0.4:
            await desk.turns(1)
        while in_progress and random_.random() < 0.3:
            desk.charges.finish(*in_progress.pop())
            expected -= 1
    for _ in range(2_000):
        await desk.turns(1)
        if in_progress:
            desk.charges.finish(*in_progress.pop(0))
            expected -= 1
        if not expected:
            break
    assert expected == 0 and desk.charges.in_progress == 0 and not desk.charges._queue
