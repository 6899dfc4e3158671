"""The librarian and the clerk, run by a worker against a hub in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.demo.clerk import Clerk
from holdfast.demo.corpus import SETS, Corpus
from holdfast.demo.librarian import Librarian
from tests.unit.agents.conftest import House, items, seen

pytestmark = pytest.mark.anyio

QUESTION = "What happens to a run when its lease expires?"


async def test_the_librarian_fans_out_and_cites(house: House) -> None:
    worker = await house.worker()
    worker.add_agent("librarian", Librarian(Corpus(), None, pace_s=0))
    house.serve(worker)
    session = await house.session("librarian")
    first = await (await session.send(QUESTION)).text()
    view = await seen(session, lambda view: all(run["status"] == "completed" for run in view.runs.values()))
    assert {run["agent"] for run in view.runs.values()} == {"librarian", *(f"librarian/{part}" for part in SETS)}
    messages = [item for item in items(view, "message") if "run" in item]
    assert {item["actor"] for item in messages} == {f"agent:{run['agent']}" for run in view.runs.values()}
    assert all(item["sources"] for item in messages)
    assert await (await session.send(QUESTION)).text() == first  # the same question, the same answer


async def test_the_librarian_heeds_a_steer(house: House) -> None:
    worker = await house.worker()
    worker.add_agent("librarian", Librarian(Corpus(), None, pace_s=0.005))
    house.serve(worker)
    session = await house.session("librarian")
    run = await session.send(QUESTION)
    await seen(session, lambda view: any(i["run"] == run.id for i in items(view, "message") if "run" in i))
    await run.steer("only about snapshots")
    assert "Heeding “only about snapshots”" in await run.text()


async def test_the_clerk_writes_what_was_approved_and_nothing_else(house: House, tmp_path: Path) -> None:
    worker = await house.worker()
    worker.add_agent("clerk", Clerk(tmp_path, None, pace_s=0))
    house.serve(worker)
    session = await house.session("clerk")
    run = await session.send("Note: the tide waits for nobody.")
    view = await seen(session, lambda view: items(view, "approval"))
    approval = items(view, "approval")[0]
    assert approval["args"] == {"file": "notes.md", "text": "- the tide waits for nobody."}
    assert not (tmp_path / "notes.md").exists()
    await session.approve(approval["id"], hash=approval["hash"])
    await run.finished()
    assert (tmp_path / "notes.md").read_text() == "- the tide waits for nobody.\n"


async def test_the_clerk_takes_no_for_an_answer(house: House, tmp_path: Path) -> None:
    worker = await house.worker()
    worker.add_agent("clerk", Clerk(tmp_path, None, pace_s=0))
    house.serve(worker)
    session = await house.session("clerk")
    run = await session.send("note down: never mind")
    view = await seen(session, lambda view: items(view, "approval"))
    await session.deny(items(view, "approval")[0]["id"])
    assert "Then not: ann said no." in await run.text()
    assert list(tmp_path.iterdir()) == []


async def test_the_clerk_keeps_to_its_folder(tmp_path: Path) -> None:
    clerk = Clerk(tmp_path / "notes", None, pace_s=0)
    assert (await clerk.write("../../escape.md", "x"))["file"] == "escape.md"
    assert [path.name for path in (tmp_path / "notes").iterdir()] == ["escape.md"]
