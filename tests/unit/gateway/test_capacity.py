"""The slots of one upstream: who gets one, whose turn it is, and that none is ever lost."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import Unavailable
from holdfast.gateway.capacity import Capacity, SlotAsker, UpstreamSlot, Waiter, waiting
from holdfast.gateway.port import Caller
from holdfast.protocol import limits

pytestmark = pytest.mark.anyio
ANN = SlotAsker(True, "chat", "k-ann")


def program(name: str = "batch", key: str = "k") -> SlotAsker:
    return SlotAsker(False, name, key)


def taken(capacity: Capacity, asker: SlotAsker) -> UpstreamSlot:
    slot = capacity.take(asker)
    assert slot is not None
    return slot


def standing(asker: SlotAsker, *capacities: Capacity) -> Waiter:
    waiter = Waiter(asker)
    waiter.stand(capacities)
    return waiter


def served(*waiters: Waiter) -> list[int]:
    return [number for number, waiter in enumerate(waiters) if waiter.done.done()]


@pytest.mark.parametrize(
    ("streams", "share", "reserved"), [(1, 0.25, 0), (2, 0.25, 1), (8, 0.25, 2), (100, 0.29, 29), (4, 1, 3), (4, 0, 0)]
)
def test_a_part_is_kept_for_people_and_never_all(streams: int, share: float, reserved: int) -> None:
    assert Capacity("u", streams, share).reserved == reserved


def test_only_a_label_makes_a_call_seated() -> None:
    kinds = {"seated": True, "headless": False, "other": False, "": False}
    for usage, seated in kinds.items():
        caller = Caller("k", labels=(("usage", usage), ("workflow", "w")) if usage else ())
        assert SlotAsker.of(caller).seated is seated
    assert SlotAsker.of(Caller("k")) == (False, "k", "k"), "a key without a workflow is one of its own"


async def test_headless_calls_get_what_is_not_reserved_and_people_everything() -> None:
    capacity = Capacity("u", 4, 0.5)
    assert [capacity.take(program()) is not None for _ in range(3)] == [True, True, False]
    assert [capacity.take(ANN) is not None for _ in range(3)] == [True, True, False]
    assert capacity.in_use == 4


async def test_people_who_wait_are_served_before_programs_that_wait_longer() -> None:
    capacity = Capacity("u", 2, 0.0)
    first, second = taken(capacity, program()), taken(capacity, ANN)
    batch, ann, bob = standing(program(), capacity), standing(ANN, capacity), standing(ANN, capacity)
    first.release()
    assert served(batch, ann, bob) == [1]
    second.release()
    assert served(batch, ann, bob) == [1, 2]
    assert capacity.load().headless.waiting == 1


async def test_people_who_are_served_do_not_use_the_reserve_up() -> None:
    capacity = Capacity("u", 8, 0.25)
    ann = [taken(capacity, ANN) for _ in range(3)]
    assert [capacity.take(program()) is not None for _ in range(4)] == [True, True, True, False]
    batch = standing(program(), capacity)
    taken(capacity, ANN)
    ann[0].release()
    assert not served(batch), "two are free, and both are kept"
    ann[1].release()
    assert served(batch) == [0]


async def test_a_slot_of_people_does_not_go_to_a_program_that_waits() -> None:
    capacity = Capacity("u", 2, 0.5)
    taken(capacity, program())
    people = taken(capacity, ANN)
    batch = standing(program(), capacity)
    people.release()
    assert not served(batch) and capacity.take(ANN) is not None


async def test_programs_take_turns_by_workflow_and_then_by_key() -> None:
    capacity = Capacity("u", 1, 0.0)
    slot = taken(capacity, program())
    flood = [standing(program("flood", "a"), capacity) for _ in range(4)]
    other = standing(program("flood", "b"), capacity)
    quiet = standing(program("quiet", "c"), capacity)
    waiters, order = [*flood, other, quiet], []
    for _ in waiters:
        slot.release()
        [now] = [waiter for waiter in waiters if waiter.done.done() and waiter not in order]
        order.append(now)
        found = now.take()
        assert found is not None
        slot = found
    assert order[:3] == [flood[0], quiet, other] and order[3:] == flood[1:]


async def test_nobody_who_comes_passes_those_who_wait() -> None:
    capacity = Capacity("u", 4, 0.25)
    slots = [taken(capacity, program()) for _ in range(3)]
    capacity.pause(9)
    batch = standing(program(), capacity)
    slots[0].release()
    assert capacity.take(program("other")) is None, "paused, and others wait"
    capacity.resume()
    assert served(batch) == [0] and capacity.take(program("other")) is None


async def test_after_a_pause_programs_go_on_and_people_never_stopped() -> None:
    capacity = Capacity("u", 2, 0.0)
    capacity.pause(float("nan"))
    assert not capacity.load().paused, "no number is no pause"
    capacity.pause(0.01)
    capacity.pause(0.001)
    assert capacity.load().paused and capacity.take(program()) is None and capacity.take(ANN) is not None
    with waiting(program(), [capacity]) as waiter:
        await waiter.done
        assert waiter.take() is not None and not capacity.load().paused


async def test_the_first_of_several_upstreams_that_has_a_slot_gives_it() -> None:
    one, two = Capacity("one", 1, 0.0), Capacity("two", 1, 0.0)
    first, second = taken(one, program()), taken(two, program())
    with waiting(program("late"), [one, two]) as waiter:
        second.release()
        await waiter.done
        assert one.load().headless.waiting == 0, "it stands nowhere else"
        slot = waiter.take()
        assert slot is not None and slot.capacity is two
    first.release()
    assert one.in_use == 0 and two.in_use == 1


async def test_a_slot_that_came_free_in_the_meantime_is_had_at_once() -> None:
    capacity = Capacity("u", 1, 0.0)
    with waiting(program(), [capacity, Capacity("v", 1, 0.0)]) as waiter:
        assert waiter.done.done()
    assert capacity.in_use == 0, "given and not taken"


async def test_who_leaves_is_passed_over() -> None:
    capacity = Capacity("u", 1, 0.0)
    slot = taken(capacity, program())
    gone, cancelled, stays = (standing(program(), capacity) for _ in range(3))
    gone.leave()
    cancelled.done.cancel()  # as a task does that is ended while it waits, before it has left
    slot.release()
    assert stays.take() is not None and capacity.in_use == 1 and cancelled.take() is None


async def test_a_line_is_bounded_and_who_floods_it_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UPSTREAM_WAITING", 3)
    capacity = Capacity("u", 1, 0.0)
    taken(capacity, program())
    flood = [standing(program("flood"), capacity) for _ in range(4)]
    assert served(*flood) == [3], "its own newest"
    quiet = standing(program("quiet"), capacity)
    assert served(*flood) == [2, 3] and not served(quiet)
    for refused in flood[2:]:
        with pytest.raises(Unavailable, match="as many calls as it may") as error:
            await refused.done
        assert error.value.code == "server.busy" and error.value.fields["retry_after_s"] == limits.BUSY_RETRY_S
    assert capacity.load().headless.waiting == 3


async def test_at_the_end_everybody_is_told() -> None:
    capacity = Capacity("u", 1, 0.0)
    slot = taken(capacity, program())
    batch, ann = standing(program(), capacity), standing(ANN, capacity)
    capacity.close()
    late = standing(program(), capacity)
    for waiter in (batch, ann, late):
        with pytest.raises(Unavailable) as error:
            await waiter.done
        assert error.value.code == "server.restarting"
    slot.release()
    assert capacity.take(ANN) is None and capacity.in_use == 0


ASKERS = [ANN, SlotAsker(True, "chat", "k-bob"), program("a", "1"), program("a", "2"), program("b", "3")]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "wait", "release", "twice", "leave", "cancel", "pause", "resume"]), st.integers(0, 9)
    ),
    max_size=60,
)


@settings(deadline=None)
@given(streams=st.integers(1, 5), share=st.sampled_from([0.0, 0.25, 0.5, 1.0]), steps=STEPS)
def test_whatever_happens_slots_are_neither_lost_nor_made(
    streams: int, share: float, steps: list[tuple[str, int]]
) -> None:
    async def play() -> None:
        capacities = [Capacity("u", streams, share), Capacity("v", 1, share)]
        had: list[tuple[UpstreamSlot, SlotAsker]] = []
        waiters: list[Waiter] = []
        before: dict[str, int] = {}
        for what, number in steps:
            asker = ASKERS[number % len(ASKERS)]
            capacity = capacities[number % 2]
            if what == "take" and (slot := capacity.take(asker)) is not None:
                had.append((slot, asker))
            elif what == "wait":
                waiters.append(standing(asker, *(capacities if number % 3 else [capacity])))
            elif what in ("release", "twice") and had:
                slot, _ = had.pop(number % len(had))
                slot.release()
                if what == "twice":
                    slot.release()
            elif what in ("leave", "cancel") and waiters:
                waiter = waiters.pop(number % len(waiters))
                if what == "cancel":
                    waiter.done.cancel()
                waiter.leave()
                if (slot_ := waiter.take()) is not None:
                    slot_.release()
            elif what == "pause":
                capacity.pause(60)
            elif what == "resume":
                capacity.resume()
            collect(waiters, had)
            check(capacities, had, waiters, before)
        for capacity in capacities:
            capacity.resume()
        collect(waiters, had)
        while had:
            had.pop()[0].release()
            collect(waiters, had)
        assert not waiters, "everybody was served in the end"
        assert [capacity.in_use for capacity in capacities] == [0, 0]

    asyncio.run(play())


def collect(waiters: list[Waiter], had: list[tuple[UpstreamSlot, SlotAsker]]) -> None:
    for waiter in [waiter for waiter in waiters if waiter.done.done()]:
        waiters.remove(waiter)
        slot = waiter.take()
        assert slot is not None
        had.append((slot, waiter.asker))


def check(
    capacities: list[Capacity],
    had: list[tuple[UpstreamSlot, SlotAsker]],
    waiters: list[Waiter],
    before: dict[str, int],
) -> None:
    for capacity in capacities:
        kinds = [asker.seated for slot, asker in had if slot.capacity is capacity]
        load = capacity.load()
        assert (load.seated.in_use, load.headless.in_use) == (kinds.count(True), kinds.count(False))
        assert len(kinds) <= capacity.streams, "never more than there are"
        assert kinds.count(False) <= capacity.streams - capacity.reserved, "never over what is reserved"
        grew = load.headless.in_use - before.get(capacity.name, 0)
        before[capacity.name] = load.headless.in_use
        assert grew <= 0 or len(kinds) <= capacity.streams - capacity.reserved, "programs begin beside a free reserve"
        assert load.seated.waiting == 0 or len(kinds) == capacity.streams, "no person waits beside a free slot"
        if load.headless.waiting and not load.paused:
            assert len(kinds) >= capacity.streams - capacity.reserved, "no program waits beside more than the reserve"
    lines = [capacity.load() for capacity in capacities]
    assert sum(load.seated.waiting + load.headless.waiting for load in lines) >= len(waiters)
