"""Ids of responses (a run, or the part of a run after a wait) and of requests for approval, made addressable: no table is
needed to look them up.
"""

from __future__ import annotations

import re
from typing import Final, Self

import msgspec

from holdfast.errors import Refused
from holdfast.protocol import ids
from holdfast.protocol.codec import SESSION_ID

_SESSION: Final = re.compile(SESSION_ID[1:-1])
_ID: Final = re.compile(
    r"resp_(r?[1-9]\d{0,15}(?:-[0-9a-f]{10,16})?)_(0|[1-9]\d{0,15})_([0-9A-Za-z]{1,64})"
    rf"_({_SESSION.pattern})",
    re.ASCII,
)


class Ref(msgspec.Struct, frozen=True):
    """What a response id names.

    Attributes:
        session, incarnation: where the run is.
        run: its id.
        start: 0 for a run from its beginning; the seq of a ``run.waiting`` for what comes after it.
    """

    session: str
    incarnation: str
    run: str
    start: int = 0

    @property
    def queued_seq(self) -> int:
        """The seq of the run's ``run.queued``."""
        parsed = ids.parse(self.run)
        return parsed.seq if parsed is not None else 0

    @property
    def id(self) -> str:
        """The response's id; opaque to clients."""
        return f"resp_{self.run}_{self.start}_{self.incarnation}_{self.session}"

    @classmethod
    def parse(cls, ident: str) -> Self:
        """The reference in a response id, or ``run.not_found``."""
        match = _ID.fullmatch(ident)
        if match is None:
            raise Refused("run.not_found", f"no response {ident!r:.80}")
        run, start, incarnation, session = match.groups()
        return cls(session, incarnation, run if run.startswith("r") else f"r{run}", int(start))

    @classmethod
    def of_run(cls, session: str, incarnation: str, run: str) -> Self:
        """The whole of a run."""
        return cls(session, incarnation, run)


def approval_request_id(session: str, incarnation: str, approval: str) -> str:
    """What the id of a request for approval says behind ``mcpr_``: also where it was asked, for clients that name nothing
    else."""
    return f"{session}/{ids.bind(approval, incarnation)}"


def parse_approval_request_id(ident: str) -> tuple[str | None, str]:
    """The session and the approval that an id of a request names; an older id names the approval alone."""
    session, separator, approval = ident.removeprefix("mcpr_").partition("/")
    return (session, approval) if separator and _SESSION.fullmatch(session) else (None, ident.removeprefix("mcpr_"))
