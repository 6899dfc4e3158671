"""The demo company's small week in a process of its own, shared by the tests of a session: simulating it takes most of their time.

python -m tests.browser.fjordline FOLDER     # simulates into an empty folder, serves, prints what ``Fjordline`` reads
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final

from holdfast.company.run import page_of
from holdfast.company.simulation import Simulation
from holdfast.edge.server import wait_for_shutdown
from tests.unit.company.small import SEED, SHARE, small

_STOP_S: Final = 30


class Fjordline:
    """The week, simulated and served until ``stop``.

    Attributes:
        page: the console's address with a token, as the demo prints it.
        sessions: those in which a plant shows, by its name.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        command = [sys.executable, "-m", "tests.browser.fjordline", str(folder)]
        self._process = subprocess.Popen(
            command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self._process.stdout is not None
        printed: list[str] = []
        for line in self._process.stdout:
            printed.append(line)
            if line.startswith("{"):
                facts: dict[str, Any] = json.loads(line)
                break
        else:
            raise RuntimeError("the company was not simulated:\n" + "".join(printed))
        self.page: str = facts["page"]
        self.server: str = facts["server"]
        self.sessions: dict[str, list[str]] = facts["sessions"]
        self._reading = threading.Thread(target=self._process.stdout.read, daemon=True)
        self._reading.start()

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reading.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


async def _serve(folder: Path) -> None:
    async with Simulation(*small(), SEED, folder, share=SHARE).running(pages=True) as found:
        facts = {
            "page": page_of(found), "server": found.server.url,
            "sessions": {plant: sorted(names) for plant, names in found.sessions.items()},
        }  # fmt: skip
        print(json.dumps(facts), flush=True)
        await wait_for_shutdown()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
