"""One request answered with the library, in a thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import TimeoutError as NotInTime
from typing import Any

import msgspec
from scim2_models import PreconditionFailedException, SCIMException
from scim2_server.handler import ScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse

from holdfast.errors import Unavailable
from holdfast.governance import limits
from holdfast.governance.directory.scim.call import ScimAnswer, ScimCall
from holdfast.governance.directory.scim.protocol import service
from holdfast.governance.directory.scim.storage import DirectoryStorage, Work


def answer(
    call: ScimCall, read: Callable[[Work[Any]], Any], write: Callable[[Work[Any]], Any], now_ms: Callable[[], int]
) -> ScimAnswer:
    """What a request is answered.

    Args:
        read, write: do work on the store and wait for it.
        now_ms: the clock, Unix ms.

    Raises:
        Unavailable: of the store; ``timeout``.
    """
    protocol = service()
    storage = DirectoryStorage(protocol, call.tenant, read, write, now_ms)
    handler = ScimHandler(protocol, storage)
    request = ScimRequest(call.method, call.base_url, call.path, call.query, call.headers, call.body)
    try:
        response = _tried(handler, request)
    except SCIMException as error:
        response = protocol.error_response(error)
    except NotInTime:
        raise Unavailable("timeout", "the store did not answer in time") from None
    body = b"" if response.body is None else msgspec.json.encode(response.body)
    headers = {name: value for name, value in response.headers.items() if body or name != "Content-Type"}
    return ScimAnswer(int(response.status), headers, body)


def _tried(handler: ScimHandler, request: ScimRequest) -> ScimResponse:
    """A change that met another one is made on what that one left, unless the provider named the version it means."""
    for _ in range(limits.DIRECTORY_CHANGED_TIMES - 1):
        try:
            return handler.handle(request)
        except PreconditionFailedException:
            if request.header("if-match") or request.header("if-none-match"):
                raise
    return handler.handle(request)
