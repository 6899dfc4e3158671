"""Agno's AgentOS (docs.agno.com, "AgentOS API"): runs of an agent in a session, in the foreground and in the background.

Requests are forms. Every event names its run; a client that knows only the session finds the runs in the session's list.
"""

from __future__ import annotations

from typing import Final

from msgspec import structs

from holdfast.audit.recipe import Recipe, RecipeCall, Rule

_RUNS: Final = "{base}/agents/{agent}/runs"
_ASK: Final = {"message": "{prompt}", "session_id": "{chat}", "user_id": "{user}", "stream": "true"}
_LIST: Final = _RUNS + "?session_id={chat}"

RECIPE: Final = Recipe(
    name="agno",
    about="Agno's AgentOS, a run that lasts as long as its request; the target is the server, --agent the agent",
    framework="python",
    ask=[RecipeCall(path=_RUNS, form=_ASK)],
    find=[RecipeCall(method="GET", path=_LIST, capture={"run": "-1.run_id"})],
    resume=RecipeCall(
        path=_RUNS + "/{run}/resume", form={"last_event_index": "{cursor}", "session_id": "{chat}"}, gives="rest"
    ),
    join=RecipeCall(path=_RUNS + "/{run}/resume", form={"session_id": "{chat}"}),
    history=RecipeCall(method="GET", path=_LIST),
    stop=RecipeCall(path=_RUNS + "/{run}/cancel"),
    read=[
        Rule(when={"event": "RunStarted"}, begin=True, id="run_id", capture={"run": "run_id"}),
        Rule(when={"event_index": True}, cursor="event_index"),
        Rule(when={"event": "RunContent"}, text="content", id="run_id"),
        Rule(when={"event": "RunCompleted"}, end="complete", id="run_id"),
        Rule(when={"event": "RunCancelled"}, end="stopped", id="run_id"),
        Rule(when={"event": "RunError"}, end="error", id="run_id"),
        Rule(when={"event": True}),
    ],
    read_history=[
        Rule(each="$", user="run_input", whole="content", id="run_id"),
        Rule(each="$", where={"status": "COMPLETED"}, end="complete", id="run_id"),
        Rule(each="$", where={"status": ["CANCELLED", "PAUSED"]}, end="stopped", id="run_id"),
        Rule(each="$", where={"status": "ERROR"}, end="error", id="run_id"),
    ],
)
BACKGROUND: Final = structs.replace(
    RECIPE,
    name="agno-background",
    about="Agno's AgentOS, a run in the background that is followed again by its id and an event's number",
    ask=[RecipeCall(path=_RUNS, form={**_ASK, "background": "true"})],
)
