"""All moves, in the order of the plan."""

from __future__ import annotations

from typing import Final

from holdfast.company.cheats.bill_moves import Dumping, Netting
from holdfast.company.cheats.cap_moves import EndlessCap
from holdfast.company.cheats.model_moves import AliasServed, Divided, HighFloor
from holdfast.company.cheats.move import CheatMove
from holdfast.company.cheats.people_moves import BulkClosing, SharedMailbox
from holdfast.company.cheats.serving_moves import SeatedKey, StagingReport
from holdfast.company.cheats.stage_moves import ServiceAsPerson, SyntheticRuns, WriteCalledRead
from holdfast.company.cheats.unit_moves import SmallerUnit

MOVES: Final[tuple[type[CheatMove], ...]] = (
    WriteCalledRead, ServiceAsPerson, SyntheticRuns, Netting, Dumping, EndlessCap, HighFloor, AliasServed, Divided, SharedMailbox,
    BulkClosing, SeatedKey, StagingReport, SmallerUnit,
)  # fmt: skip
"""Each acts on the copy that it is given."""
BY_MOVE: Final = {move.facts.name: move for move in MOVES}
