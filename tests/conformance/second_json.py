"""Canonical JSON and JSON Patch of the second fold: FOLD-6 and FOLD-9, from the words of PROTOCOL.md and their RFCs."""

from __future__ import annotations

import copy
import json
from typing import Any

Json = Any
LEVELS, BYTES = 32, 256 * 1024


# --- FOLD-6: canonical JSON
def canonical(value: Json) -> str:
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: list(name.encode("utf-16-be")))
        return "{" + ",".join(canonical(name) + ":" + canonical(value[name]) for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical(item) for item in value) + "]"
    if isinstance(value, float):
        return ecmascript(value)
    return json.dumps(value, ensure_ascii=False)


def ecmascript(value: float) -> str:
    """``Number::toString`` of ECMA-262, step by step."""
    if value == 0:
        return "0"
    if value < 0:
        return "-" + ecmascript(-value)
    for digits in range(1, 18):
        text = f"{value:.{digits - 1}e}"
        if float(text) == value:
            break
    mantissa, exponent = text.split("e")
    s = mantissa.replace(".", "").rstrip("0")
    k, n = len(s), int(exponent) + 1
    if k <= n <= 21:
        return s + "0" * (n - k)
    if 0 < n <= 21:
        return s[:n] + "." + s[n:]
    if -6 < n <= 0:
        return "0." + "0" * -n + s
    e = ("+" if n - 1 > 0 else "-") + str(abs(n - 1))
    return s[0] + ("." + s[1:] if k > 1 else "") + "e" + e


# --- FOLD-9
class DoesNotFitError(Exception):
    pass


def levels(value: Json) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max((levels(item) for item in inner), default=0)


def patched(document: Json, patch: Json) -> Json:
    try:
        return patch_whole(copy.deepcopy(document), patch)
    except DoesNotFitError:
        return document


def patch_whole(document: Json, patch: Json) -> Json:
    box, copied = [document], 0
    if not isinstance(patch, list):
        raise DoesNotFitError
    for step in patch:
        if not isinstance(step, dict):
            raise DoesNotFitError
        op, path = step.get("op"), tokens(step.get("path"))
        if op in ("add", "replace", "test") and "value" not in step:
            raise DoesNotFitError
        if op == "test":
            if canonical(find(box, path)) != canonical(step["value"]):
                raise DoesNotFitError
        elif op == "remove":
            if not path:
                raise DoesNotFitError
            remove(box, path)
        elif op == "add":
            add(box, path, copy.deepcopy(step["value"]))
        elif op == "replace":
            find(box, path)
            holder, last = (box, 0) if not path else (find(box, path[:-1]), key(find(box, path[:-1]), path[-1]))
            holder[last] = copy.deepcopy(step["value"])
        elif op in ("move", "copy"):
            source = tokens(step.get("from"))
            if op == "move" and len(path) > len(source) and path[: len(source)] == source:
                raise DoesNotFitError
            value = find(box, source)
            if op == "move":
                if not source:
                    raise DoesNotFitError
                remove(box, source)
            else:
                value = copy.deepcopy(value)
                copied += len(canonical(value).encode())
            add(box, path, value)
        else:
            raise DoesNotFitError
        if levels(box[0]) > LEVELS or copied > BYTES:
            raise DoesNotFitError
    if len(canonical(box[0]).encode()) > BYTES:
        raise DoesNotFitError
    return box[0]


def tokens(pointer: Json) -> list[str]:
    if not isinstance(pointer, str) or (pointer and pointer[0] != "/"):
        raise DoesNotFitError
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]


def key(holder: Json, token: str, beyond: int = 0) -> Any:
    if isinstance(holder, dict):
        return token
    if not isinstance(holder, list):
        raise DoesNotFitError
    if token != "0" and not (token.isascii() and token.isdigit() and token[0] != "0"):
        raise DoesNotFitError
    if int(token) >= len(holder) + beyond:
        raise DoesNotFitError
    return int(token)


def find(box: list[Json], path: list[str]) -> Json:
    at = box[0]
    for token in path:
        place = key(at, token)
        if isinstance(at, dict) and place not in at:
            raise DoesNotFitError
        at = at[place]
    return at


def add(box: list[Json], path: list[str], value: Json) -> None:
    if not path:
        box[0] = value
        return
    holder = find(box, path[:-1])
    if isinstance(holder, list):
        holder.insert(len(holder) if path[-1] == "-" else key(holder, path[-1], 1), value)
    else:
        holder[key(holder, path[-1])] = value


def remove(box: list[Json], path: list[str]) -> None:
    find(box, path)
    holder = find(box, path[:-1])
    del holder[key(holder, path[-1])]
