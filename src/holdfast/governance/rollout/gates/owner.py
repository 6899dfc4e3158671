"""Gate 6.a: somebody answers for the workflow. A person, of its own unit, who said yes, and a deputy who is another one."""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from holdfast.governance.directory.model import DirectoryPerson, name_key
from holdfast.governance.directory.names import resolve_ids
from holdfast.governance.rollout.gate import Gate
from holdfast.governance.rollout.model import (
    DAY_MS,
    Evidence,
    GateScope,
    Ruling,
    Thresholds,
    fails,
    passes,
    unknown,
)


def decide(evidence: Evidence, scope: GateScope, thresholds: Thresholds) -> Ruling:
    """Whether owner and deputy are there.

    A shared mailbox that is called an owner fails by what nobody can do with it: sign in as a person.
    """
    current = evidence["workflow"].rows
    if not current:
        return unknown("missing", "the workflow has no manifest", "Write one: holdfast workflow init")
    row = current[0]
    owner, deputy = str(row["owner"] or ""), str(row["deputy"] or "")
    if not owner:
        return fails(0, "nobody owns the workflow", "Name an owner in the manifest, and apply it")
    stands_in = _stands_in(evidence, thresholds, owner) if not deputy else None
    if not deputy and (stands_in is None or stands_in.until_ms <= scope.as_of_ms):
        return fails(1, f"{owner} has no deputy", "Name a deputy in the manifest, and apply it")
    if owner.casefold() == deputy.casefold():
        return fails(1, f"{owner} is the deputy, too", "Name somebody else as deputy")
    unit, silent = str(row["unit"] or ""), [*_directory(evidence, scope, thresholds)]
    unheard = not any(one["at_ms"] for one in evidence["directory"].rows)
    found, expiries = [*_central(thresholds, unit), *silent], []
    for role, name in (("owner", owner), ("deputy", deputy)) if deputy else (("owner", owner),):
        roles = ("owner", "deputy") if stands_in is not None else (role,)
        found += _accepting(evidence, scope, thresholds, roles, name)
        if not unheard:
            found += _standing(evidence, scope, thresholds, role, name, unit)
        expiries.append(_accepted_ms(evidence, roles, name) + int(thresholds["accepted_days"]) * DAY_MS)
        expiries.append(_signed_in_ms(evidence, name) + int(thresholds["sign_in_days"]) * DAY_MS)
    found += _one_person(evidence, owner, deputy) if deputy and not unheard else ()
    proven = [one for one in found if one.verdict == "fail"]
    for problem in (*proven, *found):
        return problem
    if stands_in is not None:
        day = datetime.datetime.fromtimestamp(stands_in.until_ms / 1_000, zoneinfo.ZoneInfo(scope.zone))
        expiries.append(stands_in.until_ms)
        return passes(1, f"{owner} stands in for {stands_in.person} until {day:%Y-%m-%d}", min(expiries))
    return passes(2, f"{owner} owns it, {deputy} is deputy", min(expiries))


class _StandIn(NamedTuple):
    """Until when an owner needs no deputy, for they were the deputy of somebody who left."""

    person: str
    until_ms: int


def _stands_in(evidence: Evidence, thresholds: Thresholds, owner: str) -> _StandIn | None:
    """The days count from when the deputy stood in for that person first: applying the manifest with the name of who left
    again does not begin them anew."""
    rows = [row for row in evidence["succession"].rows if str(row["after"]).casefold() == owner.casefold()]
    if not rows:
        return None
    person = str(rows[-1]["before"])
    same = [int(row["at_ms"] or 0) for row in rows if str(row["before"]).casefold() == person.casefold()]
    return _StandIn(person, min(same) + int(thresholds["succession_days"]) * DAY_MS)


def _directory(evidence: Evidence, scope: GateScope, thresholds: Thresholds) -> Iterator[Ruling]:
    """Each is as old as the directory that keeps them: a file makes nobody fresher whom SCIM keeps, nor SCIM whom only a login
    has shown."""
    spoke_ms = {str(one["source"]): int(one["at_ms"] or 0) for one in evidence["directory"].rows}
    of_people = [spoke_ms.get(str(one["source"]), 0) for one in evidence["people"].rows]
    last_ms = min(of_people, default=max(spoke_ms.values(), default=0))
    age_ms = scope.as_of_ms - last_ms
    if not last_ms:
        who = next((str(one["user_name"]) for one in evidence["people"].rows if one["source"] not in spoke_ms), "")
        reason = f"{who} logged in, and no directory has them" if spoke_ms else "no directory says who is who"
        yield unknown(
            "missing", reason, f"Have it bring {who}" if spoke_ms else "Connect one: holdfast directory token"
        )
    elif age_ms > int(thresholds["directory_h"]) * 3_600_000:
        yield unknown("stale", f"the directory was silent for {age_ms // 3_600_000} hours", "Look at its provisioning")


def _accepting(
    evidence: Evidence, scope: GateScope, thresholds: Thresholds, roles: Sequence[str], name: str
) -> Iterator[Ruling]:
    """Whether somebody took on one of these roles, the first of which they have."""
    role, accepted = roles[0], _accepted_ms(evidence, roles, name)
    if not accepted:
        yield fails(1, f"{name} did not accept to be {role}", f"Ask {name} to accept: holdfast workflow accept")
    elif scope.as_of_ms - accepted > int(thresholds["accepted_days"]) * DAY_MS:
        yield fails(1, f"{name} accepted to be {role} too long ago", f"Ask {name} to accept again")


def _standing(
    evidence: Evidence, scope: GateScope, thresholds: Thresholds, role: str, name: str, unit: str
) -> Iterator[Ruling]:
    """What the directory says of somebody."""
    ids = _ids(evidence, name)
    people = [one for one in evidence["people"].rows if one["id"] in ids]
    if len(people) != 1:
        count = "twice" if people else "not"
        yield fails(1, f"the {role} {name} is {count} in the directory", f"Name a {role} whom the directory has once")
        return
    person = people[0]
    if not person["active"]:
        yield fails(1, f"the {role} {name} has left", f"Name another {role}")
    if not DirectoryPerson(id="", user_name=name, user_type=str(person["user_type"] or "")).human:
        yield fails(1, f"the {role} {name} is no person", f"Name a person as {role}")
    yield from _unit(role, name, str(person["unit"] or ""), unit)
    signed_in = _signed_in_ms(evidence, name)
    if scope.as_of_ms - signed_in > int(thresholds["sign_in_days"]) * DAY_MS:
        since = "never" if not signed_in else f"not for {(scope.as_of_ms - signed_in) // DAY_MS} days"
        yield fails(1, f"{name} signed in {since}", f"Ask {name} to sign in to the console")


def _central(thresholds: Thresholds, unit: str) -> Iterator[Ruling]:
    """Whatever a directory says: a manifest that names another unit while it is down must not live on what stood."""
    central = {word.strip().casefold() for word in str(thresholds["central_it"]).split(",")} - {""}
    if unit.casefold() in central and thresholds["own_unit"]:
        yield fails(1, f"{unit} is central IT", "Let the business unit that uses the workflow own it")


def _one_person(evidence: Evidence, owner: str, deputy: str) -> Iterator[Ruling]:
    """One who is named by user name here and by address there, or may be."""
    if {*_ids(evidence, owner)} & {*_ids(evidence, deputy)}:
        yield fails(1, f"{owner} and {deputy} are one person", "Name somebody else as deputy")


def _unit(role: str, name: str, theirs: str, unit: str) -> Iterator[Ruling]:
    if not unit or not theirs:
        who = name if unit else "the workflow"
        yield unknown("missing", f"the unit of {who} is not known", "Say it in the manifest, or in the directory")
        return
    if theirs.casefold() != unit.casefold():
        yield fails(1, f"the {role} {name} is of {theirs}, the workflow of {unit}", f"Name a {role} of {unit}")


def _ids(evidence: Evidence, name: str) -> list[str]:
    """Ids of those whom a name may mean: one is that person."""
    key = name_key(name)
    return resolve_ids(
        (str(one["kind"]), str(one["id"])) for one in evidence["person_names"].rows if one["name"] == key
    )


def _accepted_ms(evidence: Evidence, roles: Sequence[str], name: str) -> int:
    rows = evidence["acceptances"].rows
    return max(
        (int(one["at_ms"] or 0) for one in rows if one["role"] in roles and str(one["person"]).casefold() == name.casefold()),
        default=0,
    )  # fmt: skip


def _signed_in_ms(evidence: Evidence, name: str) -> int:
    """Under any name that means this person and nobody else."""
    ids = _ids(evidence, name)

    def is_theirs(person: str) -> bool:
        return person == name_key(name) or (len(ids) == 1 and _ids(evidence, person) == ids)

    rows = evidence["sign_ins"].rows
    return max((int(one["at_ms"] or 0) for one in rows if is_theirs(str(one["person"]))), default=0)


GATE: Final = Gate(
    "6.a", "an owner and a deputy", ("L", "R"),
    queries=("workflow", "directory", "people", "person_names", "acceptances", "sign_ins", "succession"),
    thresholds={"directory_h": 24, "accepted_days": 180, "sign_in_days": 30, "succession_days": 14, "own_unit": 1, "central_it": "it,central-it"},
    decide=decide, who="sponsor", effect="the workflow may be launched, and keeps running",
)  # fmt: skip
