"""Recorded exchanges with providers, from ``tests/fixtures/provider_streams``; its README says where they are from."""

from __future__ import annotations

import base64
import csv
import functools
import gzip
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "fixtures" / "provider_streams"


@functools.cache
def exchanges() -> tuple[dict[str, Any], ...]:
    """Every recorded exchange, sorted by its file."""
    found: list[dict[str, Any]] = []
    for path in FOLDER.glob("*.*.jsonl.gz"):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            found += [json.loads(line) for line in lines]
    return tuple(sorted(found, key=lambda each: str(each["file"])))


def index() -> list[dict[str, str]]:
    """What was recorded, with what is not among the fixtures."""
    with (FOLDER / "index.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def second_opinions() -> list[dict[str, Any]]:
    """Usage of real answers, as another project's extraction reads it."""
    with gzip.open(FOLDER / "second_opinion.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def body_of(exchange: dict[str, Any]) -> bytes:
    """The bytes of an answer; where only its events are known, framed as the wire frames them."""
    body = exchange["response_body"]
    if exchange["response_body_encoding"] == "base64":
        return base64.b64decode(body)
    if exchange["framing"] == "chunk-lines":
        return "".join(f"data: {line}\n\n" for line in body.split("\n") if line.strip()).encode()
    return str(body).encode()
