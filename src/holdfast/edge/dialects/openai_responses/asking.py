"""Carrying a request out: which session it belongs to, what is written there, and which response answers it."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any, Final

import msgspec

from holdfast.edge.dialects.openai_responses.ids import Ref
from holdfast.edge.dialects.openai_responses.log import Known, Log
from holdfast.edge.dialects.openai_responses.past import drafts
from holdfast.edge.dialects.openai_responses.request import Asked, Decision, functions
from holdfast.edge.door import Door
from holdfast.errors import Refused
from holdfast.protocol import contexts, ids, limits, wire
from holdfast.protocol import events as e
from holdfast.protocol.events import Draft
from holdfast.protocol.fold import View
from holdfast.session.access import Principal, authorise

OWN: Final = "response-"
"""Sessions made for one response, because the request named none, begin with this."""

_TITLE_CHARS: Final = 80
_ANY: Final = msgspec.json.Decoder()


class Asking:
    """Carries requests out."""

    def __init__(self, door: Door, log: Log) -> None:
        self._hub = door.hub
        self._log = log

    async def carry_out(self, principal: Principal, asked: Asked, key: str | None) -> Ref:
        """Write what is new and say which response answers it.

        Args:
            key: the ``Idempotency-Key``: the same request with the same key is carried out once.

        Raises:
            Refused: among others ``run.not_found`` for an unknown ``previous_response_id``, ``run.muted`` when a person
                has taken over: what was said is kept, and no agent answers it.
        """
        # keys and ids of inputs are bounded and of few characters; what clients choose for keys is not
        ident = None if key is None else "in-" + _digest(principal.actor, key)[:32]
        previous = await self._previous(principal, asked)
        session = self._named(previous, asked)
        if asked.results and asked.unanswered:
            raise _unanswered(asked.unanswered[0])
        made = session is None
        if session is None:
            session = OWN + (ident.removeprefix("in-") if ident is not None else secrets.token_hex(16))
        if asked.speaks:
            authorise(principal, "append", session)
        if asked.decisions:
            authorise(principal, "approve", session)
        authorise(principal, "read", session)
        life = previous.ref.incarnation if previous is not None else None
        answered = [await self._decide(principal, session, decision, ident, life) for decision in asked.decisions]
        if not asked.speaks:
            return answered[-1]
        fresh = made
        if previous is None and not asked.decisions:
            fresh |= await self._create(principal, session, asked.text or asked.words if made else "")
        after = await self._after(principal, previous) if previous is not None else {}
        try:
            if fresh:
                await self._recall(principal, session, asked, ident)
            else:
                asked.calls = {}  # it knows of those that are its own
            return await self._say(principal, session, asked, ident, {**after, "incarnation": life})
        except Refused:
            if made:
                await self._discard(principal, session)
            raise

    def _named(self, previous: Known | None, asked: Asked) -> str | None:
        """The session that a request names, in whatever way."""
        decided = {decision.session for decision in asked.decisions} - {None}
        session = previous.ref.session if previous is not None else asked.conversation
        session = session or next(iter(decided), None)
        if decided - {session}:
            raise Refused("approval.not_found", "mcp_approval_response: of another conversation", param="input")
        if asked.decisions and session is None:
            raise Refused("input.malformed", "mcp_approval_response: name previous_response_id", param="input")
        return session

    async def _create(self, principal: Principal, session: str, text: str) -> bool:
        """Create the session, titled by the first words, unless it exists; whether it did not."""
        title = text.strip().partition("\n")[0][:_TITLE_CHARS]
        try:
            made = await self._hub.execute(principal, wire.Create(session=session, title=title))
        except Refused as error:
            if error.code != "session.exists":  # with other words: the key tells that apart
                raise
            return False
        return bool(made.get("first") == 1)

    async def _recall(self, principal: Principal, session: str, asked: Asked, ident: str | None) -> None:
        """Write down what was said before, in a session that knows nothing of it."""
        asked.text = asked.text or asked.words
        told = drafts(asked.past, {call for call, _ in asked.results})
        for at in range(0, len(told), limits.BATCH_EVENTS):
            key = None if ident is None else f"{ident}.past.{at}"
            events = told[at : at + limits.BATCH_EVENTS]
            await self._hub.execute(principal, wire.Append(session=session, events=events, key=key))

    async def _discard(self, principal: Principal, session: str) -> None:
        """A session was made for a response that was refused: it goes, unless something was said in it."""
        made = await self._hub.load_session(principal, session)
        untouched = wire.Cursor(made.incarnation, 1)
        try:
            await made.submit(wire.Delete(session=session, expect=untouched), "system:edge")
        except Refused:
            pass  # somebody has said something in it

    async def _previous(self, principal: Principal, asked: Asked) -> Known | None:
        named = asked.fields.previous_response_id
        if named is not None:
            try:
                return await self._log.known(principal, Ref.parse(named))
            except Refused as error:
                raise Refused(error.code, error.detail, param="previous_response_id") from None
        return None

    async def _after(self, principal: Principal, previous: Known) -> dict[str, Any]:
        """What of the session a message after that response goes on from: its input, and its answer among several."""
        if previous.input is None:
            return {}
        _, _, raw = await self._hub.snapshot(principal, previous.ref.session)
        view = View.load(_ANY.decode(raw))
        answers = [
            ident for ident, run in view.runs.items() if run.get("input") == previous.input and "parent" not in run
        ]
        shown = view.branch["runs"].get(previous.input, answers[-1] if answers else previous.ref.run)
        chosen = {} if shown == previous.ref.run else {"answer": previous.ref.run}
        return {"parent": previous.input, **chosen}

    async def _say(
        self, principal: Principal, session: str, asked: Asked, ident: str | None, after: dict[str, Any]
    ) -> Ref:
        if asked.results:
            await self._check_calls(principal, session, asked)
            told = [draft for call, content in asked.results for draft in _result(asked, call, content)]
            key = None if ident is None else f"{ident}.results"
            await self._hub.execute(principal, wire.Append(session=session, events=told, key=key))
        attachments = []
        files = (
            [*asked.files] if asked.plain else [*asked.files, ("request.json", contexts.OPENAI_REQUEST, asked.stored())]
        )
        for name, media, content in files:
            blob = await self._hub.put_blob(principal, session, media, content)
            attachments.append(wire.Attachment(blob, name[: limits.NAME_CHARS], media[: limits.NAME_CHARS]))
        said = wire.Send(
            session=session, text=asked.text, agent=asked.fields.model, key=ident, attachments=attachments, **after
        )  # fmt: skip
        result = await self._hub.execute(principal, said)
        if result.get("run") is None:
            raise Refused(
                "run.muted", "a person has taken over this session: what you said is kept, and no agent answers"
            )
        return Ref.of_run(session, (await self._hub.load_session(principal, session)).incarnation, result["run"])

    async def _check_calls(self, principal: Principal, session: str, asked: Asked) -> None:
        """A result answers a call that the session has or the request brought; calls of older pages are taken on trust. All
        the calls that a response left to its client are answered together."""
        incarnation, _, raw = await self._hub.snapshot(principal, session)
        view = View.load(_ANY.decode(raw))
        given = {call for call, _ in asked.results}
        for call in given - asked.calls.keys():
            if ("tool", call) not in view.by_id and not view.older:
                raise Refused("input.malformed", f"function_call_output: no call {call!r:.80}", param="input")
        for run in {view.by_id["tool", call].get("run") for call in given if ("tool", call) in view.by_id} - {None}:
            made = await self._log.known(principal, Ref.of_run(session, incarnation, str(run)))
            theirs = [i for i in view.items if i["kind"] == "tool" and i.get("run") == run and i["status"] != "done"]
            for call in [i["id"] for i in theirs if i["name"] in functions(made.body) and i["id"] not in given]:
                raise _unanswered(call)

    async def _decide(
        self, principal: Principal, session: str, decision: Decision, ident: str | None, life: str | None
    ) -> Ref:
        """Decide an approval; its run, from the wait for it on, is the response."""
        incarnation, _, raw = await self._hub.snapshot(principal, session)
        view = View.load(_ANY.decode(raw))
        item = view.by_id.get(("approval", ids.unbind(decision.approval)[0]))
        if item is None:
            raise Refused("approval.not_found", f"no approval {decision.approval!r:.80}", param="input")
        choice: Any = "approved" if decision.approve else "denied"
        key = None if ident is None else f"{ident}.{_digest(decision.approval)[:32]}"
        op = wire.Resolve(
            session=session, approval=decision.approval, decision=choice, note=decision.note, key=key, incarnation=life
        )
        try:
            await self._hub.execute(principal, op)
        except Refused as error:
            if error.code != "approval.resolved" or error.fields.get("decision") != choice:
                raise
        whole = Ref.of_run(session, incarnation, view.root(item["run"]))
        waits = (await self._log.folded(principal, await self._log.known(principal, whole), waits=True)).waits
        later = [wait for wait in waits if wait >= item["seq"]]
        earlier = [wait for wait in waits if wait < item["seq"]]
        return msgspec.structs.replace(whole, start=later[0] if later else earlier[-1] if earlier else 0)

    async def erase(self, principal: Principal, ref: Ref) -> None:
        """Delete the session of a response that has one to itself."""
        authorise(principal, "admin", ref.session)
        _, _, raw = await self._hub.snapshot(principal, ref.session)
        view = View.load(_ANY.decode(raw))
        roots = [ident for ident, run in view.runs.items() if "parent" not in run]
        if not ref.session.startswith(OWN) or roots != [ref.run] or view.older:
            raise Refused(
                "input.unknown_op", "a response of a conversation is not deleted by itself; delete the session"
            )
        await self._hub.execute(principal, wire.Delete(session=ref.session, incarnation=ref.incarnation))


def _result(asked: Asked, call: str, content: str) -> list[Draft]:
    """What a function gave; in a session that does not know of the call, the call before it."""
    result = Draft(e.TOOL_RESULT, {"toolCallId": call, "content": content})
    if call not in asked.calls:
        return [result]
    name, arguments = asked.calls[call]
    return [
        Draft(e.TOOL_START, {"toolCallId": call, "toolCallName": name}),
        Draft(e.TOOL_ARGS, {"toolCallId": call, "delta": arguments}),
        Draft(e.TOOL_END, {"toolCallId": call}),
        result,
    ]


def _unanswered(call: str) -> Refused:
    return Refused("input.malformed", f"function_call_output: there is none for call {call!r:.80}", param="input")


def _digest(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogatepass")).hexdigest()
