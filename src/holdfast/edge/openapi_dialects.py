"""The routes of the dialects in the API's description.

Their bodies are of other people's protocols, which say what may be in them; named here is what must be, what comes back,
and in which shape an error is sent. docs/reference has a page for each dialect.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from holdfast.edge.response_schemas import ANY, COUNT, FLAG, NULLABLE_TEXT, TEXT, Schema, array_of, object_with

JSON: Final = "application/json"
STREAM: Final = "text/event-stream"

HOLDFAST_ERROR: Final[tuple[str, Schema]] = (JSON, {"$ref": "#/components/schemas/Error"})
TEXT_ERROR: Final[tuple[str, Schema]] = ("text/plain", TEXT)
"""The AI SDK makes the body of a refusal the message of its error."""
OPENAI_ERROR: Final[tuple[str, Schema]] = (
    JSON,
    object_with(error=object_with(message=TEXT, type=TEXT, param=NULLABLE_TEXT, code=TEXT)),
)


class DialectRoute(NamedTuple):
    """One route.

    Attributes:
        verbs: those a token needs.
        body: what a request must have; None when it has none.
        contents: what comes back, by media type.
        error: the media type and the shape of an error.
        no_content: when the response is 204.
    """

    method: str
    path: str
    summary: str
    verbs: str
    body: Schema | None
    contents: dict[str, Schema]
    error: tuple[str, Schema]
    query: tuple[str, ...] = ()
    no_content: str = ""


_RESPONSE: Final = object_with(id=TEXT, object=TEXT, status=TEXT, model=TEXT, output=array_of(ANY), created_at=COUNT)
_RESPONSE_REQUEST: Final = object_with(
    {"stream": FLAG, "background": FLAG, "previous_response_id": NULLABLE_TEXT}, model=TEXT, input={}
)
_INPUT_ITEMS: Final = object_with(
    object=TEXT, data=array_of(ANY), has_more=FLAG, first_id=NULLABLE_TEXT, last_id=NULLABLE_TEXT
)
_RUN_INPUT: Final = object_with(
    {"resume": array_of(ANY), "tools": array_of(ANY)}, threadId=TEXT, runId=TEXT, messages=array_of(ANY)
)
_STOP_REQUEST: Final = object_with({"runId": NULLABLE_TEXT, "force": FLAG})
_CHAT_REQUEST: Final = object_with({"trigger": TEXT, "messageId": NULLABLE_TEXT}, id=TEXT, messages=array_of(ANY))

_R: Final = "/v1/responses"
_G: Final = "/v1/ag-ui/agent/{agent}"
_A: Final = "/v1/ai-sdk/{version}/{agent}"

TABLE: Final = (
    DialectRoute("POST", _R, "OpenAI Responses: say something, and get the response or its stream", "append, read", _RESPONSE_REQUEST,
            {JSON: _RESPONSE, STREAM: {}}, OPENAI_ERROR),
    DialectRoute("GET", f"{_R}/{{response}}", "OpenAI Responses: a response as it stands, or its events after a position", "read",
            None, {JSON: _RESPONSE, STREAM: {}}, OPENAI_ERROR, ("stream", "starting_after")),
    DialectRoute("DELETE", f"{_R}/{{response}}", "OpenAI Responses: erase a response that has a session to itself", "admin", None,
            {JSON: object_with(id=TEXT, object=TEXT, deleted=FLAG)}, OPENAI_ERROR),
    DialectRoute("POST", f"{_R}/{{response}}/cancel", "OpenAI Responses: stop a response", "control, read", None,
            {JSON: _RESPONSE}, OPENAI_ERROR),
    DialectRoute("GET", f"{_R}/{{response}}/input_items", "OpenAI Responses: what a response answers", "read", None,
            {JSON: _INPUT_ITEMS}, OPENAI_ERROR, ("limit", "after", "order")),
    DialectRoute("POST", f"{_G}/run", "AG-UI: do what the input asks for, and stream the run", "append, read", _RUN_INPUT,
            {STREAM: {}}, HOLDFAST_ERROR, ("version",)),
    DialectRoute("POST", f"{_G}/connect", "AG-UI: join what runs in the thread", "read", _RUN_INPUT, {STREAM: {}}, HOLDFAST_ERROR,
            ("version",)),
    DialectRoute("POST", f"{_G}/stop/{{thread}}", "AG-UI: stop the agent's runs in a thread", "control, read", _STOP_REQUEST,
            {JSON: object_with(stopped=FLAG, runs=array_of(TEXT))}, HOLDFAST_ERROR),
    DialectRoute("POST", _A, "AI SDK: append the last message, and stream the answer", "append, read", _CHAT_REQUEST, {STREAM: {}},
            TEXT_ERROR),
    DialectRoute("GET", f"{_A}/{{chat}}", "AI SDK: the conversation as UI messages", "read", None, {JSON: array_of(ANY)}, HOLDFAST_ERROR),
    DialectRoute("GET", f"{_A}/{{chat}}/stream", "AI SDK: the answer that is being given, from its beginning", "read", None,
            {STREAM: {}}, TEXT_ERROR, (), "No answer is being given"),
    DialectRoute("DELETE", f"{_A}/{{chat}}/stream", "AI SDK: stop the answer that is being given", "control, read", None,
            {JSON: object_with(runs=array_of(TEXT))}, HOLDFAST_ERROR),
)  # fmt: skip
