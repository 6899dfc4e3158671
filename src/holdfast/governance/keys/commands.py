"""``holdfast keys``: who may call, and for what."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import Annotated, Any, Final

import typer

from holdfast.errors import Refused
from holdfast.governance.asking import (
    Asker,
    ask_by,
)
from holdfast.governance.keys import actions
from holdfast.governance.keys.model import KeyRequest, NameRequest
from holdfast.governance.keys.service import GatewayKeys
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.store.store import Store

app = typer.Typer(
    no_args_is_help=True, help="Keys of the gateway: each says which workflow, team and task its calls are of."
)

_TIME: Final = re.compile(r"(\d{1,9})([smhd])")
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

Key = Annotated[str, typer.Argument(help="Id of the key, from `keys list`.", show_default=False)]
Workflow = Annotated[str, typer.Option(help="The workflow its calls belong to.", show_default=False)]
Team = Annotated[str, typer.Option(help="The team it is used by.", show_default=False)]
Task = Annotated[str, typer.Option(help="The type of task, such as summarise.", show_default=False)]
Name = Annotated[str, typer.Option(help="What people call it.", show_default=False)]
User = Annotated[str, typer.Option(help="The person its calls are of.", show_default=False)]
CostCentre = Annotated[str, typer.Option(help="Who pays, where not the workflow's own.", show_default=False)]
Usage = Annotated[str, typer.Option(help="seated or headless: whether a person waits.", show_default=False)]
Tag = Annotated[list[str], typer.Option(help="NAME=VALUE; repeatable.", show_default=False)]
Actor = Annotated[str, typer.Option(help="Who its calls are of in sessions: user:… or agent:….", show_default=False)]
Model = Annotated[list[str], typer.Option(help="Model it may ask for, or a pattern; repeatable.")]
Agent = Annotated[list[str], typer.Option(help="Agent that may be asked as a model; repeatable.", show_default=False)]
Session = Annotated[str, typer.Option(help="The session all its calls are runs of.", show_default=False)]
Sessions = Annotated[str, typer.Option(help="Pattern of sessions that a call may name.", show_default=False)]
Declare = Annotated[bool, typer.Option("--declare", help="Have the workflow and the team from today on.")]
Ttl = Annotated[str, typer.Option(help="How long it is good: 90d, 12h, 30m, 60s.")]
Overlap = Annotated[str, typer.Option(help="How long the former secret stays good; 0s: not at all.")]


async def opened(store: Store, now_ms: Callable[[], int]) -> GatewayKeys:
    """The keys in a store that was opened for one command."""
    organisation = Organisation(store, now_ms)
    await organisation.refresh()
    keys = GatewayKeys(store, organisation, now_ms)
    await keys.refresh()
    return keys


ask_by(app, "keys", actions.ROOT, opened)


@app.command()
def create(
    ctx: typer.Context,
    workflow: Workflow = "", team: Team = "", task: Task = "", name: Name = "", user: User = "",
    cost_centre: CostCentre = "", usage: Usage = "", tag: Tag = [], actor: Actor = "",  # noqa: B006
    model: Model = ["*"], agent: Agent = [], session: Session = "", sessions: Sessions = "",  # noqa: B006
    ttl: Ttl = "365d", declare: Declare = False,
    test: Annotated[bool, typer.Option("--test", help="Its work counts for no gate, and may be done before a launch.")] = False,
) -> None:  # fmt: skip
    """Make a key. Its secret is shown once, now."""
    asker = _asker(ctx)
    tags = dict(_pair(one) for one in tag)
    request = KeyRequest(workflow, team, task, name, user, cost_centre, usage, tags, actor, tuple(model), tuple(agent),
                         session, sessions, _seconds(ttl), test)  # fmt: skip
    _show_secret(asker, asker.ask(actions.CREATE, {}, actions.CreateRequest(request, declare)))


@app.command()
def adopt(
    ctx: typer.Context,
    fingerprint: Annotated[str, typer.Argument(help="From `keys unknown`.", show_default=False)],
    workflow: Workflow = "", team: Team = "", task: Task = "", name: Name = "", user: User = "",
    cost_centre: CostCentre = "", usage: Usage = "", model: Model = ["*"],  # noqa: B006
    ttl: Ttl = "30d", declare: Declare = False,
) -> None:  # fmt: skip
    """Give a program that came with somebody else's key a name: what it sends is its key for a while."""
    asker = _asker(ctx)
    request = KeyRequest(
        workflow, team, task, name, user, cost_centre, usage, {}, "", tuple(model), ttl_s=_seconds(ttl)
    )
    answer = asker.ask(actions.ADOPT, {}, actions.AdoptRequest(fingerprint, request, declare))
    key = answer["key"]
    asker.tell(answer, f"{key['name']} ({key['id']}) until {_day(key['expires_ms'])}; rotate it before then")


@app.command("list")
def list_keys(ctx: typer.Context) -> None:
    """List keys, the newest first; without anything by which somebody could call."""
    asker = _asker(ctx)
    answer = asker.ask(actions.LIST)
    rows = (
        (
            key["id"],
            key["name"],
            key["state"],
            *(key["labels"].get(label, "–") for label in ("workflow", "team", "task")),
            _day(key["used_ms"]),
            _day(key["expires_ms"]),
        )
        for key in answer["keys"]
    )
    columns = ("id", "name", "state", "workflow", "team", "task", "used", "expires")
    asker.show(answer, columns, rows, "No keys. Make one: holdfast keys create --workflow W --team T --task K")


@app.command()
def name(
    ctx: typer.Context, key: Key,
    workflow: Workflow = "", team: Team = "", task: Task = "", user: User = "", cost_centre: CostCentre = "",
    usage: Usage = "", declare: Declare = False,
) -> None:  # fmt: skip
    """Say what the calls of a key are for, from now on."""
    asker = _asker(ctx)
    labels = NameRequest(*(value or None for value in (workflow, team, task, user, cost_centre, usage)))
    answer = asker.ask(actions.RENAME, {"key": key}, actions.RenameRequest(labels, declare))
    said_now = ", ".join(f"{label} {value}" for label, value in sorted(answer["key"]["labels"].items()))
    asker.tell(answer, f"{answer['key']['name']}: {said_now}")


@app.command()
def rotate(ctx: typer.Context, key: Key, overlap: Overlap = "24h", ttl: Ttl = "365d") -> None:
    """Give a key another secret. It is shown once, now."""
    asker = _asker(ctx)
    body = actions.RotateRequest(_seconds(overlap), _seconds(ttl))
    _show_secret(asker, asker.ask(actions.ROTATE, {"key": key}, body))


@app.command()
def revoke(ctx: typer.Context, key: Key) -> None:
    """End a key with all its secrets: every gateway refuses it within a second."""
    asker = _asker(ctx)
    answer = asker.ask(actions.REVOKE, {"key": key})
    asker.tell(answer, f"{answer['key']['name']} ({key}) is revoked")


@app.command()
def unknown(ctx: typer.Context) -> None:
    """List who came to the gateway without a key that it knows."""
    asker = _asker(ctx)
    answer = asker.ask(actions.UNKNOWN)
    rows = (
        (
            row["fingerprint"] or "no key",
            row["agent"],
            f"{row['calls']:,}",
            _day(row["last_ms"]),
            " ".join(row["paths"]),
        )
        for row in answer["callers"]
    )
    asker.show(answer, ("fingerprint", "agent", "calls", "last", "paths"), rows, "Nobody came without a key.")


def _show_secret(asker: Asker[GatewayKeys], answer: Any) -> None:
    key = answer["key"]
    note = f"{key['name']} ({key['id']}), good until {_day(key['expires_ms'])}. Store it now: it is shown once."
    asker.tell(answer, answer["secret"], note)


def _seconds(text: str) -> float:
    match = _TIME.fullmatch(text)
    if match is None:
        raise Refused("input.malformed", f"{text!r:.20} is no time", fix="Write it as 90d, 12h, 30m or 60s.")
    return float(int(match[1]) * _UNITS[match[2]])


def _pair(text: str) -> tuple[str, str]:
    label, sign, value = text.partition("=")
    if not sign:
        raise Refused("input.malformed", f"tag {text!r:.80}: write NAME=VALUE")
    return label, value


def _day(at_ms: int | None) -> str:
    return datetime.datetime.fromtimestamp(at_ms / 1_000, datetime.UTC).date().isoformat() if at_ms else "never"


def _asker(ctx: typer.Context) -> Asker[GatewayKeys]:
    found: Asker[GatewayKeys] = ctx.meta["keys"]
    return found
