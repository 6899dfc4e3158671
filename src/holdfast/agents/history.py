"""The conversation an agent answers: the branch that ends at its input."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.protocol.conversation import conversation
from holdfast.protocol.fold import View
from holdfast.protocol.items import Item
from holdfast.protocol.view import withdrawn


def branch(view: View, input_id: str | None, run: str) -> list[Item]:
    """The conversation that a run's answer answers: of the branch that ends at an input what comes before the answer, and
    without what lost attempts said in vain (RUN-8)."""
    view.export()  # makes open texts whole
    items = conversation(view, input_id, answering=run)
    return [item for item in items if (of := view.runs.get(item.get("run", ""))) is None or not withdrawn(item, of)]


def messages(items: Sequence[Item]) -> list[dict[str, str]]:
    """Their messages as chat models take them: ``{"role", "content"}``."""
    roles = {"operator": "assistant"}  # a person who took over spoke in the agents' place
    return [
        {"role": roles.get(item["role"], item["role"]), "content": item["text"]}
        for item in items
        if item["kind"] == "message" and item["text"]
    ]
