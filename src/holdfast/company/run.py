"""``holdfast demo-enterprise``: the simulation with its progress, then the server until it is stopped."""

from __future__ import annotations

import asyncio
import datetime
import logging
import os
import shlex
import shutil
import sys
import time
import webbrowser
from collections.abc import Callable
from pathlib import Path

import msgspec

from holdfast.company import brake, truth
from holdfast.company.description import described
from holdfast.company.plants import planted
from holdfast.company.server import DATABASE
from holdfast.company.simulation import Simulated, Simulation
from holdfast.company.workplace import Played
from holdfast.edge import auth
from holdfast.edge.server import wait_for_shutdown
from holdfast.errors import HoldfastError
from holdfast.visible import logger

TOKEN_TTL_S = 12 * 3_600
_EVERYTHING = {
    "*": ["read", "append", "control", "presence", "admin", "spend", "budget", "catalogue", "record", "waive", "audit"]
}
_COMMANDS = ("read", "spend", "budget", "audit")
"""What a token for commands grants: looking, what owners and payers do, and exports."""
_EVERY_DAYS = 10
Say = Callable[[str], object]
"""Prints a line."""


def fresh_folder(data: str) -> Path:
    """The folder, empty. Of an earlier company it is emptied; others are left alone.

    Raises:
        HoldfastError: ``config.invalid`` for a folder with anything else in it.
    """
    folder = Path(data).absolute()
    if folder.exists() and any(folder.iterdir()):
        if not (folder / truth.PLAN).is_file():
            fix = "Name another folder with --data."
            raise HoldfastError("config.invalid", f"{folder} has files that are no company's", fix=fix)
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run_company(say: Say, *, host: str, port: int, data: str, seed: int, days: int, open_browser: bool) -> int:
    """Simulate and serve until Ctrl-C; returns an exit code.

    Args:
        say: prints a line.

    Raises:
        HoldfastError: ``config.invalid`` for the folder or the address.
    """
    import uvloop

    folder = fresh_folder(data)
    logging.basicConfig(level="WARNING", format="%(levelname)s %(name)s %(message)s")
    for name in ("alembic", "holdfast.gateway"):  # what is planted would be told again
        logger(name).setLevel("ERROR")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(say, folder, host, port, seed, days, open_browser))
    return 0


async def _run(say: Say, folder: Path, host: str, port: int, seed: int, days: int, open_browser: bool) -> None:
    company, plants = msgspec.structs.replace(described(), days=days), planted()
    say(f"{company.name}: {days} simulated days from {company.first_day}, seed {seed}")
    say(f"SHA-256 of {truth.PLAN}: {truth.seal_plan(folder, company, plants, seed)}")
    began = time.monotonic()

    def tell_progress(day: datetime.date, played: Played) -> None:
        if (day - company.first_day).days % _EVERY_DAYS == _EVERY_DAYS - 1:
            say(f"  {day} {played.runs:>6,} runs {time.monotonic() - began:>5.0f} s")

    async with Simulation(company, plants, seed, folder).running(host, port, pages=True, say=tell_progress) as found:
        say(f"SHA-256 of {truth.OUTCOME}: {truth.seal(folder, truth.OUTCOME, found.truth())}")
        took_s = time.monotonic() - began
        say(f"{found.played.runs:,} runs in {took_s:.0f} s. It is {company.last_day} now, and stays so.")
        say("Everything is made up: the company, its people, their work and what it costs.")
        page = page_of(found)
        say(page)
        say("The same on the command line, in another terminal (docs/tutorial-enterprise.md):")
        say(f"  U={found.server.url}; export HOLDFAST_TOKEN=$({token_command(folder)})")
        say("Write anything in one of these two, and a budget brakes while you watch (docs/howto/demo-enterprise.md):")
        for workflow, policy in brake.POLICIES.items():
            say(f"  {policy:<6}{page_of(found, workflow)}")
        sys.stdout.flush()
        if open_browser and (
            os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform == "darwin"
        ):
            webbrowser.open(page)
        await wait_for_shutdown()


def token_command(folder: Path, person: str = "you") -> str:
    """The command that mints a token for somebody of the company; what it may not do, such as minting more, is left out."""
    verbs = ",".join(_COMMANDS)
    return f"holdfast token user:{person} --db {shlex.quote(str(folder / DATABASE))} --ttl {TOKEN_TTL_S} --grant '*={verbs}'"


def page_of(found: Simulated, session: str = "") -> str:
    """The console's address, or the chat's of a session; the token is in the fragment, which no server ever sees."""
    token = auth.mint(found.server.secret, subject="user:you", capabilities=_EVERYTHING, ttl_s=TOKEN_TTL_S)
    return f"{found.server.url}/#t={token}&s={session}" if session else f"{found.server.url}/console/#t={token}"
