"""The folder of the company, and the truth that is sealed in it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from holdfast.company import truth
from holdfast.company.description import described
from holdfast.company.plants import planted
from holdfast.company.run import fresh_folder
from holdfast.errors import HoldfastError


def test_the_truth_is_sealed_before_anything_happens(tmp_path: Path) -> None:
    sealed = truth.seal_plan(tmp_path, described(), planted(), 7)
    raw = (tmp_path / truth.PLAN).read_bytes()
    assert hashlib.sha256(raw).hexdigest() == sealed
    assert (tmp_path / truth.PLAN).stat().st_mode & 0o077 == 0
    told = json.loads(raw)
    assert (told["seed"], told["plants"]["missed_day"]["day"]) == (7, "2026-08-19")
    assert (
        truth.seal_plan(tmp_path, described(), planted(), 7)
        == sealed
        != truth.seal_plan(tmp_path, described(), planted(), 8)
    )


def test_an_earlier_company_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    folder = fresh_folder(str(tmp_path / "company"))
    truth.seal_plan(folder, described(), planted(), 7)
    (folder / "company.db").touch()
    assert list(fresh_folder(str(folder)).iterdir()) == []
    (folder / "thesis.txt").touch()
    with pytest.raises(HoldfastError, match=r"no company's"):
        fresh_folder(str(folder))
    assert (folder / "thesis.txt").exists()


def test_no_part_of_the_product_knows_where_the_truth_is() -> None:
    source = Path(truth.__file__).parents[1]
    outside = [path for path in source.rglob("*.py") if "company" not in path.parts]
    assert outside
    assert not [path for path in outside if truth.PLAN in path.read_text() or truth.OUTCOME in path.read_text()]
