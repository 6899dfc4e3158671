"""Planting a bug: a replacement takes the place of what is there, or the process ends with ``HOLLOW``.

A plant that no longer fits what it replaces breaks everything it touches, and any test notices that: it would look caught
and plant nothing. So ``replace`` looks at names and signatures, and a replacement that fails by a mistake of its own, at
whatever depth of whatever task, ends the process there and then.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType, SimpleNamespace, TracebackType
from typing import Any, Final, NoReturn

HOLLOW: Final = 97
"""Exit code of a process whose planted bug is none."""

MISTAKES: Final = (TypeError, AttributeError, NameError, ImportError, LookupError, AssertionError)
"""What a plant raises when the code around it has changed; what it raises on purpose is of other kinds."""

_PACKAGE: Final = "holdfast"
_STDERR: Final = os.dup(2)  # pytest keeps what is written to the other one, and a process that ends here never shows it


class Hollow(Exception):
    """What is to be planted does not fit what it would replace."""


def end(why: object) -> NoReturn:
    """Say why and end this process with ``HOLLOW``."""
    os.write(_STDERR, f"hollow plant: {why}\n".encode())
    os._exit(HOLLOW)


def replace(owner: Any, name: Any, by: Any) -> None:
    """Put a replacement in the place of what ``owner`` has under a name.

    A function (or a set of names) of a module is replaced in each module of the package that has imported it by name,
    and in their tables.

    Args:
        owner: a module, a class, or a dict with functions as values.
        name: of an attribute; of a dict, the key.
        by: a function with the parameters of the one it replaces (``*args`` and ``**named`` take what is left of them), or
            a value of the same type, or None.

    Raises:
        Hollow: there is nothing of that name, or it takes other arguments.
    """
    if isinstance(owner, dict):
        if name not in owner:
            raise Hollow(f"there is no {name!r} among {', '.join(map(str, owner))}")
        owner[name] = _fitting(owner[name], by, str(name))
        return
    where = f"{owner.__name__}.{name}"
    try:
        original = inspect.getattr_static(owner, name)
    except AttributeError:
        raise Hollow(f"there is no {where}") from None
    new = _fitting(original, by, where)
    if isinstance(owner, ModuleType) and isinstance(original, FunctionType | frozenset):
        for module in [module for key, module in sys.modules.items() if key.partition(".")[0] == _PACKAGE]:
            for known, value in list(vars(module).items()):
                if value is original:
                    setattr(module, known, new)
                elif isinstance(value, dict):
                    value.update({key: new for key, one in value.items() if one is original})
    setattr(owner, name, new)


def stand_in(module: ModuleType, **functions: Callable[..., Any]) -> Any:
    """What one importer of a module may be given instead of it: all that the module has, with some functions replaced.

    Raises:
        Hollow: as ``replace`` does.
    """
    for name in functions.keys() - vars(module).keys():
        raise Hollow(f"there is no {module.__name__}.{name}")
    fitting = {name: _fitting(getattr(module, name), by, f"{module.__name__}.{name}") for name, by in functions.items()}
    return SimpleNamespace(**{**vars(module), **fitting})


def _fitting(original: Any, by: Any, where: str) -> Any:
    if isinstance(original, staticmethod | classmethod):
        return type(original)(_fitting(original.__func__, by, where))
    if isinstance(original, property):
        return property(_fitting(original.fget, by, where))
    if isinstance(original, ModuleType) and isinstance(by, SimpleNamespace):
        return by  # of stand_in
    if not callable(original) or isinstance(original, type):
        if by is not None and type(by) is not type(original):
            raise Hollow(f"{where} is of type {type(original).__name__}")
        return by
    if not callable(by):
        raise Hollow(f"{where} is a function")
    _check_kinds(original, by, where)
    _check_parameters(original, by, where)
    return ending_by_own_mistake(by) if isinstance(by, FunctionType) else by


def _check_kinds(original: Any, by: Any, where: str) -> None:
    for kind in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
        if kind(original) != kind(by):
            raise Hollow(f"{where} and its replacement differ in {kind.__name__}")


def _check_parameters(original: Any, by: Any, where: str) -> None:
    had, has = (list(inspect.signature(function).parameters.values()) for function in (original, by))
    kinds = {parameter.kind for parameter in has}
    by_keyword, rest = inspect.Parameter.KEYWORD_ONLY, (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for keyword, others in ((False, rest[0]), (True, rest[1])):
        old = [p for p in had if (p.kind is by_keyword) is keyword and p.kind not in rest]
        new = [p for p in has if (p.kind is by_keyword) is keyword and p.kind not in rest]
        if keyword:
            named = {p.name: p for p in old}
            pairs = [(named.pop(p.name, None), p) for p in new]
            left = list(named.values())
        else:
            pairs = [(old[at] if at < len(old) else None, p) for at, p in enumerate(new)]
            left = old[len(new) :]
        fits = all(was is not None and was.name == p.name and _optional(was) == _optional(p) for was, p in pairs)
        if not fits or (left and others not in kinds):
            raise Hollow(f"{where}{inspect.signature(original)} cannot be replaced by {inspect.signature(by)}")
    for parameter in had:
        if parameter.kind in rest and parameter.kind not in kinds:
            raise Hollow(f"{where} takes {parameter}, and its replacement does not")


def _optional(parameter: inspect.Parameter) -> bool:
    return parameter.default is not parameter.empty


def ending_by_own_mistake(by: Any) -> Callable[..., Any]:
    """A function of a plant, which ends the process by a mistake of its own. ``replace`` sees to what it is given itself."""
    files = (by.__code__.co_filename, __file__)

    def look(error: BaseException) -> None:
        trace: TracebackType | None = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        if trace is not None and trace.tb_frame.f_code.co_filename in files:
            end(f"{by.__qualname__} failed: {type(error).__name__}: {error} (line {trace.tb_lineno})")

    if inspect.isgeneratorfunction(by) or inspect.isasyncgenfunction(by):
        return by
    if inspect.iscoroutinefunction(by):

        @functools.wraps(by)
        async def later(*args: Any, **named: Any) -> Any:
            try:
                return await by(*args, **named)
            except MISTAKES as error:
                look(error)
                raise

        return later

    @functools.wraps(by)
    def now(*args: Any, **named: Any) -> Any:
        try:
            return by(*args, **named)
        except MISTAKES as error:
            look(error)
            raise

    return now
