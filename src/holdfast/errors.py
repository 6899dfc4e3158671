"""Every error Holdfast reports: one exception tree, each refusal with a stable code.

A code never changes its meaning. ``CODES`` is the single table: HTTP status, whether a retry with the same
idempotency key can succeed, what is wrong, and what to do. The reference page of errors is checked against it.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, cast

__all__ = [
    "BY_CODE",
    "CODES",
    "ApprovalNeeded",
    "ApprovalResolved",
    "Code",
    "CommitFailed",
    "ErrorRow",
    "HoldfastError",
    "Refused",
    "RunEnded",
    "RunFenced",
    "SessionExists",
    "SessionNotFound",
    "Unavailable",
    "from_wire",
]

Code = Literal[
    "input.malformed", "input.too_large", "input.too_deep", "input.number_range", "input.unknown_op",
    "input.event_type", "input.session_id", "auth.required", "auth.invalid", "auth.expired", "auth.revoked",
    "auth.keys", "auth.denied", "auth.origin", "auth.host", "session.not_found", "session.exists", "session.deleted",
    "session.incarnation", "session.tail", "session.version", "session.full", "session.compacted",
    "producer.conflict", "producer.expired", "producer.gap", "producer.fenced", "run.not_found", "run.ended",
    "run.fenced", "run.stopping", "run.state", "run.muted", "run.no_agent", "content.not_open", "content.exists",
    "approval.not_found", "approval.resolved", "approval.self", "approval.rule", "approval.needed", "policy.denied",
    "policy.unavailable", "input.not_found", "handoff.taken", "handoff.not_taken", "agent.failed", "agent.stalled",
    "agent.not_kept", "tool.failed", "tool.denied", "tool.outcome_unknown", "upstream.failed", "blob.not_found",
    "history.not_found", "connection.not_found", "consumer.not_found", "route.not_found", "route.method",
    "limit.rate", "limit.connections", "limit.subscriptions", "disk.full", "disk.failed", "disk.lost",
    "commit.unknown", "server.restarting", "server.busy", "server.internal", "timeout", "connection.lost",
    "key.required", "key.unknown", "key.expired", "key.revoked", "key.unnamed", "key.denied", "model.unknown",
    "call.unmetered", "call.stopped", "price.missing", "upstream.key", "upstream.refused", "upstream.unreachable",
    "price.counts", "price.invalid", "price.catalogue", "price.currency", "price.stale", "price.own_change",
    "price.decided", "price.not_found", "price.waiver", "config.invalid", "engine.locked", "engine.version",
    "engine.corrupt", "store.unavailable", "store.busy", "store.mismatch", "key.invalid", "key.not_found",
    "org.invalid", "login.refused", "ledger.row_not_found", "ledger.corrected", "ledger.busy", "period.closed",
    "period.open", "import.malformed", "import.unknown", "import.overlap", "budget.exceeded", "budget.reopens",
    "budget.spent", "budget.unbounded", "budget.invalid", "budget.not_found", "budget.decided", "budget.not_payer",
    "routing.unknown", "routing.refused", "routing.invalid", "routing.not_found", "outcome.invalid", "outcome.own_work",
    "workflow.invalid", "workflow.not_found", "workflow.stopped", "workflow.gate", "workflow.launch", "workflow.retired",
    "stop.not_found", "incident.not_found", "directory.denied", "inbox.not_found", "waiver.invalid", "gate.not_found",
    "plan.unknown",
]  # fmt: skip
"""Every code. A type checker refuses another one; ``CODES`` has a row for each."""


class ErrorRow(NamedTuple):
    """One row of the error table.

    Attributes:
        status: HTTP status (RFC 9110) used at the REST edge.
        retry: True when the same request, unchanged, may succeed later.
        wrong: one sentence: what is wrong.
        fix: one sentence: what to do.
    """

    status: int
    retry: bool
    wrong: str
    fix: str


# fmt: off
CODES: dict[Code, ErrorRow] = {
    # input: what a client sent cannot be accepted as it stands
    "input.malformed": ErrorRow(400, False, "The input is not valid JSON of the expected shape.", "Send UTF-8 JSON that matches PROTOCOL.md."),
    "input.too_large": ErrorRow(413, False, "The input is larger than a limit allows.", "Send less, or put large content into a blob and refer to it."),
    "input.too_deep": ErrorRow(400, False, "The JSON is nested more deeply than allowed.", "Flatten the value, or send it as a string or a blob."),
    "input.number_range": ErrorRow(400, False, "A number is outside what every reader can represent (±(2^53−1), finite).", "Send large integers as strings."),
    "input.unknown_op": ErrorRow(400, False, "There is no such operation.", "See the list of operations in PROTOCOL.md."),
    "input.event_type": ErrorRow(400, False, "This event type may not be appended directly.", "Use the operation that produces it (for example send, cancel, approve)."),
    "input.session_id": ErrorRow(400, False, "The session id has characters or a length that are not allowed.", "Use 1 to 128 of A-Z a-z 0-9 . _ ~ : - and start with a letter, a digit or _."),
    # auth: who is asking
    "auth.required": ErrorRow(401, False, "No access token was given.", "Send a token: Authorization: Bearer …, or the hello frame on a WebSocket."),
    "auth.invalid": ErrorRow(401, False, "The access token is not valid here.", "Check issuer, audience, algorithm and signing key, or mint a new token."),
    "auth.expired": ErrorRow(401, False, "The access token has expired.", "Fetch a fresh token and send it with auth, or reconnect with it."),
    "auth.revoked": ErrorRow(401, False, "The access token was revoked.", "Ask whoever issued it for a new one."),
    "auth.keys": ErrorRow(503, True, "The signing keys of the token issuer are not known yet.", "Retry in a moment; if it lasts, the operator should look at jwks_url."),
    "auth.denied": ErrorRow(403, False, "The access token does not grant this.", "Ask for a token whose capabilities include the operation on this session."),
    "auth.origin": ErrorRow(403, False, "This Origin may not use the server from a browser.", "Add it to the server's list of origins."),
    "auth.host": ErrorRow(421, False, "The Host header names a host this server does not answer for.", "Add it to the server's list of hosts, or use an allowed name."),
    # session
    "session.not_found": ErrorRow(404, False, "There is no such session, or the token may not know of it.", "Create the session first, or check its id."),
    "session.exists": ErrorRow(409, False, "A session with this id exists with other settings.", "Use the existing session or choose another id."),
    "session.deleted": ErrorRow(410, False, "The session was deleted.", "Create a new one; its incarnation will differ."),
    "session.incarnation": ErrorRow(409, False, "The session is another incarnation than the one named.", "Take a snapshot and go on from its cursor."),
    "session.tail": ErrorRow(409, False, "The tail is not where the request expected it.", "Read what was appended since and decide again."),
    "session.version": ErrorRow(409, False, "The run, approval or branch changed since the version named.", "Read its present version and decide again."),
    "session.full": ErrorRow(409, False, "The session has reached a limit on its open entities.", "End runs or resolve approvals first, or start a new session."),
    "session.compacted": ErrorRow(410, False, "The events asked for were compacted or erased.", "Take a snapshot; it contains their effect."),
    # producer
    "producer.conflict": ErrorRow(409, False, "This producer key was used before with other content.", "Use a new key for new content; never reuse one."),
    "producer.expired": ErrorRow(409, False, "This producer key is older than the retained window.", "Read the session to see whether it was applied."),
    "producer.gap": ErrorRow(409, False, "The producer skipped a sequence number.", "Resend from the number named in `expected`."),
    "producer.fenced": ErrorRow(409, False, "A newer epoch of this producer has appended.", "Stop: another instance took over."),
    # run
    "run.not_found": ErrorRow(404, False, "There is no such run in this session.", "Check the run id, or read the session's state."),
    "run.ended": ErrorRow(409, False, "The run has ended; nothing more can be done to it.", "Send a new input to start another run."),
    "run.fenced": ErrorRow(409, False, "A newer attempt, or the end of the run, has superseded this one.", "Stop this attempt; nothing it appends will be accepted."),
    "run.stopping": ErrorRow(409, False, "The run is being cancelled; only ends, tool results and usage are accepted.", "Close what is open and end the run."),
    "run.state": ErrorRow(409, False, "The run's state does not allow this.", "Read its state; the table of transitions is in PROTOCOL.md."),
    "run.muted": ErrorRow(409, False, "A person has taken over this session; agents are muted.", "Wait until it is handed back."),
    "run.no_agent": ErrorRow(409, False, "No agent is named and the session has no default agent.", "Name the agent the input is for."),
    # content
    "content.not_open": ErrorRow(409, False, "The message, reasoning or tool call is not open.", "Send its START first, and nothing after its END."),
    "content.exists": ErrorRow(409, False, "An entity with this id exists already.", "Use a new id."),
    # approval, steer, branch, hand-off
    "approval.not_found": ErrorRow(404, False, "There is no such approval in this session.", "Check its id, or read the session's state."),
    "approval.resolved": ErrorRow(409, False, "The approval was decided already; `by` and `decision` say how.", "Nothing: the first decision stands."),
    "approval.self": ErrorRow(403, False, "An agent may not decide, nor may anybody whose token an agent minted.", "Let a person decide, with a token that no agent minted."),
    "approval.rule": ErrorRow(403, False, "The one who asks may not loosen the rule about who decides.", "Leave out `self_approve` and `default`: without a decision it is denied. A policy of the owner may allow more; an agent may not."),
    "approval.needed": ErrorRow(403, False, "A policy asks for a person's approval of exactly this; `approval` is its id.", "Have it approved, then send the same again: it passes once."),
    "policy.denied": ErrorRow(403, False, "A policy of this server does not let this happen.", "Read the reason, and ask the owner of the policy."),
    "policy.unavailable": ErrorRow(503, True, "The policy of this server cannot be asked now, so nothing is allowed that it would judge.", "Retry in a moment; if it lasts, the operator should look at the policy."),
    "input.not_found": ErrorRow(404, False, "There is no such input message in this session.", "Check the id, or read the session's state."),
    "handoff.taken": ErrorRow(409, False, "Somebody else has taken over this session.", "Ask them to hand it back, or use force with admin."),
    "handoff.not_taken": ErrorRow(409, False, "Nobody has taken over this session.", "Nothing to give back."),
    # agents: what ends up in a run's error, or is raised inside an agent
    "agent.failed": ErrorRow(500, False, "The agent raised an exception.", "Look at the worker's log; send the input again."),
    "agent.stalled": ErrorRow(500, False, "The agent went round and round, and nothing came of it.", "Look at what it waits for in the session; report it with the framework's version."),
    "agent.not_kept": ErrorRow(500, False, "What the agent knew was too much to be kept, so another attempt cannot go on.", "Send the input again; let tools return less."),
    "tool.failed": ErrorRow(502, False, "The tool failed; an earlier attempt recorded how.", "Handle it, or call again with another call id."),
    "tool.denied": ErrorRow(403, False, "The action was not approved.", "Do without it, or ask for another action."),
    "tool.outcome_unknown": ErrorRow(409, False, "An earlier attempt began this tool call and did not record how it ended.", "Find out what happened, or mark the tool as idempotent."),
    "upstream.failed": ErrorRow(502, True, "The model's provider refused, failed or broke off.", "See the provider's words; send the input again when they say that it can succeed."),
    # blob, history
    "blob.not_found": ErrorRow(404, False, "There is no such blob in this session.", "Upload it again."),
    "history.not_found": ErrorRow(404, False, "There is no such page of history.", "Start from the snapshot's `older`."),
    # HTTP
    "connection.not_found": ErrorRow(404, False, "There is no such connection to this server.", "List them with GET /v1/connections; it may have gone by itself."),
    "consumer.not_found": ErrorRow(404, False, "There is no such consumer of the feed.", "List them with GET /v1/consumers, or `holdfast consumers`."),
    "route.not_found": ErrorRow(404, False, "There is nothing at this path.", "See /openapi.json for the routes."),
    "route.method": ErrorRow(405, False, "This path does not take this method.", "See /openapi.json for the routes."),
    # server
    "limit.rate": ErrorRow(429, True, "Too many requests from this connection or principal.", "Wait for retry_after_s and send more slowly."),
    "limit.connections": ErrorRow(503, True, "The server has as many connections as it allows.", "Retry with backoff."),
    "limit.subscriptions": ErrorRow(409, False, "The connection has as many subscriptions as it allows.", "Unsubscribe, or open another connection."),
    "disk.full": ErrorRow(507, True, "The disk is full; only control and run ends are admitted.", "Free space; the server recovers without a restart."),
    "disk.failed": ErrorRow(503, True, "The storage failed; writes are stopped, reads go on.", "Look at the server's log and disk; retry with the same key."),
    "disk.lost": ErrorRow(503, True, "The database file was deleted, moved or replaced while the server runs; writes are stopped, reads go on.", "Stop the server, put the file back or restore a backup, and start it again; retry with the same key then."),
    "commit.unknown": ErrorRow(503, True, "Whether this was stored is not known.", "Retry with the same key; that settles it."),
    "server.restarting": ErrorRow(503, True, "The server is shutting down.", "Reconnect after a moment; cursors stay valid."),
    "server.busy": ErrorRow(503, True, "The session's queue is full.", "Retry with backoff."),
    "server.internal": ErrorRow(500, False, "The server made a mistake; it was logged.", "Report it with the request id."),
    "timeout": ErrorRow(504, True, "No answer came in time.", "Retry with the same key."),
    "connection.lost": ErrorRow(503, True, "The connection was lost before an answer came.", "The client reconnects; the same key settles the outcome."),
    # the model gateway
    "key.required": ErrorRow(401, False, "No key was given.", "Send the key that you were given for this workflow, as you would send the provider's."),
    "key.unknown": ErrorRow(401, False, "The key is none of this gateway's.", "Ask its owner for one (`holdfast keys create`)."),
    "key.expired": ErrorRow(401, False, "The key has expired.", "Ask for a new one (`holdfast keys rotate`)."),
    "key.revoked": ErrorRow(401, False, "The key was revoked.", "Ask whoever owns the workflow for a new one."),
    "key.unnamed": ErrorRow(403, False, "The key does not say which workflow, team and task its calls belong to.", "Name them: `holdfast keys name`."),
    "key.denied": ErrorRow(403, False, "The key may not do this.", "Ask for a key that may."),
    "model.unknown": ErrorRow(404, False, "No upstream of this gateway serves this model here.", "GET /v1/models lists what the key may ask."),
    "call.unmetered": ErrorRow(404, False, "What is asked for is not metered, so it is not served.", "Use chat completions, Responses, messages or embeddings; what is not metered would be a hole in every budget."),
    "call.stopped": ErrorRow(409, False, "Somebody stopped this answer.", "Look at its session; ask again for another answer."),
    "price.missing": ErrorRow(402, False, "The model has no price, so what it spends could not be told.", "Approve a catalogue that has it, or let its owner waive the price (`holdfast prices waive`)."),
    "upstream.key": ErrorRow(503, False, "The gateway's own key for the upstream cannot be had.", "The operator should look at the upstream's `key`."),
    "upstream.refused": ErrorRow(502, False, "The upstream refuses the gateway's own key.", "The operator should look at the upstream's `key`."),
    "upstream.unreachable": ErrorRow(502, True, "The upstream cannot be reached.", "Retry in a moment; if it lasts, the operator should look at the upstream."),
    # prices: what a call costs, and who may change that
    "price.counts": ErrorRow(400, False, "A count of what was used is below zero or no whole number.", "Report each class by itself: the classes must not overlap, and nothing is subtracted twice."),
    "price.invalid": ErrorRow(400, False, "A price, rate card or waiver is not written as it must be.", "Correct what the message names; the reference of prices says what is allowed."),
    "price.catalogue": ErrorRow(500, False, "The installed price catalogue says something that this version does not know.", "Install the version of genai-prices that this version names."),
    "price.currency": ErrorRow(409, False, "There is no rate for a currency on that day.", "Import one with `holdfast prices currency FILE`."),
    "price.stale": ErrorRow(409, False, "Prices have changed since this change was proposed, so what was shown is not what would happen.", "Propose it again and look at its difference."),
    "price.own_change": ErrorRow(403, False, "Whoever proposed a change of prices may not approve it while there is somebody else who may.", "Let another person with the right `catalogue` look at it."),
    "price.decided": ErrorRow(409, False, "The change of prices was decided already.", "Nothing: the first decision stands."),
    "price.not_found": ErrorRow(404, False, "There is no such change, rate card, waiver or catalogue of prices.", "List them with `holdfast prices`."),
    "price.waiver": ErrorRow(400, False, "A waiver has no reason, no end, or one that is too far.", "Give a reason, and an end within thirty days; it can be renewed once."),
    # set-up and files
    "config.invalid": ErrorRow(500, False, "A setting is not valid.", "Correct what the message names; the reference of settings says what is allowed."),
    "engine.locked": ErrorRow(503, False, "Another process is writing to this database.", "Stop it, or point this one at another file."),
    "engine.version": ErrorRow(500, False, "The SQLite library or the database's format is not one this version can use safely.", "Upgrade as the message says."),
    "engine.corrupt": ErrorRow(500, False, "The database failed a check.", "Run `holdfast verify` and restore from a backup."),
    # what the governance half keeps
    "store.unavailable": ErrorRow(503, True, "What is spent cannot be put on record now, so nothing is spent.", "Retry in a moment; if it lasts, the operator should look at the governance store."),
    "store.busy": ErrorRow(503, True, "More waits to be written to the store than it admits.", "Retry with backoff."),
    "store.mismatch": ErrorRow(500, False, "The store and the session log do not belong together.", "Restore both from one backup, or name the store that belongs to this log; `holdfast pair` checks, and --accept takes them as they are."),
    # who may call, whose it is, who may look
    "key.invalid": ErrorRow(400, False, "A gateway key cannot be like this.", "Correct what the message names."),
    "key.not_found": ErrorRow(404, False, "There is no such gateway key.", "See `holdfast keys list`; the id is the first column."),
    "org.invalid": ErrorRow(400, False, "The description of the organisation does not hold together.", "Correct what the message names, and look at it with --dry-run first."),
    "login.refused": ErrorRow(403, False, "The login did not succeed.", "Log in again; if it lasts, show the message to the operator of the console."),
    # the ledger
    "ledger.row_not_found": ErrorRow(404, False, "There is no such row in the ledger.", "List them with `holdfast ledger show`."),
    "ledger.corrected": ErrorRow(409, False, "The row was replaced by another one already.", "Replace the one that replaced it."),
    "ledger.busy": ErrorRow(409, True, "Attempts of the month are not settled yet.", "Retry when they have ended."),
    "period.closed": ErrorRow(409, False, "The month is closed; nothing can be added to its books.", "What comes late goes into the first open month by itself."),
    "period.open": ErrorRow(409, False, "The month cannot be closed yet.", "Wait for its end, and close the months before it first."),
    "import.malformed": ErrorRow(400, False, "The file is not the report that its format says.", "Correct the place that the message names, or say its format."),
    "import.unknown": ErrorRow(400, False, "The file's format is not known.", "Say one of the formats that the message lists."),
    "import.overlap": ErrorRow(409, False, "Some of this spend is in the ledger already.", "Import it as a bill, or leave out what the message names."),
    # budgets
    "budget.exceeded": ErrorRow(402, False, "A budget has not enough money left for this.", "Ask whoever pays for it to raise the budget (`holdfast budget request`)."),
    "budget.reopens": ErrorRow(429, True, "The money of a budget's window is spent; the next window opens in a moment.", "Retry after the seconds that the answer says."),
    "budget.spent": ErrorRow(429, False, "The money of a budget's window is spent, and the next window does not open soon.", "Ask whoever pays for it to raise the budget (`holdfast budget request`), or wait for the next window."),
    "budget.unbounded": ErrorRow(402, False, "What this could cost cannot be told, so no budget can vouch for it.", "Approve a catalogue that has the model's price, or end the budget's enforcement for it."),
    "budget.invalid": ErrorRow(400, False, "A budget cannot be like this.", "Correct what the message names."),
    "budget.not_found": ErrorRow(404, False, "There is no such budget, or no such request to raise one.", "List them with `holdfast budget list`, requests with `holdfast budget requests`."),
    "budget.decided": ErrorRow(409, False, "The request was decided already.", "Nothing: the first decision stands."),
    "budget.not_payer": ErrorRow(403, False, "Only whoever answers for the budget's payer decides this.", "Ask the person that the message names."),
    # models and outcomes
    "routing.unknown": ErrorRow(404, False, "There is no such route, or the key's workflow and task have none.", "Ask for a model by its name, or have a route set (`holdfast routing set`)."),
    "routing.refused": ErrorRow(403, False, "The rules leave no model, or no upstream of it, that may answer this.", "Ask whoever set the rule that the message names; `holdfast routing show` has them all."),
    "routing.invalid": ErrorRow(400, False, "A routing document or an experiment cannot be like this.", "Correct what the message names."),
    "routing.not_found": ErrorRow(404, False, "There is no such experiment.", "List them with `holdfast routing experiment list`."),
    "outcome.invalid": ErrorRow(400, False, "An outcome cannot be like this.", "Say `accepted`, `rejected` or `escalated`, of a call or of a run."),
    "outcome.own_work": ErrorRow(403, False, "An agent does not say what its own work was worth.", "Let a person or a check say it, with a token that no agent minted."),
    "workflow.invalid": ErrorRow(400, False, "A manifest, an idea or a change of a workflow cannot be like this.", "Correct what the message names; `holdfast workflow lint FILE` names all of it."),
    "workflow.not_found": ErrorRow(404, False, "There is no such workflow, version or idea.", "List them with `holdfast workflow list`."),
    "workflow.stopped": ErrorRow(403, False, "Somebody stopped the workflow, agent, model or tool that this would use.", "Ask the person that the message names; `holdfast stop list` shows what is stopped and why."),
    "workflow.gate": ErrorRow(403, False, "A gate that holds running fails, so the workflow begins nothing new.", "Do what the message says; `holdfast plan explain` shows the evidence."),
    "workflow.launch": ErrorRow(403, False, "The workflow was not launched yet.", "`holdfast plan check WORKFLOW` says what its launch waits for; test keys may run before it."),
    "workflow.retired": ErrorRow(403, False, "The workflow was retired.", "Register it again, under an owner, if it is needed."),
    "stop.not_found": ErrorRow(404, False, "There is no such stop.", "List them with `holdfast stop list`."),
    "incident.not_found": ErrorRow(404, False, "There is no such incident.", "List them with `holdfast incidents list`."),
    "directory.denied": ErrorRow(401, False, "The directory's token is missing or not the tenant's.", "Make one with `holdfast directory token` and give it to the identity provider."),
    "inbox.not_found": ErrorRow(404, False, "There is no such item in the inbox.", "List them with `holdfast inbox list`."),
    "waiver.invalid": ErrorRow(400, False, "A waiver cannot be like this.", "Correct what the message names: a waiver is the sponsor's or the risk officer's, for at most 30 days, and renewed once."),
    "gate.not_found": ErrorRow(404, False, "There is no such gate, or no verdict of it.", "List them with `holdfast plan status`."),
    "plan.unknown": ErrorRow(409, False, "The plan cannot tell: evidence is missing, too old, or was changed.", "`holdfast plan explain` says which evidence, and how to get it."),
}
# fmt: on
"""What each code means: the one table."""


CHECK_THE_PATH = "Check the path, and that this user may read and write there."


class HoldfastError(Exception):
    """The root of everything Holdfast raises on purpose.

    Attributes:
        code: a key of ``CODES``; stable for ever. A newer server may send one that is not there.
        detail: what exactly was wrong, and where; never holds secrets or content.
        fields: further facts for the one who asked (JSON values), such as ``expected`` or ``by``; ``fix`` says what to do
            where that can be said better than the table does.
    """

    code: Code = "server.internal"

    def __init__(self, code: Code, detail: str = "", **fields: Any) -> None:
        self.code = code
        self.detail = detail or CODES[code].wrong
        self.fields = fields
        super().__init__(f"{code}: {self.detail}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, self.__dict__)

    @property
    def row(self) -> ErrorRow:
        """This error's row of the table."""
        return CODES.get(self.code, CODES["server.internal"])

    @property
    def fix(self) -> str:
        """What to do."""
        return str(self.fields.get("fix") or self.row.fix)

    @property
    def text(self) -> str:
        """What is wrong and what to do, in one line, for protocols whose errors have only a text."""
        return f"{self.detail.rstrip('.')}. {self.fix}"

    @property
    def stopping(self) -> bool:
        """Whether it says that the run is being cancelled: what CTL-3 lets pass may still be appended."""
        return self.code == "run.stopping" or self.fields.get("stopping") is True

    @property
    def retry_after_s(self) -> float:
        """Seconds until the same may succeed, as far as the server has said; else 0."""
        seconds = self.fields.get("retry_after_s")
        return float(seconds) if isinstance(seconds, (int, float)) else 0.0

    def wire(self) -> dict[str, Any]:
        """The error as sent on every surface: ``{code, message, fix, retry, …fields}``."""
        return {"code": self.code, "message": self.detail, "retry": self.row.retry, **self.fields, "fix": self.fix}


def _restore(cls: type[HoldfastError], args: tuple[Any, ...], attributes: dict[str, Any]) -> HoldfastError:
    """A copied or pickled error: its message is made from its code, so the code cannot be made from the message."""
    error: HoldfastError = Exception.__new__(cls, *args)
    error.__dict__.update(attributes)
    return error


class Refused(HoldfastError):
    """The request is at fault: nothing was changed and nothing was consumed by it.

    Codes that callers catch have classes of their own, below: ``Refused("run.ended")`` is a ``RunEnded``, here as at a
    client that was refused by a server.
    """

    def __new__(cls, code: Code, detail: str = "", **fields: Any) -> Refused:
        """An instance of the class that is the code's own."""
        return super().__new__(BY_CODE.get(code, cls) if cls is Refused else cls)


class SessionNotFound(Refused):
    """There is no such session, or the token may not know of it (``session.not_found``)."""


class SessionExists(Refused):
    """A session with this id exists with other settings (``session.exists``)."""


class RunEnded(Refused):
    """There is nothing left of the run to be done (``run.ended``); ``fields["status"]`` says how it ended."""


class RunFenced(Refused):
    """Another attempt, or the end of the run, has superseded this one (``run.fenced``)."""


class ApprovalResolved(Refused):
    """Somebody was first (``approval.resolved``).

    Attributes:
        by: who.
        decision: ``approved`` or ``denied``.
    """

    @property
    def by(self) -> str:
        """Who decided."""
        return str(self.fields.get("by", ""))

    @property
    def decision(self) -> str:
        """What was decided."""
        return str(self.fields.get("decision", ""))


class ApprovalNeeded(Refused):
    """A policy wants a person to approve exactly this first (``approval.needed``).

    Attributes:
        approval: its id: once it is approved, the same passes once.
    """

    @property
    def approval(self) -> str:
        """The id of what waits for a decision."""
        return str(self.fields.get("approval", ""))


BY_CODE: dict[Code, type[Refused]] = {
    "session.not_found": SessionNotFound,
    "session.exists": SessionExists,
    "run.ended": RunEnded,
    "run.fenced": RunFenced,
    "approval.resolved": ApprovalResolved,
    "approval.needed": ApprovalNeeded,
}
"""The classes of codes that callers catch."""


class Unavailable(HoldfastError):
    """The server is at fault or busy: the same request with the same key may succeed later."""


class CommitFailed(Unavailable):
    """An engine could not commit. ``outcome`` is ``"not_applied"`` or ``"unknown"`` (LOG-7)."""

    def __init__(self, outcome: str, code: Code = "commit.unknown", detail: str = "") -> None:
        super().__init__(code, detail, outcome=outcome)
        self.outcome = outcome


def from_wire(error: dict[str, Any]) -> HoldfastError:
    """Rebuild an error received from a server; unknown codes are kept as they are."""
    code = cast(Code, str(error.get("code", "server.internal")))  # or that of a newer server
    fields = {k: v for k, v in error.items() if k not in ("code", "message", "retry")}
    if code in CODES and fields.get("fix") == CODES[code].fix:
        del fields["fix"]
    cls = Unavailable if error.get("retry") else Refused
    return cls(code, str(error.get("message", "")) or "refused", **fields)
