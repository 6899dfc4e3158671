"""A framework's state of one run, outliving the worker that executes it.

It is a blob of the session, named by a ``CUSTOM`` event of the run. Nobody but the run itself can write that event.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterable
from typing import Any, Final

from holdfast.agents.attempt import Steer
from holdfast.agents.output import TextOut
from holdfast.agents.run import RunContext
from holdfast.client.feed import Snapshot
from holdfast.errors import Refused
from holdfast.protocol import events as e
from holdfast.protocol import limits
from holdfast.protocol.events import Event
from holdfast.visible import logger

KEPT: Final = "holdfast.kept"
"""Name of the ``CUSTOM`` event that says where a framework's state is: ``{framework, blob, steers?}``; ``blob`` is empty when
the state was too large to be kept."""

_LOG = logger("holdfast.agents")
_PLAIN_BYTES = 4_096  # a smaller state is not worth compressing
_PACKED = b"\x78"  # what zlib begins with, and JSON does not


class Checkpoint:
    """A framework's state of one run.

    Args:
        framework: whose state it is; an agent that changed its framework finds nothing. Words after a dot tell several
            states of one framework in one run apart.

    Attributes:
        whole: a later attempt can go on from here: the newest state is kept.
    """

    def __init__(self, run: RunContext, framework: str) -> None:
        self._run = run
        self._framework = framework
        self._newest: bytes | None = None
        self._again: list[Steer] = []
        self._taken: set[str] = set()
        self._included: set[str] = set()
        self.whole = True

    @property
    def steered(self) -> bool:
        """Whether people have put in words that were not taken yet."""
        return bool(self._again or self._run.attempt.steers)

    def take_steers(self) -> list[Steer]:
        """As ``RunContext.take_steers``, with those first that an attempt had taken and lost."""
        taken = [*self._again, *self._run.take_steers()]
        self._again = []
        self._taken.update(steer.id for steer in taken)
        return taken

    def include_steers(self) -> None:
        """The steers taken so far are in the state from here on."""
        self._included |= self._taken

    async def load(self) -> bytes | None:
        """The state an earlier attempt kept last, or None. It is read from the log: nobody but the run can write there.

        Also tells the run's tools which calls an earlier attempt wrote down without beginning them.

        Raises:
            Refused: ``agent.not_kept``: the newest state was too large to be kept. What was done since the one before it
                cannot be told, and might be done twice.
        """
        run = self._run
        if run.attempt_number == 1 or run.since is None:
            return None
        read = _Reading(self._framework)
        async with run.session.events(run.since) as log:
            async for entry in log:
                if isinstance(entry, Snapshot):
                    return None  # the log cannot be read from there: begin anew
                if entry.run != run.id:
                    continue
                if entry.type == e.RUN_STARTED and entry.data.get("generation") == run.attempt_number:
                    break
                read.entry(entry)
        run.tools.not_started.update(read.announced)
        self._taken, self._included = set(read.steers), read.steers
        self._again = [
            Steer(item["id"], item["text"], item["actor"])
            for item in run.view.items
            if item["kind"] == "steer" and item.get("run") == run.id and item["status"] == "delivered"
            and item["id"] not in read.steers
        ]  # fmt: skip
        if read.blob == "":
            raise Refused("agent.not_kept", "an earlier attempt knew more than could be kept")
        return _unpacked(await run.get_blob(read.blob)) if read.blob is not None else None

    async def save(self, state: bytes, ended: Iterable[TextOut] = ()) -> None:
        """Keep the state, and complete the texts that are in it: a later attempt says neither more nor less again.

        In a local sub-run nothing is kept: a later attempt of its parent makes another one.
        """
        run = self._run
        if not run.local and state != self._newest:
            packed = await _packed(state)
            self.whole = len(packed) <= limits.BLOB_BYTES
            if not self.whole:
                _LOG.warning(
                    "run %s: a state of %d bytes is not kept; a later attempt cannot go on", run.id, len(packed)
                )
            blob = await run.tools.store_blob(packed) if self.whole else ""
            steers = {"steers": sorted(self._included)} if self._included else {}
            await run.emit(e.CUSTOM, {"name": KEPT, "value": {"framework": self._framework, "blob": blob, **steers}})
            self._newest = state
        for out in ended:  # in the same append, unless a lot is on its way
            await out.close(keep=not run.local)


class _Reading:
    """What the log says of the attempts before: the newest state (None: there is none), and how far calls had come."""

    def __init__(self, framework: str) -> None:
        self._framework = framework
        self.blob: str | None = None
        self.steers: set[str] = set()
        self.announced: set[str] = set()
        self._begun: set[str] = set()

    def entry(self, entry: Event) -> None:
        data = entry.data
        if entry.type == e.TOOL_START and data["toolCallId"] not in self._begun:
            self.announced.add(data["toolCallId"])
        elif entry.type == e.TOOL_END:
            self._begun.add(data["toolCallId"])
            self.announced.discard(data["toolCallId"])
        elif entry.type in (e.TOOL_PAUSED, e.APPROVAL_REQUESTED):  # it has not begun after all
            self._begun.discard(str(data.get("toolCallId")))
        elif entry.type == e.CUSTOM and data.get("name") == KEPT and isinstance(data.get("value"), dict):
            self._kept(data["value"])

    def _kept(self, value: dict[str, Any]) -> None:
        whose = str(value.get("framework"))
        if whose.split(".")[0] != self._framework.split(".")[0]:
            self.blob, self.steers = None, set()
            return
        self.steers |= set(value.get("steers", ()))
        self.blob = value["blob"] if whose == self._framework else self.blob


async def _packed(state: bytes) -> bytes:
    if len(state) < _PLAIN_BYTES:
        return state
    packed = await asyncio.to_thread(zlib.compress, state, 1)
    return packed if len(packed) < len(state) else state


def _unpacked(kept: bytes) -> bytes:
    if not kept.startswith(_PACKED):
        return kept
    packer = zlib.decompressobj()
    state = packer.decompress(kept, limits.KEPT_STATE_BYTES)
    if packer.unconsumed_tail:
        raise Refused("agent.not_kept", f"the state has more than {limits.KEPT_STATE_BYTES} bytes")
    return state
