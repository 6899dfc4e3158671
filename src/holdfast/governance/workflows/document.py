"""A manifest as a file: YAML in, all that is wrong with it named by field and line, YAML out, and its JSON schema. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import yaml  # type: ignore[import-untyped]

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.organisation.document import PlainLoader
from holdfast.governance.workflows.model import WorkflowManifest, document_of

SCHEMA_FILE: Final = "manifest.schema.json"
"""The schema as it is packaged, beside this module."""
_WHERE: Final = re.compile(r" - at `(?:key in )?\$?(.*)`$")
_STEP: Final = re.compile(r"\.([a-z_0-9]+)|\[(\d+|\.\.\.)\]")
Path = tuple[str | int, ...]


class ManifestProblem(msgspec.Struct, frozen=True):
    """Something that is wrong with a manifest.

    Attributes:
        field: where, such as ``tools[2].effect``; empty for the whole.
        line: of the file; 0 where that is not known.
        what: in a sentence.
        blocks: whether it cannot be applied like this. What does not block is judged by gates.
    """

    field: str
    line: int
    what: str
    blocks: bool = True

    def __str__(self) -> str:
        at = f"line {self.line}: " if self.line else ""
        return f"{at}{self.field}: {self.what}" if self.field else f"{at}{self.what}"


class ManifestFile(msgspec.Struct, frozen=True):
    """A file that was read.

    Attributes:
        manifest: None where something blocks it.
        problems: of its form.
        lines: of its fields, by path.
    """

    manifest: WorkflowManifest | None
    problems: tuple[ManifestProblem, ...] = ()
    lines: Mapping[Path, int] = {}


def parse(data: bytes) -> WorkflowManifest:
    """The manifest in a file.

    Raises:
        Refused: ``workflow.invalid`` with all that is wrong with its form; ``input.too_large``.
    """
    file = read(data)
    if file.manifest is None:
        raise Refused("workflow.invalid", "; ".join(map(str, file.problems)))
    return file.manifest


def read(data: bytes) -> ManifestFile:
    """What is in a file, or all that is wrong with its form. Raises ``input.too_large``."""
    if len(data) > limits.WORKFLOW_MANIFEST_BYTES:
        raise Refused("input.too_large", f"the manifest is larger than {limits.WORKFLOW_MANIFEST_BYTES:,} bytes")
    lines: dict[Path, int] = {}
    try:
        node = yaml.compose(data.decode("utf-8-sig"), Loader=PlainLoader)
        value = _plain(node, (), lines)
    except UnicodeDecodeError as error:
        return _broken(f"it is no UTF-8 text (byte {error.start})")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        return _broken(f"it is no YAML: {error.problem}", mark.line + 1 if mark else 0)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        return _broken(f"it is no YAML that is read here: {str(error)[:200]}")
    if not isinstance(value, dict):
        return _broken("it is no mapping of fields")
    problems = tuple(_problems(value, lines))
    if problems:
        return ManifestFile(None, problems, lines)
    return ManifestFile(msgspec.convert(value, WorkflowManifest, strict=False), (), lines)


def _broken(what: str, line: int = 0) -> ManifestFile:
    return ManifestFile(None, (ManifestProblem("", line, what),))


def _plain(node: Any, path: Path, lines: dict[Path, int]) -> Any:
    """A node as plain values; every scalar is a text."""
    if node is None:
        return None
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode):
        return node.value
    if isinstance(node, yaml.SequenceNode):
        return [_plain(each, (*path, number), lines) for number, each in enumerate(node.value)]
    found: dict[str, Any] = {}
    for key, each in node.value:
        name = str(key.value)
        if name in found:
            raise yaml.MarkedYAMLError(problem=f"{name!r:.80} stands twice", problem_mark=key.start_mark)
        found[name] = _plain(each, (*path, name), lines)
    return found


def _problems(value: dict[str, Any], lines: Mapping[Path, int]) -> Iterator[ManifestProblem]:
    """Every field by itself, and of lists every entry: one mistake hides no other."""
    if not value.get("workflow"):
        yield ManifestProblem("workflow", lines.get(("workflow",), 0), "it names no workflow")
    for name, each in value.items():
        parts = [(number, [one]) for number, one in enumerate(each)] if isinstance(each, list) else [(None, each)]
        if isinstance(each, list) and len(each) > limits.WORKFLOW_LIST_ENTRIES:
            yield ManifestProblem(name, lines.get((name,), 0), f"more than {limits.WORKFLOW_LIST_ENTRIES} entries")
            continue
        if name == "workflow" and not each:
            continue
        for number, part in parts:
            try:
                msgspec.convert({"workflow": "x"} | {name: part}, WorkflowManifest, strict=False)
            except msgspec.ValidationError as error:
                yield _problem(str(error), name, number, lines)


def _problem(error: str, name: str, number: int | None, lines: Mapping[Path, int]) -> ManifestProblem:
    match = _WHERE.search(error)
    path: Path = ()
    for step in _STEP.finditer(match[1] if match else ""):
        path = (*path, step[1]) if step[1] else (*path, number if number is not None else 0)
    path = path if path[:1] == (name,) else (name,)
    if number is not None and len(path) == 1:
        path = (name, number)
    line = next((lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in lines), 0)
    return ManifestProblem(field_of(path), line, _WHERE.sub("", error))


def field_of(path: Path) -> str:
    """A path as people write it: ``tools[2].effect``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def write(manifest: WorkflowManifest) -> str:
    """A manifest as YAML; every text that could be read as something else is quoted."""
    text: str = yaml.safe_dump(document_of(manifest), sort_keys=False, allow_unicode=True, width=120)
    return text


def schema() -> dict[str, Any]:
    """The JSON schema of a manifest."""
    found: dict[str, Any] = msgspec.json.schema(WorkflowManifest)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Holdfast workflow manifest", **found}


def schema_text() -> str:
    """The schema as it stands in the packaged file."""
    return msgspec.json.format(msgspec.json.encode(schema(), order="sorted"), indent=2).decode() + "\n"
