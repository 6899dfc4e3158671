"""Planted bugs of lives, deletions and whose names are whose."""

from __future__ import annotations

from typing import Any

from conformance.planting import ending_by_own_mistake, replace

from holdfast.errors import HoldfastError, Refused
from holdfast.hub import hot
from holdfast.protocol import ids, wire
from holdfast.protocol.codec import check_entity_id
from holdfast.session import branch, life
from tests.mutants.plant import mutant

LIVES = "tests/unit/hub/test_lives.py"
HISTORIES = "tests/sim/test_lives.py"
PURE = "tests/unit/session/test_life.py"


@mutant(
    "LIFE-1",
    "an attempt of a former life has authority in the next",
    f"{LIVES}::test_an_attempt_of_a_former_life_has_no_authority_in_the_next",
)
def former_life() -> None:
    replace(ids, "make", lambda kind, seq, life: f"{kind}{seq}")
    replace(life, "check", lambda state, op: None)
    replace(life, "is_of_life", lambda life, run, incarnation: True)


@mutant("LIFE-1", "what was read in the life before a restore acts after it", HISTORIES, LIVES)
def unchecked_life() -> None:
    replace(life, "check", lambda state, op: None)
    replace(life, "is_of_life", lambda life, run, incarnation: True)


@mutant("LIFE-2", "a deletion awaits the engine while the same object loads the next life", HISTORIES, LIVES)
def deletion_beside() -> None:
    """As version 0.1 did it."""
    place = hot.HotSession.enqueue

    @ending_by_own_mistake
    async def delete(self: Any, notify: Any) -> None:
        try:
            await self.ready()
            while self._task is not None:
                await self.wait_until_idle()
            self.state, incarnation = None, self.incarnation
            self.incarnation = ""
            await self.runtime.engine.delete(self.key, incarnation, self.runtime.clock.wall_ms(), hot.Index())
        except HoldfastError as error:
            return notify(error)
        self.close()
        for observer in self._observers:
            observer.deleted(self)
        return notify({})

    def placed(self: Any, op: Any, actor: str, principal: Any, notify: Any) -> None:
        if type(op) is wire.Delete:
            self.runtime.background(delete(self, notify))
        else:
            place(self, op, actor, principal, notify)

    replace(hot.HotSession, "enqueue", placed)


@mutant("LOG-5", "one person's key refuses another's message", PURE)
def shared_keys() -> None:
    def _id(state: Any, key: str | None, writer: Any) -> str:
        ident = check_entity_id(key, "key") if key is not None else ids.make("m", writer.next_seq, state.incarnation)
        if ident in state.inputs or f"m:{ident}" in state.texts:
            raise Refused("content.exists", f"input {ident!r:.80} exists")
        return ident

    replace(branch, "_message_id", _id)
