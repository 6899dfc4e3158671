"""A call that names a session is a run in it: people watch it and stop it from any device, and it survives its caller.

The run's worker is the gateway itself. What the caller said last becomes the input, what the model says becomes the run's
messages, and what it used is recorded with the call's id, so that the ledger counts it once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from msgspec import structs

from holdfast.agents.holdfast import Holdfast
from holdfast.agents.run import RunContext
from holdfast.client.session import Session
from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.gateway import budget_news
from holdfast.gateway.answers import CallerAnswer
from holdfast.gateway.conversation import last_words
from holdfast.gateway.exchange import UpstreamExchange
from holdfast.gateway.incoming import Incoming
from holdfast.gateway.port import BrakeNews, Halted, ModelCall, Served
from holdfast.gateway.run_answer import RunAnswer
from holdfast.gateway.running import revocation
from holdfast.gateway.sessions import SessionClients
from holdfast.protocol import events as e
from holdfast.protocol import limits
from holdfast.visible import logger

log = logger("holdfast.gateway")
Begin = Callable[[ModelCall, CallerAnswer, Callable[[Served], None], Callable[[BrakeNews], None]], UpstreamExchange]
"""Makes the exchange of a call: with its run named, where its answer goes, and who else hears what was served, and that a
budget brakes it."""


class ModelRuns:
    """The calls of a gateway that are runs."""

    def __init__(self, clients: SessionClients) -> None:
        self._clients = clients
        self._waiting: dict[str, _RunCall] = {}
        self._executing: set[_RunCall] = set()
        self._worker: Holdfast | None = None
        self._serving: asyncio.Task[None] | None = None
        self._error: HoldfastError | None = None

    async def start(self) -> None:
        """Offer to execute the runs. A session server that is away is tried again and again: what names no session needs none.

        Raises:
            Refused: it does not want this gateway.
        """
        try:
            self._worker = await self._clients.of(None)
        except Unavailable as error:
            self._lost(error)
        self._serving = asyncio.ensure_future(self._serve())

    async def _serve(self) -> None:
        """Execute runs, also after the connection ended for good, until cancelled."""
        while True:
            try:
                self._worker = await self._clients.of(None)
                self._worker.add_agent(self._clients.agent, self._execute)
                self._error = None
                await self._worker.serve(slots=limits.MODEL_RUNS, slots_for_people=limits.MODEL_RUNS // 4)
            except HoldfastError as error:
                self._lost(error)
            await self._clients.forget(None)
            await asyncio.sleep(limits.SESSIONS_OPEN_S)

    def _lost(self, error: HoldfastError) -> None:
        log.warning("calls that name a session are refused until their server is reached: %s", error)
        self._error = error

    async def stop(self) -> None:
        """Execute no more; what is under way is let go."""
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)

    async def answer(self, incoming: Incoming, call: ModelCall, answer: CallerAnswer, begin: Begin) -> _RunCall:
        """Queue the run of a call. ``finished`` of what is returned is done when it is answered.

        Raises:
            Refused, Unavailable: why there is no run; at once while the session server is away.
        """
        if self._error is not None or self._worker is None or not self._worker.connection.connected:
            reason = f": {self._error.detail}" if self._error is not None else ""
            raise Unavailable("connection.lost", f"the gateway is not connected to its sessions{reason}")
        waiting = self._waiting[call.id] = _RunCall(incoming, call, answer, begin, self._clients)
        try:
            client = await self._clients.of(call.caller)
            waiting.session = client.session(call.session)
            role, words = last_words(incoming)
            text = words or ("(results of tools)" if role in ("tool", "function_call_output") else "(no text)")
            meta = {"call": call.id, "model": call.model}
            try:
                run = await waiting.session.send(
                    text, agent=self._clients.agent, meta=meta, attempts=1, concurrent=True
                )
            except Refused as error:
                if error.code != "session.not_found":
                    raise
                await waiting.session.create(agent=self._clients.agent)
                run = await waiting.session.send(
                    text, agent=self._clients.agent, meta=meta, attempts=1, concurrent=True
                )
            if not run.id:
                raise Refused("run.muted")
        except BaseException:
            self._waiting.pop(call.id, None)
            raise
        waiting.run = run.id
        return waiting

    async def _execute(self, run: RunContext) -> None:
        waiting = self._waiting.pop(str(run.input.meta.get("call", "")), None)
        if waiting is None:
            detail = f"no caller of this gateway waits for the run: the one that was asked is gone, or serves {run.agent!r}, too"
            raise Unavailable(
                "server.restarting", detail, fix="Ask again. Several gateways each need a sessions_agent of their own."
            )
        self._executing.add(waiting)
        try:
            await waiting.execute(run)
        except HoldfastError as error:  # said in full by what it is: a caller's mistake is worth no trace in the log
            raise HoldfastError(error.code, error.detail, **error.fields) from None
        finally:
            self._executing.discard(waiting)

    def revoked(self, key: str) -> None:
        """End the runs of a key: also those whose callers have left."""
        for one in (*self._waiting.values(), *self._executing):
            if one.call.caller.key == key:
                one.stop(revocation())

    def end(self, halted: Halted) -> int:
        """End the runs that go no further, also those whose callers have left; how many."""
        count = 0
        for one in (*self._waiting.values(), *self._executing):
            error = halted(one.call.caller, one.model)
            count += error is not None and one.stop(error)
        return count


class _RunCall:
    """One call and its run.

    Attributes:
        finished: done when the run is; its exception is why the caller has no answer.
    """

    def __init__(
        self, incoming: Incoming, call: ModelCall, answer: CallerAnswer, begin: Begin, clients: SessionClients
    ) -> None:
        self.call = call
        self.session: Session | None = None
        self.run = ""
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._incoming = incoming
        self._answer = answer
        self._begin = begin
        self._clients = clients
        self._served: list[Served] = []
        self._billed = asyncio.Event()
        self._braked: BrakeNews | None = None
        self._ended = asyncio.Event()
        self._resumed = 0
        self._left = False
        self._exchange: UpstreamExchange | None = None
        self._stopped: HoldfastError | None = None

    def leave(self, why: str) -> None:
        """The caller does not wait any more; the run goes on."""
        self._left = True
        if not self.finished.done():
            self.finished.set_result(None)

    @property
    def model(self) -> str:
        """The model that is asked now."""
        return str(self._incoming.model)

    def stop(self, error: HoldfastError) -> bool:
        """The run ends with an error, and so does the answer. Whether it was the first time."""
        first = self._stopped is None
        self._stopped = self._stopped or error
        if self._exchange is not None:
            self._exchange.leave(error.code, cut=True, tell=self._stopped)
        return first

    async def execute(self, run: RunContext) -> None:
        """Ask the model, as the run's worker."""
        call = structs.replace(self.call, run=run.id, attempt=run.attempt_number)
        recording = RunAnswer(self._incoming, self._answer, run, lambda: self._left)
        exchange = self._begin(call, recording, self._hear, lambda news: self._tell(run, news))
        self._exchange = exchange
        error: HoldfastError | None = None
        asking: asyncio.Task[None] | None = None
        try:
            try:
                if self._stopped is not None:
                    raise self._stopped
                asking = asyncio.ensure_future(exchange.run())
                await self._until_over(asking, exchange)
            except asyncio.CancelledError:
                error = self._stopped or Refused("call.stopped", "somebody stopped this answer in its session")
                raise
            except HoldfastError as failed:
                error = failed
                news = budget_news.refused_at_once(failed)
                if news is None:
                    raise
                if self._braked is None:
                    self._tell(run, news)
            finally:
                await recording.close()
                await self._record(run)
            if self._braked is not None:
                error = error or budget_news.refusal_of(self._braked)
                await self._cancel_for_budget(run, error)
        except HoldfastError as failed:
            error = failed
            if (
                failed.code == "workflow.stopped" and failed.fields.get("scope") != "model"
            ):  # who did cancels the run, too
                self._finish(error)
                await asyncio.sleep(limits.CANCEL_GRACE_S)
            raise
        except Exception:
            error = Unavailable("server.internal")
            raise
        finally:
            if asking is None or asking.done():
                self._finish(error)
            else:  # the caller takes its end slowly
                asking.add_done_callback(lambda _: self._finish(error))

    def _finish(self, error: HoldfastError | None) -> None:
        if self.finished.done():
            return
        if error is not None and not self._answer.started:
            self.finished.set_exception(error)
        else:
            self.finished.set_result(None)

    async def _until_over(self, asking: asyncio.Task[None], exchange: UpstreamExchange) -> None:
        """Until the call is answered; or until a budget has ended the answer, and what its provider bills is known, or late."""
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({asking, ended}, return_when=asyncio.FIRST_COMPLETED)
            if self._braked is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(limits.CANCEL_GRACE_S / 2):
                        await asyncio.wait({asking})
                        await self._billed.wait()
                if not asking.done():
                    return
            await asyncio.shield(asking)
            if self._stopped is not None:
                raise self._stopped
        except asyncio.CancelledError:
            stopped = self._stopped or Refused("call.stopped", "somebody stopped this answer in its session")
            exchange.leave("run.cancelled", cut=True, tell=stopped)
            await asyncio.wait({asking}, timeout=limits.CANCEL_GRACE_S / 2)
            raise
        finally:
            ended.cancel()

    def _hear(self, served: Served) -> None:
        self._served.append(served)
        self._billed.set()

    def _tell(self, run: RunContext, news: BrakeNews) -> None:
        """Everybody who watches the run is told, at its place among what the run says."""
        if budget_news.ends_cancelled(news):
            self._braked = news
            self._ended.set()
        with contextlib.suppress(HoldfastError):  # the run is over: nobody is left to be told
            run.attempt.producer.put(e.ACTIVITY_SNAPSHOT, budget_news.activity_of(run.id, news, self._resumed))
        self._resumed += news.stage == "resumed"

    async def _cancel_for_budget(self, run: RunContext, error: HoldfastError) -> None:
        """The run ends as cancelled, with the reason; where it cannot be cancelled in the budget's name, with the error."""
        await run.flush()
        if not await self._clients.cancel_for_budget(self.call.session, run.id, budget_news.reason_of(error.detail)):
            raise error

    async def _record(self, run: RunContext) -> None:
        for one in self._served:
            for used in one.billed or ([one.estimated] if one.estimated is not None else []):
                await run.usage(
                    used.model or self.call.model, input_tokens=used.total_input, output_tokens=used.total_output,
                    call=self.call.id, classes=used.counts, estimated=not used.reported,
                )  # fmt: skip
