"""``holdfast plan verify`` on a file, on a store, on both, and on what is neither."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from holdfast.errors import HoldfastError, Refused
from holdfast.governance.rollout.bundle import bundle
from holdfast.governance.store.store import Store
from holdfast.governance.verifier import commands
from holdfast.hub.clock import Clock
from tests.unit.governance.governed_server import FakeScreen
from tests.unit.governance.rollout.conftest import TENANT, Company


def _group() -> typer.Typer:
    app = typer.Typer()
    app.callback()(lambda: None)
    commands.add_to(app)
    return app


async def _written(address: str, file: Path) -> None:
    store = await Store.open(address, (clock := Clock()).wall_ms)
    company = Company(store, clock)  # type: ignore[arg-type]
    await company.begin()
    await company.manifest()
    await company.staffed()
    await company.plan.compute(TENANT)
    file.write_bytes(msgspec.json.encode(await bundle(company.plan, TENANT)))
    await store.close()


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, Path]:
    """A store with a plan, and the plan as a file; both are made now, by the clock of the machine."""
    address, file = str(tmp_path / "store.db"), tmp_path / "plan.json"
    asyncio.run(_written(address, file))
    return address, file


def verified(*args: str) -> tuple[int, Any]:
    """The exit code, and the answer: as JSON, or what was said."""
    screen = FakeScreen()
    done = CliRunner().invoke(_group(), ["verify", *args], obj=screen)
    if isinstance(done.exception, HoldfastError):
        raise done.exception
    return done.exit_code, screen.answers[0] if screen.answers else "\n".join(screen.lines)


def test_a_plan_is_verified_from_a_file_from_a_store_and_from_both(files: tuple[str, Path]) -> None:
    address, file = files
    before = Path(address).read_bytes()
    for args in ((str(file),), ("--governance", address), (str(file), "--governance", address)):
        code, answer = verified(*args, "--json")
        assert (code, answer["outcome"], answer["disagree"]) == (0, "agree", 0)
    assert Path(address).read_bytes() == before, "whoever verifies writes nothing"
    assert " agree, 0 disagree, 0 cannot be told." in verified(str(file))[1]


def test_it_says_what_is_forged_in_a_sentence_and_exits_with_one(files: tuple[str, Path]) -> None:
    _, file = files
    file.write_bytes(file.read_bytes().replace(b"ann owns it, bob is deputy", b"ann and bob are fine by me"))
    code, text = verified(str(file))
    assert code == 1
    assert "disagree     6.a answer-mail (pass): forged: its id is not that of its content" in text


def test_what_has_expired_cannot_be_told_and_exits_with_three(files: tuple[str, Path]) -> None:
    _, file = files
    assert verified(str(file), "--at", "2099-01-01")[0] == 3


def test_what_is_no_plan_and_no_store_is_refused(files: tuple[str, Path], tmp_path: Path) -> None:
    _, file = files
    wrong = tmp_path / "wrong.json"
    for text in (
        b"{",
        b"[]",
        b'{"format": 1}',
        b'{"format": 2}',
        b'{"format": 1, "tenant": "t", "as_of_ms": 1, "zone": "No/Where", "verdicts": []}',
    ):
        wrong.write_bytes(text)
        with pytest.raises(Refused, match="no exported plan"):
            verified(str(wrong))
    for args in (
        (str(file), "--governance", str(wrong)),
        (str(file), "--governance", str(tmp_path / "none.db")),
        (str(file), "--url", "http://x"),
    ):
        with pytest.raises(HoldfastError):
            verified(*args)
    with pytest.raises(HoldfastError, match="is no day"):
        verified(str(file), "--at", "tomorrow")
