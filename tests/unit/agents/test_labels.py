"""An agent knows the labels of the work it does; its sub-runs have them too."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.agents.run import RunContext
from tests.unit.agents.conftest import House

pytestmark = pytest.mark.anyio

LABELS = {"team": "sales", "usage": "seated"}


async def test_an_agent_reads_the_labels_of_who_asked_and_hands_them_on(house: House) -> None:
    worker = await house.client("agent:worker", agents=("*",), labels={"team": "engines"})
    ann = await house.client("user:ann", labels=LABELS)
    bob = await house.client("user:bob")
    read: dict[str, Any] = {}

    @worker.agent("writer")
    async def write(run: RunContext) -> None:
        read[run.by] = dict(run.labels)
        with pytest.raises(TypeError):
            run.labels["team"] = "mine"  # type: ignore[index]
        async with run.sub("searcher") as child:
            read[f"inside of {run.by}"] = dict(child.labels)
        await (await run.spawn("helper", run.by)).finished()

    @worker.agent("helper")
    async def help_(run: RunContext) -> None:
        read[f"below {run.input}"] = dict(run.labels)

    house.serve(worker)
    for session in (await ann.create("s1", agent="writer"), await bob.create("s2", agent="writer")):
        assert (await (await session.send("hi")).finished())["status"] == "completed"
    assert read == {
        "user:ann": LABELS,
        "inside of user:ann": LABELS,
        "below user:ann": LABELS,
        "user:bob": {},
        "inside of user:bob": {},
        "below user:bob": {},
    }, "the worker's own label is not the run's"
