"""Operations that wait for an answer, in the order of their requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from holdfast.errors import HoldfastError, Refused
from holdfast.protocol import limits, wire
from holdfast.protocol.bounds import too_large
from holdfast.protocol.codec import check_value, decode, encode

OutcomeCallback = Callable[[dict[str, Any] | HoldfastError], None]


class Pending:
    """One operation: its message as sent, who wants the answer, and whether it outlives the connection."""

    __slots__ = ("message", "on_outcome", "resend")

    def __init__(self, message: bytes, on_outcome: OutcomeCallback, resend: bool) -> None:
        self.message = message
        self.on_outcome = on_outcome
        self.resend = resend


class PendingOperations:
    """Keeps operations until they are answered. Ids count up and are never used twice by a client."""

    def __init__(self) -> None:
        self._by_id: dict[int, Pending] = {}
        self._next = 1

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, op: wire.Op, on_outcome: OutcomeCallback, resend: bool) -> Pending:
        """Give the operation its id and keep it; it is encoded once.

        Raises:
            Refused: ``input.…``: the server could not read it, and so could not say whose answer its refusal is.
        """
        op.id, self._next = self._next, self._next + 1
        message = _encode(op)
        pending = self._by_id[op.id] = Pending(message, on_outcome, resend)
        return pending

    def remove(self, ident: int) -> None:
        """Nobody waits for this answer any more."""
        self._by_id.pop(ident, None)

    def resolve(self, ident: int, outcome: dict[str, Any] | HoldfastError) -> None:
        """The answer came; one that nobody waits for is dropped."""
        pending = self._by_id.pop(ident, None)
        if pending is not None:
            pending.on_outcome(outcome)

    def to_resend(self) -> list[Pending]:
        """What was asked for and not answered on an earlier connection, in order."""
        return [pending for pending in self._by_id.values() if pending.resend]

    def connection_lost(self, error: HoldfastError) -> None:
        """Fail what meant something to the lost connection only."""
        failed = {ident: pending for ident, pending in self._by_id.items() if not pending.resend}
        for ident, pending in failed.items():
            del self._by_id[ident]
            pending.on_outcome(error)

    def fail_all(self, error: HoldfastError) -> None:
        """The connection will not come back."""
        failed, self._by_id = self._by_id, {}
        for pending in failed.values():
            pending.on_outcome(error)


def _encode(op: wire.Op) -> bytes:
    """The operation as one message that the server can decode; a producer's appends were checked event by event."""
    name = type(op).__name__.lower()
    is_producer_append = isinstance(op, wire.Append) and op.producer is not None
    if not is_producer_append:
        check_value(msgspec.structs.astuple(op), name, max_depth=limits.MESSAGE_DEPTH)
    try:
        message = encode(op)
    except (TypeError, ValueError) as error:
        raise Refused("input.malformed", f"{name}: not JSON: {error}") from None
    except OverflowError:
        raise Refused("input.number_range", f"{name}: an integer is beyond ±(2^53-1)") from None
    if len(message) > limits.MESSAGE_BYTES:
        raise too_large(name, limits.MESSAGE_BYTES, "bytes")
    if not is_producer_append:
        decode(message, wire.DECODER, name)
    return message
