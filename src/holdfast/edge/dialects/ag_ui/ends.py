"""What a run came to, in AG-UI's words."""

from __future__ import annotations

from typing import Any

from holdfast.edge.dialects.ag_ui.content import RunInfo
from holdfast.protocol.fold import View
from holdfast.protocol.view import ENDED
from holdfast.protocol.view_data import RunEntry


def error_of(run: RunInfo) -> tuple[str, str]:
    """Code and words for a run that did not complete."""
    error = run.error if isinstance(run.error, dict) else {}
    stopped = f"The run was stopped: {run.stopped_for}" if run.stopped_for else "The run was stopped."
    messages = {"cancelled": stopped, "lost": "The run was lost: no attempt is left."}
    message = str(error.get("message") or messages.get(run.status, "The run failed."))
    return str(error.get("code") or f"run.{run.status}"), message


def reason_of(run: RunEntry) -> str:
    """Why somebody stopped a run of a view; empty when nobody said."""
    cancel = run.get("cancel")
    return str(cancel.get("reason") or "") if cancel else ""


def last_outcome(view: View) -> dict[str, Any] | None:
    """What the newest turn of the conversation came to: ``{run, status}``, an ``error``, and the ``reason`` of whoever
    stopped it; None while it goes on."""
    head = view.branch["head"]
    answers = [ident for ident, run in view.runs.items() if run.get("input") == head and "parent" not in run]
    answer = view.branch["runs"].get(head or "") or (answers[-1] if answers else None)
    run = view.runs.get(answer or "")
    if run is None or run["status"] not in ENDED:
        return None
    more = {"error": run.get("error"), "reason": reason_of(run)}
    return {"run": answer, "status": run["status"], **{name: value for name, value in more.items() if value}}
