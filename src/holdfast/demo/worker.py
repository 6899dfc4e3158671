"""One agent worker of the demo, in a process of its own: ``python -m holdfast.demo.worker NAME URL DATABASE FOLDER``."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

from holdfast.agents.holdfast import Holdfast
from holdfast.demo.clerk import Clerk
from holdfast.demo.corpus import Corpus
from holdfast.demo.librarian import Librarian
from holdfast.demo.models import from_environment
from holdfast.edge import auth
from holdfast.errors import HoldfastError

RIGHTS = ["append", "control", "presence", "read"]


async def work(name: str, url: str, database: str, folder: Path) -> None:
    """Serve one agent until a signal stops it; it reconnects for as long as that takes."""

    def token() -> str:
        secret = auth.read_secret(database)
        if secret is None:
            raise HoldfastError("auth.required", "the server has not started yet")
        return auth.mint(secret, subject=f"agent:{name}", capabilities={"*": RIGHTS}, agents=[name])

    model = from_environment()
    agent = Librarian(Corpus(), model) if name == "librarian" else Clerk(folder, model)
    async with Holdfast(url, token, surface="worker", device=f"{name} worker") as hf:
        hf.add_agent(name, agent)
        await hf.serve(slots=4, drain_s=2.0, signals=True)


def main() -> None:
    """Entry point of the worker process."""
    name, url, database, folder = sys.argv[1:]
    logging.basicConfig(level="WARNING", format=f"{name}: %(message)s")
    asyncio.run(work(name, url, database, Path(folder)))


if __name__ == "__main__":
    main()
