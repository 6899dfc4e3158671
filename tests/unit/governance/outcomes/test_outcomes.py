"""What is said of work: who may say it, which word counts, and what the ledger adds."""

from __future__ import annotations

import pytest

from holdfast.engines.memory import MemoryEngine
from holdfast.engines.port import Index, Key, LogAppend
from holdfast.errors import Refused
from holdfast.gateway.port import Served
from holdfast.governance.ledger.service import Ledger
from holdfast.governance.outcomes.feed import OutcomeFeed
from holdfast.governance.outcomes.model import OutcomeQuestion, TallyKey, standing
from holdfast.governance.outcomes.service import OutcomeRequest, OutcomeService
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.ledger import ledger_sessions as sessions
from holdfast.protocol.events import Event
from holdfast.protocol.frames import encode_frame
from holdfast.session.access import full_access
from holdfast.testing import FakeClock
from tests.unit.governance.ledger.conftest import NOON, ledger, opening, used  # noqa: F401 - a fixture

pytestmark = pytest.mark.anyio

KEY = Key("default", "s1")


@pytest.fixture
def outcomes(store: Store, clock: FakeClock) -> OutcomeService:
    clock.advance((NOON - clock.wall_ms()) / 1_000)
    return OutcomeService(store, clock.wall_ms)


async def work(books: Ledger, id_: str, model: str = "m1", **more: object) -> None:
    """A call that was served."""
    await books.open(opening(id_, asked=model, model=model, **more))
    await books.settle(Served(id_, "served", billed=(used(model),), at_ms=NOON))


async def say(outcomes: OutcomeService, verdict: str, by: str = "user:ann", **more: str) -> bool:
    request = OutcomeRequest(outcome=verdict, **more)
    return (await outcomes.record(request, by=by, tenant="default")).counts


async def test_an_outcome_has_its_model_its_task_and_its_cost_from_the_ledger(
    ledger: Ledger, outcomes: OutcomeService  # noqa: F811
) -> None:  # fmt: skip
    await work(ledger, "a1")
    await say(outcomes, "accepted", call="c-a1", value_usd="12.50")
    await work(ledger, "a2", "m2")
    await say(outcomes, "rejected", call="c-a2")
    await say(outcomes, "accepted", call="c-nobody")
    found = await outcomes.tallies("default")
    one = found[TallyKey("mail", "reply", "m1")]
    cost = (100 * 1_000 + 10 * 5_000) * 9 // 10
    assert (one.accepted, one.n, one.cost_nano, one.value_nano) == (1, 1, cost, 12_500_000_000)
    assert one.per_accepted_nano == cost
    other = found[TallyKey("mail", "reply", "m2")]
    assert (other.n, other.per_accepted_nano) == (1, None), "nothing accepted: the cost of one is unknown"
    assert len(found) == 2, "work that the ledger does not know is nobody's"


async def test_the_ledgers_word_may_come_later(ledger: Ledger, outcomes: OutcomeService) -> None:  # noqa: F811
    await say(outcomes, "accepted", call="c-a1")
    assert await outcomes.join() == 0
    await work(ledger, "a1")
    assert await outcomes.join() == 1 and await outcomes.join() == 0
    assert await outcomes.tallies("default")


async def test_a_later_word_of_the_same_kind_replaces_and_a_persons_stands(
    ledger: Ledger, outcomes: OutcomeService, clock: FakeClock  # noqa: F811
) -> None:  # fmt: skip
    await work(ledger, "a1")
    for verdict, by, counts in (
        ("accepted", "policy:qa", True),
        ("rejected", "check:schema", True),
        ("accepted", "policy:qa", False),
        ("escalated", "user:ann", True),
        ("accepted", "check:schema", False),
        ("accepted", "user:bob", True),
    ):
        clock.advance(1)
        assert await say(outcomes, verdict, by, call="c-a1") is counts, (verdict, by)
    (tally,) = (await outcomes.tallies("default")).values()
    assert (tally.accepted, tally.n) == (1, 1), "six words of one piece of work are one outcome"
    assert len(await outcomes.listed("default", 10)) == 1
    everything = await outcomes.listed("default", 10, OutcomeQuestion(superseded=True))
    assert len(everything) == 6 and standing(everything).by == "user:bob"


async def test_what_is_said_of_a_call_of_a_run_is_said_of_the_run(
    ledger: Ledger, outcomes: OutcomeService, clock: FakeClock  # noqa: F811
) -> None:  # fmt: skip
    await work(ledger, "a1", session="s1", run="r1")
    await work(ledger, "a2", session="s1", run="r1")
    await say(outcomes, "rejected", call="c-a1")
    clock.advance(1)
    await say(outcomes, "accepted", session="s1", run="r1")
    (tally,) = (await outcomes.tallies("default")).values()
    assert (tally.accepted, tally.n) == (1, 1)
    assert tally.cost_nano == 2 * (100 * 1_000 + 10 * 5_000) * 9 // 10, "all calls of the run"


async def test_work_that_several_models_did_is_nobodys(ledger: Ledger, outcomes: OutcomeService) -> None:  # noqa: F811
    await work(ledger, "a1", session="s1", run="r1")
    await work(ledger, "a2", "m2", session="s1", run="r1")
    await say(outcomes, "accepted", session="s1", run="r1")
    assert await outcomes.tallies("default") == {}


async def test_an_agent_does_not_judge_its_own_work(outcomes: OutcomeService) -> None:
    for by in ("agent:writer", "model", "key:k1"):
        with pytest.raises(Refused) as caught:
            await say(outcomes, "accepted", by, call="c-1")
        assert caught.value.code == "outcome.own_work"
    minted = full_access("default", "user:ann")
    minted = type(minted)(minted.actor, minted.tenant, minted.capabilities, minters=("agent:writer",))
    request = OutcomeRequest(outcome="accepted", call="c-1")
    with pytest.raises(Refused) as caught:
        await outcomes.record(request, by="user:ann", tenant="default", principal=minted)
    assert caught.value.code == "outcome.own_work"


@pytest.mark.parametrize(
    "wrong", [{"call": ""}, {"call": "c", "run": "r", "session": "s"}, {"run": "r"}, {"call": "c", "value_usd": "much"}]
)  # fmt: skip
async def test_what_is_no_outcome_is_refused(outcomes: OutcomeService, wrong: dict[str, str]) -> None:
    with pytest.raises(Refused) as caught:
        await say(outcomes, "accepted", **wrong)
    assert caught.value.code == "outcome.invalid"
    with pytest.raises(Refused):
        await say(outcomes, "fine", call="c-1")


async def test_the_same_request_twice_is_one(outcomes: OutcomeService) -> None:
    await say(outcomes, "accepted", call="c-1", id="ticket-7")
    await say(outcomes, "rejected", call="c-1", id="ticket-7")
    (one,) = await outcomes.listed("default", 10, OutcomeQuestion(superseded=True))
    assert one.verdict == "accepted"


class Log:
    """A session into which people write, as the hub would have it stored."""

    def __init__(self, engine: MemoryEngine) -> None:
        self.engine = engine
        self.seq = 0

    async def write(self, type_: str, data: dict[str, object], actor: str = "user:ann", **facts: object) -> None:
        self.seq += 1
        event = Event(self.seq, NOON + self.seq, actor, type_, data)
        notices = []
        if type_ != "input.message":
            notices.append(
                {
                    "type": type_,
                    "session": "s1",
                    "incarnation": "i1",
                    "seq": self.seq,
                    "ts": NOON,
                    "actor": actor,
                    **facts,
                }
            )
        await self.engine.append(
            LogAppend(KEY, "i1", self.seq - 1, [encode_frame("s1", [event])], NOON, notices=notices)
        )


async def test_events_of_sessions_are_read_once_and_proxies_stand_beside(
    ledger: Ledger, outcomes: OutcomeService, store: Store, clock: FakeClock  # noqa: F811
) -> None:  # fmt: skip
    engine = MemoryEngine()
    await engine.open()
    await engine.create(KEY, "i1", NOON, Index())
    log, feed = Log(engine), OutcomeFeed(engine, store, clock.wall_ms)
    for number, verdict in enumerate(("accepted", "rejected", "accepted", "rejected"), 1):
        edits = {"edits": "m1"} if number == 3 else {}
        await log.write("input.message", {"messageId": f"m{number}", "text": "x", **edits})
        await log.write("run.queued", {"agent": "model"}, run=f"r{number}", input=f"m{number}", agent="model")
        if verdict == "rejected":  # asked again
            await log.write("run.queued", {"agent": "model"}, run=f"r{number}b", input=f"m{number}", agent="model")
        await work(ledger, f"a{number}", session="s1", run=f"r{number}")
        await log.write("outcome.recorded", {"run": f"r{number}", "outcome": verdict, "value_usd": "1"})
    await log.write("outcome.recorded", {"outcome": "accepted"})
    await log.write("outcome.recorded", {"run": "r1", "outcome": "splendid"})
    assert await feed.read() == 4, "what is no outcome is left out"
    assert await feed.read() == 0
    found = await outcomes.listed("default", 10)
    assert {one.by for one in found} == {"user:ann"} and all(one.model == "m1" for one in found)
    again = await outcomes.proxies("default")
    assert (again.regenerated.n, again.regenerated.phi) == (4, 1.0), "just those that were asked again were rejected"
    assert again.edited.n == 4 and again.edited.phi == pytest.approx(-(3**-0.5))
    await engine.close()


async def test_the_session_of_an_outcome_has_its_name_until_it_is_deleted(
    ledger: Ledger,  # noqa: F811
    outcomes: OutcomeService,
    store: Store,
) -> None:
    await say(outcomes, "accepted", session="s1", run="r1")
    (found,) = await outcomes.listed("default", 10)
    assert found.session not in ("", "s1") and await outcomes.session_names([found]) == {found.session: "s1"}
    await store.write(lambda connection: connection.execute(sessions.delete()))
    assert await outcomes.session_names([found]) == {}
