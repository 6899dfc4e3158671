"""Carrying out the request of an AG-UI client: what of its ``RunAgentInput`` enters the log.

Wire format: https://docs.ag-ui.com/sdk/js/core/types. Clients send the whole conversation with every request. None of it is
believed but what is new: the last message when a person wrote it, results of calls the client was left to answer, and
answers to interrupts. Everything else is in the log, which knows better.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections import OrderedDict
from typing import Any, Final, TypeVar

import msgspec

from holdfast.edge.browser_calls import BrowserCallResponder, BrowserResult
from holdfast.edge.dialects.ag_ui.input import Options, Resume, RunAgentInput
from holdfast.edge.dialects.ag_ui.user_message import meta_of
from holdfast.edge.dialects.life_ids import incoming_id
from holdfast.edge.listener import Listener
from holdfast.errors import Refused
from holdfast.hub import operations
from holdfast.protocol import codec, contexts, limits, wire
from holdfast.protocol import events as e
from holdfast.protocol.bounds import too_large
from holdfast.protocol.events import Draft
from holdfast.protocol.fold import View
from holdfast.protocol.view import ENDED
from holdfast.session.access import Principal, authorise

_Op = TypeVar("_Op", bound=wire.Op)
_ANY: Final = msgspec.json.Decoder()
_CACHE_SIZE: Final = 4_096
_FILES: Final = limits.INPUT_FILES  # the client's context is one
_DUPLICATE_CODES: Final = frozenset({"content.exists", "producer.conflict", "producer.expired"})
"""How a session refuses a message whose id it has."""


class AgUiCommands:
    """Turns inputs into operations. Each is authorised where all operations are."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._hub = listener.hub
        self._runs: OrderedDict[tuple[str, str, str], tuple[str, str]] = OrderedDict()  # by run id: message and run
        self._reported: OrderedDict[tuple[str, str, str, str], None] = (
            OrderedDict()
        )  # runs whose end was sent to somebody

    async def execute(self, principal: Principal, agent: str, run_input: RunAgentInput) -> set[str] | None:
        """Do what the input asks for; the runs to follow, or None to follow whatever runs.

        Raises:
            Refused, Unavailable: as the operations do; nothing more is appended then.
        """
        options = run_input.options
        targets: set[str] = set()
        last = run_input.messages[-1] if run_input.messages else {}
        repeated = False  # a resume comes with the conversation, whose last message may be what began the run
        if run_input.resume:
            authorise(principal, "approve", run_input.threadId)  # whether or not there is such an approval
            life, _, view = await self._hub.view(principal, run_input.threadId)
            repeated = ("message", str(last.get("id"))) in view.by_id
            targets |= await self._resolve(principal, run_input, run_input.resume, life, view)
        if options.state and run_input.state is not None:
            await self._put_state(principal, run_input)
        if last.get("role") == "user" and not repeated:
            run = await self._send_message(principal, agent, run_input, last, options)
            return targets | {run} if run else targets
        if last.get("role") == "tool":
            targets |= await self._answer_calls(principal, agent, run_input)
        return targets or None

    # --- messages
    async def _send_message(
        self, principal: Principal, agent: str, run_input: RunAgentInput, message: dict[str, Any], options: Options
    ) -> str | None:
        session, ident = run_input.threadId, codec.check_entity_id(message.get("id"), "messages: id")
        text, blobs = _content(run_input, message)
        op = build_op(
            wire.Send,
            session=session,
            text=text,
            agent=agent,
            key=ident,
            edits=options.edits,
            concurrent=options.concurrent,
            meta=meta_of(message),
        )
        await self._ensure_session(principal, session)
        op.attachments = [
            wire.Attachment(await self._hub.blobs.put(principal, session, media, data), name, media)
            for media, name, data in blobs
        ]
        try:
            answer = await operations.execute(self._hub, principal, op)
        except Refused as error:
            if error.code not in _DUPLICATE_CODES:
                raise
            answer = {"duplicate": True}
        run = answer.get("run")
        if answer.get("duplicate"):
            run = await self._find_run(principal, agent, run_input, ident, text)
        return self._remember((principal.tenant, session, run_input.runId), ident, run)

    async def _ensure_session(self, principal: Principal, session: str) -> None:
        """Create the session when there never was one of this name; a deleted one stays deleted."""
        try:
            await self._hub.sessions.load(principal, session, "append")
        except Refused as error:
            if error.code != "session.not_found":
                raise
            await operations.execute(self._hub, principal, wire.Create(session=session))

    async def _find_run(
        self, principal: Principal, agent: str, run_input: RunAgentInput, ident: str, text: str
    ) -> str | None:
        """The message is in the log. Asked with the same run id, it is the same run. Else its run is followed while it
        lives, and once more when its end was not sent to the one who asks, which is what a retry is; else this asks for
        another answer."""
        life, _, view = await self._hub.view(principal, run_input.threadId)
        message = view.by_id.get(("message", ident))
        if message is not None and message["text"] != text:
            raise Refused("content.exists", f"messages: {ident!r:.80} has other words in the session")
        message_id, run_id = self._runs.get((principal.tenant, run_input.threadId, run_input.runId), ("", ""))
        if message_id == ident and run_id in view.runs:
            return run_id
        runs = [r for r in view.runs.values() if r.get("input") == ident and "parent" not in r]
        for run in reversed(runs):
            if run["status"] not in ENDED:
                return str(run["id"])
        if runs and (principal.tenant, principal.actor, run_input.threadId, runs[-1]["id"]) not in self._reported:
            return str(runs[-1]["id"])
        op = build_op(  # the client's conversation ends at this message
            wire.Regenerate,
            session=run_input.threadId,
            input=ident,
            agent=agent,
            select=True,
            key=_key("run", run_input.runId),
            incarnation=life,
        )
        answer = await operations.execute(self._hub, principal, op)
        return str(answer["run"])

    def mark_reported(self, principal: Principal, session: str, runs: set[str]) -> None:
        """The end of these runs was sent to somebody."""
        for run in runs:
            self._reported[principal.tenant, principal.actor, session, run] = None
        while len(self._reported) > _CACHE_SIZE:
            self._reported.popitem(last=False)

    def _remember(self, key: tuple[str, str, str], ident: str, run: str | None) -> str | None:
        if run is not None:
            self._runs[key] = ident, run
            if len(self._runs) > _CACHE_SIZE:
                self._runs.popitem(last=False)
        return run

    def run_of(self, principal: Principal, session: str, ident: str) -> str:
        """The run that a client's run id stands for; any other id stands for itself."""
        return self._runs.get((principal.tenant, session, ident), ("", ident))[1]

    # --- answers
    async def _resolve(
        self, principal: Principal, run_input: RunAgentInput, entries: list[Resume], life: str, view: View
    ) -> set[str]:
        """Decide approvals; the first decision stands, so one that came late is no error."""
        runs = set()
        root_runs = {  # of approvals; taken at once, for the view goes on meanwhile
            ident: view.root(item["run"]) if "run" in item else None
            for ident in {incoming_id(entry.interruptId, life) for entry in entries}
            if (item := view.by_id.get(("approval", ident))) is not None
        }
        for entry in entries:
            ident = incoming_id(entry.interruptId, life)
            if ident not in root_runs:
                raise Refused("approval.not_found", f"resume: no approval {entry.interruptId!r:.80}")
            op = wire.Resolve(
                session=run_input.threadId,
                approval=entry.interruptId,
                note=entry.note,
                decision="approved" if entry.approved else "denied",
            )
            try:
                await operations.execute(self._hub, principal, op)
            except Refused as error:
                if error.code != "approval.resolved":
                    raise
            root = root_runs[ident]
            if root is not None:
                runs.add(root)
        return runs

    async def _answer_calls(self, principal: Principal, agent: str, run_input: RunAgentInput) -> set[str]:
        """Results of tools that run in the client: of calls to a browser's tools, which go on in the runs that made them,
        and of calls that a run has left unanswered, whose agent is asked to go on."""
        _, _, view = await self._hub.view(principal, run_input.threadId)
        results, unanswered, runs = [], [], set()
        for message in reversed(run_input.messages):
            if message.get("role") != "tool":
                break
            call = view.by_id.get(("tool", str(message.get("toolCallId"))))
            if call is None or call["name"] not in run_input.declared or call["status"] == "done":
                continue
            if _has_no_answer(view, call):
                unanswered.append((str(call["id"]), message))
            else:
                results.append(_result(call, message))
                runs.add(view.root(call["run"]))
        await BrowserCallResponder(self._listener, principal, run_input.threadId, "ag-ui").answer(results)
        run = await self._continue_run(principal, agent, run_input.threadId, unanswered[::-1]) if unanswered else None
        return runs | ({run} if run else set())

    async def _continue_run(
        self, principal: Principal, agent: str, session: str, results: list[tuple[str, dict[str, Any]]]
    ) -> str | None:
        """Append the results of calls whose runs have ended, and ask the agent to go on."""
        drafts, last = [], codec.check_entity_id(results[-1][1].get("id"), "messages: id")
        for call, message in results:
            content, error = message.get("content"), message.get("error")
            data = {"toolCallId": call, "content": content if isinstance(content, str) else _to_json(content)}
            drafts.append(
                Draft(e.TOOL_RESULT, {**data, "error": {"message": error}} if isinstance(error, str) else data)
            )
        append = wire.Append(session=session, events=drafts, key=_key("results", last))
        await operations.execute(self._hub, principal, append)
        op = build_op(wire.Send, session=session, text="", agent=agent, key=last)
        return (await operations.execute(self._hub, principal, op)).get("run")

    async def _put_state(self, principal: Principal, run_input: RunAgentInput) -> None:
        codec.check_value({"state": run_input.state}, "state")
        await self._ensure_session(principal, run_input.threadId)
        drafts = [Draft(e.STATE_SNAPSHOT, {"snapshot": run_input.state})]
        await operations.execute(
            self._hub,
            principal,
            wire.Append(session=run_input.threadId, events=drafts, key=_key("state", run_input.runId)),
        )


def _content(run_input: RunAgentInput, message: dict[str, Any]) -> tuple[str, list[tuple[str, str, bytes]]]:
    """A message's text, and what came with it as blobs: files, and the client's tools and context for the agent."""
    content = message.get("content")
    if isinstance(content, str):
        texts, files = [content], []
    elif isinstance(content, list) and all(isinstance(part, dict) for part in content):
        texts = [str(part.get("text", "")) for part in content if part.get("type") == "text"]
        files = [part for part in content if part.get("type") != "text"]
    else:
        raise Refused("input.malformed", "messages: content must be text or parts")
    if len(files) >= _FILES:
        raise too_large("messages", _FILES - 1, "files")
    text = "\n".join(texts)
    if not text and not files:
        raise Refused("input.malformed", "messages: the last one is empty")
    blobs = [_file(part) for part in files]
    props = run_input.forwardedProps
    if isinstance(props, dict):
        props = {name: value for name, value in props.items() if name != "holdfast"}
    if run_input.tools or run_input.context or props:
        context = {"tools": run_input.tools, "context": run_input.context, "forwardedProps": props}
        codec.check_value(context, "tools, context, forwardedProps")
        blobs.append((contexts.AG_UI, "ag-ui.json", codec.encode(context)))
    return text, blobs


def build_op(kind: type[_Op], **fields: Any) -> _Op:
    """An operation from what a client sent, within the bounds of its fields. Raises ``input.…``."""
    return codec.convert(fields, kind, "messages")


def _key(what: str, ident: str) -> str:
    """An idempotency key of ours, apart from the ids of messages, and no longer than one may be."""
    return f"ag-ui.{what}.{hashlib.sha256(ident.encode()).hexdigest()[:32]}"


def _has_no_answer(view: View, call: dict[str, Any]) -> bool:
    """Whether nobody else will answer a call: its run has ended without a result."""
    run = view.runs.get(call.get("run", ""))
    return call["status"] != "done" and (run is None or run["status"] in ENDED)


def _result(call: dict[str, Any], message: dict[str, Any]) -> BrowserResult:
    """A ``tool`` message: its content is JSON where it is JSON, else the text itself."""
    content, error = message.get("content"), message.get("error")
    if isinstance(content, str):
        try:
            content = codec.decode(content, _ANY, "content", limits.CONVERSATION_BYTES)
        except Refused:
            pass
    return BrowserResult(call["id"], call["name"], content, error if isinstance(error, str) else None)


def _to_json(content: Any) -> str:
    return codec.encode(content).decode()


def _file(part: dict[str, Any]) -> tuple[str, str, bytes]:
    """``(media type, name, bytes)`` of a part that carries its data. Raises ``input.malformed`` for one that does not."""
    source = part.get("source")
    if not isinstance(source, dict) or source.get("type") != "data" or not isinstance(source.get("value"), str):
        raise Refused("input.malformed", "messages: files must come as data in base64")
    try:
        data = base64.b64decode(source["value"].rpartition(",")[2], validate=True)
    except (binascii.Error, ValueError):
        raise Refused("input.malformed", "messages: a file is not base64") from None
    metadata = part.get("metadata")
    name = metadata.get("filename") if isinstance(metadata, dict) else None
    media = str(source.get("mimeType") or "application/octet-stream").lower()[: limits.NAME_CHARS]
    return media, name[: limits.NAME_CHARS] if isinstance(name, str) else "", data
