"""A row of the journal: what is known of a run when it is queued, and what its events say when it has ended. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from holdfast.governance import labels, limits
from holdfast.governance.workflows.model import ToolClass
from holdfast.protocol import events as e
from holdfast.protocol.events import Event


class JournalRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run or a sub-run.

    Attributes:
        id: the life of its session and the run: ``INCARNATION:RUN``.
        session: a reference of the ledger; empty once the session is deleted.
        parent: run that began it; ``root``: the run that people, or programs, began, itself where it is one.
        actor: who asked for it.
        version: of the workflow's manifest when it was queued.
        usage: as its label says.
        sign_in_s: when the person behind it had signed in, Unix seconds; None where nobody had.
        interactive: whether its root was begun by somebody who had signed in within a day.
        test: whether it counts for no gate.
        task: the type of task, as its label says; None in a row of before that was kept.
        status: how it ended; empty while it has not.
        tools: calls of tools; ``side_effects``: of those that write or are not classed; ``unclassified``, ``memory``.
        counted: whether its tools were counted, all of them.
        lost: whether what it did cannot be known any more.
    """

    tenant: str = "default"
    id: str
    session: str = ""
    run: str
    parent: str = ""
    root: str
    workflow: str = labels.UNASSIGNED
    agent: str = ""
    actor: str = ""
    version: str = ""
    usage: str = ""
    sign_in_s: int | None = None
    interactive: bool = False
    test: bool = False
    queued_ms: int
    queued_seq: int = 0
    ended_ms: int | None = None
    status: str = ""
    tools: int = 0
    side_effects: int = 0
    unclassified: int = 0
    memory: int = 0
    counted: bool = False
    lost: bool = False
    task: str | None = None


class RunToolCount(msgspec.Struct, frozen=True):
    """How often a run called a tool; ``effect``: what it counted as then, empty where nobody had classed it; ``errors``: of its
    calls that failed, ``error`` the code of the last one."""

    tool: str
    effect: str
    calls: int
    errors: int = 0
    error: str = ""


class RunCounts(msgspec.Struct, frozen=True):
    """What the events of a run say of its tools."""

    tools: int = 0
    side_effects: int = 0
    unclassified: int = 0
    memory: int = 0
    by_tool: tuple[RunToolCount, ...] = ()


def run_id(incarnation: str, run: str) -> str:
    """The id of a run's row."""
    return f"{incarnation}:{run}"


def record_of(facts: Mapping[str, Any], tenant: str, workflow: str) -> JournalRun:
    """The row of a run as its notice has it, as if it were its own root."""
    claims, at_ms = facts.get("labels") or {}, facts["ts"]
    return JournalRun(
        tenant=tenant, id=run_id(facts["incarnation"], facts["run"]), run=facts["run"], parent=facts.get("parent") or "",
        root=facts["run"], workflow=workflow, agent=facts.get("agent") or "", actor=facts.get("actor") or "",
        usage=claims.get(labels.USAGE, ""), sign_in_s=labels.signed_in_s(claims), interactive=labels.is_interactive(claims, at_ms),
        test=claims.get(labels.TEST) == "yes", queued_ms=at_ms, queued_seq=facts["seq"],
        task=claims.get(labels.TASK, "")[: limits.ORG_NAME_CHARS],
    )  # fmt: skip


def below(child: JournalRun, parent: JournalRun | None) -> JournalRun:
    """A sub-run: whether it is interactive was decided at its root. One whose parent nobody knows is not."""
    if parent is None:
        return msgspec.structs.replace(child, root=child.parent, interactive=False)
    return msgspec.structs.replace(
        child, root=parent.root, interactive=parent.interactive, test=child.test or parent.test,
    )  # fmt: skip


def error_code(data: Mapping[str, Any]) -> str:
    """How a call failed, by the result of it; empty for one that did not, or that nobody let happen: a person who denies a
    call is no error of its tool."""
    error = data.get("error")
    if error is None or error is False:
        return ""
    code = str(error.get("code") or "error") if isinstance(error, Mapping) else "error"
    return "" if code in ("tool.denied", "policy.denied") else code[: limits.WORKFLOW_ERROR_CHARS]


def count(events: Iterable[Event], run: str, class_of: Callable[[str], ToolClass | None]) -> RunCounts:
    """What a run called, each call once. A tool that nobody classed counts as one that writes."""
    calls, failed = dict[str, str](), dict[str, str]()
    for event in events:
        call = str(event.data.get("toolCallId"))
        if event.run == run and event.type == e.TOOL_START:
            calls[call] = str(event.data.get("toolCallName") or "")[: limits.ORG_NAME_CHARS]
        elif event.run == run and event.type == e.TOOL_RESULT and (code := error_code(event.data)):
            failed[call] = code
    errors = Counter(calls[call] for call in failed if call in calls)
    last = {calls[call]: code for call, code in failed.items() if call in calls}
    by_tool, by_effect = Counter(calls.values()), Counter[str]()
    named = []
    for tool, number in sorted(by_tool.items()):
        classed = class_of(tool)
        effect = classed.effect if classed is not None else ""
        by_effect[effect] += number
        named.append(RunToolCount(tool, effect, number, errors[tool], last.get(tool, "")))
    return RunCounts(
        tools=len(calls), side_effects=by_effect["write"] + by_effect[""], unclassified=by_effect[""],
        memory=by_effect["memory"], by_tool=tuple(named[: limits.WORKFLOW_RUN_TOOLS]),
    )  # fmt: skip
