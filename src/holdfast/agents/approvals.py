"""Asking people before acting (CTL-6)."""

from __future__ import annotations

import copy
from typing import Any, Literal

import msgspec

from holdfast.agents.attempt import Attempt
from holdfast.protocol import wire
from holdfast.protocol.codec import check_value, encode


class Approval(msgspec.Struct, frozen=True):
    """A decided approval; truthy when the action may happen.

    Attributes:
        id: the approval's id.
        args: the exact arguments that were decided on: use these.
        by: the approver: who decided (``system:…`` when the deadline did).
        note: what they said.
    """

    id: str
    approved: bool
    args: dict[str, Any]
    by: str = ""
    note: str = ""

    def __bool__(self) -> bool:
        return self.approved


def find_decision(attempt: Attempt, approval: str, tool: str, args: dict[str, Any]) -> dict[str, Any] | None:
    """What people have decided about exactly this action. A decision about another action under the same id is none."""
    record = attempt.decisions.get(approval)
    if record is None or not record.get("decision"):
        return None
    if "args" in record and (record.get("tool"), record["args"]) != (tool, as_received(args)):
        return None
    return record


def as_received(args: dict[str, Any]) -> Any:
    """Arguments as they arrive."""
    return msgspec.json.decode(encode(args))


async def ask(
    attempt: Attempt,
    approval: str,
    tool: str,
    args: dict[str, Any],
    *,
    wait: bool,
    deadline_s: float,
    default: Literal["approved", "denied"],
    self_approve: bool,
    call: str | None = None,
    purpose: Literal["decision", "call"] = "decision",
) -> Approval | None:
    """Ask, and wait for the decision in place; None when the worker was let go instead (``wait``)."""
    check_value(args, "args")
    args = copy.deepcopy(args)  # what is decided on cannot change while people think
    if find_decision(attempt, approval, tool, args) is None:
        result = await attempt.request(
            wire.Ask(
                session=attempt.session,
                run=attempt.run,
                generation=attempt.generation,
                approval=approval,
                tool=tool,
                args=args,
                deadline_s=deadline_s,
                default=default,
                self_approve=self_approve,
                wait=wait,
                call=call,
                purpose=purpose,
            )
        )
        if result.get("decision"):
            attempt.decisions[approval] = result
        elif wait:
            return None
    while (record := find_decision(attempt, approval, tool, args)) is None:
        await attempt.wait_for_change()
    approved = record["decision"] == "approved"
    return Approval(approval, approved, args, str(record.get("by", "")), str(record.get("note") or ""))
