"""Planted bugs about neighbours: what one does at the expense of others."""

from __future__ import annotations

from typing import Any

from conformance.planting import replace

from holdfast.edge import accounts, charges, listener, pool, upgrade
from holdfast.protocol import limits
from tests.mutants.plant import mutant

NEIGHBOURS = "tests/acceptance/test_neighbours.py"
TURNS = "tests/acceptance/test_turns.py"
CHARGES = "tests/unit/edge/test_charges.py"


@mutant(
    "ACC-7",
    "a name that is minted has bounds of its own",
    f"{CHARGES}::test_a_minted_name_has_no_bounds_of_its_own",
    f"{NEIGHBOURS}::test_a_minted_name_has_no_connections_of_its_own",
)
def own_bounds() -> None:
    replace(accounts, "root_of", lambda principal: principal.actor)


@mutant("ACC-7", "one tenant may take everything there is", "tests/unit/edge/test_pool.py")
def no_share() -> None:
    replace(pool.Pool, "_shared_use", lambda self, tenant, more=0: 0)


@mutant("ACC-7", "whoever sends most is served most", CHARGES)
def first_come() -> None:
    real = charges.Charges.wait

    def wait(self: Any, account: Any, work: int, go: Any) -> None:
        account.start_tag = account.tenant.start_tag = 0
        real(self, account, work, go)
        account.start_tag = account.tenant.start_tag = -1 << 60

    replace(charges.Charges, "wait", wait)


@mutant(
    "ACC-7",
    "a message is decoded before it is charged",
    f"{TURNS}::test_bytes_and_values_are_charged_before_anything_is_decoded",
)
def charged_late() -> None:
    real = listener.ServerConnection._handle

    def handle(self: Any, raw: bytes, work: int) -> None:
        charged, listener_ = (self.listener.charges.bytes, self.listener.charges.nodes), self.listener
        listener_.charges.bytes = listener_.charges.nodes = 0
        real(self, raw, work)
        listener_.charges.bytes, listener_.charges.nodes = charged

    replace(listener.ServerConnection, "_handle", handle)


@mutant("ACC-7", "what a stranger sends is kept, whatever it comes to", "tests/acceptance/test_strangers.py")
def kept_whole() -> None:
    real = upgrade.first_message_complete
    replace(upgrade, "first_message_complete", lambda data, most: real(data, limits.MESSAGE_BYTES))
