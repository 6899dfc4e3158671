"""The request of an AG-UI client, ``RunAgentInput`` (https://docs.ag-ui.com/sdk/js/core/types), as far as it is read."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from holdfast.protocol import codec, limits, wire


class Resume(msgspec.Struct):
    """An answer to an interrupt: ``payload`` is ``{"approved": true}`` or ``true``."""

    interruptId: str
    status: str
    payload: Any = None

    @property
    def approved(self) -> bool:
        """Whether the action may happen; whatever is no clear yes is a no."""
        payload = self.payload
        if self.status != "resolved":
            return False
        if isinstance(payload, dict):
            return payload.get("approved") is True or payload.get("decision") == "approved"
        return payload is True

    @property
    def note(self) -> str:
        """What they said with it."""
        note = self.payload.get("note") if isinstance(self.payload, dict) else None
        return note[: limits.NAME_CHARS] if isinstance(note, str) else ""


class Options(msgspec.Struct):
    """``forwardedProps.holdfast``: what AG-UI has no field for.

    Attributes:
        edits: the message this one replaces; the conversation branches there (CTL-7).
        concurrent: whether the run may go beside others of its agent.
        state: whether the client's ``state`` replaces the session's.
    """

    edits: str | None = None
    concurrent: bool = False
    state: bool = False


class RunAgentInput(msgspec.Struct):
    """``RunAgentInput``, as far as it is read."""

    threadId: wire.SessionId
    runId: wire.Label
    messages: list[dict[str, Any]] = []
    protocolVersion: str | None = None
    state: Any = None
    tools: list[Any] = []
    context: list[Any] = []
    forwardedProps: Any = None
    resume: Annotated[list[Resume], msgspec.Meta(max_length=limits.PENDING_APPROVALS)] | None = None

    @property
    def declared(self) -> frozenset[str]:
        """The names of the tools the client has."""
        names = [tool.get("name") for tool in self.tools if isinstance(tool, dict)]
        return frozenset(name for name in names if isinstance(name, str))

    @property
    def options(self) -> Options:
        """See ``Options``. Raises ``input.malformed``."""
        run_input = self.forwardedProps.get("holdfast") if isinstance(self.forwardedProps, dict) else None
        return codec.convert(run_input or {}, Options, "forwardedProps.holdfast")


DECODER: Final = msgspec.json.Decoder(RunAgentInput)
