"""What was validated, and which builds serve, in the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Connection, select, update

from holdfast.governance.ledger.store import add_once
from holdfast.governance.rollout.validations import Validation, validation_of
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.validations import rollout_builds as builds
from holdfast.governance.store.tables.validations import rollout_validations as validations

_FIELDS = [validations.c[name] for name in Validation.__struct_fields__]


class Validations:
    """The validations of a store.

    Args:
        now_ms: the clock, Unix ms.
    """

    def __init__(self, database: Store, now_ms: Callable[[], int]) -> None:
        self._store = database
        self._now_ms = now_ms

    async def record(self, tenant: str, document: dict[str, Any], by: str) -> Validation:
        """Put a report on record. Raises ``input.malformed``, and of the store."""
        record = validation_of(document, tenant, by, self._now_ms())
        facts = {**msgspec.structs.asdict(record), "document": document}
        await self._store.write(lambda connection: add_once(connection, validations, facts))
        return record

    async def listed(self, tenant: str, limit: int) -> list[Validation]:
        """What was recorded, the newest first. Raises of the store."""
        wanted = select(*_FIELDS).where(validations.c.tenant == tenant)
        wanted = wanted.order_by(validations.c.began_ms.desc(), validations.c.id).limit(limit)

        def work(connection: Connection) -> list[Validation]:
            rows = connection.execute(wanted)
            return [Validation(**dict(zip(Validation.__struct_fields__, row, strict=True))) for row in rows]

        return await self._store.read(work)

    async def serve(self, build: str) -> None:
        """A server with this build serves. Raises of the store."""
        now_ms = self._now_ms()

        def work(connection: Connection) -> None:
            if not connection.execute(update(builds).where(builds.c.build == build).values(last_ms=now_ms)).rowcount:
                add_once(connection, builds, {"build": build, "first_ms": now_ms, "last_ms": now_ms})

        await self._store.write(work)
