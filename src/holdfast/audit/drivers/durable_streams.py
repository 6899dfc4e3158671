"""Durable Streams (durable-streams, PROTOCOL.md): a chat is a stream of JSON events that is appended to and followed.

The protocol says nothing of what stands in a stream. This recipe takes one JSON object an event, with ``type`` (``user``,
``delta``, ``end``), ``id`` and ``text``; change ``read`` for others. It knows no stop and no steer either.
"""

from __future__ import annotations

from typing import Final

from holdfast.audit.recipe import Recipe, RecipeCall, Rule

_FOLLOW: Final = "{base}/{chat}?live=sse&offset="
_READ: Final = [
    Rule(each="$", where={"type": "user"}, user="text", id="id"),
    Rule(each="$", where={"type": "delta"}, text="text", id="id"),
    Rule(each="$", where={"type": "end"}, end="complete", id="id"),
]

RECIPE: Final = Recipe(
    name="durable-streams",
    about="Durable Streams: PUT creates a chat's stream, POST says something, GET follows it from an offset",
    framework="node",
    listens=True,
    ask=[
        RecipeCall(method="PUT", path="{base}/{chat}", headers={"content-type": "application/json"}, once=True),
        RecipeCall(path="{base}/{chat}", body={"type": "user", "id": "{message}", "text": "{prompt}"}),
    ],
    resume=RecipeCall(method="GET", path=_FOLLOW + "{cursor}", gives="rest"),
    join=RecipeCall(method="GET", path=_FOLLOW + "-1"),
    history=RecipeCall(method="GET", path="{base}/{chat}?offset=-1"),
    read=[Rule(when={"$event": "control"}, cursor="streamNextOffset"), *_READ],
    read_history=_READ,
)
