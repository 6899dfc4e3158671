"""Which database an address names, and how it is written without its password."""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from holdfast.errors import HoldfastError

_FIX: Final = "Write a path, sqlite:///PATH, or postgresql://USER:PASSWORD@HOST/DATABASE."


class FileAddress(NamedTuple):
    """A SQLite file. ``where``: how it is named to people."""

    path: str
    where: str


class ServerAddress(NamedTuple):
    """A PostgreSQL database. ``where``: the address without its password."""

    url: URL
    where: str


def parse(address: str) -> FileAddress | ServerAddress:
    """What an address names.

    Raises:
        HoldfastError: ``config.invalid`` for any other kind of database, and for what is no address.
    """
    scheme, separator, rest = address.partition("://")
    if not separator or scheme == "sqlite":
        path = rest.removeprefix("/") if separator else address
        if not path or path.startswith(":") or "?" in path:
            raise HoldfastError("config.invalid", "the store's address names no file", fix=_FIX)
        return FileAddress(path, path)
    if scheme not in ("postgresql", "postgres"):
        raise HoldfastError("config.invalid", f"the store cannot be a database of the kind {scheme!r}", fix=_FIX)
    try:
        url = make_url(f"postgresql+asyncpg://{rest}")
    except (ArgumentError, ValueError):  # its words have the address, and that the password
        raise HoldfastError("config.invalid", "the store's address cannot be read", fix=_FIX) from None
    if not url.database:
        raise HoldfastError("config.invalid", "the store's address names no database", fix=_FIX)
    if mode := url.query.get("sslmode"):  # libpq's word for what asyncpg calls ssl
        url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    return ServerAddress(url, _shown(url))


def _shown(url: URL) -> str:
    """The address for people. libpq takes passwords among its parameters, too: those are left out as well."""
    hidden = [name for name in url.query if "password" in name.lower()]
    return url.set(drivername="postgresql").difference_update_query(hidden).render_as_string(hide_password=True)
