"""All gates of the plan, in its order. Those that nobody has built yet stand here, too, and are unknown."""

from __future__ import annotations

from typing import Final

from holdfast.governance.rollout.gate import Gate
from holdfast.governance.rollout.gates import (
    accounts,
    bill,
    cap,
    no_skip,
    owner,
    peel,
    people_protected,
    served,
    stage,
    streaming,
    sustained,
)

STEPS: Final[dict[int, str]] = {
    1: "place each workflow",
    2: "data readiness",
    3: "access controls",
    4: "token budgets",
    5: "mosaic of models",
    6: "internal owners",
    7: "human-in-the-loop pilot",
    8: "change management",
    9: "headless and seated",
    10: "Jevons audit",
    11: "replaceability and contracts",
}
"""The eleven steps."""

GATES: Final[tuple[Gate, ...]] = (
    stage.GATE,
    no_skip.GATE,
    Gate("2.a", "access to data", ("L", "R"), who="platform"),
    Gate("2.b", "meaning of data", ("L",), who="owner"),
    Gate("3.a", "no bypass", ("L", "R"), who="platform"),
    Gate("3.b", "least privilege", ("L",), who="platform"),
    bill.GATE,
    cap.GATE,
    peel.GATE,
    served.GATE,
    owner.GATE,
    sustained.GATE,
    Gate("7.a", "pilot protocol", ("L",)),
    Gate("7.b", "pilot result", ("P",)),
    Gate("8.a", "told before", ("L",)),
    Gate("8.b", "outcome for people", ("P",)),
    people_protected.GATE,
    streaming.GATE,
    accounts.GATE,
    Gate("10.b", "claims", ("O",), "organisation", who="finops"),
    Gate("11.a", "validated now", ("P",)),
    Gate("11.b", "exit", ("O",), "organisation", who="finops"),
)

BY_NAME: Final = {gate.name: gate for gate in GATES}
