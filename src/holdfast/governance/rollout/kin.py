"""Rule 7: workflows that share a credential or a prompt are also judged as one. Pure.

Who divides a workflow in two, or begins it again under another name, has one workflow still: what one of them is proven to do
wrong is the others' too. What is unknown of one makes nothing unknown of another, and what passes makes nothing pass.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from holdfast.governance.rollout.gate import Gate
from holdfast.governance.rollout.model import Evidence, Ruling, fails

KIN: Final = "kin"
"""The evidence of it: a row for each of the others and each gate that its own rows make a fail."""
_EMPTY: Final = hashlib.sha256(b"").hexdigest()
_SHOWN: Final = 12
"""Of a hash, for people."""


class Bond(NamedTuple):
    """Something that several workflows have.

    Attributes:
        kind: ``credential`` or ``prompt``.
        name: the key's id, or the prompt's hash.
    """

    kind: str
    name: str

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.kind} {self.name[:_SHOWN]}"


def bonds(keys: Iterable[tuple[str, str]], prompts: Mapping[str, Iterable[str]]) -> dict[str, dict[str, Bond]]:
    """Which workflows are one, and by what; a workflow that shares nothing is left out.

    Args:
        keys: the id of a gateway key, and a workflow that called with it.
        prompts: hashes of prompts by workflow, of those that work. The hash of nothing is nobody's.

    Returns:
        by workflow, the others and what they were reached by: whoever shares with somebody who shares is one with both.
    """
    users: dict[Bond, set[str]] = {}
    for key, workflow in keys:
        if key and workflow:
            users.setdefault(Bond("credential", key), set()).add(workflow)
    for workflow, hashes in prompts.items():
        for one in hashes:
            if one != _EMPTY:
                users.setdefault(Bond("prompt", one), set()).add(workflow)
    shared = {bond: some for bond, some in sorted(users.items()) if len(some) > 1}
    return {workflow: _reached(workflow, shared) for workflow in sorted(set().union(*shared.values()))}


def _reached(workflow: str, shared: Mapping[Bond, set[str]]) -> dict[str, Bond]:
    found: dict[str, Bond] = {}
    left = [workflow]
    while left:
        one = left.pop()
        for bond, some in shared.items():
            if one in some:
                new = sorted(some - found.keys() - {workflow})
                found.update(dict.fromkeys(new, bond))
                left.extend(new)
    return dict(sorted(found.items()))


def as_one(gate: Gate, ruling: Ruling, evidence: Evidence) -> Ruling:
    """A ruling, or that of the first of the others that fails where it does not itself."""
    if KIN not in gate.queries or ruling.verdict == "fail":
        return ruling
    for row in evidence[KIN].rows:
        if row["gate"] == gate.name:
            return fails(
                int(row["n"] or 0),
                f"it shares {row['shares']} with {row['workflow']}, and that fails: {row['reason']}",
                f"Mend it in {row['workflow']}, or let the two share nothing",
            )
    return ruling
