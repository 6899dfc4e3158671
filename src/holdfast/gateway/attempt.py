"""One attempt at an upstream: what comes of it as it comes, and what is put on record in the end."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.gateway.brake import StreamBrake
from holdfast.gateway.estimates import output_tokens
from holdfast.gateway.followed import FollowedStream, estimated
from holdfast.gateway.incoming import Incoming
from holdfast.gateway.port import BrakeNews, Hold, Opening, Outcome, Served
from holdfast.providers.billing.model import BilledAttempt
from holdfast.providers.billing.usage_meter import UsageMeter


class UpstreamAttempt:
    """One attempt.

    Attributes:
        sent: the request went out, so that the provider may bill it.
        first_ms: ms from when the call came to the first byte of content, what it waited for a slot and for other attempts
            included: so long somebody looked at nothing. None before it.
        reader: reads what the provider says it bills.
        followed: the stream, where there is one, as far as it was passed on.
        brake: of the stream, where its money is bounded.
    """

    def __init__(self, incoming: Incoming, opening: Opening, hold: Hold, news: Callable[[BrakeNews], None]) -> None:
        self.opening = opening
        self.reader = UsageMeter(incoming.wire.name, provider=opening.provider)
        self.followed = FollowedStream(incoming.wire) if incoming.wire.streams else None
        bounded = incoming.wire.streams and hold.granted is not None
        self.brake = StreamBrake(incoming.wire, hold, opening.id, news) if bounded else None
        self.first_ms: int | None = None
        self.sent = False
        self._input_bytes = incoming.text_bytes
        self._outcome: Outcome = "failed"
        self._reason = "server.internal"

    def end(self, outcome: Outcome, reason: str = "") -> None:
        """How it ended."""
        self._outcome, self._reason = outcome, reason

    def begin(self, now_ms: int) -> None:
        """The first byte of content has come."""
        if self.first_ms is None:
            self.first_ms = max(0, now_ms - self.opening.call.at_ms)

    def used(self, *, so_far: bool = False) -> BilledAttempt:
        """What was used, as far as anybody knows; ``so_far``: more of the stream may come."""
        seen = output_tokens(self.followed.text_bytes) if self.followed is not None else 0
        if self.brake is not None:  # which has seen what was not passed on, too
            seen = max(seen, self.brake.seen.likely)
        return estimated(self._input_bytes, seen, self.reader.so_far() if so_far else self.reader.end())

    def served(self, at_ms: int) -> Served:
        """For the record: what the provider says where its answer was whole, else what was seen."""
        facts = {"outcome": self._outcome, "reason": self._reason, "at_ms": at_ms, "first_ms": self.first_ms}
        if not self.sent or self._outcome == "refused":  # nothing was produced
            return Served(self.opening.id, **facts)  # type: ignore[arg-type]
        reported = self.reader.end()
        whole = self._outcome in ("served", "drained")
        if all(one.reported and (whole or one.final) for one in reported):
            return Served(self.opening.id, billed=reported, **facts)  # type: ignore[arg-type]
        return Served(self.opening.id, estimated=self.used(), **facts)  # type: ignore[arg-type]
