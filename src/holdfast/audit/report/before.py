"""What changed since an earlier report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from holdfast.audit.finding import Report
from holdfast.errors import Refused


def read_before(path: Path) -> dict[str, Any]:
    """An earlier report.

    Raises:
        Refused: ``config.invalid`` when the file is not one.
    """
    try:
        before = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        if all(isinstance(probe["id"], str) and isinstance(probe["verdict"], str) for probe in before["probes"]):
            return before
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        pass
    raise Refused("config.invalid", f"{path} is not a report of holdfast audit --json")


def changes(before: dict[str, Any], report: Report) -> list[dict[str, str]]:
    """Each probe whose verdict is another than before: ``probe``, ``before``, ``now``."""
    old = {probe["id"]: probe["verdict"] for probe in before["probes"]}
    return [
        {"probe": finding.id, "before": old[finding.id], "now": finding.verdict}
        for finding in report.probes
        if finding.id in old and old[finding.id] != finding.verdict
    ]
