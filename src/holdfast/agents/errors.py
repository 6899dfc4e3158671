"""What is raised inside agents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.errors import HoldfastError, Refused

if TYPE_CHECKING:
    from holdfast.agents.approvals import Approval


class ToolFailed(HoldfastError):
    """An earlier attempt recorded that this tool call failed; ``fields["error"]`` is what it recorded."""

    def __init__(self, name: str, error: Any) -> None:
        super().__init__("tool.failed", f"tool {name!r} failed in an earlier attempt", error=error)


class ToolOutcomeUnknown(HoldfastError):
    """An earlier attempt began this tool call and was lost: whether it took effect is not known (RUN-4)."""

    def __init__(self, name: str, call_id: str) -> None:
        super().__init__("tool.outcome_unknown", f"tool {name!r}: an earlier attempt began it", call_id=call_id)
        self.call_id = call_id


class ToolDenied(Refused):
    """A gated tool was not approved."""

    def __init__(self, name: str, approval: Approval) -> None:
        super().__init__("tool.denied", f"tool {name!r} was not approved", by=approval.by)
        self.approval = approval


class CallNotMade(BaseException):
    """Raised by what a journalled call executes: the call was not made after all; people are to decide first.

    Attributes:
        reason: what is asked of people, in the adapter's word: it and later attempts find it again
            (``Tools.pause_reason``).
        cause: what the framework raised for that, if anything.
        silent: the adapter itself says when the call may be made again (``Tools.pause``): not before something is
            saved.
    """

    def __init__(self, reason: str, cause: Exception | None = None, *, silent: bool = False) -> None:
        self.reason = reason
        self.cause = cause
        self.silent = silent


class Released(BaseException):
    """Unwinds an agent whose run waits for a person without a worker (RUN-5). Do not catch it.

    The agent is called again, from its top, when the answer is there.
    """
