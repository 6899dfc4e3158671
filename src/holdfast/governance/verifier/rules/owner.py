"""6.a: somebody answers for the workflow, and somebody else does when they are away. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from holdfast.governance.verifier.documents import DAY_MS, HOUR_MS, Row
from holdfast.governance.verifier.rules.judgement import Gap, Judgement, RuleCase, concluded, whole

MACHINES: Final = frozenset(
    [
        "service",
        "shared",
        "bot",
        "robot",
        "system",
        "machine",
        "application",
        "app",
        "daemon",
        "workload",
        "room",
        "equipment",
    ]
)
"""User types of what is no person, also with an s behind."""

WAYS: Final = ("user_name", "email", "address", "external_id", "login")
"""How somebody has a name, what has the last word first."""


def owner(case: RuleCase) -> Judgement:
    """6.a. Two different people, of the workflow's own unit and not of central IT, who work here, who are people, who said
    yes, and who were seen. What is proven is so also where the directory is not heard any more; that it was never heard, or is
    silent, is a gap."""
    workflow = next(iter(case.of("workflow")), None)
    if workflow is None:
        return Judgement("unknown", "there is no manifest", cause="missing")
    named = {role: str(workflow[role] or "") for role in ("owner", "deputy")}
    unit = str(workflow["unit"] or "")
    until_ms = _stands_in_until(case, named["owner"]) if not named["deputy"] else 0
    alone = until_ms > case.as_of_ms and bool(named["owner"])  # was the deputy of an owner who left, for some days
    people = {role: name for role, name in named.items() if name}
    accepted = {
        role: max(_accepted(case, one, name) for one in (named if alone else (role,))) for role, name in people.items()
    }
    violations, gaps = _proven_here(case, named, accepted, unit, alone), list[Gap]()
    spoke = {row["source"]: whole(row["at_ms"]) for row in case.of("directory")}
    of_people = [spoke.get(row["source"], 0) for row in case.of("people")]  # each is as old as what keeps them
    heard_ms = min(of_people, default=max(spoke.values(), default=0))
    if not any(spoke.values()):  # what people are there says nothing
        return concluded(violations, [Gap("missing", "no directory was ever heard")], "", None)
    if heard_ms == 0:
        gaps.append(Gap("missing", "somebody is in no directory that was heard"))
    elif case.as_of_ms - heard_ms > case.number("directory_h") * HOUR_MS:
        gaps.append(Gap("stale", "the directory is not heard any more"))
    found = {role: _people(case, name) for role, name in people.items()}
    for role, some in found.items():
        violations += _of_person(case, role, people[role], some, unit)
        if len(some) == 1 and not (unit and some[0]["unit"]):
            gaps.append(Gap("missing", f"the unit of the workflow or of its {role} is not known"))
    if len(found) == 2 and {one["id"] for one in found["owner"]} & {one["id"] for one in found["deputy"]}:
        violations.append("owner and deputy are one person")
    moments = [at_ms + case.number("accepted_days") * DAY_MS for at_ms in accepted.values()]
    moments += [_signed_in(case, name) + case.number("sign_in_days") * DAY_MS for name in people.values()]
    moments += [until_ms] if alone else []
    judged = concluded(violations, gaps, "they are there", None, min(moments, default=None))
    return judged._replace(n=len(people)) if judged.verdict == "pass" else judged


def _stands_in_until(case: RuleCase, owner: str) -> int:
    """Until when an owner needs no deputy, Unix ms: from when they stood in first for the same person who left."""
    rows = [row for row in case.of("succession") if str(row["after"]).casefold() == owner.casefold()]
    if not rows:
        return 0
    left = str(rows[-1]["before"]).casefold()
    first = min(whole(row["at_ms"]) for row in rows if str(row["before"]).casefold() == left)
    return first + case.number("succession_days") * DAY_MS


def _proven_here(
    case: RuleCase, named: Mapping[str, str], accepted: Mapping[str, int], unit: str, alone: bool
) -> list[str]:
    found = [f"there is no {role}" for role, name in named.items() if not name and not (alone and role == "deputy")]
    if named["owner"] and named["owner"].casefold() == named["deputy"].casefold():
        found.append("owner and deputy are one")
    central = {word.strip().casefold() for word in str(case.numbers.get("central_it", "")).split(",")} - {""}
    if case.number("own_unit") and unit.casefold() in central:
        found.append(f"{unit} is central IT")
    for role, at_ms in accepted.items():
        if not at_ms or case.as_of_ms - at_ms > case.number("accepted_days") * DAY_MS:
            found.append(f"{named[role]} has not said yes to be {role}, or too long ago")
    return found


def _of_person(case: RuleCase, role: str, name: str, people: Sequence[Row], unit: str) -> list[str]:
    if len(people) != 1:
        return [f"the directory has the {role} {name} {len(people)} times"]
    person, found = people[0], []
    if not person["active"]:
        found.append(f"the {role} {name} does not work here")
    if not _is_human(str(person["user_type"] or "")):
        found.append(f"the {role} {name} is no person")
    if unit and person["unit"] and str(person["unit"]).casefold() != unit.casefold():
        found.append(f"the {role} {name} is of another unit")
    if case.as_of_ms - _signed_in(case, name) > case.number("sign_in_days") * DAY_MS:
        found.append(f"the {role} {name} was not seen")
    return found


def _people(case: RuleCase, name: str) -> list[Row]:
    """Those whom a name may mean: of all who have it, those who have it in the first way that anybody does."""
    ids = _ids(case, name)
    return [row for row in case.of("people") if row["id"] in ids]


def answering_names(case: RuleCase, *people: str) -> set[str]:
    """Under which names owner and deputy may turn up: their own, and all that mean one of them alone."""
    found = {name.strip().casefold() for name in people if name.strip()}
    alone = [ids for name in people if len(ids := _ids(case, name)) == 1]
    return found | {str(row["name"]) for row in case.of("person_names") if _ids(case, str(row["name"])) in alone}


def _ids(case: RuleCase, name: str) -> set[int | str | None]:
    wanted = name.strip().casefold()
    having = [row for row in case.of("person_names") if row["name"] == wanted and row["kind"] in WAYS]
    first = min((WAYS.index(str(row["kind"])) for row in having), default=None)
    return {row["id"] for row in having if first is not None and row["kind"] == WAYS[first]}


def _accepted(case: RuleCase, role: str, name: str) -> int:
    rows = [
        row for row in case.of("acceptances") if (row["role"], str(row["person"]).casefold()) == (role, name.casefold())
    ]
    return max((whole(row["at_ms"]) for row in rows), default=0)


def _signed_in(case: RuleCase, name: str) -> int:
    """The last one, under this name and under others that are this person's alone."""
    found, last = _ids(case, name), 0
    for row in case.of("sign_ins"):
        other = str(row["person"])
        if other == name.strip().casefold() or (len(found) == 1 and _ids(case, other) == found):
            last = max(last, whole(row["at_ms"]))
    return last


def _is_human(user_type: str) -> bool:
    """A type of user is taken apart into its words: ``SharedMailbox`` has ``shared``."""
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", user_type)]
    return not any(word in MACHINES or word.removesuffix("s") in MACHINES for word in words)
