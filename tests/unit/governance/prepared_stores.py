"""Stores that have their tables and nothing in them, without making the tables anew for each test: that takes half a second on
PostgreSQL, and there are thousands of tests. Tests of how tables are made ask for an empty database instead."""

from __future__ import annotations

import functools
import secrets
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Final

import asyncpg

from holdfast.governance.store.store import Store
from tests.unit.governance import postgres_server

_NAME: Final = f"{postgres_server.NAME}_prepared"
_SHAPE: Final = """
    SELECT md5(coalesce(string_agg(c.oid::text || c.relname || c.relnatts || c.relchecks || c.relhastriggers, ',' ORDER BY c.oid), ''))
    FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
"""
"""Tables, columns, indexes and sequences of the database: a test that changed one of them leaves another one."""
_KEEP: Final = """
    CREATE SCHEMA kept;
    DO $$ DECLARE t text; n bigint; BEGIN
      FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('SELECT count(*) FROM public.%I', t) INTO n;
        IF n > 0 THEN EXECUTE format('CREATE TABLE kept.%I AS TABLE public.%I', t, t); END IF;
      END LOOP;
    END $$;
"""
_AS_NEW: Final = """
    SET session_replication_role = replica;
    DO $$ DECLARE t text; BEGIN
      FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP EXECUTE format('DELETE FROM public.%I', t); END LOOP;
      FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'kept' LOOP
        EXECUTE format('INSERT INTO public.%I TABLE kept.%I', t, t);
      END LOOP;
      FOR t IN SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' LOOP
        EXECUTE format('ALTER SEQUENCE public.%I RESTART', t);
      END LOOP;
    END $$;
"""
_OWN_LIFE: Final = "UPDATE store_facts SET value = $1 WHERE name = 'store.id'"
_shape = ""


async def postgres() -> str:
    """The address of this worker's prepared database, as if a store had just been made in it."""
    global _shape
    address = _database()
    connection = await asyncpg.connect(address)
    try:
        if not _shape or await connection.fetchval(_SHAPE) != _shape:
            await connection.execute(
                "DROP SCHEMA IF EXISTS kept CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public"
            )
            await _make(address)
            await connection.execute(_KEEP)
            _shape = str(await connection.fetchval(_SHAPE))
        await connection.execute(_AS_NEW)
        await connection.execute(_OWN_LIFE, secrets.token_hex(8))
    finally:
        await connection.close()
    return address


async def sqlite(path: Path) -> str:
    """The address of a prepared file."""
    template = _template()
    if not template.exists():
        await _make(f"sqlite:///{template}")
    shutil.copyfile(template, path)
    with sqlite3.connect(path) as connection:
        connection.execute(_OWN_LIFE.replace("$1", "?"), (secrets.token_hex(8),))
    connection.close()
    return f"sqlite:///{path}"


async def _make(address: str) -> None:
    await (await Store.open(address, lambda: 0)).close()


@functools.cache
def _database() -> str:
    server = postgres_server.server()
    if "1" not in server.psql(f"SELECT count(*) FROM pg_database WHERE datname = '{_NAME}'").split():
        server.psql(f"CREATE DATABASE {_NAME}")
    return str(server.get_uri(database=_NAME))


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="holdfast-prepared-")


def _template() -> Path:
    return Path(_folder().name) / "store.db"
