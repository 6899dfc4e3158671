"""The recordings: which there are, and which have no stream to be replayed, with the reason.

They stand beside the checkout in ``../shared/data/provider-streams`` and are not part of it.
"""

from __future__ import annotations

import base64
import csv
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[4] / "shared" / "data" / "provider-streams"

Recording = dict[str, Any]

WITHOUT_STREAM = {
    "one-shot": "the request did not ask for a stream: the answer is one JSON document",
    "http-error": "the provider refused with an HTTP error and one JSON document",
}
"""Why a recording is not replayed; every other one is."""


def reason(recording: Recording) -> str:
    """The entry of ``WITHOUT_STREAM`` that a recording falls under; empty when it is a stream."""
    if recording["streaming"]:
        return ""
    assert recording["framing"] == "json", recording["id"]
    return "http-error" if recording["response_status"] >= 400 else "one-shot"


def recordings() -> dict[str, Recording]:
    """Every recording, by its file's path below the folder."""
    return {str(p.relative_to(FOLDER)): json.loads(p.read_text()) for p in sorted(FOLDER.rglob("*.json"))}


def listed() -> set[str]:
    """The names of files that the folder's own index has."""
    with (FOLDER / "index.csv").open(newline="") as index:
        return {Path(row["file"]).name for row in csv.DictReader(index)}


def body(recording: Recording) -> bytes:
    """The answer's bytes, in the framing they were recorded in."""
    text = str(recording["response_body"])
    return base64.b64decode(text) if recording["response_body_encoding"] == "base64" else text.encode()


def frames(recording: Recording, direction: str) -> list[Any]:
    """The messages of a recorded WebSocket in one direction: ``sent`` or ``received``."""
    return [f["data"] for f in recording["frames"] if f["kind"] == "message" and f["direction"] == direction]
