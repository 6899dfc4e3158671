"""Names of the labels that the governance half reads. A label is a signed claim; it comes from a key or from a token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from holdfast.governance import limits
from holdfast.protocol.limits import TOKEN_SKEW_S
from holdfast.session import labels as session_labels

TEAM: Final = "team"
WORKFLOW: Final = "workflow"
TASK: Final = "task"
"""The type of task, such as ``summarise``."""
COST_CENTRE: Final = "cost_centre"
USAGE: Final = "usage"
"""Whether a person waits for the answer: ``seated`` or ``headless``."""
USER: Final = "user"
SIGN_IN: Final = session_labels.SIGN_IN
"""When a person signed in interactively, Unix seconds: written by a login, or by whoever signs tokens, and by nobody who is
given one."""
TEST: Final = "test"
"""``yes`` for work that counts for no gate: what is tried before a launch."""

NAMES: Final = frozenset({TEAM, WORKFLOW, TASK, COST_CENTRE, USAGE, USER, SIGN_IN, TEST})
"""All of them; a label of another name is a dimension of its own."""
SEATED: Final = "seated"
HEADLESS: Final = "headless"
USAGES: Final = (SEATED, HEADLESS)
INTERACTIVE: Final = "interactive"
"""Dimension of work that somebody waits for who signed in not long ago: ``yes``."""
UNASSIGNED: Final = "unassigned"
"""The workflow of what names none that is declared."""


def signed_in_s(claims: Mapping[str, str]) -> int | None:
    """When the label ``sign_in`` says that a person signed in, Unix seconds; None when it says nothing that can be read."""
    text = claims.get(SIGN_IN, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= limits.SIGN_IN_DIGITS else None


def is_interactive(claims: Mapping[str, str], at_ms: int) -> bool:
    """Whether work with these labels has a person behind it at a moment: one whose sign-in is recent, and not to come."""
    signed = signed_in_s(claims)
    return signed is not None and -TOKEN_SKEW_S <= at_ms / 1_000 - signed <= limits.INTERACTIVE_S
