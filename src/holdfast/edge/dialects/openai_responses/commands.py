"""Carrying a request out: which session it belongs to, what is written there, and which response answers it."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any, Final

import msgspec

from holdfast.edge.dialects.openai_responses.ids import Ref
from holdfast.edge.dialects.openai_responses.log import ResponseLog, RunRecord
from holdfast.edge.dialects.openai_responses.past import past_drafts
from holdfast.edge.dialects.openai_responses.request import Decision, ResponseRequest, functions
from holdfast.edge.listener import Listener
from holdfast.errors import Refused
from holdfast.hub import operations
from holdfast.protocol import contexts, ids, limits, wire
from holdfast.protocol import events as e
from holdfast.protocol.events import Draft
from holdfast.session.access import Principal, authorise

OWN_SESSION_PREFIX: Final = "response-"
"""Sessions made for one response, because the request named none, begin with this."""

_TITLE_CHARS: Final = 80


class ResponseCommands:
    """Carries requests out."""

    def __init__(self, listener: Listener, log: ResponseLog) -> None:
        self._hub = listener.hub
        self._log = log

    async def execute(self, principal: Principal, request: ResponseRequest, key: str | None) -> Ref:
        """Write what is new and say which response answers it.

        Args:
            key: the ``Idempotency-Key``: the same request with the same key is carried out once.

        Raises:
            Refused: among others ``run.not_found`` for an unknown ``previous_response_id``, ``run.muted`` when a person
                has taken over: the message is stored, and no agent answers it.
        """
        # keys and ids of inputs are bounded and of few characters; what clients choose for keys is not
        ident = None if key is None else "in-" + _digest(principal.actor, key)[:32]
        previous = await self._previous(principal, request)
        session = self._session_of(previous, request)
        if request.results and request.unanswered:
            raise _unanswered(request.unanswered[0])
        is_new = session is None
        if session is None:
            session = OWN_SESSION_PREFIX + (ident.removeprefix("in-") if ident is not None else secrets.token_hex(16))
        if request.has_input:
            authorise(principal, "append", session)
        if request.decisions:
            authorise(principal, "approve", session)
        authorise(principal, "read", session)
        life = previous.ref.incarnation if previous is not None else None
        refs = [await self._decide(principal, session, decision, ident, life) for decision in request.decisions]
        if not request.has_input:
            return refs[-1]
        is_empty = is_new
        if previous is None and not request.decisions:
            is_empty |= await self._create(principal, session, request.text or request.question if is_new else "")
        after = await self._continuation(principal, previous) if previous is not None else {}
        try:
            if is_empty:
                await self._append_past(principal, session, request, ident)
            else:
                request.calls = {}  # it knows of those that are its own
            return await self._send_message(principal, session, request, ident, {**after, "incarnation": life})
        except Refused:
            if is_new:
                await self._discard(principal, session)
            raise

    def _session_of(self, previous: RunRecord | None, request: ResponseRequest) -> str | None:
        """The session that a request names, in whatever way."""
        decided = {decision.session for decision in request.decisions} - {None}
        session = previous.ref.session if previous is not None else request.conversation
        session = session or next(iter(decided), None)
        if decided - {session}:
            raise Refused("approval.not_found", "mcp_approval_response: of another conversation", param="input")
        if request.decisions and session is None:
            raise Refused("input.malformed", "mcp_approval_response: name previous_response_id", param="input")
        return session

    async def _create(self, principal: Principal, session: str, text: str) -> bool:
        """Create the session, titled by the first line, unless it exists; whether it did not."""
        title = text.strip().partition("\n")[0][:_TITLE_CHARS]
        try:
            result = await operations.execute(self._hub, principal, wire.Create(session=session, title=title))
        except Refused as error:
            if error.code != "session.exists":  # with other words: the key tells that apart
                raise
            return False
        return bool(result.get("first") == 1)

    async def _append_past(
        self, principal: Principal, session: str, request: ResponseRequest, ident: str | None
    ) -> None:
        """Append the conversation so far to a session that knows nothing of it."""
        request.text = request.text or request.question
        past = past_drafts(request.past, {call for call, _ in request.results})
        for at in range(0, len(past), limits.BATCH_EVENTS):
            key = None if ident is None else f"{ident}.past.{at}"
            events = past[at : at + limits.BATCH_EVENTS]
            await operations.execute(self._hub, principal, wire.Append(session=session, events=events, key=key))

    async def _discard(self, principal: Principal, session: str) -> None:
        """Delete a session that was made for a response that was refused, unless something was written to it."""
        hot = await self._hub.sessions.load(principal, session)
        untouched = wire.Cursor(hot.incarnation, 1)
        try:
            await hot.submit(wire.Delete(session=session, expect=untouched), "system:edge")
        except Refused:
            pass  # somebody has written to it

    async def _previous(self, principal: Principal, request: ResponseRequest) -> RunRecord | None:
        response_id = request.body.previous_response_id
        if response_id is not None:
            try:
                return await self._log.find_record(principal, Ref.parse(response_id))
            except Refused as error:
                raise Refused(error.code, error.detail, param="previous_response_id") from None
        return None

    async def _continuation(self, principal: Principal, previous: RunRecord) -> dict[str, Any]:
        """What of the session a message after that response goes on from: its input, and its answer among several."""
        if previous.input is None:
            return {}
        _, _, view = await self._hub.view(principal, previous.ref.session)
        answers = [
            ident for ident, run in view.runs.items() if run.get("input") == previous.input and "parent" not in run
        ]
        shown_run = view.branch["runs"].get(previous.input, answers[-1] if answers else previous.ref.run)
        chosen = {} if shown_run == previous.ref.run else {"answer": previous.ref.run}
        return {"parent": previous.input, **chosen}

    async def _send_message(
        self, principal: Principal, session: str, request: ResponseRequest, ident: str | None, after: dict[str, Any]
    ) -> Ref:
        if request.results:
            await self._check_calls(principal, session, request)
            results = [draft for call, content in request.results for draft in _result(request, call, content)]
            key = None if ident is None else f"{ident}.results"
            await operations.execute(self._hub, principal, wire.Append(session=session, events=results, key=key))
        attachments = []
        files = (
            [*request.files]
            if request.text_only
            else [*request.files, ("request.json", contexts.OPENAI_REQUEST, request.stored())]
        )
        for name, media, content in files:
            blob = await self._hub.blobs.put(principal, session, media, content)
            attachments.append(wire.Attachment(blob, name[: limits.NAME_CHARS], media[: limits.NAME_CHARS]))
        op = wire.Send(
            session=session, text=request.text, agent=request.body.model, key=ident, attachments=attachments, **after
        )
        result = await operations.execute(self._hub, principal, op)
        if result.get("run") is None:
            raise Refused(
                "run.muted", "a person has taken over this session: what you said is kept, and no agent answers"
            )
        return Ref.of_run(session, (await self._hub.sessions.load(principal, session)).incarnation, result["run"])

    async def _check_calls(self, principal: Principal, session: str, request: ResponseRequest) -> None:
        """A result answers a call that the session has or the request brought; calls of older pages are taken on trust. All
        the calls that a response left to its client are answered together."""
        incarnation, _, view = await self._hub.view(principal, session)
        answered = {call for call, _ in request.results}
        for call in answered - request.calls.keys():
            if ("tool", call) not in view.by_id and not view.older:
                raise Refused("input.malformed", f"function_call_output: no call {call!r:.80}", param="input")
        runs = {view.by_id["tool", call].get("run") for call in answered if ("tool", call) in view.by_id} - {None}
        open_calls = [  # as they are now: the view goes on meanwhile
            (i["run"], i["id"], i["name"])
            for i in view.items
            if i["kind"] == "tool" and i.get("run") in runs and i["status"] != "done" and i["id"] not in answered
        ]
        for run in runs:
            record = await self._log.find_record(principal, Ref.of_run(session, incarnation, str(run)))
            declared = functions(record.body)
            for call in [call for of_run, call, name in open_calls if of_run == run and name in declared]:
                raise _unanswered(call)

    async def _decide(
        self, principal: Principal, session: str, decision: Decision, ident: str | None, life: str | None
    ) -> Ref:
        """Decide an approval; its run, from the wait for it on, is the response."""
        incarnation, _, view = await self._hub.view(principal, session)
        item = view.by_id.get(("approval", ids.unbind(decision.approval)[0]))
        if item is None:
            raise Refused("approval.not_found", f"no approval {decision.approval!r:.80}", param="input")
        asked_seq, whole_run = item["seq"], Ref.of_run(session, incarnation, view.root(item["run"]))
        choice: Any = "approved" if decision.approve else "denied"
        key = None if ident is None else f"{ident}.{_digest(decision.approval)[:32]}"
        op = wire.Resolve(
            session=session, approval=decision.approval, decision=choice, note=decision.note, key=key, incarnation=life
        )
        try:
            await operations.execute(self._hub, principal, op)
        except Refused as error:
            if error.code != "approval.resolved" or error.fields.get("decision") != choice:
                raise
        waits = (
            await self._log.fold_to_tail(principal, await self._log.find_record(principal, whole_run), all_waits=True)
        ).waits
        later = [wait for wait in waits if wait >= asked_seq]
        earlier = [wait for wait in waits if wait < asked_seq]
        return msgspec.structs.replace(whole_run, start=later[0] if later else earlier[-1] if earlier else 0)

    async def erase(self, principal: Principal, ref: Ref) -> None:
        """Delete the session of a response that has one to itself."""
        authorise(principal, "admin", ref.session)
        _, _, view = await self._hub.view(principal, ref.session)
        roots = [ident for ident, run in view.runs.items() if "parent" not in run]
        if not ref.session.startswith(OWN_SESSION_PREFIX) or roots != [ref.run] or view.older:
            raise Refused(
                "input.unknown_op", "a response of a conversation is not deleted by itself; delete the session"
            )
        await operations.execute(self._hub, principal, wire.Delete(session=ref.session, incarnation=ref.incarnation))


def _result(request: ResponseRequest, call: str, content: str) -> list[Draft]:
    """What a function gave; in a session that does not know of the call, the call before it."""
    result = Draft(e.TOOL_RESULT, {"toolCallId": call, "content": content})
    if call not in request.calls:
        return [result]
    name, arguments = request.calls[call]
    return [
        Draft(e.TOOL_START, {"toolCallId": call, "toolCallName": name}),
        Draft(e.TOOL_ARGS, {"toolCallId": call, "delta": arguments}),
        Draft(e.TOOL_END, {"toolCallId": call}),
        result,
    ]


def _unanswered(call: str) -> Refused:
    return Refused("input.malformed", f"function_call_output: there is none for call {call!r:.80}", param="input")


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
