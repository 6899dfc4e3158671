"""The benchmarks' own machinery: what they measure is asserted nowhere, but they must be able to run."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks import gateway, sessions
from benchmarks.fan_out import HOLDFAST, Contender
from benchmarks.gateways import contenders
from benchmarks.gateways.contenders import DIRECT, LITELLM, CannotRun
from benchmarks.gateways.load import Figures
from benchmarks.processes import Holdfast, Server, folder, free_port
from benchmarks.result import Result

from tests.fake_upstream.process import FakeUpstream


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


# --- the gateway's
@contextlib.contextmanager
def second_upstream(fake: FakeUpstream, place: Path) -> Iterator[contenders.Contender]:
    """Stands for a gateway: it answers, and it is a process. It asks ``fake`` for nothing."""
    command = [sys.executable, "-m", "tests.fake_upstream", "--port", str(port := free_port())]
    with Server(command, port, cwd=Path(__file__).parents[1]) as server:
        yield contenders.Contender("second", "7", port, server)


@contextlib.contextmanager
def broken_upstream(fake: FakeUpstream, place: Path) -> Iterator[contenders.Contender]:
    """A gateway that refuses everything."""
    with contenders.direct(fake, place) as contender:
        contender.path = "/with/status=503/v1/chat/completions"
        yield contender


@contextlib.contextmanager
def nothing(fake: FakeUpstream, place: Path) -> Iterator[contenders.Contender]:
    raise CannotRun("there is none")
    yield


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ONE_BY_ONE": 3, "CONNECTIONS": 2, "SECONDS": 0.2, "SLICES": 2, "WARM_STREAMS": 4}.items():
        monkeypatch.setattr(gateway, name, value)


def measured(monkeypatch: pytest.MonkeyPatch, starts: dict[str, contenders.Start]) -> Result:
    monkeypatch.setattr(gateway, "ALL", starts)
    return gateway.run(lambda what: None, 1)


@pytest.mark.process
@pytest.mark.usefixtures("short")
def test_gateways_that_are_not_there_or_do_not_answer_are_named_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    starts = {DIRECT: contenders.direct, HOLDFAST: nothing, LITELLM: broken_upstream}
    result = measured(monkeypatch, starts)
    figures, absent = result.tables
    assert [row[0] for row in figures.rows] == [DIRECT]
    assert absent.rows[0] == [HOLDFAST, "there is none"]
    assert absent.rows[1][0] == LITELLM and "4 of 4 answers" in absent.rows[1][1] and "503" in absent.rows[1][1]
    assert [(verdict.measured, verdict.met) for verdict in result.verdicts] == [
        ("not measured: Holdfast", False),
        ("not measured: Holdfast, LiteLLM", False),
    ]


@pytest.mark.process
@pytest.mark.usefixtures("short")
def test_gateways_are_measured_beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = {"direct": contenders.direct, HOLDFAST: contenders.direct, LITELLM: contenders.direct}
    result = measured(monkeypatch, slow)
    [figures] = result.tables
    assert [row[0] for row in figures.rows] == [DIRECT, HOLDFAST, LITELLM]
    assert figures.rows[2][6] == "1.0×"
    assert all("not measured" not in verdict.measured for verdict in result.verdicts)


@pytest.mark.process
@pytest.mark.usefixtures("short")
def test_streams_that_the_upstream_knows_nothing_of_are_no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="3 streams of 0"):
        measured(monkeypatch, {"second": second_upstream})


@pytest.mark.process
def test_the_load_counts_whole_streams_only() -> None:
    with FakeUpstream(keep=False) as fake, contenders.direct(fake, Path()) as contender, gateway.Load() as load:
        wanted = gateway.plan(contender, streams=12, connections=2)
        fake.next({"cut": 5}, {"usage": False}, {"tokens": 19}, {"status": 429}, {"close": 20})
        figures = load.measure(wanted)
        assert (figures.streams, figures.errors, len(figures.first_ms)) == (7, 5, 7)
        assert fake.stats(ended=12).ended == 12
        assert figures.first_error.startswith("HTTP/1.1 200")
        fake.next({"status": 429})
        assert "rate_limit_exceeded" in load.measure(gateway.plan(contender, streams=1)).first_error


def test_what_holdfast_must_reach_is_judged_by_ratios_within_a_round() -> None:
    def rounds(first: list[float], streams: list[int]) -> gateway.Rounds:
        made = gateway.Rounds(contenders.Contender("some", "1", 1))
        made.first = [Figures(first_ms=[ms]) for ms in first]
        made.most = [Figures(streams=number, seconds=2.0) for number in streams]
        made.cpu_ms = [1.0] * len(first)
        return made

    found = {
        DIRECT: rounds([1.0, 9.0, 2.0], [5000, 5000, 5000]),
        HOLDFAST: rounds([1.5, 9.5, 4.0], [1000, 100, 800]),
        LITELLM: rounds([9.0, 20.0, 9.0], [90, 9, 90]),
    }
    latency, rate = gateway.verdicts(found)
    assert (latency.measured, latency.met) == ("0.50 ms (0.50–2.00)", True)
    assert (rate.measured, rate.met) == ("11.11× (8.89–11.11)", True)
    found[LITELLM] = rounds([9.0, 20.0, 9.0], [200, 20, 200])
    assert not gateway.verdicts(found)[1].met
    assert "5.0×" in gateway.tables(found, {})[0].rows[1]


def test_an_installer_that_is_missing_or_fails_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CannotRun, match=r"thing could not be installed: No such file or directory: no-such-installer"):
        contenders._install(["no-such-installer"], "thing")
    with pytest.raises(CannotRun, match=r"thing could not be installed: no network$"):
        contenders._install(["sh", "-c", "echo first >&2; echo no network >&2; exit 3"], "thing")


def test_an_installation_counts_when_it_was_finished_as_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contenders, "BUILD", tmp_path)
    commands: list[list[str]] = []
    monkeypatch.setattr(contenders, "_install", lambda command, name, cwd=None: commands.append([*map(str, command)]))
    lock = tmp_path / "some.txt"
    lock.write_text("some==1\n")
    (tmp_path / "some").mkdir()
    contenders._environment("some", lock)
    assert "--require-hashes" in commands[-1]
    made = len(commands)
    contenders._environment("some", lock)
    assert len(commands) == made
    lock.write_text("some==2\n")
    contenders._environment("some", lock)
    assert len(commands) == 2 * made


def test_a_program_that_ends_at_once_cannot_run() -> None:
    with pytest.raises(CannotRun, match="did not start"), contenders._started(["false"], free_port(), {}):
        raise AssertionError("it runs")
