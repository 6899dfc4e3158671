"""The tables of docs/reference, made from the code they describe, and the one of measured figures in the README, made
from benchmarks/RESULTS.md: ``python -m docs.tables`` rewrites them.

A page is Markdown written by hand; what stands between ``<!-- table: NAME -->`` and ``<!-- end -->`` is made here.
tests/test_docs.py holds the committed pages against this file.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import typer
from docs import layers, public_api, python_api

from holdfast.audit.drivers.registry import RECIPES
from holdfast.audit.examine import PROBES
from holdfast.cli.parser import app
from holdfast.client import messages
from holdfast.edge.config import Settings
from holdfast.edge.http import OP_ROUTES, Rest
from holdfast.edge.metrics import COMMIT_SECONDS, EDGE, FEED, METRICS, RESOURCES
from holdfast.errors import CODES
from holdfast.governance.rollout.registry import GATES, STEPS
from holdfast.protocol import codec, events, limits, wire
from holdfast.protocol.frames import EventsFrame
from holdfast.session.access import NEEDS

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
PLAN = ROOT / "docs" / "plan"
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_FIELDS = re.compile(r'^([A-Z_]+): Final = "([^"]+)"  # (\{.*\}.*)$', re.MULTILINE)
_LIMIT = re.compile(r"^([A-Z_]+) = [^#]+# (.+)$")


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    lines = [list(head)]
    lines.append(["---"] * len(lines[0]))
    lines += [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def code(value: object) -> str:
    """As code, or nothing."""
    return f"`{value}`" if value not in ("", None) else ""


def sentence(doc: str | None) -> str:
    """A docstring as one paragraph of Markdown."""
    return " ".join((doc or "").split("\n\n")[0].replace("``", "`").split())


# --- the plan
def gates() -> str:
    """Every gate, with its doors, and whether it is built."""
    rows = [
        (
            gate.name, STEPS[gate.step], gate.title, ", ".join(gate.holds),
            "the organisation" if gate.span == "organisation" else "each workflow", "yes" if gate.decide else "not yet",
        )
        for gate in GATES
    ]  # fmt: skip
    return table(("gate", "step", "asks for", "holds", "of", "built"), rows)


# --- errors, limits, events ---------------------------------------------------------------------------------------------
def errors() -> str:
    """Every error code."""
    rows = ((code(name), c.status, "yes" if c.retry else "no", c.wrong, c.fix) for name, c in CODES.items())
    return table(("code", "HTTP", "retry", "what is wrong", "what to do"), rows)


def limit_rows() -> list[tuple[str, str, str]]:
    """``(section, name, meaning)`` of every limit, from the comments that stand beside them."""
    found, section = [], ""
    for line in Path(limits.__file__).read_text().splitlines():
        if line.startswith("# "):
            section = line[2:]
        elif match := _LIMIT.match(line):
            found.append((section, match[1], match[2]))
    return found


def limit_table() -> str:
    """Every limit, by section."""
    parts: dict[str, list[tuple[object, ...]]] = {}
    for section, name, meaning in limit_rows():
        value = getattr(limits, name)
        shown = f"{value:,}" if isinstance(value, int) else f"{value:,g}"
        parts.setdefault(section, []).append((code(name), shown, unit(name), meaning))
    heads = ("limit", "value", "unit", "of what")
    return "\n".join(f"### {section.capitalize()}\n\n{table(heads, rows)}" for section, rows in parts.items())


def unit(name: str) -> str:
    """The unit a limit's name ends in."""
    if name.endswith("_PER_S"):
        return "per second"
    return {"BYTES": "bytes", "S": "seconds", "CHARS": "characters"}.get(name.rsplit("_", 1)[-1], "")


def event_fields() -> dict[str, str]:
    """Type to its fields, from the comments of the vocabulary."""
    return {type_: fields for _, type_, fields in _FIELDS.findall(Path(events.__file__).read_text())}


# --- operations and messages --------------------------------------------------------------------------------------------
_IDS = {codec.SESSION_ID: "session id", codec.ENTITY_ID: "id"}


def kind(type_: Any) -> str:
    """A msgspec type in words, with its bounds."""
    info, m = type_, msgspec.inspect
    if isinstance(info, m.UnionType):
        return " or ".join(kind(t) for t in info.types if not isinstance(t, m.NoneType))
    if isinstance(info, m.StrType):
        if info.pattern is not None:
            return _IDS[info.pattern]
        return f"text, {info.min_length or 0}–{info.max_length:,}" if info.max_length else "text"
    if isinstance(info, m.IntType):
        most = "" if info.le in (None, limits.INTEGER_MAX) else f"–{info.le:,}"
        return (
            f"integer ≥ {info.ge}"
            if not most and info.ge is not None
            else f"integer {info.ge}{most}"
            if most
            else "integer"
        )
    if isinstance(info, m.FloatType):
        return f"number, over {info.gt:g} to {info.le:,g}" if info.le is not None else "number"
    if isinstance(info, m.LiteralType):
        return ", ".join(f'`"{v}"`' for v in info.values)
    if isinstance(info, (m.ListType, m.CollectionType)):
        most = f" (at most {info.max_length:,})" if info.max_length else ""
        return f"list of {kind(info.item_type)}{most}"
    if isinstance(info, m.TupleType):
        return "[" + ", ".join(kind(t) for t in info.item_types) + "]"
    if isinstance(info, m.StructType):
        return f"`{info.cls.__name__}`"
    if isinstance(info, m.DictType):
        return "object"
    return {m.BoolType: "true or false", m.AnyType: "any JSON"}.get(type(info), type(info).__name__)


def field_rows(struct: type[msgspec.Struct], skip: Iterable[str] = ()) -> list[tuple[str, str, str]]:
    """``(name, type, default)`` of a struct's fields."""
    rows = []
    for field in msgspec.inspect.type_info(struct).fields:  # type: ignore[union-attr, attr-defined]
        if field.encode_name in skip:
            continue
        default = "required" if field.required else code(msgspec.json.encode(_default(field)).decode())
        rows.append((code(field.encode_name), kind(field.type), "" if default in ("`null`", '`""`') else default))
    return rows


def _default(field: Any) -> Any:
    return field.default_factory() if field.default is msgspec.NODEFAULT else field.default


def operations() -> str:
    """Every operation with its fields."""
    parts = []
    for name, op in wire.OPS.items():
        needs = f"Needs `{NEEDS[op]}`." if op in NEEDS else ""
        routes = [f"`{r.method} {r.path}`" for r in OP_ROUTES if r.op is op]
        rest = f"Over REST: {', '.join(routes)}." if routes else ""
        summary = " ".join(part for part in (sentence(op.__doc__), needs, rest) if part)
        rows = field_rows(op, skip=("id",))
        fields = table(("field", "type", "default"), rows) if rows else "No fields.\n"
        parts.append(f"### {name}\n\n{summary}\n\n{fields}")
    for struct in (wire.Cursor, wire.AppendId, wire.Attachment, events.Draft):
        fields = table(("field", "type", "default"), field_rows(struct))
        parts.append(f"### `{struct.__name__}`\n\n{sentence(struct.__doc__)}\n\n{fields}")
    return "\n".join(parts)


def server_messages() -> dict[str, type[msgspec.Struct]]:
    """``op`` to the struct a client decodes it with."""
    structs = (*messages.Message.__args__, EventsFrame)
    return {str(struct.__struct_config__.tag): struct for struct in structs}


def frames() -> str:
    """Every message a server sends."""
    parts = []
    for name, struct in sorted(server_messages().items()):
        fields = table(("field", "type", "default"), field_rows(struct))
        parts.append(f"### {name}\n\n{sentence(struct.__doc__)}\n\n{fields}")
    return "\n".join(parts)


# --- the server ------------------------------------------------------------------------------------------------------------
_SERVE = {
    "db": "--db",
    "host": "--host",
    "port": "--port",
    "origins": "--origin",
    "hosts": "--allow-host",
    "extensions": "--extension",
}


def settings() -> str:
    """Every setting."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.default
        shown = ", ".join(default) if isinstance(default, tuple) else str(default)
        rows.append((code(f"HOLDFAST_{name.upper()}"), code(_SERVE.get(name, "")), code(shown), field.description))
    return table(("environment", "option of `serve`", "default", "meaning"), rows)


def metrics() -> str:
    """Every metric."""
    named = {"gauge": "holdfast_{}", "counter": "holdfast_{}_total"}
    every = {**METRICS, **EDGE, **FEED, **RESOURCES}
    rows = [(code(named[kind_].format(name)), kind_, text) for name, (kind_, text) in every.items()]
    rows.append(
        (code(f"holdfast_{COMMIT_SECONDS}"), "histogram", "From deciding a batch to its being durable, seconds.")
    )
    rows.append((code("holdfast_engine_ok"), "gauge", "1 while the engine takes every append."))
    return table(("metric", "type", "meaning"), rows)


def http() -> str:
    """Every route of the REST API."""
    rows = [(code(f"{r.method} {r.path}"), code(NEEDS[r.op]), sentence(r.op.__doc__)) for r in OP_ROUTES]
    served = {f"{r.method} {r.path}" for r in OP_ROUTES}
    needs = {"presence": "presence", "put_blob": "append", "openapi": "", "mint": "", "revoke": ""}
    for route in Rest(None, None, None).routes():  # type: ignore[arg-type]
        for method in sorted(route.methods - {"HEAD"}):  # type: ignore[attr-defined]
            if f"{method} {route.path}" not in served:  # type: ignore[attr-defined]
                handler = route.endpoint  # type: ignore[attr-defined]
                verb = needs.get(handler.__name__, "read")
                rows.append((code(f"{method} {route.path}"), code(verb), sentence(handler.__doc__)))  # type: ignore[attr-defined]
    order = ("GET", "POST", "PUT", "PATCH", "DELETE")
    rows.sort(key=lambda row: (row[0].strip("`").split(" ")[1], order.index(row[0].strip("`").split(" ")[0])))
    return table(("route", "needs", "what it does"), rows)


def _commands(group: Any) -> Iterable[tuple[str, Any]]:
    """Every command by its words, those of a group right after it."""
    for name in group.list_commands(None):  # those of the extensions that come with it, too
        command = group.get_command(None, name)
        yield name, command
        yield from (
            ((f"{name} {inner}", found) for inner, found in _commands(command)) if hasattr(command, "commands") else ()
        )


def cli() -> str:
    """Every command, argument and option."""
    group: Any = typer.main.get_command(app)
    parts = []
    for name, command in _commands(group):
        rows, usage = [], ["holdfast", name]
        for p in command.params:
            shown = " / ".join((*p.opts, *p.secondary_opts))
            if p.param_type_name == "argument":
                shown = p.metavar or p.name.upper()
                usage.append(shown if p.required else f"[{shown}]")
            default = "" if p.default in (None, "", False, []) or callable(p.default) else p.default
            if isinstance(p.show_default, str):
                default = p.show_default
            rows.append((code(shown), code(default), code(p.envvar), p.help))
        options = table(("argument or option", "default", "environment", "meaning"), rows) if rows else ""
        parts.append(f"### holdfast {name}\n\n`{' '.join(usage)}`\n\n{sentence(command.help)}\n\n{options}")
    return "\n".join(parts)


def probes() -> str:
    """Every probe of the audit."""
    rows = ((code(p.id), p.title, p.did, p.expected) for p in PROBES)
    return table(("probe", "", "what is done", "it passes when"), rows)


def drivers() -> str:
    """Every driver of the audit."""
    return table(("driver", "what it speaks"), ((code(r.name), r.about) for r in RECIPES.values()))


def measured() -> str:
    """What was measured against each target: the first table of the results."""
    if not RESULTS.exists():
        return "Nothing has been measured in this checkout yet.\n"
    found = re.search(r"^\|.*?(?=^\n)", RESULTS.read_text() + "\n", re.MULTILINE | re.DOTALL)
    return f"{found[0] if found else ''}\nHow, on what machine, and beside whom: [benchmarks/RESULTS.md](benchmarks/RESULTS.md).\n"


TABLES: dict[str, Callable[[], str]] = {
    "errors": errors, "limits": limit_table, "operations": operations, "frames": frames, "settings": settings,
    "metrics": metrics, "http": http, "cli": cli, "measured": measured,
    "probes": probes, "drivers": drivers, "client": python_api.client, "agents": python_api.agents,
    "embedding": python_api.embedding, "extensions": python_api.extensions, "testing": python_api.for_tests,
    "blocking": python_api.blocking_client, "raised": python_api.raised,
    "modules": public_api.modules,
    "layers": layers.picture, "gates": gates,
}  # fmt: skip


def typescript_codes() -> str:
    """The module of the TypeScript client that names every error code."""
    union = "".join(f'\n  | "{name}"' for name in CODES)
    return (
        "// Owns the union of error codes (docs/reference/errors.md). Made by python -m docs.tables: types only.\n\n"
        f"/** What a refusal is called; a code never changes its meaning. */\nexport type Code ={union};\n"
    )


MODULES: dict[Path, Callable[[], str]] = {
    ROOT / "web" / "packages" / "client" / "src" / "codes.ts": typescript_codes,
}
"""Files that are made whole."""


def pages() -> list[Path]:
    """Pages with tables."""
    return [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted(REFERENCE.glob("*.md")), *sorted(PLAN.glob("*.md"))]


def filled(text: str) -> str:
    """A page with its tables made anew."""
    return BLOCK.sub(lambda m: f"{m[1]}\n{TABLES[m[2]]()}\n{m[3]}", text)


def main() -> int:
    """Rewrite the pages that changed."""
    for page in pages():
        before = page.read_text()
        after = filled(before)
        if after != before:
            page.write_text(after)
            sys.stdout.write(f"{page.name}\n")
    for path, make in MODULES.items():
        if not path.exists() or path.read_text() != make():
            path.write_text(make())
            sys.stdout.write(f"{path.name}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
