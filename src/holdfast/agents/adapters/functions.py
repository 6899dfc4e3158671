"""Python functions as tools that a model may call: the signature is their JSON Schema, the docstring their description."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from holdfast.agents.run import RunContext
from holdfast.errors import Refused

__all__ = ["Function"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what every provider accepts
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True)
class Function:
    """A tool with a schema of its own, where a function's signature does not say it all.

    Attributes:
        name: 1 to 64 of ``A-Z a-z 0-9 _ -``.
        parameters: JSON Schema of an object.
        call: gets the arguments by name; async, or executed in a thread.
        args_type: what checks the arguments, made by ``function``; without it the model's arguments are passed as they are.
        run_parameter: name of the parameter that gets the run, if any.
    """

    name: str
    description: str
    parameters: dict[str, Any]
    call: Callable[..., Any]
    args_type: type[msgspec.Struct] | None = None
    run_parameter: str = ""

    def convert_args(self, args: dict[str, Any]) -> dict[str, Any]:
        """The arguments as the function takes them. Raises ``ValueError`` when they do not fit."""
        if self.args_type is None:
            return args
        converted = msgspec.convert(args, self.args_type)
        return {name: getattr(converted, name) for name in self.args_type.__struct_fields__}

    async def invoke(self, run: RunContext, args: dict[str, Any]) -> Any:
        """Call it. What blocks goes into a thread: the run's lease has to be renewed meanwhile."""
        arguments = self.convert_args(args) | ({self.run_parameter: run} if self.run_parameter else {})
        if inspect.iscoroutinefunction(self.call):
            return await self.call(**arguments)
        value = await asyncio.to_thread(self.call, **arguments)
        return await value if inspect.isawaitable(value) else value


def function(call: Callable[..., Any]) -> Function:
    """A Python function as a tool. A parameter annotated ``RunContext`` gets the run and is not the model's.

    Types are what ``msgspec`` knows: JSON's own, dataclasses, enums, dates, ``Literal``, ``Annotated[…, msgspec.Meta(…)]``.

    Raises:
        Refused: ``config.invalid`` when the signature cannot be expressed in JSON Schema.
    """
    name = getattr(call, "__name__", "")
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    run_parameter = ""
    try:
        for parameter in inspect.signature(call, eval_str=True).parameters.values():
            kind = Any if parameter.annotation is parameter.empty else parameter.annotation
            if parameter.kind not in _BY_NAME:
                raise TypeError(f"{parameter} cannot be given by name")
            if kind is RunContext:
                run_parameter = parameter.name
            else:
                fields.append(_field(parameter.name, kind, parameter.default))
        args_type = msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)
        (reference,), schemas = msgspec.json.schema_components([args_type], ref_template="#/$defs/{name}")
    except (TypeError, ValueError, NameError) as error:
        raise Refused("config.invalid", f"tool {name or call!r}: {error}; say a Function with its schema") from error
    parameters = schemas.pop(reference["$ref"].removeprefix("#/$defs/"))
    parameters.pop("title", None)
    if schemas:
        parameters["$defs"] = schemas
    return Function(name, inspect.getdoc(call) or "", parameters, call, args_type, run_parameter)


def _field(name: str, kind: Any, default: Any) -> tuple[str, Any] | tuple[str, Any, Any]:
    if default is inspect.Parameter.empty:
        return (name, kind)
    if isinstance(default, (list, dict, set)):
        return (name, kind, msgspec.field(default_factory=lambda: default))
    return (name, kind, default)


def functions(tools: Iterable[Callable[..., Any] | Function]) -> dict[str, Function]:
    """Tools by name.

    Raises:
        Refused: ``config.invalid`` when a name is not one for providers, or used twice.
    """
    by_name: dict[str, Function] = {}
    for tool in tools:
        entry = tool if isinstance(tool, Function) else function(tool)
        if not _NAME.fullmatch(entry.name) or entry.name in by_name:
            raise Refused("config.invalid", f"tool {entry.name!r}: the name is not allowed, or used twice")
        by_name[entry.name] = entry
    return by_name
