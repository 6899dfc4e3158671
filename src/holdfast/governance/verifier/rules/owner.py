"""6.a: somebody answers for the workflow, and somebody else does when they are away. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
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


def owner(case: RuleCase) -> Judgement:
    """6.a. Two different people, of the workflow's own unit and not of central IT, who work here, who are people, who said
    yes, and who were seen. What is proven is so also where the directory is not heard any more; that it was never heard, or is
    silent, is a gap."""
    workflow = next(iter(case.of("workflow")), None)
    if workflow is None:
        return Judgement("unknown", "there is no manifest", cause="missing")
    roles = {role: str(workflow[role] or "") for role in ("owner", "deputy")}
    unit = str(workflow["unit"] or "")
    violations, gaps = _proven_here(case, roles, unit), list[Gap]()
    heard_ms = max((whole(row["at_ms"]) for row in case.of("directory")), default=0)
    if heard_ms == 0:  # what people are there says nothing
        return concluded(violations, [Gap("missing", "no directory was ever heard")], "", None)
    if case.as_of_ms - heard_ms > case.number("directory_h") * HOUR_MS:
        gaps.append(Gap("stale", "the directory is not heard any more"))
    found = {role: _people(case, name) for role, name in roles.items()}
    for role, people in found.items():
        violations += _of_person(case, role, roles[role], people, unit)
        if len(people) == 1 and not (unit and people[0]["unit"]):
            gaps.append(Gap("missing", f"the unit of the workflow or of its {role} is not known"))
    if {one["id"] for one in found["owner"]} & {one["id"] for one in found["deputy"]}:
        violations.append("owner and deputy are one person")
    moments = [_accepted(case, role, name) + case.number("accepted_days") * DAY_MS for role, name in roles.items()]
    moments += [_signed_in(case, name) + case.number("sign_in_days") * DAY_MS for name in roles.values()]
    judged = concluded(violations, gaps, "both are there", None, min(moments))
    return judged._replace(n=2) if judged.verdict == "pass" else judged


def _proven_here(case: RuleCase, roles: dict[str, str], unit: str) -> list[str]:
    found = [f"there is no {role}" for role, name in roles.items() if not name]
    if not found and roles["owner"].casefold() == roles["deputy"].casefold():
        found.append("owner and deputy are one")
    central = {word.strip().casefold() for word in str(case.numbers.get("central_it", "")).split(",")} - {""}
    if case.number("own_unit") and unit.casefold() in central:
        found.append(f"{unit} is central IT")
    for role, name in roles.items():
        said_ms = _accepted(case, role, name)
        if not said_ms or case.as_of_ms - said_ms > case.number("accepted_days") * DAY_MS:
            found.append(f"{name} has not said yes to be {role}, or too long ago")
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
    wanted = name.casefold()
    return [
        row for row in case.of("people") if wanted in {str(row[field] or "").casefold() for field in ("user_name", "email")}
    ]  # fmt: skip


def _accepted(case: RuleCase, role: str, name: str) -> int:
    rows = [
        row for row in case.of("acceptances") if (row["role"], str(row["person"]).casefold()) == (role, name.casefold())
    ]
    return max((whole(row["at_ms"]) for row in rows), default=0)


def _signed_in(case: RuleCase, name: str) -> int:
    rows = [row for row in case.of("sign_ins") if str(row["person"]).casefold() == name.casefold()]
    return max((whole(row["at_ms"]) for row in rows), default=0)


def _is_human(user_type: str) -> bool:
    """A type of user is taken apart into its words: ``SharedMailbox`` has ``shared``."""
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", user_type)]
    return not any(word in MACHINES or word.removesuffix("s") in MACHINES for word in words)
