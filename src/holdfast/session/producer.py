"""Idempotent appends: a retry is answered with what the first try was given (LOG-5).

Keys are remembered per actor and producer id, in a bounded window, and travel with the stored frames, so the answer is
the same across restarts. Single commands use their ``key`` as a producer that appends once.
"""

from __future__ import annotations

import hashlib
from typing import Any

from holdfast.errors import Refused
from holdfast.protocol import limits, wire
from holdfast.protocol.codec import encode
from holdfast.protocol.frames import ProducerKey
from holdfast.session.state import State, trim_oldest

_PRODUCER, _KEYED = "p ", "k "  # what precedes the actor; a space is in no actor and in no id


def identify(actor: str, op: wire.Command) -> tuple[str, int, int] | None:
    """``(producer id, epoch, seq)`` of a command, or None when it did not ask for idempotency."""
    producer = op.producer if isinstance(op, wire.Append) else None
    if producer is not None:
        return f"{_PRODUCER}{actor} {producer.id}", producer.epoch, producer.seq
    return (f"{_KEYED}{actor} {op.key}", 0, 1) if op.key is not None else None


def digest(op: wire.SessionOp) -> str:
    """A digest of what the command asks for, without the transport's request id and the generation."""
    if isinstance(op, wire.Append):
        body: Any = [op.run, op.events]
    else:
        body = [type(op).__struct_config__.tag]
        body += [
            (f, getattr(op, f)) for f in op.__struct_fields__ if f not in ("id", "generation", "key", "incarnation")
        ]
    return hashlib.blake2b(encode(body), digest_size=12).hexdigest()


def find(state: State, ident: tuple[str, int, int], content: str) -> ProducerKey | None:
    """The earlier append with this key, or None when it is new and next in line.

    Raises:
        Refused: ``producer.conflict``, ``producer.expired``, ``producer.gap`` or ``producer.fenced``.
    """
    name, epoch, seq = ident
    window = _windows(state, name).get(name)
    if not window:
        if seq > 1:
            raise Refused("producer.gap", f"append {seq} came first", expected=1)
        return None
    newest = window[-1]
    if epoch < newest.epoch:
        raise Refused("producer.fenced", f"epoch {newest.epoch} has appended", epoch=newest.epoch)
    if epoch > newest.epoch or seq == newest.seq + 1:
        if epoch > newest.epoch and seq != 1:
            raise Refused("producer.gap", "a new epoch begins with append 1", expected=1)
        return None
    if seq > newest.seq:
        raise Refused("producer.gap", f"append {newest.seq + 1} is missing", expected=newest.seq + 1)
    for entry in window:
        if (entry.epoch, entry.seq) == (epoch, seq):
            if entry.digest != content:
                raise Refused("producer.conflict")
            return entry
    raise Refused("producer.expired")


def remember(state: State, key: ProducerKey) -> None:
    """Note an accepted append. A pure function of the stored keys, so a reload remembers the same."""
    windows = _windows(state, key.id)
    window = windows.pop(key.id, None) or []
    if window and key.epoch > window[-1].epoch:
        window = []
    window.append(key)
    windows[key.id] = window[-limits.PRODUCER_WINDOW_APPENDS :]
    max_windows = limits.PRODUCERS if windows is state.producers else limits.KEYED_COMMANDS
    expired = key.ts - limits.PRODUCER_EXPIRY_S * 1_000
    while windows:
        oldest = next(iter(windows))
        if len(windows) <= max_windows and windows[oldest][-1].ts >= expired:
            break
        trim_oldest(windows, len(windows) - 1)


def _windows(state: State, name: str) -> dict[str, list[ProducerKey]]:
    """Producers and keyed commands are bounded apart: many of the one must not make the session forget the other."""
    return state.keyed if name.startswith(_KEYED) else state.producers
