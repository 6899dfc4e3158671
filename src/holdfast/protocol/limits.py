"""Every bound in Holdfast, in one place; the unit is the last word of the name.

Limits are part of the protocol: a client may rely on them, and the reference page of limits is checked against
this file. A value that operators may change has a setting of the same name at the edge (see ``edge/config.py``).
"""

from __future__ import annotations

# one request
MESSAGE_BYTES = 1 << 20  # a WebSocket message or a REST body
EVENT_BYTES = 256 << 10  # one event's data, encoded
BATCH_EVENTS = 1_000  # events in one append
JSON_DEPTH = 32  # nesting of data
INTEGER_MAX = (1 << 53) - 1  # what a browser represents exactly
SESSION_ID_CHARS = 128
ENTITY_ID_CHARS = 200  # message, tool call, approval, run, key
TYPE_CHARS = 64
NAME_CHARS = 200  # agent, title, device
TEXT_CHARS = 200_000  # one input or steer
BLOB_BYTES = 32 << 20

# frames and reading
FRAME_BYTES = 256 << 10  # a frame is cut when its events pass this
PAGE_BYTES = 512 << 10  # one page read from an engine
SNAPSHOT_BYTES = 256 << 10  # a window of the folded state
COVER_CHARS = 48 << 10  # text of one event merged by compaction
COMPACT_EVENTS = 512  # worth compacting
RING_BYTES = 1 << 20  # encoded frames a hot session keeps
SNAPSHOT_EVERY_EVENTS = 4_096  # a stored snapshot at least this often
SNAPSHOT_EVERY_BYTES = 1 << 20

# one session
OPEN_RUNS = 256
OPEN_ENTITIES = 1_024  # open messages, reasoning and tool calls
PENDING_APPROVALS = 256
PENDING_STEERS = 64
PRODUCERS = 512
PRODUCER_WINDOW_APPENDS = 64
PRODUCER_EXPIRY_S = 86_400
KEPT_RUNS = 512  # ended runs still known by id to the session program
KEPT_TOOL_RESULTS = 1_024  # journalled results of live runs
JOURNAL_BYTES = 4 << 20
RUN_DEPTH = 8
KEPT_INPUTS = 4_096
KEPT_APPROVALS = 512
PRECANCELLED = 64
GATHER_COMMANDS = 4_096
PARTICIPANTS = 256
SESSION_STATE_BYTES = 256 << 10

# runs and control
LEASE_S = 15.0
HEARTBEAT_S = 5.0
CANCEL_GRACE_S = 5.0
ATTEMPTS = 3
APPROVAL_DEADLINE_S = 7 * 86_400.0
APPROVAL_DEADLINE_MAX_S = 90 * 86_400.0
CLOCK_STEP_S = 60.0  # a wall clock jump that pauses expiry

# connections
HELLO_S = 5.0
PING_IDLE_S = 5.0
PING_REPLY_S = 5.0  # found dead within PING_IDLE_S + PING_REPLY_S <= 15 s
CONNECTIONS = 20_000
CONNECTIONS_PER_PRINCIPAL = 200
SUBSCRIPTIONS = 256
WRITE_HIGH_BYTES = 64 << 10
WRITE_LOW_BYTES = 16 << 10
SEND_BUFFER_BYTES = 128 << 10
READ_BUFFER_BYTES = 2_048
CLOSE_S = 2.0
SLOW_READER_SNAPSHOT_BYTES = 8 << 20  # farther behind than this, a paused live reader gets a snapshot
SSE_COMMENT_S = 10.0
REQUESTS_PER_S = 200.0
REQUEST_BURST = 400.0
APPENDS_PER_S = 20_000.0
APPEND_BURST = 40_000.0
PRESENCE_TTL_S = 15.0
DRAIN_S = 10.0
HEADER_BYTES = 16 << 10
BODY_S = 30.0

# lists and pages
LIST_SESSIONS = 100
HISTORY_PAGE_BYTES = 256 << 10
HOT_SESSIONS = 10_000
HOT_IDLE_S = 60.0

# tokens and webhooks
TOKEN_CHARS = 8_192
TOKEN_TTL_S = 3_600
CAPABILITIES = 64
WEBHOOK_ATTEMPTS = 8
WEBHOOK_TIMEOUT_S = 10.0
WEBHOOK_BACKOFF_S = 5.0
WEBHOOK_BACKOFF_MAX_S = 3_600.0

# clients
RETRY_BASE_S = 0.25
RETRY_CAP_S = 10.0
REQUEST_TIMEOUT_S = 30.0
PENDING_REQUESTS = 256  # of one client connection, waiting for answers
SERVER_MESSAGE_BYTES = 64 << 20  # what a client accepts as one message
READ_AHEAD_BYTES = 1 << 20  # received for a reader that does not read; beyond it the client becomes a cursor again
APPENDS_IN_FLIGHT = 8  # of one producer, at most PRODUCER_WINDOW_APPENDS
APPEND_BYTES = 64 << 10  # a producer sends this much at once, and does not wait for an answer before it does
APPEND_BUFFER_BYTES = 256 << 10  # gathered by a producer before writing waits
DELTA_CHARS = EVENT_BYTES // 4  # of one text delta
TOKEN_REFRESH_S = 60.0  # before expiry, or a fifth of the token's life when that is shorter

# storage
CHECKPOINT_S = 1.0
CHECKPOINT_PAGES = 4_000
DISK_RESERVE_BYTES = 8 << 20
DISK_PROBE_S = 1.0
COMMIT_BYTES = 8 << 20  # one group commit takes at most this
