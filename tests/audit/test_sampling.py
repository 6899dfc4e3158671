"""Endpoints whose answers differ from time to time: one client is compared with another, and the rest is left open."""

from __future__ import annotations

import pytest
from msgspec import structs

from holdfast.audit.budget import ProbeBudget, Redactor
from holdfast.audit.drivers.http import HttpEndpoint
from holdfast.audit.examine import PROBES, examine
from holdfast.audit.recipe import Recipe
from tests.audit.chat_server import RECIPE, ChatServer
from tests.audit.test_no_false_accusation import options

pytestmark = [pytest.mark.anyio, pytest.mark.slow]  # by the clock, as the planted faults


async def verdicts(recipe: Recipe, *ids: str, fault: str = "") -> dict[str, str]:
    async with ChatServer(fault, samples=True).running() as server:
        budget = ProbeBudget(requests=2_000, ask_above=2_000, total_s=120, answer_s=10)
        probes = [probe for probe in PROBES if not ids or probe.id in ids]
        endpoint = HttpEndpoint(server.url, recipe, budget)
        contact, found = await examine(endpoint, options(server.port), budget, Redactor(), probes=probes, jobs=8)
    assert contact.state == "ok" and contact.deterministic is False, contact
    return {finding.id: finding.verdict for finding in found}


async def test_a_good_endpoint_fails_nothing_and_what_two_clients_can_tell_is_told() -> None:
    found = await verdicts(RECIPE)
    assert "fail" not in found.values(), found
    told = {id_ for id_, verdict in found.items() if verdict == "pass"}
    assert told >= {
        "resilient.resume", "resilient.no_repeat", "resilient.half_open", "continuity.middle", "continuity.order",
        "control.stop", "control.stop_both", "control.steer", "agents.direct",
    }, found  # fmt: skip


async def test_without_a_second_client_it_is_left_open() -> None:
    alone = structs.replace(RECIPE, join=None)
    found = await verdicts(alone, "resilient.resume", "resilient.no_repeat")
    assert found == {"resilient.resume": "inconclusive", "resilient.no_repeat": "inconclusive"}


@pytest.mark.parametrize(
    ("fault", "probe"),
    [("skips one piece when resuming", "resilient.resume"), ("repeats one piece when resuming", "resilient.no_repeat")],
)
async def test_a_second_client_gives_the_fault_away(fault: str, probe: str) -> None:
    found = await verdicts(RECIPE, "resilient.resume", "resilient.no_repeat", fault=fault)
    assert [id_ for id_, verdict in found.items() if verdict == "fail"] == [probe]
