"""The AI SDK's UI message stream (ai-sdk.dev/docs/ai-sdk-ui/stream-protocol), over HTTP and over its WebSocket."""

from __future__ import annotations

from typing import Any, Final

from holdfast.audit.recipe import Recipe, RecipeCall, Rule

_MESSAGES: Final[list[Any]] = [{"id": "{message}", "role": "user", "parts": [{"type": "text", "text": "{prompt}"}]}]


def _read(at: str) -> list[Rule]:
    """The parts of a UI message stream, which stand at ``at`` in a message."""
    kind = f"{at}type"
    return [
        Rule(when={kind: "start"}, begin=True),
        Rule(when={kind: "text-delta"}, text=f"{at}delta"),
        Rule(when={kind: "tool-approval-request"}, approval=f"{at}approvalId"),
        Rule(when={kind: "finish"}, end="complete"),
        Rule(when={kind: "abort"}, end="stopped"),
        Rule(when={kind: "error"}, end="error"),
        Rule(when={kind: True}),
    ]


RECIPE: Final = Recipe(
    name="ai-sdk",
    about="AI SDK UI message stream: POST, and GET …/{chat}/stream to resume, which begins again",
    framework="ai-sdk",
    ask=[RecipeCall(body={"id": "{chat}", "messages": _MESSAGES, "trigger": "submit-message"})],
    resume=RecipeCall(method="GET", path="{base}/{chat}/stream", gives="all"),
    join=RecipeCall(method="GET", path="{base}/{chat}/stream"),
    read=[*_read(""), Rule(when={"$data": "[DONE]"})],
)
WEBSOCKET: Final = Recipe(
    name="ai-sdk-websocket",
    about="AI SDK 7 WebSocketChatTransport: send, resume and abort as messages",
    framework="ai-sdk",
    transport="websocket",
    ask=[
        RecipeCall(
            send=[
                {
                    "type": "send", "requestId": "{message}", "id": "{chat}", "messages": _MESSAGES,
                    "trigger": "submit-message", "messageId": None,
                }
            ]
        )
    ],
    resume=RecipeCall(send=[{"type": "resume", "requestId": "{message}", "id": "{chat}"}]),
    join=RecipeCall(send=[{"type": "resume", "requestId": "{message}", "id": "{chat}"}]),
    stop=RecipeCall(send=[{"type": "abort", "requestId": "{request}"}]),
    read=[
        Rule(when={"type": "chunk"}, capture={"request": "requestId"}),
        *_read("chunk."),
        Rule(when={"type": "end"}, end="complete"),
        Rule(when={"type": ["no-active", "error"]}, end="error"),
        Rule(when={"type": True}),
    ],
)  # fmt: skip
