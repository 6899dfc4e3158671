"""Answers calls to tools in a browser for clients of dialects, which know results and no claims (CTL-6).

A client of the AI SDK or of AG-UI runs a tool when it is told of the call, and comes back with the result. The call is taken
then, in the client's name, and answered once its agent asks for the result of that claim. Who comes late changes nothing.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any, Final, Literal, NamedTuple

from holdfast.edge.door import Door
from holdfast.edge.reading import Message, Reading
from holdfast.errors import HoldfastError, Refused
from holdfast.protocol import codec, limits, wire
from holdfast.protocol import events as e
from holdfast.protocol.browser_tools import claim_of, offered_call
from holdfast.session.access import Principal

WAIT_S: Final = 300.0
"""How long an agent may take to ask for the result of a claim; its worker may have been let go meanwhile."""


class Result(NamedTuple):
    """What a client says a tool call came to: ``value``, which is JSON, or the words of an ``error``."""

    call: str
    name: str
    value: Any = None
    error: str | None = None


class _Taken(NamedTuple):
    run: str
    decision: Literal["approved", "denied"]
    note: str


class Answering:
    """Takes calls in a principal's name and answers them, whether or not the one who asked stays.

    Args:
        surface: what people see in presence while an answer is on its way.
    """

    def __init__(self, door: Door, principal: Principal, session: str, surface: str) -> None:
        self._door = door
        self._hub = door.hub
        self._principal = principal
        self._session = session
        self._surface = surface
        self._life: str | None = None

    async def answer(self, results: list[Result]) -> None:
        """Take the calls that still wait for somebody, and answer them.

        Raises:
            Refused: ``auth.denied`` without ``approve``, and without ``append`` for a result that needs a blob.
            Unavailable: as the operations do.
        """
        waiting = await self._waiting(results)
        if not waiting:
            return
        notes = {approval: await self._note(result) for approval, (_, result) in waiting.items()}
        reading = await Reading.open(self._door, self._principal, self._session, "tail", surface=self._surface)
        taken: dict[str, _Taken] = {}
        try:
            for approval, (run, _) in waiting.items():
                claim = secrets.token_hex(16)
                if await self._resolve(approval, "approved", claim):
                    taken[claim] = _Taken(run, *notes[approval])
        finally:
            if taken:
                self._hub.background(self._deliver(reading, taken))
            else:
                reading.end()

    async def _waiting(self, results: list[Result]) -> dict[str, tuple[str, Result]]:
        """The claims that wait for one of these results, with their runs."""
        session = await self._hub.load_session(self._principal, self._session)
        by_call = {result.call: result for result in results}

        def look() -> dict[str, tuple[str, Result]]:
            assert session.state is not None
            self._life = session.state.incarnation
            found: dict[str, tuple[str, Result]] = {}
            for ident, approval in session.state.approvals.items():
                call = offered_call(approval.tool, approval.args, self._principal.actor, None)
                result = by_call.get(call or "")
                if result is not None and not approval.decision and approval.args.get("name") == result.name:
                    found[ident] = (approval.run, result)
            return found

        return await session.when_durable(look) if by_call else {}

    async def _note(self, result: Result) -> tuple[Literal["approved", "denied"], str]:
        """The decision that carries a result: it fits a note, or is a blob."""
        if result.error is not None:
            return "denied", result.error[: limits.NAME_CHARS] or "it failed"
        raw = codec.encode(result.value)
        note = raw.decode()
        if len(note) <= limits.NAME_CHARS:
            return "approved", note
        try:
            blob = await self._hub.put_blob(self._principal, self._session, "application/json", raw)
        except Refused as error:
            if error.code != "input.too_large":
                raise
            return "denied", error.detail[: limits.NAME_CHARS]  # it will not become smaller: the agent hears of it
        return "approved", f"blob:{blob}"

    async def _resolve(self, approval: str, decision: Literal["approved", "denied"], note: str) -> bool:
        """Whether this was the first decision."""
        op = wire.Resolve(
            session=self._session, approval=approval, decision=decision, note=note, incarnation=self._life
        )  # fmt: skip
        try:
            await self._hub.execute(self._principal, op)
        except Refused as error:
            if error.code != "approval.resolved":
                raise
            return False
        return True

    async def _deliver(self, reading: Reading, taken: dict[str, _Taken]) -> None:
        """Wait until the agent asks for the results of these claims."""
        try:
            async with reading, asyncio.timeout(WAIT_S):
                async for message in reading.messages():
                    for approval, claim in _asked(message) if message is not None else ():
                        answer = taken.pop(claim, None)
                        if answer is not None:
                            await self._resolve(approval, answer.decision, answer.note)
                    ended = _ended(message) if message is not None else set()
                    taken = {claim: answer for claim, answer in taken.items() if answer.run not in ended}
                    if not taken:
                        return
        except (HoldfastError, TimeoutError) as error:  # the agent offers the call anew
            self._hub.log.info("a browser's result was not delivered: %r", error)


def _asked(message: Message) -> list[tuple[str, Any]]:
    """The approvals that ask for the result of a claim."""
    asks = [(i["id"], i) for i in (message.view or {}).get("items", ()) if i["kind"] == "approval"]
    asks += [(ev.data.get("approvalId"), ev.data) for ev in message.events if ev.type == e.APPROVAL_REQUESTED]
    return [(ident, claim_of(about.get("tool"), about.get("args"))) for ident, about in asks]


def _ended(message: Message) -> set[str | None]:
    return {event.run for event in message.events if event.type == e.RUN_ENDED}
