"""Planted bugs of the adapters of frameworks and providers. What they break is imported when they are planted."""

from __future__ import annotations

from typing import Any

import msgspec
from conformance.planting import replace

from tests.mutants.plant import mutant

ASKING = "tests/adapters/test_langgraph_interrupts.py"
INSIDE = "tests/adapters/test_openai_agents_approvals.py"


@mutant(
    "CTL-6",
    "a LangGraph tool takes the answer that another one's interrupt got",
    f"{ASKING}::test_of_two_that_ask_only_the_approved_one_acts",
)
def answers_by_position() -> None:
    from holdfast.agents.adapters import langgraph_calls

    replace(langgraph_calls, "_isolate_interrupts", lambda call, request, answers: lambda: 0)


@mutant(
    "RUN-4",
    "a tool that asks leaves its node while another is at work",
    "tests/adapters/test_langgraph_interrupts_lost.py::test_a_worker_lost_beside_a_tool_at_work_while_another_asks",
)
def leaves_others_at_work() -> None:
    from holdfast.agents.adapters import langgraph_calls

    async def rest(self: Any) -> None:
        return None

    replace(langgraph_calls._Siblings, "wait", rest)


@mutant(
    "CTL-6",
    "a call inside which people are asked counts as made",
    f"{INSIDE}::test_it_is_asked_once_and_done_once_or_not_at_all",
)
def made_while_it_asks() -> None:
    from holdfast.agents.adapters import openai_agents

    replace(openai_agents._AgentRun, "_pending_nested_calls", lambda context: [])


@mutant(
    "RUN-1",
    "a loop that gets nowhere goes on",
    "tests/adapters/test_checkpoint_and_rounds.py::test_rounds_that_get_nowhere_end",
)
def endless_rounds() -> None:
    from holdfast.agents.adapters import rounds

    replace(rounds.Rounds, "next", lambda self, *pending: None)


@mutant(
    "FOLD-3", "half a surrogate pair does not wait for the other", "tests/unit/agents/test_half_pairs.py::test_texts"
)
def lonely_half() -> None:
    from holdfast.client import producer
    from holdfast.protocol.codec import well_formed

    real = producer.Producer._put_delta

    def put(self: Any, type_: str, data: dict[str, Any]) -> None:
        real(self, type_, {**data, "delta": well_formed(data["delta"])})

    replace(producer.Producer, "_put_delta", put)


@mutant("FOLD-1", "a source told before its message's first word is dropped", "tests/adapters/test_provider_events.py")
def late_source() -> None:
    from holdfast.agents.adapters import texts

    real = texts.Texts.cite

    async def cite(self: Any, key: Any, uri: str, title: str = "", quote: str = "") -> None:
        if texts._text_key("message", key) in self._open:
            await real(self, key, uri, title, quote)

    replace(texts.Texts, "cite", cite)


@mutant(
    "FOLD-1",
    "a provider's line that ends between two reads ends twice",
    "tests/unit/providers/test_sse.py",
)
def line_ends_twice() -> None:
    from holdfast.providers import sse

    def newlines(self: Any, data: bytes) -> bytes:
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    replace(sse.SseParser, "_newlines", newlines)


@mutant("LOG-6", "input that was read from a cache is counted twice", "tests/unit/providers/test_usage.py")
def cache_counted_twice() -> None:
    from holdfast.providers import usage

    real = usage.chat_usage

    def chat_usage(reported: Any, tier: str = "") -> Any:
        found = real(reported, tier)
        return msgspec.structs.replace(found, input=reported.get("prompt_tokens"))

    replace(usage, "chat_usage", chat_usage)


@mutant(
    "LOG-6",
    "a stream is ended without what it used",
    "tests/adapters/test_codecs_with_clients.py::test_a_stream_that_is_ended_on_the_way_has_its_usage_and_raises_the_reason",
)
def ended_without_usage() -> None:
    from holdfast.providers import encoder

    replace(encoder.StreamEncoder, "_count", lambda self, piece: None)
