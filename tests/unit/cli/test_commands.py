"""Commands given wrongly say so in a sentence, with the exit code that fits; those given early wait for the server."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from holdfast.cli import options as shared
from holdfast.cli.parser import app

SECRET = "s" * 48


def outcome(*line: str) -> tuple[int, str]:
    ran = CliRunner().invoke(app, list(line), env={"HOLDFAST_TOKEN": None, "HOLDFAST_DB": None, "COLUMNS": "200"})
    return ran.exit_code, ran.output


@pytest.fixture
def db(tmp_path: Path) -> str:
    (tmp_path / "x.db.secret").write_text(SECRET)
    return str(tmp_path / "x.db")


@pytest.mark.parametrize(
    "wrong",
    [
        ["nobody"],
        ["user:ann", "--tenant", "a/b"],
        ["user:ann", "--grant", "demo"],
        ["user:ann", "--grant", "demo="],
        ["user:ann", "--grant", "demo=fly"],
        ["user:ann", "--grant", "a*b=read"],
    ],
)
def test_no_token_is_minted_that_no_server_would_take(db: str, wrong: list[str]) -> None:
    code, said = outcome("token", *wrong, "--db", db)
    assert code == 2 and "eyJ" not in said


def test_a_token_that_is_right_is_minted(db: str) -> None:
    code, said = outcome("token", "user:ann", "--grant", "demo-*=read,append", "--agent", "writer", "--db", db)
    assert code == 0 and said.startswith("eyJ")


def test_one_run_and_every_run_cannot_both_be_meant(db: str) -> None:
    code, said = outcome("cancel", "s1", "--run", "r1", "--all", "--db", db)
    assert code == 2 and "--all" in said


def test_a_token_asked_for_while_the_server_starts_is_waited_for(tmp_path: Path) -> None:
    late = threading.Timer(0.3, (tmp_path / "new.db.secret").write_text, [SECRET])
    late.start()
    code, said = outcome("token", "--db", str(tmp_path / "new.db"))
    late.join()
    assert code == 0 and said.startswith("eyJ")


def test_a_server_that_is_not_there_is_named_with_what_to_do(db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "CONNECT_S", 0.5)
    code, said = outcome("sessions", "--url", "http://127.0.0.1:1", "--db", db)
    assert code == 1 and "could not be reached: " in said and "Start the server" in said


def test_a_server_whose_address_is_taken_leaves_nothing_behind(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, said = outcome("serve", "--db", str(tmp_path / "new" / "x.db"), "--port", port)
    assert code == 1 and f"port {port}" in said
    assert not list(tmp_path.iterdir())
