"""What an attempt used is recorded also when the attempt is fenced: money does not vanish with a lease (LOG-6)."""

from __future__ import annotations

from holdfast.errors import Refused
from holdfast.protocol import events as e
from holdfast.protocol import wire
from holdfast.protocol.codec import check_value
from holdfast.session.state import State
from holdfast.session.writer import SYSTEM, Writer

REFUSED = "refused"
"""In what is remembered of a command that is refused and has written something: sent again, it is refused again."""


def of_fenced(state: State, op: wire.Op, refusal: Refused, writer: Writer) -> bool:
    """Write what a fenced attempt's append says that it used, and nothing else of it; whether there was anything.

    ``system:session`` writes it, with the run and the attempt. The append itself stays refused.
    """
    if refusal.code != "run.fenced" or not isinstance(op, (wire.Append, wire.End)) or op.run is None:
        return False
    run = state.runs.get(op.run) or state.ended.get(op.run)
    if run is None or not 1 <= (op.generation or 0) <= run.generation:
        return False  # there was no such attempt
    for draft in op.events:
        if draft.type == e.USAGE_RECORDED:
            check_value(draft.data, draft.type)
            writer.write(e.USAGE_RECORDED, draft.data, run=op.run, actor=SYSTEM, attempt=op.generation)
    writer.result = {REFUSED: refusal.code}
    return bool(writer.events)
