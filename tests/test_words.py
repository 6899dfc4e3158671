"""The words of the project: names are bound that an engineer of the field guesses, and docs/glossary.md is true.

``python tests/test_words.py [FOLDER …]`` lists what is wrong, one a line, in these folders only or in all of them.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src" / "holdfast"
GLOSSARY = ROOT / "docs" / "glossary.md"

PARTICIPLES = frozenset(
    {"told", "asked", "known", "kept", "said", "held", "given", "begun", "spoken", "heard", "meant", "gone", "met"}
)
"""Past participles that stood for nouns: no variable, parameter, attribute, function or class has one for a name."""
WHIMS = frozenset({
    "Door", "Visit", "Wire", "Kind", "Crowd", "Guard", "Lobby", "OwnLobby", "WaitingRoom", "OwnWaitingRoom", "Stay", "Room",
    "Who", "Reading", "Asking", "Asked", "Telling", "Told", "Said", "Known", "Shown", "Since", "Keeper", "Upkeep", "Tell",
    "LOUD", "Breather", "Lost", "Made", "Held", "Scribe", "Kept", "Voice", "Voices", "Unsettled", "Spoken", "Returned",
    "Attached", "Saying",
})  # fmt: skip
"""Former names of classes and constants, wherever they are bound."""
FORMER = frozenset({
    "staying", "stay_of", "keeper", "pulse", "loud", "at_rest", "made", "recall", "talking_to", "fails_in_a_sentence",
    "until_told", "collect_seldom", "brief",
})  # fmt: skip
"""Former names of functions and of attributes; a local variable may be called so."""
TS_WHIMS = frozenset({"Hub", "Pulse", "Said"})
"""Former names of classes and types in TypeScript."""

SAME_NAME: dict[str, str] = {
    "Steer": "what people send, and what an agent reads of it",
    "Error": "what the typed client calls an error in a session, and PEP 249 the root of its exceptions",
    "Store": "what a session log stands in, and what the governance half stands in",
}
"""Public classes of one name in several files of ``src/holdfast``, each with its reason."""
ALLOWED: dict[tuple[str, str], str] = {
    (
        "src/holdfast/governance/pricing/book.py",
        "asked",
    ): "the model that was asked for, as a row of the ledger calls it",
    ("src/holdfast/governance/pricing/service.py", "asked"): "the same, handed on",
}
"""``(path, name)`` of a binding that stays, with its reason: a name that others type, say."""

RESERVED = (
    "organisation", "team", "workflow", "owner", "deputy", "sponsor", "manifest", "label", "attempt", "reservation",
    "tranche", "settle", "stranded", "brake", "served model", "routing", "floor", "peel", "shadow", "outcome", "policy",
    "decision", "requester", "asker", "approver", "finding", "taint", "golden session", "verdict", "rehearsal",
    "pilot protocol", "gate", "evidence", "waiver", "seated", "headless",
)  # fmt: skip
"""Words of the governance half; the glossary has each of them."""


# --- Python -------------------------------------------------------------------------------------------------------------
def encoded_fields(tree: ast.Module) -> set[ast.AST]:
    """The fields of encoded structs and of typed dicts: they have the name that stands on the wire or in what is stored."""
    encoded: dict[str, ast.ClassDef] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            bases = [ast.unparse(base) for base in node.bases]
            if any(base in encoded or base.endswith(("Struct", "TypedDict")) for base in bases):
                encoded[node.name] = node
    return {s.target for node in encoded.values() for s in node.body if isinstance(s, ast.AnnAssign)}


def bindings(tree: ast.Module) -> Iterator[tuple[int, str, bool]]:
    """``(line, name, whether more than a local variable)`` of every name that a module binds."""
    wire = encoded_fields(tree)
    for node in ast.walk(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.name, True
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg, False
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node not in wire:
            yield node.lineno, node.id, False
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            yield node.lineno, node.attr, True
        elif isinstance(node, ast.alias) and node.name != "*":
            yield node.lineno, node.asname or node.name.split(".")[0], True
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name is not None:
            yield node.lineno, node.name, False


def banned(name: str, outlasts: bool) -> bool:
    """Whether nothing may be called so, with or without a leading underscore."""
    bare = name.lstrip("_")
    return bare in PARTICIPLES or bare in WHIMS or (outlasts and bare in FORMER)


def python_names(folder: Path = SRC) -> list[str]:
    """``path:line name`` of every banned name that Python binds."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        name = str(path.relative_to(ROOT))
        for line, bound, outlasts in sorted(bindings(ast.parse(path.read_text()))):
            if banned(bound, outlasts) and (name, bound) not in ALLOWED:
                found.append(f"{name}:{line} {bound}")
    return found


# --- TypeScript ---------------------------------------------------------------------------------------------------------
_DECLARED = re.compile(
    r"\b(?:const|let|var|function\*?|class|interface|type|enum|import|as)\s+(?:type\s+)?(\w+)|"  # const told
    r"^\s*(?:(?:private|public|protected|readonly|static|async|get|set)\s+)*#?(\w+)\s*(?:\(|=[^=>])|"  # #told = …, told(…)
    r"\bcatch\s*\(\s*(\w+)|"
    r"(?<![\w.])(\w+)\s*=>"
)
_DESTRUCTURED = re.compile(r"\b(?:const|let|var)\s*[\[{]([^=]*?)[\]}]\s*=")
_PARAMETERS = re.compile(r"\(([^()]*)\)\s*(?::[^=;{}()]+)?\s*(?:=>|\{)")


def _bare(text: str) -> str:
    """A file without its comments and without what stands in strings; lines stay where they are."""
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), text, flags=re.DOTALL)
    text = re.sub(r"(?<!:)//[^\n]*", "", text)
    return re.sub(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'', '""', text)


def declared(text: str) -> Iterator[tuple[int, str]]:
    """``(line, name)`` of what a TypeScript file declares. Fields of types and of object literals are not among them."""
    text = _bare(text)
    for number, line in enumerate(text.splitlines(), 1):
        for match in _DECLARED.finditer(line):
            yield number, next(group for group in match.groups() if group)
    for pattern in (_DESTRUCTURED, _PARAMETERS):
        for match in pattern.finditer(text):
            inner = re.sub(r"\{[^{}]*\}|<[^<>]*>", "", match[1])
            for part in inner.split(","):
                name = part.split(":")[-1] if pattern is _DESTRUCTURED else part
                if word := re.match(r"\s*(?:\.\.\.|(?:public|private|readonly)\s+)*(\w+)", name):
                    yield text.count("\n", 0, match.start()) + 1, word[1]


def typescript_names(folder: Path = ROOT / "web") -> list[str]:
    """``path:line name`` of every banned name that TypeScript declares."""
    sources = [
        path
        for part in ("packages", "apps")
        for path in (ROOT / "web" / part).glob("*/src/**/*.ts*")
        if "node_modules" not in path.parts and path.is_relative_to(folder)
    ]
    found = []
    for path in sorted(sources):
        name = str(path.relative_to(ROOT))
        for line, word in sorted(set(declared(path.read_text()))):
            if (word in PARTICIPLES or word in TS_WHIMS) and (name, word) not in ALLOWED:
                found.append(f"{name}:{line} {word}")
    return found


# --- classes, glossary --------------------------------------------------------------------------------------------------
def classes() -> dict[str, set[str]]:
    """The files in which a public class of a name stands."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in SRC.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].add(str(path.relative_to(ROOT)))
    return found


def repeated_classes() -> list[str]:
    """``name: files`` of every class name that stands in several files without a reason."""
    return [
        f"{name}: {', '.join(sorted(files))}"
        for name, files in sorted(classes().items())
        if len(files) > 1 and name not in SAME_NAME
    ]


def glossary() -> list[tuple[str, str, str]]:
    """``(word, meaning, where it stands)`` of every row."""
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", GLOSSARY.read_text(), re.MULTILINE)
    return [row for row in rows if row[0] != "word" and not row[0].startswith("---")]


def wrong_terms() -> list[str]:
    """What the glossary says that is not so."""
    protocol = (ROOT / "PROTOCOL.md").read_text()
    rules = set(re.findall(r"(?:^- |[.;:)] )([A-Z]+-\d+)(?= )", protocol, re.MULTILINE))
    found, words = [], [word for word, _, _ in glossary()]
    found += [f"{word}: twice" for word in sorted(set(words)) if words.count(word) > 1]
    found += [f"{word}: missing" for word in RESERVED if word not in words]
    for word, meaning, place in glossary():
        if not meaning.endswith("."):
            found.append(f"{word}: no whole sentence")
        named = re.findall(r"\b[A-Z]+-\d+\b", place)
        files = re.findall(r"`([^`]+)`", place)
        if not named and not files and place != "reserved":
            found.append(f"{word}: stands nowhere")
        found += [f"{word}: {rule} is no rule of PROTOCOL.md" for rule in named if rule not in rules]
        found += [
            f"{word}: {file} does not exist"
            for file in files
            if not (SRC / file).exists() and not (ROOT / file).exists()
        ]
    return found


# --- tests --------------------------------------------------------------------------------------------------------------
def test_no_name_is_bound_in_python_that_the_field_would_not_guess() -> None:
    found = python_names()
    assert not found, "\n" + "\n".join(found)


def test_no_name_is_declared_in_typescript_that_the_field_would_not_guess() -> None:
    found = typescript_names()
    assert not found, "\n" + "\n".join(found)


def test_a_public_class_stands_in_one_file() -> None:
    found = repeated_classes()
    assert not found, "\n" + "\n".join(found)
    unused = [name for name in SAME_NAME if len(classes().get(name, ())) < 2]
    assert not unused, f"exceptions that are none any more: {unused}"


def test_the_glossary_names_what_there_is() -> None:
    found = wrong_terms()
    assert not found, "\n" + "\n".join(found)
    assert "(glossary.md)" in (ROOT / "docs" / "README.md").read_text()


def test_what_looks_for_names_finds_them() -> None:
    python = "class Told: ...\ndef f(asked, *, x=1):\n    self.kept = (lambda said: 0)\n    for met in (): ...\n"
    assert {name for _, name, outlasts in bindings(ast.parse(python)) if banned(name, outlasts)} == {
        "Told", "asked", "kept", "said", "met",
    }  # fmt: skip
    wire = "class A(msgspec.Struct):\n    said: list[str] = []\nmade = 1\nclass B(TypedDict): ...\nclass C(B):\n    kept: bool\n"
    assert not [name for _, name, outlasts in bindings(ast.parse(wire)) if banned(name, outlasts)]
    script = (
        "const told = 1; let { a, b: known } = x;\nfunction f(asked: string, n = 2): void {\n}\n#said(): void {}\n"
        "const g = (held?: { kept: true }) => met => 0;\ninterface I { kept?: true }\n// const heard\nconst s = 'let gone';\n"
    )
    assert {name for _, name in declared(script)} & PARTICIPLES == {"told", "known", "asked", "said", "held", "met"}


if __name__ == "__main__":
    folders = [(ROOT / name).resolve() for name in sys.argv[1:]] or [SRC, ROOT / "web"]
    listed = [line for folder in folders if folder.is_relative_to(SRC) for line in python_names(folder)]
    listed += [line for folder in folders if folder.is_relative_to(ROOT / "web") for line in typescript_names(folder)]
    listed += [] if sys.argv[1:] else [*repeated_classes(), *wrong_terms()]
    print("\n".join(listed) or "nothing")
    sys.exit(bool(listed))
