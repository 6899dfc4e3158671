"""Planted bugs of what other people's front ends are shown."""

from __future__ import annotations

from conformance.planting import replace, stand_in

from tests.mutants.plant import mutant


@mutant(
    "CTL-6",
    "adapters ask without naming the call that a model has made, so its part never becomes one to answer",
    "tests/dialects/ai_sdk/test_gated.py",
)  # fmt: skip
def asks_beside_the_call() -> None:
    from holdfast.agents.adapters import framework

    tellable = framework._normalize
    replace(framework, "_normalize", lambda question: tellable(question)._replace(call=None))


@mutant(
    "LIFE-1",
    "approvals in the AI SDK's messages do not say the life in which they were read",
    "tests/acceptance/test_upgrade.py::test_what_waited_is_approved_in_dialects_whose_ids_say_the_life",
)
def approvals_of_any_life() -> None:
    from holdfast.edge.dialects.ai_sdk import answer

    replace(answer, "ids", stand_in(answer.ids, bind=lambda ident, life: ident))
