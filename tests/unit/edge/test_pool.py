"""Whatever there is only so much of: each tenant has a share that no other can take."""

from __future__ import annotations

import random

import pytest

from holdfast.edge.pool import Pool, Room, Who
from holdfast.errors import Unavailable


def pool(most: int = 80, each: int = 30, own: int = 8) -> Pool:
    return Pool("server.busy", "too much", most=most, each=each, own=own)


def fill(pool: Pool, who: Who) -> int:
    """How much one takes that takes what it gets."""
    taken = 0
    while pool.fits(who, 1):
        pool.take(who, 1)
        taken += 1
    return taken


def test_a_root_has_no_more_than_its_share_however_many_names_it_mints() -> None:
    mine = pool()
    assert fill(mine, Who("acme", "agent:a")) == 30
    with pytest.raises(Unavailable) as caught:
        mine.take(Who("acme", "agent:a"), 1)
    assert caught.value.code == "server.busy" and caught.value.fields["retry_after_s"] > 0
    assert (mine.held, mine.refused) == (30, 1)


@pytest.mark.parametrize(("most", "own"), [(80, 8), (80, 0), (81, 8), (9, 3), (2, 0), (1, 0), (1_000, 8), (7, 7)])
def test_a_tenant_alone_has_it_all_and_no_other_is_kept_out(most: int, own: int) -> None:
    shared = pool(most, each=10_000, own=own)
    assert fill(shared, Who("greedy", "a")) == most
    second = fill(shared, Who("second", "a"))
    assert second >= max(own, -(-(most - own) // 9) * 8 // 9, 1 if most - own >= 9 else own)
    for n in range(50):
        assert fill(shared, Who(f"t{n}", "a")) >= own


def test_room_comes_back_whole() -> None:
    random_, shared, held = random.Random(3), pool(most=200, each=60, own=10), []
    for _ in range(5_000):
        who = Who(f"t{random_.randint(0, 6)}", f"r{random_.randint(0, 3)}")
        amount = random_.randint(1, 40)
        if held and random_.random() < 0.5:
            shared.give(*held.pop(random_.randrange(len(held))))
        elif shared.fits(who, amount):
            shared.take(who, amount)
            held.append((who, amount))
        assert shared.held == sum(amount for _, amount in held)
    for who, amount in held:
        shared.give(who, amount)
    assert (shared.held, shared._taken, shared.holders) == (0, 0, 0)
    assert fill(shared, Who("one", "a")) == 60


def test_who_can_wait_is_let_in_in_the_order_of_asking() -> None:
    shared, who, came = pool(each=10), Who("acme", "agent:a"), []
    rooms = [Room(shared, who) for _ in range(4)]
    for n, size in enumerate((8, 8, 3, 2)):
        rooms[n].wait(size, lambda n=n: came.append(n))  # type: ignore[misc]
    assert came == [0, 3]  # what fits does not wait behind what does not
    rooms[2].leave()  # gone while it waited
    rooms[0].leave()
    assert came == [0, 3, 1] and shared.held == 10
    rooms[1].leave()
    rooms[3].shrink(2)
    assert came == [0, 3, 1] and shared.held == 0
    rooms[0].leave()
    assert shared.held == 0
