"""Audit real endpoints: start each from its package, break it, and write the table of their scores.

    python examples/audit/run.py [NAME …] [--out DIR]

Those that are one file need ``pip install -r examples/audit/requirements.txt`` in the environment named by AUDIT_PYTHON
(default: this one). Those that have a folder get an environment of their own, in ``.envs`` or ``node_modules``, when they
are first started. Everything listens on the loopback interface only.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent.resolve()
ENVS = HERE / ".envs"
PYTHON = os.environ.get("AUDIT_PYTHON", sys.executable)
UVICORN = [PYTHON, "-m", "uvicorn", "--log-level", "warning", "--port", "{port}"]
OWN = "{env}/bin/"
"""Where the programs of an environment of its own are."""


class Endpoint(NamedTuple):
    """What to start, where it answers, and how to speak to it. ``home``: its folder, when it has one."""

    title: str
    command: list[str]
    url: str
    options: list[str]
    home: str = ""


ENDPOINTS = {
    "fastapi": Endpoint(
        "FastAPI StreamingResponse", [*UVICORN, "fastapi_streaming:app"], "http://127.0.0.1:{port}/", ["--driver", "text-get"]
    ),
    "sse_starlette": Endpoint(
        "sse-starlette", [*UVICORN, "sse_starlette_numbers:app"], "http://127.0.0.1:{port}/",
        ["--driver", "sse_starlette_numbers.yaml"],
    ),
    "websocket": Endpoint(
        "Starlette WebSocket", [*UVICORN, "websocket_chat:app"], "ws://127.0.0.1:{port}/ws",
        ["--driver", "websocket_chat.yaml"],
    ),
    "ai_sdk": Endpoint(
        "AI SDK + resumable-stream", ["node", "server.mjs", "{port}"], "http://127.0.0.1:{port}/api/chat",
        ["--driver", "ai_sdk_resumable/recipe.yaml"], "ai_sdk_resumable",
    ),
    "pydantic_ag_ui": Endpoint(
        "Pydantic AI, AG-UI", [*UVICORN, "pydantic_ag_ui:app"], "http://127.0.0.1:{port}/", ["--driver", "ag-ui"]
    ),
    "chainlit": Endpoint(
        "Chainlit", [PYTHON, "-m", "chainlit", "run", "chainlit_chat.py", "--headless", "--port", "{port}"],
        "ws://127.0.0.1:{port}/", ["--driver", "chainlit"],
    ),
    "gradio": Endpoint(
        "Gradio", [PYTHON, "gradio_chat.py"], "http://127.0.0.1:{port}/", ["--driver", "gradio_chat.yaml"]
    ),
    "langgraph": Endpoint(
        "LangGraph, its development server",
        [
            OWN + "langgraph", "dev", "--no-browser", "--no-reload", "--n-jobs-per-worker", "10", "--host", "127.0.0.1",
            "--port", "{port}",
        ],
        "http://127.0.0.1:{port}", ["--driver", "langgraph", "--agent", "agent"], "langgraph_dev",
    ),
    "agno": Endpoint(
        "Agno, runs in the foreground", [OWN + "python", "-m", "uvicorn", "--log-level", "warning", "--port", "{port}", "app:app"],
        "http://127.0.0.1:{port}", ["--driver", "agno", "--agent", "agent"], "agno_os",
    ),
    "agno_background": Endpoint(
        "Agno, runs in the background", [OWN + "python", "-m", "uvicorn", "--log-level", "warning", "--port", "{port}", "app:app"],
        "http://127.0.0.1:{port}", ["--driver", "agno-background", "--agent", "agent"], "agno_os",
    ),
    "google_adk": Endpoint(
        "Google ADK, its API server", [OWN + "adk", "api_server", "--host", "127.0.0.1", "--port", "{port}", "."],
        "http://127.0.0.1:{port}", ["--driver", "google-adk", "--agent", "agent"], "google_adk",
    ),
    "litellm": Endpoint(
        "LiteLLM's proxy",
        [OWN + "litellm", "--config", "config.yaml", "--host", "127.0.0.1", "--port", "{port}", "--telemetry", "False"],
        "http://127.0.0.1:{port}", ["--driver", "litellm", "--model", "counting"], "litellm_proxy",
    ),
    "durable_streams": Endpoint(
        "Durable Streams, the reference server", ["node", "server.mjs", "{port}"], "http://127.0.0.1:{port}/chats",
        ["--driver", "durable-streams"], "durable_streams",
    ),
    "holdfast": Endpoint(
        "Holdfast", [sys.executable, "holdfast_chat.py", "{port}"], "http://127.0.0.1:{port}",
        [
            "--driver", "holdfast", "--agent", "writer", "--token", "@token", "--approval-prompt", "needs approval",
            "--agents-prompt", "needs agents", "--kill-agent", "kill -9 $(cat .writer.pid)",
            "--kill-orchestrator", "kill -9 $(cat .writer.pid)",
        ],
    ),
}  # fmt: skip


def free_port() -> int:
    """A port nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until something answers there."""
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit(f"it ended with exit code {process.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                break
        except OSError:
            time.sleep(0.1)
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).read(1)
    except (OSError, urllib.error.URLError):
        pass


def installed(home: str) -> Path:
    """The environment of a folder, made and filled when it is not there yet."""
    folder, env = HERE / home, ENVS / home
    if (folder / "package.json").exists():
        if not (folder / "node_modules").exists():
            subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, check=True)
        return folder
    if not (env / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(env)], check=True)
        pip = [str(env / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(folder / "requirements.txt")], check=True)
        (env / "installed").touch()
    return env


def workplace(home: str, out: Path) -> Path:
    """Where an endpoint is started: what it writes beside its program stays out of this folder."""
    if not home or (HERE / home / "package.json").exists():
        return HERE / home
    return shutil.copytree(HERE / home, out / home, dirs_exist_ok=True)


def audit(name: str, out: Path, only: str) -> dict[str, object]:
    """Start one endpoint, audit it, and return its report."""
    endpoint, port = ENDPOINTS[name], free_port()
    out.mkdir(parents=True, exist_ok=True)
    env = installed(endpoint.home) if endpoint.home else HERE
    environment = {
        **os.environ, "PORT": str(port), "PATH": f"{env / 'bin'}{os.pathsep}{os.environ['PATH']}", "AUDIT_DB": str(out / f"{name}.db"),
        "GRADIO_ANALYTICS_ENABLED": "False", "CHAINLIT_APP_ROOT": str(out), "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LANGSMITH_TRACING": "false", "LANGGRAPH_CLI_NO_ANALYTICS": "1",
    }  # fmt: skip
    with (out / f"{name}.log").open("wb") as log:
        command = [part.format(port=port, env=env) for part in endpoint.command]
        process = subprocess.Popen(command, cwd=workplace(endpoint.home, out), stdout=log, stderr=log, env=environment)
        try:
            wait_for(port, process)
            report = out / f"{name}.json"
            options = [(HERE / ".token").read_text().strip() if o == "@token" else o for o in endpoint.options]
            subprocess.run(
                [
                    sys.executable, "-m", "holdfast.cli", "audit", endpoint.url.format(port=port), *options, "--yes",
                    "--pid", str(process.pid), "--jobs", "2", "--only", only, "--json", str(report), "--html", str(out / f"{name}.html"),
                ],
                cwd=HERE, check=True,
            )  # fmt: skip
            return dict(json.loads(report.read_text()))
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def table(reports: dict[str, dict[str, object]]) -> str:
    """The scores as Markdown."""
    lines = ["| endpoint | resilient delivery | continuity | live control | multi-agent |", "|---|---|---|---|---|"]
    for name, report in reports.items():
        cells = []
        for capability in ("resilient", "continuity", "control", "agents"):
            score = report["scores"][capability]  # type: ignore[index]
            tried = score["passed"] + score["failed"] + score["inconclusive"]
            verdict = report["multi_agent"] if capability == "agents" else report["capabilities"][capability]  # type: ignore[index]
            cells.append(f"{verdict} ({score['passed']} of {tried})" if tried else "–")
        lines.append(f"| {ENDPOINTS[name].title} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Audit those that are named, or all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(ENDPOINTS))
    parser.add_argument("--out", type=Path, default=HERE / "reports")
    parser.add_argument("--only", default="", help="only probes whose id begins so")
    options = parser.parse_args()
    reports = {name: audit(name, options.out.resolve(), options.only) for name in options.names}
    (options.out / "table.md").write_text(table(reports))
    print(table(reports))


if __name__ == "__main__":
    main()
