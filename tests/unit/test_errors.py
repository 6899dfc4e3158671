"""Errors that callers catch have classes of their own, wherever they are raised, and however they arrive."""

from __future__ import annotations

import copy
import pickle
from typing import get_args

import pytest

import holdfast
from holdfast import errors
from holdfast.errors import BY_CODE, CODES, Code, Refused, Unavailable, from_wire


@pytest.mark.parametrize("code", BY_CODE)
def test_a_code_has_its_class_here_and_over_the_wire(code: Code) -> None:
    raised = Refused(code, "why", by="user:ann", decision="denied", approval="a1")
    for error in (raised, from_wire(raised.wire())):
        assert type(error) is BY_CODE[code] and isinstance(error, Refused)
        assert (error.code, error.detail, error.fields["by"]) == (code, "why", "user:ann")
    assert code in (BY_CODE[code].__doc__ or "") and code in CODES
    assert getattr(holdfast, BY_CODE[code].__name__) is BY_CODE[code]


def test_the_type_of_codes_names_exactly_those_of_the_table() -> None:
    assert get_args(Code) == tuple(CODES)


def test_what_is_said_of_them_can_be_read() -> None:
    with pytest.raises(errors.ApprovalResolved) as resolved:
        raise Refused("approval.resolved", by="user:bob", decision="approved")
    assert (resolved.value.by, resolved.value.decision) == ("user:bob", "approved")
    assert errors.ApprovalNeeded("approval.needed", approval="p7").approval == "p7"


def test_other_codes_and_trees_stay_as_they_are() -> None:
    assert type(Refused("auth.denied")) is Refused
    assert type(from_wire({"code": "from.the.future", "message": "x"})) is Refused
    assert type(from_wire({"code": "run.ended", "message": "x", "retry": True})) is Unavailable
    assert type(copy.copy(Refused("run.ended"))) is errors.RunEnded
    assert pickle.loads(pickle.dumps(Refused("run.ended"))).code == "run.ended"
