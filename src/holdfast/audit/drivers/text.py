"""Plain text over chunked HTTP, as a bare ``StreamingResponse`` sends it."""

from __future__ import annotations

from typing import Final

from holdfast.audit.recipe import Recipe, RecipeCall

RECIPE: Final = Recipe(
    name="text",
    about='plain text, streamed: POST {"message": …}',
    shape="text",
    ask=[RecipeCall(body={"message": "{prompt}"})],
)
GET: Final = Recipe(
    name="text-get",
    about="plain text, streamed: GET",
    shape="text",
    ask=[RecipeCall(method="GET")],
)
