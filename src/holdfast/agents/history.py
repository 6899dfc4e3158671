"""The conversation an agent answers: the branch that ends at its input."""

from __future__ import annotations

from typing import Any

from holdfast.protocol.fold import View
from holdfast.protocol.view import withdrawn


def branch(view: View, input_id: str | None, run: str) -> list[dict[str, Any]]:
    """Items of the branch that ends at an input, in order; what other runs said in answer to that input is left out, and
    what lost attempts said in vain (RUN-8).

    An answer that was regenerated counts once: the sibling chosen, else the newest.
    """
    turns: set[str] = set()
    turn = input_id
    while turn is not None and turn not in turns:
        turns.add(turn)
        turn = view.by_id.get(("message", turn), {}).get("parent")
    chosen = dict(view.branch["runs"])
    for ident, known in view.runs.items():
        if "parent" not in known and "input" in known and known["input"] not in view.branch["runs"]:
            chosen[known["input"]] = ident

    def belongs(item: dict[str, Any]) -> bool:
        turn = item.get("turn")
        if turn is None:
            return "run" not in item
        if turn not in turns:
            return False
        if "run" not in item:
            return True
        return turn != input_id and bool(view.root(item["run"]) == chosen.get(turn, item["run"]))

    view.export()  # makes open texts whole
    return [
        item for item in view.items if belongs(item) and not withdrawn(item, view.runs.get(item.get("run", ""), {}))
    ]


def messages(items: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Their messages as chat models take them: ``{"role", "content"}``."""
    roles = {"operator": "assistant"}  # a person who took over spoke in the agents' place
    return [
        {"role": roles.get(item["role"], item["role"]), "content": item["text"]}
        for item in items
        if item["kind"] == "message" and item["text"]
    ]
