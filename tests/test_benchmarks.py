"""The benchmarks' own machinery: what they measure is asserted nowhere, but they must be able to run."""

from __future__ import annotations

import asyncio

from benchmarks import sessions
from benchmarks.processes import Holdfast, folder


def test_a_server_to_measure_is_ready_when_it_can_be_reached() -> None:
    with folder() as place, Holdfast(place) as server:
        assert server.token()  # the secret lies beside the database by now
        assert asyncio.run(sessions.start_runs(server, 2)).startswith("r")
        assert server.commits() > 0
