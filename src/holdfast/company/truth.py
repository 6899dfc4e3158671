"""The truth, sealed: what is planted, written before anything happens, and what came of it. No part of the product reads it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from holdfast.company.description import Company
from holdfast.company.plants import Plants

PLAN: Final = "truth.json"
OUTCOME: Final = "truth-amounts.json"
_MODE: Final = 0o600


def seal(folder: Path, name: str, content: Mapping[str, Any]) -> str:
    """Write a part of the truth; its SHA-256, hexadecimal."""
    raw = msgspec.json.format(msgspec.json.encode(content, order="deterministic"), indent=2)
    path = folder / name
    path.touch(mode=_MODE)
    path.write_bytes(raw)
    return hashlib.sha256(raw).hexdigest()


def seal_plan(folder: Path, company: Company, plants: Plants, seed: int) -> str:
    """Write what is planted, with the seed from which all else follows."""
    return seal(folder, PLAN, {"seed": seed, "days": company.days, "plants": msgspec.to_builtins(plants)})
