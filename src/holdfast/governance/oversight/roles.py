"""Roles of the console: names for sets of rights. A role is looked up when a token is made, and stands in no token. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

Role = Literal["owner", "operator", "finops", "auditor"]

ROLES: Final[Mapping[Role, frozenset[str]]] = {
    "owner": frozenset({"read", "append", "control", "approve", "presence", "spend", "waive"}),
    "operator": frozenset({"read", "control", "presence", "admin", "spend", "budget"}),
    "finops": frozenset({"spend", "budget", "catalogue"}),
    "auditor": frozenset({"read", "spend", "audit"}),
}
"""What each role may do.

- owner: answers for workflows; works in sessions, decides approvals, lets a rule be passed over, sees what it costs;
- operator: keeps the platform running; creates and revokes keys, stops runs. Sets no prices and waives nothing;
- finops: sees all spend, says who may spend, proposes and approves prices. Reads no conversation;
- auditor: reads everything and changes nothing.
"""
WRITING: Final = frozenset(
    {"append", "control", "approve", "presence", "admin", "record", "budget", "catalogue", "waive"}
)
"""Rights with which something can be changed, or somebody seen."""


def verbs_of(roles: Iterable[Role]) -> list[str]:
    """The rights of somebody with several roles, sorted."""
    return sorted(frozenset().union(*(ROLES[role] for role in roles)))
