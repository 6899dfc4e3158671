"""What somebody is told of a budget. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.governance.messages.model import Delivery


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One alert. There is one of a kind for an account and a window.

    Attributes:
        id: says all four.
        kind: ``threshold:80``, ``burn``, ``anomaly``, ``request:ID`` (somebody asks for more).
        bucket_ms: when the window began, of an anomaly the day, of a request when it was made.
        facts: figures that the text is made from; amounts are nano-USD.
        sent: what became of it, by way (``webhook``, ``mail``); empty where no way is set up.
    """

    id: str
    tenant: str
    budget: str
    subject: str
    kind: str
    bucket_ms: int
    at_ms: int
    facts: dict[str, Any]
    text: str
    sent: dict[str, Delivery] = {}
