"""The ledger: what is spent, row by row. It is the gateway's meter; further rows come from agents and from imports."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection

from holdfast.errors import CommitFailed, Refused, Unavailable
from holdfast.gateway.port import UNLIMITED, Hold, Opening, Served
from holdfast.governance import limits
from holdfast.governance.ledger import dates, settling, store
from holdfast.governance.ledger.model import Row
from holdfast.governance.ledger.port import LedgerStore, OrganisationTree, PriceList, RowWatch, T, WallClock
from holdfast.governance.ledger.recorder import Also, Recorder
from holdfast.governance.store.tables.ledger import ledger_openings
from holdfast.visible import logger

log = logger("holdfast.ledger")

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Opening)


class Ledger:
    """Rows of everything that is spent; a ``gateway.port.Meter``.

    Args:
        database: the store.
        prices: what things cost.
        organisation: whose things are.
        clock: the time.
        sole: no other process opens attempts in this store (SQLite): what others left open is nobody's at once.
        watch: who counts rows as they are written; None for nobody.
    """

    def __init__(
        self, database: LedgerStore, prices: PriceList, organisation: OrganisationTree, clock: WallClock, *, sole: bool = True,
        watch: RowWatch | None = None,
    ) -> None:  # fmt: skip
        self.store = database
        self.prices = prices
        self.organisation = organisation
        self.clock = clock
        self.recorder = Recorder(database, watch)
        self.process = f"p{secrets.token_hex(8)}"
        self._sole = sole
        self._beat_ms = 0
        self._last_beats: dict[str, tuple[int, int]] = {}  # of each process its last beat, and beats of ours since
        self._open: dict[str, Opening] = {}
        self._unsettled: dict[str, tuple[Opening, Served]] = {}  # served, and not on record yet
        self._unasked: set[str] = set()  # openings of which is not known whether they are on record; nothing was asked
        self._served: list[tuple[Opening, Served]] = []  # and are gathered to go on record together
        self._gathering: asyncio.Future[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    # --- life
    async def start(self) -> None:
        """Take part: settle what earlier processes left open, and go on saying that this one lives.

        Raises:
            Unavailable: of the store.
        """
        await self.recorder.refresh()
        await self._look_at_the_clock()
        await self.beat()
        self._tasks = [asyncio.get_running_loop().create_task(self._run(), name="holdfast ledger")]

    async def _look_at_the_clock(self) -> None:
        """Tell of a clock that has gone back since the store was used last: rows are dated by it."""
        now_ms = self.clock.wall_ms()
        newest_ms = await self.store.write(lambda connection: store.newest_time(connection, now_ms))
        if newest_ms - now_ms > limits.LEDGER_CLOCK_MS:
            words = "the clock says %s, and this ledger was used at %s: one of both is wrong, and rows are dated by the clock"
            log.warning(words, *(dates.moment(ms) for ms in (now_ms, newest_ms)))

    async def stop(self) -> None:
        """Write what is not on record yet, as far as the store allows, and take part no more."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        with contextlib.suppress(Unavailable):
            await self.flush()
            await self.store.write(lambda connection: store.leave(connection, self.process))
        if self._unsettled:
            words = "%d attempts could not be put on record; they are billed from their openings at the next start"
            log.error(words, len(self._unsettled))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(limits.LEDGER_BEAT_S)
            try:
                await self.flush()
                await self.beat()
            except Unavailable as error:
                log.warning("the ledger waits for its store: %s", error.code)
            except Exception:  # the next beat may do better, and without any this process would be taken for dead
                log.exception("the ledger's beat failed")

    async def beat(self) -> int:
        """Say that this process lives, and settle what dead ones left open. How many attempts that were."""
        now_ms = self.clock.wall_ms()
        self._beat_ms = max(now_ms, self._beat_ms + 1)  # also where time stands still

        def work(connection: Connection) -> None:
            store.beat(connection, self.process, self._beat_ms)
            store.newest_time(connection, now_ms)

        await self.store.write(work)
        dead, settled = await self._dead(), 0
        while True:
            found = await self.store.read(
                lambda connection: store.orphans(
                    connection, self.process, None if self._sole else dead, limits.LEDGER_GROUP_ROWS
                )
            )
            for _, encoded in found:
                opening = _decoder.decode(encoded)
                most = await self.store.read(lambda connection, of=opening.id: self.recorder.watch.most(connection, of))  # type: ignore[misc]
                await self._record(opening, settling.lost(opening, most))
            settled += len(found)
            if len(found) < limits.LEDGER_GROUP_ROWS:
                break
        if settled:
            log.warning("%d attempts of processes that are gone are billed by estimate", settled)
        if dead:
            await self.store.write(lambda connection: store.leave(connection, *dead))
        return settled

    async def _dead(self) -> set[str]:
        """Who will not settle its attempts any more: any other one where there is only one, else who was silent while this
        one beat so often. No clock of another machine is compared with ours, and a store that was away has silenced nobody."""
        beats = await self.store.read(store.beats)
        if self._sole:
            return beats.keys() - {self.process}
        before, self._last_beats = self._last_beats, {}
        for process, beat_ms in beats.items():
            last, silent = before.get(process, (0, 0))
            self._last_beats[process] = beat_ms, silent + 1 if beat_ms == last else 0
        return {process for process, (_, silent) in self._last_beats.items() if silent >= limits.LEDGER_SILENT_BEATS}

    # --- the meter
    async def open(self, opening: Opening) -> Hold:
        """See ``gateway.port.Meter.open``. The ledger alone bounds nothing: budgets do (``budgets``)."""
        self.admit(opening)
        # it outlives this process at once, and a loss of power from the next row on: see the README
        await self.begin(opening, self.store.insert(ledger_openings, [self._facts(opening)], synced=False))
        return UNLIMITED

    def admit(self, opening: Opening) -> None:
        """Let an attempt be opened that can be priced, and put on record. Raises what ``open`` raises for that."""
        if len(self._unsettled) >= limits.LEDGER_UNSETTLED:
            raise Unavailable("store.unavailable", "too much is waiting to be put on record")
        workflow = opening.call.caller.label("workflow")
        self.prices.check(
            provider=opening.provider, model=opening.model, upstream=opening.upstream, at_ms=opening.at_ms, workflow=workflow
        )  # fmt: skip

    async def begin(self, opening: Opening, writing: Awaitable[T]) -> T:
        """An attempt begins once ``writing`` has put it on record; what that answers. What it refuses was not put there.

        Raises:
            Refused: as ``writing`` does.
            Unavailable: ``store.unavailable``, ``store.busy``.
        """
        try:
            async with asyncio.timeout(limits.LEDGER_OPENING_S):
                found = await writing
        except Refused:
            raise
        except TimeoutError:
            self._unasked.add(opening.id)
            words = f"the store did not answer in {limits.LEDGER_OPENING_S:.0f} seconds"
            raise Unavailable("store.unavailable", words) from None
        except Unavailable as error:
            if isinstance(error, CommitFailed) and error.outcome != "not_applied":
                self._unasked.add(opening.id)
            # whatever is wrong with the disk is the operator's to know: to callers the store is down
            raise error if error.code == "store.busy" else Unavailable("store.unavailable", error.detail) from None
        except BaseException:  # also a caller who leaves: whether it is on record is not known, and nothing is asked
            self._unasked.add(opening.id)
            raise
        self._open[opening.id] = opening
        return found

    def add_openings(self, connection: Connection, openings: Sequence[Opening]) -> None:
        """Put attempts on record, in the transaction of whoever reserves money for them."""
        store.add_openings(connection, [self._facts(opening) for opening in openings])

    def open_of(self, connection: Connection, attempts: Sequence[str]) -> dict[str, Opening]:
        """Which of these attempts are open, by id."""
        return {id_: _decoder.decode(encoded) for id_, encoded in store.find_openings(connection, attempts)}

    def unasked(self, opening: Opening) -> None:
        """An attempt is on record, or may be, and no upstream was asked: it is taken off at the next beat."""
        self._unasked.add(opening.id)

    def _facts(self, opening: Opening) -> dict[str, Any]:
        return store.opening_facts(opening, self.process, _encoder.encode(opening).decode())

    async def settle(self, served: Served) -> None:
        """See ``gateway.port.Meter.settle``. Where the store is away it returns, and what was served is kept."""
        opening = self._open.get(served.id) or await self._find(served.id)
        self._unsettled[served.id] = opening, served  # before anything is awaited: a cancel loses nothing
        self._open.pop(served.id, None)
        self._served.append((opening, served))
        if self._gathering is None:
            self._gathering = asyncio.ensure_future(self._settle_served())
        await asyncio.shield(self._gathering)

    async def _settle_served(self) -> None:
        """Wait a moment, and settle all that was served meanwhile: one commit for it, and openings, for which callers wait,
        seldom queue behind it."""
        await asyncio.sleep(limits.LEDGER_GATHER_S)
        served, self._served, self._gathering = self._served, [], None
        for first in range(0, len(served), limits.LEDGER_GROUP_ROWS):
            some = served[first : first + limits.LEDGER_GROUP_ROWS]
            try:
                await self.recorder.settle_all([(opening, self._rows(opening, one)) for opening, one in some])
            except Unavailable as error:
                log.warning("%d attempts wait to be put on record: %s", len(some), error.code)
                continue
            except Exception:  # one of them is at fault: each by itself
                for opening, one in some:
                    await self._settle(opening, one)
                continue
            for _, one in some:
                self._unsettled.pop(one.id, None)

    async def _settle(self, opening: Opening, served: Served) -> None:
        try:
            await self._record(opening, served)
        except Unavailable as error:
            log.warning("attempt %s waits to be put on record: %s", served.id, error.code)
            return
        except (
            Exception
        ):  # our mistake with one attempt must not keep the others from the record; it stays, and is open
            log.exception("attempt %s cannot be put on record", served.id)
            return
        self._unsettled.pop(served.id, None)

    def _rows(self, opening: Opening, served: Served) -> list[Row]:
        return settling.rows_of(opening, served, self.prices, self.organisation)

    async def _record(self, opening: Opening, served: Served) -> None:
        await self.recorder.settle(opening, self._rows(opening, served))

    async def _find(self, attempt: str) -> Opening:
        waiting = self._unsettled.get(attempt)
        if waiting is not None:
            return waiting[0]
        encoded = await self.store.read(lambda connection: store.find_opening(connection, attempt))
        if encoded is None:
            raise Refused("ledger.row_not_found", f"no attempt {attempt!r:.80} is open", fix="Open it first.")
        return _decoder.decode(encoded)

    async def flush(self) -> None:
        """Try again what is not on record yet. Raises ``Unavailable`` where the store is away still."""
        for opening, served in list(self._unsettled.values()):
            try:
                await self._record(opening, served)
            except Unavailable:
                raise
            except (
                Exception
            ):  # our mistake with one attempt must not keep the others from the record; it stays, and is open
                log.exception("attempt %s cannot be put on record", served.id)
                continue
            self._unsettled.pop(served.id, None)
        unasked = list(self._unasked)
        if unasked:
            await self.recorder.end(unasked)
            self._unasked.difference_update(unasked)

    @property
    def unsettled(self) -> int:
        """How many attempts were served and are not on record yet."""
        return len(self._unsettled)

    # --- further rows
    def complete(self, row: Row, labels: Mapping[str, str], *, price: bool = True) -> Row:
        """A row with whose it is, its dates and, unless it brought its own, its cost."""
        row = settling.placed(row, labels, self.organisation)
        return settling.priced(row, settling.as_billed(row), self.prices) if price else row

    async def append(self, rows: Iterable[Row], also: Also | None = None) -> None:
        """Append complete rows. See ``Recorder.append``."""
        await self.recorder.append(list(rows), also)

    async def row(self, tenant: str, row: str) -> list[Row]:
        """A row and what replaced it, in order; the last one counts. Raises ``ledger.row_not_found``."""
        found = await self.store.read(lambda connection: store.chain(connection, tenant, row))
        if not found:
            raise Refused("ledger.row_not_found", f"no row {row!r:.80}")
        return found

    async def correct(
        self, tenant: str, row: str, *, why: str, counts: Mapping[str, int] | None = None, model: str | None = None,
        billed_nano: int | None = None, labels: Mapping[str, str] | None = None,
    ) -> Row:  # fmt: skip
        """Replace a row by another one; both stay, and the last one counts.

        Args:
            why: a short reason, which the new row carries.
            counts: what was used instead; the row is priced again.
            model: that served instead; the row is priced again.
            billed_nano: what is billed instead, nano-USD; list, contracted and effective cost stay those of the counts.
            labels: whose it is instead: all of them.

        Raises:
            Refused: ``ledger.row_not_found``; ``ledger.corrected`` where somebody was faster; ``input.malformed`` where
                nothing is changed or a count is negative.
        """
        if counts is None and model is None and billed_nano is None and labels is None:
            raise Refused(
                "input.malformed", "a correction changes nothing", fix="Say counts, a model, an amount or labels."
            )
        if counts is not None and any(count < 0 for count in counts.values()):
            raise Refused("input.malformed", "a count is negative", fix="A credit is an amount, not a count.")
        last = (await self.row(tenant, row))[-1]
        new: Any = replace(
            last,
            id=settling.correction_id(last.id),
            corrects=last.id,
            basis="corrected",
            reason=why[: limits.LEDGER_WORDS],
        )
        if counts is not None or model is not None:
            new = replace(new, counts=dict(last.counts if counts is None else counts), model=model or last.model)
            new = settling.priced(new, settling.as_billed(new), self.prices)
        if billed_nano is not None:
            new = replace(new, billed_nano=billed_nano)
        if labels is not None:
            new = settling.placed(replace(new, task=""), labels, self.organisation)
        await self.append([new])
        return (await self.row(tenant, new.id))[0]

    async def forget_session(self, tenant: str, session: str) -> bool:
        """A session was deleted: its rows stay under a reference that leads nowhere. Whether there were any."""

        def work(connection: Connection) -> bool:
            self.recorder.watch.forget_session(connection, tenant, session)
            return store.forget_session(connection, tenant, session)

        return await self.store.write(work)
