"""What the adapters of frameworks have in common.

A framework has a state of its own (its messages, its checkpoints), and a run may go on in another process, after days. So
the state is saved in the session (``checkpoint``). People's decisions are asked for together (``ask_all``), and the conversation is
taken from the session's view (``turns``).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

from holdfast.agents.approvals import Approval, as_received, find_decision
from holdfast.agents.errors import Released
from holdfast.agents.results import from_content, to_content
from holdfast.agents.run import RunContext
from holdfast.errors import Refused
from holdfast.protocol import limits, wire
from holdfast.protocol.codec import check_value, well_formed, well_formed_data

current_run: ContextVar[RunContext] = ContextVar("holdfast run")
"""The run on whose behalf code is executing: for what a framework calls back, tools for example."""


class Question(NamedTuple):
    """Something to ask people: ``id`` names it within the run, the same in every attempt; ``call`` is the tool call it is
    about, by its id in the session."""

    id: str
    tool: str
    args: dict[str, Any]
    call: str | None = None


async def ask_all(
    run: RunContext, questions: Sequence[Question], *, wait: bool, deadline_s: float = limits.APPROVAL_DEADLINE_S
) -> list[Approval]:
    """Ask for several approvals at once and return them, in order, when all are decided.

    With ``wait`` the worker is let go until then (``Released``), except in a local sub-run, which lives in its parent's
    attempt. The agent is then called again from its top, and asks the same again.
    """
    attempt, by_id = run.attempt, dict[str, Question]()
    for question in map(_normalize, questions):
        if by_id.setdefault(_approval_id(run, question), question) != question:
            raise Refused("content.exists", f"two questions have the id {question.id!r:.80}")

    def find(ident: str) -> dict[str, Any] | None:
        return find_decision(attempt, ident, by_id[ident].tool, by_id[ident].args)

    def undecided() -> list[str]:
        return [ident for ident in by_id if find(ident) is None]

    for ident in undecided():
        question = by_id[ident]
        if question.call is not None:
            await run.tools.show(question.call, question.tool, question.args)
        result = await attempt.request(
            wire.Ask(
                session=attempt.session,
                run=attempt.run,
                generation=attempt.generation,
                approval=ident,
                tool=question.tool,
                args=question.args,
                deadline_s=deadline_s,
                call=question.call,
            )
        )
        if question.call is not None:
            run.tools.close_args(question.call)
        if result.get("decision"):
            attempt.decisions[ident] = result
    if wait and not run.local and undecided():
        await run.close_texts()
        result = await attempt.request(
            wire.Wait(session=attempt.session, run=attempt.run, generation=attempt.generation, approvals=undecided())
        )
        if result.get("waiting"):
            attempt.released = True
            raise Released
    while undecided():
        await attempt.wait_for_change()
    idents = [_approval_id(run, question) for question in questions]
    return [_to_approval(ident, question, find(ident)) for ident, question in zip(idents, questions, strict=True)]


def _approval_id(run: RunContext, question: Question) -> str:
    return f"{run.id}.a.{plain_id(question.id)}"


def _to_approval(ident: str, question: Question, decided: dict[str, Any] | None) -> Approval:
    record = decided or {}
    by, note = str(record.get("by", "")), str(record.get("note") or "")
    return Approval(ident, record.get("decision") == "approved", question.args, by, note)


def _normalize(question: Question) -> Question:
    """The question with arguments that people can be shown exactly: as text where JSON does not carry them so."""
    tool, args = well_formed(question.tool), well_formed_data(question.args)
    try:
        check_value(args)
        exact = as_received(args) == args
    except (Refused, TypeError, ValueError):
        exact = False
    return question._replace(tool=tool, args=args if exact else {"json": to_content(args)})


_PLAIN_ID = re.compile(r"[!-~]{1,120}")


def plain_id(ident: str) -> str:
    """A model's id as a part of one of the session's, which are short and printable; some servers hide a lot in theirs."""
    return ident if _PLAIN_ID.fullmatch(ident) else hashlib.sha256(well_formed(ident).encode()).hexdigest()[:24]


_NOT_IN_IDS = re.compile("[^A-Za-z0-9_-]")  # what providers accept in a call's id, and 40 characters of it


class Turn(NamedTuple):
    """One piece of the conversation: ``kind`` is ``user``, ``assistant`` or ``call``; a call has its result."""

    kind: str
    text: str = ""
    id: str = ""
    name: str = ""
    args: str = ""
    run: str = ""


def turns(run: RunContext, *, children: bool = False) -> list[Turn]:
    """The conversation before the run's own input, in order, finished tool calls included.

    Args:
        children: also what sub-runs said: where a framework hands the conversation from agent to agent.
    """
    result: list[Turn] = []
    for item in run.items:
        is_child = "parent" in run.view.runs.get(item.get("run", ""), {})
        if item["id"] == run.input.message_id or (is_child and not children):
            continue
        run_id = item.get("run", "")
        if item["kind"] == "message" and item["text"]:
            result.append(Turn("user" if item["role"] == "user" else "assistant", item["text"], item["id"], run=run_id))
        elif item["kind"] == "tool" and item["status"] == "done":
            error: Any = item.get("error", {})
            content = from_content(item.get("result") or json.dumps(str(error.get("message", ""))))
            content = content if isinstance(content, str) else item["result"]
            result.append(
                Turn(
                    "call", content, _NOT_IN_IDS.sub("_", item["id"])[-40:], item["name"], item["args"] or "{}", run_id
                )
            )
    return result
