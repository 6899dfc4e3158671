"""The feed as engines keep it: what its positions are, what is no longer there, and what may be forgotten.

A position is a string that only the engine reads. This one holds the feed's epoch and a number; whoever stores it for later
takes it as it is.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_POSITION: Final = re.compile(r"([0-9a-f]{1,32})\.([0-9]{1,18})")
_NAME: Final = re.compile(r"[a-z][a-z0-9._-]{0,63}")


class FeedSpan(NamedTuple):
    """What a feed holds.

    Attributes:
        epoch: what its numbers belong to; another one after a restore, where numbers come again for other notices.
        oldest: number of the first notice that is still there, or of the next when there is none.
        newest: number of the last one that ever was; 0 for none.
    """

    epoch: str
    oldest: int
    newest: int

    def position(self, number: int) -> str:
        """The position of a notice, after which the next ones stand."""
        return f"{self.epoch}.{number}"

    def start(self, after: str) -> tuple[int, bool]:
        """The number beyond which a reader goes on, and whether there is a gap before it.

        A position of another epoch, one whose followers were forgotten and one that is none of this feed's at all lead to
        the oldest notice and are a gap. The empty position is where the feed begins now, without one.
        """
        begin = self.oldest - 1
        if not after:
            return begin, False
        found = _POSITION.fullmatch(after)
        if found is None or found[1] != self.epoch or not begin <= int(found[2]) <= self.newest:
            return begin, True
        return int(found[2]), False


def epoch_of(position: str) -> str:
    """What a position belongs to: another one after a restore, or after the newest of a log was lost."""
    return position.partition(".")[0]


def check_name(name: str) -> str:
    """The name of a consumer: up to 64 of a-z 0-9 . _ - that begin with a letter. Raises ``ValueError``."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r:.80} is no name for a consumer")
    return name


def forgettable(newest: int, keep: int, positions: list[int]) -> int:
    """Up to which number notices may be forgotten: the newest ``keep`` stay, and what a consumer has not read."""
    return min([newest - keep, *positions])
