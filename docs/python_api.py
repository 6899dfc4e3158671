"""The reference of the Python API, made from signatures and docstrings: blocks for docs/tables.py."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any

import griffe

import holdfast
from holdfast import testing
from holdfast.agents import output, subruns
from holdfast.agents.approvals import Approval
from holdfast.agents.attempt import Steer
from holdfast.agents.errors import ToolDenied, ToolFailed, ToolOutcomeUnknown
from holdfast.agents.holdfast import Holdfast, connect
from holdfast.agents.input import Input
from holdfast.agents.run import RunContext
from holdfast.client import blocking
from holdfast.client.client import Client
from holdfast.client.events import Events
from holdfast.client.feed import FeedReader, Snapshot
from holdfast.client.live import LiveView
from holdfast.client.producer import Producer
from holdfast.client.run import Run
from holdfast.client.session import Session
from holdfast.client.watch import SessionList
from holdfast.edge.extensions.mount import ExtensionMount
from holdfast.edge.extensions.port import Extension, ExtensionSettings
from holdfast.edge.extensions.route import ExtensionRoute, RouteCall
from holdfast.edge.extensions.services import Services
from holdfast.edge.extensions.static_pages import ExtensionPages
from holdfast.embed import EmbeddedHub, EmbeddedRun, EmbeddedSession
from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.protocol.events import Event
from holdfast.protocol.fold import View
from holdfast.protocol.wire import Cursor

WIDE = 100
"""Characters of a signature on one line."""
NOT_FOR_CALLERS = {
    Session: {"feed", "received", "disconnected", "reconnected"},
    RunContext: {"count", "close_texts"},
    Producer: {"put", "take_rest", "stop", "fence"},
    FeedReader: {"take", "caught_up", "fail"},
    EmbeddedHub: {"check_started"},
    ExtensionRoute: {"problem", "served_by"},
    ExtensionMount: {"problem", "served"},
    ExtensionPages: {"problem", "policy", "served"},
    HoldfastError: {"code", "row", "wire"},
    testing.FakeClock: {"drive", "follow", "monotonic"},
    View: {"add", "mark_asked", "close", "reopen", "root", "finish_items", "trim", "text_after"},
}
"""Methods that other parts of Holdfast call."""
SHOWN_ELSEWHERE = (Client, Run, HoldfastError, Refused)
"""Bases with an entry of their own."""


def signature(name: str, function: Callable[..., Any]) -> str:
    """How it is written: ``async def name(…) -> …``, in several lines when it is long."""
    parsed = inspect.signature(function)
    arguments, keywords = [], False
    for p in parsed.parameters.values():
        if p.name in ("self", "cls"):
            continue
        if p.kind is p.KEYWORD_ONLY and not keywords:
            keywords = True
            arguments.append("*")
        star = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        default = (
            "" if p.default is p.empty else f" = {p.default:g}" if isinstance(p.default, float) else f" = {p.default!r}"
        )
        arguments.append(f"{star}{p.name}: {p.annotation}{default}")
    result = "" if parsed.return_annotation is parsed.empty else f" -> {parsed.return_annotation}"
    head = "async def" if inspect.iscoroutinefunction(function) else "def"
    line = f"{head} {name}({', '.join(arguments)}){result}"
    if len(line) <= WIDE:
        return line
    inner = "".join(f"    {one},\n" for one in arguments)
    return f"{head} {name}(\n{inner}){result}"


def prose(text: str) -> str:
    """Words of a docstring as Markdown."""
    return text.replace("``", "`").strip()


def explained(documented: Any, types: dict[str, Any] | None = None) -> str:
    """A docstring as Markdown: its words, then arguments, results and errors as lists."""
    parsed = griffe.Docstring(inspect.getdoc(documented) or "", parser="google").parse("google", warnings=False)
    parts = []
    for section in parsed:
        kind = section.kind.value
        if kind == "text":
            parts.append(prose(section.value))
            continue
        if kind not in ("parameters", "attributes"):
            parts.append(f"{kind.capitalize()}:")
        parts.append("\n".join(_line(element, kind, types or {}) for element in section.value))
    return "\n\n".join(parts)


def _line(element: Any, kind: str, types: dict[str, Any]) -> str:
    """One argument, field, result or error."""
    name = element.annotation if kind == "raises" else getattr(element, "name", "")
    text = " ".join(prose(element.description).split())
    typed = f"`{name}: {types[name]}`" if name in types else f"`{name}`"
    return f"- {typed}: {text}" if name else f"- {text}"


FUNCTIONS = (types.FunctionType, classmethod, staticmethod)
_MEMBERS = (*FUNCTIONS, property, functools.cached_property)


def members(cls: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties in the order of the source, those of bases without an entry of their own first."""
    found: dict[str, Any] = {}
    hidden: set[str] = set()
    for base in reversed(cls.__mro__):
        hidden |= NOT_FOR_CALLERS.get(base, set())
        if base.__module__.startswith("holdfast") and (base is cls or base not in SHOWN_ELSEWHERE):
            found |= {name: member for name, member in vars(base).items() if not name.startswith("_")}
    for name, member in found.items():
        if name not in hidden and isinstance(member, _MEMBERS):
            yield name, member


def member_of(cls: type, name: str, member: Any) -> str:
    """A method or property: how it is written, and what it means."""
    if isinstance(member, (property, functools.cached_property)):
        getter = member.fget if isinstance(member, property) else member.func
        returned = inspect.signature(getter).return_annotation  # type: ignore[arg-type]
        return f"#### {cls.__name__}.{name}\n\nProperty, `{returned}`. {explained(getter)}\n"
    function = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
    return f"#### {cls.__name__}.{name}\n\n```python\n{signature(name, function)}\n```\n\n{explained(function)}\n"


def entry(cls: type) -> str:
    """What a class is, and its fields: those of the docstring, and those of a struct that stand without words."""
    types = getattr(cls, "__annotations__", {}) if hasattr(cls, "__struct_fields__") else {}
    parts = [explained(cls, types)]
    parts += [
        explained(base)
        for base in cls.__bases__
        if base.__module__.startswith("holdfast")
        and base not in SHOWN_ELSEWHERE
        and "Attributes:" in (base.__doc__ or "")
    ]
    rest = [f"- `{name}: {kind}`" for name, kind in types.items() if f"`{name}: {kind}`" not in parts[0]]
    return "\n\n".join((*parts, "\n".join(rest))).strip()


def classes(*shown: type, constructed: tuple[type, ...] = ()) -> str:
    """Classes with all that callers use of them."""
    parts = []
    for cls in shown:
        parts.append(f"### {cls.__name__}\n")
        if cls in constructed:
            written = signature(cls.__name__, cls.__init__).removeprefix("def ").removesuffix(" -> None")  # type: ignore[misc]
            parts.append(f"```python\n{written}\n```\n")
        bases = [base.__name__ for base in cls.__bases__ if base in SHOWN_ELSEWHERE]
        parts.append("".join(f"A `{base}`, with all that one has. " for base in bases) + entry(cls) + "\n")
        parts += [member_of(cls, name, member) for name, member in members(cls)]
    return "\n".join(parts)


def functions(*shown: Callable[..., Any]) -> str:
    """Functions, with their modules where ``holdfast`` itself does not have them."""
    parts = []
    for function in shown:
        name = function.__name__
        at = "holdfast" if getattr(holdfast, name, None) is function else function.__module__
        parts.append(f"### {at}.{name}\n\n```python\n{signature(name, function)}\n```\n\n{explained(function)}\n")
    return "\n".join(parts)


def client() -> str:
    """What people's programs use."""
    return "\n".join((
        functions(connect),
        classes(Client),
        classes(Session, Run, LiveView, Events, Producer, SessionList),
        classes(Snapshot, Cursor, Event, View),
    ))  # fmt: skip


def agents() -> str:
    """What agents use."""
    shown = (RunContext, Input, Steer, Approval, output.TextOut, output.StepOut, output.ActivityOut, output.StateOut)
    return "\n".join((classes(Holdfast), classes(*shown), classes(subruns.SubRun, subruns.SpawnedRun)))


def embedding() -> str:
    """Holdfast in a process of one's own."""
    return classes(EmbeddedHub, EmbeddedSession, EmbeddedRun, constructed=(EmbeddedHub,))


def extensions() -> str:
    """What plugs into a server."""
    shown = (Extension, ExtensionSettings, ExtensionRoute, RouteCall, ExtensionMount, ExtensionPages, Services)
    return classes(*shown, constructed=(Extension, ExtensionRoute, ExtensionMount, ExtensionPages))


def for_tests() -> str:
    """What tests use."""
    return "\n".join((
        functions(testing.hub, testing.server),
        classes(testing.ScriptedAgent, testing.FakeClock, testing.RunningServer, constructed=(testing.ScriptedAgent, testing.FakeClock)),
    ))  # fmt: skip


def blocking_client() -> str:
    """For programs without a loop."""
    return "\n".join((
        functions(blocking.connect),
        classes(blocking.BlockingClient, blocking.BlockingSession, blocking.BlockingRun),
    ))  # fmt: skip


def raised() -> str:
    """What is raised."""
    return classes(HoldfastError, Refused, Unavailable, ToolDenied, ToolFailed, ToolOutcomeUnknown)
