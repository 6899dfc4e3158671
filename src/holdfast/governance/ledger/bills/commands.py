"""``holdfast ledger reconcile``, ``variance``, ``waste`` and ``focus``: they work on the store's file when no server has it,
and ask a server by REST when ``--url`` is given. What they say is said by the command line's own output, which is in the
context."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated, Any, Final, cast

import httpx
import msgspec
import typer

from holdfast.errors import CHECK_THE_PATH, HoldfastError, Refused, Unavailable, from_wire
from holdfast.governance.ledger import dates
from holdfast.governance.ledger.bill_line import BillLine
from holdfast.governance.ledger.bills.compare.days import day_of_line
from holdfast.governance.ledger.bills.compare.model import Reconciliation
from holdfast.governance.ledger.bills.focus.columns import VERSIONS, Version
from holdfast.governance.ledger.bills.routes import ROOT, one_of, span
from holdfast.governance.ledger.bills.service import BillQuestion, Bills
from holdfast.governance.ledger.bills.terminal import BillSpeaker, show_reconciliation, show_variance, show_waste
from holdfast.governance.ledger.bills.variance.model import Measure, Variance
from holdfast.governance.ledger.bills.waste.model import Waste

FOUND: Final = 3
"""Exit code: a check found something."""
_SECONDS: Final = 600.0
_MEASURES: Final = ("list", "contracted", "effective", "billed")

Open = Callable[[str], AbstractAsyncContextManager[Bills]]
"""Opens the bills of a store by its address; the app knows how."""

Governance = Annotated[
    str, typer.Option(envvar="HOLDFAST_GOVERNANCE_URL", help="The store, when no server has it open.")
]
Url = Annotated[str, typer.Option(envvar="HOLDFAST_URL", help="A server that has the store open.")]
Token = Annotated[str, typer.Option(envvar="HOLDFAST_TOKEN", help="Access token for it.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Csv = Annotated[bool, typer.Option("--csv", help="As CSV.")]
Pairs = Annotated[list[str] | None, typer.Option(help="REPORT=LEDGER; may be given again.")]


def add_to(app: typer.Typer, open_bills: Open) -> None:
    """Add the commands to the group ``ledger``."""
    _add_reconcile(app, open_bills)
    _add_variance(app, open_bills)
    _add_waste(app, open_bills)
    _add_focus(app, open_bills)


def _add_reconcile(app: typer.Typer, open_bills: Open) -> None:
    @app.command("reconcile")
    def reconcile_command(
        ctx: typer.Context,
        report: Annotated[str, typer.Argument(help="The provider's cost report; the imported bill when it is left out.")] = "",
        provider: Annotated[str, typer.Option(help="Whose bill; the report's own when it says.")] = "",
        month: Annotated[str, typer.Option(help="As 2026-11.")] = "",
        since: str = "", until: str = "",
        zone: Annotated[str, typer.Option(help="Of the report's days.")] = "UTC",
        alias: Pairs = None, key: Pairs = None,
        account: Annotated[list[str] | None, typer.Option(help="Must be in the report; may be given again.")] = None,
        settle: Annotated[bool, typer.Option(help="Correct estimated rows as the imported bill tells them.")] = False,
        governance: Governance = "holdfast-governance.db", url: Url = "", token: Token = "",
        as_json: AsJson = False, csv: Csv = False,
    ) -> int:  # fmt: skip
        """The ledger beside a provider's bill, with a name for what differs."""
        if not report and not provider:
            fix = "Name a report's file, or --provider of an imported one."
            raise Refused("input.malformed", "no bill is named", fix=fix)
        first, last = period(month, since, until, needed=not report)
        question = BillQuestion(
            since=first, until=last, provider=provider, zone=zone, aliases=pairs(alias, "--alias"),
            keys=pairs(key, "--key"), accounts=tuple(account or ()),
        )  # fmt: skip
        if url:
            if report:
                fix = "Import the report there first (`holdfast ledger import`), and reconcile without naming it."
                raise Refused("input.malformed", "a server compares what was imported", fix=fix)
            answer = _remote(url, token, "POST", "/reconcile", question)
            found = msgspec.convert(answer["reconciliation"], Reconciliation)
            settled = _remote(url, token, "POST", "/settle", question)["settled"] if settle else []
        else:
            found, settled = asyncio.run(_reconcile(open_bills, governance, question, report, settle))
        show_reconciliation(ctx.obj, found, settled, as_json, csv)
        return 0 if found.verdict == "pass" else FOUND


def _add_variance(app: typer.Typer, open_bills: Open) -> None:
    @app.command("variance")
    def variance_command(
        ctx: typer.Context,
        before: Annotated[str, typer.Argument(help="A month, or FIRST/LAST day.")],
        after: Annotated[str, typer.Argument(help="A month, or FIRST/LAST day.")],
        by: Annotated[str, typer.Option(help="team, workflow, model, tag:NAME, …")] = "",
        measure: Annotated[str, typer.Option(help=", ".join(_MEASURES))] = "billed",
        governance: Governance = "holdfast-governance.db", url: Url = "", token: Token = "",
        as_json: AsJson = False, csv: Csv = False,
    ) -> int:  # fmt: skip
        """What changed between two periods: price + volume + mix + cache, exactly."""
        one, other = _days(before), _days(after)
        kind = cast(Measure, one_of(measure, _MEASURES, "--measure"))
        if url:
            query = {"before": "/".join(one), "after": "/".join(other), "by": by, "measure": kind}
            answer = _remote(url, token, "GET", "/variance", query=query)
            found = msgspec.convert(answer["variance"], Variance)
        else:
            found = asyncio.run(
                _with(open_bills, governance, lambda b: b.variance("default", one, other, by=by, measure=kind))
            )
        show_variance(ctx.obj, found, as_json, csv)
        return 0


def _add_waste(app: typer.Typer, open_bills: Open) -> None:
    @app.command("waste")
    def waste_command(
        ctx: typer.Context,
        period_: Annotated[str, typer.Argument(metavar="PERIOD", help="A month, or FIRST/LAST day.")],
        governance: Governance = "holdfast-governance.db", url: Url = "", token: Token = "",
        as_json: AsJson = False, csv: Csv = False,
    ) -> int:  # fmt: skip
        """What was paid for nothing, and the sessions that show it."""
        first, last = _days(period_)
        if url:
            answer = _remote(url, token, "GET", "/waste", query={"since": first, "until": last})
            found = msgspec.convert(answer["waste"], Waste)
        else:
            found = asyncio.run(_with(open_bills, governance, lambda b: b.waste("default", first, last)))
        show_waste(ctx.obj, found, as_json, csv)
        return 0


def _add_focus(app: typer.Typer, open_bills: Open) -> None:
    @app.command("focus")
    def focus_command(
        ctx: typer.Context,
        period_: Annotated[str, typer.Argument(metavar="PERIOD", help="A month, or FIRST/LAST day.")],
        to: Annotated[Path, typer.Option(help="File to write.")] = Path("focus.csv"),
        version: Annotated[str, typer.Option(help=", ".join(VERSIONS))] = "1.2",
        governance: Governance = "holdfast-governance.db", url: Url = "", token: Token = "",
    ) -> int:  # fmt: skip
        """Write the ledger as a FOCUS dataset."""
        first, last = _days(period_)
        which = cast(Version, one_of(version, VERSIONS, "--version"))
        if url:
            left_out = _download(url, token, {"since": first, "until": last, "version": which}, to)
        else:
            export = asyncio.run(_with(open_bills, governance, lambda b: b.focus_export("default", first, last, which)))
            left_out = export.left_out
            _write(to, export.csv())
        left = f"; {left_out} rows without a price are left out" if left_out else ""
        cast(BillSpeaker, ctx.obj).say(f"{to}: FOCUS {which}, {first} to {last}{left}")
        return FOUND if left_out else 0


def period(month: str, since: str, until: str, *, needed: bool = True) -> tuple[str, str]:
    """First and last day: of a month, or as given; empty where neither is and none is needed, since a report has its own.
    Raises ``input.malformed``."""
    if month:
        return _days(month)
    if since or until:
        return since or until, until or since
    if not needed:
        return "", ""
    raise Refused("input.malformed", "no period is named", fix="Say --month 2026-11, or --since and --until.")


def pairs(values: Sequence[str] | None, option: str) -> dict[str, str]:
    """``REPORT=LEDGER`` options as a mapping. Raises ``input.malformed``."""
    found = {}
    for value in values or ():
        name, equals, other = value.partition("=")
        if not name or not equals or not other:
            raise Refused("input.malformed", f"{option} {value!r:.80} is no pair", fix=f"Write {option} REPORT=LEDGER.")
        found[name] = other
    return found


def _days(text: str) -> tuple[str, str]:
    if "/" in text:
        return span(text, "period")
    month = dates.check_month(text)
    return f"{month}-01", dates.next_day(f"{dates.next_month(month)}-01", -1)


def _report(bills: Bills, path: str, question: BillQuestion) -> tuple[list[BillLine], BillQuestion]:
    """The lines of a file, and the question with what the file says and nobody else did."""
    try:
        with Path(path).open("rb") as file:
            lines, facts = bills.read(file, question.provider)
    except OSError as error:
        raise HoldfastError("config.invalid", f"{path}: {error.strerror}", fix=CHECK_THE_PATH) from None
    named = {line.provider for line in lines}
    provider = question.provider or facts.provider or (named.pop() if len(named) == 1 else "")
    of_provider = [line for line in lines if not provider or line.provider in ("", provider)]
    numbered = [
        line if line.id else msgspec.structs.replace(line, id=f"{number}") for number, line in enumerate(of_provider, 1)
    ]
    first, last = question.since, question.until
    if not first:
        if not numbered:
            raise Refused("input.malformed", f"{path} has no lines", fix="Say --month 2026-11, or --since and --until.")
        days = [day_of_line(line, question.zone) for line in numbered]
        first, last = min(days), max(days)
    found = msgspec.structs.replace(
        question, since=first, until=last, provider=provider, complete=question.complete and facts.complete
    )
    return numbered, found


async def _with(open_bills: Open, governance: str, ask: Callable[[Bills], Any]) -> Any:
    async with open_bills(governance) as bills:
        return await ask(bills)


async def _reconcile(
    open_bills: Open, governance: str, question: BillQuestion, report: str, settle: bool
) -> tuple[Reconciliation, list[str]]:
    async with open_bills(governance) as bills:
        lines: list[BillLine] | None = None
        if report:
            lines, question = _report(bills, report, question)
        found = await bills.reconcile("default", question, lines)
        rows = await bills.settle("default", found) if settle else []
        return found, [row.corrects for row in rows]


def _remote(
    url: str,
    token: str,
    method: str,
    path: str,
    body: msgspec.Struct | None = None,
    query: Mapping[str, str] | None = None,
) -> Any:
    content = None if body is None else msgspec.json.encode(body)
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    try:
        answer = httpx.request(
            method, f"{url.rstrip('/')}{ROOT}{path}", params=query, content=content, headers=headers, timeout=_SECONDS
        )
        found = answer.json()
    except (httpx.HTTPError, json.JSONDecodeError) as error:
        raise Unavailable("connection.lost", f"{url} does not answer as a server of Holdfast: {error}") from None
    if answer.is_error:
        raise from_wire(found.get("error", {}) if isinstance(found, dict) else {})
    return found


def _download(url: str, token: str, query: Mapping[str, str], to: Path) -> int:
    headers = {"authorization": f"Bearer {token}"}
    try:
        with httpx.stream(
            "GET", f"{url.rstrip('/')}{ROOT}/focus", params=query, headers=headers, timeout=_SECONDS
        ) as answer:
            if answer.is_error:
                raise from_wire(json.loads(answer.read()).get("error", {}))
            _write(to, answer.iter_text())
            return int(answer.headers.get("x-holdfast-left-out", "0"))
    except (httpx.HTTPError, json.JSONDecodeError) as error:
        raise Unavailable("connection.lost", f"{url} does not answer as a server of Holdfast: {error}") from None


def _write(to: Path, text: Iterable[str]) -> None:
    try:
        with to.open("w", encoding="utf-8", newline="") as file:
            file.writelines(text)
    except OSError as error:
        raise HoldfastError("config.invalid", f"{to}: {error.strerror}", fix=CHECK_THE_PATH) from None
