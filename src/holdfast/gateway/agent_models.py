"""Agents are models too: ``model: "agent/librarian"`` runs that agent in a session, for every client of these wires.

Clients send the whole conversation each time; only what the person said last is appended, because the session has the rest.
The run is the session's: a client that goes away stops nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from holdfast.client.run import Run
from holdfast.client.session import Session
from holdfast.errors import HoldfastError, Refused, Unavailable
from holdfast.gateway.answers import CallerAnswer, StreamAnswer
from holdfast.gateway.conversation import behind_the_back, last_words
from holdfast.gateway.incoming import Incoming
from holdfast.gateway.port import Caller
from holdfast.gateway.refusal import failure
from holdfast.gateway.sessions import CHAT_HEADER, SESSION_HEADER, SessionClients, session_of
from holdfast.protocol import codec, limits
from holdfast.providers.dialects import STREAM_DIALECTS
from holdfast.providers.encoder import StreamEncoder, dumps
from holdfast.providers.pieces import AnswerEnd, AnswerFinish, AnswerStart, Piece, TextDelta
from holdfast.providers.usage import TokenUsage

AGENT: Final = "agent/"
"""What the name of an agent begins with where a model is named."""
_COMMENT: Final = b": waiting\n\n"


class AgentModels:
    """Agents in place of models."""

    def __init__(self, clients: SessionClients) -> None:
        self._clients = clients

    async def answer(
        self, incoming: Incoming, caller: Caller, ident: str, answer: CallerAnswer, now_s: int,
        stopped: asyncio.Future[HoldfastError],
    ) -> None:  # fmt: skip
        """Run the agent, and give what it says. Raises why it does not run.

        Args:
            stopped: done when the caller may hear no more, with what it is told; the run goes on.
        """
        agent = incoming.model.removeprefix(AGENT)
        if agent not in caller.agents and "*" not in caller.agents:
            raise Refused("key.denied", f"the key may not ask agent {agent!r:.200}")
        if not incoming.wire.streams:
            raise Refused("model.unknown", "an agent has no embeddings")
        role, words = last_words(incoming)
        encoder = STREAM_DIALECTS[incoming.wire.name].encoder()
        start = AnswerStart(ident, incoming.model, now_s)
        if (answered := behind_the_back(words)) is not None:
            await self._give(answer, encoder, [start, TextDelta(dumps(answered).decode()), *_whole()], ident, "")
            await answer.end(_headers(ident, ""))
            return
        if role != "user" or not words.strip():
            raise Refused(
                "input.malformed", "the last message is no user's text", fix="End the messages with what the user says."
            )
        client = await self._clients.of(caller)
        session = client.session(self._session_id(caller, incoming, ident))
        run = await self._begin(session, agent, words, ident)
        headers = _headers(ident, session.id)
        await self._give(answer, encoder, [start], ident, session.id)
        try:
            async for text in _with_comments(run.stream(), stopped):
                if text is None:
                    if isinstance(answer, StreamAnswer):
                        await answer.feed(_COMMENT, headers)
                else:
                    await self._give(answer, encoder, [TextDelta(text)], ident, session.id)
            await self._end(run, incoming, encoder, answer, ident)
        except Refused as error:
            await answer.fail(encoder.encode([failure(incoming.wire, error)]))
            if not answer.started:
                raise

    def _session_id(self, caller: Caller, incoming: Incoming, ident: str) -> str:
        named = session_of(caller, incoming.headers)
        if named and SESSION_HEADER in incoming.headers:
            return named
        if chat := incoming.headers.get(CHAT_HEADER, ""):
            session = f"{caller.key}.{chat}"
            codec.check_session_id(session)
            return session
        return named or f"{caller.key}.{ident}"

    async def _begin(self, session: Session, agent: str, words: str, ident: str) -> Run:
        try:
            run = await session.send(words, agent=agent, key=ident)
        except Refused as error:
            if error.code != "session.not_found":
                raise
            await session.create(agent=agent)
            run = await session.send(words, agent=agent, key=ident)
        if not run.id:
            raise Refused("run.muted")
        return run

    async def _give(
        self, answer: CallerAnswer, encoder: StreamEncoder, pieces: list[Piece], ident: str, session: str
    ) -> None:
        if data := encoder.encode(pieces):
            await answer.feed(data, _headers(ident, session))

    async def _end(
        self, run: Run, incoming: Incoming, encoder: StreamEncoder, answer: CallerAnswer, ident: str
    ) -> None:
        entry = await run.finished()
        error: HoldfastError | None = None
        if entry["status"] == "cancelled":
            error = Refused("call.stopped", "somebody stopped this answer in its session")
        elif entry["status"] != "completed":
            failed: Any = entry.get("error") or {}
            error = Unavailable(
                "agent.failed", f"the agent failed: {str(failed.get('message', entry['status']))[: limits.TOLD_CHARS]}"
            )
        if error is None:
            await self._give(answer, encoder, _whole(), ident, run.session.id)
            await answer.end(_headers(ident, run.session.id))
            return
        if not isinstance(answer, StreamAnswer):
            raise error
        await answer.fail(encoder.encode([failure(incoming.wire, error)]))


def _whole() -> list[Piece]:
    return [AnswerFinish("", "stop"), TokenUsage(input=0, output=0), AnswerEnd()]


def _headers(ident: str, session: str) -> list[tuple[bytes, bytes]]:
    named = [(b"x-holdfast-session", session.encode())] if session else []
    return [(b"x-request-id", ident.encode()), (b"x-holdfast-call", ident.encode()), *named]


async def _with_comments(
    texts: AsyncIterator[str], stopped: asyncio.Future[HoldfastError]
) -> AsyncIterator[str | None]:
    """The texts, and None where none came for a while: connections that say nothing are cut by what is between. Raises what
    it is stopped with."""
    waiting: asyncio.Task[str] | None = None
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(anext(texts))
            either: list[asyncio.Future[Any]] = [waiting, stopped]
            done, _ = await asyncio.wait(either, timeout=limits.SSE_COMMENT_S, return_when=asyncio.FIRST_COMPLETED)
            if stopped in done:
                raise stopped.result()
            if not done:
                yield None
                continue
            task, waiting = waiting, None
            try:
                yield task.result()
            except StopAsyncIteration:
                return
    finally:
        if waiting is not None:
            waiting.cancel()
