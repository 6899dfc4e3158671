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

# the ledger
LEDGER_UNSETTLED = 10_000  # attempts that were served and wait for the store; with more, no further one is opened
LEDGER_BEAT_S = 5.0  # a process says so often that it lives, and tries again what is not on record
LEDGER_SILENT_MS = 60_000  # with several processes: one that is silent for longer is taken for dead
LEDGER_GROUP_ROWS = 500  # rows written or checked in one transaction
LEDGER_CORRECTIONS = 1_000  # of one row, one after another
LEDGER_WORDS = 200  # characters of a reason, a name or a note
LEDGER_PAGE_ROWS = 1_000  # rows in one answer
LEDGER_EXPORT_ROWS = 5_000_000  # rows in one file
LEDGER_GROUPS = 5_000  # groups in one answer about spend; what is beyond is one group of its own
LEDGER_DIMENSIONS = 4  # by which one answer about spend is divided
LEDGER_DAYS = 800  # that one question spans
LEDGER_FILTERS = 32  # of one question, values included
LEDGER_TREE_ROWS = 20_000  # rows of one session in its tree
LEDGER_FEED_PAGE = 200  # notices read at once
LEDGER_EVENT_BYTES = 64 << 10  # of a session's log, read at once to find what an agent used
LEDGER_SWEEP_SESSIONS = 200  # whose deletion is looked for at once
LEDGER_OPEN_MS = 86_400_000  # an attempt that is open for longer is a finding
IMPORT_BYTES = 512 << 20  # one imported file
IMPORT_JSON_BYTES = 64 << 20  # one that is a single JSON document, which is decoded whole
IMPORT_LINE_BYTES = 256 << 10  # one line of a CSV file
IMPORT_LINES = 2_000_000  # of one file
IMPORT_COLUMNS = 300  # of a CSV file
ALLOCATION_TARGETS = 10_000  # among which a shared cost is divided
