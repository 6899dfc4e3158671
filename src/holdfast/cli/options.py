"""What commands share: their options, their token, how they report errors."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, Any, Final

import typer

from holdfast.cli import output
from holdfast.client.client import Client
from holdfast.edge import auth
from holdfast.errors import HoldfastError

Url = Annotated[str, typer.Option(envvar="HOLDFAST_URL", help="Where the server is.")]
Token = Annotated[
    str | None,
    typer.Option(
        envvar="HOLDFAST_TOKEN", help="Access token; minted from the secret beside --db by default.", show_default=False
    ),
]
Db = Annotated[str, typer.Option(envvar="HOLDFAST_DB", help="The server's database on this machine.")]
CONNECT_S: Final = 10.0
"""How long a command tries to reach the server."""

STARTING_S: Final = 3.0
"""How long a command waits for the secret of a server that is just starting."""

AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


def connect(url: str, token: str | None, db: str) -> Client:
    """A client of the server, with the token given or one minted. Raises as ``token_for`` does."""
    return Client(url, token_for(token, db), surface="cli", timeout_s=CONNECT_S)


def token_for(token: str | None, db: str) -> str:
    """The token given, or one minted from the secret beside the database.

    Raises:
        HoldfastError: ``auth.required`` when there is neither.
    """
    if token is not None:
        return token
    secret = secret_beside(db)
    if secret is None:
        fix = "Give --token (or HOLDFAST_TOKEN), or name with --db the database of a server on this machine."
        raise HoldfastError("auth.required", f"no --token, and no secret beside {db} to mint one from", fix=fix)
    return auth.mint(secret, subject="user:me", agents=["*"])


def secret_beside(db: str) -> str | None:
    """The secret beside a database, or None. A server that was started a moment ago is given time to write it."""
    until_s = time.monotonic() + STARTING_S
    while (secret := auth.read_secret(db)) is None and time.monotonic() < until_s:
        time.sleep(0.05)
    return secret


@contextlib.contextmanager
def report_errors(as_json: bool = False) -> Iterator[None]:
    """Turn what is raised on purpose into a sentence and an exit code."""
    try:
        yield
    except HoldfastError as error:
        output.say_error(error, as_json=as_json)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def run(work: Callable[[], Awaitable[Any]], as_json: bool = False) -> None:
    """Run an asynchronous command."""

    async def wrapped() -> None:
        await work()

    logging.getLogger("holdfast").addHandler(
        logging.NullHandler()
    )  # what ends a command is printed once, as a sentence
    with report_errors(as_json):
        asyncio.run(wrapped())
