"""Tools that run in a person's browser: exactly one tab takes a call, and only its answer counts (CTL-6).

A call is two approvals, one after the other, so that the session's own rules decide every race and every deadline:

``browser.claim``   ``{toolCallId, name, args, try, person?}``: the first tab to approve it has the call; its note is a
                    random name the tab gives to its claim.
``browser.result``  the same and ``claim``: the tab that made this claim runs the tool and approves with the result as
                    the note, as JSON or as ``blob:ID`` of that JSON, or denies with what went wrong.

The second is asked when the first is decided: so its deadline is counted from the claim, and holds without a worker.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

from holdfast.agents.approvals import Approval
from holdfast.agents.errors import ToolFailed
from holdfast.agents.tools import Tools
from holdfast.errors import HoldfastError
from holdfast.protocol.browser_tools import CALL, CLAIM, RESULT
from holdfast.protocol.codec import parse

CLAIM_S = 300.0  # how long the tab that took a call has to answer it
DEADLINE_S = 3_600.0  # how long a call waits for a tab that takes it
TRIES = 3
_BLOB = re.compile(r"blob:([0-9a-f]{64})")


class BrowserToolFailed(ToolFailed):
    """No tab took the call, its tab did not answer in time, or the tool failed there; ``detail`` says which."""

    def __init__(self, name: str, detail: str, by: str = "") -> None:
        HoldfastError.__init__(self, "tool.failed", f"tool {name!r} in the browser: {detail}", by=by)


class _Approve(Protocol):
    """How an approval is asked for, as ``RunContext.approve`` does it."""

    async def __call__(
        self,
        tool: str,
        args: dict[str, Any],
        *,
        wait: bool,
        deadline_s: float,
        purpose: Literal["decision", "call"],
    ) -> Approval: ...


async def call(
    tools: Tools,
    approve: _Approve,
    load: Callable[[str], Awaitable[bytes]],
    call_id: str,
    name: str,
    args: dict[str, Any],
    *,
    person: str | None,
    wait: bool,
    deadline_s: float,
    claim_s: float,
    tries: int,
) -> Any:
    """Have one tab run the tool. See ``RunContext.browser_tool``.

    An attempt that repeats the call asks the same approvals again, and is answered from where they stand.

    Args:
        tools: of the run, whose journal gets the call.
        approve: asks for an approval in the run.
        load: gives the bytes of a blob of the session.
    """

    async def run_in_tab(**_: Any) -> Any:
        for number in range(1, tries + 1):
            request = {"toolCallId": call_id, "name": name, "args": args, "try": number}
            if person is not None:
                request["person"] = person
            claim = await approve(CLAIM, request, wait=wait, deadline_s=deadline_s, purpose=CALL)
            if not claim:
                raise _refusal(name, claim, "no tab took it in time")
            if not claim.note or (person is not None and claim.by != person):
                continue  # approved by hand, or by somebody it was not meant for: no tab has it that may
            asked_of = {**request, "claim": claim.note}
            result = await approve(RESULT, asked_of, wait=wait, deadline_s=claim_s, purpose=CALL)
            if _is_expired(result):
                continue  # its tab was closed, or is too slow: from now on its answer is refused
            return await _result_value(load, name, claim, result)
        raise BrowserToolFailed(name, f"taken {tries} times, and never answered in time")

    return await tools.call(call_id, name, args, run_in_tab, idempotent=True, message=None)


def _is_expired(approval: Approval) -> bool:
    return approval.by.startswith("system:")


def _refusal(name: str, approval: Approval, expired_detail: str) -> BrowserToolFailed:
    if _is_expired(approval):
        return BrowserToolFailed(name, expired_detail)
    return BrowserToolFailed(name, approval.note or "denied", approval.by)


async def _result_value(load: Callable[[str], Awaitable[bytes]], name: str, claim: Approval, result: Approval) -> Any:
    """What the tab answered. The approval is open to all who may approve: only the claimer's word is a result."""
    if result.by != claim.by:
        raise BrowserToolFailed(name, f"answered by {result.by}, but {claim.by} has it", result.by)
    if not result:
        raise _refusal(name, result, "")
    blob = _BLOB.fullmatch(result.note)
    try:
        return parse(await load(blob[1]) if blob else result.note)
    except ValueError:
        raise BrowserToolFailed(name, "the answer is not JSON", result.by) from None
