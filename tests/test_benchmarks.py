"""The benchmarks' own machinery: what they measure is asserted nowhere, but they must be able to run."""

from __future__ import annotations

import asyncio

from benchmarks import sessions
from benchmarks.fan_out import HOLDFAST, Contender
from benchmarks.processes import Holdfast, folder


def test_a_server_to_measure_is_ready_when_it_can_be_reached() -> None:
    with folder() as place, Holdfast(place) as server:
        assert server.token()  # the secret lies beside the database by now
        runs = asyncio.run(sessions.start_runs(server, 2))
        assert len(set(runs)) == 2
        with sessions.load(server, readers=1, publishers=1, sessions=2, script=sessions.script(runs, 3)) as load:
            load.wait_ready()
            assert load.publish(100.0, 0.2)["errors"] == 0
        assert server.commits() > 0


def test_who_publishes_to_nobody_writes_into_a_session_of_its_own() -> None:
    with folder() as place, Holdfast(place) as server:
        runs = asyncio.run(sessions.start_runs(server, 2))
        contender = Contender(HOLDFAST, server, sessions.script(runs, 1))
        for readers in (1, 0):
            with contender.load(readers) as load:
                load.wait_ready()
                assert load.publish(50.0, 0.2)["errors"] == 0
