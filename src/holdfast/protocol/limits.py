"""Every bound in Holdfast, in one place; the unit is the last word of the name.

Limits are part of the protocol: a client may rely on them, and the reference page of limits is checked against
this file. A value that operators may change has a setting of the same name at the edge (see ``edge/config.py``).
"""

from __future__ import annotations

# one request
MESSAGE_BYTES = 1 << 20  # a WebSocket message or a REST body
CONVERSATION_BYTES = 4 << 20  # a body of AG-UI, whose clients send the whole conversation each time
EVENT_BYTES = 256 << 10  # one event's data, encoded
BATCH_EVENTS = 1_000  # events in one append
JSON_DEPTH = 32  # nesting of data
MESSAGE_DEPTH = 64  # nesting of a whole message or view: data, and what it is wrapped in
INTEGER_MAX = (1 << 53) - 1  # what a browser represents exactly
SESSION_ID_CHARS = 128  # a session id
INCARNATION_CHARS = 64  # a life of a session, as a cursor names it
ENTITY_ID_CHARS = 200  # message, tool call, approval, run, key
TYPE_CHARS = 64  # an event type
NAME_CHARS = 200  # agent, title, device
TEXT_CHARS = 200_000  # one input or steer
INPUT_FILES = 32  # attachments of one input
MESSAGE_META_BYTES = 64 << 10  # what a client keeps with one message, encoded
BLOB_BYTES = 32 << 20  # one blob
STATES_LOG_BYTES = 8 << 20  # of the log, to tell where a conversation showed its state; beyond, it stands first
KNOWN_BLOBS = 4_096  # blobs a hub remembers to be there: a message that names them need not wait to be sure

# frames and reading
FRAME_BYTES = 256 << 10  # a frame is cut when its events pass this
PAGE_BYTES = 512 << 10  # one page read from an engine
SNAPSHOT_BYTES = 256 << 10  # a window of the folded state, to which it is trimmed when it is twice as large
COVER_CHARS = 48 << 10  # text of one event merged by compaction
COMPACT_EVENTS = 512  # worth compacting
RING_BYTES = 1 << 20  # encoded frames a hot session keeps
SNAPSHOT_EVERY_EVENTS = 4_096  # a stored snapshot at least this often
SNAPSHOT_EVERY_BYTES = 1 << 20  # the same in bytes of frames

# one session
OPEN_RUNS = 256  # runs that have not ended, sub-runs included
OPEN_ENTITIES = 1_024  # open messages, reasoning and tool calls
PENDING_APPROVALS = 256  # approvals that wait for a decision
PENDING_STEERS = 64  # steers of one run that its worker has not confirmed
PRODUCERS = 512  # producers remembered; the one silent longest is forgotten first
ACTIVITY_S = 30  # how far back operators see what was written in a session
OPERATOR_ROWS = 1_000  # connections, or runs, in one answer to an operator
FEED_NOTICES = 100_000  # happenings kept in the feed; the oldest are forgotten first, once every consumer has read them
CONSUMER_UNREAD = 500_000  # of them that a consumer has not read; with more it is overdue,
CONSUMER_UNREAD_S = 7 * 86_400.0  # or when the oldest of them is older
CONSUMERS_S = 60.0  # it is looked at so often
KEYED_COMMANDS = 1_024  # single commands with a key remembered; the oldest is forgotten first
PRODUCER_WINDOW_APPENDS = 64  # appends remembered of each producer
PRODUCER_EXPIRY_S = 86_400  # a producer silent for so long may be forgotten
KEPT_RUNS = 512  # ended runs still known by id to the session program
KEPT_TOOL_RESULTS = 1_024  # journalled results of live runs
JOURNAL_BYTES = 4 << 20  # journalled tool results of one run
RUN_DEPTH = 8  # runs below each other, sub-runs of sub-runs
KEPT_INPUTS = 4_096  # input messages that edit, regenerate and select can name
KEPT_TEXTS = 2_048  # texts whose id may not be used again: messages, reasoning, tool calls
KEPT_APPROVALS = 512  # approvals still known by id, decided ones of ended runs forgotten first
PRECANCELLED = 64  # inputs cancelled before they arrived that are remembered
GATHER_COMMANDS = 4_096  # commands that wait for the next commit
PARTICIPANTS = 256  # people whose lists show the session; the earliest are forgotten first
STREAMED_CHARS = 16 << 20  # one text that grows, in UTF-16 code units: a snapshot with it fits SERVER_MESSAGE_BYTES
SESSION_STATE_BYTES = 256 << 10  # the shared state: its snapshot plus the deltas since

# runs and control
LEASE_S = 15.0  # an attempt without a heartbeat lives so long
HEARTBEAT_S = 5.0  # workers renew their leases so often
HEADLESS_TURN_S = 60.0  # a worker that only people kept busy for so long takes a run next that nobody waits for
CANCEL_GRACE_S = 5.0  # from a cancel to the forced end of the run
ATTEMPTS = 3  # tries of a run, unless the input says otherwise
MODEL_REQUESTS = 100  # how often `converse` of a provider's adapter asks the model in one run, unless told otherwise
STALLED_ROUNDS = 3  # of an adapter's loop, one after the other, from which nothing came
KEPT_STATE_BYTES = 512 << 20  # the state of an adapter's run, before it is compressed into a blob
SOURCE_URI_CHARS = 8_192  # of a source that an adapter cites; a longer address is not cited
POLICY_FACTS_S = 30.0  # age at which what a policy knows counts for nothing: it denies
REASON_CHARS = 500  # why a run is cancelled
SOURCE_TITLE_CHARS = 1_000  # of its title, and
SOURCE_QUOTE_CHARS = 4_000  # of what is quoted from it, the rest is cut
PROVIDER_EVENT_BYTES = 32 << 20  # one event of a provider's stream: some repeat a whole answer, images included
PROVIDER_ITEMS = 10_000  # texts, calls and results in one answer of a provider
PROVIDER_DEPTH = 128  # nesting of what a provider sends
PROVIDER_USAGE_BYTES = 64 << 10  # what a provider says of usage, encoded, as it is kept with a count; more is left out
PROVIDER_PARTS = 4_096  # models and iterations that one answer is billed for; more are not read
PROVIDER_FRAME_BYTES = 24 << 20  # one message of AWS' event streams
UNKNOWN_NAMES = 32  # kinds of events an adapter does not know that are told apart in one answer
UNKNOWN_NAME_CHARS = 100  # of each of them
UNKNOWN_LOGGED = 1_000  # kinds of them that one worker's log names, each once
RESULT_DEPTH = 100  # nesting of what a tool returned; words stand in place of what is deeper
RESULT_NODES = 2_000_000  # values in what a tool returned; words stand in place of the rest
RESULT_STORE_S = 60.0  # how long a worker tries to store a tool's large result before it records that it could not
APPROVAL_DEADLINE_S = 7 * 86_400.0  # until an approval that nobody decided is denied, unless the agent says otherwise
APPROVAL_DEADLINE_MAX_S = 90 * 86_400.0  # the longest an agent may ask for
CLOCK_STEP_S = 60.0  # a wall clock jump that pauses expiry
CLOCK_FOLLOW_S = 1.0  # between two looks of a gateway alone at the system's clock

# connections
HELLO_S = 5.0  # from the connection to its first message
PING_IDLE_S = 5.0  # a silent connection is pinged after so long
PING_REPLY_S = 5.0  # for the answer: found dead within PING_IDLE_S + PING_REPLY_S <= 15 s
PRESENCE_BYTES = 1_024  # what somebody says they do
PRESENCE_MESSAGE_BYTES = 4_096  # the message in which they say it, however it is written
OPERATION_MESSAGE_BYTES = 128 << 10  # a message whose operation carries neither text nor data
SUBSCRIPTIONS = 256  # sessions read on one connection
WRITE_HIGH_BYTES = 64 << 10  # unsent bytes at which a connection is paused
WRITE_LOW_BYTES = 16 << 10  # unsent bytes at which it goes on
UNREAD_BYTES = 8 << 20  # answers a paused connection leaves unread before it is dropped
SEND_BUFFER_BYTES = 128 << 10  # kernel send buffer of a WebSocket
READ_BUFFER_BYTES = 2_048  # first read buffer of a WebSocket
CLOSE_S = 2.0  # how long a peer has to answer a close, and a task to end
SLOW_READER_SNAPSHOT_BYTES = 8 << 20  # farther behind than this, a paused live reader gets a snapshot
SSE_COMMENT_S = 10.0  # a quiet SSE response carries a comment so often
REQUESTS_PER_S = 200.0  # operations per connection, or per principal over REST; twice that at once
APPENDS_PER_S = 20_000.0  # appended events per connection; twice that at once
DRAIN_S = 10.0  # how long a shutdown waits for work in flight
PIPELINED_REQUESTS = 16  # sent on one HTTP connection before the first is answered
KEEP_ALIVE_S = 20.0  # an idle HTTP connection is kept so long
HEAD_S = 10.0  # from its first byte to the end of the head of an HTTP request
HEADER_BYTES = 8 << 10  # the head of an HTTP request
HEADERS = 100  # lines of it
BODY_S = 30.0  # from the head of an HTTP request to the end of its body, plus the time at BODY_BYTES_PER_S
BODY_BYTES_PER_S = 32 << 10  # as slow as a body may come

# neighbours: what there is for everybody, and who has how much of it; a principal stands for all it minted as well
STRANGERS = 2_048  # connections that have not said who they are; the one that came first goes first
HELLO_BYTES = 6 << 10  # of a WebSocket until it has said who it is
STRANGERS_BYTES = 8 << 20  # of all of them, for first messages that are longer, where a dialect has such
CONNECTIONS = 20_000  # of one tenant; an eighth more is kept for others
CONNECTIONS_PER_PRINCIPAL = 200  # of one principal
CONNECTIONS_OWN = 64  # of every tenant, whatever the others have
REQUESTS_AT_ONCE = 1_024  # HTTP requests of one tenant being answered; an eighth more is kept for others
REQUESTS_EACH = 256  # of one principal
REQUESTS_OWN = 32  # of every tenant, whatever the others have
HELD_BYTES = 512 << 20  # memory of one tenant for what comes in and goes out; an eighth more is kept for others
HELD_EACH_BYTES = 96 << 20  # of one principal
HELD_OWN_BYTES = 8 << 20  # of every tenant, whatever the others have
HELD_FREE_BYTES = 16 << 10  # of each message and body, that is not counted
ROOM_RETRY_S = 1.0  # when to ask again for what others have now
NODE_BYTES = 128  # what a JSON value counts as work beside its bytes: what it takes once it is decoded
OPERATION_BYTES = 4 << 10  # what an operation counts as work beside its message
REQUEST_BYTES = 64 << 10  # what an HTTP request counts as work beside its body
WORK_PER_S = float(64 << 20)  # bytes of work of one principal; as many at once
WORK_TENANT_TIMES = 2  # a tenant has so many times that
WORK_EACH_BYTES = 32 << 20  # work of one principal that is begun and not answered; more waits
WORK_TENANT_BYTES = 64 << 20  # of one tenant
WORK_BYTES = 128 << 20  # of everybody
WORK_OWN_BYTES = 1 << 20  # of every tenant, whatever the others have
WORK_TURN_BYTES = 8 << 20  # work begun before the event loop turns to everybody again
SMALL_WORK_BYTES = 32 << 10  # work that goes before larger work of the same principal

# lists and pages
LIST_SESSIONS = 100  # rows of one page of a list
LIST_SCAN = 1_000  # rows that one query of a list or of a queue looks at, whatever is asked for
LIST_SCANS = 10  # queries for one page of a list; a page that is not full then says where to go on
HOT_SESSIONS = 10_000  # sessions in memory beyond which idle ones are let go at once
HOT_IDLE_S = 60.0  # an unread session without live attempts stays in memory so long

# tokens and webhooks
TOKEN_CHARS = 5 << 10  # an access token
TOKEN_TTL_S = 3_600  # life of a minted token, unless asked otherwise
NARROW_TTL_S = 86_400  # the longest life of a token minted over REST
LABELS = 16  # labels in one token,
LABEL_NAME_CHARS = 40  # each with a name and
LABEL_CHARS = 200  # a value of so many characters
LINEAGE_TOKENS = 8  # tokens in a row, each minted from the one before
CAPABILITIES = 64  # patterns, or agents, in one token
TOKEN_SKEW_S = 5.0  # how far ahead the clock of a token's issuer may be
KEYS_BYTES = 256 << 10  # the issuer's JWKS
KEYS_TIMEOUT_S = 5.0  # one fetch of it
KEYS_REFRESH_S = 300.0  # it is fetched so often
KEYS_RETRY_S = 10.0  # and, for a token with an unknown key or after a failure, no sooner than this
KEYS_KEEP_S = 86_400.0  # its keys are used so long when it cannot be fetched any more
WEBHOOK_ATTEMPTS = 8  # tries to deliver one webhook
WEBHOOK_WAITING = 1_000  # webhooks that wait for another try; with so many, new ones wait too
WEBHOOKS_AT_ONCE = 16  # tries under way at a time
WEBHOOKS_AT_ONCE_EACH = 8  # those of one tenant
WEBHOOK_TIMEOUT_S = 10.0  # one try
WEBHOOK_BACKOFF_S = 5.0  # before the second try; four times as long before each further one
WEBHOOK_BACKOFF_MAX_S = 3_600.0  # the longest pause between two tries

# extensions
EXTENSION_STOP_S = 10.0  # an extension has so long to stop

# clients
RETRY_BASE_S = 0.25  # before the first reconnect, randomised, doubling
RETRY_CAP_S = 10.0  # the longest pause between two reconnects
REQUEST_TIMEOUT_S = 30.0  # a client waits so long for an answer
PENDING_REQUESTS = 256  # of one client connection, waiting for answers
SERVER_MESSAGE_BYTES = 64 << 20  # what a client accepts as one message
READ_AHEAD_BYTES = 1 << 20  # received for a reader that does not read; beyond it the client becomes a cursor again
APPENDS_IN_FLIGHT = 8  # of one producer, at most PRODUCER_WINDOW_APPENDS
APPEND_BYTES = 64 << 10  # a producer sends this much at once, and does not wait for an answer before it does
APPEND_BUFFER_BYTES = 256 << 10  # gathered by a producer before writing waits
DELTA_CHARS = EVENT_BYTES // 4  # of one text delta
TOKEN_REFRESH_S = 60.0  # before expiry, or a fifth of the token's life when that is shorter

# storage
CHECKPOINT_S = 1.0  # between two checkpoints of the write-ahead log
CHECKPOINT_PAGES = 4_000  # length of that log beyond which it is made to start again
DISK_RESERVE_BYTES = 8 << 20  # disk space kept back for control and run ends
DISK_PROBE_S = 1.0  # between attempts to recover a full or failed disk
COMMIT_BYTES = 8 << 20  # one group commit takes at most this

# the model gateway
GATEWAY_BODY_BYTES = 32 << 20  # one request, images included
GATEWAY_WHOLE_BYTES = 1 << 20  # of a request that goes upstream at once; of a larger one, others go between its pieces
GATEWAY_BODIES_BYTES = 512 << 20  # of all requests that are being read or sent
GATEWAY_CALLS = 4_000  # of all callers at a time
KEY_CALLS = 1_000  # of one key at a time
KEY_CHARS = 512  # what a caller sends as its key
CALL_ATTEMPTS = 6  # at all upstreams together, for one call
RETRY_FIRST_S = 0.1  # before the same upstream is asked again; doubled each time
RETRY_AFTER_S = 2.0  # an upstream that wants a longer pause is not asked again for the same call
STALE_CONNECTIONS = 8  # that an upstream has closed in the meantime, for one request
END_WAIT_S = 1.0  # an upstream whose stream is whole ends its response in this time
UPSTREAM_DRAIN_S = 300.0  # a stream is read on for nobody at most so long
CALLER_STALL_S = 60.0  # a caller that takes nothing of its answer for so long has left
PASSED_HEADERS = 32  # of an upstream's answer, to the caller,
PASSED_HEADER_CHARS = 1_024  # each with so many characters
OUTPUT_LIMIT = 10_000_000  # tokens that a caller can bound its answer to
INSTRUCTION_MESSAGES = 4  # at the beginning of a conversation that count as its prompt
DATA_BYTES = 4_096  # a string of so many characters without a space is an image or a file
SETTINGS_BYTES = 1 << 20  # the file of a gateway's settings
UPSTREAM_STREAMS = 10_000  # of one upstream at a time, at most
UPSTREAM_WAITING = 1_000  # calls of one kind, seated or headless, that wait for a slot of one upstream
SEATED_WAIT_S = 30.0  # a call that a person waits for waits so long for a slot,
HEADLESS_WAIT_S = 60.0  # any other so long
BUSY_RETRY_S = 5.0  # when to ask again after that
UPSTREAM_PAUSE_S = 60.0  # after a 429 no headless call goes to an upstream for the time it said, at most so long
HEADLESS_CALLS = 3_000  # of GATEWAY_CALLS, those that nobody waits for
HEADLESS_BODIES_BYTES = 384 << 20  # of GATEWAY_BODIES_BYTES, those of such calls
UPSTREAM_KEPT_S = 60.0  # an idle connection to an upstream
UPSTREAM_READ_BYTES = 64 << 10  # read ahead of one upstream's stream
UPSTREAM_SOCKET_BYTES = 32 << 10  # of an upstream's stream that the system takes in and nobody has read
UPSTREAM_FAILURES = 3  # one after the other, after which an upstream rests
UPSTREAM_REST_S = 1.0  # its first rest; doubled each time
UPSTREAM_REST_MAX_S = 60.0  # its longest
UPSTREAM_ERROR_BYTES = 256 << 10  # an error that an upstream answers
COLLECTED_BYTES = 64 << 20  # a stream that is collected into one answer
FOLLOWED_BYTES = 128 << 10  # of a stream that are kept before they are condensed
INPUT_BYTES_PER_TOKEN = 4  # of a request, where nobody has counted its tokens
OUTPUT_BYTES_PER_TOKEN = 4  # of an answer
BRAKE_BYTES_PER_TOKEN = 3  # of an answer whose money is bounded: rather too many tokens are seen than too few
BRAKED_READ_BYTES = 4 << 10  # of such an answer in one read: what is read beyond what was granted is small
CHAT_CHOICES = 1_024  # answers to one chat completion
IMAGE_TEXT_BYTES = 6_400  # an image or a file inside a request, as text of about so many tokens times four
SECRET_KEPT_S = 60.0  # a key of an upstream, before it is fetched again
SECRET_RETRY_S = 2.0  # after it could not be fetched
SECRET_CHARS = 16_384  # of such a key, or of what a command prints
SECRET_COMMAND_S = 10.0  # a command that prints one
TOLD_CHARS = 1_000  # of an error of an upstream, in one of ours
STRANGER_CHARS = 200  # of what an unknown caller says it is
SESSION_CALLERS = 1_000  # callers of a gateway that are connected to sessions; the one silent longest is let go
SESSIONS_OPEN_S = 5.0  # for a gateway to reach the server of its sessions, and from one try to the next
MODEL_RUNS = 1_000  # calls of a gateway at a time that are runs
SHADOWS = 16  # requests at a time that are put to a second model, unseen
ROUTE_EVENTS = 1_000  # that wait to be written into sessions; one more is lost, its row is not
GATEWAY_TITLE_CHARS = 60  # the title of a chat, made of its first words
