"""The gateway beside a session server, on one port: which requests are whose.

Paths of the gateway are its own, and those of providers that it refuses by name. Of what nobody serves below ``/v1``, it
answers whoever sends a key: in the words of callers, and not of the server.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from starlette.types import ASGIApp, Scope

from holdfast.edge.extensions.mount import ExtensionMount
from holdfast.gateway.wires import MODELS, RESPONSES, UNMETERED, WIRES

_CREDENTIALS: Final = (b"authorization", b"x-api-key", b"api-key")


def mounts(app: ASGIApp) -> Iterator[ExtensionMount]:
    """Every path of the gateway, and those that it refuses by name."""
    for path in (*WIRES, MODELS):
        yield ExtensionMount(path, app, wanted=calls_a_model if path == RESPONSES.path else None)
    for path in UNMETERED:
        if any(path.startswith(f"{other}/") for other in UNMETERED):
            continue  # it is below another one
        wanted = calls_a_model if f"{path}/".startswith(f"{RESPONSES.path}/") else None
        if path not in WIRES:
            yield ExtensionMount(path, app, wanted=wanted)
        yield ExtensionMount(f"{path}/{{rest:path}}", app, wanted=wanted)
    yield ExtensionMount("/v1/{rest:path}", app, wanted=sends_a_key, otherwise=True)


def calls_a_model(scope: Scope) -> bool:
    """Whether a request for a response is to a model: what it sends is a key. With an access token of the server it is to
    an agent, whose responses the server has itself."""
    return not _is_token(_sent(scope))


def sends_a_key(scope: Scope) -> bool:
    """Whether a request brings what only the gateway could take for a key."""
    sent = _sent(scope)
    return bool(sent) and not _is_token(sent)


def _is_token(sent: bytes) -> bool:
    return sent.startswith(b"eyJ") and sent.count(b".") == 2


def _sent(scope: Scope) -> bytes:
    headers: dict[bytes, bytes] = dict(scope["headers"])
    sent = next((headers[name] for name in _CREDENTIALS if headers.get(name)), b"")
    return sent[7:].strip() if sent[:7].lower() == b"bearer " else sent
