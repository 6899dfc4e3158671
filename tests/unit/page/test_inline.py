"""The page's Markdown inside a line: lossless, and a text costs its length, whatever somebody put into it."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

WEB = Path(__file__).parents[3] / "web"
READ = """
const { spansOf, scanCost } = look;
const sourceOf = (span) => typeof span === "string" ? span : span.kind === "code" ? span.mark + span.text + span.mark
  : span.kind === "url" ? span.target : span.kind === "link" ? `[${span.label}](${span.target})`
  : span.mark + span.inside.map(sourceOf).join("") + span.mark;
const texts = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(texts.map((text) => {
  scanCost.characters = 0;
  const spans = spansOf(text);
  return { source: spans.map(sourceOf).join(""), cost: scanCost.characters, spans };
})));
"""


@pytest.fixture(scope="module")
def reader() -> str:
    """The module as one script for Node."""
    if shutil.which("node") is None or not (WEB / "node_modules").is_dir():
        pytest.skip("the pages are not built: make web")
    module = str(WEB / "packages/look/src/inline.ts")
    command = ["npx", "esbuild", module, "--bundle", "--format=iife", "--global-name=look", "--log-level=error"]
    return subprocess.run(command, cwd=WEB, capture_output=True, text=True, check=True).stdout + READ


def read(reader: str, texts: list[str]) -> list[dict[str, Any]]:
    done = subprocess.run(["node", "-e", reader], input=json.dumps(texts), capture_output=True, text=True, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    assert [one["source"] for one in found] == texts, "every character of the source is there, in order"
    return found


PIECES = (
    "[", "[a](", "[a](x", "[a](b)", "![", "](", "]", "*", "**", "***", "* ", "**a", "**a ", "_", "__", "_a", "a_b", "__a ", "`", "`a",
    "`a``", "``b`", "http://", "https://x ", "h", "(", ")", " ", "\n", "*a\n", "**`", "[`a`]", "*_", "_*", "**__",
)  # fmt: skip


def test_a_text_costs_its_length(reader: str) -> None:
    """Twice as long is twice as much, and little of it: what is counted is characters looked at."""
    sizes = (2_500, 5_000, 10_000, 20_000)
    growing = "".join("`" * n + "a" for n in range(1, 200))
    texts = [(piece * size)[:size] for piece in PIECES for size in sizes]
    texts += [growing[:size] for size in sizes]
    found = read(reader, texts)
    for at in range(0, len(texts), len(sizes)):
        costs = [one["cost"] for one in found[at : at + len(sizes)]]
        for size, cost in zip(sizes, costs, strict=True):
            assert cost <= 12 * size, (texts[at][:8], costs)


def test_nothing_is_lost(reader: str) -> None:
    chance = random.Random(11)
    read(reader, ["".join(chance.choices(PIECES, k=chance.randrange(1, 30))) for _ in range(2_000)])


def test_what_marks_mean(reader: str) -> None:
    def shape(span: Any) -> Any:
        if isinstance(span, str):
            return span
        inside = span.get("text", span.get("label", span.get("target")))
        return [span["kind"], inside if "inside" not in span else [shape(one) for one in span["inside"]]]

    wanted: dict[str, Any] = {
        "a **b** c": ["a ", ["strong", ["b"]], " c"], "*a* _b_": [["em", ["a"]], " ", ["em", ["b"]]],
        "`a` ``b`c`` `": [["code", "a"], " ", ["code", "b`c"], " `"], "a_b_c a__b__c": ["a_b_c a__b__c"],
        "[a](http://b.c) [d](e f)": [["link", "a"], " [d](e f)"], "see https://a.b/c?d=1, or": ["see ", ["url", "https://a.b/c?d=1,"], " or"],
        "**a *b* `c**d`**": [["strong", ["a ", ["em", ["b"]], " `c"]], "d`**"], "2 * 3 * 4": ["2 * 3 * 4"], "**not\nhere**": ["**not\nhere**"],
        "[[x](y)": [["link", "[x"]], "*a_b*": ["*a_b*"],
    }  # fmt: skip
    for text, found in zip(wanted, read(reader, list(wanted)), strict=True):
        assert [shape(span) for span in found["spans"]] == wanted[text], text
