"""CSV: FOCUS files (1.0 to 1.4, https://focus.finops.org), and invoices for seats.

An invoice for seats has the columns ``provider``, ``amount`` and ``month`` (or ``since`` and ``until``), and may have
``currency``, ``plan``, ``seats``, ``user``, ``team``, ``workflow``, ``cost_centre``. A user's name is not kept in lines of a
bill; in rows it becomes a pseudonym.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Final

import msgspec

from holdfast.governance.ledger import dates
from holdfast.governance.ledger.bill_line import BillLine, LineKind
from holdfast.governance.ledger.imports.reading import csv_rows, exact, first_of, instant, malformed
from holdfast.governance.ledger.imports.report import ImportReport
from holdfast.providers.billing.model import TOKEN_CLASSES

FOCUS: Final = frozenset({"billedcost", "billingcurrency", "chargeperiodstart", "chargeperiodend", "chargecategory"})
SEATS: Final = frozenset({"provider", "amount"})
LABEL: Final = "label:"
"""Before the name of a tag of a line that becomes a label of its row; it is not kept in a bill."""
_CATEGORIES: Final[Mapping[str, LineKind]] = {
    "usage": "usage", "purchase": "fee", "tax": "tax", "credit": "credit", "adjustment": "adjustment",
}  # fmt: skip
_METERS: Final = {
    "inputtokens": "input", "outputtokens": "output", "cachereadtokens": "cache_read", "cachewritetokens": "cache_write",
    "cachedinputtokens": "cache_read", "reasoningtokens": "reasoning",
}  # fmt: skip


def read_focus(source: BinaryIO, report: ImportReport) -> Iterator[BillLine]:
    """Lines of a FOCUS file. The model is the column ``x_Model``, else the id of the SKU; the key ``x_KeyId``."""
    for number, row in csv_rows(source):
        where = f"line {number}"
        category = row.get("chargecategory", "").lower()
        if category not in _CATEGORIES:
            raise malformed(where, f"ChargeCategory {category!r:.40} is none of FOCUS")
        kind = "adjustment" if row.get("chargeclass", "").lower() == "correction" else _CATEGORIES[category]
        amounts = {
            name: exact(row[column], where) if row.get(column) else None
            for name, column in (
                ("amount", "billedcost"), ("list", "listcost"), ("contracted", "contractedcost"),
                ("effective", "effectivecost"),
            )
        }  # fmt: skip
        if amounts["amount"] is None:
            raise malformed(where, "BilledCost is empty")
        counts, unit = _consumed(row, where)
        yield report.line(
            where, instant(row["chargeperiodstart"], where), instant(row["chargeperiodend"], where),
            row["billingcurrency"], amounts, kind=kind, counts=counts, unit=unit,
            provider=report.provider or first_of(row, ("serviceprovidername", "providername", "publishername")).lower(),
            account=first_of(row, ("subaccountid", "billingaccountid")), key=first_of(row, ("xkeyid", "resourceid")),
            model=first_of(row, ("xmodel", "skuid")), line=row.get("chargedescription", ""),
            tier=row.get("xtier", ""), region=first_of(row, ("regionid", "region")), tags=_tags(row.get("tags", ""), where),
        )  # fmt: skip


def _consumed(row: Mapping[str, str], where: str) -> tuple[dict[str, int], str]:
    """What was used by class, where the file says which class it is, and the unit."""
    unit = row.get("consumedunit", "")
    name = row.get("xtokenclass", "") or _METERS.get(first_of(row, ("skumeter",)).lower().replace(" ", ""), "")
    if name not in TOKEN_CLASSES or not row.get("consumedquantity"):
        return {}, unit
    quantity = exact(row["consumedquantity"], where)
    return ({name: int(quantity)} if quantity.denominator == 1 and quantity >= 0 else {}), unit


def _tags(text: str, where: str) -> dict[str, str]:
    if not text:
        return {}
    try:
        found = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        raise malformed(where, "Tags is no JSON object") from None
    return {name[:100]: str(value)[:200] for name, value in list(found.items())[:50] if not name.startswith(LABEL)}


def read_seats(source: BinaryIO, report: ImportReport) -> Iterator[BillLine]:
    """Lines of an invoice for seats."""
    for number, row in csv_rows(source):
        where = f"line {number}"
        if row.get("month"):
            month = dates.check_month(row["month"], f"{where}: month")
            since, until = f"{month}-01", f"{dates.next_month(month)}-01"
        elif row.get("since") and row.get("until"):
            since, until = row["since"], row["until"]
        else:
            raise malformed(where, "there is neither a month nor since and until")
        provider = report.provider or row.get("provider", "").lower()
        if not provider:
            raise malformed(where, "there is no provider")
        labels = {f"{LABEL}{name}": row[column] for name, column in _LABELS.items() if row.get(column)}
        yield report.line(
            where, instant(since, where), instant(until, where), row.get("currency", "") or "USD",
            {"amount": exact(row.get("amount", ""), where)}, kind="seat", provider=provider, line=row.get("plan", "seat"),
            account=row.get("account", ""), tags=labels | ({"seats": row["seats"]} if row.get("seats") else {}),
        )  # fmt: skip


_LABELS: Final = {"user": "user", "team": "team", "workflow": "workflow", "cost_centre": "costcentre"}
