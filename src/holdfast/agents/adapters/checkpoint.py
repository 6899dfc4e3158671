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

CHECKPOINT_EVENT: Final = "holdfast.kept"
"""Name of the ``CUSTOM`` event that says where a framework's state is: ``{framework, blob, steers?}``; ``blob`` is empty when
the state was too large to be kept."""

_LOG = logger("holdfast.agents")
_MIN_COMPRESS_BYTES = 4_096  # a smaller state is not worth compressing
_ZLIB_HEADER = b"\x78"  # what zlib begins with, and JSON does not


class Checkpoint:
    """A framework's state of one run.

    Args:
        framework: whose state it is; an agent that changed its framework finds nothing. Words after a dot tell several
            states of one framework in one run apart.

    Attributes:
        is_saved: a later attempt can go on from here: the newest state is saved.
    """

    def __init__(self, run: RunContext, framework: str) -> None:
        self._run = run
        self._framework = framework
        self._last_saved: bytes | None = None
        self._lost_steers: list[Steer] = []
        self._taken_steers: set[str] = set()
        self._included_steers: set[str] = set()
        self.is_saved = True

    @property
    def has_steers(self) -> bool:
        """Whether people have put in words that were not taken yet."""
        return bool(self._lost_steers or self._run.attempt.steers)

    def take_steers(self) -> list[Steer]:
        """As ``RunContext.take_steers``, with those first that an attempt had taken and lost."""
        taken = [*self._lost_steers, *self._run.take_steers()]
        self._lost_steers = []
        self._taken_steers.update(steer.id for steer in taken)
        return taken

    def include_steers(self) -> None:
        """The steers taken so far are in the state from here on."""
        self._included_steers |= self._taken_steers

    async def load(self) -> bytes | None:
        """The state an earlier attempt saved last, or None. It is read from the log: nobody but the run can write there.

        Also tells the run's tools which calls an earlier attempt wrote down without beginning them.

        Raises:
            Refused: ``agent.not_kept``: the newest state was too large to be kept. What was done since the one before it
                cannot be told, and might be done twice.
        """
        run = self._run
        if run.attempt_number == 1 or run.since is None:
            return None
        reader = _LogReader(self._framework)
        async with run.session.events(run.since) as log:
            async for entry in log:
                if isinstance(entry, Snapshot):
                    return None  # the log cannot be read from there: begin anew
                if entry.run != run.id:
                    continue
                if entry.type == e.RUN_STARTED and entry.data.get("generation") == run.attempt_number:
                    break
                reader.read(entry)
        run.tools.not_started.update(reader.not_started)
        self._taken_steers, self._included_steers = set(reader.steers), reader.steers
        self._lost_steers = [
            Steer(item["id"], item["text"], item["actor"])
            for item in run.view.items
            if item["kind"] == "steer"
            and item.get("run") == run.id
            and item["status"] == "delivered"
            and item["id"] not in reader.steers
        ]
        if reader.blob == "":
            raise Refused("agent.not_kept", "an earlier attempt knew more than could be kept")
        return _decompress(await run.get_blob(reader.blob)) if reader.blob is not None else None

    async def save(self, state: bytes, finished_texts: Iterable[TextOut] = ()) -> None:
        """Save the state, and complete the texts that are in it: a later attempt says neither more nor less again.

        In a local sub-run nothing is saved: a later attempt of its parent makes another one.
        """
        run = self._run
        if not run.local and state != self._last_saved:
            compressed = await _compress(state)
            self.is_saved = len(compressed) <= limits.BLOB_BYTES
            if not self.is_saved:
                _LOG.warning(
                    "run %s: a state of %d bytes is not kept; a later attempt cannot go on", run.id, len(compressed)
                )
            blob = await run.tools.store_blob(compressed) if self.is_saved else ""
            steers = {"steers": sorted(self._included_steers)} if self._included_steers else {}
            await run.emit(
                e.CUSTOM, {"name": CHECKPOINT_EVENT, "value": {"framework": self._framework, "blob": blob, **steers}}
            )
            self._last_saved = state
        for text in finished_texts:  # in the same append, unless a lot is on its way
            await text.close(keep=not run.local)


class _LogReader:
    """What the log says of the attempts before: the newest state (None: there is none), and how far calls had come."""

    def __init__(self, framework: str) -> None:
        self._framework = framework
        self.blob: str | None = None
        self.steers: set[str] = set()
        self.not_started: set[str] = set()
        self._started: set[str] = set()

    def read(self, entry: Event) -> None:
        data = entry.data
        if entry.type == e.TOOL_START and data["toolCallId"] not in self._started:
            self.not_started.add(data["toolCallId"])
        elif entry.type == e.TOOL_END:
            self._started.add(data["toolCallId"])
            self.not_started.discard(data["toolCallId"])
        elif entry.type in (e.TOOL_PAUSED, e.APPROVAL_REQUESTED):  # it has not begun after all
            self._started.discard(str(data.get("toolCallId")))
        elif entry.type == e.CUSTOM and data.get("name") == CHECKPOINT_EVENT and isinstance(data.get("value"), dict):
            self._read_checkpoint(data["value"])

    def _read_checkpoint(self, value: dict[str, Any]) -> None:
        whose = str(value.get("framework"))
        if whose.split(".")[0] != self._framework.split(".")[0]:
            self.blob, self.steers = None, set()
            return
        self.steers |= set(value.get("steers", ()))
        self.blob = value["blob"] if whose == self._framework else self.blob


async def _compress(state: bytes) -> bytes:
    if len(state) < _MIN_COMPRESS_BYTES:
        return state
    compressed = await asyncio.to_thread(zlib.compress, state, 1)
    return compressed if len(compressed) < len(state) else state


def _decompress(data: bytes) -> bytes:
    if not data.startswith(_ZLIB_HEADER):
        return data
    decompressor = zlib.decompressobj()
    state = decompressor.decompress(data, limits.KEPT_STATE_BYTES)
    if decompressor.unconsumed_tail:
        raise Refused("agent.not_kept", f"the state has more than {limits.KEPT_STATE_BYTES} bytes")
    return state
