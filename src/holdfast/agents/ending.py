"""The end of an attempt: what is left to append and the end itself, in one append."""

from __future__ import annotations

from typing import Any, Literal

from holdfast.agents.attempt import Attempt
from holdfast.errors import HoldfastError, Refused
from holdfast.protocol import events as e
from holdfast.protocol import wire
from holdfast.protocol.events import Draft

EndStatus = Literal["completed", "failed", "cancelled"]


async def end(attempt: Attempt, status: EndStatus, error: dict[str, Any] | None = None) -> None:
    """End the run, unless somebody did before. Nothing is raised: there is nobody left to tell but the log."""
    rest: list[Draft] = []
    try:
        rest = await attempt.producer.take_rest()
    except HoldfastError as refusal:
        if attempt.fenced or attempt.connection.error is not None:
            return
        status, error = "failed", {"code": refusal.code, "message": refusal.detail[:500]}
    if attempt.cancelled is not None:
        status = "cancelled"
    try:
        await _request_end(attempt, status, error, rest)
    except Refused as refusal:
        if refusal.stopping:
            await _try_end(attempt, "cancelled", None, [draft for draft in rest if draft.type in e.WHILE_STOPPING])
        elif not attempt.fenced:
            await _try_end(attempt, "failed", {"code": refusal.code, "message": refusal.detail[:500]}, [])
    except HoldfastError:
        return  # the connection is gone for good; the lease decides


async def _try_end(attempt: Attempt, status: EndStatus, error: dict[str, Any] | None, rest: list[Draft]) -> None:
    try:
        await _request_end(attempt, status, error, rest)
    except HoldfastError:
        return


async def _request_end(attempt: Attempt, status: EndStatus, error: dict[str, Any] | None, rest: list[Draft]) -> None:
    await attempt.request_now(
        wire.End(
            session=attempt.session,
            run=attempt.run,
            generation=attempt.generation,
            status=status,
            error=error if status == "failed" else None,
            events=rest,
        )
    )
