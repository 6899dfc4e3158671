"""The reckonings of the gates of money, by the names by which gates ask for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from holdfast.governance.budgets.service import Budgets
from holdfast.governance.ledger.bills.service import Bills
from holdfast.governance.ledger.verify import LedgerVerifier
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.rollout.evidence import Reckoning
from holdfast.governance.rollout.reckonings.bill import BillsBeside
from holdfast.governance.rollout.reckonings.caps import CapReplay
from holdfast.governance.rollout.reckonings.verified import UnknownCallers, VerifiedLedger
from holdfast.governance.rollout.reckonings.weeks import Units, Weeks
from holdfast.governance.store.store import Store


def money_reckonings(
    database: Store, *, organisation: Organisation, budgets: Budgets, bills: Bills, verifier: Callable[[], LedgerVerifier],
    operator_tenant: str = "default",
) -> Mapping[str, Reckoning]:  # fmt: skip
    """What the gates 4.a, 4.b and 10.a stand on beside their queries.

    Args:
        verifier: makes one of the ledger.
        operator_tenant: whose operators see callers that belong to no tenant.
    """
    return {
        "bill": BillsBeside(database, bills),
        "caps": CapReplay(budgets, organisation),
        "ledger_verified": VerifiedLedger(verifier),
        "strangers": UnknownCallers(database, operator_tenant),
        "weeks": Weeks(database, bills, organisation),
        "units": Units(database),
    }
