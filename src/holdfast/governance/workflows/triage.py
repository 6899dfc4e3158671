"""Ideas: what somebody would have agents do, five conditions of work that suits them, and what their answers come to. Pure.

The five: users who are technical; a model that was trained on such work; output that can be verified; context in one place;
clean access. What a person answered is believed for 180 days.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal, get_args

import msgspec

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.money import parse as money
from holdfast.governance.workflows.model import DataClass, Dollars

Condition = Literal["technical_users", "trained_model", "verifiable_output", "one_context", "clean_access"]
CONDITIONS: Final[Mapping[Condition, str]] = {
    "technical_users": "its users are technical: they see what is wrong and say so",
    "trained_model": "a model was trained on such work",
    "verifiable_output": "whether its output is right can be verified",
    "one_context": "what it needs to know is in one place",
    "clean_access": "its access to data is clean",
}
ConditionAnswer = Literal["yes", "no"]
RiskClass = Literal["minimal", "limited", "high", "prohibited"]
RISKS: Final[tuple[RiskClass, ...]] = get_args(RiskClass)
"""As in the EU AI Act."""
TriageVerdict = Literal["suits", "suits_with_gaps", "does_not_suit_yet"]
IdeaState = Literal["new", "registered"]
TEMPLATE: Final = (
    "coding gains taken as a template: what agents gain where users are technical and output can be verified"
    " says nothing of this work"
)
_GAPS: Final = 2
"""Conditions that may fail, verifiable output not among them, where work suits with gaps."""
_NOTE = Annotated[str, msgspec.Meta(max_length=limits.WORKFLOW_TEXT_CHARS)]


class IdeaAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a person answered: ``value`` of a condition, a class, or USD ``LOW-HIGH``."""

    value: str
    by: str
    at_ms: int
    note: str = ""

    def holds(self, now_ms: int) -> bool:
        """Whether it is still believed."""
        return now_ms - self.at_ms < limits.IDEA_ANSWER_MS


class Idea(msgspec.Struct, frozen=True, kw_only=True):
    """An idea. ``answers``: by condition, and ``risk``, ``data``, ``value``; ``workflow``: what it was registered as."""

    id: str
    tenant: str = "default"
    name: str
    title: str = ""
    by: str
    at_ms: int
    answers: dict[str, IdeaAnswer] = {}
    state: IdeaState = "new"
    workflow: str = ""
    changed_ms: int = 0


class TriageRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Answers to be put on record; what is left out stays.

    Attributes:
        answers: ``yes`` or ``no`` by condition.
        risk, data: classes.
        value_usd: declared value of a year: ``low`` and ``high``.
        note: to all of them.
    """

    answers: dict[Condition, ConditionAnswer] = {}
    risk: RiskClass | None = None
    data: DataClass | None = None
    low_usd: Dollars | None = None
    high_usd: Dollars | None = None
    note: _NOTE = ""


class TriageResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the answers come to.

    Attributes:
        failing: conditions answered with no. ``open``: never answered, or too long ago (``expired``).
        warnings: in sentences.
        sentence: the verdict for people.
    """

    verdict: TriageVerdict
    failing: tuple[str, ...]
    open: tuple[str, ...]
    expired: tuple[str, ...]
    risk: str
    data: str
    value: str
    warnings: tuple[str, ...]
    sentence: str


def answered(idea: Idea, request: TriageRequest, by: str, now_ms: int) -> Idea:
    """An idea with more answers. Raises ``workflow.invalid`` for a range whose low end is above its high end."""
    new: dict[str, str] = {str(name): str(value) for name, value in request.answers.items()}
    if request.risk is not None:
        new["risk"] = request.risk
    if request.data is not None:
        new["data"] = request.data
    if (request.low_usd is None) != (request.high_usd is None):
        raise Refused("workflow.invalid", "a declared value is a range: say its low and its high end")
    if request.low_usd is not None and request.high_usd is not None:
        if money(request.low_usd) > money(request.high_usd):
            raise Refused("workflow.invalid", f"from {request.low_usd} to {request.high_usd}: the low end is above")
        new["value"] = f"{request.low_usd}-{request.high_usd}"
    made = {name: IdeaAnswer(value=value, by=by, at_ms=now_ms, note=request.note) for name, value in new.items()}
    return msgspec.structs.replace(idea, answers=idea.answers | made, changed_ms=now_ms)


def triage(idea: Idea, now_ms: int) -> TriageResult:
    """What the answers come to. What nobody answered, or too long ago, fails nothing and lets nothing pass."""
    current = {name: answer.value for name, answer in idea.answers.items() if answer.holds(now_ms)}
    expired = tuple(sorted(idea.answers.keys() - current.keys()))
    failing = tuple(name for name in CONDITIONS if current.get(name) == "no")
    unanswered = tuple(name for name in CONDITIONS if name not in current)
    warnings = []
    if current.get("technical_users") == "no" or current.get("verifiable_output") == "no":
        warnings.append(TEMPLATE)
    if current.get("risk") == "high":
        warnings.append("high risk under the EU AI Act: it has duties before it may be used")
    if current.get("risk") == "prohibited":
        warnings.append("prohibited under the EU AI Act: it may not be built")
    for name in ("risk", "data", "value"):
        if name not in current:
            warnings.append(f"its {name} is not known")
    missing = (*failing, *unanswered)
    verdict: TriageVerdict
    if not missing and current.get("risk") != "prohibited":
        verdict = "suits"
    elif len(missing) > _GAPS or "verifiable_output" in missing or current.get("risk") == "prohibited":
        verdict = "does_not_suit_yet"
    else:
        verdict = "suits_with_gaps"
    return TriageResult(
        verdict=verdict, failing=failing, open=unanswered, expired=expired, risk=current.get("risk", ""),
        data=current.get("data", ""), value=current.get("value", ""), warnings=tuple(warnings),
        sentence=_sentence(verdict, failing, unanswered, current.get("risk", "")),
    )  # fmt: skip


def _sentence(verdict: TriageVerdict, failing: tuple[str, ...], unanswered: tuple[str, ...], risk: str) -> str:
    text = verdict.replace("_", " ")
    parts = []
    if risk == "prohibited":
        parts.append("it is prohibited")
    if failing:
        parts.append(f"not so: {', '.join(_named(name) for name in failing)}")
    if unanswered:
        parts.append(f"not answered, or too long ago: {', '.join(_named(name) for name in unanswered)}")
    return f"It {text}" + (f" ({'; '.join(parts)})." if parts else ".")


def _named(condition: str) -> str:
    return condition.replace("_", " ")
