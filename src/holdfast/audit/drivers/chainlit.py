"""Chainlit (docs.chainlit.io): Socket.IO; events as its own front end sends and reads them."""

from __future__ import annotations

from typing import Final

from holdfast.audit.recipe import Recipe, RecipeCall, Rule

RECIPE: Final = Recipe(
    name="chainlit",
    about="Chainlit over Socket.IO; a session lives in the server's memory and is found again by its id",
    framework="chainlit",
    transport="socketio",
    path="/ws/socket.io/",
    connect=[
        {"clientType": "webapp", "sessionId": "{chat}", "threadId": "", "userEnv": "{}", "chatProfile": ""},
        ["connection_successful"],
    ],
    ask=[
        RecipeCall(
            send=[
                [
                    "client_message",
                    {
                        "message": {
                            "threadId": "", "id": "{message}", "name": "user", "type": "user_message",
                            "output": "{prompt}", "createdAt": "2026-01-01T00:00:00.000Z",
                        },
                        "fileReferences": [],
                    },
                ]
            ]
        )
    ],
    resume=RecipeCall(gives="rest"),
    join=RecipeCall(),
    stop=RecipeCall(send=[["stop"]]),
    read=[
        Rule(when={"event": "new_message", "data.type": "user_message"}, user="data.output", id="data.id"),
        Rule(when={"event": "new_message", "data.type": "assistant_message"}, whole="data.output", id="data.id"),
        Rule(when={"event": "update_message", "data.type": "assistant_message"}, whole="data.output", id="data.id"),
        Rule(when={"event": "stream_start"}, whole="data.output", id="data.id"),
        Rule(when={"event": "stream_token"}, text="data.token", id="data.id"),
        Rule(when={"event": "task_end"}, end="complete"),
        Rule(when={"event": True}),
    ],
)  # fmt: skip
