"""What is put right before the library reads it, and that nothing else is touched."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.governance.directory.resources import Narrowing
from holdfast.governance.directory.scim.people import Unusable, person_of
from holdfast.governance.directory.scim.storage import narrowed
from holdfast.governance.directory.scim.tolerance import ENTERPRISE, body_of


def righted(method: str, body: Any) -> Any:
    return json.loads(body_of(method, json.dumps(body).encode()))


@pytest.mark.parametrize(
    ("operation", "wanted"),
    [
        ({"op": "Add", "path": f"{ENTERPRISE}:manager", "value": "7"}, {"op": "Add", "path": f"{ENTERPRISE}:manager", "value": {"value": "7"}}),
        ({"op": "replace", "path": f"{ENTERPRISE.upper()}:Manager", "value": ""}, {"op": "remove", "path": f"{ENTERPRISE.upper()}:Manager"}),
        ({"op": "replace", "path": f"{ENTERPRISE}:manager", "value": {"value": "7"}}, None),
        ({"op": "replace", "value": {ENTERPRISE: {"manager": "7"}}}, {"op": "replace", "value": {ENTERPRISE: {"manager": {"value": "7"}}}}),
        ({"op": "replace", "value": {f"{ENTERPRISE}:manager": "7"}}, {"op": "replace", "value": {f"{ENTERPRISE}:manager": {"value": "7"}}}),
        ({"op": "Remove", "path": "members", "value": []}, {"op": "remove", "path": 'members[value eq ""]'}),
        ({"op": "remove", "path": "members"}, None),
        ({"op": "replace", "path": "members", "value": []}, None),
        ({"op": "add", "path": "title", "value": "manager"}, None),
        ({"op": 7, "path": None, "value": None}, None),
    ],
)  # fmt: skip
def test_an_operation(operation: dict[str, Any], wanted: dict[str, Any] | None) -> None:
    assert righted("PATCH", {"operations": [operation, "x"]}) == {"operations": [wanted or operation, "x"]}


def test_a_document_has_a_manager_that_is_an_object() -> None:
    whole = {"userName": "ann", ENTERPRISE: {"manager": "7", "department": "F"}, "roles": []}
    assert righted("POST", whole) == whole | {ENTERPRISE: {"manager": {"value": "7"}, "department": "F"}}
    assert righted("PUT", {ENTERPRISE: {"manager": ""}}) == {ENTERPRISE: {}}


def test_somebody_is_read_from_a_document() -> None:
    emails = [
        {"value": "home@x", "type": "home"},
        {"value": "work@x", "type": "Work"},
        {"value": "p@x", "primary": True},
    ]
    full = person_of(
        {"userName": "ann", "emails": emails, ENTERPRISE: {"organization": "Acme"}, "userType": "Bot\n"}, "1", 2, 3
    )
    assert (full.email, full.unit, full.active, full.user_type, full.human) == ("p@x", "Acme", True, "Bot", False)
    assert person_of({"userName": "ann", "emails": emails[:2]}, "1", 2, 3).email == "work@x"
    both = {"department": "Finance", "organization": "Acme"}
    assert person_of({"userName": "ann", ENTERPRISE: both}, "1", 2, 3).unit == "Finance"
    named = {"userName": "ann", "name": {"givenName": "Ann", "familyName": "Lee"}, "active": None, "emails": None}
    assert (person_of(named, "1", 2, 3).display, person_of(named, "1", 2, 3).active) == ("Ann Lee", True)
    for wrong in ("", "  ", "a\nb", "x" * 257):
        with pytest.raises(Unusable):
            person_of({"userName": wrong}, "1", 2, 3)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ('userName eq "Ann"', [Narrowing("name_key", "ann")]),
        ('id eq "1" and externalId eq "X"', [Narrowing("id", "1"), Narrowing("external_id", "X")]),
        ('emails[type eq "work" and value eq "a@x"]', [Narrowing("document", "work"), Narrowing("document", "a@x")]),
        ('emails[id eq "abc"]', []),
        ('userName eq "a" or userName eq "b"', []),
        ('not (userName eq "a")', []),
        ('userName ne "a"', []),
        ('title eq "é\\"x"', []),
        ('meta.version eq "abc"', []),
        ("active eq true", []),
    ],
)
def test_what_a_filter_says_of_every_match(wanted: str, found: list[Narrowing]) -> None:
    from scim2_models import ScimFilter

    assert narrowed("User", ScimFilter(wanted).ast) == found
