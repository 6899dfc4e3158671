"""Statements of the directory: functions of a connection, each in the transaction of whoever calls.

What is written gets the number of the change (``write``), so that who has read up to a number reads only what is newer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Select, delete, func, select, update

from holdfast.governance import limits
from holdfast.governance.directory.model import DirectoryPerson, DirectoryToken, Source, name_key
from holdfast.governance.directory.names import addresses, own_names, resolve_ids
from holdfast.governance.store.changes import change_number, count_change
from holdfast.governance.store.tables.directory import directory_names as names
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
        people: tenant, id and person; None for somebody who was deleted.
        names: tenant, kind, name and id, of what the rows of people do not have themselves: all further addresses of those
            people, and under which names somebody signed in.
        sign_ins: tenant, name and Unix ms.
        tokens: all of them, each with its hash.
        syncs: all of them: tenant, source and Unix ms.
    """

    number: int
    people: Sequence[tuple[str, str, DirectoryPerson | None]]
    names: Sequence[tuple[str, str, str, str]]
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
    more = select(names.c.tenant, names.c.kind, names.c.name_key, names.c.id).order_by(names.c.change)
    more = more.where(names.c.change > number, names.c.kind.in_(("address", "login")))
    seen = select(sign_ins.c.tenant, sign_ins.c.person, sign_ins.c.at_ms).where(sign_ins.c.change > number)
    fields = DirectoryToken.__struct_fields__
    listed = [
        (DirectoryToken(**{name: row[name] for name in fields}), row["hash"])
        for row in connection.execute(select(tokens)).mappings()
    ]
    return DirectoryNews(
        last, found, [tuple(row) for row in connection.execute(more)], [tuple(row) for row in connection.execute(seen)], listed,
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
    mine = names.c.tenant == tenant, names.c.id == person.id, names.c.kind != "login"
    connection.execute(delete(names).where(*mine))
    found = [*own_names(person), *(("address", key) for key in addresses(person, document))]
    rows = [{"tenant": tenant, "kind": kind, "name_key": key, "id": person.id, "change": number} for kind, key in found]
    connection.execute(names.insert(), rows)
    if person.source != "oidc" and person.email:
        _take_over(connection, tenant, person, number)


def _take_over(connection: Connection, tenant: str, person: DirectoryPerson, number: int) -> None:
    """Whoever logged in with the address of somebody, before a directory had them, is that one under another name."""
    same = names.c.tenant == people.c.tenant, names.c.id == people.c.id, names.c.kind == "email"
    wanted = select(people.c.id, people.c.user_name).where(*same, people.c.tenant == tenant, people.c.source == "oidc")
    wanted = wanted.where(names.c.name_key == name_key(person.email), people.c.id != person.id)
    for row in connection.execute(wanted).all():
        remove(connection, tenant, row.id, number, person.changed_ms)
        note_login(connection, tenant, row.user_name, person.email)


def remove(connection: Connection, tenant: str, ident: str, number: int, now_ms: int) -> None:
    """Delete somebody. What is left is a row that says of an id that it is nobody."""
    empty = dict.fromkeys(("user_name", "external_id", "email", "display", "user_type", "unit"), "")
    values = {**empty, "name_key": f"\n{ident}", "active": False, "document": {}, "deleted": True}
    where = people.c.tenant == tenant, people.c.id == ident
    connection.execute(update(people).where(*where).values(**values, change=number, changed_ms=now_ms))
    connection.execute(delete(names).where(names.c.tenant == tenant, names.c.id == ident))


def note_login(connection: Connection, tenant: str, name: str, email: str) -> bool:
    """Somebody signed in under a name, and showed a verified address: whoever the directory finds by it goes under that name
    from now on. Not where the directory has a word of its own on the name, and where the address is nobody's. Whether that
    is somebody who is here under another name."""
    key = name_key(name)
    there = {row.kind: row.id for row in connection.execute(_named(tenant, key))}
    if set(there) - {"login"}:
        return "user_name" not in there
    found = resolve_ids(
        (row.kind, row.id) for row in connection.execute(_named(tenant, name_key(email))) if row.kind != "login"
    )
    if not key or len(found) != 1 or there.get("login") == found[0]:
        return "login" in there
    mine = names.c.tenant == tenant, names.c.id == found[0], names.c.kind == "login"
    if connection.execute(select(func.count()).where(*mine)).scalar_one() < limits.DIRECTORY_LOGINS:
        login = {"tenant": tenant, "name_key": key, "kind": "login"}
        connection.execute(delete(names).where(*(names.c[column] == value for column, value in login.items())))
        connection.execute(names.insert(), {**login, "id": found[0], "change": next_number(connection)})
    return True


def _named(tenant: str, key: str) -> Select[tuple[str, str]]:
    return select(names.c.kind, names.c.id).where(names.c.tenant == tenant, names.c.name_key == key)


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
