"""Reports: the shape others read, a page that needs nothing, what changed, exit codes, and no secrets."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from threading import Thread
from typing import Any

import jsonschema
import msgspec
import pytest
from msgspec import structs
from typer.testing import CliRunner

from holdfast.audit import recipe as recipes
from holdfast.audit.budget import OutOfBudget, ProbeBudget, Redactor
from holdfast.audit.compare import difference
from holdfast.audit.drivers import registry
from holdfast.audit.examine import PROBES, charge_once
from holdfast.audit.finding import Advice, Contact, Finding, Report, Step
from holdfast.audit.report.build import build
from holdfast.audit.report.diagnosis import PATTERNS, diagnose
from holdfast.audit.report.page import in_words, page, when
from holdfast.audit.report.prescription import Inputs
from holdfast.cli.parser import app
from holdfast.errors import Refused
from tests.audit.chat_server import RECIPE, ChatServer

VERDICTS = {"pass", "fail", "inconclusive", "not_applicable"}
SECRET = "sk-very-secret-0123456789"


@pytest.fixture
def server() -> Iterator[ChatServer]:
    """The good server, on a loop of its own."""
    made, loop = ChatServer(), asyncio.new_event_loop()
    up: asyncio.Future[None]
    ready, done = loop.create_future(), loop.create_future()

    async def serve() -> None:
        async with made.running():
            ready.set_result(None)
            await done

    up = ready
    thread = Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    while not up.done():
        thread.join(0.01)
    yield made
    loop.call_soon_threadsafe(done.set_result, None)
    thread.join(5)
    loop.close()


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "chat.yaml"
    path.write_text(recipes.dump(RECIPE))
    return path


def run(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["audit", *args], catch_exceptions=False)
    return result.exit_code, result.output


def finding(id_: str, verdict: str, **more: Any) -> Finding:
    capability: Any = id_.split(".")[0]
    return Finding(
        id=id_, capability=capability, title=id_, verdict=verdict, did="d", expected="e", saw=more.pop("saw", "s"), **more  # type: ignore[arg-type]
    )  # fmt: skip


def report_of(*findings: Finding, **inputs: Any) -> Report:
    budget = ProbeBudget()
    endpoint = registry.endpoint("http://127.0.0.1:1/", registry.RECIPES["ai-sdk"], budget, {}, frozenset())
    contact = Contact(state="ok", message="", deterministic=True)
    return build(endpoint, budget, Redactor(SECRET), contact, list(findings), inputs=Inputs(**inputs))


# --- the command --------------------------------------------------------------------------------------------------------
def test_the_json_report_has_the_shape_that_others_read(server: ChatServer, recipe: Path, tmp_path: Path) -> None:
    out, html = tmp_path / "r.json", tmp_path / "r.html"
    code, told = run(
        server.url, "--driver", str(recipe), "--prompt", "one", "--second-prompt", "two", "--jobs", "8",
        "--json", str(out), "--html", str(html), "--header", f"Authorization: Bearer {SECRET}",
        "--require", "resilient,continuity,control",
    )  # fmt: skip
    assert code == 0, told
    report = json.loads(out.read_text())
    assert set(report["capabilities"]) == {"resilient", "continuity", "control"}
    assert set(report["capabilities"].values()) == {"pass"}
    assert [probe["id"] for probe in report["probes"]] == [probe.id for probe in PROBES]
    for probe in report["probes"]:
        assert probe["verdict"] in VERDICTS
        assert probe["did"] and probe["expected"] and probe["saw"]
        if probe["verdict"] == "pass" and probe["id"] != "resilient.end_marked":
            assert probe["timeline"], probe["id"]
    assert SECRET not in out.read_text() + html.read_text() + told
    assert msgspec.convert(report, Report).driver == "chat-server"


def test_what_is_required_decides_the_exit_code(server: ChatServer, recipe: Path, tmp_path: Path) -> None:
    """Without a way to resume, resilience fails, and only who requires it is stopped."""
    weak = tmp_path / "weak.yaml"
    weak.write_text(recipes.dump(structs.replace(RECIPE, resume=None, join=None)))
    args = [
        server.url,
        "--driver",
        str(weak),
        "--prompt",
        "one",
        "--second-prompt",
        "two",
        "--only",
        "resilient.resume",
    ]
    before = tmp_path / "before.json"
    assert run(*args, "--json", str(before))[0] == 0
    assert run(*args, "--require", "resilient")[0] == 3
    good = [server.url, "--driver", str(recipe), *args[3:]]
    code, told = run(*good, "--require", "resilient", "--before", str(before))
    assert code == 0 and "resilient.resume: fail → pass" in told
    assert run(*args, "--require", "nonsense")[0] == 1
    assert run(*args, "--topology", "nonsense")[0] == 1
    assert "server of its own" in " ".join(run(*args, "--surfaces", "web,mobile")[1].split())
    assert run(*args, "--before", str(recipe))[0] == 1


def test_recipes_are_printed_and_their_schema_fits_them(tmp_path: Path) -> None:
    code, told = run("recipe", "--schema")
    schema = json.loads(told)
    assert code == 0
    for name, known in registry.RECIPES.items():
        code, text = run("recipe", name)
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        assert code == 0 and recipes.load(path) == known
        jsonschema.validate(msgspec.to_builtins(known), schema)
    assert all(name in run("recipe")[1] for name in registry.RECIPES)


@pytest.mark.parametrize(
    "text", ["name: x\n", "ask: [{path: /x}]\nunknown: 1\n", "ask: [{body: '{nothing_known}'}]\n", "[", "ask: 3\n"]
)
def test_a_recipe_that_is_wrong_is_refused_with_a_reason(tmp_path: Path, text: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(Refused, match=r"wrong\.yaml|recipe"):
        recipes.load(path)


# --- the page -----------------------------------------------------------------------------------------------------------
class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_page_needs_nothing_and_lets_nothing_run() -> None:
    nasty = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
    step = Step(at_s=0.1, source="tab A", target="endpoint", what=nasty, fault=True)
    made = report_of(finding("resilient.resume", "fail", saw=nasty, timeline=[step], evidence=[nasty]))
    made.target, made.contact.message = nasty, nasty
    text = page(made)
    parser = _Page()
    parser.feed(text)
    tags = {tag for tag, _ in parser.tags}
    assert not tags & {"script", "img", "iframe", "object", "embed", "link", "base", "form"}
    for tag, attributes in parser.tags:
        assert not any(name.startswith("on") for name in attributes), tag
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
    assert not re.search(r"url\(|@import|https?://", text.split("<style>")[1].split("</style>")[0])
    assert 'name="viewport"' in text and "prefers-color-scheme: dark" in text


def test_failures_come_first_and_every_one_has_its_diagram() -> None:
    steps = [
        Step(at_s=0.0, source="tab A", target="endpoint", what="asks"),
        Step(at_s=0.2, source="network", target="tab A", what="cut (rst)", fault=True),
    ]
    made = report_of(
        finding("resilient.end_marked", "pass"), finding("resilient.resume", "fail", timeline=steps),
        finding("control.stop", "inconclusive"),
    )  # fmt: skip
    text = page(made)
    assert text.index('id="resilient.resume"') < text.index('id="resilient.end_marked"')
    section = text.split('id="resilient.resume"')[1].split("</details>")[0]
    assert "<svg" in section and "cut (rst)" in section and "cross" in section


def test_the_top_says_when_and_how_it_went_in_words() -> None:
    assert when("2026-11-23T06:06:41+01:00") == "23 November 2026, 05:06 UTC"
    assert when("an earlier report") == "an earlier report"
    made = report_of(finding("resilient.resume", "fail"), finding("resilient.end_marked", "pass"))
    made.capabilities = {"resilient": "fail", "continuity": "pass", "control": "pass"}
    said = in_words(made)
    assert said.startswith("Continuity across surfaces and live control pass. Resilient delivery fails."), said
    assert said in page(made)
    made.capabilities = dict.fromkeys(made.capabilities, "inconclusive")
    assert in_words(made).startswith("All three capabilities are left open.")
    made.contact.state = "hangs"
    assert in_words(made).startswith("Nothing was broken")


def test_the_page_says_what_changed_or_that_nothing_did() -> None:
    made = report_of(finding("resilient.resume", "pass"))
    assert "Since " not in page(made)
    made.before = "2026-11-22T05:06:00+00:00"
    assert "Since 22 November 2026, 05:06 UTC" in page(made) and "No probe has another verdict" in page(made)
    made.changed = [{"probe": "resilient.resume", "before": "fail", "now": "<b>"}]
    section = page(made).split("Since 22 November")[1].split("</section>")[0]
    assert "✗ fail" in section and 'href="#resilient.resume"' in section and "<b>" not in section


# --- judging ------------------------------------------------------------------------------------------------------------
def test_one_failure_explains_another_only_once() -> None:
    found = [finding(probe.id, "fail") for probe in PROBES if probe.id in ("resilient.resume", "resilient.half_open")]
    probes = [probe for probe in PROBES if probe.id in ("resilient.resume", "resilient.half_open")]
    charge_once(found, probes)
    assert {f.id: (f.verdict, f.because) for f in found} == {
        "resilient.resume": ("fail", []), "resilient.half_open": ("inconclusive", ["resilient.resume"]),
    }  # fmt: skip
    lacking = [finding(probe.id, "fail", lacks=True) for probe in probes]
    assert {f.verdict for f in charge_once(lacking, probes)} == {"fail"}


def test_every_probe_that_can_fail_leads_to_a_diagnosis_and_a_prescription() -> None:
    known = {probe.id for probe in PROBES}
    for pattern in PATTERNS:
        assert set(pattern.any_of) | set(pattern.also) <= known
    for probe in PROBES:
        for other in probe.after:
            assert other in known
        made = report_of(finding(probe.id, "fail"))
        assert made.prescription, probe.id
        explained = probe.id in {id_ for advice in made.diagnosis for id_ in advice.because}
        supports = any(probe.id in pattern.also for pattern in PATTERNS)
        assert explained or supports, probe.id


def test_the_classic_endpoint_is_diagnosed_as_what_it_is() -> None:
    ids = ("resilient.resume", "continuity.middle", "control.stop", "agents.direct")
    names = {advice.name for advice in diagnose([finding(id_, "fail") for id_ in ids])}
    assert names == {
        "Single-connection trap", "Single-surface session", "Cancel/disconnect ambiguity", "Orchestrator relay",
    }  # fmt: skip


def test_what_the_person_says_shapes_the_prescription() -> None:
    def text(advices: list[Advice]) -> str:
        return " ".join(advice.text for advice in advices)

    one = report_of(finding("resilient.resume", "fail"))
    many = report_of(finding("resilient.resume", "fail"), topology="orchestrator", surfaces=["web", "mobile"])
    assert "inside the application" in text(one.prescription) and "server of its own" in text(many.prescription)
    assert "Sub-agents write to the same session" in text(many.prescription)
    assert many.inputs == {"topology": "orchestrator", "surfaces": ["web", "mobile"]}
    assert "Transport" in one.prescription[-1].code, "the lines are those of the framework that was found"
    assert report_of(finding("resilient.resume", "pass")).prescription == []


@pytest.mark.parametrize(
    ("expected", "got", "missing", "extra"),
    [
        ("abcdef", "abcdef", 0, 0), ("abcdef", "abef", 2, 0), ("abcdef", "abcdcdef", 0, 2), ("abc", "", 3, 0),
        ("one two three", "one three", 4, 0), ("aaaa", "aaa", 1, 0), ("x" * 9_000, "y" * 9_000, 9_000, 9_000),
    ],
)  # fmt: skip
def test_differences_are_counted(expected: str, got: str, missing: int, extra: int) -> None:
    found = difference(expected, got)
    assert (found.missing, found.extra) == (missing, extra)


# --- etiquette ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text",
    [
        f"x {SECRET} y", "Authorization: Bearer abcdef123456", '{"api_key": "0123456789"}', "Cookie: session=abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.abc", "token=abcdef123&x=1",
    ],
)  # fmt: skip
def test_secrets_are_redacted(text: str) -> None:
    redacted = Redactor(SECRET).text(text)
    assert "[redacted]" in redacted
    assert not re.search(r"secret-0123|abcdef|0123456789|eyJhb", redacted)


def test_what_an_endpoint_sends_cannot_steer_a_terminal() -> None:
    told = Redactor().text("\x1b[2K\x1b]52;c;aGk=\x07 a\u202eb \x9b1m\r\n\tend")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", told) and told.endswith("\n\tend"), told
    assert "\\x1b[2K" in told and "\\u202e" in told


def test_words_of_an_answer_are_no_secrets() -> None:
    for text in (
        '["stream_token", {"token": "hello "}]',
        '{"type": "token", "text": "considerable"}',
        "the token is short",
    ):
        assert Redactor(SECRET).text(text) == text
    assert "abcdefgh12" not in Redactor().text('{"access_token": "abcdefgh12"}')


def test_more_than_agreed_needs_a_yes() -> None:
    asked: list[int] = []
    budget = ProbeBudget(requests=10, ask_above=2, ask=lambda used: bool(asked.append(used)))
    budget.spend()
    budget.spend()
    with pytest.raises(OutOfBudget, match="nobody allowed"):
        budget.spend()
    assert asked == [2]
    allowed = ProbeBudget(requests=3, ask_above=1, ask=lambda used: True)
    for _ in range(3):
        allowed.spend()
    with pytest.raises(OutOfBudget, match="3 requests"):
        allowed.spend()


def test_detection_can_be_asked_for_by_itself(server: ChatServer) -> None:
    code, told = run(server.url, "--detect")
    assert code == 3 and "Write a recipe" in told
