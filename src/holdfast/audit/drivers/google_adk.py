"""Google's Agent Development Kit, its API server (google.github.io/adk-docs, "Use the API Server"): ``/run_sse``.

Pieces are ``partial``; the event that holds the whole text is the last of an answer. A client that comes later reads the
session's events, in which an answer that was broken off has an ``errorCode``.
"""

from __future__ import annotations

from typing import Any, Final

from holdfast.audit.recipe import Recipe, RecipeCall, Rule

_SESSION: Final = "{base}/apps/{agent}/users/{user}/sessions/{chat}"
_RUN: Final[dict[str, Any]] = {
    "appName": "{agent}", "userId": "{user}", "sessionId": "{chat}", "streaming": True,
    "newMessage": {"role": "user", "parts": [{"text": "{prompt}"}]},
}  # fmt: skip
_ABORTED: Final = "INVOCATION_ABORTED"

RECIPE: Final = Recipe(
    name="google-adk",
    about="Google ADK's API server: /run_sse and the session's events; the target is the server, --agent the app",
    framework="python",
    ask=[RecipeCall(path=_SESSION, body={}, once=True), RecipeCall(path="{base}/run_sse", body=_RUN)],
    history=RecipeCall(method="GET", path=_SESSION),
    read=[
        Rule(when={"partial": True}, text="content.parts", id="invocationId"),
        Rule(
            when={"partial": False, "errorCode": False, "content.parts.0.text": True},
            whole="content.parts", end="complete", id="invocationId",
        ),
        Rule(when={"errorCode": _ABORTED}, end="stopped", id="invocationId"),
        Rule(when={"error": True}, end="error"),
        Rule(when={"invocationId": True}),
    ],
    read_history=[
        Rule(each="events", where={"author": "user"}, user="content.parts", id="id"),
        Rule(
            each="events", where={"content.role": "model", "content.parts.0.text": True},
            whole="content.parts", end="complete", id="invocationId",
        ),
        Rule(each="events", where={"errorCode": _ABORTED}, end="stopped", id="invocationId"),
    ],
)  # fmt: skip
