"""What a second owner would do: the hours that are missing, as the description of a role. Pure."""

from __future__ import annotations

from typing import Final

from holdfast.governance.inbox.handling import KindLoad, OwnerLoad
from holdfast.governance.inbox.port import Answerable

WORDS: Final = {
    "gate": "mend gates of the plan", "alarm": "answer alarms of production", "budget": "decide requests for more money",
    "accept": "renew who answers for it", "people": "see that somebody answers for it", "waiver": "settle waivers before they end",
    "idea": "judge new ideas", "approval": "decide approvals that wait in sessions", "work": "look at answers that people edited or asked again",
    "tool": "mend tools that fail",
}  # fmt: skip
"""What the items of a family are, as a task."""


def hours(minutes: int) -> str:
    """Minutes as hours, to a tenth."""
    return f"{minutes / 60:.1f} h"


def role_brief(facts: Answerable, load: OwnerLoad) -> str:
    """The role, in plain text: whom the workflow needs, for how many hours a week, and for what."""
    name = facts.workflow
    if not load.kinds:
        return f"{name}: nothing came in four weeks; nobody else is needed."
    lines = [
        f"{name}: {hours(load.needed_minutes)} a week are needed, {hours(load.allotted_minutes)} are allotted.",
    ]
    if load.short_minutes:
        who = "a second owner" if facts.deputy else "a deputy"
        lines.append(f"{who[0].upper()}{who[1:]} for {hours(load.short_minutes)} a week would:")
    else:
        lines.append("That is enough. What it is:")
    lines += [f"- {_task(kind)}" for kind in load.kinds]
    if load.short_minutes:
        beside = " and ".join(one for one in (facts.owner, facts.deputy) if one)
        lines.append(
            f"The person is of the workflow's own unit, accepts the role by name, and works beside {beside or 'nobody yet'}."
        )
    return "\n".join(lines)


def _task(one: KindLoad) -> str:
    task = WORDS.get(one.kind, one.kind)
    how = f"measured on {one.measured}" if one.measured else "declared"
    return f"{task}: {one.items} in four weeks, {one.minutes} minutes each ({how})"
