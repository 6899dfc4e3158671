"""What identity providers send that is not as SCIM has it, put right before the library reads it. Pure.

Most of what Microsoft Entra and Okta do the library takes, by its policy (``protocol.py``): ``"False"`` for ``false``, ``Replace``
for ``replace``, a value that says what to remove, a path to an entry that is not there yet, attributes that nobody declares.
What is left is here: the manager as a bare id, and a removal of nothing, which must not become a removal of everything.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from holdfast.governance import limits
from holdfast.protocol import codec

ENTERPRISE: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
_MANAGER: Final = (f"{ENTERPRISE}:manager".lower(), f"{ENTERPRISE}.manager".lower(), "manager")


def body_of(method: str, raw: bytes) -> bytes:
    """The body of a request as SCIM has it.

    Raises:
        ValueError: it is no JSON object, is nested too deeply, has too many operations, or a filter or path that is too long.
    """
    found = codec.parse(raw)
    if not isinstance(found, dict):
        raise ValueError("the body is no JSON object")
    _check_expression(found, "filter")
    found = _patch(found) if method == "PATCH" else _with_manager(found)
    return msgspec.json.encode(found)


def _check_expression(fields: dict[str, Any], name: str) -> None:
    """Refuse a filter, or a path, that is too long to be read in a moment."""
    if isinstance(text := fields.get(name), str) and len(text) > limits.DIRECTORY_QUERY_CHARS:
        raise ValueError(f"{name}: at most {limits.DIRECTORY_QUERY_CHARS} characters")


def _patch(body: dict[str, Any]) -> dict[str, Any]:
    name = next((name for name in body if name.lower() == "operations"), "Operations")
    operations = body.get(name)
    if not isinstance(operations, list):
        return body
    if len(operations) > limits.DIRECTORY_OPERATIONS:
        raise ValueError(f"one request has at most {limits.DIRECTORY_OPERATIONS} operations")
    return body | {name: [_operation(one) if isinstance(one, dict) else one for one in operations]}


def _operation(operation: dict[str, Any]) -> dict[str, Any]:
    fields = {name.lower(): value for name, value in operation.items()}
    _check_expression(fields, "path")
    op, path, value = fields.get("op"), fields.get("path"), fields.get("value")
    verb = op.lower() if isinstance(op, str) else ""
    if not isinstance(path, str):
        return fields | {"value": _with_manager(value)} if isinstance(value, dict) else fields
    if verb == "remove" and value == []:
        return {"op": verb, "path": f'{path}[value eq ""]'}
    if path.lower() in _MANAGER and isinstance(value, str):
        return {"op": "remove", "path": path} if not value or verb == "remove" else fields | {"value": {"value": value}}
    return fields


def _with_manager(document: dict[str, Any]) -> dict[str, Any]:
    """A document, or a part of one, whose manager is an object: an id alone is one with that id, an empty one is none."""
    found: dict[str, Any] = {}
    for name, value in document.items():
        low = name.lower()
        if low == ENTERPRISE.lower() and isinstance(value, dict):
            found[name] = _with_manager(value)
        elif low in _MANAGER and isinstance(value, str):
            found |= {name: {"value": value}} if value else {}
        else:
            found[name] = value
    return found
