"""Statements of SCIM resources: people and groups with their whole documents. Functions of a connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, Text, delete, func, select, type_coerce, update

from holdfast.governance import limits
from holdfast.governance.directory import store as statements
from holdfast.governance.directory.model import DirectoryPerson, name_key
from holdfast.governance.store.tables.directory import directory_groups as groups
from holdfast.governance.store.tables.directory import directory_people as people

ResourceKind = Literal["User", "Group"]
_TABLES: Final[dict[str, Table]] = {"User": people, "Group": groups}


class NameTaken(Exception):
    """Somebody else has this user name."""


class NotThere(Exception):
    """There is no such resource."""


class ChangedMeanwhile(Exception):
    """The resource is not in the version that was to be changed."""


class DirectoryFull(Exception):
    """The tenant has as many as it may."""


class Narrowing(NamedTuple):
    """What a resource has to have to be looked at: a value in a column, or a text somewhere in its document."""

    column: Literal["id", "name_key", "external_id", "document"]
    value: str


class StoredResource(NamedTuple):
    """One resource as it is stored.

    Attributes:
        text: its document, JSON.
        created_ms, changed_ms: Unix ms.
        change: the number of the change that wrote it: its version.
    """

    id: str
    text: str
    created_ms: int
    changed_ms: int
    change: int


class DirectoryGroup(NamedTuple):
    """A group, beside its document."""

    id: str
    display: str
    external_id: str


def _mine(tenant: str, kind: ResourceKind) -> list[ColumnElement[bool]]:
    """What SCIM sees: people whom a login or a file brought are none of the provider's resources."""
    if kind == "Group":
        return [groups.c.tenant == tenant]
    return [people.c.tenant == tenant, people.c.source == "scim", people.c.deleted.is_(False)]


def _columns(table: Table) -> list[Any]:
    of = table.c
    return [of.id, type_coerce(of.document, Text), of.created_ms, of.changed_ms, of.change]


def get(connection: Connection, tenant: str, kind: ResourceKind, ident: str) -> StoredResource:
    """A resource. Raises ``NotThere``."""
    table = _TABLES[kind]
    row = connection.execute(select(*_columns(table)).where(*_mine(tenant, kind), table.c.id == ident)).first()
    if row is None:
        raise NotThere
    return StoredResource(*row)


def page(
    connection: Connection, tenant: str, kind: ResourceKind, offset: int, limit: int
) -> tuple[int, Sequence[StoredResource]]:
    """How many there are, and some of them, in the order of their ids."""
    table, mine = _TABLES[kind], _mine(tenant, kind)
    total = connection.execute(select(func.count()).select_from(table).where(*mine)).scalar_one()
    found = select(*_columns(table)).where(*mine).order_by(table.c.id).offset(offset).limit(limit)
    return int(total), [StoredResource(*row) for row in connection.execute(found)] if limit else []


def candidates(
    connection: Connection, tenant: str, kind: ResourceKind, narrowing: Sequence[Narrowing]
) -> Sequence[StoredResource]:
    """Those that a filter may match, in the order of their ids; one more than may be looked at where there are more."""
    table = _TABLES[kind]
    where = [_meets(table, one) for one in narrowing]
    found = select(*_columns(table)).where(*_mine(tenant, kind), *where).order_by(table.c.id)
    return [StoredResource(*row) for row in connection.execute(found.limit(limits.DIRECTORY_SCAN_ROWS + 1))]


def _meets(table: Table, narrowing: Narrowing) -> ColumnElement[bool]:
    if narrowing.column == "document":
        text = func.lower(type_coerce(table.c.document, Text))
        return text.contains(narrowing.value.lower(), autoescape=True)
    return table.c[narrowing.column] == narrowing.value


def put_person(
    connection: Connection, tenant: str, person: DirectoryPerson, document: Mapping[str, Any], version: int | None
) -> StoredResource:
    """Write somebody as the provider has them. Who was here by a login or a file, and has the name, becomes that one.

    Args:
        version: of the resource that is changed; None for a new one.

    Raises:
        NameTaken, NotThere, ChangedMeanwhile, DirectoryFull.
    """
    number = statements.next_number(connection)
    named = statements.find(connection, tenant, person.user_name)
    if named is not None and named.id != person.id:
        if named.source == "scim":
            raise NameTaken
        statements.remove(connection, tenant, named.id, number, person.changed_ms)
    if version is not None:
        _check_version(connection, tenant, "User", person.id, version)
    elif statements.count(connection, tenant) >= limits.DIRECTORY_PEOPLE:
        raise DirectoryFull
    statements.put(connection, tenant, person, document, number)
    return get(connection, tenant, "User", person.id)


def put_group(
    connection: Connection, tenant: str, group: DirectoryGroup, document: Mapping[str, Any], at_ms: int, version: int | None
) -> StoredResource:  # fmt: skip
    """Write a group. Raises as ``put_person`` does."""
    number = statements.next_number(connection)
    values = {
        **group._asdict(), "name_key": name_key(group.display), "document": document, "changed_ms": at_ms, "change": number,
    }  # fmt: skip
    if version is None:
        mine = select(func.count()).select_from(groups).where(groups.c.tenant == tenant)
        if connection.execute(mine).scalar_one() >= limits.DIRECTORY_PEOPLE:
            raise DirectoryFull
        connection.execute(groups.insert(), {"tenant": tenant, "created_ms": at_ms, **values})
    else:
        _check_version(connection, tenant, "Group", group.id, version)
        connection.execute(update(groups).where(groups.c.tenant == tenant, groups.c.id == group.id).values(values))
    return get(connection, tenant, "Group", group.id)


def _check_version(connection: Connection, tenant: str, kind: ResourceKind, ident: str, version: int) -> None:
    if get(connection, tenant, kind, ident).change != version:
        raise ChangedMeanwhile


def delete_resource(
    connection: Connection, tenant: str, kind: ResourceKind, ident: str, at_ms: int, version: int | None
) -> None:
    """Delete a resource; groups do not have somebody as a member who is deleted.

    Raises:
        NotThere, ChangedMeanwhile.
    """
    number = statements.next_number(connection)
    if get(connection, tenant, kind, ident).change != version and version is not None:
        raise ChangedMeanwhile
    if kind == "User":
        statements.remove(connection, tenant, ident, number, at_ms)
    else:
        connection.execute(delete(groups).where(groups.c.tenant == tenant, groups.c.id == ident))
    having = groups.c.tenant == tenant, type_coerce(groups.c.document, Text).contains(ident, autoescape=True)
    for row in connection.execute(select(groups.c.id, groups.c.document).where(*having)).all():
        members = [one for one in row.document.get("members") or [] if one.get("value") != ident]
        values = {"document": row.document | {"members": members}, "changed_ms": at_ms, "change": number}
        connection.execute(update(groups).where(groups.c.tenant == tenant, groups.c.id == row.id).values(values))


def document_of(resource: StoredResource) -> dict[str, Any]:
    """The document of a resource."""
    found: dict[str, Any] = msgspec.json.decode(resource.text)
    return found
