"""What holds in every test of a dialect."""

from __future__ import annotations

import pytest

from tests.dialects.lent_views import LentViews, lent_views

__all__ = ["lent_views"]


@pytest.fixture(autouse=True)
def _looks_are_checked(lent_views: LentViews) -> None:
    """Dialects change nothing of the views they look at, and keep nothing of them."""
