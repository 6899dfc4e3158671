"""Errors on the wire and back: nothing that was said is lost."""

from __future__ import annotations

from holdfast.errors import CODES, HoldfastError, Refused, Unavailable, from_wire


def test_an_error_comes_back_as_it_was_sent() -> None:
    for code, row in CODES.items():
        sent = HoldfastError(code, "why", by="user:ann")
        again = from_wire(sent.wire())
        assert (again.code, again.detail, again.fix, again.fields) == (code, "why", row.fix, {"by": "user:ann"})
        assert isinstance(again, Unavailable if row.retry else Refused)


def test_what_to_do_may_be_said_better_than_in_the_table() -> None:
    again = from_wire(HoldfastError("config.invalid", "x.db exists", fix="Name another file.").wire())
    assert again.fix == "Name another file." and again.wire()["fix"] == again.fix


def test_a_code_of_a_later_version_keeps_its_words() -> None:
    again = from_wire({"code": "tide.high", "message": "too high", "fix": "Wait.", "retry": True, "metres": 3})
    assert (again.code, again.detail, again.fix, again.fields["metres"]) == ("tide.high", "too high", "Wait.", 3)
