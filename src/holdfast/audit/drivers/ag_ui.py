"""AG-UI 1.0 (docs.ag-ui.com): one POST runs an agent and streams its events."""

from __future__ import annotations

from typing import Final

from holdfast.audit.recipe import Recipe, RecipeCall, Rule

RECIPE: Final = Recipe(
    name="ag-ui",
    about="AG-UI over server-sent events; the protocol knows neither resuming nor stopping",
    framework="ag-ui",
    ask=[
        RecipeCall(
            body={
                "threadId": "{chat}", "runId": "{message}", "state": {}, "tools": [], "context": [],
                "forwardedProps": {}, "messages": [{"id": "{message}", "role": "user", "content": "{prompt}"}],
            }
        )
    ],
    read=[
        Rule(when={"type": "RUN_STARTED"}, capture={"run": "runId"}),
        Rule(when={"type": "TEXT_MESSAGE_START", "role": "user"}, id="messageId"),
        Rule(when={"type": ["TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_CHUNK"]}, text="delta", id="messageId"),
        Rule(when={"type": ["SUBAGENT_STARTED", "SUBAGENT_EVENT"]}, agent="subagentId", by="name", id="subagentId"),
        Rule(when={"type": "RUN_FINISHED"}, end="complete"),
        Rule(when={"type": "RUN_ERROR"}, end="error"),
        Rule(when={"type": True}),
    ],
)  # fmt: skip
