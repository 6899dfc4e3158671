"""The demo's command: a signature, so that help about it loads nothing of the demo."""

from __future__ import annotations

from typing import Annotated

import typer


def demo(
    host: Annotated[str, typer.Option(help="Address to bind; 0.0.0.0 lets other devices in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the page and the server.")] = 7417,
    data: Annotated[str, typer.Option(help="Folder for the demo's sessions and notes.")] = ".holdfast/demo",
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> int:
    """Run the demo: a server, two agents in processes of their own, and a chat page to break."""
    from holdfast.demo.run import run_demo

    return run_demo(host=host, port=port, data_dir=data, open_browser=browser)
