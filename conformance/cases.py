"""The cases: YAML files checked against ``case.schema.json``, one object each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import yaml

FOLDER = Path(__file__).parent
TS_MS = 1_764_000_000_000
"""Unix milliseconds of a case's first event, where the case gives none; each further event is one later."""


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        subject: the file it stands in.
        rules: the rules of PROTOCOL.md it holds a client (or a server) to.
        kind: ``fold``, ``conversation``, ``script``, ``live`` or ``server``; README.md says what each is.
        body: the rest, as written.
    """

    subject: str
    name: str
    rules: tuple[str, ...]
    kind: str
    body: dict[str, Any]

    @property
    def id(self) -> str:
        """``subject/words-of-the-name``."""
        return f"{self.subject}/{re.sub(r'[^a-z0-9]+', '-', self.name.lower()).strip('-')}"


def load(folder: Path = FOLDER / "cases") -> list[Case]:
    """Every case of a folder, in the order of the files.

    Raises:
        ValueError: a file does not fit the schema, or two cases have the same name.
    """
    schema = json.loads((FOLDER / "case.schema.json").read_text())
    found: dict[str, Case] = {}
    for path in sorted(folder.glob("*.yaml")):
        document = yaml.safe_load(path.read_text())
        try:
            jsonschema.validate(document, schema)
        except jsonschema.ValidationError as error:
            raise ValueError(f"{path.name}: {error.json_path}: {error.message}") from None
        for body in document["cases"]:
            case = Case(document["subject"], body["name"], tuple(body["rules"]), body["kind"], body)
            if case.id in found:
                raise ValueError(f"{path.name}: two cases are named {case.id}")
            found[case.id] = case
    return list(found.values())


def select(cases: Iterable[Case], rules: Iterable[str] = (), words: Iterable[str] = ()) -> list[Case]:
    """The cases that concern any of the rules and have all of the words in their id; all cases without either."""
    wanted, words = set(rules), list(words)
    return [
        case for case in cases if (not wanted or wanted & set(case.rules)) and all(word in case.id for word in words)
    ]


def filled(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Events with what a case may leave out: ``seq`` counts on, ``ts`` follows it, the actor is the run's or Ann."""
    found: list[dict[str, Any]] = []
    seq = 0
    for event in events:
        seq = event.get("seq", seq + 1)
        actor = "agent:writer" if "run" in event else "user:ann"
        found.append({"seq": seq, "ts": TS_MS + seq, "actor": actor, "data": {}, **event})
        seq = event.get("to", seq)
    return found


EMPTY_VIEW: dict[str, Any] = {
    "fold": 1, "title": "", "agent": "", "meta": {}, "state": {}, "items": [], "runs": {},
    "branch": {"head": None, "runs": {}, "version": 0}, "handoff": None, "older": 0,
}  # fmt: skip
"""The view of no events; what a case does not name of a view is as here."""
