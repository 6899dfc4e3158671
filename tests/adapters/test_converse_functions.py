"""Python functions as a model is told of them."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from typing import Annotated, Any, Literal

import msgspec
import pytest

from holdfast.agents.adapters.functions import Function, function, functions
from holdfast.errors import Refused


class Kind(enum.Enum):
    SAIL = "sail"


@dataclasses.dataclass
class Boat:
    """A boat."""

    length: int
    kind: Kind = Kind.SAIL


def rent(
    boat: Boat, day: datetime.date, hours: Annotated[int, msgspec.Meta(ge=1)], crew: list[str] = [], *,  # noqa: B006
    pay: Literal["cash", "card"] = "card", note: str | None = None,
) -> None:  # fmt: skip
    """Rent a boat."""


def test_a_signature_becomes_a_schema_and_arguments_what_it_names() -> None:
    tool = function(rent)
    assert (tool.name, tool.description) == ("rent", "Rent a boat.")
    assert tool.parameters["required"] == ["boat", "day", "hours"]
    assert tool.parameters["properties"]["boat"] == {"$ref": "#/$defs/Boat"}
    assert set(tool.parameters["$defs"]) == {"Boat", "Kind"}
    arguments = {"boat": {"length": 7}, "day": "2026-11-23", "hours": 2, "pay": "cash"}
    assert tool.convert_args(arguments) == {
        "boat": Boat(7), "day": datetime.date(2026, 11, 23), "hours": 2, "crew": [], "pay": "cash", "note": None,
    }  # fmt: skip
    for wrong in ({"hours": 0}, {"hours": "2"}, {"boat": 7}, {"pay": "gold"}, {"more": 1}):
        with pytest.raises(ValueError):
            tool.convert_args(arguments | wrong)


def test_a_type_named_like_its_tool() -> None:
    def Boat_(boat: Boat) -> None: ...

    Boat_.__name__ = "Boat"
    assert function(Boat_).parameters["properties"]["boat"]["$ref"].startswith("#/$defs/")


def test_what_cannot_be_told_is_refused() -> None:
    def rest(*words: str) -> None: ...

    def foreign(lock: pytest.MonkeyPatch) -> None: ...

    def twice() -> None: ...

    wrong: list[list[Any]] = [
        [rest], [foreign], [lambda: None], [twice, twice], [Function("a b", "", {}, twice)],
    ]  # fmt: skip
    for tools in wrong:
        with pytest.raises(Refused) as refused:
            functions(tools)
        assert refused.value.code == "config.invalid"
