"""Asking the payer of a budget for more, and the decision: a request, once decided, stays decided.

Whoever answers for the payer decides, or somebody with the right to change budgets who is not the one who asks.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Connection

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.budgets import definition_store, request_store
from holdfast.governance.budgets.definitions import nano_of
from holdfast.governance.budgets.model import Budget, RaiseRequest, RequestState
from holdfast.governance.budgets.port import ApproverView
from holdfast.governance.money import show

DECISIONS: Final[tuple[RequestState, ...]] = ("approved", "denied", "withdrawn")


class Wish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody asks for.

    Attributes:
        budget: its name or id.
        to_usd: the cap, US dollars as decimal text; empty for a quarter more than it is: whoever was braked in a chat does not
            know what would do.
        why: in a sentence.
        session, call, run: which answer it is about; empty for none.
        until_ms: when that stops waiting, Unix ms; None where nothing waits.
    """

    budget: str
    to_usd: str = ""
    why: str = ""
    session: str = ""
    call: str = ""
    run: str = ""
    until_ms: int | None = None


class Requester(NamedTuple):
    """Who asks or decides; ``rights`` None for whoever works on the store itself, and may everything."""

    actor: str
    tenant: str
    rights: ApproverView | None = None

    def may(self, verb: str, session: str = "*") -> bool:
        """Whether they may."""
        return self.rights is None or self.rights.may(verb, session)


def check_asker(asker: Requester, wish: Wish) -> None:
    """Whether somebody may ask: who sees or changes spend, and who may write in the session that it is about.

    Raises:
        Refused: ``auth.denied``.
    """
    if asker.may("spend") or asker.may("budget") or (wish.session and asker.may("append", wish.session)):
        return
    detail = "whoever asks for more may write in the session it is about, or see what is spent"
    raise Refused("auth.denied", detail, fix="Name the session in which the budget stopped you.")


def ask(connection: Connection, asker: Requester, wish: Wish, now_ms: int) -> RaiseRequest:
    """Put a request on record. The same one again, while it waits, is one.

    Raises:
        Refused: ``budget.not_found``; ``budget.invalid`` for a cap that is none or not higher, and for too many requests.
    """
    budget = _found(connection, asker.tenant, wish.budget)
    to_nano = nano_of(wish.to_usd, "to_usd") if wish.to_usd else budget.cap_nano + max(budget.cap_nano // 4, 1)
    if to_nano <= budget.cap_nano:
        shown = f" of ${show(budget.cap_nano)}" if asker.may("spend") else ""
        raise Refused("budget.invalid", f"to_usd {wish.to_usd}: not above the cap{shown}, as it stands")
    if len(wish.why) > limits.BUDGET_WHY_CHARS:
        raise Refused("budget.invalid", f"why: {limits.BUDGET_WHY_CHARS} characters at most")
    for name in ("session", "call", "run"):
        if len(getattr(wish, name)) > limits.ORG_NAME_CHARS:
            raise Refused("budget.invalid", f"{name}: {limits.ORG_NAME_CHARS} characters at most")
    waiting = request_store.waiting_of(connection, asker.tenant, asker.actor)
    for one in waiting:
        if (one.budget, one.to_nano, one.call, one.session) == (budget.id, to_nano, wish.call, wish.session):
            return one
    if len(waiting) >= limits.BUDGET_REQUESTS_EACH:
        detail = f"{limits.BUDGET_REQUESTS_EACH} requests of yours wait already"
        raise Refused(
            "budget.invalid", detail, fix="Wait for a decision, or withdraw one: `holdfast budget withdraw ID`."
        )
    request = RaiseRequest(
        id=definition_store.new_id("br"), tenant=asker.tenant, budget=budget.id, from_nano=budget.cap_nano,
        to_nano=to_nano, by=asker.actor, why=wish.why, at_ms=now_ms, call=wish.call, session=wish.session, run=wish.run,
        until_ms=wish.until_ms,
    )  # fmt: skip
    request_store.add_request(connection, request)
    return request


def decide(
    connection: Connection, asker: Requester, ident: str, state: RequestState, note: str, now_ms: int
) -> tuple[RaiseRequest, Budget]:
    """Decide a request. What is approved is the budget's cap in the same transaction, unless that is higher already.

    Raises:
        Refused: ``budget.not_found``; ``budget.decided``, by whom; ``budget.not_payer``, who decides; ``budget.invalid``.
    """
    if len(note) > limits.BUDGET_WHY_CHARS:
        raise Refused("budget.invalid", f"note: {limits.BUDGET_WHY_CHARS} characters at most")
    request = request_store.find_request(connection, asker.tenant, ident)
    if request is None:
        raise Refused("budget.not_found", f"there is no request {ident!r:.80}", fix="See `holdfast budget requests`.")
    budget = _found(connection, asker.tenant, request.budget, active=state == "approved")
    _check_decider(asker, request, budget, state)
    decided = msgspec.structs.replace(request, state=state, decided_by=asker.actor, decided_ms=now_ms, note=note)
    if not request_store.decide(connection, decided):
        raise Refused("budget.decided", f"{request.decided_by or 'somebody'} has {request.state} it already")
    if state == "approved":
        raised = msgspec.structs.replace(
            budget, cap_nano=max(budget.cap_nano, request.to_nano), approved_by=asker.actor, approved_ms=now_ms
        )
        definition_store.put(connection, raised, f"raised: {request.id}", asker.actor, now_ms, budget)
        budget = raised
    return decided, budget


def decides(asker: Requester, budget: Budget) -> bool:
    """Whether somebody answers for a budget's payer."""
    return bool(budget.decider) and asker.actor == budget.decider


def _check_decider(asker: Requester, request: RaiseRequest, budget: Budget, state: RequestState) -> None:
    if state == "withdrawn":
        if asker.actor != request.by:
            raise Refused("budget.not_payer", f"only {request.by} withdraws what they asked for")
        return
    if decides(asker, budget) or (asker.may("budget") and asker.actor != request.by):
        return
    who = budget.decider or "somebody with the right to change budgets"
    own = ", and nobody decides for themselves" if asker.actor == request.by else ""
    raise Refused("budget.not_payer", f"{who} decides about {budget.name!r}{own}", decider=budget.decider)


def _found(connection: Connection, tenant: str, name_or_id: str, *, active: bool = True) -> Budget:
    found = definition_store.find(connection, tenant, name_or_id)
    if found is None or (active and found.ended_ms is not None):
        raise Refused("budget.not_found", f"there is no budget {name_or_id!r:.80}")
    return found
