"""What a run came to, in AG-UI's words."""

from __future__ import annotations

from typing import Any

from holdfast.edge.dialects.ag_ui.content import RunInfo
from holdfast.protocol.fold import View
from holdfast.protocol.view import ENDED


def error_of(run: RunInfo) -> tuple[str, str]:
    """Code and words for a run that did not complete."""
    error = run.error if isinstance(run.error, dict) else {}
    messages = {"cancelled": "The run was stopped.", "lost": "The run was lost: no attempt is left."}
    message = str(error.get("message") or messages.get(run.status, "The run failed."))
    return str(error.get("code") or f"run.{run.status}"), message


def last_outcome(view: View) -> dict[str, Any] | None:
    """What the newest turn of the conversation came to: ``{run, status}`` and an ``error``; None while it goes on."""
    head = view.branch["head"]
    answers = [ident for ident, run in view.runs.items() if run.get("input") == head and "parent" not in run]
    answer = view.branch["runs"].get(head or "") or (answers[-1] if answers else None)
    run = view.runs.get(answer or "")
    if run is None or run["status"] not in ENDED:
        return None
    return {"run": answer, "status": run["status"], **({"error": run["error"]} if run.get("error") else {})}
