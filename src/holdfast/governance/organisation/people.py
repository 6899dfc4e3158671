"""Pseudonyms: what stands in rows instead of a person's name. In memory; the service writes them down.

A pseudonym is random and says nothing of the person, so whoever takes the name out of the table has taken it out of every
row. One made from the name by a key would lead back to it as long as anybody has the key.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping

from holdfast.governance import limits


def new_pseudonym() -> str:
    """A pseudonym that nobody has."""
    return f"p-{base64.b32encode(secrets.token_bytes(10)).decode().lower()}"


def plain_name(person: str) -> str:
    """A person's name without what marks it as an actor: ``user:ann`` is ``ann``."""
    return person.removeprefix("user:")


class Pseudonyms:
    """Who is who, by tenant.

    Somebody who is seen for the first time gets a pseudonym at once, and is written down soon after. When the process ends
    in between, rows stand under a pseudonym that leads to nobody, as if the person had been deleted.
    """

    def __init__(self) -> None:
        self._people: dict[str, dict[str, str]] = {}
        self._pseudonyms: dict[str, dict[str, str]] = {}
        self._new: dict[tuple[str, str], str] = {}

    def load(self, people: Mapping[str, dict[str, str]], pseudonyms: Mapping[str, dict[str, str]]) -> None:
        """Take what is written down for the truth."""
        self._people = {tenant: dict(some) for tenant, some in people.items()}
        self._pseudonyms = {tenant: dict(some) for tenant, some in pseudonyms.items()}
        for (tenant, person), pseudonym in list(self._new.items()):
            if pseudonym in self._pseudonyms.get(tenant, {}):
                del self._new[tenant, person]

    def of(self, tenant: str, person: str) -> str:
        """The pseudonym of somebody; a new one for who was not seen before. Empty when too many are new at once."""
        name = plain_name(person)
        if not name or len(name) > limits.ORG_NAME_CHARS:
            return ""
        found = self._people.get(tenant, {}).get(name) or self._new.get((tenant, name))
        if found is None:
            if len(self._new) >= limits.ORG_NEW_PEOPLE:
                return ""
            found = self._new[tenant, name] = new_pseudonym()
        return found

    def find(self, tenant: str, person: str) -> str:
        """The pseudonym of somebody who is known; else empty."""
        name = plain_name(person)
        return self._people.get(tenant, {}).get(name) or self._new.get((tenant, name), "")

    def person(self, tenant: str, pseudonym: str) -> str:
        """Who is behind a pseudonym; empty for nobody, and for somebody whose name was deleted."""
        return self._pseudonyms.get(tenant, {}).get(pseudonym, "")

    def everybody(self, tenant: str) -> list[tuple[str, str]]:
        """Every pseudonym with who is behind it, by name."""
        return sorted(self._pseudonyms.get(tenant, {}).items(), key=lambda item: (item[1], item[0]))

    def new(self) -> dict[str, dict[str, str]]:
        """Those who are not written down yet: by tenant, person to pseudonym."""
        found: dict[str, dict[str, str]] = {}
        for (tenant, person), pseudonym in self._new.items():
            found.setdefault(tenant, {})[person] = pseudonym
        return found

    def forget(self, tenant: str, person: str) -> None:
        """Know somebody no more."""
        self._new.pop((tenant, plain_name(person)), None)
