"""What is said when there is nothing to audit, and what is prescribed for what was found."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from typer.testing import CliRunner

from holdfast.audit import recipe as recipes
from holdfast.audit.budget import ProbeBudget, Redactor
from holdfast.audit.compare import describe_difference
from holdfast.audit.drivers import registry
from holdfast.audit.finding import DETACHED, Contact, Report
from holdfast.audit.recipe import Recipe, RecipeCall, Rule
from holdfast.audit.report.build import build
from holdfast.audit.report.prescription import Inputs
from holdfast.cli.parser import app
from tests.audit.test_report import finding


class Proxy(BaseHTTPRequestHandler):
    """Chat completions for one model; others are refused as LiteLLM's proxy does."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])) or b"{}")
        if asked.get("model") != "counting" or "max_tokens" in asked:
            return self._say(
                400,
                b'{"error": {"message": "Invalid model name passed in model=%b"}}' % str(asked.get("model")).encode(),
            )
        pieces = [{"choices": [{"delta": {"content": f"w{number} "}}]} for number in range(20)]
        return self._say(200, b"".join(b"data: %b\n\n" % json.dumps(p).encode() for p in pieces) + b"data: [DONE]\n\n")

    def do_GET(self) -> None:
        self._say(405, b"no")

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1/chat/completions"
    server.shutdown()
    server.server_close()


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address that is taken, and where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/chat"


def run(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["audit", *args], catch_exceptions=False)
    return result.exit_code, " ".join(result.output.split())


# --- nothing to audit -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", [["detect", "{url}"], ["{url}", "--detect"], ["{url}"]])
def test_a_refusal_is_shown_and_a_model_can_be_named(url: str, how: list[str]) -> None:
    code, told = run(*[part.format(url=url) for part in how])
    assert code == 3
    assert "HTTP 400" in told and "Invalid model name passed in model=audit" in told and "--model" in told, told
    assert "Nobody answers" not in told


def test_with_a_model_it_is_recognised(url: str) -> None:
    code, told = run("detect", url, "--model", "counting")
    assert code == 0 and "openai-chat" in told, told


@pytest.mark.parametrize("how", [["detect", "{url}"], ["{url}", "--detect"], ["{url}"], ["{url}", "--driver", "text"]])
def test_who_is_not_there_is_told_apart_and_fails(nowhere: str, how: list[str], tmp_path: Path) -> None:
    code, told = run(*[part.format(url=nowhere) for part in how])
    assert code == 4 and "Nobody answers" in told and "refused" in told.lower(), told
    assert "like no chat" not in told


def test_what_could_not_be_audited_fails_whatever_is_required(url: str, tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    code, told = run(url, "--driver", "openai-chat", "--json", str(report))
    assert code == 4 and "Invalid model name" in told, told
    assert json.loads(report.read_text())["contact"]["state"] == "refused"


# --- the prescription -----------------------------------------------------------------------------------------------------
def report_of(recipe: Recipe, verdicts: dict[str, str], head: str = "") -> Report:
    budget = ProbeBudget()
    endpoint = registry.endpoint("http://127.0.0.1:1/", recipe, budget, {}, frozenset())
    contact = Contact(state="ok", message="", deterministic=True, evidence=f"HTTP 200\n{head}\n\ndata: x")
    findings = [finding(id_, verdict) for id_, verdict in verdicts.items()]
    return build(endpoint, budget, Redactor(), contact, findings, inputs=Inputs())


def advice_text(report: Report) -> str:
    return " ".join(f"{advice.text} {advice.code}" for advice in (*report.diagnosis, *report.prescription))


FAILED = {"resilient.resume": "fail"}
ANY = Recipe(ask=[RecipeCall()], read=[Rule(text="t")])


@pytest.mark.parametrize("name", ["openai-chat", "anthropic", "text", "text-get"])
@pytest.mark.parametrize("head", ["x-powered-by: Express", "connection: keep-alive", ""])
def test_no_python_is_prescribed_for_what_is_not_known_to_be_python(name: str, head: str) -> None:
    told = advice_text(report_of(registry.RECIPES[name], FAILED, head))
    assert "fastapi" not in told.lower() and "include_router" not in told, told


@pytest.mark.parametrize(
    ("recipe", "head", "wanted"),
    [
        (ANY, "x-powered-by: Express", "holdfast-ai"), (ANY, "server: uvicorn", "include_router"),
        (recipes.Recipe(ask=[RecipeCall()], framework="node"), "server: uvicorn", "holdfast-ai"),
        (recipes.Recipe(ask=[RecipeCall()], framework="of my own"), "server: uvicorn", "/v1/sessions/"),
        (registry.RECIPES["langgraph"], "server: uvicorn", "adapters import langgraph"),
        (registry.RECIPES["durable-streams"], "", "holdfast-ai"),
    ],
)  # fmt: skip
def test_the_lines_are_for_what_was_found(recipe: Recipe, head: str, wanted: str) -> None:
    assert wanted in advice_text(report_of(recipe, FAILED, head))


@pytest.mark.parametrize("seen", DETACHED)
def test_detaching_is_not_prescribed_where_the_run_was_seen_detached(seen: str) -> None:
    detached, bound = {**FAILED, "control.stop": "fail", seen: "pass"}, {**FAILED, seen: "fail"}
    told = advice_text(report_of(ANY, detached))
    assert "is detached from the request" not in told and "cancel-on-disconnect" not in told, told
    assert "lives in the connection" not in told and "goes on without its reader already" in told, told
    assert "is detached from the request" in advice_text(report_of(ANY, bound))
    assert "cancel-on-disconnect" in advice_text(report_of(ANY, bound))


# --- differences ----------------------------------------------------------------------------------------------------------
def test_two_texts_are_told_by_where_they_part() -> None:
    same = "the same beginning of both " * 20
    told = describe_difference(same + "one end", same + "another end")
    assert "one end" in told and "another end" in told and f"character {len(same)}" in told
    for expected, got in (("abc", "abcd"), ("", "x"), ("x" * 99 + "y", "x" * 99)):
        shown = describe_difference(expected, got).split(" instead of ")
        assert shown[0].split(": ", 1)[1] != shown[1], shown
