"""Routing: documents, experiments and decisions of a store, and what the gateway's router knows."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from holdfast.errors import HoldfastError, Refused
from holdfast.governance import limits
from holdfast.governance.outcomes.service import OutcomeService
from holdfast.governance.routing import store
from holdfast.governance.routing.experiment import Experiment, ExperimentRequest, PeelStep, RouteDecision, plan_of
from holdfast.governance.routing.model import EMPTY, RoutingDocument, parse
from holdfast.governance.routing.peel import judge
from holdfast.governance.routing.report import RoutingReport, report
from holdfast.governance.routing.router import MemoryRouter, RoutingFacts
from holdfast.governance.store.store import Store
from holdfast.visible import logger

log = logger("holdfast.routing")
ACTOR = "policy:routing"


class Routing:
    """See the module.

    Args:
        database: the store.
        outcomes: what became of work.
        now_ms: the clock, Unix ms.
        router: of the gateway of this process; None for a command.
    """

    def __init__(
        self, database: Store, outcomes: OutcomeService, now_ms: Callable[[], int], router: MemoryRouter | None = None
    ) -> None:
        self._store = database
        self._outcomes = outcomes
        self._now_ms = now_ms
        self._router = router
        self._task: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()  # whoever looks afterwards sees what another one was writing
        self._refreshing = asyncio.Lock()

    # --- life
    async def start(self) -> None:
        """Know what the store has, and go on. Raises of the store."""
        if self._router is not None:
            self._router.sessions.update(await self._store.read(store.read_sessions))
        await self.refresh()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="holdfast routing")

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
            await asyncio.sleep(limits.ROUTE_BEAT_S)
            try:
                await self.beat()
            except Exception as error:  # tried again: what was not written waits
                log.warning("routes could not be looked after: %s", error)

    async def beat(self) -> None:
        """Write what waits, have the ledger's word for outcomes, and let experiments take their steps.

        Raises:
            Unavailable: of the store; nothing is lost then.
        """
        await self.flush()
        await self._outcomes.join()
        await self.judge()

    async def refresh(self) -> None:
        """Look at everything again. Raises of the store."""
        if self._router is None:
            return
        async with self._refreshing:  # who began to read earlier must not have the last word
            documents = await self._store.read(store.read_documents)
            experiments = await self._store.read(store.read_experiments)
            tallies = {tenant: await self._outcomes.tallies(tenant) for tenant in documents}
            self._router.facts = RoutingFacts(documents, tallies, experiments)

    async def flush(self) -> None:
        """Write decisions down. Raises of the store; nothing is lost then."""
        if self._router is not None:
            async with self._writing:
                await self._flush(self._router)

    async def _flush(self, router: MemoryRouter) -> None:
        unwritten = router.take()
        if not any(unwritten):
            return
        now_ms = self._now_ms()

        def work(connection: Connection) -> None:
            store.put_decisions(connection, unwritten.decisions)
            store.put_ends(connection, unwritten.ends)
            store.put_sessions(connection, unwritten.sessions, now_ms)
            store.count_shadows(connection, unwritten.shadows)
            for tenant in {one.tenant for one in unwritten.decisions}:
                store.forget(connection, tenant, now_ms - limits.ROUTE_DECISION_MS)
            store.forget_sessions(connection, now_ms - limits.ROUTE_DECISION_MS)

        try:
            await self._store.write(work)
        except BaseException:
            router.put_back(unwritten)
            raise

    # --- experiments
    async def judge(self) -> int:
        """Let running experiments take the step that what was seen of them asks for. How many took one.

        Raises:
            Unavailable: of the store.
        """
        moved = 0
        for one in await self._store.read(store.read_experiments):
            if not one.running:
                continue
            found = one if one.state == "shadow" else await self._counted(one)
            verdict = judge(found.plan, found.state, found.seen)
            if verdict.to is not None:
                moved += await self._move(found, verdict.to, verdict.why, ACTOR)
        if moved:
            await self.refresh()
        return moved

    async def _counted(self, one: Experiment) -> Experiment:
        document = await self.document(one.tenant)
        route = document.named(one.plan.route)
        if route is None:
            return one
        n, accepted = await self._outcomes.of_model(
            one.tenant, route.workflow, route.task, one.plan.cheap, one.share_ms
        )
        if (n, accepted) != (one.outcomes, one.accepted):
            await self._store.write(lambda connection: store.put_outcomes(connection, one.id, n, accepted))
        return msgspec.structs.replace(one, outcomes=n, accepted=accepted)

    async def _move(self, one: Experiment, to: Any, why: str, by: str) -> bool:
        counts = {"outcomes": one.outcomes, "accepted": one.accepted}
        now_ms = self._now_ms()
        return await self._store.write(lambda connection: store.move(connection, one, to, why, by, now_ms, counts))

    async def begin(self, request: ExperimentRequest, *, by: str, tenant: str, ident: str = "") -> Experiment:
        """Start an experiment: in shadow.

        Args:
            ident: its id, from which all draws follow, for whoever wants the same ones again; made where it is left out.

        Raises:
            Refused: ``routing.invalid``, ``routing.unknown``.
        """
        route = (await self.document(tenant)).named(request.route)
        if route is None:
            raise Refused("routing.unknown", f"there is no route {request.route!r:.80}")
        plan = plan_of(request, route)
        one = Experiment(
            id=ident or f"x-{secrets.token_hex(8)}", tenant=tenant, name=plan.name, plan=plan, why="it begins", by=by,
            since_ms=self._now_ms(),
        )  # fmt: skip

        def work(connection: Connection) -> None:
            running = [other for other in store.read_experiments(connection, tenant) if other.running]
            if any(other.plan.route == plan.route for other in running):
                raise Refused("routing.invalid", f"route {plan.route!r} has an experiment that runs")
            if any(other.name == plan.name for other in store.read_experiments(connection, tenant)):
                raise Refused("routing.invalid", f"there was an experiment {plan.name!r}: give this one another name")
            if len(running) >= limits.EXPERIMENTS:
                raise Refused("routing.invalid", f"{limits.EXPERIMENTS} experiments run already")
            store.begin(connection, one)

        await self._store.write(work)
        await self.refresh()
        return one

    async def end(self, name: str, why: str, *, by: str, tenant: str) -> Experiment:
        """Stop an experiment, or take back a model that was kept.

        Raises:
            Refused: ``routing.not_found``.
        """
        one = await self.experiment(name, tenant)
        if not await self._move(one, "stopped", why or "a person stopped it", by):
            raise Refused("routing.invalid", f"experiment {name!r} has ended: it is {one.state}")
        await self.refresh()
        return await self.experiment(name, tenant)

    async def experiment(self, name: str, tenant: str) -> Experiment:
        """The experiment of a name. Raises ``routing.not_found``."""
        for one in await self.experiments(tenant):
            if one.name == name:
                return one
        raise Refused("routing.not_found", f"there is no experiment {name!r:.80}")

    async def experiments(self, tenant: str) -> Sequence[Experiment]:
        """Experiments, the newest first."""
        return await self._store.read(lambda connection: store.read_experiments(connection, tenant))

    async def steps(self, experiment: str) -> Sequence[PeelStep]:
        """The steps that an experiment took, by its id."""
        return await self._store.read(lambda connection: store.read_steps(connection, experiment))

    # --- documents
    async def document(self, tenant: str) -> RoutingDocument:
        """The document of a tenant; an empty one where nobody has set any."""
        return (await self._store.read(store.read_documents)).get(tenant, EMPTY)

    async def set_document(self, value: Any, *, by: str, tenant: str) -> int:
        """Set the document; which version it is.

        Raises:
            Refused: ``routing.invalid``, also where it takes the route of an experiment that runs.
        """
        document = parse(value)
        plain, now_ms = msgspec.to_builtins(document), self._now_ms()

        def work(connection: Connection) -> int:
            for one in store.read_experiments(connection, tenant):
                route = document.named(one.plan.route)
                if one.running and (route is None or not {one.plan.cheap, one.plan.incumbent} <= set(route.candidates)):
                    raise Refused(
                        "routing.invalid", f"experiment {one.name!r} runs on route {one.plan.route!r}: stop it first"
                    )
            return store.set_document(connection, tenant, plain, by, now_ms)

        version = await self._store.write(work)
        await self.refresh()
        return version

    async def versions(self, tenant: str) -> Sequence[Mapping[str, Any]]:
        """Who set which version, the last first."""
        return await self._store.read(lambda connection: store.versions(connection, tenant))

    # --- what people look at
    async def decisions(self, tenant: str, limit: int, filters: Mapping[str, Any]) -> Sequence[RouteDecision]:
        """Decisions, the newest first. Raises of the store."""
        await self.flush()
        most = max(1, min(limit, limits.ROUTE_PAGE_ROWS))
        return await self._store.read(lambda connection: store.read_decisions(connection, tenant, most, filters))

    async def report(self, tenant: str) -> RoutingReport:
        """Cost per accepted outcome, and what could be peeled, of the last 90 days."""
        await self._outcomes.join()
        return report(await self.document(tenant), await self._outcomes.tallies(tenant, renewed=True))
