"""Etiquette: what the audit may cost the endpoint, which hosts it may speak to, and what it must not repeat."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from holdfast.errors import Refused

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
HIDDEN: Final = "[redacted]"

_SECRET: Final = re.compile(
    r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}|\b(?:sk|pk|ghp|xox[bap])[-_][\w-]{8,}|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"
)
_SECRET_FIELD: Final = re.compile(
    r"""(?i)(["']?(?:authorization|cookie|set-cookie|x-api-key|api[-_]?key|secret|password)["']?\s*[:=]\s*)"""
    r"""("[^"]*"|'[^']*'|[^\s,;&}]+)"""
)
_TOKEN_FIELD: Final = re.compile(
    r"""(?i)(["']?\b(?:access_|id_|refresh_)?token["']?\s*[:=]\s*)("[^"\s]{8,}"|'[^'\s]{8,}'|[^\s,;&}"']{8,})"""
)
"""Shorter ones, and those with spaces, are the tokens of models: words of an answer."""

_UNSEEN: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What a terminal would obey, or a reader not see: escapes, other control characters, changes of direction."""


class OutOfBudget(Exception):
    """The audit has used up what it may use; what is left is not tried."""


@dataclass
class ProbeBudget:
    """What one audit may use.

    Attributes:
        requests: connections in all. total_s: seconds in all. answer_s: how long one answer may take.
        first_s: how long until its first byte. stream_bytes: the most one stream may send before it is a flood.
        ask_above: more than so many requests need a yes. ask: asks the person; None never says yes.
    """

    requests: int = 400
    total_s: float = 900.0
    answer_s: float = 60.0
    first_s: float = 15.0
    stream_bytes: int = 8 * 1024 * 1024
    ask_above: int = 200
    ask: Callable[[int], bool] | None = None
    used: int = 0
    began_s: float = field(default_factory=time.monotonic)
    _allowed: bool = False

    def spend(self) -> None:
        """One more request.

        Raises:
            OutOfBudget: there is no request, or no time, left.
        """
        if self.used >= self.requests:
            raise OutOfBudget(f"the budget of {self.requests} requests is used up")
        if self.left_s() <= 0:
            raise OutOfBudget(f"the budget of {self.total_s:g} s is used up")
        if self.used >= self.ask_above and not self._allowed:
            if self.ask is None or not self.ask(self.used):
                raise OutOfBudget(f"nobody allowed more than {self.ask_above} requests")
            self._allowed = True
        self.used += 1

    def left_s(self) -> float:
        """Seconds left in all."""
        return max(0.0, self.began_s + self.total_s - time.monotonic())

    def within(self, seconds: float) -> float:
        """At most ``seconds``, and no more than is left."""
        return min(seconds, self.left_s())


def host_of(url: str) -> str:
    """The host an address names, in lower case."""
    return (urlsplit(url).hostname or "").lower()


def check_host(url: str, allowed: frozenset[str]) -> None:
    """Only hosts that the person named.

    Raises:
        Refused: ``config.invalid``.
    """
    if host_of(url) not in allowed:
        raise Refused("config.invalid", f"{host_of(url) or url!r:.80}: the audit speaks only to hosts that were named")


class Redactor:
    """Takes secrets out of what is reported: those it was made with, and whatever looks like one.

    What an endpoint sent is also made harmless to show: control characters are written out.
    """

    def __init__(self, *secrets: str) -> None:
        self._secrets = sorted({s for s in secrets if len(s) >= 4}, key=len, reverse=True)

    def text(self, text: str) -> str:
        """The text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        text = _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
        text = _SECRET_FIELD.sub(rf"\1{HIDDEN}", _SECRET.sub(HIDDEN, text))
        return _TOKEN_FIELD.sub(rf"\1{HIDDEN}", text)

    def value(self, value: Any) -> Any:
        """The same for anything JSON can hold."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.value(inner) for key, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(inner) for inner in value]
        return value
