"""Statements of the directory: functions of a connection, each in the transaction of whoever calls.

What is written gets the number of the change (``write``), so that who has read up to a number reads only what is newer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, delete, func, select, update

from holdfast.governance import limits
from holdfast.governance.directory.model import DirectoryPerson, DirectoryToken, Source, name_key
from holdfast.governance.store.changes import change_number, count_change
from holdfast.governance.store.tables.directory import directory_people as people
from holdfast.governance.store.tables.directory import directory_sign_ins as sign_ins
from holdfast.governance.store.tables.directory import directory_syncs as syncs
from holdfast.governance.store.tables.directory import directory_tokens as tokens

DOMAIN: Final = "directory"
_FIELDS: Final = [people.c[name] for name in DirectoryPerson.__struct_fields__]


class DirectoryNews(NamedTuple):
    """What is new since a change.

    Attributes:
        number: of the last change that is in here.
        people: tenant and person; None beside the id of somebody who was deleted.
        sign_ins: tenant, name and Unix ms.
        tokens: all of them, each with its hash.
        syncs: all of them: tenant, source and Unix ms.
    """

    number: int
    people: Sequence[tuple[str, str, DirectoryPerson | None]]
    sign_ins: Sequence[tuple[str, str, int]]
    tokens: Sequence[tuple[DirectoryToken, str]]
    syncs: Sequence[tuple[str, str, int]]


def read_since(connection: Connection, number: int) -> DirectoryNews:
    """What was written after a change; 0 for everything."""
    last = change_number(connection, DOMAIN)  # first: what is written meanwhile is read again, and never missed
    wanted = select(people.c.tenant, people.c.deleted, *_FIELDS).where(people.c.change > number)
    found = [
        (row.tenant, row.id, None if row.deleted else person_of(row[2:]))
        for row in connection.execute(wanted.order_by(people.c.change))
    ]
    seen = select(sign_ins.c.tenant, sign_ins.c.person, sign_ins.c.at_ms).where(sign_ins.c.change > number)
    names = DirectoryToken.__struct_fields__
    listed = [
        (DirectoryToken(**{name: row[name] for name in names}), row["hash"])
        for row in connection.execute(select(tokens)).mappings()
    ]
    return DirectoryNews(
        last, found, [tuple(row) for row in connection.execute(seen)], listed,
        [tuple(row) for row in connection.execute(select(syncs.c.tenant, syncs.c.source, syncs.c.at_ms))],
    )  # fmt: skip


def person_of(values: Sequence[Any]) -> DirectoryPerson:
    """Somebody from the columns of their row, in the order of ``DirectoryPerson``."""
    return DirectoryPerson(**dict(zip(DirectoryPerson.__struct_fields__, values, strict=True)))


def next_number(connection: Connection) -> int:
    """The number of the change that this transaction makes. Others wait for it to end, so numbers are seen in their order."""
    return count_change(connection, DOMAIN)


# --- people
def find(connection: Connection, tenant: str, name: str) -> DirectoryPerson | None:
    """Somebody by user name, whatever the source."""
    where = people.c.tenant == tenant, people.c.name_key == name_key(name), people.c.deleted.is_(False)
    row = connection.execute(select(*_FIELDS).where(*where)).first()
    return None if row is None else person_of(row)


def count(connection: Connection, tenant: str) -> int:
    """How many people a tenant has."""
    where = people.c.tenant == tenant, people.c.deleted.is_(False)
    return int(connection.execute(select(func.count()).select_from(people).where(*where)).scalar_one())


def everybody(connection: Connection, tenant: str) -> dict[str, DirectoryPerson]:
    """Everybody, by name as names are compared."""
    where = people.c.tenant == tenant, people.c.deleted.is_(False)
    found = map(person_of, connection.execute(select(*_FIELDS).where(*where)))
    return {name_key(person.user_name): person for person in found}


def put(connection: Connection, tenant: str, person: DirectoryPerson, document: Mapping[str, Any], number: int) -> None:
    """Have somebody as they are now, new or not."""
    values = {
        **msgspec.structs.asdict(person),
        "name_key": name_key(person.user_name),
        "document": document,
        "change": number,
        "deleted": False,
    }
    where = people.c.tenant == tenant, people.c.id == person.id
    if not connection.execute(update(people).where(*where).values(values)).rowcount:
        connection.execute(people.insert(), {"tenant": tenant, **values})


def remove(connection: Connection, tenant: str, ident: str, number: int, now_ms: int) -> None:
    """Delete somebody. What is left is a row that says of an id that it is nobody."""
    empty = dict.fromkeys(("user_name", "external_id", "email", "display", "user_type", "unit"), "")
    values = {**empty, "name_key": f"\n{ident}", "active": False, "document": {}, "deleted": True}
    where = people.c.tenant == tenant, people.c.id == ident
    connection.execute(update(people).where(*where).values(**values, change=number, changed_ms=now_ms))


# --- when
def sign_in(connection: Connection, tenant: str, name: str, at_ms: int) -> bool:
    """Note a sign-in; whether it is the latest."""
    key = name_key(name)
    where = sign_ins.c.tenant == tenant, sign_ins.c.person == key
    last = connection.execute(select(sign_ins.c.at_ms).where(*where)).scalar_one_or_none()
    if last is not None and last >= at_ms:
        return False
    values = {"at_ms": at_ms, "change": next_number(connection)}
    if last is None:
        connection.execute(sign_ins.insert(), {"tenant": tenant, "person": key, **values})
    else:
        connection.execute(update(sign_ins).where(*where).values(values))
    return True


def count_sign_ins(connection: Connection, tenant: str) -> int:
    """How many people of a tenant were ever seen to sign in."""
    return int(connection.execute(select(func.count()).where(sign_ins.c.tenant == tenant)).scalar_one())


def last_sync(connection: Connection, tenant: str, source: Source) -> int | None:
    """When a source spoke last; None where it never did."""
    where = syncs.c.tenant == tenant, syncs.c.source == source
    found: int | None = connection.execute(select(syncs.c.at_ms).where(*where)).scalar_one_or_none()
    return found


def hear(connection: Connection, tenant: str, source: Source, at_ms: int) -> None:
    """Note that a source spoke; long since deleted people are forgotten."""
    next_number(connection)
    where = syncs.c.tenant == tenant, syncs.c.source == source
    if not connection.execute(update(syncs).where(*where).values(at_ms=at_ms)).rowcount:
        connection.execute(syncs.insert(), {"tenant": tenant, "source": source, "at_ms": at_ms})
    old = people.c.deleted.is_(True), people.c.changed_ms < at_ms - limits.DIRECTORY_DELETED_MS
    connection.execute(delete(people).where(people.c.tenant == tenant, *old))


# --- tokens
def add_token(connection: Connection, token: DirectoryToken, digest: str) -> bool:
    """A new token; False where the tenant has as many as it may."""
    good = (
        tokens.c.tenant == token.tenant,
        tokens.c.revoked_ms.is_(None),
        tokens.c.expires_ms > token.created_ms,
    )
    found = connection.execute(select(func.count()).select_from(tokens).where(*good)).scalar_one()
    if found >= limits.DIRECTORY_TOKENS:
        return False
    connection.execute(tokens.insert(), {**msgspec.structs.asdict(token), "hash": digest})
    next_number(connection)
    return True


def revoke_token(connection: Connection, tenant: str, ident: str, by: str, at_ms: int) -> bool:
    """End a token; whether there is such a one. Twice is once."""
    where = tokens.c.tenant == tenant, tokens.c.id == ident
    if connection.execute(select(tokens.c.id).where(*where)).first() is None:
        return False
    open_ = update(tokens).where(*where, tokens.c.revoked_ms.is_(None))
    if connection.execute(open_.values(revoked_ms=at_ms, revoked_by=by)).rowcount:
        next_number(connection)
    return True
