"""What commands say to people: whether anybody answers, every event there is, and what to do in the words of a shell."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from holdfast.agents.holdfast import Holdfast
from holdfast.agents.run import RunContext
from holdfast.cli import options as shared
from holdfast.cli import output
from holdfast.cli.parser import app
from holdfast.client.client import Client
from holdfast.engines.sqlite.lock import FileLock
from holdfast.protocol.events import Event
from tests.unit.edge.conftest import Site, anyio_backend, settings, site

__all__ = ["anyio_backend", "settings", "site"]
pytestmark = pytest.mark.anyio


async def run_command(site: Site, *line: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    given = [*line, "--url", site.url, "--token", site.token()]
    ran = await asyncio.to_thread(CliRunner().invoke, app, given, env={"COLUMNS": "200", "HOLDFAST_TOKEN": None})
    return ran.exit_code, ran.stdout, ran.stderr


async def answer(run: RunContext) -> None:
    async with run.message() as text:
        for word in ("high", " tide", " [at] six"):
            await text.write(word)


async def test_a_run_that_nobody_serves_is_said_to_wait(site: Site) -> None:
    code, out, err = await run_command(site, "send", "s1", "hello", "--agent", "writer")
    assert code == 0 and out.startswith("run r")
    assert "queued" in err and "no worker serves this agent" in err
    code, out, err = await run_command(site, "send", "s1", "hello again", "--agent", "writer", "--json")
    assert json.loads(out)["served"] is False


async def test_who_follows_is_told_that_it_waits_and_then_the_answer(site: Site) -> None:
    follows = asyncio.create_task(run_command(site, "send", "s1", "hello", "--agent", "writer", "-f"))
    async with Holdfast(site.url, token=site.token(agents=["*"])) as hf:
        while not any(run["status"] == "queued" for run in (await _runs(hf)).values()):
            await asyncio.sleep(0.01)
        hf.add_agent("writer", answer)
        serving = asyncio.create_task(hf.serve(signals=False))
        code, out, err = await follows
        assert code == 0 and "no worker serves this agent" in err
        assert out.splitlines()[1:] == ["high tide [at] six", "✓ completed"]
        code, out, err = await run_command(site, "send", "s1", "again", "--agent", "writer", "-f")
        assert (code, err) == (0, "") and out.splitlines()[1:] == ["high tide [at] six", "✓ completed"]
        code, out, err = await run_command(site, "send", "s1", "as data", "--agent", "writer", "-f", "--json")
        told = json.loads(out)
        assert (told["status"], told["text"], told["served"]) == ("completed", "high tide [at] six", True)
        serving.cancel()


async def _runs(hf: Holdfast) -> dict[str, dict[str, str]]:
    session = await hf.create("s1")
    return (await session.state()).runs


async def test_a_person_sees_the_answer_as_it_is_written(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, shown = asyncio.Event(), threading.Event()

    async def slow(run: RunContext) -> None:
        async with run.message() as text:
            await text.write("high ")
            await go_on.wait()
            await text.write("tide")

    class Terminal(io.StringIO):
        def write(self, text: str) -> int:
            if "high" in text:
                shown.set()
            return super().write(text)

    terminal = Terminal()
    monkeypatch.setattr(output, "out", Console(file=terminal, force_terminal=True, color_system=None, width=200))
    async with Holdfast(site.url, token=site.token(agents=["*"])) as hf:
        hf.add_agent("writer", slow)
        serving = asyncio.create_task(hf.serve(signals=False))
        while not site.hub.stats.workers:
            await asyncio.sleep(0.01)
        follows = asyncio.create_task(run_command(site, "send", "s1", "hello", "--agent", "writer", "-f"))
        assert await asyncio.to_thread(shown.wait, 20), "nothing is seen before the answer is whole"
        go_on.set()
        code, _, _ = await follows
        assert code == 0 and terminal.getvalue().splitlines()[1:] == ["high tide", "✓ completed"]
        serving.cancel()


async def test_a_worker_of_another_tenant_or_session_serves_nobody_here(site: Site) -> None:
    """Who may not append to the session cannot answer in it."""
    elsewhere = site.token(subject="agent:writer", tenant="other", agents=["writer"])
    narrow = site.token(subject="agent:writer", agents=["writer"], capabilities={"s2": ["read", "append"]})
    async with Holdfast(site.url, token=elsewhere) as one, Holdfast(site.url, token=narrow) as two:
        for hf in (one, two):
            hf.add_agent("writer", answer)
        serving = [asyncio.create_task(hf.serve(signals=False)) for hf in (one, two)]
        while site.hub.stats.workers < 2:
            await asyncio.sleep(0.01)
        async with Client(site.url, site.token()) as ann:
            first = await (await ann.create("s1")).send("hello", agent="writer")
            second = await (await ann.create("s2")).send("hello", agent="writer")
            assert (first.served, second.served) == (False, True)
        for task in serving:
            task.cancel()


async def test_raw_events_are_all_events_as_they_are_stored(site: Site) -> None:
    async with Holdfast(site.url, token=site.token(agents=["*"])) as hf:
        hf.add_agent("writer", answer)
        serving = asyncio.create_task(hf.serve(signals=False))
        session = await hf.create("s1", agent="writer")
        await (await session.send("hello")).finished()
        tail = (await session.state()).runs
        assert tail
        code, out, _ = await run_command(site, "tail", "s1", "--raw", "--until-idle")
        events = [json.loads(line) for line in out.splitlines()]
        assert code == 0 and [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert {*map(str, events[0])} <= set(Event.__struct_fields__) and events[0]["type"] == "session.created"
        assert events[-1]["type"] == "run.ended"
        serving.cancel()


def test_without_a_secret_the_command_line_is_what_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "STARTING_S", 0.0)
    for line in (["sessions"], ["tail", "s1"], ["approve", "s1"]):
        ran = CliRunner().invoke(app, [*line, "--db", str(tmp_path / "none.db")], env={"HOLDFAST_TOKEN": None})
        assert ran.exit_code == 1 and "auth.required" in ran.stderr
        assert "--token" in ran.stderr and "--db" in ran.stderr
        assert "Bearer" not in ran.stderr and "hello frame" not in ran.stderr


def test_a_database_that_is_in_use_is_told_in_two_lines(tmp_path: Path) -> None:
    """What is wrong, with the process, and what to do; no fact is said twice."""
    lock = FileLock(str(tmp_path / "x.db"))
    lock.acquire()
    try:
        ran = CliRunner().invoke(app, ["serve", "--db", str(tmp_path / "x.db"), "--port", "0"], env={"COLUMNS": "200"})
    finally:
        lock.release()
    assert ran.exit_code == 1
    lines = [line for line in ran.output.splitlines() if line.strip()]
    assert len(lines) == 2 and lines[0].startswith("engine.locked") and lines[1].startswith("Stop it")
