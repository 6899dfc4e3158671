"""What the directory knows of people. Pure."""

from __future__ import annotations

import re
from typing import Any, Final, Literal, NamedTuple

import msgspec

Source = Literal["scim", "oidc", "import"]
"""Who said it: the identity provider over SCIM, a login, or a file."""
_MACHINES: Final = frozenset(
    [
        "service",
        "shared",
        "bot",
        "robot",
        "system",
        "machine",
        "application",
        "app",
        "daemon",
        "workload",
        "room",
        "equipment",
    ]
)
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def name_key(name: str) -> str:
    """A name as names are compared: capitals do not count, nor does space around it."""
    return name.strip().casefold()


class DirectoryPerson(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody in the directory.

    Attributes:
        id: of the directory; the identity provider gets it when it makes somebody.
        user_name: what stands after ``user:`` in an actor.
        email: the primary address; empty for none.
        user_type: as the provider says it, such as ``Employee``.
        active: whether they work here: an identity provider ends somebody by taking this away.
        unit: the department, else the organisation; compared with the names of teams.
        source: who said so last.
        created_ms, changed_ms: Unix ms.
    """

    id: str
    user_name: str
    external_id: str = ""
    email: str = ""
    display: str = ""
    user_type: str = ""
    active: bool = True
    unit: str = ""
    source: Source = "scim"
    created_ms: int = 0
    changed_ms: int = 0

    @property
    def human(self) -> bool:
        """Whether it is one person: not a service account, a shared mailbox, a bot, a room."""
        words = {word.lower() for word in _WORD.findall(self.user_type)}
        return words.isdisjoint(_MACHINES) and words.isdisjoint(f"{word}s" for word in _MACHINES)


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a login or a file says of somebody. The fields mean what they do in ``DirectoryPerson``."""

    user_name: str
    email: str = ""
    display: str = ""
    unit: str = ""
    user_type: str = ""
    active: bool = True


class TokenSignIn(NamedTuple):
    """A sign-in that a token speaks of: when it was, Unix ms, and the address that its issuer has verified; empty for none."""

    at_ms: int
    email: str = ""


class ImportedPeople(msgspec.Struct, frozen=True):
    """What a file came to.

    Attributes:
        people: in the file.
        changed: written, new or other than before.
        kept_by_scim: left as they are.
        ended: whom it does not name any more: not active from now on.
    """

    people: int
    changed: int
    kept_by_scim: int
    ended: int


class DirectoryToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token of the tenant's identity provider, without what opens anything. Times are Unix ms."""

    id: str
    tenant: str
    created_by: str
    created_ms: int
    expires_ms: int
    revoked_ms: int | None = None
    revoked_by: str = ""


def document_of(person: Person) -> dict[str, Any]:
    """The SCIM document of somebody whom no SCIM client made."""
    return {"userName": person.user_name, "displayName": person.display, "active": person.active}
