"""Runs in a session log of their own, which the journal of the copy reads as it reads any other."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from holdfast.company.cheats.rehearsal import WORKFLOW, CastPlace, Rehearsal
from holdfast.engines.address import engine_for
from holdfast.engines.port import Engine, Index, Key, LogAppend
from holdfast.governance.workflows.journal import RunJournal
from holdfast.protocol.events import Event
from holdfast.protocol.frames import encode_frame

AGENT: Final = "cheat"
_LIFE: Final = "i1"


class CheatRun(NamedTuple):
    """Runs of the workflow: who asks, what their token says beside the workflow, and the tools that each calls."""

    actor: str
    claims: Mapping[str, str]
    tools: Sequence[str] = ()


class CheatSession:
    """Writes runs as a session server does: queued, tools called, ended.

    Args:
        rehearsal: whose journal reads them.
        place: whose runs they are.
    """

    def __init__(self, rehearsal: Rehearsal, place: CastPlace, engine: Engine) -> None:
        self._on, self._engine = rehearsal, engine
        self._key = Key(place.tenant, rehearsal.ident())
        self._journal = RunJournal(engine, rehearsal.store, rehearsal.workflows)
        self._seq = 0

    async def open(self) -> None:
        """Make the session."""
        await self._engine.open()
        await self._engine.create(self._key, _LIFE, self._on.now_ms(), Index())

    async def run(self, facts: CheatRun, n: int = 1) -> None:
        """So many runs, now; then the journal reads them."""
        claims = {"workflow": WORKFLOW, **facts.claims}
        for _ in range(n):
            name = self._on.ident()
            await self._write("run.queued", {"agent": AGENT}, name, facts.actor, labels=claims)
            for number, tool in enumerate(facts.tools):
                called = {"toolCallId": f"{name}-{number}", "toolCallName": tool}
                await self._write("TOOL_CALL_START", called, name, facts.actor)
            done = {"status": "completed"}
            await self._write("run.ended", done, name, facts.actor, labels=claims, status="completed")
        await self._journal.read()

    async def _write(self, type_: str, data: dict[str, Any], run: str, actor: str, **more: Any) -> None:
        self._seq += 1
        at_ms = self._on.now_ms()
        event = Event(self._seq, at_ms, actor, type_, data, run=run)
        notice = {
            "type": type_, "session": self._key.session, "incarnation": _LIFE, "seq": self._seq, "ts": at_ms, "actor": actor,
            "run": run, "agent": AGENT, **more,
        }  # fmt: skip
        frames = [encode_frame(self._key.session, [event])]
        notices = [notice] if type_.startswith("run.") else []
        await self._engine.append(LogAppend(self._key, _LIFE, self._seq - 1, frames, at_ms, notices=notices))


@contextlib.asynccontextmanager
async def session_runs(rehearsal: Rehearsal, place: CastPlace) -> AsyncIterator[CheatSession]:
    """A session in which runs can be written, while the context lasts."""
    engine = engine_for("memory:")
    found = CheatSession(rehearsal, place, engine)
    await found.open()
    try:
        yield found
    finally:
        await engine.close()


def signed_in(rehearsal: Rehearsal) -> dict[str, str]:
    """What the token of somebody says who signed in an hour ago."""
    return {"sign_in": str(rehearsal.now_ms() // 1_000 - 3_600)}
