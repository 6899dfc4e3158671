"""Whatever there is only so much of: each tenant has a share that no other can take."""

from __future__ import annotations

import random

import pytest

from holdfast.edge.pool import AccountKey, Allocation, Pool
from holdfast.errors import Unavailable


def pool(most: int = 80, each: int = 30, own: int = 8) -> Pool:
    return Pool("server.busy", "too much", tenant_limit=most, root_limit=each, tenant_guarantee=own)


def fill(pool: Pool, key: AccountKey) -> int:
    """How much one takes that takes what it gets."""
    amount_sum = 0
    while pool.fits(key, 1):
        pool.acquire(key, 1)
        amount_sum += 1
    return amount_sum


def test_a_root_has_no_more_than_its_share_however_many_names_it_mints() -> None:
    mine = pool()
    assert fill(mine, AccountKey("acme", "agent:a")) == 30
    with pytest.raises(Unavailable) as caught:
        mine.acquire(AccountKey("acme", "agent:a"), 1)
    assert caught.value.code == "server.busy" and caught.value.fields["retry_after_s"] > 0
    assert (mine.in_use, mine.refused) == (30, 1)


@pytest.mark.parametrize(("most", "own"), [(80, 8), (80, 0), (81, 8), (9, 3), (2, 0), (1, 0), (1_000, 8), (7, 7)])
def test_a_tenant_alone_has_it_all_and_no_other_is_kept_out(most: int, own: int) -> None:
    shared = pool(most, each=10_000, own=own)
    assert fill(shared, AccountKey("greedy", "a")) == most
    second = fill(shared, AccountKey("second", "a"))
    assert second >= max(own, -(-(most - own) // 9) * 8 // 9, 1 if most - own >= 9 else own)
    for n in range(50):
        assert fill(shared, AccountKey(f"t{n}", "a")) >= own


def test_room_comes_back_whole() -> None:
    random_, shared, allocations = random.Random(3), pool(most=200, each=60, own=10), []
    for _ in range(5_000):
        key = AccountKey(f"t{random_.randint(0, 6)}", f"r{random_.randint(0, 3)}")
        amount = random_.randint(1, 40)
        if allocations and random_.random() < 0.5:
            shared.release(*allocations.pop(random_.randrange(len(allocations))))
        elif shared.fits(key, amount):
            shared.acquire(key, amount)
            allocations.append((key, amount))
        assert shared.in_use == sum(amount for _, amount in allocations)
    for key, amount in allocations:
        shared.release(key, amount)
    assert (shared.in_use, shared._shared_in_use, shared.root_count) == (0, 0, 0)
    assert fill(shared, AccountKey("one", "a")) == 60


def test_who_can_wait_is_let_in_in_the_order_of_asking() -> None:
    shared, key, granted = pool(each=10), AccountKey("acme", "agent:a"), []
    allocations = [Allocation(shared, key) for _ in range(4)]
    for n, size in enumerate((8, 8, 3, 2)):
        allocations[n].wait(size, lambda n=n: granted.append(n))  # type: ignore[misc]
    assert granted == [0, 3]  # what fits does not wait behind what does not
    allocations[2].release()  # gone while it waited
    allocations[0].release()
    assert granted == [0, 3, 1] and shared.in_use == 10
    allocations[1].release()
    allocations[3].shrink(2)
    assert granted == [0, 3, 1] and shared.in_use == 0
    allocations[0].release()
    assert shared.in_use == 0
