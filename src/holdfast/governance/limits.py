"""Every bound of the governance half, in one place; the unit is the last word of the name."""

from __future__ import annotations

# the store
STORE_WAITING = 10_000  # pieces of work that wait to be written; one more is refused
STORE_GROUP = 512  # pieces of work in one transaction of SQLite
STORE_READERS = 4  # reading connections of SQLite
STORE_BUSY_MS = 5_000  # how long a write waits for a foreign process that has the SQLite file locked for a moment
STORE_CHECKPOINT_PAGES = 2_000  # of the write-ahead log; beyond, it is copied into the SQLite file
STORE_PROBE_S = 0.5  # between two attempts to open a store again that failed
STORE_CONNECTIONS = 16  # to PostgreSQL, of one process
STORE_CONNECT_S = 10.0  # to get one of them
STORE_STATEMENT_S = 60.0  # of PostgreSQL, before it is given up
STORE_RETRIES = 20  # of a transaction that PostgreSQL could not put in an order with those beside it
