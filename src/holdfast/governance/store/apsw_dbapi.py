"""A face of PEP 249 over APSW, for SQLAlchemy's SQLite dialect (``create_engine(…, module=apsw_dbapi)``).

The standard library's ``sqlite3`` is bound to whatever SQLite the system has, often one that can lose a commit; APSW brings
its own. What the dialect needs of https://peps.python.org/pep-0249/ is here and nothing more. One difference: a connection
begins and commits nothing by itself. Its owner says ``BEGIN`` and ``COMMIT``; ``commit`` and ``rollback`` end what is open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NoReturn

import apsw

apilevel: Final = "2.0"
threadsafety: Final = 1
paramstyle: Final = "qmark"
sqlite_version: Final = apsw.sqlite_lib_version()
sqlite_version_info: Final = tuple(int(part) for part in sqlite_version.split("."))
Binary = bytes


class Error(Exception):
    """Whatever the database refuses. ``extended`` is SQLite's extended result code, 0 for what is not from SQLite."""

    extended: int = 0


class InterfaceError(Error):
    """The database was used wrongly."""


class DatabaseError(Error):
    """What concerns the database; also: the file is damaged, or no database."""


class DataError(DatabaseError):
    """A value is too large or of the wrong type."""


class OperationalError(DatabaseError):
    """The disk, a lock, memory, a statement: not in the hands of who wrote the data."""


class IntegrityError(DatabaseError):
    """A constraint: a key that is there already, one that leads nowhere, a check."""


class InternalError(DatabaseError):
    """SQLite made a mistake."""


class ProgrammingError(DatabaseError):
    """A connection that is closed, the wrong number of parameters."""


class NotSupportedError(DatabaseError):
    """What SQLite cannot do."""


_MEANING: Final[dict[type[Exception], type[Error]]] = {
    apsw.ConstraintError: IntegrityError,
    apsw.CorruptError: DatabaseError,
    apsw.NotADBError: DatabaseError,
    apsw.TooBigError: DataError,
    apsw.MismatchError: DataError,
    apsw.RangeError: ProgrammingError,
    apsw.BindingsError: ProgrammingError,
    apsw.ConnectionClosedError: ProgrammingError,
    apsw.CursorClosedError: ProgrammingError,
    apsw.MisuseError: InterfaceError,
    apsw.ThreadingViolationError: InterfaceError,
    apsw.InternalError: InternalError,
}


def result_of(error: BaseException | None) -> int:
    """SQLite's extended result code (https://www.sqlite.org/rescode.html) of an error of APSW's or of these; 0 for others."""
    if isinstance(error, Error):
        return error.extended
    result = getattr(error, "extendedresult", 0) or getattr(error, "result", 0)
    return int(result or (apsw.SQLITE_FULL if isinstance(error, apsw.FullError) else 0))


def _raise(error: apsw.Error) -> NoReturn:
    meaning = _MEANING.get(type(error), OperationalError)(str(error))
    meaning.extended = result_of(error)
    raise meaning from error


class ApswCursor:
    """One statement at a time, and its rows as they are asked for.

    Attributes:
        description: name and declared type of each column; None when the statement gives no rows.
        rowcount: rows that were changed; -1 for a query.
        lastrowid: of the row inserted last on this connection.
        arraysize: rows that ``fetchmany`` gives without a number.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._cursor.exec_trace = self._describe
        self.description: tuple[tuple[Any, ...], ...] | None = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1

    def _describe(self, cursor: apsw.Cursor, _sql: str, _bindings: Any) -> bool:
        # before the first step: of a query without rows APSW tells nothing afterwards
        described = cursor.get_description()
        self.description = tuple((name, kind, None, None, None, None, None) for name, kind in described) or None
        return True

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> ApswCursor:
        """Run one statement up to its first row."""
        self.description = None
        try:
            self._cursor.execute(sql, parameters)
            self._note(self._connection.changes())
        except apsw.Error as error:
            _raise(error)
        return self

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> ApswCursor:
        """Run one statement for each row of parameters; it gives no rows itself."""
        self.description = None
        before = self._connection.total_changes()
        self._cursor.exec_trace = None
        try:
            self._cursor.executemany(sql, rows)
            self._note(self._connection.total_changes() - before)
        except apsw.Error as error:
            _raise(error)
        finally:
            self._cursor.exec_trace = self._describe
        return self

    def _note(self, changes: int) -> None:
        self.rowcount = changes if self.description is None else -1
        self.lastrowid = self._connection.last_insert_rowid()

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row, or None."""
        try:
            row: tuple[Any, ...] | None = self._cursor.fetchone()
        except apsw.Error as error:
            _raise(error)
        return row

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """The next rows, at most so many."""
        rows: list[tuple[Any, ...]] = []
        for _ in range(size or self.arraysize):
            row = self.fetchone()
            if row is None:
                break
            rows.append(row)
        return rows

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows that are left."""
        try:
            rows: list[tuple[Any, ...]] = self._cursor.fetchall()
        except apsw.Error as error:
            _raise(error)
        return rows

    def close(self) -> None:
        """Forget the statement, whatever is left of its rows."""
        self._cursor.exec_trace = None  # which leads back here
        self._cursor.close(True)


class ApswConnection:
    """A connection of PEP 249.

    Attributes:
        raw: APSW's own connection.
        isolation_level: None: nothing is begun by itself. The dialect looks at it.
        lent: whoever uses it may neither commit nor roll back: its owner does.
        deaf: both are heard and not done, while the owner puts SQLAlchemy's idea of the transaction right.
    """

    isolation_level: str | None = None

    def __init__(self, raw: apsw.Connection) -> None:
        self.raw = raw
        self.lent = False
        self.deaf = False

    def cursor(self) -> ApswCursor:
        """A new cursor."""
        try:
            return ApswCursor(self.raw)
        except apsw.Error as error:
            _raise(error)

    def commit(self) -> None:
        """Commit what was begun, if anything was."""
        self._end("COMMIT")

    def rollback(self) -> None:
        """Undo what was begun, if anything was."""
        self._end("ROLLBACK")

    def _end(self, statement: str) -> None:
        if self.deaf:
            return
        if self.lent:
            raise ProgrammingError(f"{statement} is not for work of the store: its transaction is ended by the store")
        try:
            if self.raw.in_transaction:
                self.raw.execute(statement)
        except apsw.Error as error:
            _raise(error)

    def close(self) -> None:
        """Close it; what was not committed is undone."""
        self.raw.close(True)

    def create_function(
        self, name: str, arguments: int, function: Callable[..., Any], *, deterministic: bool = False
    ) -> None:
        """Give SQL a function of Python. The dialect brings ``regexp`` and ``floor``."""
        self.raw.create_scalar_function(name, function, arguments, deterministic=deterministic)


def connect(filename: str) -> ApswConnection:
    """A connection to a file."""
    try:
        return ApswConnection(apsw.Connection(filename))
    except apsw.Error as error:
        _raise(error)
