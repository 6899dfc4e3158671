"""A file of people, in both forms and in every way in which it is none."""

from __future__ import annotations

import pytest

from holdfast.errors import Refused
from holdfast.governance.directory.model import Person
from holdfast.governance.directory.people_file import read_people

ANN = Person("ann", "ann@x", "Ann Lee", "Finance", "Employee", True)


def test_both_forms_say_the_same() -> None:
    line = "ann,ann@x,Ann Lee,Finance,Employee"
    assert read_people(f"user_name,email,display,unit,user_type\n{line}\n".encode()) == [ANN]
    assert read_people(
        f"\ufeffUser_Name; email;display;unit;user_type;active\r\n{line.replace(',', ';')};TRUE\r\n\r\n".encode()
    ) == [ANN]
    assert read_people(b'user_name,display\nann,"Lee, Ann"\nbob,\n') == [
        Person("ann", display="Lee, Ann"),
        Person("bob"),
    ]
    assert read_people(b"user_name,active\nann,no\n") == [Person("ann", active=False)]
    assert read_people(
        b'[{"user_name":"ann","email":"ann@x","display":"Ann Lee","unit":"Finance","user_type":"Employee"}]'
    ) == [ANN]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "line 1"), (b"user_name\n", "nobody"), (b"[]", "nobody"), (b"name\nann\n", "line 1"), (b"user_name,salary\na,1\n", "line 1"),
        (b"user_name,unit\nann\n", "line 2"), (b"user_name,active\nann,maybe\n", "line 2"), (b"user_name,unit\n ,x\n", "person 1"),
        (b'[{"user_name":"a\\u0000"}]', "person 1"), (b'[{"name":"ann"}]', "user_name"), (b'{"user_name":"ann"}', "array"),
        (b"\xff\xfe", "UTF-8"), (b"[" * 5_000, "list"), (b"user_name,unit\nann," + b"x" * 300, "at most"),
        (b"user_name,user_name\na,b\n", "line 1"), (b"user_name\n" + b"x" * 140_000, "line 2"),
    ],
)  # fmt: skip
def test_what_is_no_file_of_people(data: bytes, words: str) -> None:
    with pytest.raises(Refused, match=words) as refused:
        read_people(data)
    assert refused.value.code == "input.malformed"
