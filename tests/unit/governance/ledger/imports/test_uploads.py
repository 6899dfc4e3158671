"""A file that is larger than one request comes in pieces, each once, from whoever began it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from holdfast.errors import Refused, Unavailable
from holdfast.governance import limits
from holdfast.governance.ledger.imports.uploads import Uploads
from holdfast.testing import FakeClock

ANN, BOB = ("default", "user:ann"), ("default", "user:bob")


@pytest.fixture
def uploads(clock: FakeClock) -> Iterator[Uploads]:
    made = Uploads(clock.wall_ms)
    yield made
    made.close()


def test_pieces_are_one_file(uploads: Uploads) -> None:
    name, size = uploads.add(ANN, "", 0, b"one,")
    assert size == 4
    assert uploads.add(ANN, name, 4, b"two") == (name, 7)
    with uploads.take(ANN, name) as file:
        assert file.read() == b"one,two"
    with pytest.raises(Refused, match="no upload"):
        uploads.take(ANN, name)


def test_a_piece_that_came_already_and_one_of_somebody_else_are_refused(uploads: Uploads) -> None:
    name, _ = uploads.add(ANN, "", 0, b"one,")
    with pytest.raises(Refused, match="has 4 bytes"):
        uploads.add(ANN, name, 0, b"one,")
    for ask in (lambda: uploads.add(BOB, name, 4, b"x"), lambda: uploads.take(BOB, name)):
        with pytest.raises(Refused, match="no upload"):
            ask()
    assert uploads.add(ANN, name, 4, b"two")[1] == 7


def test_there_are_so_many_and_so_large_ones_and_they_do_not_stay(
    uploads: Uploads, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "IMPORT_UPLOADS", 1)
    monkeypatch.setattr(limits, "IMPORT_BYTES", 5)
    name, _ = uploads.add(ANN, "", 0, b"1234")
    with pytest.raises(Unavailable, match="on their way"):
        uploads.add(BOB, "", 0, b"1")
    with pytest.raises(Refused, match=r"input\.too_large"):
        uploads.add(ANN, name, 4, b"56")
    name, _ = uploads.add(BOB, "", 0, b"1")
    clock.advance(limits.IMPORT_UPLOAD_MS / 1_000 + 1)
    uploads.add(ANN, "", 0, b"1")
    with pytest.raises(Refused, match="no upload"):
        uploads.add(BOB, name, 1, b"2")
