"""The fake upstream as tests use it: a process of its own, its knobs and its truth."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import httpx
import msgspec

from tests.fake_upstream.truth import Stats

_ROOT = Path(__file__).parents[2]


class FakeUpstream:
    """Starts with the block and ends with it. ``knobs`` are those of all requests.

    Attributes:
        url: where it listens; the base URL of OpenAI's clients is ``url + "/v1"``, of Anthropic's ``url``.
    """

    def __init__(self, *, port: int = 0, keep: bool = True, cores: set[int] | None = None, **knobs: Any) -> None:
        command = [sys.executable, "-m", "tests.fake_upstream", "--port", str(port), *(["--keep"] if keep else [])]
        for name, value in knobs.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        self._process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True)
        if cores:
            os.sched_setaffinity(self._process.pid, cores)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:  # it has ended, and said why on stderr
            with self._process:
                pass
            raise RuntimeError("the fake upstream did not start")
        self._http = httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    def with_(self, **knobs: Any) -> str:
        """A URL under which all requests have these knobs."""
        return f"{self.url}/with/" + ",".join(f"{name}={value}" for name, value in knobs.items())

    def always(self, **knobs: Any) -> None:
        """Set the knobs of all requests; those not named are as they are by default."""
        self._ask("POST", "/always", knobs)

    def next(self, *queued: dict[str, Any] | None) -> None:
        """Set the knobs of the next requests, one each."""
        self._ask("POST", "/next", list(queued))

    def reset(self) -> None:
        """Forget what was served, and the knobs that wait for requests."""
        self._ask("POST", "/reset", {})

    def stats(self, *, ended: int = 0) -> Stats:
        """What was really served, once that many requests have ended."""
        return msgspec.json.decode(self._ask("GET", f"/stats?wait={ended}"), type=Stats)

    def _ask(self, method: str, path: str, body: Any = None) -> bytes:
        answer = self._http.request(method, path, json=body)
        if answer.status_code != 200:
            raise ValueError(answer.text)
        return answer.content

    def close(self) -> None:
        """End it."""
        self._http.close()
        with self._process:
            self._process.terminate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
