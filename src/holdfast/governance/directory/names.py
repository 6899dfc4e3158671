"""Names under which people are found: the one place that says who is meant by a name. Pure.

A manifest may name its owner by an address, and the same person sign in under a user name, or under the id that their
identity provider has for them. Only what the directory says makes two names one person: SCIM, a file, or an address that the
provider of a login has verified. What is there first in ``KINDS`` has the last word, so that nobody becomes somebody else by
taking their user name as an address; a name of several people is nobody's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, get_args

from holdfast.governance import limits
from holdfast.governance.directory.model import DirectoryPerson, name_key

NameKind = Literal["user_name", "email", "address", "external_id", "login"]
"""``address``: a further one, for work; ``login``: under which somebody came who showed a verified address."""
KINDS: Final[tuple[NameKind, ...]] = get_args(NameKind)
SameName = Callable[[str, str, str], bool]
"""Whether two names of a tenant are one person's: ``Directory.same``."""


def literally(tenant: str, name: str, other: str) -> bool:
    """Whether two names are the same: all that can be said without a directory."""
    return bool(name.strip()) and name_key(name) == name_key(other)


def own_names(person: DirectoryPerson) -> list[tuple[NameKind, str]]:
    """Names that the row of somebody has."""
    found: list[tuple[NameKind, str]] = [
        ("user_name", name_key(person.user_name)), ("email", name_key(person.email)),
        ("external_id", name_key(person.external_id)),
    ]  # fmt: skip
    return [(kind, key) for kind, key in found if key]


def addresses(person: DirectoryPerson, document: Mapping[str, Any]) -> list[str]:
    """Further addresses that a SCIM document has, those for work: people write their private ones themselves."""
    found = []
    for one in document.get("emails") or []:
        value = one.get("value") if isinstance(one, Mapping) else None
        if (
            isinstance(value, str)
            and len(value) <= limits.DIRECTORY_NAME_CHARS
            and str(one.get("type")).lower() == "work"
        ):
            found.append(name_key(value))
    return [key for key in dict.fromkeys(found) if key and key != name_key(person.email)][: limits.DIRECTORY_ADDRESSES]


def resolve_ids(names: Iterable[tuple[str, str]]) -> list[str]:
    """Ids of those whom a name may mean, of everybody who has it: ``(kind, id)``. One is that person; several are nobody."""
    some = list(names)
    for kind in KINDS:
        if ids := sorted({ident for each, ident in some if each == kind}):
            return ids
    return []


def names_of(people: Iterable[str], names: Sequence[tuple[str, str, str]]) -> set[str]:
    """All names of some people, theirs among them: those that mean one of them and nobody else.

    Args:
        names: ``(name, kind, id)``, of everybody who has one of the names.
    """
    having: dict[str, list[tuple[str, str]]] = {}
    for name, kind, ident in names:
        having.setdefault(name, []).append((kind, ident))
    keys = {name_key(name) for name in people} - {""}
    ids = [found for key in keys if len(found := resolve_ids(having.get(key, ()))) == 1]
    return keys | {name for name, some in having.items() if resolve_ids(some) in ids}


class PeopleIndex:
    """The people of one tenant, by id and by name."""

    def __init__(self) -> None:
        self._people: dict[str, DirectoryPerson] = {}
        self._ids: dict[NameKind, dict[str, tuple[str, ...]]] = {kind: {} for kind in KINDS}
        self._more: dict[str, list[tuple[NameKind, str]]] = {}

    def put(self, person: DirectoryPerson, more: Sequence[str] = ()) -> None:
        """Have somebody as they are now. ``more``: their further addresses. Names of their logins stay."""
        logins = [one for one in self._more.get(person.id, ()) if one[0] == "login"]
        self.drop(person.id)
        self._people[person.id] = person
        self._more[person.id] = [*logins, *(("address", key) for key in more)]
        if not self._more[person.id]:
            del self._more[person.id]
        for kind, key in self._names(person):
            self._ids[kind][key] = (*self._ids[kind].get(key, ()), person.id)

    def login(self, key: str, ident: str) -> None:
        """Somebody goes under this name when they sign in; whoever did before does not."""
        for before in self._ids["login"].get(key, ()):
            self._more[before].remove(("login", key))
        self._ids["login"].pop(key, None)
        if ident in self._people:
            self._more.setdefault(ident, []).append(("login", key))
            self._ids["login"][key] = (ident,)

    def drop(self, ident: str) -> frozenset[str]:
        """Forget somebody; the names that were theirs, as they are compared."""
        person = self._people.pop(ident, None)
        if person is None:
            return frozenset()
        names = self._names(person)
        for kind, key in names:
            left = tuple(one for one in self._ids[kind][key] if one != ident)
            if left:
                self._ids[kind][key] = left
            else:
                del self._ids[kind][key]
        self._more.pop(ident, None)
        return frozenset(key for _, key in names)

    def _names(self, person: DirectoryPerson) -> list[tuple[NameKind, str]]:
        return list(dict.fromkeys([*own_names(person), *self._more.get(person.id, ())]))

    def candidates(self, name: str) -> list[DirectoryPerson]:
        """Those whom a name may mean: one is that person; several are nobody."""
        key = name_key(name)
        found = next((ids for kind in KINDS if (ids := self._ids[kind].get(key))), ())
        return [self._people[ident] for ident in found]

    def kind_of(self, name: str) -> NameKind | None:
        """By what a name is found; None where it is not."""
        key = name_key(name)
        return next((kind for kind in KINDS if key in self._ids[kind]), None)

    def find(self, name: str) -> DirectoryPerson | None:
        """Somebody by a name of theirs; None for nobody, and where it could be several."""
        found = self.candidates(name)
        return found[0] if len(found) == 1 else None

    def names(self, name: str) -> frozenset[str]:
        """All names of whoever is meant by one, as they are compared, itself among them: those that mean this person only."""
        person = self.find(name)
        if person is None:
            return frozenset({name_key(name)})
        mine = (key for _, key in self._names(person) if self.candidates(key) == [person])
        return frozenset({name_key(name), *mine})

    def everybody(self) -> list[DirectoryPerson]:
        """All of them, by user name."""
        return sorted(self._people.values(), key=lambda person: (name_key(person.user_name), person.id))
