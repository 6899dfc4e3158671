"""LangGraph's server (``langgraph dev`` and the platform: its API reference, "Thread Runs"), with runs that are resumable.

What ``values`` sends is the whole conversation each time, and ``messages-tuple`` the tokens in between. No event says
that a run has ended: the stream closes. A client that knows only the thread finds its newest run in the thread's list.
"""

from __future__ import annotations

from typing import Any, Final

from holdfast.audit.recipe import Recipe, RecipeCall, Rule

_RUN: Final[dict[str, Any]] = {
    "assistant_id": "{agent}",
    "input": {"messages": [{"role": "user", "content": "{prompt}"}]},
    "stream_mode": ["values", "messages-tuple"],
    "stream_resumable": True,
    "on_disconnect": "continue",
}
_STREAM: Final = "{base}/threads/{chat}/runs/{run}/stream"

RECIPE: Final = Recipe(
    name="langgraph",
    about="LangGraph's server, resumable runs in threads; the target is the server, --agent the assistant",
    framework="langgraph",
    ask=[
        RecipeCall(path="{base}/threads", body={"thread_id": "{chat}", "if_exists": "do_nothing"}, once=True),
        RecipeCall(path="{base}/threads/{chat}/runs/stream", body=_RUN),
    ],
    find=[RecipeCall(method="GET", path="{base}/threads/{chat}/runs?limit=1", capture={"run": "0.run_id"})],
    resume=RecipeCall(method="GET", path=_STREAM, headers={"last-event-id": "{cursor}"}, gives="rest"),
    join=RecipeCall(method="GET", path=_STREAM, headers={"last-event-id": "-1"}),
    history=RecipeCall(method="GET", path="{base}/threads/{chat}/state"),
    stop=RecipeCall(path="{base}/threads/{chat}/runs/{run}/cancel?action=interrupt"),
    read=[
        Rule(when={"$event": "metadata"}, capture={"run": "run_id"}),
        Rule(when={"$event": "messages", "0.type": ["AIMessageChunk", "ai"]}, text="0.content", id="0.id"),
        Rule(when={"$event": "values"}, each="messages", where={"type": "human"}, user="content", id="id"),
        Rule(when={"$event": "values"}, each="messages", where={"type": "ai"}, whole="content", id="id"),
        Rule(when={"$event": "error"}, end="error"),
        Rule(when={"$event": True}),
    ],
    read_history=[
        Rule(each="values.messages", where={"type": "human"}, user="content", id="id"),
        Rule(each="values.messages", where={"type": "ai"}, whole="content", id="id"),
    ],
)
