"""What the readers of all wires have in common: events, or a whole body, to what was billed."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from holdfast.protocol import limits
from holdfast.providers.billing.counting import Fields, Split, joined, note
from holdfast.providers.billing.model import AttemptKind, BilledAttempt
from holdfast.providers.events import speaks_of
from holdfast.providers.fields import word


class UsageReader:
    """Reads the usage of one answer.

    Args:
        provider: whose wire it is, where that changes what counts mean: ``xai``.

    Attributes:
        model: that serves, once it is known.
        odd: what is odd about the stream as a whole.
    """

    markers: ClassVar[tuple[bytes, ...]]
    """One of them is in every event that says something of usage."""
    model_marker: ClassVar[bytes] = b'"model"'
    """In every event that names the model; looked for until it is known."""
    wrapped: ClassVar[bool] = False
    """Whether events stand in others, so that markers can be looked for only after ``unwrap``."""

    def __init__(self, provider: str = "") -> None:
        self.model = ""
        self.odd: list[str] = []
        self._provider = provider
        self._ended = False

    def wants(self, block: bytes) -> bool:
        """Whether events may say something that is read."""
        return speaks_of(block, self.markers) or (not self.model and self.model_marker in block)

    def unwrap(self, payload: bytes) -> bytes:
        """The event in a message; the same where nothing is wrapped. Empty where there is none."""
        return payload

    def read(self, event: Fields) -> None:
        """Take what an event, or a whole body, says."""
        raise NotImplementedError

    def read_headers(self, headers: dict[str, str]) -> None:
        """Take what the headers of the answer say; names in lower case."""

    def end(self) -> None:
        """The wire's own end came, or the body is whole."""
        self._ended = True

    def attempts(self) -> tuple[BilledAttempt, ...]:
        """What is known to be billed so far."""
        raise NotImplementedError

    def _name(self, model: Any, *, serving: bool = False) -> None:
        """Remember the model; ``serving``: this is the newer word."""
        if isinstance(model, str) and model and (serving or not self.model):
            self.model = model[: limits.NAME_CHARS]

    def _attempt(
        self, usage: Fields, split: Split, *, final: bool, kind: AttemptKind = "message", model: str = "",
        tier: str = "", region: str = "", speed: str = "",
    ) -> BilledAttempt:  # fmt: skip
        """One attempt, of what one usage object counts."""
        reported = bool(split.counts)
        odd = [*self.odd, *split.odd]
        if reported:
            if split.total_input is None:
                note(odd, "no input was reported")
            if split.total_output is None and final and not split.one_sided and kind != "embedding":
                note(odd, "no output was reported")
        if usage and len(msgspec.json.encode(usage)) > limits.PROVIDER_USAGE_BYTES:
            note(odd, "the provider's own words are too long")
            usage = {}
        return BilledAttempt(
            kind=kind, model=(model or self.model)[: limits.NAME_CHARS], counts=split.counts,
            tier=tier[: limits.NAME_CHARS], region=region[: limits.NAME_CHARS], speed=speed[: limits.NAME_CHARS],
            reported=reported, odd=joined(odd), raw=usage, final=final and reported,
            provider_input=split.total_input, provider_output=split.total_output,
        )  # fmt: skip


def objects(value: Any) -> list[Fields]:
    """The objects in a list; empty where there is none."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def name_of(fields: Fields, *names: str) -> str:
    """The first text under these names."""
    return next((text for name in names if (text := word(fields, name))), "")
