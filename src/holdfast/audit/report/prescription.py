"""What to change: which design of session layer, which output to redirect, what to replace, and the lines to write."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from holdfast.audit.finding import DETACHED, Advice, Report
from holdfast.audit.recipe import Recipe

Interaction = Literal["resume", "tabs", "devices", "stop", "steer", "approve", "interrupt"]
Surface = Literal["web", "mobile", "cli", "slack", "voice"]


class Inputs(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What the person says about what they have and want; it shapes the prescription.

    Attributes:
        architecture: how answers travel today. interactions: what people shall be able to do.
        topology: how agents are arranged. surfaces: where people are.
    """

    architecture: Literal["", "request_stream", "websocket", "polling", "queue", "durable_stream"] = ""
    interactions: list[Interaction] = []
    topology: Literal["", "single", "orchestrator", "peers"] = ""
    surfaces: list[Surface] = []

    def stated(self) -> dict[str, Any]:
        """Those that were stated."""
        return {name: value for name, value in msgspec.to_builtins(self).items() if value}


EMBEDDED: Final = """\
hub = holdfast.EmbeddedHub("sqlite:///sessions.db")
app.include_router(hub.router)
run = await hub.session(chat_id).start("agent", text); return run.sse()"""
THREE_LINES: Final = {
    "fastapi": EMBEDDED,
    "ai-sdk": """\
- const transport = new DefaultChatTransport({ api: "/api/chat" });
+ const transport = new WebSocketChatTransport({ url: "/v1/ai-sdk/v7/agent", headers });
+ useChat({ chat: new Chat({ id, transport }), resume: true });""",
    "ag-ui": """\
- const agent = new HttpAgent({ url: "http://127.0.0.1:8000/", threadId });
+ const agent = new HttpAgent({ url: "http://127.0.0.1:7417/v1/ag-ui/agent/agent/run", threadId, headers });
+ headers = { authorization: `Bearer ${token}` };""",
    "openai-responses": """\
- client = OpenAI(base_url="https://your-endpoint/v1")
+ client = OpenAI(base_url="http://127.0.0.1:7417/v1", api_key=holdfast_token)
+ client.responses.create(model="agent", input=text, background=True, stream=True)""",
    "chainlit": """\
hf = holdfast.connect(url, token=token)                # in on_chat_start
run = await hf.session(chat_id).send(message.content, agent="agent")    # in on_message, instead of the model call
async for event in hf.session(chat_id).events(after="tail"): ...        # and stream what arrives""",
    "langgraph": """\
from holdfast.agents.adapters import langgraph
@hf.agent("agent")
async def agent(run): await langgraph.run(run, graph)""",
    "python": """\
@hf.agent("agent")
async def agent(run):
    async with run.message() as out: ...               # out.write(piece) for each piece the agent says""",
    "holdfast": """\
holdfast serve
@hf.agent("agent")
await hf.serve()""",
    "node": """\
const hf = connect("http://127.0.0.1:7417", { getToken });     // import { connect } from "holdfast-ai"
const session = await hf.create({ agent: "agent" }); session.follow(() => draw(session.view));
const run = await session.send(text);                          // and to stop it: await run.cancel()""",
    "http": """\
POST $URL/v1/sessions/$CHAT/messages   {"text": "…", "agent": "agent"}
GET  $URL/v1/sessions/$CHAT/events     accept: text/event-stream, last-event-id: where one was
POST $URL/v1/sessions/$CHAT/cancel     {"scope": "all"}""",
}
"""By framework; whole programs: docs/howto/embed-in-fastapi.md, typescript-client.md, ai-sdk.md, ag-ui.md,
openai-responses.md."""
CALLED: Final = {
    "fastapi": "FastAPI", "langgraph": "LangGraph", "python": "an agent in Python",
    "node": "a program or a page in JavaScript", "http": "any language, over HTTP",
}  # fmt: skip
SERVERS: Final = (
    ("server", "uvicorn", "fastapi"), ("server", "hypercorn", "fastapi"), ("server", "granian", "fastapi"),
    ("x-powered-by", "express", "node"), ("x-powered-by", "next.js", "node"), ("x-powered-by", "hono", "node"),
)  # fmt: skip
"""What a header of the answer gives away, where neither driver nor recipe says what the endpoint is written in."""


def framework_of(recipe: Recipe, evidence: str) -> str:
    """Whose lines to show: the recipe's framework, else what the answer's headers give away, else plain HTTP."""
    if recipe.framework:
        return recipe.framework if recipe.framework in THREE_LINES else "http"
    head = evidence.lower().split("\n\n")[0]
    for header, name, framework in SERVERS:
        if any(line.startswith(f"{header}:") and name in line for line in head.splitlines()):
            return framework
    return "http"


BESIDE: Final = "A session server beside what you have (holdfast serve), which the agent writes to: "
PLACES: Final = {
    "langgraph": BESIDE,
    "python": BESIDE,
    "chainlit": BESIDE,
    "fastapi": "A session layer inside the application you have (holdfast.EmbeddedHub in its router): ",
    "node": "A session server beside the application (holdfast serve), which the application and its pages write to"
    " and read from: ",
    "http": "A session layer: inside the application where that is Python (holdfast.EmbeddedHub in its router), else a server"
    " beside it (holdfast serve): ",
}


def prescribe(report: Report, recipe: Recipe, inputs: Inputs) -> list[Advice]:
    """What to do about what failed; nothing when nothing did."""
    failed = {finding.id for finding in report.probes if finding.verdict == "fail"}
    if not failed:
        return []
    return [
        advice
        for advice in (
            _design(report, failed, inputs, framework_of(recipe, report.contact.evidence)),
            _redirect(failed, inputs),
            _replace(failed, inputs, _detached(report)),
            _lines(framework_of(recipe, report.contact.evidence), failed),
        )
        if advice is not None
    ]


def _detached(report: Report) -> bool:
    """Whether the run was just seen to go on without its reader."""
    verdicts = {finding.verdict for finding in report.probes if finding.id in DETACHED}
    return "pass" in verdicts and "fail" not in verdicts


def _design(report: Report, failed: set[str], inputs: Inputs, framework: str) -> Advice:
    many = len(inputs.surfaces) > 1 or inputs.topology in ("orchestrator", "peers") or "devices" in inputs.interactions
    failing = [name for name, verdict in report.capabilities.items() if verdict == "fail"]
    if many:
        text = (
            "A session server of its own (holdfast serve): agents append to sessions from wherever they run, every surface"
            " subscribes to them, and neither holds a connection to the other."
        )
    else:
        text = PLACES.get(framework, PLACES["http"]) + (
            "the run goes on without its reader already, and stays where it is. What it says goes into the session, of"
            " which the endpoint becomes one reader."
            if _detached(report)
            else "the run is detached from the request, and the endpoint becomes one reader of the session."
        )
    if failing == ["resilient"] and "control.stop" not in failed:
        text += " Continuity and control hold already; keep their routes and put the log under them."
    if inputs.architecture == "queue":
        text += " The queue stays for starting work; what the work says goes into the session."
    return Advice(name="Design", text=text, because=sorted(failed))


def _redirect(failed: set[str], inputs: Inputs) -> Advice | None:
    because = sorted(id_ for id_ in failed if not id_.startswith("control."))
    if not because:
        return None
    text = (
        "Redirect the agent's output: what goes to the response today (tokens, tool calls, status) goes to the session."
    )
    if inputs.topology == "orchestrator" or any(id_.startswith("agents.") for id_ in failed):
        text += " Sub-agents write to the same session themselves (run.spawn), instead of returning text to the orchestrator."
    return Advice(name="Redirect", text=text, because=because)


def _replace(failed: set[str], inputs: Inputs, detached: bool) -> Advice | None:
    replacements = []
    if failed & set(DETACHED):
        replacements.append("cancel-on-disconnect by an explicit cancel with a receipt")
    elif "control.stop" in failed and detached:
        replacements.append("a stop that closes connections, or none, by a cancel that is a command with a receipt")
    elif "control.stop" in failed:
        replacements.append("closing the connection as the only stop by an explicit cancel with a receipt")
    if failed & {"resilient.resume", "resilient.no_repeat", "resilient.half_open", "resilient.proxy_timeout"}:
        replacements.append("reconnecting by asking again by reading on from a cursor")
    if failed & {"continuity.middle", "continuity.reload", "continuity.from_start", "continuity.other_device"}:
        replacements.append("page state by a snapshot and a cursor")
    if failed & {"control.steer", "control.new_message"}:
        replacements.append("a busy input box by steer and interrupt")
    if "control.approval_after_reload" in failed:
        replacements.append("approvals held in memory by approvals in the log")
    if failed & {"resilient.agent_killed", "agents.orchestrator_dies"}:
        replacements.append("an agent that simply runs by a run under a lease, whose loss the session records")
    if "resilient.end_marked" in failed:
        replacements.append("the end of the response by the end of the run")
    if not replacements:
        return None
    more = f" Wanted besides: {', '.join(inputs.interactions)}." if inputs.interactions else ""
    return Advice(name="Replace", text=f"Replace {'; '.join(replacements)}.{more}")


def _lines(framework: str, failed: set[str]) -> Advice:
    where = CALLED.get(framework, framework)
    more = '; the agent becomes @hub.agent("agent") or a worker of its own' if framework == "fastapi" else ""
    return Advice(
        name="Three lines",
        text=f"For {where}{more}.",
        code=THREE_LINES[framework],
        because=sorted(failed),
    )
