"""The gateway beside a session server, on one port: which requests are whose."""

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


def calls_a_model(scope: Scope) -> bool:
    """Whether a request for a response is to a model: what it sends is a key. With an access token of the server it is to
    an agent, whose responses the server has itself."""
    headers = dict(scope["headers"])
    sent = next((headers[name] for name in _CREDENTIALS if headers.get(name)), b"")
    token = sent[7:].strip() if sent[:7].lower() == b"bearer " else sent
    return not (token.startswith(b"eyJ") and token.count(b".") == 2)
