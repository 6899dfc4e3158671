"""How a call to a tool in a browser is asked for: two approvals, one after the other (see ``agents/browser_tools.py``).

They are answered by pages, not by people: whatever shows or counts what waits for a person leaves them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

CLAIM: Final = "browser.claim"
RESULT: Final = "browser.result"
ASKS: Final = frozenset({CLAIM, RESULT})
"""The tools such approvals name."""

CALL: Final[Literal["call"]] = "call"
"""The ``purpose`` of an approval that a program answers. Without one it is a decision, which a person takes."""


def purpose(data: Mapping[str, Any]) -> Any:
    """What an ``approval.requested`` is for; logs of version 0.1 do not say, and name one of the tools above."""
    stated = data.get("purpose")
    return CALL if stated is None and data.get("tool") in ASKS else stated


def is_call(item: Mapping[str, Any]) -> bool:
    """Whether an approval of a view is answered by a program, and so is nobody's to decide."""
    return item.get("purpose") == CALL


def offered_call(tool: object, args: object, actor: str, tools: frozenset[str] | None) -> str | None:
    """The id of the tool call that an approval offers to a client of this actor; None when it offers none to it.

    Args:
        tool: the approval's.
        args: the approval's: ``{toolCallId, name, args, try, person?}`` of a claim.
        tools: those the client has; None when it does not say.
    """
    if tool != CLAIM or not isinstance(args, dict):
        return None
    if args.get("person") not in (None, actor) or (tools is not None and args.get("name") not in tools):
        return None
    call = args.get("toolCallId")
    return call if isinstance(call, str) else None


def claim_of(tool: object, args: object) -> Any:
    """The claim that an approval asks a result of; None when it is no such approval."""
    return args.get("claim") if tool == RESULT and isinstance(args, dict) else None
