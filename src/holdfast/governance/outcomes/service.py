"""Outcomes: what is said of work, and what comes of it for whoever chooses models."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.outcomes import store
from holdfast.governance.outcomes.intervals import Together, phi
from holdfast.governance.outcomes.model import (
    OutcomeQuestion,
    OutcomeTally,
    TallyKey,
    WorkOutcome,
    recorder_of,
    value_of,
    verdict_of,
)
from holdfast.governance.store.store import Store
from holdfast.session.access import Principal


class Proxies(NamedTuple):
    """How what people do without saying anything goes with what is said: never used for a choice.

    Attributes:
        edited: of runs whose question was edited afterwards, with not being accepted. ``regenerated``: of answers that were
            asked again.
    """

    edited: Together
    regenerated: Together


class OutcomeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What somebody says over REST or on the command line.

    Attributes:
        call: id of the call; or ``session`` and ``run``.
        value_usd: what it was worth, decimal text.
        id: the same request again changes nothing; made where it is left out.
    """

    outcome: str
    call: str = ""
    session: str = ""
    run: str = ""
    value_usd: str = ""
    id: str = ""


class OutcomeService:
    """The outcomes of a store.

    Args:
        database: the store.
        now_ms: the clock, Unix ms.
    """

    def __init__(self, database: Store, now_ms: Callable[[], int]) -> None:
        self._store = database
        self._now_ms = now_ms

    async def record(
        self, request: OutcomeRequest, *, by: str, tenant: str, principal: Principal | None = None
    ) -> WorkOutcome:
        """Say what became of work.

        Args:
            principal: who asks over REST: agents, and whoever an agent minted a token for, are refused.

        Raises:
            Refused: ``outcome.invalid``, ``outcome.own_work``.
            Unavailable: of the store.
        """
        kind = recorder_of(by)
        if principal is not None and any(minter.startswith("agent:") for minter in principal.minters):
            raise Refused("outcome.own_work", "an agent minted this token")
        if bool(request.call) == bool(request.run) or bool(request.run) != bool(request.session):
            raise Refused("outcome.invalid", "an outcome is of a call, or of a session and a run")
        if max(map(len, (request.call, request.run, request.id))) > limits.OUTCOME_CALL_CHARS:
            raise Refused("outcome.invalid", f"an id has at most {limits.OUTCOME_CALL_CHARS} characters")
        own = f"{tenant}-{by}-{request.id}" if request.id else secrets.token_hex(10)
        outcome = WorkOutcome(
            id=f"o-{own}", tenant=tenant, call=request.call, run=request.run, verdict=verdict_of(request.outcome),
            value_nano=value_of(request.value_usd), by=by, kind=kind, at_ms=self._now_ms(),
        )  # fmt: skip
        return await self._store.write(lambda connection: store.add(connection, outcome, request.session))

    async def join(self) -> int:
        """Have the ledger's word for outcomes that came before the rows of their work. How many found theirs."""
        since_ms = self._now_ms() - limits.OUTCOME_JOIN_MS
        if not await self._store.read(lambda connection: store.waits(connection, since_ms)):
            return 0
        return await self._store.write(lambda connection: store.join(connection, since_ms))

    async def listed(self, tenant: str, limit: int, question: OutcomeQuestion | None = None) -> Sequence[WorkOutcome]:
        """The newest outcomes that a question is about; of all that count without one."""
        most, asked_for = max(1, min(limit, limits.OUTCOME_PAGE_ROWS)), question or OutcomeQuestion()
        return await self._store.read(lambda connection: store.page(connection, tenant, most, asked_for))

    async def session_names(self, some: Sequence[WorkOutcome]) -> dict[str, str]:
        """The names of the sessions of outcomes, by their references; a deleted one has none."""
        references = {one.session for one in some if one.session}
        return await self._store.read(lambda connection: store.session_names(connection, references))

    async def tallies(self, tenant: str, *, renewed: bool = False) -> dict[TallyKey, OutcomeTally]:
        """Outcomes of the last 90 days by workflow, task and model; ``renewed``: with the costs that the ledger has now."""
        since_ms = self._now_ms() - limits.OUTCOME_WINDOW_MS
        if renewed:
            await self._store.write(lambda connection: store.renew(connection, tenant, since_ms))
        return await self._store.read(lambda connection: store.tallies(connection, tenant, since_ms))

    async def of_model(self, tenant: str, workflow: str, task: str, model: str, since_ms: int) -> tuple[int, int]:
        """``(outcomes, accepted)`` of the work that a model began since a moment."""
        return await self._store.read(
            lambda connection: store.of_model(connection, tenant, workflow, task, model, since_ms)
        )

    async def of_workflow(self, tenant: str, workflow: str, since_ms: int, until_ms: int) -> tuple[int, int]:
        """``(outcomes, accepted)`` of the work of a workflow that began in a time."""
        return await self._store.read(
            lambda connection: store.of_workflow(connection, tenant, workflow, since_ms, until_ms)
        )

    async def proxies(self, tenant: str) -> Proxies:
        """How edits and regenerations go with not being accepted."""
        since_ms = self._now_ms() - limits.OUTCOME_WINDOW_MS
        found = await self._store.read(lambda connection: store.crossed(connection, tenant, since_ms))

        def together(at: int) -> Together:
            cells = {(one, two): 0 for one in (True, False) for two in (True, False)}
            for row in found:
                cells[bool(row[at]), not row[2]] += row[3]
            return phi(cells[True, True], cells[True, False], cells[False, True], cells[False, False])

        return Proxies(together(0), together(1))
