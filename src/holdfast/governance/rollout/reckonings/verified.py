"""What ``holdfast ledger verify`` finds, and who came to the gateway with a key that nobody here knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, func, select

from holdfast.gateway.fingerprint import GUESSABLE, NO_KEY
from holdfast.governance import limits
from holdfast.governance.ledger.verify import LedgerVerifier, Verification
from holdfast.governance.rollout.model import GateScope
from holdfast.governance.rollout.reckonings.memo import RoundMemo
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.keys import gateway_secrets, unknown_callers

_SHOWN: Final = 20


class VerifiedLedger:
    """Verifies a ledger, a large one not in every round.

    Args:
        verifier: makes one.
    """

    def __init__(self, verifier: Callable[[], LedgerVerifier]) -> None:
        self._verifier = verifier
        self._round: RoundMemo[Verification] = RoundMemo()
        self._long: RoundMemo[Verification] = RoundMemo(limits.PLAN_VERIFY_MS)

    async def __call__(self, scope: GateScope) -> tuple[Sequence[Mapping[str, Any]], Mapping[str, int | str]]:
        """A row for each check that found something; none where the ledger is as it was written."""
        found = await self._round.get(scope.tenant, scope.as_of_ms, lambda: self._verified(scope))
        rows = [{"check": check, "n": count} for check, count in sorted(found.found.items())]
        return rows[:_SHOWN], {"rows": found.rows, "periods": found.periods}

    async def _verified(self, scope: GateScope) -> Verification:
        async def make() -> Verification:
            return await self._verifier().run(scope.tenant)

        found = await self._long.get(scope.tenant, scope.as_of_ms, make)
        if found.rows < limits.PLAN_VERIFY_ROWS:
            self._long.forget(scope.tenant)
        return found


class UnknownCallers:
    """Counts who came with a key that nobody knows.

    Args:
        database: the store.
        operator_tenant: whose it is to know: they belong to no tenant.
    """

    def __init__(self, database: Store, operator_tenant: str) -> None:
        self._store = database
        self._operator = operator_tenant

    async def __call__(self, scope: GateScope) -> tuple[Sequence[Mapping[str, Any]], Mapping[str, int | str]]:
        """A row for each secret that was seen in the window or since, and is no key of ours. What can be guessed is none."""
        if scope.tenant != self._operator:
            return [], {"operator": 0}
        return await self._store.read(lambda connection: _strangers(connection, scope)), {"operator": 1}


def _strangers(connection: Connection, scope: GateScope) -> list[dict[str, Any]]:
    of, secrets = unknown_callers.c, gateway_secrets.c
    wanted = (
        select(of.fingerprint, func.max(of.agent), func.sum(of.calls), func.max(of.last_ms))
        .select_from(unknown_callers.outerjoin(gateway_secrets, secrets.id == of.fingerprint))
        .where(
            secrets.id.is_(None), of.fingerprint != NO_KEY, of.fingerprint.not_like(f"{GUESSABLE}%"),
            of.last_ms >= scope.since_ms, of.first_ms <= scope.as_of_ms,
        )
        .group_by(of.fingerprint)
        .order_by(of.fingerprint)
        .limit(limits.EVIDENCE_ROWS)
    )  # fmt: skip
    return [
        {"fingerprint": fingerprint, "agent": agent, "calls": int(calls), "last_ms": int(last_ms)}
        for fingerprint, agent, calls, last_ms in connection.execute(wanted)
    ]
