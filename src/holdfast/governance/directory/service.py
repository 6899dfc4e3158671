"""The directory: what other domains, logins, routes and commands ask of it."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.directory import secret as secret_text
from holdfast.governance.directory import store as statements
from holdfast.governance.directory.model import (
    DirectoryPerson,
    DirectoryToken,
    ImportedPeople,
    Person,
    Source,
    TokenSignIn,
    document_of,
    name_key,
)
from holdfast.governance.directory.names import PeopleIndex
from holdfast.governance.store.store import Store

DOMAIN: Final = statements.DOMAIN
"""Of its changes: who follows it (``Changes.follow``) sees what anybody wrote within half a second."""


class Directory:
    """People as the identity provider has them, in memory: answered without waiting, read again when any process changed them.

    Args:
        store: where they are kept.
        now_ms: the clock, Unix ms.
    """

    def __init__(self, store: Store, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._now_ms = now_ms
        self._number = 0
        self._refreshing = asyncio.Lock()
        self._people: dict[str, PeopleIndex] = {}
        self._sign_ins: dict[tuple[str, str], int] = {}
        self._syncs: dict[str, dict[str, int]] = {}
        self._tokens: dict[str, tuple[DirectoryToken, str]] = {}
        self._deleted: set[tuple[str, str]] = set()

    async def refresh(self) -> None:
        """Read what is new. Raises ``store.unavailable``."""
        async with self._refreshing:  # who began to read earlier must not have the last word
            number = self._number
            news = await self._store.read(lambda connection: statements.read_since(connection, number))
            more = defaultdict[tuple[str, str], list[str]](list)
            for tenant, kind, key, ident in news.names:
                if kind == "address":
                    more[tenant, ident].append(key)
            for tenant, ident, person in news.people:
                index = self._people.setdefault(tenant, PeopleIndex())
                if person is None:
                    self._deleted |= {(tenant, name) for name in index.drop(ident)}
                else:
                    index.put(person, more[tenant, ident])
            for tenant, kind, key, ident in news.names:
                if kind == "login":
                    self._people.setdefault(tenant, PeopleIndex()).login(key, ident)
            self._sign_ins |= {(tenant, name): at_ms for tenant, name, at_ms in news.sign_ins}
            syncs: dict[str, dict[str, int]] = {}
            for tenant, source, at_ms in news.syncs:
                syncs.setdefault(tenant, {})[source] = at_ms
            self._syncs = syncs
            self._tokens = {token.id: (token, digest) for token, digest in news.tokens}
            self._number = news.number

    # --- answered without waiting ---------------------------------------------------------------------------------------
    def person(self, tenant: str, name: str) -> DirectoryPerson | None:
        """Somebody by a name of theirs (``names.py``), capitals aside. None for nobody, for somebody who was deleted, and where
        it is that of several. Whoever is not ``active`` is answered, too."""
        return self._index(tenant).find(name)

    def is_deleted(self, tenant: str, name: str) -> bool:
        """Whether somebody was here and was deleted since this process began. Who was never here, such as an owner whom the
        first synchronisation has not brought yet, was not."""
        return (tenant, name_key(name)) in self._deleted and self.person(tenant, name) is None

    def candidates(self, tenant: str, name: str) -> list[DirectoryPerson]:
        """Those whom a name may mean: where these are several, it is nobody's."""
        return self._index(tenant).candidates(name)

    def names(self, tenant: str, name: str) -> frozenset[str]:
        """All names of whoever goes under this one, as names are compared (``name_key``); the name alone where that is nobody,
        or could be several."""
        return self._index(tenant).names(name)

    def same(self, tenant: str, name: str, other: str) -> bool:
        """Whether two names are one person's. An empty one is nobody's."""
        return bool(name.strip()) and name_key(name) in self.names(tenant, other)

    def is_unproven(self, tenant: str, login: Person) -> bool:
        """Whether somebody logs in under a name that is the address of somebody here, and the provider did not verify that it
        is theirs: anybody may have written it there."""
        by = self._index(tenant).kind_of(login.user_name)
        return by in ("email", "address") and not self.same(tenant, login.email, login.user_name)

    def people(self, tenant: str) -> list[DirectoryPerson]:
        """Everybody, by user name."""
        return self._index(tenant).everybody()

    def heard_ms(self, tenant: str) -> int | None:
        """When the directory spoke last, Unix ms to the minute: by SCIM, or by a file. None where it never did."""
        return max(self._syncs.get(tenant, {}).values(), default=None)

    def signed_in_ms(self, tenant: str, name: str) -> int | None:
        """When somebody signed in interactively last, Unix ms; None where that was not seen."""
        return max(
            (at for one in self.names(tenant, name) if (at := self._sign_ins.get((tenant, one))) is not None),
            default=None,
        )

    def noted_ms(self, tenant: str, key: str) -> int:
        """When somebody signed in last under exactly this name (as ``name_key`` has it), Unix ms; 0 for never."""
        return self._sign_ins.get((tenant, key), 0)

    def source(self, tenant: str) -> Source | None:
        """Who keeps the people of a tenant: SCIM where it ever spoke, else files; None where there are only logins, or
        nothing."""
        sources = self._syncs.get(tenant, {})
        return "scim" if "scim" in sources else "import" if "import" in sources else None

    def _index(self, tenant: str) -> PeopleIndex:
        return self._people.get(tenant) or _NOBODY

    # --- who signs in ---------------------------------------------------------------------------------------------------
    async def sign_in(self, tenant: str, name: str, at_ms: int) -> None:
        """Somebody signed in interactively. An earlier moment than is here changes nothing.

        Raises:
            Unavailable: of the store.
        """
        if await self._store.write(lambda connection: statements.sign_in(connection, tenant, name, at_ms)):
            await self.refresh()

    async def sign_ins(self, seen: Mapping[tuple[str, str], TokenSignIn]) -> None:
        """Several people signed in, by tenant and name. Beyond as many as a directory has people nobody new is noted.

        Raises:
            Unavailable: of the store.
        """
        news = [(*who, one) for who, one in seen.items() if self.noted_ms(*who) < one.at_ms]
        if not news:
            return

        def work(connection: Connection) -> None:
            left = {
                tenant: limits.DIRECTORY_PEOPLE - statements.count_sign_ins(connection, tenant) for tenant, _, _ in news
            }
            for tenant, name, one in news:
                if (tenant, name) not in self._sign_ins:
                    left[tenant] -= 1
                    if left[tenant] < 0:
                        continue
                statements.sign_in(connection, tenant, name, one.at_ms)
                statements.note_login(connection, tenant, name, one.email)

        await self._store.write(work)
        await self.refresh()

    async def login(self, tenant: str, login: Person, at_ms: int) -> None:
        """Somebody logged in with OpenID Connect, and showed who they are at ``at_ms``. What the provider said of them is kept where no directory keeps people:
        SCIM and files have the last word.

        Raises:
            Unavailable: of the store.
        """

        now_ms = self._now_ms()

        def work(connection: Connection) -> None:
            statements.sign_in(connection, tenant, login.user_name, at_ms)
            if statements.note_login(connection, tenant, login.user_name, login.email):
                return  # somebody who is there, under another name
            found = statements.find(connection, tenant, login.user_name)
            if statements.last_sync(connection, tenant, "scim") is not None or (found and found.source != "oidc"):
                return
            if found is None and statements.count(connection, tenant) >= limits.DIRECTORY_PEOPLE:
                return
            new = _written(login, found, "oidc", now_ms)
            if new is not None:
                statements.put(connection, tenant, new, document_of(login), statements.next_number(connection))

        await self._store.write(work)
        await self.refresh()

    # --- files ----------------------------------------------------------------------------------------------------------
    async def bring(self, tenant: str, people: Sequence[Person]) -> ImportedPeople:
        """Have everybody as a file says. Whom an earlier file named, and this one does not, is not active any more; whom SCIM
        keeps stays as they are.

        Raises:
            Refused: ``input.malformed``; ``input.too_large`` for more people than a directory has.
            Unavailable: of the store.
        """
        names = [name_key(person.user_name) for person in people]
        if len(set(names)) < len(names):
            twice = Counter(names).most_common(1)[0][0]
            raise Refused("input.malformed", f"{twice!r:.140} is there twice")
        if len(people) > limits.DIRECTORY_PEOPLE:
            raise Refused("input.too_large", f"a directory has at most {limits.DIRECTORY_PEOPLE:,} people")
        now_ms = self._now_ms()

        def work(connection: Connection) -> ImportedPeople:
            number, before = statements.next_number(connection), statements.everybody(connection, tenant)
            scim = {name for name, person in before.items() if person.source == "scim"}
            ended = {
                name: msgspec.structs.replace(_fact(person), active=False)
                for name, person in before.items()
                if person.source == "import" and person.active and name not in wanted
            }
            changed = 0
            for name, person in (wanted | ended).items():
                new = None if name in scim else _written(person, before.get(name), "import", now_ms)
                if new is not None:
                    statements.put(connection, tenant, new, document_of(person), number)
                    changed += 1
            statements.hear(connection, tenant, "import", now_ms)
            return ImportedPeople(len(people), changed - len(ended), len(scim & wanted.keys()), len(ended))

        wanted = dict(zip(names, people, strict=True))
        answer = await self._store.write(work)
        await self.refresh()
        return answer

    # --- the provider's token -------------------------------------------------------------------------------------------
    async def new_token(
        self, tenant: str, by: str, ttl_s: float = limits.DIRECTORY_TOKEN_S
    ) -> tuple[DirectoryToken, str]:
        """A token for the tenant's identity provider, with its text, which nobody can be shown again.

        Raises:
            Refused: ``input.malformed`` for a life that is too long, or one token too many.
            Unavailable: of the store.
        """
        if not 60 <= ttl_s <= limits.DIRECTORY_TOKEN_S:
            days = limits.DIRECTORY_TOKEN_S / 86_400
            raise Refused("input.malformed", f"ttl_s: a token is good for a minute to {days:.0f} days")
        made, now_ms = secret_text.new_secret(), self._now_ms()
        token = DirectoryToken(
            id=made.id, tenant=tenant, created_by=by, created_ms=now_ms, expires_ms=now_ms + int(ttl_s * 1_000)
        )
        if not await self._store.write(lambda connection: statements.add_token(connection, token, made.hash)):
            fix = "Revoke one that is not used: holdfast directory revoke ID"
            raise Refused("input.malformed", f"a tenant has at most {limits.DIRECTORY_TOKENS} tokens", fix=fix)
        await self.refresh()
        return token, made.text

    def tokens(self, tenant: str) -> list[DirectoryToken]:
        """The tokens of a tenant, the newest first."""
        found = [token for token, _ in self._tokens.values() if token.tenant == tenant]
        return sorted(found, key=lambda token: (-token.created_ms, token.id))

    async def revoke(self, tenant: str, ident: str, by: str) -> bool:
        """End a token; whether there is such a one. Twice is once. Raises as ``new_token`` does."""
        now_ms = self._now_ms()
        found = await self._store.write(
            lambda connection: statements.revoke_token(connection, tenant, ident, by, now_ms)
        )
        await self.refresh()
        return found

    def tenant_of(self, text: str) -> str:
        """Whose identity provider comes with a token.

        Raises:
            Refused: ``directory.denied``, whatever is wrong with it.
        """
        ident = secret_text.id_of(text)
        token, digest = self._tokens.get(ident or "", (None, ""))
        fits = secret_text.matches(text, digest)
        if token is None or not fits or token.revoked_ms is not None or token.expires_ms <= self._now_ms():
            raise Refused("directory.denied")
        return token.tenant

    async def hear(self, tenant: str, source: Source = "scim") -> None:
        """The directory spoke. It is written down once a minute.

        Raises:
            Unavailable: of the store.
        """
        now_ms = self._now_ms()
        if now_ms - self._syncs.get(tenant, {}).get(source, 0) >= limits.DIRECTORY_HEARD_S * 1_000:
            await self._store.write(lambda connection: statements.hear(connection, tenant, source, now_ms))
            await self.refresh()

    def shown(self, tenant: str, person: DirectoryPerson) -> dict[str, Any]:
        """Somebody as people are shown them."""
        found: dict[str, Any] = msgspec.structs.asdict(person)
        return found | {"human": person.human, "signed_in_ms": self.signed_in_ms(tenant, person.user_name)}


def _written(person: Person, found: DirectoryPerson | None, source: Source, at_ms: int) -> DirectoryPerson | None:
    """Somebody as a login or a file has them, in the place of who is there; None where nothing changes."""
    new = DirectoryPerson(
        id=found.id if found else secrets.token_hex(16), source=source,
        created_ms=found.created_ms if found else at_ms, changed_ms=at_ms, **msgspec.structs.asdict(person),
    )  # fmt: skip
    return None if found and msgspec.structs.replace(new, changed_ms=found.changed_ms) == found else new


def _fact(person: DirectoryPerson) -> Person:
    return Person(**{name: getattr(person, name) for name in Person.__struct_fields__})


_NOBODY: Final = PeopleIndex()
