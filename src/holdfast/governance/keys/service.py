"""The keys of callers: what the gateway, routes and commands ask of them."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import difflib
import re
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Connection

from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.gateway.fingerprint import GUESSABLE
from holdfast.gateway.port import Caller, Stranger
from holdfast.governance import labels, limits
from holdfast.governance.keys import store as statements
from holdfast.governance.keys.model import GatewayKey, KeyRequest, KeyRow, NameRequest, Secret, key_of, named, row_of
from holdfast.governance.keys.ring import KeyRing
from holdfast.governance.keys.secret import NewSecret, new_id, new_secret
from holdfast.governance.keys.store import Unknown
from holdfast.governance.keys.strangers import StrangerCounts
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.store.changes import Changes
from holdfast.governance.store.store import Store
from holdfast.visible import logger

log: Final = logger("holdfast.governance")
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{32}")


class NewKey(NamedTuple):
    """A key that was just made, or has another secret. ``secret`` is shown once and kept nowhere; empty for an adopted
    key, whose program has it."""

    key: KeyRow
    secret: str


class GatewayKeys:
    """The keys, in memory: implements ``gateway.port.Keys``.

    Args:
        store: where they are kept.
        organisation: whose workflows they name.
        now_ms: the clock, Unix ms.
        changes: tells what other processes changed; None for a command, which reads once and leaves.
        operator_tenant: the tenant whose operators see who came without a key.
    """

    def __init__(
        self,
        store: Store,
        organisation: Organisation,
        now_ms: Callable[[], int],
        changes: Changes | None = None,
        operator_tenant: str = "default",
    ) -> None:
        self.operator_tenant = operator_tenant
        self._store = store
        self._organisation = organisation
        self._changes = changes
        self._now_ms = now_ms
        self._ring = KeyRing()
        self._refreshing = asyncio.Lock()
        self._strangers = StrangerCounts()
        self._used: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None
        self._watching: list[Callable[[str], object]] = []

    async def refresh(self) -> None:
        """Read all keys again. Raises ``store.unavailable``."""
        async with self._refreshing:  # who began to read earlier must not have the last word
            ring = KeyRing(*await self._store.read(statements.read_all))
            revoked = ring.revoked() - self._ring.revoked()
            self._ring = ring
        for ident in revoked:
            for hear in self._watching:
                hear(ident)

    def start(self) -> None:
        """Begin to write down, now and then, what was used and who came unknown."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="holdfast keys")

    async def stop(self) -> None:
        """End, and write down the last of it."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        with contextlib.suppress(HoldfastError):
            await self.flush()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(limits.KEY_FLUSH_S)
            try:
                await self.flush()
            except Exception as error:  # tried again: what was counted is still there
                log.warning("the use of keys could not be written down: %s", error)

    # --- asked for every call, without waiting --------------------------------------------------------------------------
    def identify(self, secret: str) -> Caller:
        """See ``gateway.port.Keys``. ``key.unknown`` has the field ``fingerprint``, for ``Stranger``.

        Raises:
            Unavailable: ``store.unavailable`` when it is not known any more which keys were revoked.
        """
        if self._changes is not None and not self._changes.fresh:
            raise Unavailable("store.unavailable", "which keys were revoked cannot be seen now")
        now_ms = self._now_ms()
        entry = self._ring.find(secret, now_ms)
        hour_ms = now_ms - now_ms % int(limits.KEY_USED_S * 1_000)
        if (entry.secret.used_ms or 0) < hour_ms:
            self._used[entry.secret.id] = hour_ms
        return entry.caller

    def note(self, stranger: Stranger) -> None:
        """See ``gateway.port.Keys``."""
        self._strangers.note(stranger)

    def watch(self, revoked: Callable[[str], object]) -> None:
        """See ``gateway.port.Keys``."""
        self._watching.append(revoked)

    # --- asked by people -----------------------------------------------------------------------------------------------
    def rows(self, tenant: str = "default") -> list[KeyRow]:
        """Every key of a tenant, the newest first; nothing of it lets anybody call."""
        now_ms = self._now_ms()
        rows = [
            row_of(key, self._ring.secrets[key.id], now_ms) for key in self._ring.keys.values() if key.tenant == tenant
        ]
        return sorted(rows, key=lambda row: (-row.created_ms, row.id))

    async def create(
        self, request: KeyRequest, *, by: str = "", declare: bool = False, tenant: str = "default"
    ) -> NewKey:
        """A new key.

        Args:
            by: who says so.
            declare: have its workflow and team from today on, where nobody has described them.

        Raises:
            Refused: ``key.unnamed``, ``key.invalid``; ``org.invalid`` for a workflow that is not described.
            Unavailable: ``store.unavailable``.
        """
        now_ms = self._now_ms()
        key = key_of(request, new_id(), tenant, now_ms, by)
        made = new_secret()
        await self._place(key, declare, by)
        secret = Secret(made.id, key.id, made.hash, now_ms, now_ms + int(request.ttl_s * 1_000))
        await self._store.write(lambda connection: statements.add_key(connection, key, secret))
        await self.refresh()
        return NewKey(row_of(key, [secret], now_ms), made.text)

    async def adopt(
        self, fingerprint: str, request: KeyRequest, *, by: str = "", declare: bool = False, tenant: str = "default"
    ) -> NewKey:
        """Give a name to a program that came with a key of somebody else: what it sends is its key from now on, for a
        while. What it sends is not known here, only its hash; the key is revoked as any other, and a rotation gives it a
        secret of ours.

        Raises:
            Refused: ``key.invalid`` for a fingerprint that nobody came with, or of something that can be guessed; else as
                ``create``.
        """
        if fingerprint.startswith(GUESSABLE):
            detail = "what this program sends is no secret: many programs send the same, or another one each time"
            raise Refused("key.invalid", detail, fix="Make a key for it: `holdfast keys create`.")
        if not _FINGERPRINT.fullmatch(fingerprint):
            fix = "Take it from `holdfast keys unknown`."
            raise Refused("key.invalid", f"{fingerprint!r:.80} is no fingerprint", fix=fix)
        if request.ttl_s > limits.KEY_ADOPTED_S:
            request = msgspec.structs.replace(request, ttl_s=limits.KEY_ADOPTED_S)
        now_ms = self._now_ms()
        key = msgspec.structs.replace(key_of(request, new_id(), tenant, now_ms, by), adopted=True)
        await self.flush()
        secret = Secret(fingerprint, key.id, "", now_ms, now_ms + int(request.ttl_s * 1_000))
        await self._store.read(lambda connection: _check_adoptable(connection, fingerprint))
        await self._place(key, declare, by)

        def work(connection: Connection) -> None:
            _check_adoptable(connection, fingerprint)
            statements.add_key(connection, key, secret)

        await self._store.write(work)
        await self.refresh()
        return NewKey(row_of(key, [secret], now_ms), "")

    async def _place(self, key: GatewayKey, declare: bool, by: str) -> None:
        """See that the organisation has the key's workflow, and know its user."""
        workflow, team = key.labels[labels.WORKFLOW], key.labels[labels.TEAM]
        now_ms = self._now_ms()
        tree = self._organisation.tree(key.tenant)
        if tree.find("workflow", workflow, now_ms) is None:
            if not declare:
                names = [unit.name for unit in tree.at(now_ms) if unit.kind == "workflow"]
                close = difflib.get_close_matches(workflow, names, 1)
                detail = f"the organisation has no workflow {workflow!r}" + (f"; it has {close[0]!r}" if close else "")
                fix = "Describe it with `holdfast org import FILE`, or say --declare to have it from today on."
                raise Refused("org.invalid", detail, fix=fix)
            await self._organisation.declare(workflow, team, by=by, tenant=key.tenant)
        if user := key.labels.get(labels.USER):
            await self._organisation.pseudonym(user, key.tenant)

    async def name(
        self, ident: str, request: NameRequest, *, by: str = "", declare: bool = False, tenant: str = "default"
    ) -> KeyRow:
        """Let a key say something else of its calls, from now on; rows that are there stay as they are.

        Raises:
            Refused: ``key.not_found``; else as ``create``.
            Unavailable: ``store.unavailable``.
        """
        before, _ = await self._store.read(lambda connection: _found(connection, tenant, ident))
        await self._place(named(before, request), declare, by)

        def work(connection: Connection) -> tuple[GatewayKey, list[Secret]]:
            key, _ = _found(connection, tenant, ident)
            statements.put_labels(connection, ident, named(key, request).labels)
            return _found(connection, tenant, ident)

        key, secrets = await self._store.write(work)
        await self.refresh()
        return row_of(key, secrets, self._now_ms())

    async def rotate(
        self,
        ident: str,
        *,
        overlap_s: float = limits.KEY_OVERLAP_S,
        ttl_s: float = limits.KEY_TTL_S,
        tenant: str = "default",
    ) -> NewKey:
        """Another secret for a key. The former ones stay good for ``overlap_s`` more seconds at most, 0: not at all.

        Raises:
            Refused: ``key.invalid``, ``key.not_found``, ``key.revoked``.
            Unavailable: ``store.unavailable``.
        """
        if not 0 <= overlap_s <= limits.KEY_OVERLAP_MOST_S:
            raise Refused("key.invalid", f"overlap: 0 to {limits.KEY_OVERLAP_MOST_S:,.0f} seconds")
        if not 1 <= ttl_s <= limits.KEY_TTL_S:
            raise Refused("key.invalid", f"a key is good for 1 second to {limits.KEY_TTL_S / 86_400:.0f} days")
        now_ms, made = self._now_ms(), new_secret()
        until_ms = now_ms + int(overlap_s * 1_000)
        secret = _secret(made, ident, now_ms, now_ms + int(ttl_s * 1_000))

        def work(connection: Connection) -> tuple[GatewayKey, list[Secret]]:
            key, secrets = _found(connection, tenant, ident)
            if key.revoked_ms is not None:
                raise Refused("key.revoked", f"the gateway key {key.name!r} was revoked and cannot be rotated")
            if sum(one.expires_ms > now_ms for one in secrets) >= limits.KEY_SECRETS:
                raise Refused("key.invalid", f"the key has {limits.KEY_SECRETS} secrets that are good still")
            statements.add_secret(connection, secret, until_ms)
            return _found(connection, tenant, ident)

        key, secrets = await self._store.write(work)
        await self.refresh()
        return NewKey(row_of(key, secrets, now_ms), made.text)

    async def revoke(self, ident: str, *, by: str = "", tenant: str = "default") -> KeyRow:
        """End a key with all its secrets: here at once, in every other process within a second. Twice is once.

        Raises:
            Refused: ``key.not_found``.
            Unavailable: ``store.unavailable``.
        """
        now_ms = self._now_ms()

        def work(connection: Connection) -> tuple[GatewayKey, list[Secret]]:
            _found(connection, tenant, ident)
            statements.revoke(connection, ident, by, now_ms)
            return _found(connection, tenant, ident)

        key, secrets = await self._store.write(work)
        await self.refresh()
        return row_of(key, secrets, now_ms)

    async def unknown(self) -> list[Unknown]:
        """Who came without a key that is known, the most frequent first; those that were adopted since are not among them.

        Raises:
            Unavailable: ``store.unavailable``.
        """
        await self.flush()
        rows = await self._store.read(statements.strangers)
        return [row for row in rows if row.fingerprint not in self._ring]

    async def flush(self) -> None:
        """Write down what was used and who came unknown. Raises ``store.unavailable``; nothing is lost then."""
        counts, used = self._strangers.take(), dict(self._used)
        if not counts and not used:
            return
        today = datetime.datetime.fromtimestamp(self._now_ms() / 1_000, datetime.UTC).date()
        oldest = (today - datetime.timedelta(days=limits.STRANGERS_KEEP_DAYS)).isoformat()

        def work(connection: Connection) -> None:
            statements.put_used(connection, used)
            statements.put_strangers(connection, counts, oldest)

        try:
            await self._store.write(work)
        except BaseException:
            for kind, count in counts.items():
                self._strangers.put(kind, count)
            raise
        self._ring.note_used(used)
        self._used = {ident: at_ms for ident, at_ms in self._used.items() if used.get(ident) != at_ms}


def _secret(made: NewSecret, key: str, now_ms: int, until_ms: int) -> Secret:
    return Secret(made.id, key, made.hash, now_ms, until_ms)


def _found(connection: Connection, tenant: str, ident: str) -> tuple[GatewayKey, list[Secret]]:
    found = statements.find(connection, tenant, ident)
    if found is None:
        raise Refused("key.not_found", f"there is no key with the id {ident!r:.80}")
    return found


def _check_adoptable(connection: Connection, fingerprint: str) -> None:
    if not statements.came(connection, fingerprint):
        fix = "Take it from `holdfast keys unknown`."
        raise Refused("key.invalid", f"nobody came with what has the fingerprint {fingerprint}", fix=fix)
    if statements.has_secret(connection, fingerprint):
        raise Refused("key.invalid", "it has a name already", fix="See `holdfast keys list`.")
