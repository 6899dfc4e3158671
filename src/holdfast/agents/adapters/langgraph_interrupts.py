"""What a LangGraph interrupt asks people, and what it is answered with.

A value of any form is one approval. Those of LangChain's human-in-the-loop forms may hold several requests: each is an
approval of its own, and the interrupt is answered with the decisions in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from holdfast.agents.adapters.framework import Question
from holdfast.agents.approvals import Approval
from holdfast.agents.results import to_data

Responder = Callable[[Any, Approval], Any]
"""From a question to people (an interrupt's value, or one request of several) and their decision to the answer."""


def questions(ident: str, value: Any, call: str | None = None) -> list[Question]:
    """The questions to people; ``ident`` names the interrupt within the run, ``call`` the tool call that raised it."""
    requests = _requests(value)
    if requests is None:
        return [Question(ident, *_value_action(value), call)]
    many = len(requests) > 1
    return [
        Question(f"{ident}.{number}" if many else ident, *_request_action(request), call)
        for number, request in enumerate(requests, 1)
    ]


def resume_value(value: Any, decisions: Sequence[Approval], answer: Responder | None) -> Any:
    """What ``interrupt(value)`` returns once people have decided."""
    requests = _requests(value)
    if requests is None:
        return (answer or default_answer)(value, decisions[0])
    inbox = isinstance(value, list | tuple)
    respond = answer or (_inbox_answer if inbox else default_answer)
    answers = [respond(request, approval) for request, approval in zip(requests, decisions, strict=True)]
    return answers if inbox else {"decisions": answers}


def default_answer(value: Any, approval: Approval) -> Any:
    """The answer by default.

    For requests of LangChain's human-in-the-loop middleware its decision, ``{"type": "approve"}`` or ``"reject"`` with the
    note as ``message``; otherwise ``False`` when people said no, and when they said yes their note, or ``True``.
    """
    if _is_request(value) or (isinstance(value, dict) and value.get("type") == "tool_approval"):
        if approval:
            return {"type": "approve"}
        return {"type": "reject", **({"message": approval.note} if approval.note else {})}
    return (approval.note or True) if approval else False


def _inbox_answer(request: Any, approval: Approval) -> dict[str, Any]:
    """The answer to one request of LangGraph's ``HumanInterrupt``."""
    if approval:
        return {"type": "accept", "args": None}
    return {"type": "response", "args": approval.note} if approval.note else {"type": "ignore", "args": None}


def _requests(value: Any) -> list[dict[str, Any]] | None:
    """The requests of a value that has a human-in-the-loop form, or None."""
    if isinstance(value, dict):
        requests = value.get("action_requests")
        return requests if isinstance(requests, list) and requests and all(map(_is_request, requests)) else None
    if isinstance(value, list | tuple) and value:
        is_inbox = all(isinstance(each, dict) and isinstance(each.get("action_request"), dict) for each in value)
        return list(value) if is_inbox else None
    return None


def _is_request(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("name") or value.get("action"), str)
        and (isinstance(value.get("args", value.get("arguments")), dict))
    )


def _request_action(request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    request = to_data(request.get("action_request", request))
    args = request.get("args", request.get("arguments"))
    return str(request.get("name") or request.get("action")), args if isinstance(args, dict) else {"input": args}


def _value_action(value: Any) -> tuple[str, dict[str, Any]]:
    """The name of an action and its arguments, of a value of any form."""
    value = to_data(value)
    if not isinstance(value, dict):
        return "interrupt", {"value": value}
    if value.get("type") == "tool_approval" and isinstance(value.get("args"), dict):
        return str(value.get("name") or "tool"), value["args"]
    return str(value.get("tool") or value.get("action") or "interrupt"), value
