"""What a probe is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from holdfast.audit.finding import Capability
from holdfast.audit.lab import ProbeResult, Trial

Work = Callable[[Trial], Awaitable[ProbeResult]]


@dataclass(frozen=True)
class Probe:
    """One question to an endpoint.

    Attributes:
        id: stable name, ``capability.what``. did, expected: in words, for people.
        after: probes whose failure explains a failure of this one: then it is not held against the endpoint twice.
        alone: not while others run, because it measures.
    """

    id: str
    capability: Capability
    title: str
    did: str
    expected: str
    work: Work = field(repr=False)
    after: tuple[str, ...] = ()
    alone: bool = False
