"""A budget ends an answer in the middle: real budgets, a real ledger, a gateway alone and beside a session server, on both
databases, and OpenAI's and Anthropic's Python clients as they are."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest

from holdfast.errors import HoldfastError
from holdfast.governance import limits
from holdfast.governance.budgets import definition_store
from holdfast.governance.budgets.definitions import BudgetTerms
from holdfast.governance.budgets.model import BrakeRule, BudgetAccount
from holdfast.governance.budgets.requests import Requester
from holdfast.governance.ledger.model import Row
from holdfast.governance.money import parse
from tests.fake_upstream.process import FakeUpstream
from tests.unit.gateway.test_brake_clients import (
    ASKS,
    USAGE,
    Ask,
    chat_raw,
    message_helper,
    message_raw,
    response_helper,
    response_raw,
)
from tests.unit.governance.app.conftest import Serve, Served, both_wires, upstream

pytestmark = [pytest.mark.anyio, pytest.mark.process]

SAID: Any = [{"role": "user", "content": "Tell me something."}]
CAP_USD = "0.012"
TOKENS = 3_000
"""Of an answer: more than the cap is enough for, in each of both models."""
ANN = Requester("user:ann", "default")


@pytest.fixture
def talkative(fake: FakeUpstream) -> FakeUpstream:
    """A provider whose answers are long."""
    fake.always(tokens=TOKENS, input=30)
    return fake


@pytest.fixture(autouse=True)
def _as_before(fake: FakeUpstream) -> Any:
    yield
    fake.always()


@contextlib.asynccontextmanager
async def clients(served: Served) -> AsyncIterator[tuple[openai.AsyncOpenAI, anthropic.AsyncAnthropic]]:
    http = openai.DefaultAsyncHttpxClient(trust_env=False)
    async with (
        openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key=served.key, http_client=http) as chat,
        anthropic.AsyncAnthropic(base_url=served.url, api_key=served.key) as claude,
    ):
        yield chat, claude


async def budget(served: Served, usd: str = CAP_USD, **more: Any) -> None:
    """A budget of the key's workflow that is enforced."""
    facts = {"per": "total", "scope": {"workflow": "refunds"}, "mode": "enforce", "decider": "user:ann"} | more
    await served.governance.budget_desk.set("default", "refunds", BudgetTerms(usd=usd, **facts), by="user:bea")


async def brake(served: Served, policy: Any, wait_s: int = 300) -> None:
    """The workflow's rule; as short as a test wants it."""
    rule = BrakeRule("refunds", policy, wait_s, "user:bea", 0)
    await served.governance.budgets.change(
        lambda connection: (definition_store.put_brake(connection, "default", rule), ())
    )


async def account(served: Served) -> BudgetAccount:
    (found,) = await served.governance.budgets.accounts("default")
    return found


async def holds_together(served: Served, rows: list[Row], cap_usd: str = CAP_USD) -> None:
    """What was spent is what the rows say, all of it on record, nothing held, and no more than may be."""
    spent = sum(row.billed_nano or 0 for row in rows)
    accounts = await served.governance.budgets.accounts("default")
    assert sum(one.spent_nano for one in accounts) == spent
    for one in accounts:
        assert (one.reserved_nano, one.attempts) == (0, 0) and 0 < one.spent_nano <= parse(cap_usd), one
    assert await served.governance.budgets.verify("default") == []


def words_of(heard: list[Any]) -> int:
    return len("".join(each for each in heard if isinstance(each, str)).split())


async def waiting(served: Served) -> dict[str, Any]:
    """The one request that waits for a decision, once it is there."""
    while True:
        found = (await served.governance.budget_desk.requests(ANN, "waiting"))["requests"]
        if found:
            (one,) = found
            return dict(one)
        await asyncio.sleep(0.01)


async def test_an_answer_ends_in_the_middle_in_the_clients_own_class(serve: Serve, talkative: FakeUpstream) -> None:
    async with serve(*both_wires(talkative)) as served, clients(served) as both:
        await budget(served, each="run")  # a call in no session is a run by itself: each has the whole cap
        for number, ask in enumerate(ASKS, 1):
            heard: list[Any] = []
            with pytest.raises((openai.APIError, anthropic.APIStatusError, RuntimeError)) as caught:
                await ask(*both, heard)
            error: Any = caught.value
            used = [each for each in heard if isinstance(each, int)]
            row = (await served.rows(number))[-1]
            if ask is not response_helper:  # which raises at `response.incomplete`, one event before the error
                assert used and used[-1] >= words_of(heard), ask.__name__
                if isinstance(error, openai.APIError):
                    assert (error.code, error.type) == ("budget_exceeded", "budget_exceeded"), ask.__name__
                else:
                    assert (error.status_code, error.error_code) == (200, "budget_exceeded"), ask.__name__
                assert "'refunds'" in str(error) and "$0.012" in str(error)
            assert (row.outcome, row.basis, row.reason) == ("cut", "estimated", "budget.exceeded"), ask.__name__
            granted = row.counts["output"] - limits.BUDGET_TAIL_TOKENS
            assert 0 < words_of(heard) <= granted < TOKENS, (ask.__name__, words_of(heard), granted)
        assert len(talkative.stats().requests) == len(ASKS), "they do not come again"
        await holds_together(served, await served.rows(len(ASKS)))
        refusals = await served.governance.budget_desk.refusals("default")
        assert [one["false"] for one in refusals["refusals"]] == [False] * len(ASKS)
        assert all(one["in_stream"] for one in refusals["refusals"])


@pytest.mark.parametrize("ask", [chat_raw, response_raw, message_raw, message_helper])
async def test_a_truncated_answer_raises_nothing(serve: Serve, talkative: FakeUpstream, ask: Ask) -> None:
    async with serve(*both_wires(talkative)) as served, clients(served) as both:
        await budget(served)
        await brake(served, "truncate")
        heard: list[Any] = []
        await ask(*both, heard)
        (row,) = await served.rows(1)
        assert 0 < words_of(heard) <= row.counts["output"] - limits.BUDGET_TAIL_TOKENS
        assert [each for each in heard if isinstance(each, int)][-1] >= words_of(heard)
        assert len(talkative.stats().requests) == 1
        await holds_together(served, [row])


@pytest.mark.parametrize("ask", [chat_raw, response_helper, message_raw])
async def test_an_answer_waits_for_a_person_and_goes_on_where_it_was(
    serve: Serve, talkative: FakeUpstream, ask: Ask
) -> None:
    async with serve(*both_wires(talkative)) as served, clients(served) as both:
        await budget(served)
        await brake(served, "ask")
        heard: list[Any] = []
        asking = asyncio.create_task(ask(*both, heard))
        while not asking.done():
            wanted = asyncio.create_task(waiting(served))
            await asyncio.wait({asking, wanted}, return_when=asyncio.FIRST_COMPLETED)
            if not wanted.done():
                wanted.cancel()
                break
            request = wanted.result()
            assert request["name"] == "refunds" and words_of(heard) < TOKENS
            assert (await account(served)).reserved_nano > 0, "its money stays reserved while it waits"
            await served.governance.budget_desk.decide(ANN, request["id"], "approved", "go on")
        await asking
        assert words_of(heard) == TOKENS, "nothing is missing, nothing came twice"
        (row,) = await served.rows(1)
        assert (row.outcome, row.basis, row.counts["output"]) == ("served", "exact", TOKENS)
        assert len(talkative.stats().requests) == 1
        raised = await account(served)
        assert raised.budget.cap_nano > parse(CAP_USD) and raised.budget.approved_by == "user:ann"
        await holds_together(served, [row], "1")


async def ended_unraised(served: Served, chat: openai.AsyncOpenAI, heard: list[Any]) -> None:
    with pytest.raises(openai.APIError) as caught:
        await chat_raw(chat, None, heard)  # type: ignore[arg-type]
    assert caught.value.code == "budget_exceeded"
    (row,) = await served.rows(1)
    assert row.outcome == "cut" and 0 < words_of(heard) <= row.counts["output"] - limits.BUDGET_TAIL_TOKENS
    await holds_together(served, [row])


async def test_a_person_says_no(serve: Serve, talkative: FakeUpstream) -> None:
    async with serve(upstream(talkative)) as served, clients(served) as (chat, _):
        await budget(served)
        await brake(served, "ask")
        asking = asyncio.create_task(ended_unraised(served, chat, []))
        request = await waiting(served)
        for nobody in ("user:bea", request["by"]):  # neither whoever has no right, nor the caller
            with pytest.raises(HoldfastError):
                await served.governance.budget_desk.decide(
                    Requester(nobody, "default", _NO_RIGHTS), request["id"], "approved"
                )
        await served.governance.budget_desk.decide(ANN, request["id"], "denied")
        await asking
        assert len(talkative.stats().requests) == 1


async def test_nobody_decides_in_time(serve: Serve, talkative: FakeUpstream) -> None:
    async with serve(upstream(talkative)) as served, clients(served) as (chat, _):
        await budget(served)
        await brake(served, "ask", wait_s=0)
        await ended_unraised(served, chat, [])
        assert len(talkative.stats().requests) == 1


class _NoRights:
    def may(self, verb: str, session: str = "*") -> bool:
        return False


_NO_RIGHTS: Any = _NoRights()


async def test_a_budget_that_only_observes_ends_nothing_and_says_what_it_would_have(
    serve: Serve, talkative: FakeUpstream
) -> None:
    async with serve(upstream(talkative)) as served, clients(served) as (chat, _):
        await budget(served, mode="observe")
        heard: list[Any] = []
        await chat_raw(chat, None, heard)  # type: ignore[arg-type]
        assert words_of(heard) == TOKENS
        (row,) = await served.rows(1)
        found = await account(served)
        assert (found.observed, found.refused, found.spent_nano) == (1, 0, row.billed_nano)
        assert found.spent_nano > parse(CAP_USD)


async def test_a_caller_who_leaves_gives_back_what_it_did_not_use(serve: Serve, fake: FakeUpstream) -> None:
    fake.always(tokens=TOKENS, input=30, hang=40)
    async with serve(upstream(fake)) as served, clients(served) as (chat, _):
        await budget(served, "1")
        stream = await chat.chat.completions.create(model="gpt-5", messages=SAID, stream=True, stream_options=USAGE)
        async for chunk in stream:
            if chunk.choices:
                break
        assert (await account(served)).attempts == 1
        await stream.close()
        while (await account(served)).attempts:
            await asyncio.sleep(0.01)
        (row,) = await served.rows(1)
        assert (row.outcome, row.reason) == ("cut", "caller.left")
        await holds_together(served, [row], "1")
