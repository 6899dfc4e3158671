"""The same site the edge's unit tests use."""

from tests.unit.edge.conftest import Site, anyio_backend, settings, site

__all__ = ["Site", "anyio_backend", "settings", "site"]
