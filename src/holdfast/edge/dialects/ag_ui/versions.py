"""The versions of AG-UI that are supported, in one table.

A client says which it speaks: from 1.0 on in ``protocolVersion`` of its input, any client in ``?version=`` of the address.
Without either it is taken for 0.0.59, the newest version whose input names none.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from holdfast.errors import Refused


class Version(NamedTuple):
    """What a version of AG-UI has.

    Attributes:
        name: as in the table below.
        declared: ``protocolVersion`` of RUN_STARTED, or empty where there is no such field.
        subagents: whether SUBAGENT_* and ``subagentRunId`` exist; else sub-runs are sent as CUSTOM.
        outcomes: whether RUN_FINISHED may be ``cancelled`` and name pending tool calls; else a cancel is a RUN_ERROR.
    """

    name: str
    declared: str
    subagents: bool
    outcomes: bool


VERSIONS: Final = {
    version.name: version
    for version in (
        Version("1.0", declared="1.0", subagents=True, outcomes=True),
        Version("0.0.59", declared="", subagents=True, outcomes=False),
        Version("0.0.57", declared="", subagents=False, outcomes=False),
    )
}
NEWEST: Final = VERSIONS["1.0"]
UNDECLARED: Final = VERSIONS["0.0.59"]


def version_of(requested: str | None, declared: str | None) -> Version:
    """The version to speak.

    Args:
        requested: ``?version=`` of the address.
        declared: ``protocolVersion`` of the input.

    Raises:
        Refused: ``input.malformed`` for a version that is asked for and not in the table.
    """
    if requested:
        if requested not in VERSIONS:
            raise Refused("input.malformed", "version: not spoken here", fix=f"Ask for one of {', '.join(VERSIONS)}.")
        return VERSIONS[requested]
    return NEWEST if declared and re.fullmatch(r"[1-9]\d*\.\d+", declared) else UNDECLARED
