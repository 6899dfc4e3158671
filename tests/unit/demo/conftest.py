"""The demo's agents in this process, at full speed."""

from tests.unit.agents.conftest import House, anyio_backend, house, lease_s

__all__ = ["House", "anyio_backend", "house", "lease_s"]
