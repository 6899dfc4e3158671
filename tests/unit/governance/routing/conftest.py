"""A gateway with routes, served in both ways, in front of a fake provider."""

from __future__ import annotations

from tests.unit.governance.app.conftest import fake, process, serve  # noqa: F401 - fixtures
