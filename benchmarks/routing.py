"""``python -m benchmarks.routing FOLDER``: the choice by outcome on public answers of real models, beside simple ones.

FOLDER holds ``routellm-mmlu.csv.gz``, ``routellm-gsm8k.csv.gz``, ``routellm-mtbench.csv.gz`` (lm-sys/RouteLLM, Apache-2.0),
``ulab-nine-models.csv.gz`` (ulab-uiuc/LLMRouter, MIT) and ``routerarena-two-models.csv.gz`` (RouteWorks/RouterArena, Apache-2.0),
each with a row for an item and what each model scored. They are not part of this repository. The tables go into
docs/reference/routing.md.

Every item is of one half, by a hash of its id. The first half are the outcomes that are known; the second half is scored. What
was fixed before anything was scored: the halves, what counts as accepted, and the floors. All rows are shown.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import random
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from holdfast.governance.outcomes.model import OutcomeTally
from holdfast.governance.routing.choice import choose
from holdfast.governance.routing.model import RouteDefinition

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "routing.md"
BLOCK = re.compile(r"(<!-- scores -->\n).*?(<!-- end scores -->)", re.DOTALL)
FLOORS = (0.7, 0.8, 0.9)
SIZES = (
    "codegemma-7b", "mistral-7b-instruct-v0.3", "qwen2.5-7b-instruct", "llama3-chatqa-1.5-8b", "llama-3.1-8b-instruct",
    "gemma-2-9b-it", "llama-3.3-nemotron-super-49b-v1", "llama-3.1-nemotron-51b-instruct", "llama3-chatqa-1.5-70b",
)  # fmt: skip
"""No price is given of the nine: the smaller one counts as the cheaper one."""


class Item(NamedTuple):
    """An item: its half, its subject, and for each model whether its answer was accepted."""

    known: bool
    subject: str
    accepted: Mapping[str, bool]


class Source(NamedTuple):
    """A file.

    Attributes:
        models: the cheapest first; the incumbent is named, for the dearer one is not the better one everywhere.
        accepted: of a row and a model.
    """

    name: str
    models: tuple[str, ...]
    incumbent: str
    accepted: Callable[[Mapping[str, str], str], bool]
    rule: str


def _half_point(row: Mapping[str, str], model: str) -> bool:
    return float(row[f"score:{model}"] or 0) >= 0.5


def _turns(row: Mapping[str, str], model: str) -> bool:
    return (float(row[f"{model}_turn1"]) + float(row[f"{model}_turn2"])) / 2 >= 7


def _correct(row: Mapping[str, str], model: str) -> bool:
    return float(row[model]) >= 1


PAIR = ("weak", "strong")
SOURCES = (
    Source("routellm-mmlu", PAIR, "strong", _correct, "correct"),
    Source("routellm-gsm8k", PAIR, "strong", _correct, "correct"),
    Source("routellm-mtbench", PAIR, "strong", _turns, "a judge's 7 of 10 or more, both turns together"),
    Source("ulab-nine-models", SIZES, SIZES[-2], _half_point, "half a point or more"),
    Source(
        "routerarena-two-models", ("gemini-2.0-flash-001", "claude-3-haiku-20240307"), "claude-3-haiku-20240307",
        _half_point, "half a point or more",
    ),
)  # fmt: skip
"""Of RouterArena's two the dearer one is the incumbent, as one who takes price for quality would have it."""


def read(folder: Path, source: Source) -> list[Item]:
    """The items of a file."""
    csv.field_size_limit(1 << 24)
    with gzip.open(folder / f"{source.name}.csv.gz", "rt", newline="") as file:
        return [
            Item(
                hashlib.sha256(row["item_id"].encode()).digest()[0] % 2 == 0, row["subject"],
                {model: source.accepted(row, model) for model in source.models},
            )
            for row in csv.DictReader(file)
        ]  # fmt: skip


Choose = Callable[[Item], str]


def choosers(source: Source, known: Sequence[Item]) -> dict[str, Choose]:
    """Every way to choose, by its name."""
    seen: dict[str, list[Item]] = defaultdict(list)
    for item in known:
        seen[item.subject].append(item)
    cheap, dear = source.models[0], source.incumbent
    best = {
        subject: max(source.models, key=lambda m: (sum(i.accepted[m] for i in items), -source.models.index(m)))
        for subject, items in seen.items()
    }
    source_of_luck = random.Random(1)
    found: dict[str, Choose] = {
        "always the incumbent": lambda _: dear,
        "always the cheapest": lambda _: cheap,
        "random": lambda _: source_of_luck.choice(source.models),
        "best single of the known half": _constant(max(source.models, key=lambda m: sum(i.accepted[m] for i in known))),
        "table of subjects": lambda item: best.get(item.subject, dear),
    }
    for floor in FLOORS:
        found[f"Holdfast, floor {floor:g}"] = _ours(source, seen, floor)
    found["oracle"] = lambda item: next((m for m in source.models if item.accepted[m]), cheap)
    return found


def _constant(model: str) -> Choose:
    return lambda _: model


def _ours(source: Source, seen: Mapping[str, Sequence[Item]], floor: float) -> Choose:
    route = RouteDefinition(name="r", workflow="w", candidates=source.models, incumbent=source.incumbent, floor=floor)
    taken: dict[str, str] = {}
    for subject, items in seen.items():
        tallies = {}
        for model in source.models:
            accepted = sum(item.accepted[model] for item in items)
            tallies[model] = OutcomeTally(accepted, len(items) - accepted)
        taken[subject] = choose(route, source.models, tallies).model
    return lambda item: taken.get(item.subject, source.incumbent)


def table(folder: Path, source: Source) -> str:
    """The table of a file."""
    items = read(folder, source)
    known, scored = [i for i in items if i.known], [i for i in items if not i.known]
    subjects = len({item.subject for item in items})
    lines = [
        f"**{source.name}** ({len(known):,} known, {len(scored):,} scored, {subjects} subjects; accepted: {source.rule})\n",
        "| choice | accepted | share on the incumbent |", "| --- | --- | --- |",
    ]  # fmt: skip
    for name, chosen in choosers(source, known).items():
        models = [chosen(item) for item in scored]
        accepted = sum(item.accepted[model] for item, model in zip(scored, models, strict=True)) / len(scored)
        share = sum(model == source.incumbent for model in models) / len(scored)
        lines.append(f"| {name} | {accepted:.3f} | {share:.0%} |")
    return "\n".join(lines) + "\n"


def main(folder: Path) -> None:
    """Score, and write the tables into the page."""
    text = "\n".join(table(folder, source) for source in SOURCES)
    PAGE.write_text(BLOCK.sub(lambda found: f"{found[1]}{text}{found[2]}", PAGE.read_text()))
    print(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
