"""What a budget is: whose spending it bounds, by how much, in which window, who pays, and what became of asking for more.
Pure."""

from __future__ import annotations

from typing import Final, Literal, get_args

import msgspec

from holdfast.gateway.port import BrakePolicy

Level = Literal["organisation", "team", "workflow", "task", "user", "session", "run"]
"""What spending is of, from the whole down to the smallest. A run is the one that its sub-runs are below; a call in no
session is a run by itself. Of teams within teams each is one."""
LEVELS: Final[tuple[Level, ...]] = get_args(Level)
Span = Literal["day", "week", "month", "quarter", "year", "rolling", "total"]
"""In which window spending is counted: of the calendar, in the budget's time zone; the last so many seconds; or always."""
SPANS: Final[tuple[Span, ...]] = get_args(Span)
Mode = Literal["observe", "enforce"]
"""Whether what does not fit is only counted, or refused."""
Strength = Literal["hard", "soft"]
"""Whether the cap is never passed, or passing it is only told to whom it concerns."""
IT: Final = "it"
"""The payer that is IT and no cost centre of the business."""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A budget, as it stands now.

    Attributes:
        id: ``b-…``; ``name`` is what people call it, once in a tenant.
        scope: names by level that spending must have to count: ``{"team": "support", "task": "summarise"}``. Empty: all of
            the organisation.
        each: every value of this level has the whole cap for itself (``run``: a ceiling for each run); empty for one cap.
        cap_nano: nano-USD that may be spent in one window.
        span: kind of the window; ``rolling_s`` its length where it rolls; ``zone`` an IANA time zone, empty for the
            organisation's.
        payer: ``it``, or the name of the cost centre that pays; ``decider``: the person (``user:…``) who decides for it.
        approved_by, approved_ms: who of the payer's agreed to the cap as it stands, and when; empty and 0 until then.
        alerts: percentages of the cap at which somebody is told, rising.
        set_by, set_ms: who set it, and when. ``since_ms``: when it began; ``ended_ms``: when it ended, None while it holds.
    """

    id: str
    name: str
    tenant: str = "default"
    scope: dict[str, str] = {}
    each: Level | Literal[""] = ""
    cap_nano: int = 0
    span: Span = "month"
    rolling_s: int = 0
    zone: str = ""
    strength: Strength = "hard"
    mode: Mode = "observe"
    payer: str = IT
    decider: str = ""
    approved_by: str = ""
    approved_ms: int = 0
    alerts: tuple[int, ...] = (50, 80, 100)
    set_by: str = ""
    set_ms: int = 0
    since_ms: int = 0
    ended_ms: int | None = None

    @property
    def brakes(self) -> bool:
        """Whether it refuses what does not fit, and ends what runs."""
        return self.strength == "hard" and self.mode == "enforce"

    @property
    def level(self) -> Level:
        """The smallest level that it names: where it stands among others."""
        named = [level for level in LEVELS if level in self.scope or level == self.each]
        return named[-1] if named else "organisation"


class BrakeRule(msgspec.Struct, frozen=True):
    """What becomes of a workflow's running answers that get no more money.

    Attributes:
        wait_s: with ``ask``, for how long a person is waited for.
        by, at_ms: who said so, and when.
    """

    workflow: str
    policy: BrakePolicy = "error"
    wait_s: int = 300
    by: str = ""
    at_ms: int = 0


class BudgetAccount(msgspec.Struct, frozen=True):
    """One budget's money now, of one value of ``each`` where it has that.

    Attributes:
        subject: that value; empty where the budget has one cap for all. Of sessions a short hash.
        opens_ms, closes_ms: the window, Unix ms; ``closes_ms`` None where none ends.
        spent_nano: as the ledger has it. ``reserved_nano``: held by the attempts under way, ``attempts`` of them.
        returned_nano: of what settled attempts of this window had reserved, what they did not need; with ``settled_nano``,
            what they did: the stranded share.
        refused, observed: how many calls did not fit in this window, and how many of a budget that only observes.
    """

    budget: Budget
    subject: str = ""
    opens_ms: int = 0
    closes_ms: int | None = None
    spent_nano: int = 0
    reserved_nano: int = 0
    attempts: int = 0
    returned_nano: int = 0
    settled_nano: int = 0
    refused: int = 0
    observed: int = 0

    @property
    def free_nano(self) -> int:
        """What can still be reserved; below zero where more was spent than may be."""
        return self.budget.cap_nano - self.spent_nano - self.reserved_nano


RequestState = Literal["waiting", "approved", "denied", "withdrawn"]


class RaiseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody asks the payer of a budget for more.

    Attributes:
        to_nano: the cap that is asked for.
        by: who asks; ``why`` in a sentence. ``call``, ``session``, ``run``: which answer waits for it; empty for none.
        until_ms: when that stops waiting; None where nothing waits.
        decided_by, decided_ms, note: the decision.
    """

    id: str
    tenant: str = "default"
    budget: str
    from_nano: int
    to_nano: int
    by: str
    why: str = ""
    at_ms: int = 0
    call: str = ""
    session: str = ""
    run: str = ""
    until_ms: int | None = None
    state: RequestState = "waiting"
    decided_by: str = ""
    decided_ms: int = 0
    note: str = ""


class BudgetRefusal(msgspec.Struct, frozen=True, kw_only=True):
    """One call, or one more tranche of it, that did not fit.

    Attributes:
        mode: whether it was refused, or only counted.
        in_stream: whether the answer had begun.
        reason: the code of the error.
        need_nano: what was to be reserved; ``cap_nano``, ``spent_nano``, ``reserved_nano``: of the account then.
        in_flight: attempts that held money of the account then. Once they are settled it can be told whether the refusal
            was false: ``false`` None until then.
    """

    id: str
    tenant: str = "default"
    at_ms: int
    budget: str
    subject: str = ""
    attempt: str
    call: str
    workflow: str = ""
    key: str = ""
    mode: Mode
    in_stream: bool = False
    reason: str
    need_nano: int
    cap_nano: int
    spent_nano: int
    reserved_nano: int
    waited_ms: int = 0
    in_flight: tuple[str, ...] = ()
    false: bool | None = None
