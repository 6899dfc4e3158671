"""Answers calls to tools in a browser for clients of dialects, which know results and no claims (CTL-6).

A client of the AI SDK or of AG-UI runs a tool when it is told of the call, and comes back with the result. The call is taken
then, in the client's name, and answered once its agent asks for the result of that claim. Who comes late changes nothing.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any, Final, Literal, NamedTuple

from holdfast.edge.listener import Listener
from holdfast.edge.local_subscription import LocalSubscription, SubscriptionMessage
from holdfast.errors import HoldfastError, Refused
from holdfast.hub import operations
from holdfast.protocol import codec, limits, wire
from holdfast.protocol import events as e
from holdfast.protocol.browser_tools import claim_of, offered_call
from holdfast.session.access import Principal

WAIT_S: Final = 300.0
"""How long an agent may take to ask for the result of a claim; its worker may have been let go meanwhile."""


class BrowserResult(NamedTuple):
    """What a client says a tool call came to: ``value``, which is JSON, or the words of an ``error``."""

    call: str
    name: str
    value: Any = None
    error: str | None = None


class _Claim(NamedTuple):
    run: str
    decision: Literal["approved", "denied"]
    note: str


class BrowserCallResponder:
    """Takes calls in a principal's name and answers them, whether or not the one who asked stays.

    Args:
        surface: what people see in presence while an answer is on its way.
    """

    def __init__(self, listener: Listener, principal: Principal, session: str, surface: str) -> None:
        self._listener = listener
        self._hub = listener.hub
        self._principal = principal
        self._session = session
        self._surface = surface
        self._life: str | None = None

    async def answer(self, results: list[BrowserResult]) -> None:
        """Take the calls that still wait for somebody, and answer them.

        Raises:
            Refused: ``auth.denied`` without ``approve``, and without ``append`` for a result that needs a blob.
            Unavailable: as the operations do.
        """
        waiting = await self._waiting(results)
        if not waiting:
            return
        notes = {approval: await self._decision(result) for approval, (_, result) in waiting.items()}
        subscription = await LocalSubscription.open(
            self._listener, self._principal, self._session, "tail", surface=self._surface
        )
        claims: dict[str, _Claim] = {}
        try:
            for approval, (run, _) in waiting.items():
                claim = secrets.token_hex(16)
                if await self._resolve(approval, "approved", claim):
                    claims[claim] = _Claim(run, *notes[approval])
        finally:
            if claims:
                self._hub.runtime.background(self._deliver(subscription, claims))
            else:
                subscription.end()

    async def _waiting(self, results: list[BrowserResult]) -> dict[str, tuple[str, BrowserResult]]:
        """The claims that wait for one of these results, with their runs."""
        session = await self._hub.sessions.load(self._principal, self._session)
        by_call = {result.call: result for result in results}

        def find_waiting() -> dict[str, tuple[str, BrowserResult]]:
            assert session.state is not None
            self._life = session.state.incarnation
            waiting: dict[str, tuple[str, BrowserResult]] = {}
            for ident, approval in session.state.approvals.items():
                call = offered_call(approval.tool, approval.args, self._principal.actor, None)
                result = by_call.get(call or "")
                if result is not None and not approval.decision and approval.args.get("name") == result.name:
                    waiting[ident] = (approval.run, result)
            return waiting

        return await session.when_durable(find_waiting) if by_call else {}

    async def _decision(self, result: BrowserResult) -> tuple[Literal["approved", "denied"], str]:
        """The decision that carries a result: it fits a note, or is a blob."""
        if result.error is not None:
            return "denied", result.error[: limits.NAME_CHARS] or "it failed"
        raw = codec.encode(result.value)
        note = raw.decode()
        if len(note) <= limits.NAME_CHARS:
            return "approved", note
        try:
            blob = await self._hub.blobs.put(self._principal, self._session, "application/json", raw)
        except Refused as error:
            if error.code != "input.too_large":
                raise
            return "denied", error.detail[: limits.NAME_CHARS]  # it will not become smaller: the agent hears of it
        return "approved", f"blob:{blob}"

    async def _resolve(self, approval: str, decision: Literal["approved", "denied"], note: str) -> bool:
        """Whether this was the first decision."""
        op = wire.Resolve(
            session=self._session, approval=approval, decision=decision, note=note, incarnation=self._life
        )
        try:
            await operations.execute(self._hub, self._principal, op)
        except Refused as error:
            if error.code != "approval.resolved":
                raise
            return False
        return True

    async def _deliver(self, subscription: LocalSubscription, claims: dict[str, _Claim]) -> None:
        """Wait until the agent asks for the results of these claims."""
        try:
            async with subscription, asyncio.timeout(WAIT_S):
                async for message in subscription.messages():
                    for approval, claim in _claim_requests(message) if message is not None else ():
                        found = claims.pop(claim, None)
                        if found is not None:
                            await self._resolve(approval, found.decision, found.note)
                    ended = _ended_runs(message) if message is not None else set()
                    claims = {claim: answer for claim, answer in claims.items() if answer.run not in ended}
                    if not claims:
                        return
        except (HoldfastError, TimeoutError) as error:  # the agent offers the call anew
            self._hub.runtime.log.info("a browser's result was not delivered: %r", error)


def _claim_requests(message: SubscriptionMessage) -> list[tuple[str, Any]]:
    """The approvals that ask for the result of a claim."""
    requests = [(i["id"], i) for i in (message.view or {}).get("items", ()) if i["kind"] == "approval"]
    requests += [(ev.data.get("approvalId"), ev.data) for ev in message.events if ev.type == e.APPROVAL_REQUESTED]
    return [(ident, claim_of(request.get("tool"), request.get("args"))) for ident, request in requests]


def _ended_runs(message: SubscriptionMessage) -> set[str | None]:
    return {event.run for event in message.events if event.type == e.RUN_ENDED}
