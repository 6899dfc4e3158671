"""The Python driver with a bug planted: ``python -m conformance.drivers.broken NAME``. The suite has to notice each.

A suite that passes everything proves nothing; these are the controls (tests/conformance/test_controls.py).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from conformance.drivers.python import main
from conformance.planting import Hollow, end, replace
from holdfast.client import feed, pending
from holdfast.client.connection import new_key
from holdfast.protocol import fold, view
from holdfast.protocol.codec import encode


def repeats() -> None:
    """Events at or below the cursor are applied again (SUB-2)."""

    def offer(self: feed.Feed, items: list[Any], size: int) -> None:
        for reader in self._active():
            for item in items:
                reader.take(item, size)
                reader.seq = item.last

    replace(feed.Feed, "_deliver", offer)


def gaps() -> None:
    """What does not follow is applied all the same (SUB-2)."""

    def offer(self: feed.Feed, items: list[Any], size: int) -> None:
        for reader in self._active():
            for item in items:
                if item.last > reader.seq and reader.needs is None:
                    reader.take(item, size)
                    reader.seq = item.last

    replace(feed.Feed, "_deliver", offer)


def joins() -> None:
    """A delta is appended wherever it says it begins (FOLD-3)."""
    grow = view.OpenText.grow
    replace(view.OpenText, "grow", lambda self, offset, delta: grow(self, None, delta))


def units() -> None:
    """Lengths count characters instead of UTF-16 code units (FOLD-3)."""
    replace(view, "utf16_len", lambda text: len(text))


def spinners() -> None:
    """The end of a run leaves open what was open (FOLD-4)."""
    replace(view.ViewState, "finish_items", lambda self, run, *, pending: None)


def keys() -> None:
    """What is sent again has a new key (LOG-5)."""
    to_send_again = pending.PendingOperations.to_resend

    def with_new_keys(self: pending.PendingOperations) -> list[pending.Pending]:
        found = to_send_again(self)
        for operation in found:
            head, _, tail = operation.message.partition(b'"key":"')
            operation.message = head + b'"key":' + encode(new_key()) + tail.partition(b'"')[2]
        return found

    replace(pending.PendingOperations, "to_resend", with_new_keys)


def forgets() -> None:
    """What was not answered is not sent again (LOG-5)."""
    replace(pending.PendingOperations, "to_resend", lambda self: [])


def tails() -> None:
    """After a reconnect it reads on from the tail (SUB-1)."""
    start = feed._start
    replace(feed, "_start", lambda readers: "tail" if isinstance(start(readers), feed.wire.Cursor) else start(readers))


def lives() -> None:
    """A snapshot of another incarnation is not taken (SUB-3)."""
    replace(feed.Feed, "_takes_snapshot", lambda self, message, reader: reader.needs == "snapshot")


def patches() -> None:
    """A patch that does not fit applies as far as it goes (FOLD-6)."""

    def apply(document: Any, patch: Any) -> Any:
        for step in patch if isinstance(patch, list) else []:
            try:
                document = whole(document, [step])
            except fold.PatchError:
                break
        return document

    whole = fold.apply_patch
    replace(fold, "apply_patch", apply)


BUGS: dict[str, Callable[[], None]] = {
    bug.__name__: bug for bug in (repeats, gaps, joins, units, spinners, keys, forgets, tails, lives, patches)
}

if __name__ == "__main__":
    try:
        BUGS[sys.argv[1]]()
    except Hollow as problem:
        end(problem)
    asyncio.run(main())
