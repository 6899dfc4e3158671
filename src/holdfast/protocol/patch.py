"""JSON Patch (RFC 6902), applied whole or not at all, within bounds.

Our own because the fold must give byte-equal results in Python and in JavaScript, where we take no dependency: the two
implementations are held to the same cases. Pointers follow RFC 6901. A few bytes of patch could make a document of any
depth and size (a ``copy`` into itself doubles it), so its bounds are tested as it grows.
"""

from __future__ import annotations

from typing import Any

from holdfast.protocol import limits
from holdfast.protocol.codec import canonical_size


class PatchError(ValueError):
    """The patch does not fit the document, or what it makes is out of bounds; nothing was changed."""


def apply_patch(document: Any, patch: Any) -> Any:
    """Return a new document with every operation applied.

    Raises:
        PatchError: an operation does not fit; or the document would get deeper than ``limits.JSON_DEPTH`` on the way, or
            in the end larger than ``limits.SESSION_STATE_BYTES`` of canonical JSON, or more than that is copied.
    """
    if not isinstance(patch, list):
        raise PatchError("a patch is a list of operations")
    root = [_copy(document)]  # one level up, so that the whole document can be replaced like any member
    copied_bytes = 0
    for operation in patch:
        if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
            raise PatchError("an operation is an object with a path")
        copied_bytes += _apply(root, operation, operation.get("op"))
        if copied_bytes > limits.SESSION_STATE_BYTES:
            raise PatchError("it copies too much")
    if canonical_size(root[0]) > limits.SESSION_STATE_BYTES:
        raise PatchError("the document would be too large")
    return root[0]


def _apply(root: list[Any], operation: dict[str, Any], op: Any) -> int:
    """Apply one operation; returns the bytes it copied."""
    path = _tokens(operation["path"])
    if op in ("add", "replace", "test"):
        if "value" not in operation:
            raise PatchError(f"{op} needs a value")
        if op == "test":
            if not _equal(_get(root, path), operation["value"]):
                raise PatchError("test failed")
        else:
            _put(root, path, _copy(operation["value"], len(path)), replace=op == "replace")
    elif op == "remove":
        _remove(root, path)
    elif op in ("move", "copy"):
        if not isinstance(operation.get("from"), str):
            raise PatchError(f"{op} needs from")
        source = _tokens(operation["from"])
        if op == "move" and path[: len(source)] == source and len(path) > len(source):
            raise PatchError("cannot move a value into itself")
        value = _remove(root, source) if op == "move" else _get(root, source)
        _put(root, path, _copy(value, len(path)), replace=False)
        return canonical_size(value) if op == "copy" else 0
    else:
        raise PatchError("unknown operation")
    return 0


def _copy(value: Any, above: int = 0) -> Any:
    """A copy of a value that is to stand below so many levels."""
    if not isinstance(value, (dict, list)):
        return value
    if above >= limits.JSON_DEPTH:
        raise PatchError("the document would be too deep")
    if isinstance(value, dict):
        return {name: _copy(item, above + 1) for name, item in value.items()}
    return [_copy(item, above + 1) for item in value]


def _tokens(pointer: str) -> list[str]:
    if pointer == "":
        return []
    if not pointer.startswith("/"):
        raise PatchError("a pointer starts with /")
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/")]


def _index(token: str, size: int) -> int:
    if not (token.isascii() and token.isdigit()) or (len(token) > 1 and token[0] == "0") or int(token) >= size:
        raise PatchError("no such index")
    return int(token)


def _member(parent: Any, token: str) -> Any:
    if isinstance(parent, dict):
        if token not in parent:
            raise PatchError("no such member")
        return parent[token]
    if isinstance(parent, list):
        return parent[_index(token, len(parent))]
    raise PatchError("not a container")


def _get(root: list[Any], path: list[str]) -> Any:
    value = root[0]
    for token in path:
        value = _member(value, token)
    return value


def _parent(root: list[Any], path: list[str]) -> tuple[Any, str]:
    if not path:
        return root, "0"
    return _get(root, path[:-1]), path[-1]


def _put(root: list[Any], path: list[str], value: Any, *, replace: bool) -> None:
    parent, token = _parent(root, path)
    if replace or not path:
        _member(parent, token)
    if isinstance(parent, dict):
        parent[token] = value
    elif isinstance(parent, list):
        if replace or not path:
            parent[_index(token, len(parent))] = value
        else:
            parent.insert(len(parent) if token == "-" else _index(token, len(parent) + 1), value)
    else:
        raise PatchError("not a container")


def _remove(root: list[Any], path: list[str]) -> Any:
    if not path:
        raise PatchError("the whole document cannot be removed")
    parent, token = _parent(root, path)
    value = _member(parent, token)
    if isinstance(parent, dict):
        del parent[token]
    else:
        del parent[_index(token, len(parent))]
    return value


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return bool(left == right) and isinstance(left, str) == isinstance(right, str)
