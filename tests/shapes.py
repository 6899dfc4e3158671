"""Whether JSON data has exactly the shape that a ``TypedDict`` says: keys, and the types of all values, to the bottom."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints, is_typeddict


def deviations(value: Any, shape: Any, path: str = "") -> Iterator[str]:
    """What is not as the shape says, each with its path: a key too many, one too few, a value of another type."""
    origin, args = get_origin(shape), get_args(shape)
    if shape is Any:
        return
    if is_typeddict(shape):
        yield from _deviating_keys(value, shape, path)
    elif origin in (Union, types.UnionType):
        yield from _deviating_from_all(value, args, path)
    elif origin is Literal:
        if not any(value == one and type(value) is type(one) for one in args):
            yield f"{path}: {value!r:.80} is none of {args}"
    elif origin in (NotRequired, Required):
        yield from deviations(value, args[0], path)
    elif origin is list:
        if not isinstance(value, list):
            yield f"{path}: {value!r:.80} is no list"
            return
        for number, one in enumerate(value):
            yield from deviations(one, args[0], f"{path}[{number}]")
    elif origin is dict:
        if not isinstance(value, dict):
            yield f"{path}: {value!r:.80} is no object"
            return
        for name, one in value.items():
            yield from deviations(one, args[1], f"{path}.{name}")
    elif not _is_instance(value, shape):
        yield f"{path}: {value!r:.80} is no {shape}"


def _is_instance(value: Any, shape: Any) -> bool:
    if shape is type(None):
        return value is None
    if shape is float:
        return type(value) in (int, float)
    return type(value) is shape  # True is no integer


def _deviating_keys(value: Any, shape: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {value!r:.80} is no object"
        return
    hints = get_type_hints(shape, include_extras=True)
    for name in value.keys() - hints.keys():
        yield f"{path}.{name}: not in {shape.__name__}"
    for name in shape.__required_keys__ - value.keys():
        yield f"{path}.{name}: missing of {shape.__name__}"
    for name in value.keys() & hints.keys():
        yield from deviations(value[name], hints[name], f"{path}.{name}")


def _deviating_from_all(value: Any, shapes: tuple[Any, ...], path: str) -> Iterator[str]:
    """Of shapes that a literal tells apart only the one it names is compared, so that the report says what is wrong."""
    for field in ("kind", "type"):
        for one in shapes:
            named = get_args(get_type_hints(one).get(field)) if is_typeddict(one) else ()
            if isinstance(value, dict) and value.get(field) in named:
                yield from deviations(value, one, path)
                return
    if all(any(deviations(value, one, path)) for one in shapes):
        yield f"{path}: {value!r:.80} is none of {', '.join(getattr(one, '__name__', str(one)) for one in shapes)}"
