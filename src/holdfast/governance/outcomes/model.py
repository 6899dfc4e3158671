"""Outcomes: what became of a piece of work, who said so, and which of several words counts. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal, get_args

import msgspec

from holdfast.errors import Refused
from holdfast.governance import money

Verdict = Literal["accepted", "rejected", "escalated"]
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
Recorder = Literal["person", "check", "system"]
"""Who says it: somebody; a check that ran; a policy or another system."""
RECORDERS: Final[dict[str, Recorder]] = {"user": "person", "check": "check", "policy": "system", "system": "system"}
"""By the kind of an actor. An ``agent:`` is none of them: what its work was worth is not its to say."""
STANDING: Final[tuple[Recorder, ...]] = ("person", "check", "system")
"""Whose word counts where several have spoken: a person's before a check's before a system's."""


class WorkOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody said of a piece of work.

    Attributes:
        id: ``o-…``: of the event, or of the request, so that the same one twice is one.
        call: id of the call; or ``session`` and ``run``. ``session`` is a reference of the ledger.
        value_nano: what it was worth, nano-USD; None where nobody said.
        by: the actor; ``kind`` of recorder it is.
        at_ms: when it was said, Unix ms.
        counts: of several of the same work, this one stands.
        workflow, task, model, cost_nano, work_ms: what the ledger has of the work: empty and None until it has. Of work that
            several models did, the model is empty: it is nobody's.
    """

    id: str
    tenant: str = "default"
    call: str = ""
    session: str = ""
    run: str = ""
    verdict: Verdict
    value_nano: int | None = None
    by: str
    kind: Recorder
    at_ms: int
    counts: bool = True
    workflow: str = ""
    task: str = ""
    model: str = ""
    cost_nano: int | None = None
    work_ms: int = 0

    @property
    def subject(self) -> str:
        """The piece of work: a run where it is one, else a call."""
        return f"run:{self.session}:{self.run}" if self.run else f"call:{self.call}"


class OutcomeQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """Which outcomes somebody asks for; an empty text asks for all.

    Attributes:
        since_ms, until_ms: when it was said, Unix ms; ``until_ms`` is the first moment after it, None for no end.
        superseded: those too that do not count any more.
    """

    workflow: str = ""
    task: str = ""
    model: str = ""
    since_ms: int = 0
    until_ms: int | None = None
    superseded: bool = False


def standing(outcomes: Iterable[WorkOutcome]) -> WorkOutcome:
    """Which outcome of one piece of work counts: of the recorder that stands highest the last. One at least.

    A later word of the same kind of recorder replaces its earlier one; a person's stands whatever a check says afterwards.
    """
    return max(outcomes, key=lambda one: (-STANDING.index(one.kind), one.at_ms, one.id))


def recorder_of(actor: str) -> Recorder:
    """The kind of recorder that an actor is.

    Raises:
        Refused: ``outcome.own_work`` for agents, and for whatever is none.
    """
    kind = RECORDERS.get(actor.partition(":")[0])
    if kind is None:
        raise Refused("outcome.own_work", f"{actor:.80} is no person, check, policy or system")
    return kind


def verdict_of(value: Any) -> Verdict:
    """The verdict that somebody wrote. Raises ``outcome.invalid``."""
    for verdict in VERDICTS:
        if value == verdict:
            return verdict
    raise Refused("outcome.invalid", f"outcome {value!r:.40} is none of {', '.join(VERDICTS)}")


def value_of(text: Any) -> int | None:
    """Nano-USD of a value in dollars, written as decimal text; None where none was said. Raises ``outcome.invalid``."""
    if text is None or text == "":
        return None
    if not isinstance(text, str):
        raise Refused("outcome.invalid", 'a value is written as decimal text, such as "12.50"')
    try:
        return money.parse(text)
    except Refused as error:
        raise Refused("outcome.invalid", f"the value: {error.detail}") from None


class OutcomeTally(msgspec.Struct, frozen=True):
    """The outcomes of one model in one workflow and task.

    Attributes:
        cost_nano: of the ``costed`` pieces of work whose cost is known.
        value_nano: of those that somebody gave a value.
    """

    accepted: int = 0
    rejected: int = 0
    escalated: int = 0
    cost_nano: int = 0
    costed: int = 0
    value_nano: int = 0

    @property
    def n(self) -> int:
        """Pieces of work with an outcome."""
        return self.accepted + self.rejected + self.escalated

    @property
    def mean_nano(self) -> int | None:
        """Of one piece of work; None where the cost of any is not known."""
        return round(self.cost_nano / self.costed) if self.costed and self.costed == self.n else None

    @property
    def per_accepted_nano(self) -> int | None:
        """Cost of all work for each accepted outcome; None where nothing was accepted, or a cost is not known."""
        return round(self.cost_nano / self.accepted) if self.accepted and self.costed == self.n else None


class TallyKey(msgspec.Struct, frozen=True):
    """Of what a tally is."""

    workflow: str
    task: str
    model: str
