"""How each wire's clients hear what the gateway refuses, or cannot do: their own classes of errors, one code.

Measured with the official clients: 402 is never retried; 429 and 5xx are, unless ``x-should-retry`` says no.
"""

from __future__ import annotations

import math
from typing import Any, Final

from holdfast.errors import HoldfastError
from holdfast.gateway.wires import MESSAGES, GatewayWire
from holdfast.providers.encoder import dumps
from holdfast.providers.pieces import AnswerFailure

_ANTHROPIC: Final = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 503: "overloaded_error",
    504: "timeout_error",
}  # fmt: skip
_OPENAI: Final = {
    400: "invalid_request_error", 401: "authentication_error", 402: "insufficient_quota", 403: "permission_error",
    404: "not_found_error", 413: "invalid_request_error", 429: "rate_limit_error",
}  # fmt: skip


_BUDGET: Final = frozenset({"budget.exceeded", "budget.reopens", "budget.spent"})
"""The codes for which the wires of providers have one word, which clients may know; which one it was, the status says."""


def code_of(error: HoldfastError) -> str:
    """The code of an error as the wires of providers have it."""
    return "budget_exceeded" if error.code in _BUDGET else error.code


def kind_of(wire: GatewayWire | None, error: HoldfastError) -> str:
    """The class of errors a wire has for an error."""
    return "budget_exceeded" if error.code in _BUDGET and wire is not MESSAGES else kind(wire, error.row.status)


def kind(wire: GatewayWire | None, status: int) -> str:
    """The class of errors a wire has for a status."""
    if wire is MESSAGES:
        return _ANTHROPIC.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return _OPENAI.get(status, "server_error" if status >= 500 else "invalid_request_error")


def body(wire: GatewayWire | None, error: HoldfastError, request_id: str) -> bytes:
    """The error as an answer of its wire."""
    code = code_of(error)
    fields: dict[str, Any] = {"type": kind_of(wire, error), "message": error.text}
    if wire is MESSAGES:
        return dumps({"type": "error", "error": {**fields, "details": {"error_code": code}}, "request_id": request_id})
    return dumps({"error": {**fields, "param": None, "code": code}})


def headers(error: HoldfastError) -> list[tuple[bytes, bytes]]:
    """Whether and when to come again."""
    if not error.row.retry:
        return [(b"x-should-retry", b"false")]
    wait = error.fields.get("retry_after_s", 1)
    return [(b"retry-after", str(max(1, math.ceil(wait))).encode())]


def failure(wire: GatewayWire, error: HoldfastError) -> AnswerFailure:
    """The error in the middle of a stream."""
    return AnswerFailure(code_of(error), kind_of(wire, error), error.text)
