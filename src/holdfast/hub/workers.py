"""Workers: who serves which agent, which attempt runs where, and what the worker of an attempt is sent.

Nothing here is durable. Runs, attempts and what is asked of them are in the sessions; a worker's connection may close
and come back (``attach``), and only the lease decides whether its attempt is lost (CTL-1, RUN-2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from holdfast.engines.port import Key
from holdfast.errors import HoldfastError, Refused
from holdfast.hub.hot import HotSession
from holdfast.hub.pending import Outcome
from holdfast.hub.port import Batch, HubConnection
from holdfast.protocol import events as e
from holdfast.protocol import wire
from holdfast.protocol.codec import encode
from holdfast.protocol.events import Event
from holdfast.session import life
from holdfast.session import run as runs
from holdfast.session.access import authorise_agent
from holdfast.session.state import RunState

if TYPE_CHECKING:
    from holdfast.hub.hub import Hub

RunKey = tuple[Key, str]


class ConnectedWorker:
    """A connection that offers to run agents.

    ``attempts`` are those it executes, with their generation. ``unresponsive``: it let a lease run out, so it hangs, and gets
    nothing more until it is heard of again; else it would cost a run all its attempts.
    """

    def __init__(self, conn: HubConnection) -> None:
        self.conn = conn
        self.agents: frozenset[str] = frozenset()
        self.slots = 0
        self.attempts: dict[RunKey, int] = {}
        self.claims = 0
        self.disconnected = False
        self.unresponsive = False

    @property
    def has_free_slot(self) -> bool:
        """Whether it takes another run. Sub-runs inside an attempt take no slot of their own."""
        return not self.disconnected and not self.unresponsive and len(self.attempts) + self.claims < self.slots


class Workers:
    """All workers of one hub."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.by_connection: dict[str, ConnectedWorker] = {}
        self.by_run: dict[RunKey, ConnectedWorker] = {}
        self._claiming: set[RunKey] = set()

    # --- offering
    async def serve(self, conn: HubConnection, op: wire.Serve) -> dict[str, Any]:
        """Register what a connection serves and give it what waits. ``slots=0`` withdraws the offer."""
        for agent in op.agents:
            authorise_agent(conn.principal, agent)
        worker = self.by_connection.setdefault(conn.ident, ConnectedWorker(conn))
        worker.agents, worker.slots = frozenset(op.agents), op.slots
        self.hub.stats.workers = len(self.by_connection)
        await self._look_for_work(worker)
        return {"agents": sorted(worker.agents), "slots": worker.slots}

    def disconnect(self, conn: HubConnection) -> None:
        """The connection closed; its attempts go on until their leases run out or somebody attaches."""
        worker = self.by_connection.pop(conn.ident, None)
        if worker is not None:
            worker.disconnected = True
            for run_key in [run_key for run_key, other in self.by_run.items() if other is worker]:
                del self.by_run[run_key]
                session = self.hub.sessions.get(run_key[0])
                if session is not None:
                    self.hub.presence.mark_changed(session)
        self.hub.stats.workers = len(self.by_connection)

    async def _look_for_work(self, worker: ConnectedWorker) -> None:
        """Load the sessions in which a run waits for one of the worker's agents, as long as it has slots."""
        principal = worker.conn.principal
        names = principal.names("append")
        for agent in sorted(worker.agents):
            after = None
            while worker.has_free_slot:
                batch = await self.hub.engine.queued(principal.tenant, agent, names=names, after=after)
                await self._offer(worker, batch.keys)
                if batch.after is None:
                    break
                after = batch.after

    async def _offer(self, worker: ConnectedWorker, keys: Sequence[Key]) -> None:
        for key in keys:
            if not worker.has_free_slot:
                return
            session = self.hub.hot(key)
            if session.state is not None:
                self.consider(session)
            else:
                try:
                    await session.ready()  # considers it
                except HoldfastError:
                    continue

    def _offer_free_slot(self, worker: ConnectedWorker) -> None:
        if worker.has_free_slot:
            self.hub.background(self._look_for_work(worker))

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
        fit = [w for w in self.by_connection.values() if w.has_free_slot and self._may(w, session.key, run.agent)]
        return min(fit, key=lambda worker: len(worker.attempts) + worker.claims, default=None)

    def _claim(self, session: HotSession, run: RunState, worker: ConnectedWorker) -> None:
        run_key = (session.key, run.id)
        self._claiming.add(run_key)
        worker.claims += 1
        name = f"{worker.conn.principal.actor}@{worker.conn.ident}"
        op = runs.Claim(session=session.key.session, run=run.id, worker=name, lease_s=self.hub.lease_s)

        def notify(outcome: Outcome) -> None:
            # called in the step that ends the commit: the assignment must hold nothing that is decided and not yet durable
            self._claiming.discard(run_key)
            worker.claims -= 1
            if not isinstance(outcome, HoldfastError):
                self._assign(session, run.id, outcome["generation"], worker)

        session.enqueue(op, worker.conn.principal.actor, None, notify)

    def _assign(self, session: HotSession, ident: str, generation: int, worker: ConnectedWorker) -> None:
        state = session.state
        run = state.runs.get(ident) if state is not None else None
        if run is None or run.generation != generation:
            return
        if worker.disconnected:  # nobody has seen this attempt: it need not wait for its lease
            op = runs.LeaseExpired(session=session.key.session, run=ident, generation=generation, reason="worker left")
            session.submit(op, "system:session")
            return
        self.hub.stats.runs_claimed += 1
        self._record_attempt(session, ident, generation, worker)
        message = {"op": "assigned", **self.assignment(session, run)}
        if worker.conn.principal.may("read", session.key.session):
            message["view"] = session.view.export()
        else:  # which of its own words count already: they are all it may know of the log
            message["said"] = session.view.completed_messages(ident)
        worker.conn.deliver(Batch([encode(message)]))

    def _record_attempt(self, session: HotSession, ident: str, generation: int, worker: ConnectedWorker) -> None:
        run_key = (session.key, ident)
        before = self.by_run.get(run_key)
        if before is not None and before is not worker:
            before.attempts.pop(run_key, None)
        worker.attempts[run_key] = generation
        self.by_run[run_key] = worker
        self.renew(session, ident)
        self.hub.presence.mark_changed(session)

    def assignment(self, session: HotSession, run: RunState) -> dict[str, Any]:
        """Everything an attempt needs to begin, or to go on."""
        state = session.state
        assert state is not None
        message = session.view.by_id.get(("message", run.input or ""))
        input_: dict[str, Any] = dict(run.task)
        if message is not None and run.parent is None:
            input_ = {
                "messageId": message["id"],
                "text": message["text"],
                "attachments": message.get("attachments", []),
            }
            input_ |= {"meta": message["meta"]} if "meta" in message else {}
        decisions = {
            ident: {"decision": a.decision, "args": a.args, "tool": a.tool, "by": a.by, "note": a.note}
            for ident, a in state.approvals.items()
            if a.run == run.id and a.decision
        }
        cancel = {"by": run.cancel.by, "deadline": run.cancel.deadline_ms, "force": False} if run.cancel else None
        if cancel is not None and run.cancel is not None and run.cancel.reason:
            cancel["reason"] = run.cancel.reason
        return {
            "session": session.key.session,
            "run": run.id,
            "generation": run.generation,
            "agent": run.agent,
            "incarnation": session.incarnation,
            "lease_s": run.lease_s,
            "input": input_,
            "by": run.by,
            "labels": run.labels,
            "turn": run.input,
            "parent": run.parent,
            "name": run.name,
            "attempts": run.attempts,
            "losses": run.losses,
            "journal": run.journal,
            "approvals": decisions,
            "steers": [{"steerId": i, "text": s.text, "by": s.by} for i, s in run.steers.items()],
            "cancel": cancel,
            "seq": session.tail,
        }

    # --- executing
    def renew(self, session: HotSession, ident: str) -> None:
        """Start the run's lease anew; the session's timer finds it when it runs out."""
        run = session.state.runs.get(ident) if session.state is not None else None
        if run is not None:
            is_new = ident not in session.leases
            session.leases[ident] = self.hub.clock.monotonic() + run.lease_s
            if is_new:
                session.arm()

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
            self.renew(session, ident)
        return {"fenced": fenced}

    async def _present(self, conn: HubConnection, name: str) -> HotSession | None:
        """The session, loaded: a hub that was restarted does not have it yet. None when there is none (any more)."""
        if not conn.principal.may("append", name):
            return None
        key = Key(conn.principal.tenant, name)
        try:
            return await self.hub.ready(key)
        except Refused:
            return None
        except HoldfastError:
            return self.hub.hot(key)

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
            self.renew(session, run.id)
        else:
            self._record_attempt(session, run.id, run.generation, worker)
        return self.assignment(session, run)

    def adopt_local(self, conn: HubConnection, session: HotSession, ident: str) -> None:
        """A sub-run that lives inside its parent's attempt is executed by the same worker, without a slot."""
        worker = self.by_connection.get(conn.ident)
        if worker is not None:
            self.by_run[session.key, ident] = worker
        self.renew(session, ident)

    def expire(self, session: HotSession) -> None:
        """Record the attempts whose lease has run out (RUN-3)."""
        if self.hub.maintenance.behind:
            return  # nothing was received meanwhile: the next tick adds what the stall took
        now = self.hub.clock.monotonic()
        for ident, until in list(session.leases.items()):
            run = session.state.runs.get(ident) if session.state is not None else None
            if run is None or run.status != "running":
                del session.leases[ident]
            elif until <= now:
                del session.leases[ident]
                self.hub.stats.leases_lost += 1
                if (worker := self.by_run.get((session.key, ident))) is not None:
                    worker.unresponsive = True
                restored = run.life not in ("", session.incarnation)
                op = runs.LeaseExpired(
                    session=session.key.session,
                    run=ident,
                    generation=run.generation,
                    reason="restored from a backup" if restored else "lease expired",
                )
                session.submit(op, "system:session")

    def forget(self, session: HotSession) -> None:
        """The session was deleted: signal the workers that execute its runs to stop."""
        for run_key, worker in [(h, w) for h, w in self.by_run.items() if h[0] == session.key]:
            self._signal(session, run_key[1], "fenced", {"status": "deleted"})
            del self.by_run[run_key]
            if worker.attempts.pop(run_key, None) is not None:
                self._offer_free_slot(worker)

    def extend_all(self, seconds: float) -> None:
        """Time in which the hub did not run does not count (RUN-2)."""
        for session in self.hub.sessions.values():
            for ident in session.leases:
                session.leases[ident] += seconds
            session.arm()

    # --- after a commit
    def on_commit(self, session: HotSession, events: list[Event]) -> None:
        """After a commit: signal workers what concerns their attempts, release what ended, claim what is claimable."""
        state = session.state
        for event in events:
            handler = _HANDLERS.get(event.type)
            if handler is not None:
                handler(self, session, event)
        if state is not None and any(run.status == "queued" for run in state.runs.values()):
            self.consider(session)

    def on_missed_commit(self, session: HotSession, events: list[Event]) -> None:
        """As ``on_commit``, for events whose commit was reported as failed: an attempt they began has not been assigned."""
        self.on_commit(session, events)
        for event in [event for event in events if event.type == e.RUN_STARTED]:
            worker = self.by_connection.get(event.data["worker"].rpartition("@")[2])
            if worker is not None and (session.key, event.run) not in self.by_run:
                self._assign(session, event.run or "", event.data["generation"], worker)
        self.hub.notice_event.set()

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
        self.hub.stats.cancels += 1
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
            self.hub.stats.runs_ended += 1
            ended = session.state.ended.get(ident) if session.state is not None else None
            if ended is not None and ended.parent is not None:
                data = {"run": ident, "name": ended.name, "status": ended.status, "error": event.data.get("error")}
                self._signal(session, ended.parent, "child", data)
        if not event.actor.startswith("agent:"):
            self._signal(session, ident, "fenced", {"status": event.data.get("status", "lost")})
        worker = self.by_run.pop((session.key, ident), None)
        self.hub.presence.mark_changed(session)
        if worker is not None and worker.attempts.pop((session.key, ident), None) is not None:
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
