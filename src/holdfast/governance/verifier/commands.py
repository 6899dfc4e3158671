"""``holdfast plan verify``: a second program computes every verdict again, and names what does not fit."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import httpx
import typer

from holdfast.errors import HoldfastError, Unavailable, from_wire
from holdfast.governance import limits
from holdfast.governance.asking import STORE, JsonOutput, Screen, ServerToken, ServerUrl, Tenant, read_file
from holdfast.governance.verifier.documents import StatedPlan, read_plan
from holdfast.governance.verifier.reader import opened, recorded_plan
from holdfast.governance.verifier.verify import EXITS, PlanVerification, shown, verify
from holdfast.hub.clock import Clock

_EXPORT: Final = "/v1/x/governance/plan/export"
_TIMEOUT_S: Final = 60.0


def verify_command(
    ctx: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="What `holdfast plan export` wrote; without one the plan of the server or the store.")] = None,
    governance: Annotated[str, typer.Option("--governance", envvar="HOLDFAST_GOVERNANCE_URL", help="The store to hold it against: a file, or postgresql://….", show_default=False)] = "",
    url: ServerUrl = "", token: ServerToken = "", tenant: Tenant = "default",
    at: Annotated[str, typer.Option("--at", help="Judge as of this day, such as 2026-11-30: for a plan from an archive.")] = "",
    as_json: JsonOutput = False,
) -> None:  # fmt: skip
    """Compute every verdict again. Exits with 0 where all agree, with 1 where one does not or was forged, with 3 where nobody can tell."""
    if file is not None and url:
        raise HoldfastError("config.invalid", "a file and a server are both named", fix="Leave one of them out.")
    now_ms = _moment(at) if at else Clock().wall_ms()
    if file is not None:
        stated = read_plan(read_file(file, limits.PLAN_FILE_BYTES))
    elif url:
        stated = _asked_of(url, token)
    else:
        stated = None
    found = asyncio.run(_verify(stated, governance, tenant, now_ms))
    screen: Screen = ctx.obj
    if as_json:
        screen.say_json(shown(found))
    else:
        _say(screen, found)
    if EXITS[found.outcome]:
        raise typer.Exit(EXITS[found.outcome])


def add_to(app: typer.Typer) -> None:
    """Add the command to the group of the plan."""
    app.command("verify")(verify_command)


async def _verify(stated: StatedPlan | None, governance: str, tenant: str, now_ms: int) -> PlanVerification:
    if stated is not None and not governance:
        return await verify(stated, None, now_ms)
    async with opened(governance or STORE) as store:
        if stated is not None:
            return await verify(stated, store, now_ms)
        return await verify(await recorded_plan(store, tenant, now_ms), store, now_ms, recorded=True)


def _asked_of(url: str, token: str) -> StatedPlan:
    try:
        headers = {"authorization": f"Bearer {token}"}
        with httpx.stream(
            "GET", f"{url.rstrip('/')}{_EXPORT}", headers=headers, timeout=_TIMEOUT_S, trust_env=False
        ) as got:
            data = b""
            for part in got.iter_bytes():
                data += part
                if len(data) > limits.PLAN_FILE_BYTES:
                    raise HoldfastError("input.too_large", f"the plan is larger than {limits.PLAN_FILE_BYTES:,} bytes")
            if got.is_error:
                raise _refused(data)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable("connection.lost", f"{url} does not answer as a server: {type(error).__name__}") from None
    return read_plan(data)


def _refused(data: bytes) -> HoldfastError:
    import msgspec

    try:
        found = msgspec.json.decode(data)
    except msgspec.DecodeError:
        found = {}
    facts: Any = found.get("error", {}) if isinstance(found, dict) else {}
    return from_wire(facts)


def _moment(day: str) -> int:
    try:
        wanted = datetime.date.fromisoformat(day)
    except ValueError:
        raise HoldfastError("config.invalid", f"--at {day!r:.40} is no day", fix="Write it as 2026-11-30.") from None
    after = datetime.datetime.combine(wanted + datetime.timedelta(days=1), datetime.time(), datetime.UTC)
    return int(after.timestamp() * 1_000) - 1


def _say(screen: Screen, found: PlanVerification) -> None:
    for one in found.lines:
        says = f" ({one.says})" if one.says else ""
        screen.say(f"{one.outcome:<11}  {one.subject}{says}{f': {one.reason}' if one.reason else ''}", wrap=False)
    total = len([one for one in found.lines if one.says])
    if not total:
        screen.say("There is nothing to verify: no verdict is stated.")
        return
    screen.say(
        f"{found.count('agree')} agree, {found.count('disagree')} disagree, {found.count('cannot tell')} cannot be told."
    )
