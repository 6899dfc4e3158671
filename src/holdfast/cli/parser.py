"""The command line: which commands there are."""

from __future__ import annotations

from typing import Annotated

import typer

import holdfast
from holdfast.cli import audit, bench, client_commands, consumers, output, serve, storage
from holdfast.cli.extensions import Commands

app = typer.Typer(
    name="holdfast",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="Durable sessions between AI agents and the people who use them.",
    epilog="Exit codes: " + ", ".join(f"{code} {meaning}" for code, meaning in output.EXIT_CODES.items()) + ".",
)

for command in (
    serve.serve,
    serve.token,
    client_commands.sessions,
    client_commands.tail,
    client_commands.send,
    client_commands.cancel,
    client_commands.steer,
    client_commands.approve,
    storage.verify,
    storage.backup,
    storage.restore,
    storage.pair,
    bench.bench,
    audit.validate,
):
    app.command()(command)
app.add_typer(audit.app, name="audit")
app.add_typer(consumers.app, name="consumers")


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    """Durable sessions between AI agents and the people who use them."""
    if version:
        output.say(holdfast.__version__)
        raise typer.Exit


def main() -> None:
    """Entry point of the ``holdfast`` command."""
    app()
