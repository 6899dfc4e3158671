"""A manifest as a file: everything that is wrong with it is named, by field and line, and its schema equals its types."""

from __future__ import annotations

from importlib import resources

import msgspec
import pytest
import yaml  # type: ignore[import-untyped]
from msgspec.structs import replace

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.workflows import document
from holdfast.governance.workflows.document import ManifestFile, parse, read, schema_text, write
from holdfast.governance.workflows.lint import LintFacts, blocking, lint
from holdfast.governance.workflows.model import (
    DataSource,
    DeclaredOutcome,
    ManifestModel,
    ManifestPrompt,
    ManifestTool,
    OwnerHours,
    ValueRange,
    WorkflowManifest,
    version_of,
)

WHOLE = WorkflowManifest(
    workflow="mail", title="Answer mail: 24/7", unit="sales", owner="ann", deputy="bob", sponsor="cat", payer="dan",
    stage="pilot", mode="observe", usage="headless", unit_of_work="a mail", agents=("mailer",),
    models=(ManifestModel("gpt-5", "batch"),), prompts=(ManifestPrompt("system", "0" * 64),),
    tools=(ManifestTool("crm.read", "read"), ManifestTool("send", "write", "100 a day")),
    data=(DataSource("crm", "personal"),), policies=("eu",), budget="mail", hours=OwnerHours(4.5),
    outcome=DeclaredOutcome("somebody sent it", ValueRange("1.50", "12")),
)  # fmt: skip
FACTS = LintFacts(teams=("sales",), budgets=("mail",), priced=("gpt-5",), tools={"crm.read": "read", "send": "write"})


def test_a_manifest_survives_its_file() -> None:
    assert parse(write(WHOLE).encode()) == WHOLE
    assert lint(read(write(WHOLE).encode()), FACTS) == []
    odd = replace(WHOLE, title="no", owner="0815", budget="1e3")
    assert parse(write(odd).encode()) == odd, "every value is a text"


def test_all_that_is_wrong_with_the_form_is_named_with_its_line() -> None:
    data = b"""workflow: mail
colour: red
stage: never
tools:
- {name: a, effect: read}
- {name: b, effect: explode}
- {name: c, efect: read}
data:
- source: crm
  class: secret
hours: {owner_week: -1}
outcome: {definition: x, value_usd: {low: much, high: "2"}}
prompts: [{name: a, sha256: zz}]
models: gpt
"""
    found = [(one.field, one.line) for one in read(data).problems]
    assert found == [
        ("colour", 2), ("stage", 3), ("tools[1].effect", 6), ("tools[2]", 7), ("data[0].class", 10), ("hours.owner_week", 11),
        ("outcome.value_usd.low", 12), ("prompts[0].sha256", 13), ("models", 14),
    ]  # fmt: skip
    with pytest.raises(Refused, match=r"workflow\.invalid.*line 6: tools\[1\]\.effect.*line 14: models"):
        parse(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"- x", b"a: [", b"workflow: a\nworkflow: b", b"x: &a 1\nworkflow: *a", b"\xff", b"title: x", b"[" * 10_000],
)
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(Refused, match=r"workflow\.invalid"):
        parse(data)


def test_a_manifest_is_bounded() -> None:
    with pytest.raises(Refused, match=r"input\.too_large"):
        read(b"#" * (limits.WORKFLOW_MANIFEST_BYTES + 1))
    many = b"workflow: a\nagents: [" + b"x," * (limits.WORKFLOW_LIST_ENTRIES + 1) + b"]"
    assert [one.field for one in read(many).problems] == ["agents"]


def test_all_that_is_wrong_beside_what_is_known_is_named() -> None:
    wrong = replace(
        WHOLE, unit="nowhere", deputy="ann", payer="ann", sponsor="agent:mailer", budget="none", agents=("mailer", "mailer"),
        models=(ManifestModel("gpt-9"),),
        tools=(ManifestTool("crm.read", "read"), ManifestTool("send", "read"), ManifestTool("new", "read")),
        outcome=DeclaredOutcome("x", ValueRange("3", "2")),
    )  # fmt: skip
    found = lint(read(write(wrong).encode()), msgspec.structs.replace(FACTS, agents={"mailer": "other"}))
    assert {(one.field, one.blocks) for one in found} == {
        ("unit", True), ("deputy", True), ("payer", False), ("sponsor", True), ("budget", False), ("agents", True),
        ("agents[0]", False), ("agents[1]", False), ("models[0]", False), ("tools[1].effect", False), ("tools[2]", False),
        ("outcome.value_usd", True),
    }  # fmt: skip
    assert all(one.line for one in found)
    assert [one.line for one in found] == sorted(one.line for one in found)
    assert {one.field for one in blocking(wrong, FACTS)} == {"unit", "deputy", "sponsor", "agents", "outcome.value_usd"}


def test_what_is_missing_blocks_nothing_and_is_named() -> None:
    found = lint(ManifestFile(WorkflowManifest(workflow="x")), FACTS)
    assert {one.field for one in found} == {"unit", "owner", "deputy", "payer", "budget", "outcome", "stage"}
    assert not any(one.blocks for one in found)


def test_the_packaged_schema_equals_the_types() -> None:
    packaged = resources.files("holdfast.governance.workflows").joinpath(document.SCHEMA_FILE).read_text()
    assert packaged == schema_text(), "write it anew: holdfast workflow schema"


def test_a_version_does_not_depend_on_how_the_file_is_written() -> None:
    facts = yaml.safe_load(write(WHOLE))
    turned = yaml.safe_dump(dict(reversed(list(facts.items()))), default_flow_style=True)
    assert version_of(parse(turned.encode())) == version_of(WHOLE)
