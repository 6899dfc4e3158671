"""A file of people: CSV with a line of names, or JSON. Pure."""

from __future__ import annotations

import csv
import io
from typing import Any, Final

import msgspec

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.directory.model import Person

_YES: Final = {"true": True, "yes": True, "1": True, "": True, "false": False, "no": False, "0": False}
COLUMNS: Final = Person.__struct_fields__


def read_people(data: bytes) -> list[Person]:
    """Everybody in a file: ``[{"user_name": "ann", …}]``, or CSV with the same names above its columns.

    Raises:
        Refused: ``input.malformed``, naming the line.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _wrong("the file is not UTF-8") from None
    listed = _of_json(data) if text.lstrip()[:1] in ("[", "{") else _of_csv(text)
    if not listed:
        raise _wrong("nobody is in the file, and that would end everybody")
    for number, person in enumerate(listed, 1):
        _check(person, number)
    return listed


def _of_json(data: bytes) -> list[Person]:
    try:
        return msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"), type=list[Person])
    except (msgspec.DecodeError, RecursionError) as error:
        raise _wrong(f"{error}; a list of people is wanted, each with {', '.join(COLUMNS)}") from None


def _of_csv(text: str) -> list[Person]:
    head = text.partition("\n")[0]
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=";" if head.count(";") > head.count(",") else ",")
    try:
        names = [name.strip().lower() for name in next(rows, [])]
        if "user_name" not in names or set(names) - set(COLUMNS) or len(set(names)) < len(names):
            raise _wrong(f"line 1 names the columns: user_name, and any of {', '.join(COLUMNS[1:])}")
        found = []
        for row in rows:
            if not any(row):
                continue
            if len(row) != len(names):
                raise _wrong(f"line {rows.line_num}: {len(row)} columns where {len(names)} are named")
            found.append(_person(dict(zip(names, row, strict=True)), rows.line_num))
    except csv.Error as error:
        raise _wrong(f"line {rows.line_num}: {error}") from None
    return found


def _person(fields: dict[str, str], line: int) -> Person:
    facts: dict[str, Any] = {name: value.strip() for name, value in fields.items()}
    if "active" in facts:
        active = _YES.get(facts["active"].lower())
        if active is None:
            raise _wrong(f"line {line}: active is true or false")
        facts["active"] = active
    return Person(**facts)


def _check(person: Person, number: int) -> None:
    if not person.user_name.strip():
        raise _wrong(f"person {number} has no user_name")
    for name in COLUMNS:
        value = getattr(person, name)
        if isinstance(value, str) and (len(value) > limits.DIRECTORY_NAME_CHARS or not value.isprintable()):
            most = limits.DIRECTORY_NAME_CHARS
            raise _wrong(f"person {number}: {name} is a line of at most {most} characters")


def _wrong(words: str) -> Refused:
    return Refused("input.malformed", words, fix="See docs/howto/directory.md for what a file of people looks like.")
