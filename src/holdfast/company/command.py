"""The demo company's command: a signature, so that help about it loads nothing of the simulation."""

from __future__ import annotations

import functools
from typing import Annotated

import typer


def demo_enterprise(
    ctx: typer.Context,
    host: Annotated[str, typer.Option(help="Address to bind.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of pages, sessions and gateway; 0 takes a free one.", min=0, max=65_535)] = 7417,
    data: Annotated[str, typer.Option(help="Folder for what the company leaves; one of an earlier company is replaced.")] = ".holdfast/company",
    seed: Annotated[int, typer.Option(help="What everything follows from.", min=0)] = 7,
    days: Annotated[int, typer.Option(help="How many days are simulated.", min=1, max=90)] = 90,
    browser: Annotated[bool, typer.Option(help="Open the console in a browser.")] = True,
) -> int:  # fmt: skip
    """Simulate ninety days of a company whose people and agents use models, and serve its console. Everything is made up."""
    from holdfast.company.run import run_company

    say = functools.partial(ctx.obj.say, wrap=False) if ctx.obj is not None else typer.echo
    return run_company(say, host=host, port=port, data=data, seed=seed, days=days, open_browser=browser)
