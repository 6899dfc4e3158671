"""What a change to the organisation changes: the periods after it, a line for people to read, and what is wrong with it. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence

import msgspec

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.organisation.model import STAGES, Period, Tree, Unit, UnitKind, Workflow

Key = tuple[UnitKind, str]


class Described(msgspec.Struct, frozen=True):
    """What somebody says of an organisation: units, and of workflows who answers for them."""

    units: tuple[Unit, ...] = ()
    workflows: tuple[Workflow, ...] = ()


class ChangeLine(msgspec.Struct, frozen=True):
    """One line of what would change.

    Attributes:
        action: ``add``, ``change`` or ``end``.
        fields: of what changes: before and after; empty for what is added or ended.
    """

    action: str
    kind: UnitKind
    name: str
    fields: dict[str, tuple[str, str]] = {}


class Plan(msgspec.Struct, frozen=True):
    """A change that can be made: the new periods of each unit it touches, the workflows it sets, and its lines."""

    since_ms: int
    timelines: dict[Key, tuple[Period, ...]] = {}
    workflows: tuple[Workflow, ...] = ()
    differences: tuple[ChangeLine, ...] = ()


def placed(timeline: Sequence[Period], unit: Unit | None, since_ms: int, by: str, now_ms: int) -> tuple[Period, ...]:
    """The periods of a unit once it stands otherwise from a moment on; None: is not there any more.

    What was said for a later time stays: the new period ends where the one it replaces ended, or the next one begins.
    """
    here = next((period for period in timeline if period.holds(since_ms)), None)
    later = [period for period in timeline if period.since_ms > since_ms]
    before = [
        period if period.until_ms is not None and period.until_ms <= since_ms else _until(period, since_ms)
        for period in timeline
        if period.since_ms < since_ms
    ]
    if unit is None:
        return (*before, *later)
    until_ms = here.until_ms if here is not None else None
    if until_ms is None and later:
        until_ms = later[0].since_ms
    return (*before, Period(unit, since_ms, until_ms, by, now_ms), *later)


def _until(period: Period, until_ms: int) -> Period:
    return msgspec.structs.replace(period, until_ms=until_ms)


def plan(
    tree: Tree,
    workflows: Iterable[Workflow],
    wanted: Described,
    since_ms: int,
    *,
    by: str,
    now_ms: int,
    complete: bool = False,
) -> Plan:
    """What becomes of a tree when from a moment on it is as described.

    Args:
        workflows: those that are known.
        complete: units that are not described end, people only where any are described; else they stay as they are.

    Raises:
        Refused: ``org.invalid``, naming the unit and what is wrong with it.
    """
    timelines: dict[Key, tuple[Period, ...]] = {}
    lines: list[ChangeLine] = []
    names = _names(wanted)
    ended = {"cost_centre", "team", "workflow", *({"user"} if any(kind == "user" for kind, _ in names) else ())}
    for unit in wanted.units:
        _check(unit)
        old = tree.find(unit.kind, unit.name, since_ms)
        if old != unit:
            key = (unit.kind, unit.name)
            timelines[key] = placed(tree.timelines.get(key, ()), unit, since_ms, by, now_ms)
            lines.append(_difference(old, unit))
    if complete:
        for unit in list(tree.at(since_ms)):
            if unit.kind in ended and (unit.kind, unit.name) not in names:
                key = (unit.kind, unit.name)
                timelines[key] = placed(tree.timelines[key], None, since_ms, by, now_ms)
                lines.append(ChangeLine("end", unit.kind, unit.name))
    new = Tree(period for timeline in ({**tree.timelines, **timelines}).values() for period in timeline)
    for moment in sorted({since_ms, *_boundaries(new, since_ms)}):
        _check_tree(new, moment, names)
    described, more = _workflows(workflows, wanted, now_ms)
    touched = {(line.kind, line.name) for line in lines}
    lines += [line for line in more if (line.kind, line.name) not in touched]
    return Plan(since_ms, timelines, tuple(described), tuple(lines))


def _names(wanted: Described) -> set[Key]:
    names: set[Key] = set()
    for unit in wanted.units:
        if (unit.kind, unit.name) in names:
            raise Refused("org.invalid", f"{unit.kind} {unit.name!r:.140} is described twice")
        names.add((unit.kind, unit.name))
    return names


def _difference(old: Unit | None, new: Unit) -> ChangeLine:
    if old is None:
        return ChangeLine("add", new.kind, new.name)
    before, after = msgspec.structs.asdict(old), msgspec.structs.asdict(new)
    fields = {name: (_text(before[name]), _text(after[name])) for name in after if before[name] != after[name]}
    return ChangeLine("change", new.kind, new.name, fields)


def _text(value: object) -> str:
    return ", ".join(f"{k}={v}" for k, v in sorted(value.items())) if isinstance(value, dict) else str(value)


def _workflows(present: Iterable[Workflow], wanted: Described, now_ms: int) -> tuple[list[Workflow], list[ChangeLine]]:
    there = {workflow.name: workflow for workflow in present}
    changed: list[Workflow] = []
    lines: list[ChangeLine] = []
    for workflow in wanted.workflows:
        if workflow.stage not in STAGES:
            raise Refused("org.invalid", f"workflow {workflow.name!r:.140}: stage is chat, pilot or stateful")
        if workflow.owner and workflow.owner == workflow.deputy:
            raise Refused("org.invalid", f"workflow {workflow.name!r:.140}: its owner cannot be its own deputy")
        old = there.get(workflow.name)
        new = msgspec.structs.replace(workflow, first_ms=old.first_ms if old else now_ms, last_ms=now_ms)
        fields = {
            name: (str(getattr(old, name)), str(getattr(new, name)))
            for name in ("owner", "deputy", "stage", "declared")
            if old is not None and getattr(old, name) != getattr(new, name)
        }
        if old is None or fields:
            changed.append(new)
            lines.append(ChangeLine("add" if old is None else "change", "workflow", new.name, fields))
    return changed, lines


def _boundaries(tree: Tree, since_ms: int) -> Iterator[int]:
    for timeline in tree.timelines.values():
        yield from (period.since_ms for period in timeline if period.since_ms > since_ms)
        yield from (
            period.until_ms for period in timeline if period.until_ms is not None and period.until_ms > since_ms
        )


def _check(unit: Unit) -> None:
    where = f"{unit.kind} {unit.name!r:.140}"
    if (
        not 1 <= len(unit.name) <= limits.ORG_NAME_CHARS
        or not unit.name.isprintable()
        or unit.name != unit.name.strip()
    ):
        raise Refused(
            "org.invalid", f"{where}: a name is a text of 1 to {limits.ORG_NAME_CHARS} characters in one line"
        )
    if len(unit.title) > limits.ORG_NAME_CHARS:
        raise Refused("org.invalid", f"{where}: its title is longer than {limits.ORG_NAME_CHARS} characters")
    if len(unit.tags) > limits.ORG_TAGS:
        raise Refused("org.invalid", f"{where}: more than {limits.ORG_TAGS} tags")
    for name, value in unit.tags.items():
        if not 1 <= len(name) <= limits.ORG_NAME_CHARS or len(value) > limits.ORG_TAG_CHARS:
            raise Refused("org.invalid", f"{where}: tag {name!r:.140} is too long")


def _check_tree(tree: Tree, at_ms: int, names: Container[Key]) -> None:
    """Whether every unit stands below one that is there; people whose team went away are in none. Raises ``org.invalid``."""
    for unit in tree.at(at_ms):
        if unit.kind == "user" and (unit.kind, unit.name) not in names:
            continue
        where = f"{unit.kind} {unit.name!r:.140}"
        if unit.parent and tree.find("team", unit.parent, at_ms) is None:
            raise Refused("org.invalid", f"{where} is in team {unit.parent!r:.140}, which is not there then")
        if unit.cost_centre and tree.find("cost_centre", unit.cost_centre, at_ms) is None:
            raise Refused(
                "org.invalid", f"{where} names cost centre {unit.cost_centre!r:.140}, which is not there then"
            )
        if unit.kind == "team":
            chain = tree.teams(unit.name, at_ms)
            if len(chain) == limits.ORG_DEPTH and chain[-1].parent:
                raise Refused("org.invalid", f"{where} is in itself, or more than {limits.ORG_DEPTH} teams deep")
