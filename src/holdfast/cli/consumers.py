"""Commands on who reads the feed of a running server: list them, release one."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from holdfast.cli import output
from holdfast.cli.options import CONNECT_S, AsJson, Db, Token, Url, run, token_for
from holdfast.client.websocket import http_url
from holdfast.errors import Unavailable, from_wire

app = typer.Typer(help="Who reads the feed under a name (webhooks, say), and what they have not read.")

Name = Annotated[str, typer.Argument(help="The consumer's name.", show_default=False)]


async def request(method: str, path: str, url: str, token: str) -> Any:
    """What the server answers. Raises what it refuses with, or ``connection.lost``."""
    import httpx

    async with httpx.AsyncClient(base_url=http_url(url), timeout=CONNECT_S, trust_env=False) as http:
        try:
            response = await http.request(method, path, headers={"authorization": f"Bearer {token}"})
        except httpx.TransportError as error:
            raise Unavailable("connection.lost", f"cannot reach {url}: {error}") from error
    try:
        answer = response.json()
        if response.status_code >= 400:
            raise from_wire(answer["error"])
    except (ValueError, KeyError, TypeError) as error:
        raise Unavailable("server.internal", f"HTTP status {response.status_code}") from error
    return answer


@app.callback(invoke_without_command=True)
def consumers(
    context: typer.Context,
    url: Url = "http://127.0.0.1:7417", token: Token = None, db: Db = "holdfast.db", as_json: AsJson = False,
) -> None:  # fmt: skip
    """List who reads the feed: how much they have not read, since when, and who is overdue."""
    if context.invoked_subcommand is not None:
        return

    async def work() -> None:
        answer = await request("GET", "/v1/consumers", url, token_for(token, db))
        if as_json:
            return output.say_json(answer)
        if not answer["consumers"]:
            return output.say("Nobody reads the feed under a name.", style="dim")
        return output.say(output.table(("consumer", "not read", "since", ""), map(_row, answer["consumers"])))

    run(work, as_json)


def _row(row: dict[str, Any]) -> list[str]:
    since = output.ago(row["oldest_ms"]) if row["oldest_ms"] is not None else ""
    late = f"! overdue by {row['overdue']}" if row["overdue"] else ""
    return [row["consumer"], f"{row['unread']:,}", since, late]


@app.command()
def release(
    name: Name,
    url: Url = "http://127.0.0.1:7417", token: Token = None, db: Db = "holdfast.db", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Keep nothing for a consumer any more. When it comes again it may have missed something, and is told so."""

    async def work() -> None:
        answer = await request("DELETE", f"/v1/consumers/{quote(name, safe='')}", url, token_for(token, db))
        if as_json:
            return output.say_json(answer)
        return output.say(f"✓ {name} is released", style="green")

    run(work, as_json)
