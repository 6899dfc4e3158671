"""``GET /v1/models``: the models and agents that a key may ask, as either family of clients reads it."""

from __future__ import annotations

import fnmatch

from holdfast.gateway.agent_models import AGENT
from holdfast.gateway.port import Caller
from holdfast.gateway.settings import Shape
from holdfast.gateway.upstreams import Upstreams
from holdfast.providers.encoder import dumps


def may_ask(caller: Caller, model: str) -> bool:
    """Whether a key may ask for a model."""
    return any(pattern in ("*", model) or fnmatch.fnmatchcase(model, pattern) for pattern in caller.models)


def listing(upstreams: Upstreams, caller: Caller, shape: Shape) -> bytes:
    """The list, in the shape of a family."""
    names = {
        name: state.upstream.catalogue
        for state in upstreams.states
        for name in state.upstream.listed
        if may_ask(caller, name)
    }
    names |= {f"{AGENT}{agent}": "holdfast" for agent in sorted(caller.agents - {"*"})}
    if shape == "anthropic":
        rows = [
            {"type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z"}
            for name in sorted(names)
        ]
        return dumps({
            "data": rows, "has_more": False, "first_id": rows[0]["id"] if rows else None,
            "last_id": rows[-1]["id"] if rows else None,
        })  # fmt: skip
    data = [{"id": name, "object": "model", "created": 0, "owned_by": names[name]} for name in sorted(names)]
    return dumps({"object": "list", "data": data})
