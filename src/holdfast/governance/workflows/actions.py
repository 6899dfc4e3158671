"""What people and programs ask of workflows: said once, served by REST and by the command line."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from holdfast.governance import limits
from holdfast.governance.actions import ActionCall, DomainAction
from holdfast.governance.organisation.model import Stage
from holdfast.governance.workflows import document
from holdfast.governance.workflows.desk import WorkflowDesk
from holdfast.governance.workflows.journal_question import NAMES
from holdfast.governance.workflows.model import Name, ShortText, ToolEffect, Words, WorkflowMode
from holdfast.governance.workflows.triage import TriageRequest

ROOT: Final = "/v1/x/governance/workflows"
_ONE: Final = "/named/{workflow}"


class StepRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a workflow takes a step."""

    reason: Words = ""


class ModeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which mode it is to have, and why."""

    mode: WorkflowMode
    reason: Words = ""


class StageRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which stage is declared, and why."""

    stage: Stage
    reason: Words = ""


class AcceptRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who takes on their role; left out: whoever asks."""

    person: ShortText = ""


class ToolRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a tool counts as."""

    tool: Name
    effect: ToolEffect


class IdeaRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new idea."""

    name: Name
    title: Words = ""


class RegisterRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who answers for the workflow that an idea becomes; ``reason``: needed for one that does not suit yet."""

    owner: ShortText = ""
    unit: ShortText = ""
    reason: Annotated[str, msgspec.Meta(max_length=limits.WORKFLOW_TEXT_CHARS)] = ""


async def schema(desk: WorkflowDesk, call: ActionCall) -> Any:
    """The JSON schema of manifests."""
    return document.schema()


def _act(
    name: str,
    method: str,
    path: str,
    verb: str,
    summary: str,
    answer: Any,
    body: Any = None,
    query: tuple[str, ...] = (),
) -> DomainAction[WorkflowDesk]:
    size = {"body_bytes": limits.WORKFLOW_MANIFEST_BYTES} if body is bytes else {}
    return DomainAction(name, method, path, verb, f"Workflows: {summary}", answer, body, query, **size)


LIST: Final = _act("list", "GET", "", "spend", "all of them", WorkflowDesk.list)
SCHEMA: Final = _act("schema", "GET", "/schema", "spend", "the JSON schema of manifests", schema)
INVENTORY: Final = _act(
    "inventory", "GET", "/inventory", "spend", "what belongs to none, with its spend", WorkflowDesk.inventory
)
RUNS: Final = _act("runs", "GET", "/runs", "spend", "the journal of runs", WorkflowDesk.runs, query=NAMES)
PLAN: Final = _act(
    "plan", "GET", "/first-plan", "spend", "the first dated plan of a use case", WorkflowDesk.plan, query=("use_case",)
)
DRAFT: Final = _act(
    "draft", "GET", "/draft", "spend", "a manifest of what was observed", WorkflowDesk.draft, query=("name", "agents")
)
LINT: Final = _act("lint", "POST", "/lint", "spend", "all that is wrong with a manifest", WorkflowDesk.lint, bytes)
DIFF: Final = _act(
    "diff", "POST", "/diff", "spend", "how a manifest differs from the one that holds", WorkflowDesk.diff, bytes
)
APPLY: Final = _act(
    "apply", "POST", "/apply", "budget", "let a manifest hold", WorkflowDesk.apply, bytes, ("reason", "dry_run")
)
TOOLS: Final = _act("tools", "GET", "/tools", "spend", "what tools were classed as", WorkflowDesk.tools)
SET_TOOL: Final = _act("set-tool", "POST", "/tools", "audit", "class a tool", WorkflowDesk.set_tool, ToolRequest)
IDEAS: Final = _act("ideas", "GET", "/ideas", "spend", "ideas, and what their answers come to", WorkflowDesk.ideas)
ADD_IDEA: Final = _act(
    "add-idea", "POST", "/ideas", "budget", "put an idea on record", WorkflowDesk.add_idea, IdeaRequest
)
ANSWER_IDEA: Final = _act(
    "answer-idea", "POST", "/ideas/{idea}/answers", "budget", "answer what an idea is asked", WorkflowDesk.answer_idea,
    TriageRequest,
)  # fmt: skip
REGISTER_IDEA: Final = _act(
    "register-idea", "POST", "/ideas/{idea}/register", "budget", "make a workflow of an idea",
    WorkflowDesk.register_idea, RegisterRequest,
)  # fmt: skip
SHOW: Final = _act("show", "GET", _ONE, "spend", "one of them", WorkflowDesk.show)
VERSIONS: Final = _act("versions", "GET", f"{_ONE}/versions", "spend", "its manifests so far", WorkflowDesk.versions)
BLAST: Final = _act(
    "blast", "GET", f"{_ONE}/blast", "spend", "what it could do wrong, and how fast", WorkflowDesk.blast
)
RADIUS: Final = _act(
    "radius", "GET", "/radius/{session}", "read", "what a run of a session could do wrong, for whoever approves",
    WorkflowDesk.radius, query=("run",),
)  # fmt: skip
CHANGES: Final = _act(
    "changes", "GET", f"{_ONE}/changes", "spend", "what changed in it since a moment", WorkflowDesk.changes,
    query=("since_ms",),
)  # fmt: skip
ACCEPT: Final = _act(
    "accept", "POST", f"{_ONE}/accept", "spend", "take on one's role", WorkflowDesk.accept, AcceptRequest
)
LAUNCH: Final = _act("launch", "POST", f"{_ONE}/launch", "budget", "begin its pilot", WorkflowDesk.launch, StepRequest)
PRODUCTION: Final = _act(
    "production", "POST", f"{_ONE}/production", "budget", "let it leave the pilot", WorkflowDesk.production, StepRequest
)
MODE: Final = _act(
    "mode", "POST", f"{_ONE}/mode", "budget", "judge only, or enforce", WorkflowDesk.set_mode, ModeRequest
)
STAGE: Final = _act(
    "stage", "POST", f"{_ONE}/stage", "budget", "declare another stage", WorkflowDesk.set_stage, StageRequest
)
ACTIONS: Final = (
    LIST, SCHEMA, INVENTORY, RUNS, PLAN, DRAFT, LINT, DIFF, APPLY, TOOLS, SET_TOOL, IDEAS, ADD_IDEA, ANSWER_IDEA, REGISTER_IDEA,
    SHOW, VERSIONS, BLAST, RADIUS, CHANGES, ACCEPT, LAUNCH, PRODUCTION, MODE, STAGE,
)  # fmt: skip
"""All of them."""
