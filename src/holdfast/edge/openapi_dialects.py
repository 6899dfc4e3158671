"""The routes of the dialects in the API's description.

Their bodies are of other people's protocols, which say what may be in them; named here is what must be, what comes back,
and in which shape a refusal is told. docs/reference has a page for each dialect.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from holdfast.edge.response_schemas import ANY, COUNT, FLAG, MAYBE, TEXT, Schema, listed, record

JSON: Final = "application/json"
STREAM: Final = "text/event-stream"

OURS: Final[tuple[str, Schema]] = (JSON, {"$ref": "#/components/schemas/Error"})
WORDS: Final[tuple[str, Schema]] = ("text/plain", TEXT)
"""The AI SDK makes the body of a refusal the message of its error."""
OPENAI: Final[tuple[str, Schema]] = (JSON, record(error=record(message=TEXT, type=TEXT, param=MAYBE, code=TEXT)))


class Foreign(NamedTuple):
    """One route.

    Attributes:
        needs: the verbs.
        body: what a request must have; None when it has none.
        contents: what comes back, by media type.
        refused: the media type and the shape of a refusal.
        nothing: when the answer is 204, and has no content.
    """

    method: str
    path: str
    summary: str
    needs: str
    body: Schema | None
    contents: dict[str, Schema]
    refused: tuple[str, Schema]
    query: tuple[str, ...] = ()
    nothing: str = ""


_RESPONSE: Final = record(id=TEXT, object=TEXT, status=TEXT, model=TEXT, output=listed(ANY), created_at=COUNT)
_ASKED: Final = record({"stream": FLAG, "background": FLAG, "previous_response_id": MAYBE}, model=TEXT, input={})
_LISTED: Final = record(object=TEXT, data=listed(ANY), has_more=FLAG, first_id=MAYBE, last_id=MAYBE)
_GIVEN: Final = record({"resume": listed(ANY), "tools": listed(ANY)}, threadId=TEXT, runId=TEXT, messages=listed(ANY))
_STOPPING: Final = record({"runId": MAYBE, "force": FLAG})
_CHAT: Final = record({"trigger": TEXT, "messageId": MAYBE}, id=TEXT, messages=listed(ANY))

_R: Final = "/v1/responses"
_G: Final = "/v1/ag-ui/agent/{agent}"
_A: Final = "/v1/ai-sdk/{version}/{agent}"

TABLE: Final = (
    Foreign("POST", _R, "OpenAI Responses: say something, and get the response or its stream", "append, read", _ASKED,
            {JSON: _RESPONSE, STREAM: {}}, OPENAI),
    Foreign("GET", f"{_R}/{{response}}", "OpenAI Responses: a response as it stands, or its events after a position", "read",
            None, {JSON: _RESPONSE, STREAM: {}}, OPENAI, ("stream", "starting_after")),
    Foreign("DELETE", f"{_R}/{{response}}", "OpenAI Responses: erase a response that has a session to itself", "admin", None,
            {JSON: record(id=TEXT, object=TEXT, deleted=FLAG)}, OPENAI),
    Foreign("POST", f"{_R}/{{response}}/cancel", "OpenAI Responses: stop a response", "control, read", None,
            {JSON: _RESPONSE}, OPENAI),
    Foreign("GET", f"{_R}/{{response}}/input_items", "OpenAI Responses: what a response answers", "read", None,
            {JSON: _LISTED}, OPENAI, ("limit", "after", "order")),
    Foreign("POST", f"{_G}/run", "AG-UI: do what the input asks for, and stream the run", "append, read", _GIVEN,
            {STREAM: {}}, OURS, ("version",)),
    Foreign("POST", f"{_G}/connect", "AG-UI: join what runs in the thread", "read", _GIVEN, {STREAM: {}}, OURS,
            ("version",)),
    Foreign("POST", f"{_G}/stop/{{thread}}", "AG-UI: stop the agent's runs in a thread", "control, read", _STOPPING,
            {JSON: record(stopped=FLAG, runs=listed(TEXT))}, OURS),
    Foreign("POST", _A, "AI SDK: append the last message, and stream the answer", "append, read", _CHAT, {STREAM: {}},
            WORDS),
    Foreign("GET", f"{_A}/{{chat}}", "AI SDK: the conversation as UI messages", "read", None, {JSON: listed(ANY)}, OURS),
    Foreign("GET", f"{_A}/{{chat}}/stream", "AI SDK: the answer that is being given, from its beginning", "read", None,
            {STREAM: {}}, WORDS, (), "No answer is being given"),
    Foreign("DELETE", f"{_A}/{{chat}}/stream", "AI SDK: stop the answer that is being given", "control, read", None,
            {JSON: record(runs=listed(TEXT))}, OURS),
)  # fmt: skip
