"""Tables on a terminal of 80 columns."""

from __future__ import annotations

import io

import pytest

from holdfast.cli import output

FINGERPRINT = "4be1c09d27a1f8836f1f6a0f5f6d92c1"


def printed(monkeypatch: pytest.MonkeyPatch, columns: tuple[str, ...], *rows: tuple[str, ...]) -> list[str]:
    to = output.Terminal()
    to.file, to.width = io.StringIO(), 80
    monkeypatch.setattr(output, "out", to)
    output.say(output.table(columns, rows))
    return to.file.getvalue().splitlines()


def test_what_the_next_command_takes_and_amounts_are_never_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    words = "a long name that somebody gave to it"
    row = (FINGERPRINT, words, words, "12,345.678901234")
    lines = printed(monkeypatch, ("fingerprint", "agent", "paths", "billed USD"), row)
    assert len(lines) == 2 and all(len(line) <= 80 for line in lines)
    assert FINGERPRINT in lines[1] and "12,345.678901234" in lines[1] and lines[1].count("…") == 2


def test_what_fits_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed(monkeypatch, ("name", "state"), ("offers", "revoked"))[1].split() == ["offers", "revoked"]
    assert len(printed(monkeypatch, ("name", "state"))) == 1
