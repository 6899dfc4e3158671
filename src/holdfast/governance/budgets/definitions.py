"""What somebody asks a budget to be becomes the budget, or is refused by the name of the field. Pure."""

from __future__ import annotations

import difflib
import re
import zoneinfo
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, cast, get_args

import msgspec

from holdfast.errors import Refused
from holdfast.gateway.port import BrakePolicy
from holdfast.governance import limits, money
from holdfast.governance.budgets.model import IT, LEVELS, SPANS, BrakeRule, Budget, Level, Mode, Span, Strength

RUN: Final = "/run"
"""Ends the name of the budget that bounds each run below another one."""
SCOPES: Final[tuple[Level, ...]] = ("team", "workflow", "task", "user", "session")
"""What a budget can be of, by name."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]*(?:/run)?", re.ASCII)
_BRAKES: Final = get_args(BrakePolicy)
_COUNTING: Final = ("scope", "each", "span", "rolling_s", "zone")
"""Fields that say what is counted where; after a change of one, what was spent is counted again."""


class BudgetTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a budget is asked to be. None leaves a field as it is; of a new budget, as ``Budget`` says.

    Attributes:
        usd: the cap, US dollars as decimal text.
        per: in which window: ``day``, ``week``, ``month``, ``quarter``, ``year``, ``total``, ``rolling``.
        rolling_s: the length of one that rolls.
        scope: names by level (``SCOPES``); a person by name, who becomes a pseudonym before anything is kept.
        approved_by: the person of the payer's who agreed (``user:…``), as whoever sets it says.
        run_usd: the most that each run below it may cost: kept as a budget of its own, ``NAME/run``.
    """

    usd: str | None = None
    per: str | None = None
    rolling_s: int | None = None
    zone: str | None = None
    scope: dict[str, str] | None = None
    each: str | None = None
    strength: str | None = None
    mode: str | None = None
    payer: str | None = None
    decider: str | None = None
    alerts: tuple[int, ...] | None = None
    approved_by: str | None = None
    run_usd: str | None = None


class UnitNames(NamedTuple):
    """The names that an organisation has; ``described`` False: nobody has described it, and every name is taken."""

    described: bool = False
    teams: frozenset[str] = frozenset()
    workflows: frozenset[str] = frozenset()
    centres: frozenset[str] = frozenset()


class Setting(NamedTuple):
    """Who sets a budget, and when (Unix ms); ``id`` for a new one."""

    by: str
    now_ms: int
    id: str
    tenant: str = "default"


def check_name(name: str) -> str:
    """The name of a budget, when it can be one. Raises ``budget.invalid``."""
    if len(name) > limits.BUDGET_NAME_CHARS or not _NAME.fullmatch(name) or name.endswith(" "):
        detail = f"name {name!r:.80}: 1 to {limits.BUDGET_NAME_CHARS} letters, digits, spaces and . _ -"
        raise Refused("budget.invalid", detail)
    return name


def defined(name: str, terms: BudgetTerms, before: Budget | None, units: UnitNames, setting: Setting) -> Budget:
    """The budget as it is from now on.

    The payer's approval is of the cap as it stands: one that rises, or is counted or paid otherwise, has none until its
    decider sets it, or whoever sets it says who has agreed.

    Args:
        before: as it stands; None for a new one.

    Raises:
        Refused: ``budget.invalid``, naming the field.
    """
    old = before or Budget(
        id=setting.id, name=check_name(name), tenant=setting.tenant, since_ms=setting.now_ms, cap_nano=-1
    )
    budget = msgspec.structs.replace(
        old,
        cap_nano=old.cap_nano if terms.usd is None else nano_of(terms.usd, "usd"),
        scope=old.scope if terms.scope is None else _scope(terms.scope, units),
        each=old.each if terms.each is None else _each(terms.each),
        strength=cast(Strength, _one_of("strength", terms.strength, ("hard", "soft"), old.strength)),
        mode=cast(Mode, _one_of("mode", terms.mode, ("observe", "enforce"), old.mode)),
        payer=old.payer if terms.payer is None else _payer(terms.payer, units),
        decider=old.decider if terms.decider is None else person(terms.decider, "decider"),
        alerts=old.alerts if terms.alerts is None else _alerts(terms.alerts),
        set_by=setting.by,
        set_ms=setting.now_ms,
        **_window(terms, old),
    )
    if budget.cap_nano < 0:
        raise Refused("budget.invalid", "usd: a new budget needs an amount", fix="Say it, such as --usd 25.")
    if budget.each in budget.scope:
        raise Refused("budget.invalid", f"each: one {budget.each} is named already, so there are no several")
    return _approved(budget, before, terms.approved_by, setting)


def counted_otherwise(before: Budget | None, after: Budget) -> bool:
    """Whether what was spent has to be counted again."""
    return before is None or any(getattr(before, name) != getattr(after, name) for name in _COUNTING)


def run_ceiling(parent: Budget, usd: str) -> tuple[str, BudgetTerms]:
    """The name and the terms of the budget that bounds each run below another one: the same, for each run, for ever."""
    own = BudgetTerms(
        usd=usd, per="total", scope=parent.scope, each="run", strength=parent.strength, mode=parent.mode,
        payer=parent.payer, decider=parent.decider, alerts=(),
    )  # fmt: skip
    return f"{parent.name.removesuffix(RUN)}{RUN}", own


def brake_rule(workflow: str, policy: str, wait_s: int, units: UnitNames, setting: Setting) -> BrakeRule:
    """What becomes of a workflow's running answers. Raises ``budget.invalid``."""
    checked = cast(BrakePolicy, _one_of("policy", policy, _BRAKES, "error"))
    if not limits.BUDGET_WAIT_LEAST_S <= wait_s <= limits.BUDGET_WAIT_MOST_S:
        bounds = f"{limits.BUDGET_WAIT_LEAST_S} to {limits.BUDGET_WAIT_MOST_S} seconds"
        raise Refused("budget.invalid", f"wait {wait_s}: {bounds}; programs wait for ten minutes at most")
    _check_unit("workflow", workflow, units.workflows, units)
    return BrakeRule(workflow, checked, wait_s, setting.by, setting.now_ms)


def nano_of(usd: str, field: str) -> int:
    """Nano-USD of an amount of zero or more. Raises ``budget.invalid``, naming the field."""
    try:
        nano = money.parse(usd)
    except Refused as error:
        raise Refused("budget.invalid", f"{field}: {error.detail}", fix="Write dollars, such as 25 or 0.5.") from None
    if nano < 0:
        raise Refused("budget.invalid", f"{field} {usd}: nobody can spend less than nothing")
    return nano


def person(actor: str, field: str) -> str:
    """``user:…``, or empty for nobody. Raises ``budget.invalid``."""
    name = actor.removeprefix("user:")
    if actor and (not actor.startswith("user:") or not 0 < len(name) <= limits.ORG_NAME_CHARS):
        raise Refused("budget.invalid", f"{field} {actor!r:.80}: a person, such as user:ann")
    return actor


def _approved(budget: Budget, before: Budget | None, approved_by: str | None, setting: Setting) -> Budget:
    if approved_by:
        named = person(approved_by, "approved_by")
        if budget.decider and named != budget.decider:
            raise Refused("budget.invalid", f"approved_by {named}: {budget.decider} decides for the payer")
        return msgspec.structs.replace(budget, approved_by=named, approved_ms=setting.now_ms)
    if budget.decider and budget.decider == setting.by:
        return msgspec.structs.replace(budget, approved_by=setting.by, approved_ms=setting.now_ms)
    stands = (
        before is not None
        and budget.cap_nano <= before.cap_nano
        and budget.payer == before.payer
        and not counted_otherwise(before, budget)
    )
    return budget if stands else msgspec.structs.replace(budget, approved_by="", approved_ms=0)


def _window(terms: BudgetTerms, old: Budget) -> dict[str, Any]:
    span = cast(Span, _one_of("per", terms.per, SPANS, old.span))
    rolling_s = old.rolling_s if terms.rolling_s is None else terms.rolling_s
    if span == "rolling":
        if not limits.BUDGET_ROLLING_LEAST_S <= rolling_s <= limits.BUDGET_ROLLING_MOST_S:
            least, most = limits.BUDGET_ROLLING_LEAST_S, limits.BUDGET_ROLLING_MOST_S
            raise Refused("budget.invalid", f"rolling {rolling_s}: {least:,} to {most:,} seconds")
    elif terms.rolling_s:
        raise Refused("budget.invalid", "rolling: only a window that rolls has a length", fix="Say --per rolling.")
    else:
        rolling_s = 0
    zone = old.zone if terms.zone is None else terms.zone
    if zone:
        try:
            zoneinfo.ZoneInfo(zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise Refused("budget.invalid", f"zone {zone!r:.80}: there is no such zone, such as Asia/Tokyo") from None
    return {"span": span, "rolling_s": rolling_s, "zone": zone}


def _scope(scope: Mapping[str, str], units: UnitNames) -> dict[str, str]:
    for level, name in scope.items():
        if level not in SCOPES:
            raise Refused("budget.invalid", f"scope {level!r:.40}: {', '.join(SCOPES)}")
        if not 0 < len(name) <= limits.ORG_NAME_CHARS or not name.isprintable():
            raise Refused("budget.invalid", f"{level}: a name of 1 to {limits.ORG_NAME_CHARS} characters")
    _check_unit("team", scope.get("team", ""), units.teams, units)
    _check_unit("workflow", scope.get("workflow", ""), units.workflows, units)
    return {level: scope[level] for level in SCOPES if level in scope}


def _each(each: str) -> Any:
    levels = tuple(level for level in LEVELS if level != "organisation")
    return _one_of("each", each, levels, "") if each else ""


def _payer(payer: str, units: UnitNames) -> str:
    if payer != IT:
        if not 0 < len(payer) <= limits.ORG_NAME_CHARS:
            raise Refused("budget.invalid", "payer: it, or the name of a cost centre")
        _check_unit("payer", payer, units.centres, units, "cost centre")
    return payer


def _check_unit(field: str, name: str, names: frozenset[str], units: UnitNames, kind: str = "") -> None:
    if not name or not units.described or name in names:
        return
    close = difflib.get_close_matches(name, names, 1)
    hint = f"; it has {close[0]!r}" if close else ""
    detail = f"{field} {name!r:.80}: the organisation has no such {kind or field}{hint}"
    raise Refused("budget.invalid", detail, fix="Describe it with `holdfast org import FILE`.")


def _one_of(field: str, value: str | None, allowed: Sequence[str], default: str) -> str:
    if value is None:
        return default
    if value not in allowed:
        raise Refused("budget.invalid", f"{field} {value!r:.40}: {', '.join(allowed)}")
    return value


def _alerts(alerts: Sequence[int]) -> tuple[int, ...]:
    if len(alerts) > limits.BUDGET_THRESHOLDS:
        raise Refused("budget.invalid", f"alert: {limits.BUDGET_THRESHOLDS} percentages at most")
    if any(not 1 <= each <= limits.BUDGET_THRESHOLD_PERCENT for each in alerts) or len(set(alerts)) < len(alerts):
        most = limits.BUDGET_THRESHOLD_PERCENT
        raise Refused("budget.invalid", f"alert: percentages of the cap from 1 to {most:,}, each once")
    return tuple(sorted(alerts))
