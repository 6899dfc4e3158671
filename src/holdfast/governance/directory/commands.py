"""``holdfast directory``: who works here, as the identity provider says."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from holdfast.governance import limits
from holdfast.governance.asking import (
    Asker,
    ask_by,
    read_file,
)
from holdfast.governance.directory import desk
from holdfast.governance.directory.service import Directory
from holdfast.governance.store.store import Store

app = typer.Typer(no_args_is_help=True, help="Who works here, as the identity provider says.")
_DAY_S = 86_400.0


async def opened(store: Store, now_ms: Callable[[], int]) -> Directory:
    """The directory of a store that was opened for one command."""
    directory = Directory(store, now_ms)
    await directory.refresh()
    return directory


ask_by(app, "directory", desk.ROOT, opened)


@app.command()
def people(
    ctx: typer.Context,
    find: Annotated[str, typer.Argument(help="In the name, the address or the unit.", show_default=False)] = "",
) -> None:
    """List people, and say when the directory was heard last."""
    asker = _asker(ctx)
    answer = asker.ask(desk.PEOPLE, {"find": find})
    rows = (
        (one["user_name"], one["display"] or "–", one["unit"] or "–", one["user_type"] or "–",
         "yes" if one["active"] else "no", "yes" if one["human"] else "no", _moment(one["signed_in_ms"]), one["source"])
        for one in answer["people"]
    )  # fmt: skip
    columns = ("name", "shown as", "unit", "type", "active", "person", "signed in", "source")
    asker.show(answer, columns, rows, "Nobody. Give the identity provider a token: holdfast directory token")
    if not asker.as_json:
        kept_by = {"scim": "SCIM keeps them", "import": "A file keeps them"}.get(
            answer["source"], "Only logins said so"
        )
        since = f"; heard last {_moment(answer['heard_ms'])}" if answer["heard_ms"] else ""
        asker.tell(answer, f"{_people(answer['count'])}. {kept_by}{since}.")


@app.command("import")
def import_people(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV or JSON: user_name, email, display, unit, user_type, active.")],
) -> None:
    """Have everybody as a file says, where there is no SCIM. Whom it does not name any more is not active."""
    asker = _asker(ctx)
    answer = asker.ask(desk.IMPORT, {}, read_file(file, limits.DIRECTORY_IMPORT_BYTES))
    lines = [f"{_people(answer['people'])}: {answer['changed']} new or changed, {answer['ended']} not active any more."]
    if answer["kept_by_scim"]:
        lines.append(f"{answer['kept_by_scim']} are kept by SCIM and stay as they are.")
    asker.tell(answer, *lines)


@app.command()
def token(
    ctx: typer.Context,
    days: Annotated[float, typer.Option(help="For how long it is good.")] = limits.DIRECTORY_TOKEN_S / _DAY_S,
) -> None:
    """Make a token for the identity provider. It is shown once."""
    asker = _asker(ctx)
    answer = asker.ask(desk.TOKEN, {}, desk.DirectoryTokenRequest(days * _DAY_S))
    made = answer["token"]
    asker.tell(
        answer,
        answer["secret"],
        f"Id {made['id']}, good until {_moment(made['expires_ms'])}. It is shown this once.",
        "The provider's address is https://YOUR-SERVER/v1/scim/v2",
    )


@app.command()
def tokens(ctx: typer.Context) -> None:
    """List the tokens of the identity provider."""
    asker = _asker(ctx)
    answer = asker.ask(desk.TOKENS)
    rows = (
        (one["id"], one["created_by"], _moment(one["created_ms"]), _moment(one["expires_ms"]),
         f"by {one['revoked_by']}, {_moment(one['revoked_ms'])}" if one["revoked_ms"] else "–")
        for one in answer["tokens"]
    )  # fmt: skip
    asker.show(answer, ("id", "by", "since", "until", "revoked"), rows, "None. Make one: holdfast directory token")


@app.command()
def revoke(
    ctx: typer.Context, token: Annotated[str, typer.Argument(help="Id of the token.", show_default=False)]
) -> None:
    """End a token of the identity provider, within half a second in every process."""
    asker = _asker(ctx)
    asker.tell(asker.ask(desk.REVOKE, {"token": token}), f"{token} opens nothing any more.")


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"


def _moment(at_ms: int | None) -> str:
    if not at_ms:
        return "–"
    return datetime.datetime.fromtimestamp(at_ms / 1_000, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def _asker(ctx: typer.Context) -> Asker[Directory]:
    found: Asker[Directory] = ctx.meta["directory"]
    return found
