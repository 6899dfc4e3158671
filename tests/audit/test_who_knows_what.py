"""One fault at a time, beside a twin without any: who was told what, what an end is, and what a history decides.

Each fault is looked for by its probe and by those that could explain it away; ``make prove`` lets every probe look. Audits
mostly wait, so several run at a time, in one process, as the servers do: a busy machine slows both down.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence

import pytest
from msgspec import structs
from websockets.asyncio.server import ServerConnection

from holdfast.audit.budget import ProbeBudget, Redactor
from holdfast.audit.drivers.http import HttpEndpoint
from holdfast.audit.examine import PROBES, examine
from holdfast.audit.finding import Finding
from holdfast.audit.lab import AuditOptions
from holdfast.audit.probes.probe import Probe
from holdfast.audit.recipe import Recipe, RecipeCall, Rule
from tests.audit.desk import FAULTS, RECIPE, Desk
from tests.audit.test_drivers import SOCKET, WORDS, findings, made, serving

pytestmark = pytest.mark.anyio
TWINS = ("", "snapshots", "one_id")
"""Without a fault: ids of their own, the whole conversation in each event, the same id for every answer."""
AT_A_TIME = 8
TRIED = [probe for probe in PROBES if not probe.alone and probe.capability != "agents"]
KILL = (
    "{} -I -S -c \"import socket as s; c = s.create_connection(('127.0.0.1', {})); "
    "c.send(b'POST /chats/kill HTTP/1.1\\r\\n\\r\\n'); c.recv(99)\""
)
Found = dict[str, Finding]


def looking_for(faults: Sequence[str]) -> list[Probe]:
    """The probes of these faults, and those whose failure would explain theirs."""
    ids = {FAULTS[fault] for fault in faults if fault in FAULTS}
    ids |= {id_ for probe in TRIED if probe.id in ids for id_ in probe.after}
    return [probe for probe in TRIED if probe.id in ids]


async def audit(fault: str, probes: Sequence[Probe], recipe: Recipe | None = None, kill: bool = False) -> Found:
    kinds = {fault: True} if fault in TWINS[1:] else {}
    async with Desk("" if fault in TWINS else fault, **kinds).running() as desk:
        budget = ProbeBudget(requests=2_000, ask_above=2_000, total_s=300, answer_s=30)
        given = AuditOptions(prompt="one", second_prompt="two", approval_prompt="needs approval", stop_s=10.0)
        given.kill_agent = KILL.format(sys.executable, desk.port) if kill else ""
        endpoint = HttpEndpoint(desk.url, recipe or desk.recipe, budget)
        contact, found = await examine(endpoint, given, budget, Redactor(), probes=probes, jobs=4)
    assert contact.state == "ok" and contact.deterministic and contact.marks_end, contact
    return {finding.id: finding for finding in found}


async def audit_all(*, whole: bool) -> dict[str, Found]:
    """An audit of each desk, by its fault; the twins are looked at by all probes that some fault needs."""
    gate = asyncio.Semaphore(AT_A_TIME)

    async def one(fault: str) -> Found:
        async with gate:
            return await audit(fault, TRIED if whole else looking_for(list(FAULTS) if fault in TWINS else [fault]))

    desks = [*TWINS, *FAULTS]
    return dict(zip(desks, await asyncio.gather(*map(one, desks)), strict=True))


def saw_by_probe(found: Found, verdicts: Sequence[str] = ("fail",)) -> dict[str, str]:
    """What was seen by the probes with these verdicts."""
    return {f.id: f.saw for f in found.values() if f.verdict in verdicts}


async def test_a_fault_fails_its_probe_and_its_twin_passes() -> None:
    audited = await audit_all(whole=False)
    assert {twin: saw_by_probe(audited[twin], ("fail", "inconclusive")) for twin in TWINS} == {
        twin: {} for twin in TWINS
    }
    assert {fault: list(saw_by_probe(audited[fault])) for fault in FAULTS} == {
        fault: [id_] for fault, id_ in FAULTS.items()
    }


@pytest.mark.slow
async def test_a_fault_fails_exactly_its_probe_of_all() -> None:
    audited = await audit_all(whole=True)
    assert {twin: saw_by_probe(audited[twin], ("fail", "inconclusive")) for twin in TWINS} == {
        twin: {} for twin in TWINS
    }
    assert {fault: list(saw_by_probe(audited[fault])) for fault in FAULTS} == {
        fault: [id_] for fault, id_ in FAULTS.items()
    }


@pytest.mark.parametrize("fault", ["nobody else can join", "whoever joins sees an empty stream"])
async def test_whoever_was_not_there_was_not_told(fault: str) -> None:
    found = await audit(fault, [probe for probe in TRIED if probe.id == "control.stop_both"])
    saw = found["control.stop_both"]
    assert saw.verdict == "fail" and "tab B saw nothing of the conversation" in saw.saw, saw.saw


def probe(id_: str) -> list[Probe]:
    return [one for one in PROBES if one.id == id_]


async def test_where_nothing_comes_nothing_comes_twice_is_no_pass() -> None:
    found = await audit("nothing comes after a resume", [*probe("resilient.resume"), *probe("resilient.no_repeat")])
    assert {f.id: f.verdict for f in found.values()} == {
        "resilient.resume": "fail", "resilient.no_repeat": "inconclusive",
    }  # fmt: skip


@pytest.mark.parametrize(("fault", "verdict"), [("a dead agent's answer is called complete", "fail"), ("", "pass")])
async def test_half_an_answer_that_is_called_complete_is_not_being_told(fault: str, verdict: str) -> None:
    found = await audit(fault, probe("resilient.agent_killed"), kill=True)
    assert found["resilient.agent_killed"].verdict == verdict, saw_by_probe(found, ("pass", "fail", "inconclusive"))


def without(recipe: Recipe, field: str) -> Recipe:
    """A recipe that does not know this of what comes."""

    def forget(rules: list[Rule]) -> list[Rule]:
        return [structs.replace(rule, **{field: ""}) for rule in rules]

    return structs.replace(recipe, read=forget(recipe.read), read_history=forget(recipe.read_history))


async def test_what_no_rule_tells_of_is_not_missed() -> None:
    """A recipe without a rule for questions cannot say that the question is not there."""
    found = await audit("", probe("continuity.reload"), without(RECIPE, "user"))
    saw = found["continuity.reload"]
    assert saw.verdict == "inconclusive" and "no rule of the recipe tells of questions" in saw.saw, saw.saw


async def test_an_id_that_no_answer_told_is_the_recipes_fault() -> None:
    wrong = structs.replace(RECIPE, read=[structs.replace(rule, capture={}) for rule in RECIPE.read])
    wrong = structs.replace(
        wrong, read_history=[*RECIPE.read_history[1:], Rule(each="turns", capture={"run": "no such field"})]
    )
    found = await audit("", probe("continuity.middle"), wrong)
    saw = found["continuity.middle"]
    assert saw.verdict == "inconclusive" and "which no answer told" in saw.saw, saw.saw


async def test_an_address_that_holds_the_run_lets_every_client_know_it() -> None:
    shared = structs.replace(
        RECIPE, shared=["run"], read_history=[structs.replace(r, capture={}) for r in RECIPE.read_history]
    )
    found = await audit("the run is told to the asker alone", probe("continuity.middle"), shared)
    assert found["continuity.middle"].verdict == "pass", saw_by_probe(found)
    assert any("address holds run" in step.what for step in found["continuity.middle"].timeline)


@pytest.mark.parametrize("told", [True, False])
async def test_what_one_connection_was_told_no_other_knows(told: bool) -> None:
    """The id of a run stands in the messages of whoever asked, and with ``told`` in what everybody is told at first."""
    runs: dict[str, list[str]] = {}

    async def handle(connection: ServerConnection) -> None:
        async for raw in connection:
            message = json.loads(raw)
            if message["do"] == "look" and told:
                await connection.send(json.dumps({"t": "runs", "run": f"r-{message['chat']}"}))
            elif message["do"] == "say":
                run = f"r-{message['chat']}"
                said = runs.setdefault(run, [])
                await connection.send(json.dumps({"t": "run", "run": run}))
                for word in WORDS:
                    said.append(word)
                    await connection.send(json.dumps({"t": "token", "text": word}))
                    await asyncio.sleep(0.008)
                said.append("")
                await connection.send(json.dumps({"t": "end"}))
            elif message["do"] == "follow":
                said, at = runs.get(message["run"], [""]), 0
                while not at or said[at - 1]:
                    for word in said[at:]:
                        await connection.send(json.dumps({"t": "token", "text": word} if word else {"t": "end"}))
                    at = len(said)
                    await asyncio.sleep(0.008)

    told_run = Rule(when={"t": ["run", "runs"]}, capture={"run": "run"})
    recipe = structs.replace(
        SOCKET, read=[told_run, *SOCKET.read], join=RecipeCall(send=[{"do": "follow", "run": "{run}"}]),
        history=RecipeCall(send=[{"do": "look", "chat": "{chat}"}]), stop=None,
    )  # fmt: skip
    async with serving(handle) as url:
        verdicts = await findings(made(url, recipe), "continuity.middle")
    assert verdicts == {"continuity.middle": "pass" if told else "fail"}
