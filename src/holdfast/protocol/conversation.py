"""What the conversation is: the items of a branch, turn by turn (PROTOCOL.md, section 6; CTL-7).

The one answer to that question, for agents, dialects, adapters and pages; ``web/packages/client/src/branch.ts`` is the same
in TypeScript, and the cases of ``conformance/cases/conversation.yaml`` hold both to it.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, NamedTuple

from holdfast.protocol.items import Item
from holdfast.protocol.view import ViewState
from holdfast.protocol.view_data import RunEntry


class _Turn(NamedTuple):
    """An input of the branch and what answers it.

    ``start_seq`` is the input's, 0 when it has left the window; ``answer`` the run chosen. What came between
    ``first_answer_seq``, where an answer began, and ``queued_seq``, where the chosen one was queued, came after an answer:
    it stays there.
    """

    start_seq: int
    answer: str | None
    first_answer_seq: int
    queued_seq: int


def conversation(view: ViewState, head: str | None = None, *, answering: str | None = None) -> list[Item]:
    """The items of a branch in the order of its turns, each turn with the answer chosen.

    An answer stands where the first answer to its input stood, however late it was given. What belongs to no turn (people's
    words between turns, what agents show outside of runs) stands in the turn during which it came.

    Args:
        head: the input at which the branch ends; by default that of the branch shown, unless ``answering`` is given.
        answering: a run that answers ``head``: what it has to go by, which ends where its answer stands.
    """
    runs: dict[str, Any] = view.runs
    ids = _inputs(view, view.branch["head"] if head is None and answering is None else head)
    turns = _turns(view, ids, answering)
    rank = {ident: number for number, ident in enumerate(ids)}
    start_seqs, last = [turn.start_seq for turn in turns], len(ids) - 1
    places: list[tuple[int, bool, int, Item]] = []
    for item in view.items:
        run, seq, after = item.get("run"), item["seq"], False
        root = view.root(run) if run is not None else None
        turn = item.get("turn") or runs.get(root or "", {}).get("input")
        if turn is not None:
            number = rank.get(turn, -1)
            left_out = number < 0 or (root is not None and root != (turns[number].answer or root))
            if left_out or (root is not None and answering is not None and number == last):
                continue
        elif root is not None and answering is not None:
            continue
        else:
            number = max(0, bisect_left(start_seqs, seq) - 1)
            after = bool(turns) and turns[number].first_answer_seq < seq < turns[number].queued_seq
            if after and answering is not None and number == last:
                continue
        places.append((number, after, seq, item))
    places.sort(key=lambda place: place[:3])
    return [place[3] for place in places]


def _inputs(view: ViewState, head: str | None) -> list[str]:
    """The branch that ends at an input, oldest first."""
    branch: dict[str, None] = {}
    while head is not None and head not in branch:
        branch[head] = None
        head = view.by_id.get(("message", head), {}).get("parent")
    return list(branch)[::-1]


def _age(run: tuple[str, RunEntry]) -> int:
    return run[1]["seq"]


def _turns(view: ViewState, ids: list[str], answering: str | None) -> list[_Turn]:
    answers = dict(view.branch["runs"])
    for ident, run in sorted(view.runs.items(), key=_age):  # JSON objects have no order to rely on
        if "parent" not in run and "input" in run and run["input"] not in view.branch["runs"]:
            answers[run["input"]] = ident
    if ids and answering is not None:
        answers[ids[-1]] = view.root(answering)
    answer_starts: dict[str, int] = {}  # where the first answer to each begins
    for item in view.items:
        if "run" in item and "turn" in item:
            answer_starts.setdefault(item["turn"], item["seq"])
    turns = []
    for ident in ids:
        answer = answers.get(ident)
        queued = view.runs.get(answer or "")
        queued_seq = queued["seq"] if queued is not None else 0
        start_seq = view.by_id.get(("message", ident), {}).get("seq", 0)
        turns.append(_Turn(start_seq, answer, answer_starts.get(ident, queued_seq), queued_seq))
    return turns
