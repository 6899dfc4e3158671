"""Workers: who serves which agent, which attempt runs where, and what the worker of an attempt is sent.

Nothing here is durable. Runs, attempts and what is asked of them are in the sessions; a worker's connection may close
and come back (``attach``), and only the lease decides whether its attempt is lost (CTL-1, RUN-2).
"""

from __future__ import annotations

import contextlib
from typing import Any

from holdfast.engines.port import Key
from holdfast.errors import HoldfastError, Refused
from holdfast.hub import leases
from holdfast.hub.assignment import assignment_of
from holdfast.hub.connected_worker import ConnectedWorker, RunKey
from holdfast.hub.hot import HotSession
from holdfast.hub.index import people_waiting
from holdfast.hub.observer import Commit, SessionObserver
from holdfast.hub.pending import Outcome
from holdfast.hub.port import Batch, HubConnection
from holdfast.hub.runtime import Runtime
from holdfast.hub.sessions import SessionRegistry
from holdfast.protocol import events as e
from holdfast.protocol import limits, wire
from holdfast.protocol.codec import encode
from holdfast.protocol.events import Event
from holdfast.session import life
from holdfast.session import run as runs
from holdfast.session.access import authorise_agent
from holdfast.session.labels import is_seated
from holdfast.session.state import RunState


class Workers(SessionObserver[HotSession]):
    """All workers of one hub."""

    def __init__(self, runtime: Runtime, sessions: SessionRegistry) -> None:
        self._runtime = runtime
        self._sessions = sessions
        self.by_connection: dict[str, ConnectedWorker] = {}
        self.by_run: dict[RunKey, ConnectedWorker] = {}
        self._claiming: set[RunKey] = set()

    # --- offering
    async def serve(self, conn: HubConnection, op: wire.Serve) -> dict[str, Any]:
        """Register what a connection serves and give it what waits. ``slots=0`` withdraws the offer."""
        for agent in op.agents:
            authorise_agent(conn.principal, agent)
        worker = self.by_connection.setdefault(conn.ident, ConnectedWorker(conn, self._runtime.clock.monotonic()))
        worker.agents, worker.slots, worker.slots_for_people = frozenset(op.agents), op.slots, op.slots_for_people
        self._runtime.stats.workers = len(self.by_connection)
        with worker.holding(seated=False):
            await self._look_for(worker, seated=True)
        await self._look_for(worker)
        return {"agents": sorted(worker.agents), "slots": worker.slots}

    def agents(self, tenant: str) -> set[str]:
        """The agents of a tenant that some worker serves now."""
        workers = (worker for worker in self.by_connection.values() if worker.slots)
        return {agent for worker in workers if worker.conn.principal.tenant == tenant for agent in worker.agents}

    def disconnect(self, conn: HubConnection) -> list[HotSession]:
        """The connection closed; its attempts go on until their leases run out or somebody attaches.

        Returns the sessions in which it has executed any.
        """
        worker = self.by_connection.pop(conn.ident, None)
        self._runtime.stats.workers = len(self.by_connection)
        if worker is None:
            return []
        worker.disconnected = True
        run_keys = [run_key for run_key, other in self.by_run.items() if other is worker]
        for run_key in run_keys:
            del self.by_run[run_key]
        sessions = (self._sessions.get(key) for key in {key for key, _ in run_keys})
        return [session for session in sessions if session is not None]

    async def _look_for(self, worker: ConnectedWorker, *, seated: bool | None = None) -> None:
        """Load the sessions in which a run waits for one of the worker's agents, as long as it has slots: only where a person
        waits, with ``seated``; until one is taken that nobody waits for, with ``seated=False``."""
        principal = worker.conn.principal
        names = principal.names("append")
        before = worker.turns
        for agent in sorted(worker.agents):
            queue, after = people_waiting(agent) if seated else agent, None
            while self._wants(worker, seated, before):
                batch = await self._runtime.engine.queued(principal.tenant, queue, names=names, after=after)
                for key in batch.keys:
                    if not self._wants(worker, seated, before):
                        return
                    await self._offer(key)
                if batch.after is None:
                    break
                after = batch.after
        if not seated and worker.takes(False):  # none waits
            worker.programs_s = self._runtime.clock.monotonic()

    @staticmethod
    def _wants(worker: ConnectedWorker, seated: bool | None, before: int) -> bool:
        if seated is None:
            return worker.takes(True) or worker.takes(False)
        return worker.takes(seated) and (seated or worker.turns == before)

    async def _offer(self, key: Key) -> None:
        session = self._sessions.hot(key)
        if session.state is not None:
            self.consider(session)
            return
        with contextlib.suppress(HoldfastError):
            await session.ready()  # considers it

    def _offer_free_slot(self, worker: ConnectedWorker) -> None:
        """Look for work: where people wait first. A worker that people alone kept busy for long looks for other work before.
        What is not looked for yet is held back from now on, also from a session that is at hand."""
        if not worker.has_free_slot:
            return
        with contextlib.ExitStack() as stack:
            overdue = self._runtime.clock.monotonic() - worker.programs_s >= limits.HEADLESS_TURN_S
            first = not overdue
            stack.enter_context(worker.holding(seated=not first))
            self._runtime.background(self._look_in_turn(worker, first, stack.pop_all()))

    async def _look_in_turn(self, worker: ConnectedWorker, people_first: bool, others: contextlib.ExitStack) -> None:
        with others:
            await self._look_for(worker, seated=people_first)
        if not people_first:
            with worker.holding(seated=False):
                await self._look_for(worker, seated=True)
        await self._look_for(worker)

    def serves(self, key: Key, agent: str) -> bool:
        """Whether any worker that is connected may run the agent in the session, now or when it has a slot."""
        return any(self._may(worker, key, agent) for worker in self.by_connection.values())

    def _may(self, worker: ConnectedWorker, key: Key, agent: str) -> bool:
        principal = worker.conn.principal
        return agent in worker.agents and principal.tenant == key.tenant and principal.may("append", key.session)

    # --- claiming
    def consider(self, session: HotSession) -> None:
        """Give the session's claimable runs to workers with a free slot."""
        state = session.state
        if state is None or not self.by_connection:
            return
        for run in list(state.runs.values()):
            run_key = (session.key, run.id)
            if run.status == "queued" and run_key not in self._claiming and runs.claimable(state, run):
                worker = self._pick(session, run)
                if worker is not None:
                    self._claim(session, run, worker)

    def _pick(self, session: HotSession, run: RunState) -> ConnectedWorker | None:
        seated = is_seated(run.labels)
        fit = [w for w in self.by_connection.values() if w.takes(seated) and self._may(w, session.key, run.agent)]
        return min(fit, key=lambda worker: worker.load, default=None)

    def _claim(self, session: HotSession, run: RunState, worker: ConnectedWorker) -> None:
        run_key = (session.key, run.id)
        self._claiming.add(run_key)
        seated = is_seated(run.labels)
        if not seated or worker.takes(False):  # one with room for others has left none waiting
            worker.programs_s = self._runtime.clock.monotonic()
        worker.claims[seated] += 1
        worker.turns += not seated
        name = f"{worker.conn.principal.actor}@{worker.conn.ident}"
        op = runs.Claim(
            session=session.key.session,
            tenant=session.key.tenant,
            run=run.id,
            worker=name,
            lease_s=self._runtime.lease_s,
        )

        def notify(outcome: Outcome) -> None:
            # called in the step that ends the commit: the assignment must hold nothing that is decided and not yet durable
            self._claiming.discard(run_key)
            worker.claims[seated] -= 1
            if not isinstance(outcome, HoldfastError):
                self._assign(session, run.id, outcome["generation"], worker)

        session.enqueue(op, worker.conn.principal.actor, None, notify)

    def _assign(self, session: HotSession, ident: str, generation: int, worker: ConnectedWorker) -> None:
        state = session.state
        run = state.runs.get(ident) if state is not None else None
        if run is None or run.generation != generation:
            return
        if worker.disconnected:  # nobody has seen this attempt: it need not wait for its lease
            op = runs.LeaseExpired(session=session.key.session, run=ident, generation=generation, reason=leases.UNSEEN)
            session.submit(op, "system:session")
            return
        self._runtime.stats.runs_claimed += 1
        self._record_attempt(session, ident, generation, worker)
        message = {"op": "assigned", **assignment_of(session, run)}
        if worker.conn.principal.may("read", session.key.session):
            message["view"] = session.view.export()
        else:  # which of its own words count already: they are all it may know of the log
            message["said"] = session.view.completed_messages(ident)
        worker.conn.deliver(Batch([encode(message)]))

    def _record_attempt(self, session: HotSession, ident: str, generation: int, worker: ConnectedWorker) -> None:
        run_key = (session.key, ident)
        before = self.by_run.get(run_key)
        if before is not None and before is not worker:
            before.end(run_key)
        run = session.state.runs.get(ident) if session.state is not None else None
        worker.begin(run_key, generation, run is not None and is_seated(run.labels))
        self.by_run[run_key] = worker
        session.renew(ident)

    # --- executing
    async def heartbeat(self, conn: HubConnection, op: wire.Heartbeat) -> dict[str, Any]:
        """Renew the leases named; those no longer executed by it are answered as fenced."""
        fenced: list[list[Any]] = []
        worker = self.by_connection.get(conn.ident)
        if worker is not None and worker.unresponsive:
            worker.unresponsive = False
            self._offer_free_slot(worker)
        present = {
            name: await self._present(conn, name) for name in dict.fromkeys(attempt.session for attempt in op.runs)
        }
        for attempt in op.runs:
            name, ident, generation = attempt.session, attempt.run, attempt.generation
            session = present[name]
            run = session.state.runs.get(ident) if session is not None and session.state is not None else None
            if session is not None and session.state is None:
                continue  # it cannot be loaded now; when it can, it grants a full lease
            if (
                run is None
                or (run.status, run.generation) != ("running", generation)
                or self._foreign(session, attempt)
            ):
                fenced.append([name, ident, generation])
                continue
            authorise_agent(conn.principal, run.agent.partition("/")[0])
            assert session is not None
            session.renew(ident)
        return {"fenced": fenced}

    async def _present(self, conn: HubConnection, name: str) -> HotSession | None:
        """The session, loaded: a hub that was restarted does not have it yet. None when there is none (any more)."""
        if not conn.principal.may("append", name):
            return None
        key = Key(conn.principal.tenant, name)
        try:
            return await self._sessions.ready(key)
        except Refused:
            return None
        except HoldfastError:
            return self._sessions.hot(key)

    @staticmethod
    def _foreign(session: HotSession | None, attempt: wire.ActiveAttempt) -> bool:
        """Whether an attempt is of another life of its session, or does not say of which (LIFE-1)."""
        return session is not None and not life.is_of_life(session.incarnation, attempt.run, attempt.incarnation)

    def attach(self, conn: HubConnection, session: HotSession, op: wire.Attach) -> dict[str, Any]:
        """A reconnected worker goes on with an attempt it still executes."""
        assert session.state is not None
        run = runs.run_of_attempt(session.state, op.run, op.generation)
        worker = self.by_connection.get(conn.ident)
        if worker is None:
            raise Refused("run.state", "say serve before attach")
        if run.local:
            self.by_run[session.key, run.id] = worker
            session.renew(run.id)
        else:
            self._record_attempt(session, run.id, run.generation, worker)
        return assignment_of(session, run)

    def adopt_local(self, conn: HubConnection, session: HotSession, ident: str) -> None:
        """A sub-run that lives inside its parent's attempt is executed by the same worker, without a slot."""
        worker = self.by_connection.get(conn.ident)
        if worker is not None:
            self.by_run[session.key, ident] = worker
        session.renew(ident)

    # --- what happens to sessions
    def loaded(self, session: HotSession) -> None:
        """See ``SessionObserver``."""
        self.consider(session)

    def deleted(self, session: HotSession) -> None:
        """Signal the workers that execute the session's runs to stop."""
        for run_key, worker in [(h, w) for h, w in self.by_run.items() if h[0] == session.key]:
            self._signal(session, run_key[1], "fenced", {"status": "deleted"})
            del self.by_run[run_key]
            if worker.end(run_key):
                self._offer_free_slot(worker)

    def committed(self, session: HotSession, commit: Commit) -> None:
        """See ``SessionObserver``."""
        if commit.has_control:
            self._on_events(session, commit.events)

    def _on_events(self, session: HotSession, events: list[Event]) -> None:
        """Signal workers what concerns their attempts, release what ended, claim what is claimable."""
        state = session.state
        for event in events:
            handler = _HANDLERS.get(event.type)
            if handler is not None:
                handler(self, session, event)
        if state is not None and any(run.status == "queued" for run in state.runs.values()):
            self.consider(session)

    def missed(self, session: HotSession, events: list[Event]) -> None:
        """As after a commit; and an attempt that they began has not been assigned."""
        self._on_events(session, events)
        for event in [event for event in events if event.type == e.RUN_STARTED]:
            worker = self.by_connection.get(event.data["worker"].rpartition("@")[2])
            if worker is not None and (session.key, event.run) not in self.by_run:
                self._assign(session, event.run or "", event.data["generation"], worker)

    def _signal(self, session: HotSession, ident: str, signal: str, data: dict[str, Any]) -> None:
        worker = self.by_run.get((session.key, ident))
        run = session.state.runs.get(ident) if session.state is not None else None
        if worker is None or worker.disconnected:
            return
        generation = worker.attempts.get((session.key, ident)) or (run.generation if run is not None else 1)
        message = {
            "op": "signal",
            "session": session.key.session,
            "run": ident,
            "generation": generation,
            "what": signal,
            "data": data,
        }
        worker.conn.deliver(Batch([encode(message)]))

    def _on_cancel(self, session: HotSession, event: Event) -> None:
        self._runtime.stats.cancels += 1
        data = {"by": event.actor, "deadline": event.data["deadline"], "force": event.data["force"]}
        data |= {"reason": event.data["reason"]} if "reason" in event.data else {}
        for ident in event.data["runs"]:
            self._signal(session, ident, "cancel", data)

    def _on_steer(self, session: HotSession, event: Event) -> None:
        data = {"steerId": event.data["steerId"], "text": event.data["text"], "by": event.actor}
        self._signal(session, event.run or "", "steer", data)

    def _on_approval(self, session: HotSession, event: Event) -> None:
        ident = event.data["approvalId"]
        approval = session.state.approvals.get(ident) if session.state is not None else None
        if approval is not None and event.run is not None:
            data = {
                "approvalId": ident,
                "decision": approval.decision,
                "by": approval.by,
                "args": approval.args,
                "tool": approval.tool,
                "note": approval.note,
            }
            self._signal(session, event.run or "", "approval", data)

    def _on_attempt_over(self, session: HotSession, event: Event) -> None:
        """An attempt is over, however: its worker is signalled to stop, unless it ended the run itself, and has a slot again."""
        ident = event.run or ""
        session.leases.pop(ident, None)
        if event.type == e.RUN_ENDED:
            self._runtime.stats.runs_ended += 1
            ended = session.state.ended.get(ident) if session.state is not None else None
            if ended is not None and ended.parent is not None:
                data = {"run": ident, "name": ended.name, "status": ended.status, "error": event.data.get("error")}
                self._signal(session, ended.parent, "child", data)
        if not event.actor.startswith("agent:"):
            self._signal(session, ident, "fenced", {"status": event.data.get("status", "lost")})
        worker = self.by_run.pop((session.key, ident), None)
        if worker is not None and event.data.get("reason") in (leases.EXPIRED, leases.RESTORED):
            worker.unresponsive = True
        if worker is not None and worker.end((session.key, ident)):
            self._offer_free_slot(worker)


_HANDLERS = {
    e.CANCEL_REQUESTED: Workers._on_cancel,
    e.INPUT_STEER: Workers._on_steer,
    e.APPROVAL_RESOLVED: Workers._on_approval,
    e.APPROVAL_EXPIRED: Workers._on_approval,
    e.RUN_ENDED: Workers._on_attempt_over,
    e.RUN_ATTEMPT_LOST: Workers._on_attempt_over,
    e.RUN_WAITING: Workers._on_attempt_over,
}
