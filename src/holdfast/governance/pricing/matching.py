"""Which entry of a catalogue a model's name means.

A price is taken for a name that the catalogue has, or for one that differs from such a name only by what does not name
another model: a date, a version, ``latest``, a region or a path in front. Catalogues match more loosely, by beginnings and
parts of names; then ``claude-opus-4-8-turbo`` would cost what ``claude-opus-4-8`` costs. Here it has no price.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from holdfast.governance.pricing.model import Clause, ModelEntry

_WORD: Final = r"latest|preview|exp|experimental|beta|default|stable|us|eu|apac|global|jp|au"
_DATE: Final = r"20\d{2}-?\d{2}-?\d{2}|\d{2}-\d{2}(?:-20\d{2})?|\d{2}-20\d{2}|\d{3,4}|\d{6}"
_BEHIND: Final = re.compile(rf"(?:[-@:._/](?:{_DATE}|{_WORD}|v\d{{1,2}}(?:[:.]\d)?|\d{{2,4}}k))*")
_YEAR: Final = re.compile(r"[-@]20\d{2}")
_REST_OF_DATE: Final = re.compile(r"-?\d{2}-?\d{2}")
_COMPACT: Final = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|@|$)")
PROVIDERS: Final = {
    "xai": "x-ai", "bedrock": "aws", "aws-bedrock": "aws", "amazon-bedrock": "aws", "amazon": "aws", "vertex": "google",
    "vertex-ai": "google", "vertexai": "google", "google-vertex": "google", "gemini": "google", "together-ai": "together",
    "togetherai": "together", "mistralai": "mistral", "azure-openai": "azure", "moonshot": "moonshotai", "z-ai": "zai",
    "z.ai": "zai", "fireworks-ai": "fireworks", "voyage": "voyageai",
}  # fmt: skip
"""Other names of providers."""


def provider_id(name: str) -> str:
    """A provider as catalogues name it."""
    plain = name.strip().lower().replace("_", "-")
    return PROVIDERS.get(plain, name.strip().lower())


def find(entries: Iterable[ModelEntry], name: str) -> ModelEntry | None:
    """The entry that a name means; None when none does.

    Args:
        entries: of one provider, in the order in which they are asked.
        name: as a provider writes it.
    """
    listed = tuple(entries)
    for spelling in _spellings(name):
        for entry in listed:
            if entry.model.lower() == spelling:
                return entry
        for entry in listed:
            if _equals(entry.match, spelling):
                return entry
        for entry in listed:
            if _means(entry.match, spelling):
                return entry
    return None


def _spellings(name: str) -> tuple[str, ...]:
    plain = name.strip().lower().removeprefix("models/")
    dashed = _COMPACT.sub(r"-\1-\2-\3", plain)
    return (plain,) if dashed == plain else (plain, dashed)


def _equals(clause: Clause, name: str) -> bool:
    if clause.kind == "any":
        return any(_equals(part, name) for part in clause.of)
    return clause.kind == "equals" and clause.text == name


def _means(clause: Clause, name: str) -> bool:
    """Whether a clause means a name, and nothing of the name says that it is another model."""
    if clause.kind == "any":
        return any(_means(part, name) for part in clause.of)
    if clause.kind == "all":
        return all(_holds(part, name) for part in clause.of) and any(_means(part, name) for part in clause.of)
    found = _span(clause, name)
    return found is not None and _in_front(name[: found[0]]) and _behind(clause, name[found[1] :])


def _holds(clause: Clause, name: str) -> bool:
    if clause.kind in ("any", "all"):
        return (any if clause.kind == "any" else all)(_holds(part, name) for part in clause.of)
    return _span(clause, name) is not None


def _span(clause: Clause, name: str) -> tuple[int, int] | None:
    """Where in the name a clause is found."""
    if clause.kind == "regex":
        found = re.search(clause.text, name)
        return found.span() if found else None
    where = {
        "equals": 0 if name == clause.text else -1,
        "starts": 0 if name.startswith(clause.text) else -1,
        "ends": len(name) - len(clause.text) if name.endswith(clause.text) else -1,
        "contains": name.find(clause.text),
    }[clause.kind]
    return None if where < 0 else (where, where + len(clause.text))


def _in_front(text: str) -> bool:
    """Whether what stands before a name is a path or a region: ``us.anthropic.``, ``publishers/anthropic/models/``."""
    return not text or text[-1] in "/.:~"


def _behind(clause: Clause, text: str) -> bool:
    """Whether what stands after a name is a date, a version, or a word such as ``latest``."""
    if not text or (clause.kind == "regex" and clause.text.endswith("$")):
        return True
    if clause.kind != "regex" and clause.text[-1] in "-@:.":
        text = clause.text[-1] + text
    if clause.kind == "regex" and clause.text.endswith("\\d"):
        return bool(re.fullmatch(r"[-\d]{1,9}", text))
    if rest := _YEAR.search(clause.text[-5:]) and _REST_OF_DATE.match(text):
        text = text[rest.end() :]
    return _BEHIND.fullmatch(text) is not None
