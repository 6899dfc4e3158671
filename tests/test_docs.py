"""The documents are true: the reference is complete and current, links resolve, commands exist, what is marked runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from docs import tables

from holdfast.edge import http as rest
from holdfast.edge import metrics, sse
from holdfast.edge.config import Settings
from holdfast.edge.consumers import Consumers
from holdfast.edge.webhooks import Webhooks
from holdfast.errors import CODES
from holdfast.protocol import events, limits, wire
from holdfast.protocol.fold import View
from holdfast.session import families, program
from holdfast.session.access import VERBS, Capability, Principal
from holdfast.session.policy import Allow, DefaultPolicy, Facts, RequireApproval, Verdict
from holdfast.session.run import Claim, LeaseExpired, Tick
from holdfast.session.state import State

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
PAGES = [path for path in PAGES if "node_modules" not in path.parts]
RULE = re.compile(r"\b(?:LOG|SUB|FOLD|RUN|CTL|ACC)-\d+\b")


def page(name: str) -> str:
    return (REFERENCE / name).read_text()


def ids(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def outside_code(text: str) -> str:
    """Markdown without its fenced blocks and code spans."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


# --- the reference ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", tables.pages(), ids=lambda p: p.name)
def test_tables_are_current(path: Path) -> None:
    assert tables.filled(path.read_text()) == path.read_text(), "run: python -m docs.tables"


@pytest.mark.parametrize("path", tables.MODULES, ids=lambda p: p.name)
def test_modules_made_from_the_source_are_current(path: Path) -> None:
    assert tables.MODULES[path]() == path.read_text(), "run: python -m docs.tables"


def test_every_table_stands_on_a_page() -> None:
    used = {name for path in tables.pages() for _, name, _ in tables.BLOCK.findall(path.read_text())}
    assert used == set(tables.TABLES)


def test_every_error_is_documented_in_whole_sentences() -> None:
    text = page("errors.md")
    for code, row in CODES.items():
        assert f"| `{code}` | {row.status} |" in text
        assert row.wrong.endswith(".") and row.fix.endswith("."), code


def test_every_error_code_in_the_source_is_in_the_table() -> None:
    raised = {
        code
        for path in SOURCES
        for code in re.findall(r"""(?:Refused|Unavailable|HoldfastError)\(\s*"([a-z]+\.?[a-z_]*)\"""", path.read_text())
    }
    assert raised and not raised - set(CODES)


def test_every_limit_is_documented_and_bounds_something() -> None:
    text = page("limits.md")
    names = {name for name in vars(limits) if name.isupper()}
    assert {name for _, name, _ in tables.limit_rows()} == names
    asked = {name for p in SOURCES if p.name != "limits.py" for name in re.findall(r"\blimits\.(\w+)", p.read_text())}
    for name in names:
        assert f"| `{name}` |" in text
    assert names <= asked, f"{names - asked} bound nothing"


def test_every_operation_is_documented_with_every_field_and_its_answer() -> None:
    text = page("operations.md")
    answers = text[: text.index("## Every operation")]
    for name, op in wire.OPS.items():
        section = text.split(f"\n### {name}\n", 1)[1].split("\n### ", 1)[0]
        for field in set(op.__struct_encode_fields__) - {"id"}:
            assert f"| `{field}` |" in section, f"{name}.{field}"
        assert f"`{name}`" in answers, f"what does ok carry for {name}?"


def test_every_message_a_server_sends_is_documented() -> None:
    sent = {"events", "skip"}
    for path in SOURCES:
        if {"hub", "edge"} & set(path.relative_to(ROOT).parts):
            sent |= set(re.findall(r'"op"\s*:\s*"(\w+)"', path.read_text()))
    assert len(sent) > 10 and sent <= set(tables.server_messages())
    for name in sent:
        assert f"\n### {name}\n" in page("frames.md")


def test_signals_are_documented() -> None:
    source = (ROOT / "src/holdfast/hub/workers.py").read_text()
    kinds = set(re.findall(r'self\._signal\(.*"(\w+)", (?:data|\{)', source))
    assert len(kinds) >= 5
    rows = page("frames.md").split("## Every message")[0].split("| `what` |")[1]
    documented = set(re.findall(r"^\| `(\w+)` \|", rows, re.MULTILINE))
    assert kinds == documented


def test_every_setting_metric_and_route_is_documented() -> None:
    for name, field in Settings.model_fields.items():
        assert f"`HOLDFAST_{name.upper()}`" in page("settings.md")
        assert field.description and field.description.endswith("."), name
    for name in (*metrics.METRICS, *metrics.EDGE, *metrics.RESOURCES, metrics.COMMIT_SECONDS, "engine_ok"):
        assert f"`holdfast_{name}" in page("metrics.md")
    text = page("http.md")
    for route in rest.Rest(None, None, None).routes():  # type: ignore[arg-type]
        for method in route.methods - {"HEAD"}:  # type: ignore[attr-defined]
            assert f"`{method} {route.path}`" in text  # type: ignore[attr-defined]
    for route in ("/healthz", "/readyz", "/metrics", "/v1/connect"):
        assert route in text
    assert "Last-Event-ID" in text and sse.parse_start.__doc__


def test_every_metric_name_is_one_a_server_exposes() -> None:
    from holdfast.edge.listener import Listener
    from holdfast.engines.memory import MemoryEngine
    from holdfast.hub.hub import Hub

    exposed: set[str] = set()
    hub = Hub(MemoryEngine())
    listener = Listener(hub, Settings(), None)  # type: ignore[arg-type]
    for family in metrics._Collector(listener, Webhooks(hub, Settings()), Consumers(listener, None)).collect():
        exposed.add(family.name + ("_total" if family.type == "counter" else ""))
    documented = set(re.findall(r"^\| `(holdfast_\w+)`", page("metrics.md"), re.MULTILINE))
    assert documented == exposed


def test_the_command_line_is_documented() -> None:
    import typer

    from holdfast.cli.output import EXIT_CODES
    from holdfast.cli.parser import app

    text, group = page("cli.md"), typer.main.get_command(app)
    for name in group.list_commands(None):  # type: ignore[attr-defined]
        command = group.get_command(None, name)  # type: ignore[attr-defined]
        section = text.split(f"\n### holdfast {name}\n", 1)[1].split("\n### ", 1)[0]
        for parameter in command.params:
            for option in parameter.opts if parameter.param_type_name == "option" else ():
                assert option in section, f"holdfast {name} {option}"
    for code, meaning in EXIT_CODES.items():
        assert f"{code} {meaning}" in text


# --- events -------------------------------------------------------------------------------------------------------------
def documented_events() -> dict[str, str]:
    return dict(re.findall(r"^\| `([A-Z_]+|[a-z]+\.[a-z_]+)` \| `(\{.*?\})` \|", page("events.md"), re.MULTILINE))


def names(fields: str) -> set[tuple[str, bool]]:
    """``(field, optional)`` of ``{a, b?, c: …}``; what is in inner brackets is not a field."""
    flat = re.sub(r": (\{[^}]*\}|\[[^]]*\]|[^,}]*)", "", fields[1 : fields.rindex("}")])
    return {(f.strip().rstrip("?"), f.strip().endswith("?")) for f in flat.split(",") if f.strip() not in ("", "…")}


def test_every_event_type_is_documented_with_the_fields_of_the_vocabulary() -> None:
    known = {
        value for name, value in vars(events).items() if name.isupper() and isinstance(value, str) and name != "MINE"
    }
    documented, stated = documented_events(), tables.event_fields()
    assert set(documented) == known == set(stated)
    for type_ in known:
        assert names(documented[type_]) == names(stated[type_]), type_


def test_the_page_of_events_says_what_a_stopping_run_may_append_and_which_families_are_reserved() -> None:
    text = page("events.md")
    line = next(line for line in text.splitlines() if line.startswith("While a run is being stopped"))
    assert set(re.findall(r"`([A-Z_]+|[a-z]+\.[a-z]+)`", line)) == events.WHILE_STOPPING
    line = next(line for line in text.splitlines() if line.startswith("The vocabulary is open"))
    assert set(re.findall(r"`([a-z]+\.)`", line)) == {
        f"{name}." for name in families.FAMILIES if families.is_program(f"{name}.x")
    }


def labelled(actor: str) -> Principal:
    return Principal(actor, "acme", (Capability("*", VERBS),), labels=(("team", "sales"),))


class AsksAboutTitles(DefaultPolicy):
    def judge(self, facts: Facts, principal: Principal, command: wire.Op) -> Verdict:
        asks = isinstance(command, wire.Rename) and command.title == "asked about"
        return RequireApproval("titles", "people read them") if asks else Allow()


def everything() -> tuple[dict[str, list[set[str]]], View]:
    """The fields of every event in a session in which everything happens, and its view."""
    state, view, seen, now = State("s1", "i1"), View(), {}, 1_000
    s: dict[str, Any] = {"session": "s1"}

    def do(op: wire.Op, actor: str = "user:ann", at: int = 0) -> dict[str, Any]:
        written = program.decide(state, op, actor, now + at, labelled(actor), AsksAboutTitles())
        for event in written.events:
            seen.setdefault(event.type, []).append(set(event.data))
            program.evolve(state, event)
            assert view.apply(event)
        return written.result

    def start(run: str) -> dict[str, Any]:
        given = do(Claim(**s, run=run, worker="w", lease_s=15.0), "agent:writer")
        return {**s, "run": run, "generation": given["generation"]}

    do(wire.Create(**s, title="t", agent="writer", meta={"a": 1}))
    do(wire.Rename(**s, title="u"))
    file = [wire.Attachment(blob="b1")]
    first = do(wire.Send(**s, text="hi", key="m1", attachments=file, meta={"a": 1}, concurrent=True))["run"]
    held = start(first)
    sub = do(wire.Spawn(**held, agent="scout", name="one", input={"text": "look"}), "agent:writer")
    do(wire.End(**s, run=sub["run"], generation=1, status="failed", error={"code": "agent.failed"}), "agent:writer")
    do(wire.Received(**held, steer=do(wire.Steer(**s, run=first, text="faster"))["steerId"]), "agent:writer")
    call = {"toolCallId": "c1"}
    said = [
        ("TEXT_MESSAGE_START", {"messageId": "t1", "role": "assistant", "name": "w"}),
        ("source.cited", {"messageId": "t1", "sourceId": "1", "uri": "u"}),
        ("TEXT_MESSAGE_END", {"messageId": "t1", "kept": True}),
        ("REASONING_MESSAGE_START", {"messageId": "t2"}),
        ("REASONING_MESSAGE_END", {"messageId": "t2", "kept": True}),
        ("TOOL_CALL_START", {**call, "toolCallName": "look", "parentMessageId": "t1"}),
        ("TOOL_CALL_RESULT", {**call, "content": "ok", "error": {"code": "x"}, "blob": "b1"}),
        ("STEP_STARTED", {"stepName": "one"}),
        ("ACTIVITY_SNAPSHOT", {"messageId": "t3", "activityType": "plan", "content": {}}),
    ]
    do(wire.Append(**held, events=[events.Draft(*one) for one in said]), "agent:writer")
    do(wire.Ask(**held, approval="a1", tool="mail", args={}, wait=True), "agent:writer")
    do(wire.Resolve(**s, approval="a1", decision="approved", note="go"))
    held = start(first)
    do(LeaseExpired(**held, reason="lease expired"), "system:session")
    held = start(first)
    do(wire.Ask(**held, approval="a2", tool="mail", args={}, deadline_s=1), "agent:writer")
    do(Tick(**s), "system:session", at=2_000)
    mail = {"toolCallId": "c2"}
    started = [
        events.Draft("TOOL_CALL_START", {**mail, "toolCallName": "mail"}), events.Draft("TOOL_CALL_END", mail),
        events.Draft("tool.paused", {**mail, "why": "asks"}),
    ]  # fmt: skip
    do(wire.Append(**held, events=started), "agent:writer")
    do(wire.Ask(**held, approval="a3", tool="mail", args={}, call="c2", purpose="call"), "agent:writer")
    do(wire.Steer(**s, run=first, text="slower"))
    do(wire.Cancel(**s, input="m1", reason="enough"))
    do(wire.Received(**held), "agent:writer")
    do(Tick(**s), "system:session", at=60_000)
    again = start(do(wire.Regenerate(**s, input="m1"))["run"])
    do(wire.Interrupt(**s, text="no: this"))
    do(wire.Select(**s, input="m1", run=first))
    do(wire.Take(**s))
    do(wire.Send(**s, text="as one of you", edits="m1"))
    do(wire.Send(**s, text="with a key of somebody else", key="m1"), "user:bob")
    do(wire.GiveBack(**s))
    do(wire.End(**again), "agent:writer")
    do(wire.Rename(**s, title="asked about"))
    do(wire.Resolve(**s, approval=next(reversed(state.approvals)), decision="approved"))
    do(wire.Rename(**s, title="asked about"))
    return seen, view


def test_the_events_a_session_writes_have_the_documented_fields() -> None:
    seen, documented = everything()[0], documented_events()
    ours = {type_ for type_ in documented if families.is_program(type_)}
    assert ours == {type_ for type_ in seen if families.is_program(type_)}
    for type_, shapes in ((type_, seen[type_]) for type_ in ours):
        fields = names(documented[type_])
        for shape in shapes:
            assert {name for name, optional in fields if not optional} <= shape, type_
        assert set().union(*shapes) == {name for name, _ in fields}, type_


def test_the_protocol_names_every_close_code() -> None:
    line = next(line for line in (ROOT / "PROTOCOL.md").read_text().splitlines() if line.startswith("Close codes:"))
    used = set()
    for path in SOURCES:
        if "hub" in path.parts or "edge" in path.parts:
            used |= set(re.findall(r"(?:close|shut)\((\d{4}),|: (\d{4})[,\n]|\n\s+(44\d\d),", path.read_text()))
    codes = {code for found in used for code in found if code.startswith(("10", "44"))}
    assert len(codes) >= 9
    assert codes <= set(re.findall(r"\b\d{4}\b", line))


def test_a_view_has_the_fields_the_protocol_says() -> None:
    text, view = (ROOT / "PROTOCOL.md").read_text(), everything()[1]
    rows = re.findall(r"^\| `(message|reasoning|tool|step|activity|approval|steer)` \| (.+) \|$", text, re.MULTILINE)
    assert {kind for kind, _ in rows} == {item["kind"] for item in view.items}
    for kind, row in rows:
        spans = re.sub(r"\([^)]*\)", "", row).replace("`", "").split(",")
        fields = {name.strip() for name in spans}
        shapes = [set(item) - {"kind"} for item in view.items if item["kind"] == kind]
        for shape in shapes:
            assert {f for f in fields if not f.endswith("?")} <= shape, kind
        assert set().union(*shapes) == {f.rstrip("?") for f in fields}, kind
    line = next(line for line in text.splitlines() if line.startswith("A run: `id"))
    run = re.search(r"A run: `([^`]+)` and, where known, `(.+?)`\. Runs are", line)
    assert run is not None
    always = set(run[1].split(", "))
    known = set(re.sub(r" (\{.*?\}|\[\{.*?\}\])", "", run[2]).split(", "))
    for shape in map(set, view.runs.values()):
        assert always <= shape
    assert set().union(*view.runs.values()) == always | known


# --- the protocol -----------------------------------------------------------------------------------------------------
def test_every_rule_is_stated_once_and_cited_by_a_test() -> None:
    text = (ROOT / "PROTOCOL.md").read_text()
    rules = re.findall(rf"(?:^- |[.;:)] )({RULE.pattern})(?= )", text, re.MULTILINE)
    assert len(rules) == len(set(rules)), "a rule is stated twice"
    assert set(rules) == set(RULE.findall(text))
    cases = [path.read_text() for path in (ROOT / "conformance" / "cases").glob("*.yaml")]
    tests = [path.read_text() for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)]
    tested = {rule for text in (*tests, *cases) for rule in RULE.findall(text)}
    assert not set(rules) - tested, "rules no test cites"
    cited = tested | {rule for path in SOURCES for rule in RULE.findall(path.read_text())}
    assert not cited - set(rules), "rules PROTOCOL.md does not state"


def test_the_protocol_names_every_operation_and_message() -> None:
    text = (ROOT / "PROTOCOL.md").read_text()
    for name in (*wire.OPS, *tables.server_messages()):
        assert f"`{name}" in text or f'"op":"{name}"' in text, name


# --- every page ---------------------------------------------------------------------------------------------------------
def anchors(text: str) -> set[str]:
    """The anchors GitHub gives a page's headings."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower())
        found.add(plain.replace(" ", "-"))
    return found


@pytest.mark.parametrize("path", PAGES, ids=ids(PAGES))
def test_links_resolve(path: Path) -> None:
    text = outside_code(path.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text):
        if re.match(r"https?:|mailto:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there.read_text()), target


@pytest.mark.parametrize("path", PAGES, ids=ids(PAGES))
def test_words_of_commands_exist(path: Path) -> None:
    """Every ``make`` target and ``holdfast`` command in a shell block is one there is."""
    import typer

    from holdfast.cli.parser import app

    commands = set(typer.main.get_command(app).list_commands(None))  # type: ignore[attr-defined]
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = path.read_text()
    shell = "\n".join(re.findall(r"^```(?:sh|console|bash)\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    spans = "\n".join(re.findall(r"`([^`\n]+)`", text))
    for name in re.findall(r"^(?:\$ )?make ([a-z]+)", f"{shell}\n{spans}", re.MULTILINE):
        assert name in targets, f"make {name}"
    commands |= set(re.findall(r'return \{"([a-z-]+)": \w+\}', text))  # those of an extension that the page writes
    for name in re.findall(r"(?:^|[ /(])holdfast ([a-z][a-z-]*)", shell, re.MULTILINE):
        assert name in commands, f"holdfast {name}"


def test_the_index_of_documents_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    for path in (ROOT / "docs").rglob("*.md"):
        if path.name != "README.md":
            assert f"({path.relative_to(ROOT / 'docs')})" in index, path.name


def test_the_readme_begins_with_code_and_ends_nowhere() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    first = lines.index("```python")
    assert first < 30 and "import" in "".join(lines[first : first + 5])
    for heading in ("## Measured", "## When not to use it", "## Test it"):
        assert heading in lines
    for image in (ROOT / "docs" / "img").glob("*"):
        assert any(image.name in path.read_text() for path in PAGES), f"{image.name} is shown nowhere"
