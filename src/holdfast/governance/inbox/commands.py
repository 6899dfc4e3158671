"""``holdfast inbox``: what somebody has to do, and what became of it."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Final

import typer

from holdfast.governance.asking import (
    Asker,
    ask_by,
)
from holdfast.governance.inbox import desk
from holdfast.governance.inbox.desk import InboxDesk
from holdfast.governance.store.store import Store

Opened = Callable[[Store, Callable[[], int]], Awaitable[InboxDesk]]
Item = Annotated[str, typer.Argument(help="Id of the item.", show_default=False)]
Person = Annotated[str, typer.Option(help="Whose; yours by default, * for everybody.")]
Workflow = Annotated[str, typer.Option(help="Only of this workflow.")]
Limit = Annotated[int, typer.Option(help="How many at most.", min=1, max=500)]
_NOTHING: Final = "Nothing is to be done."


class InboxCommands:
    """The commands, on whichever inbox ``opened`` opens."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened

    def group(self) -> typer.Typer:
        """The group of them."""
        app = typer.Typer(
            no_args_is_help=True, help="What somebody has to do. An item closes when it is computed as gone."
        )
        ask_by(app, "inbox", desk.ROOT, self._opened)
        for name in ("list", "show", "done", "brief", "history"):
            app.command(name)(getattr(self, f"{name}_command"))
        return app

    def list_command(self, ctx: typer.Context, person: Person = "", workflow: Workflow = "", limit: Limit = 20) -> None:
        """List what somebody has to do; what stops something first, then what is due."""
        asker = _asker(ctx)
        answer = asker.ask(desk.LIST, {"person": person, "workflow": workflow, "limit": str(limit)})
        asker.show(answer, ("item", "who", "by", "minutes", "what"), map(_row, answer["items"]), _NOTHING)
        if answer["more"] and not asker.as_json:
            asker.tell(answer, f"and {answer['more']} more (--limit)")
        for source, why in ({} if asker.as_json else answer["failures"]).items():
            asker.tell(answer, f"{source} cannot be computed now, so its items stay as they were: {why}")

    def show_command(self, ctx: typer.Context, item: Item) -> None:
        """Show one item. From when its person opens it first, the time that it takes is measured."""
        asker = _asker(ctx)
        answer = asker.ask(desk.SHOW, {"item": item})
        found = answer["item"]
        lines = [f"{found['title']}.", f"Why: {found['why']}.", f"What to do: {found['what']}."]
        if found["due_ms"]:
            lines.append(f"By {_day(found['due_ms'])}.")
        if found["closed_ms"] is not None:
            late = "" if found["in_time"] is None else ", in time" if found["in_time"] else ", late"
            lines.append(f"It was computed as gone on {_day(found['closed_ms'])}{late}.")
        asker.tell(answer, *lines)

    def done_command(self, ctx: typer.Context, item: Item) -> None:
        """Have it computed now whether an item is done. Exits with 1 where it is not."""
        asker = _asker(ctx)
        answer = asker.ask(desk.DONE, {"item": item})
        words = "It is gone, and closed." if answer["closed"] else f"It stays: {answer['why']}."
        asker.tell(answer, words)
        if not answer["closed"]:
            raise typer.Exit(1)

    def brief_command(
        self, ctx: typer.Context, workflow: Annotated[str, typer.Argument(help="Its name.", show_default=False)]
    ) -> None:
        """Print the hours that a workflow needs of its owner beside those allotted, and the role that is missing."""
        asker = _asker(ctx)
        answer = asker.ask(desk.BRIEF, {"workflow": workflow})
        asker.tell(answer, *answer["brief"].splitlines())

    def history_command(
        self, ctx: typer.Context, person: Person = "", workflow: Workflow = "", limit: Limit = 20
    ) -> None:
        """List what was done, the last first, and whether in time."""
        asker = _asker(ctx)
        answer = asker.ask(desk.HISTORY, {"person": person, "workflow": workflow, "limit": str(limit)})
        rows = [
            (one["id"], one["person"] or one["role"], _day(one["closed_ms"]), _in_time(one["in_time"]), one["title"])
            for one in answer["items"]
        ]
        asker.show(answer, ("item", "who", "closed", "in time", "what"), rows, "Nothing was closed yet.")


def _asker(ctx: typer.Context) -> Asker[InboxDesk]:
    found: Asker[InboxDesk] = ctx.meta["inbox"]
    return found


def _row(one: dict[str, Any]) -> Sequence[str]:
    stops = "STOPS " if one["stops"] else ""
    return (
        one["id"],
        one["person"] or one["role"],
        _day(one["due_ms"]),
        str(one["minutes"]),
        f"{stops}{one['title']}. {one['what']}.",
    )


def _in_time(found: bool | None) -> str:
    return "–" if found is None else "yes" if found else "no"


def _day(at_ms: int) -> str:
    return f"{datetime.datetime.fromtimestamp(at_ms / 1_000, datetime.UTC):%Y-%m-%d}" if at_ms else "–"
