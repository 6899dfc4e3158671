"""``GET /v1/models``: the models and agents that a key may ask, and one of them, as either family of clients reads it."""

from __future__ import annotations

import fnmatch
from typing import Any

from holdfast.errors import Refused
from holdfast.gateway.agent_models import AGENT
from holdfast.gateway.port import Caller
from holdfast.gateway.settings import Shape
from holdfast.gateway.upstreams import Upstreams
from holdfast.providers.encoder import dumps


def may_ask(caller: Caller, model: str) -> bool:
    """Whether a key may ask for a model."""
    return any(pattern in ("*", model) or fnmatch.fnmatchcase(model, pattern) for pattern in caller.models)


def listing(upstreams: Upstreams, caller: Caller, shape: Shape) -> bytes:
    """The list, in the shape of a family: what upstreams name without a pattern, and the key's agents."""
    names = {
        name: state.upstream.catalogue
        for state in upstreams.states
        for name in state.upstream.listed
        if may_ask(caller, name)
    }
    names |= {f"{AGENT}{agent}": "holdfast" for agent in sorted(caller.agents - {"*"})}
    rows = [_row(name, names[name], shape) for name in sorted(names)]
    if shape == "anthropic":
        first, last = (rows[0]["id"], rows[-1]["id"]) if rows else (None, None)
        return dumps({"data": rows, "has_more": False, "first_id": first, "last_id": last})
    return dumps({"object": "list", "data": rows})


def entry(upstreams: Upstreams, caller: Caller, shape: Shape, name: str) -> bytes:
    """One model or agent that the key may ask, also one that an upstream serves by a pattern.

    Raises:
        Refused: ``model.unknown``.
    """
    if name.startswith(AGENT):
        agent = name.removeprefix(AGENT)
        owner = "holdfast" if agent and (agent in caller.agents or "*" in caller.agents) else ""
    else:
        serving = (s.upstream.catalogue for s in upstreams.states if s.upstream.serves(name) is not None)
        owner = next(serving, "") if may_ask(caller, name) else ""
    if not owner:
        raise Refused("model.unknown", f"the key may ask no model {name!r:.200}")
    return dumps(_row(name, owner, shape))


def _row(name: str, owner: str, shape: Shape) -> dict[str, Any]:
    if shape == "anthropic":
        return {"type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z"}
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}
