"""``holdfast ledger``: what was spent, whether it holds together, bills and months."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from holdfast.governance import limits
from holdfast.governance.asking import (
    Asker,
    ask_by,
    read_file,
)
from holdfast.governance.ledger import desk
from holdfast.governance.ledger.desk import LedgerDesk
from holdfast.governance.money import show
from holdfast.governance.store.store import Store
from holdfast.protocol.limits import MESSAGE_BYTES

FOUND: Final = 3
"""Exit code: a check found something."""
Opened = Callable[[Store, Callable[[], int]], Awaitable[LedgerDesk]]
"""Makes the ledger's services on an open store; the app knows how."""


def group(opened: Opened) -> typer.Typer:
    """The commands that work on rows; those that compare with bills are in ``bills/commands.py``."""
    app = typer.Typer(no_args_is_help=True, help="The ledger: what was spent, by whom, and whether the bill agrees.")

    ask_by(app, "ledger", desk.ROOT, opened)

    _add_spend(app)
    _add_verify(app)
    _add_imports(app)
    _add_months(app)
    _add_rows(app)
    _add_changes(app)
    return app


def _add_spend(app: typer.Typer) -> None:
    @app.command()
    def spend(
        ctx: typer.Context,
        by: Annotated[str, typer.Option(help="Dimensions, such as team,workflow,task,model.")] = "workflow",
        since: Annotated[str, typer.Option(help="First day; the month's first by default.")] = "",
        until: Annotated[str, typer.Option(help="Last day; today by default.")] = "",
    ) -> None:
        """What was spent, by anything: at list prices, and as it will be billed."""
        asker = _asker(ctx)
        answer = asker.ask(desk.SPEND, {"by": by, "since": since, "until": until})
        lacking = bool(answer["total"].get("unpriced"))  # what they cost is unknown, which is not nothing
        rows = [(*group["values"], *_figures(group["figures"], lacking)) for group in answer["groups"]]
        total = ("in all", *("" for _ in by.split(",")[1:]), *_figures(answer["total"], lacking))
        columns = (*by.split(","), "calls", "tokens", "list USD", "billed USD", *(("without a price",) * lacking))
        asker.show(answer, columns, [*rows, total] if rows else [], "nothing was spent in these days")


def _figures(figures: dict[str, Any], lacking: bool) -> tuple[str, ...]:
    tokens = figures.get("input_tokens", 0) + figures.get("output_tokens", 0)
    cells = f"{figures['rows']:,}", f"{tokens:,}", _usd(figures.get("list_nano")), _usd(figures.get("billed_nano"))
    return (*cells, f"{figures['unpriced']:,} calls" if figures["unpriced"] else "") if lacking else cells


def _usd(nano: int | None) -> str:
    return "unknown" if nano is None else show(nano)


def _add_verify(app: typer.Typer) -> None:
    @app.command()
    def verify(ctx: typer.Context) -> int:
        """Replay it: parts sum to wholes, costs follow from prices, corrections from what they correct."""
        asker = _asker(ctx)
        answer = asker.ask(desk.VERIFY)
        found = sum(answer["found"].values())
        rows = [(one["check"], one["row"], one["what"]) for one in answer["findings"]]
        if rows:
            asker.show(answer, ("check", "row", "what is wrong"), rows, "")
        else:
            priced = f"{answer['repriced']:,} costs computed again"
            asker.tell(
                answer, f"{answer['rows']:,} rows hold together; {priced}; {answer['estimated']:,} are estimates"
            )
        return FOUND if found else 0


def _add_imports(app: typer.Typer) -> None:
    @app.command("import")
    def import_command(
        ctx: typer.Context,
        file: Annotated[Path, typer.Argument(help="A cost or usage report, FOCUS as CSV, or seats as CSV.")],
        use: Annotated[
            str, typer.Option("--as", help="bill: rows are compared with it. spend: it becomes rows.")
        ] = "bill",
        provider: Annotated[str, typer.Option(help="Whose it is, where the file does not say.")] = "",
        kind: Annotated[str, typer.Option("--format", help="Of the file, where it cannot be told.")] = "",
        leave_out: Annotated[
            str, typer.Option(help="Keys or workspaces at the provider whose spend is counted already, with commas.")
        ] = "",
        labels: Annotated[str, typer.Option(help="Of the rows that spend becomes: team=sales,workflow=code.")] = "",
    ) -> None:
        """Import what a provider says, or spend that never passes the gateway. The same file twice changes nothing."""
        asker = _asker(ctx)
        facts = {"use": use, "format": kind, "name": file.name, "provider": provider}
        facts |= {"leave_out": leave_out, "labels": labels}
        data = read_file(file, limits.IMPORT_BYTES)
        at = 0
        while asker.remote and len(data) - at > MESSAGE_BYTES:  # more than a server takes in one request
            piece = data[at : at + MESSAGE_BYTES]
            sent = asker.ask(desk.UPLOAD, {"upload": facts.get("upload", ""), "at": str(at)}, piece)
            facts["upload"], at = sent["upload"], sent["size"]
        answer = asker.ask(desk.IMPORT, facts | ({"at": str(at)} if at else {}), data[at:])
        batch = answer["batch"]
        what = f"{batch['lines']:,} lines, {_usd(batch['total_nano'])} USD, {batch['first_day']} to {batch['last_day']}"
        asker.tell(
            answer, f"{batch['id']}: {what}" + ("" if answer["new"] else " (it was here already)"), *batch["notes"]
        )

    @app.command("imports")
    def imports_command(ctx: typer.Context) -> None:
        """List what was imported."""
        asker = _asker(ctx)
        answer = asker.ask(desk.IMPORTS)
        rows = [(one["id"], one["use"], one["provider"], one["first_day"], one["last_day"], _usd(one["total_nano"])) for one in answer]  # fmt: skip
        asker.show(answer, ("id", "as", "provider", "from", "to", "USD"), rows, "nothing was imported")


def _add_months(app: typer.Typer) -> None:
    @app.command()
    def periods(ctx: typer.Context) -> None:
        """List months: closed, and open."""
        asker = _asker(ctx)
        answer = asker.ask(desk.PERIODS)
        closed = [(one["period"], "closed", one["by"]) for one in answer["closed"]]
        asker.show(
            answer, ("month", "is", "by"), [*closed, *((one, "open", "") for one in answer["open"])], "no rows yet"
        )

    @app.command()
    def close(ctx: typer.Context, period: Annotated[str, typer.Argument(help="As 2026-11.")]) -> None:
        """Close a month: nothing is ever added to its books again."""
        asker = _asker(ctx)
        answer = asker.ask(desk.CLOSE, {"period": period})
        asker.tell(answer, f"{period} is closed with {answer['rows']:,} rows; digest {answer['digest'][:16]}")

    @app.command()
    def export(
        ctx: typer.Context,
        period: Annotated[str, typer.Argument(help="As 2026-11.")],
        measure: Annotated[str, typer.Option(help="list, contracted, effective or billed.")] = "billed",
    ) -> None:
        """A month for each cost centre, as CSV for a journal; it sums to the total, to the cent."""
        asker = _asker(ctx)
        answer = asker.ask(desk.JOURNAL, {"period": period, "measure": measure})
        asker.tell(answer["journal"], *answer["csv"].splitlines())


def _add_rows(app: typer.Typer) -> None:
    @app.command("show")
    def show_command(
        ctx: typer.Context,
        row: Annotated[str, typer.Argument(help="One row, and what replaced it; the newest when it is left out.")] = "",
        since: Annotated[str, typer.Option(help="First day; the month's first by default.")] = "",
        until: Annotated[str, typer.Option(help="Last day; today by default.")] = "",
        where: Annotated[str, typer.Option(help="team=sales,model=gpt-5 and so on.")] = "",
        limit: Annotated[int, typer.Option(min=1, max=limits.LEDGER_PAGE_ROWS)] = 50,
    ) -> None:
        """Rows, newest first, or one row with all its corrections."""
        asker = _asker(ctx)
        facts = {"row": row, "since": since, "until": until, "where": where, "limit": str(limit)}
        answer = asker.ask(desk.ROWS, facts)
        if row and len(answer["rows"]) == 1:
            lines = [(name, value) for name, value in answer["rows"][0].items() if value not in ("", None, {}, [])]
            return asker.show(answer, ("", ""), lines, "")
        # few columns: the id has to stand there whole, to be copied
        rows = [
            (one["id"], one["day"], one["workflow"], one["model"], _usd(one["billed_nano"])) for one in answer["rows"]
        ]
        columns = ("row", "day", "workflow", "model", "billed")
        return asker.show(answer, columns, rows, "there are no rows in these days")

    @app.command()
    def tree(ctx: typer.Context, session: Annotated[str, typer.Argument(help="A session, or erased:…")]) -> None:
        """One session's costs as they came about: runs, sub-runs, calls, attempts, waiting."""
        asker = _asker(ctx)
        answer = asker.ask(desk.TREE, {"session": session})
        rows = [
            (f"{'  ' * depth}{node['kind']} {node['name']}", node["status"], node["reason"], _ms(node["waiting_ms"]),
             _ms(node["took_ms"]), node["retries"] or "", _usd(None if node["cost"]["unpriced"] else node["cost"]["billed_nano"]))
            for depth, node in _walk(answer["tree"]["nodes"])
        ]  # fmt: skip
        columns = ("what", "is", "why", "waited", "took", "retries", "billed USD")
        asker.show(answer, columns, rows, "this session has no rows")

    @app.command()
    def gaps(ctx: typer.Context) -> int:
        """Where usage that agents recorded was missed. Import the provider's report of those days."""
        asker = _asker(ctx)
        answer = asker.ask(desk.GAPS)
        rows = [(gap["after"], gap["until"], gap["detail"]) for gap in answer["gaps"]]
        asker.show(answer, ("after", "until", "what"), rows, "nothing was missed")
        return FOUND if rows else 0


def _walk(nodes: list[dict[str, Any]], depth: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    for node in nodes:
        yield depth, node
        yield from _walk(node["children"], depth + 1)


def _ms(value: int | None) -> str:
    return "" if value is None else f"{value:,} ms"


def _add_changes(app: typer.Typer) -> None:
    @app.command()
    def correct(
        ctx: typer.Context,
        row: Annotated[str, typer.Argument(help="The row to be replaced.")],
        why: Annotated[str, typer.Option(help="The reason, in a sentence.")],
        count: Annotated[list[str] | None, typer.Option(help="CLASS=NUMBER, all of them; may be given again.")] = None,
        label: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, all of them; may be given again.")] = None,
        model: Annotated[str, typer.Option(help="That served instead.")] = "",
        billed: Annotated[str, typer.Option(help="What is billed instead, in US dollars.")] = "",
    ) -> None:
        """Replace a row by another one. Both stay, and the last one counts."""
        counts = {name: desk.whole(value) for name, value in map(desk.pair, count)} if count else None
        labels = dict(map(desk.pair, label)) if label else None
        body = desk.Correction(
            row=row, why=why, counts=counts, model=model or None, billed_usd=billed or None, labels=labels
        )
        asker = _asker(ctx)
        answer = asker.ask(desk.CORRECT, None, body)
        asker.tell(answer, f"{answer['id']} replaces {answer['corrects']}: {_usd(answer['billed_nano'])} USD")

    @app.command()
    def allocate(
        ctx: typer.Context,
        period: Annotated[str, typer.Argument(help="As 2026-11.")],
        name: Annotated[str, typer.Argument(help="Of the shared cost.")],
        usd: Annotated[str, typer.Argument(help="How much, in US dollars.")],
        key: Annotated[str, typer.Option("--by", help="tokens, spend, calls or equal.")] = "tokens",
        dimension: Annotated[str, typer.Option("--among", help="cost_centre, team or workflow.")] = "cost_centre",
        note: Annotated[str, typer.Option(help="For whoever reads the journal.")] = "",
    ) -> None:
        """Divide a shared cost among those who used anything in a month, in proportion to what is said."""
        body = desk.Division(name=name, usd=usd, key=desk.allocation_key(key), dimension=dimension, note=note)
        asker = _asker(ctx)
        answer = asker.ask(desk.ALLOCATE, {"period": period}, body)
        rows = [
            (part["value"] or "(none)", part["cost_centre"], _usd(part["amount_nano"])) for part in answer["shares"]
        ]
        asker.show(answer, (dimension, "cost centre", "USD"), rows, "")


def _asker(ctx: typer.Context) -> Asker[LedgerDesk]:
    found: Asker[LedgerDesk] = ctx.meta["ledger"]
    return found
