"""OpenAI Responses (platform.openai.com/docs/api-reference/responses-streaming), in the background and not.

In background mode a response can be followed again from a ``sequence_number`` and cancelled by its id.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import structs

from holdfast.audit.recipe import Recipe, RecipeCall, Rule

_BODY: Final[dict[str, Any]] = {"model": "{model}", "stream": True, "input": "{prompt}"}

RECIPE: Final = Recipe(
    name="openai-responses",
    about="OpenAI Responses, streamed while the request lasts",
    framework="openai-responses",
    ask=[RecipeCall(body=_BODY)],
    read=[
        Rule(when={"sequence_number": True}, cursor="sequence_number"),
        Rule(when={"type": "response.created"}, capture={"run": "response.id"}),
        Rule(when={"type": "response.output_text.delta"}, text="delta", id="item_id"),
        Rule(when={"type": "response.completed"}, end="complete"),
        Rule(when={"type": ["response.incomplete", "response.cancelled"]}, end="stopped"),
        Rule(when={"type": ["response.failed", "error"]}, end="error"),
        Rule(when={"type": True}),
    ],
)
BACKGROUND: Final = structs.replace(
    RECIPE,
    name="openai-responses-background",
    about="OpenAI Responses in background mode: followed again by id and sequence number, cancelled by id",
    ask=[RecipeCall(body={**_BODY, "background": True, "store": True})],
    resume=RecipeCall(method="GET", path="{base}/{run}?stream=true&starting_after={cursor}", gives="rest"),
    join=RecipeCall(method="GET", path="{base}/{run}?stream=true"),
    shared=["run"],  # a response's id is the only address there is: an application hands it on
    history=RecipeCall(method="GET", path="{base}/{run}"),
    stop=RecipeCall(path="{base}/{run}/cancel"),
    read_history=[
        Rule(each="output", where={"type": "message"}, whole="content", id="id"),
        Rule(when={"status": "completed"}, end="complete"),
        Rule(when={"status": ["cancelled", "incomplete"]}, end="stopped"),
        Rule(when={"status": "failed"}, end="error"),
    ],
)
