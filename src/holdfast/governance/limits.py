"""Every bound of the governance half, in one place; the unit is the last word of the name."""

from __future__ import annotations

# money
MONEY_CHARS = 64  # of an amount as text
MONEY_NANO = (1 << 63) - 1  # nano-USD in one amount: what a column holds

# a backup
MANIFEST_BYTES = 64 << 10  # of the file that says what is in it

# the store
STORE_WAITING = 10_000  # pieces of work that wait to be written; one more is refused
STORE_GROUP = 512  # pieces of work in one transaction of SQLite
STORE_READERS = 4  # reading connections of SQLite
STORE_BUSY_MS = 5_000  # how long a write waits for a foreign process that has the SQLite file locked for a moment
STORE_CHECKPOINT_PAGES = 2_000  # of the write-ahead log; beyond, it is copied into the SQLite file
STORE_REST_PAGES = 256  # of it that are left then, and so few that the writer may copy them itself
STORE_LOG_BYTES = 64 << 20  # to which a write-ahead log that grew is cut when it starts again
STORE_PROBE_S = 0.5  # between two attempts to open a store again that failed
STORE_CONNECTIONS = 16  # to PostgreSQL, of one process
STORE_CONNECT_S = 10.0  # to get one of them
STORE_STATEMENT_S = 60.0  # of PostgreSQL, before it is given up
STORE_RETRIES = 20  # of a transaction that PostgreSQL could not put in an order with those beside it

# what other processes changed
CHANGES_EVERY_S = 0.4  # between two looks: a key revoked elsewhere is refused here within a second
CHANGES_LOOK_S = 2.0  # one look, before it counts as failed
# one look after the other that failed; then what is in memory is not trusted, and callers are told to come again
CHANGES_FAILED_LOOKS = 5

# the organisation
ORG_NAME_CHARS = 128  # of a team, a workflow, a cost centre, a person
ORG_IMPORT_BYTES = 1 << 20  # a file that describes it
ORG_UNITS = 20_000  # described by one file
ORG_DEPTH = 16  # teams within teams
ORG_TAGS = 16  # of a team or a workflow
ORG_TAG_CHARS = 200  # the value of a tag
ORG_SEEN_WORKFLOWS = 1_000  # named by callers and declared by nobody, that are remembered
ORG_NEW_PEOPLE = 10_000  # seen since the last writing; beyond, rows stand under no pseudonym
ORG_FLUSH_S = 5.0  # between two writings of what was seen
INTERACTIVE_S = 86_400.0  # after a person signed in, in which work with their claim counts as interactive
SIGN_IN_DIGITS = 12  # of the moment of a sign-in, Unix seconds

# keys
KEY_SECRET_BYTES = 32  # of randomness
KEY_CHARS = 512  # what is sent as a key; longer is no key
KEY_NAME_CHARS = 64  # what people call it
KEY_PATTERNS = 64  # models, or agents, that one key names
KEY_TTL_S = 365 * 86_400.0  # the longest life of a key
KEY_OVERLAP_S = 86_400.0  # of the former secret after a rotation, unless said otherwise
KEY_OVERLAP_MOST_S = 30 * 86_400.0  # the longest
KEY_SECRETS = 8  # of one key that are still good
KEY_ADOPTED_S = 30 * 86_400.0  # the longest life of a key that is the old one of a program
KEY_FLUSH_S = 10.0  # between two writings of what was used, and of who came unknown
KEY_USED_S = 3_600.0  # when a key was last used is known to the hour
STRANGERS_SEEN = 5_000  # callers without a known key, told apart in a day; others are counted together
STRANGERS_KEEP_DAYS = 90  # they are listed
STRANGER_AGENT_CHARS = 200  # of a User-Agent
STRANGER_PATH_CHARS = 200  # of a path
STRANGER_ROWS = 1_000  # in one answer

# login
LOGIN_S = 600.0  # from the beginning of a login to its end
LOGIN_SESSION_S = 8 * 3_600.0  # how long somebody stays logged in
LOGIN_TOKEN_S = 300.0  # life of an access token that a login gives
LOGIN_HTTP_S = 10.0  # for an answer of the identity provider
LOGIN_HTTP_BYTES = 1 << 20  # the largest of them
LOGIN_METADATA_S = 3_600.0  # for which what the identity provider says of itself counts
LOGIN_SKEW_S = 60.0  # between its clock and ours
LOGIN_PATH_CHARS = 1_000  # of the page to open afterwards
LOGIN_CONTACT_CHARS = 200  # of whom somebody without a role asks
LOGIN_GROUPS = 1_000  # of one person
LOGIN_STATES = 10_000  # logins that ended a moment ago and may not end again
# prices
PRICE_DOCUMENT_BYTES = 64 << 10  # a change of prices that is proposed
PRICE_WORDS_CHARS = 1_000  # a reason, or the name of a model
WAIVER_DAYS = 30  # a model may be called without a price; once more after that
# what people ask of budgets
BUDGET_NAME_CHARS = 64  # what people call it
BUDGETS = 2_000  # of one tenant that hold
BUDGET_ROLLING_LEAST_S = 60  # the shortest window that rolls
BUDGET_ROLLING_MOST_S = 366 * 86_400  # the longest
BUDGET_THRESHOLDS = 8  # percentages at which somebody is told
BUDGET_THRESHOLD_PERCENT = 1_000  # the highest
BUDGET_IMPORT_BYTES = 1 << 20  # a file of budgets
BUDGET_WHY_CHARS = 500  # why more is asked for, and what is said to a decision
BUDGET_REQUESTS_EACH = 10  # requests of one person that wait; with more, none is taken
BUDGET_WAIT_LEAST_S = 10  # a person is waited for at least
BUDGET_WAIT_MOST_S = 540  # and at most: clients give up after 600
BUDGET_DECISION_S = 0.5  # between two looks whether a person has decided
BUDGET_ROWS = 500  # refusals, requests or alerts in one answer
BUDGET_JUDGED = 200  # refusals whose calls are looked up at once

# alerts
ALERT_EVERY_S = 30.0  # between two looks at all accounts
ALERT_PACE_S = 300.0  # between two looks at how fast money is spent, and whether a day is unusual
ALERT_ACCOUNTS = 500  # of one tenant that are looked at
ALERT_TRIES = 8  # to tell one way of one alert
ALERT_BACKOFF_S = 5.0  # before the second try; four times as long before each further one
ALERT_BACKOFF_MAX_S = 3_600.0  # the longest pause between two
ALERT_TIMEOUT_S = 10.0  # one try
ALERT_AT_ONCE = 100  # that are sent in one look
ALERT_WEEKS = 8  # of the same weekday, beside which a day is held
ALERT_WEEKS_LEAST = 4  # of them; with fewer it is not known whether a day is unusual
ALERT_RECIPIENTS = 20  # of one mail

# forecast
FORECAST_DAYS_LEAST = 14  # of history; with fewer there is none
FORECAST_DAYS = 182  # of history that are looked at
FORECAST_DRAWS = 1_000  # of which the percentiles are
FORECAST_TEST_DRAWS = 200  # of each forecast of the back-test
FORECAST_TESTS = 40  # past days from which one is made
FORECAST_HORIZON_DAYS = 366  # ahead

# the ledger
LEDGER_GATHER_S = 0.02  # attempts that were served wait so long for others, to go on record together
LEDGER_UNSETTLED = 10_000  # attempts that were served and wait for the store; with more, no further one is opened
LEDGER_OPENING_S = 5.0  # for an attempt to be on record before its upstream is asked; a store that is slower is down
LEDGER_BEAT_S = 5.0  # a process says so often that it lives, and tries again what is not on record
LEDGER_SILENT_BEATS = 12  # of ours, in which another process is not heard of: then it is taken for dead
LEDGER_CLOCK_MS = 60_000  # behind what the store has seen, of which a clock is told
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
LEDGER_FEED_AT_ONCE = 64  # notices whose rows are written at the same time
LEDGER_EVENT_BYTES = 64 << 10  # of a session's log, read at once to find what an agent used
LEDGER_SWEEP_SESSIONS = 200  # whose deletion is looked for at once
LEDGER_SWEEP_S = 30.0  # between two such looks
LEDGER_OPEN_MS = 86_400_000  # an attempt that is open for longer is a finding
IMPORT_BYTES = 512 << 20  # one imported file
IMPORT_JSON_BYTES = 64 << 20  # one that is a single JSON document, which is decoded whole
IMPORT_LINE_BYTES = 256 << 10  # one line of a CSV file
IMPORT_UPLOADS = 8  # files that come in pieces at a time
IMPORT_UPLOAD_MS = 600_000  # one of which no piece came for longer is forgotten
IMPORT_LINES = 2_000_000  # of one file
IMPORT_COLUMNS = 300  # of a CSV file
ALLOCATION_TARGETS = 10_000  # among which a shared cost is divided

# ledger beside bill
BILLS_ROWS = 3_000_000  # of the ledger that one comparison, variance, search for waste or FOCUS file reads
BILLS_PAGE = 2_000  # of them in one transaction
BILLS_SHOWN = 200  # cells and lines that are listed with a finding; the comparison itself has all
BILLS_SESSIONS = 50  # that are named with a kind of waste
BILLS_DAYS = 100  # that one comparison spans
BILLS_NAMES = 1_000  # aliases, or keys, that are given with a comparison

# budgets
BUDGET_TRANCHE_TOKENS = 512  # of output, granted at a time
BUDGET_TRANCHE_LEAST_TOKENS = 64  # granted where there is not money for more
BUDGET_TAIL_TOKENS = 256  # of output that may have been generated and not been seen yet
BUDGET_INPUT_TOKENS = 64  # that a provider may add to what was sent
BUDGET_WAIT_S = 2.0  # for others to settle, before a call that does not fit is refused
BUDGET_LOOK_S = 0.1  # between two looks whether it fits now: other gateways settle, too
BUDGET_SOON_S = 60.0  # a window that opens within is worth waiting for
BUDGET_ROLLING_PARTS = 60  # in which a window that rolls is counted
BUDGET_GROUP = 256  # reservations decided in one transaction
BUDGET_WAITING = 10_000  # that wait to be decided; one more is refused
BUDGET_FRESH_S = 0.5  # between two looks which budgets are spent, for agents that call providers themselves
BUDGET_LIVELY_S = 86_400.0  # a run or a session that nothing touched for longer is over, for those looks
BUDGET_ACCOUNTS = 1_000  # in one answer
BUDGET_IN_FLIGHT = 1_000  # attempts that a refusal names
BUDGET_FORGET_EVERY_S = 3_600.0  # between two looks at what is too old to be kept
BUDGET_FORGET_ROWS = 1_000  # forgotten in one transaction, so that nobody waits for it
BUDGET_REFUSALS_S = 90 * 86_400.0  # for which refusals are kept
BUDGET_TOUCHED_S = 35 * 86_400.0  # accounts of single runs and sessions are forgotten that nothing touched for longer

# operations
STOP_GRACE_S = 2.0  # an agent has to end by itself, where a stop does not say otherwise
STOP_GRACE_MOST_S = 5.0  # that a stop may give: sessions give no more by themselves
STOP_ANSWER_S = 10.0  # whoever stops something waits so long for every session to be looked at
STOP_REASON_CHARS = 300  # why something is stopped, or begins again
STOP_AT_ONCE = 200  # sessions that are looked at together
STOP_LOOK_S = 0.05  # between two looks whether a stop has left a run
STOP_AGAIN_S = 0.5  # before the next, after one that failed
STOP_FLUSH_S = 1.0  # between two writings of what was refused
STOPS = 500  # of one tenant that hold
STOP_ROWS = 200  # stops, incidents, or sessions of one, in one answer
INCIDENT_NOTES_CHARS = 4_000  # of what people write down

# outcomes
OUTCOME_WINDOW_MS = 90 * 86_400_000  # back from now, in which outcomes count for a choice
OUTCOME_JOIN_MS = 7 * 86_400_000  # an outcome waits so long for the rows of its work
OUTCOME_JOIN_ROWS = 500  # outcomes that are joined with the ledger at once
OUTCOME_PAGE_ROWS = 500  # in one answer
OUTCOME_PROXY_MS = 90 * 86_400_000  # runs are remembered so long, for what was edited or asked again
OUTCOME_CALL_CHARS = 128  # of an id of a call or a run

# routing
ROUTING_DOCUMENT_BYTES = 256 << 10  # of one tenant
ROUTE_CANDIDATES = 32  # models of one route
ROUTE_BEAT_S = 1.0  # between two writings of decisions, and looks at what was measured
ROUTE_PENDING = 20_000  # decisions that wait to be written; one more is not kept
ROUTE_DECISION_ROWS = 500_000  # of one tenant that are kept
ROUTE_DECISION_MS = 90 * 86_400_000  # and for so long
ROUTE_SESSIONS = 50_000  # whose model is remembered, those that were silent longest going first
ROUTE_PAGE_ROWS = 500  # decisions in one answer
EXPERIMENTS = 100  # of one tenant that run

# the plan
EVIDENCE_ROWS = 5_000  # that one query answers; with more it is cut short, and nothing passes by it
EVIDENCE_BYTES = 4 << 20  # of what one query answers; beyond, it is cut short, too
WAIVER_REASON_CHARS = 500
WAIVER_ROWS = 1_000  # in one answer
PLAN_EVERY_S = 300.0  # between two computations of every gate
PLAN_AGAIN_MS = 6 * 3_600_000  # a verdict that is as it was is put on record again after so long
PLAN_HISTORY_ROWS = 500  # verdicts of one gate in one answer
PLAN_VERIFY_ROWS = 20_000  # of the ledger that every computation verifies again; a larger one is verified
PLAN_VERIFY_MS = 6 * 3_600_000  # after so long
VALIDATION_BYTES = 1 << 20  # one report of holdfast validate
PLAN_KEEP_MS = 400 * 86_400_000  # verdicts that nothing stands on any more are kept so long
PLAN_FORGET_MS = 86_400_000  # between two looks for those that are older
PLAN_FILE_BYTES = 256 << 20  # a plan as a file, for whoever verifies it

# the directory
DIRECTORY_PEOPLE = 200_000  # of one tenant, and as many groups
DIRECTORY_NAME_CHARS = 256  # of a user name, an address, a unit
DIRECTORY_ADDRESSES = 16  # further ones of one person, by which they are found
DIRECTORY_LOGINS = 16  # names of one person under which they sign in; those under a further one are nobody's
DIRECTORY_TOKENS = 20  # of one tenant that are good
DIRECTORY_TOKEN_S = 366 * 86_400.0  # the longest life of a token
DIRECTORY_HEARD_S = 60.0  # when the directory spoke last is known to the minute
DIRECTORY_DELETED_MS = 30 * 86_400_000  # the empty row of who was deleted is there so long, for other processes to see
DIRECTORY_IMPORT_BYTES = 1 << 20  # of a file of people; who has more has SCIM
DIRECTORY_ROWS = 10_000  # people in one answer
DIRECTORY_BODY_BYTES = 1 << 20  # of one request of an identity provider
DIRECTORY_QUERY_CHARS = 4_096  # after the question mark; of a filter, of a path in a PATCH
DIRECTORY_OPERATIONS = 1_000  # of one PATCH
DIRECTORY_REQUESTS = 16  # that are answered at a time, of all tenants
DIRECTORY_REQUESTS_PER_S = 50.0  # of one tenant, on average
DIRECTORY_REQUESTS_BURST = 2_000.0  # at once: a conformance test asks 830 times as fast as it can
DIRECTORY_PAGE_ROWS = 200  # resources in one answer
DIRECTORY_PAGE_BYTES = 8 << 20  # of them together; further pages have the rest
DIRECTORY_SCAN_ROWS = 20_000  # resources that a filter looks at; the rest has to be narrowed by a name or an id
DIRECTORY_USER_BYTES = 64 << 10  # the document of one person
DIRECTORY_GROUP_BYTES = 4 << 20  # the document of one group, with its members
DIRECTORY_SIGN_INS = (
    2_000  # seen with tokens, that wait to be noted; with more, a further one is noted when it is seen again
)
DIRECTORY_SIGN_INS_S = 60.0  # between two notes of them
DIRECTORY_SIGN_IN_MS = 3_600_000  # when somebody signed in last is noted again once it is later by so much
DIRECTORY_CALL_S = 30.0  # for one request, with what it asks of the store
DIRECTORY_CHANGED_TIMES = 4  # a PATCH is tried again so often when another process changed the same resource meanwhile

# workflows
WORKFLOW_MANIFEST_BYTES = 256 << 10  # one manifest
WORKFLOW_LIST_ENTRIES = 500  # of one list of a manifest
WORKFLOW_TEXT_CHARS = 500  # of a text in a manifest or an idea, and of a reason
WORKFLOWS = 5_000  # of one tenant
WORKFLOW_PAGE_ROWS = 500  # steps, versions, ideas or seen names in one answer
WORKFLOW_RUN_BYTES = 8 << 20  # of a session's log, read to count the tools of one run; beyond, it is lost
WORKFLOW_RUN_TOOLS = 100  # different tools of one run that are named
WORKFLOW_ERROR_CHARS = 64  # of the code with which a tool failed
WORKFLOW_APPROVAL_MS = 86_400_000  # after its deadline, an approval of which nobody said what became of it is forgotten
WORKFLOW_RUN_FAN = 8  # runs whose events are read at the same time
IDEA_ANSWER_MS = 180 * 86_400_000  # for which what a person answered of an idea is believed
IDEAS = 2_000  # of one tenant

# the Monday page as a mail
MONDAY_HOUR = 7  # of the organisation's Monday, at which it is due
MONDAY_LATE_MS = 17 * 3_600_000  # for which it is still sent where nothing ran at that hour: to the end of that day
MONDAY_EVERY_S = 60.0  # between two looks whether it is due

# the inbox
INBOX_EVERY_S = 60.0  # between two computations of what people have to do
INBOX_SOURCE_S = 20.0  # one source, before it counts as one that cannot say anything
INBOX_CONDITIONS = 5_000  # of one source and tenant
INBOX_SHOWN = 20  # items that a person is shown at once, unless they ask for more; others are counted
INBOX_SHOWN_MOST = 200  # at once
INBOX_HISTORY_ROWS = 500  # closed items in one answer
INBOX_HANDLED = 5_000  # closed items by which handling times are measured
INBOX_APPROVAL_AFTER_MS = (
    600_000  # an approval waits in its session so long before it is an item: who sits there decides
)
INBOX_APPROVAL_LEAST_MS = 3_600_000  # one that waits for less altogether is none: nobody could come in time
INBOX_WEEK_LEAST = 5  # runs of a week that were edited, asked again, or failed; or calls of a tool that failed
INBOX_WEEK_PERCENT = 10  # and at least so much of all of them
INBOX_WEEK_TASKS = 1_000  # tasks, or tools, of a tenant's week that are looked at, those of which there were most
INBOX_DIGEST_ROWS = 10  # items that one digest names; others are counted
INBOX_DIGEST_HOUR = 7  # of the organisation's day, from which on a digest is told
