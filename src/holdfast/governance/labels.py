"""Names of the labels that the governance half reads. A label is a signed claim; it comes from a key or from a token."""

from __future__ import annotations

from typing import Final

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
UNASSIGNED: Final = "unassigned"
"""The workflow of what names none that is declared."""
