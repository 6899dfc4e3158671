"""``fold`` and ``conversation`` cases: events in, a view out; byte-equal canonical JSON (FOLD-6), from every position (FOLD-2)."""

from __future__ import annotations

import json
from typing import Any

from conformance.cases import EMPTY_VIEW, Case, filled
from conformance.driver import Driver
from conformance.match import Mismatch, short
from holdfast.protocol.codec import canonical


async def fold(driver: Driver, raw_events: str, view: Any = None) -> dict[str, Any]:
    """What the driver makes of events, given as JSON text so that numbers stay as they are written."""
    start = {} if view is None else {"view": view}
    answer = await driver.ask("fold", raw=f'"events":{raw_events}', **start)
    if "ok" not in answer:
        raise Mismatch(f"fold failed: {short(answer)}")
    return answer["ok"]  # type: ignore[no-any-return]


async def play(case: Case, driver: Driver) -> None:
    """Play a case. Raises ``Mismatch``."""
    body = case.body
    start = {**EMPTY_VIEW, **body["view"]} if "view" in body else None
    if "refused" in body:
        answer = await driver.ask("fold", view=start, events=[])
        if "ok" in answer:
            raise Mismatch(f"expected a refusal, got {short(answer['ok'])}")
        return
    events: list[str] = [json.dumps(event) for event in filled(body.get("events", []))]
    if "raw" in body:
        events = [line for line in body["raw"].splitlines() if line.strip()]
    whole = await fold(driver, f"[{','.join(events)}]", start)
    bad = [number for number, joined in enumerate(whole["joins"], 1) if joined is False]
    if bad != body.get("bad_joins", []):
        raise Mismatch(f"events that did not join: expected {body.get('bad_joins', [])}, got {bad}")
    wanted = {**EMPTY_VIEW, **(start or {}), **body.get("expect", {})}
    if "state" in body:
        wanted["state"] = whole["view"]["state"]  # given as canonical text, below
    compare(wanted, whole["view"])
    if "state" in body and canonical(whole["view"]["state"]).decode() != body["state"]:
        raise Mismatch(f"state: expected {body['state']}, got {canonical(whole['view']['state']).decode()}")
    if "shown" in body and whole["shown"] != body["shown"]:
        raise Mismatch(f"shown: expected {body['shown']}, got {whole['shown']}")
    for cut in range(1, len(events)):
        before = await fold(driver, f"[{','.join(events[:cut])}]", start)
        after = await fold(driver, f"[{','.join(events[cut:])}]", before["view"])
        if canonical(after["view"]) != canonical(whole["view"]):
            raise Mismatch(f"the view after event {cut} and the events after it do not add up to the whole (FOLD-2)")


async def play_conversation(case: Case, driver: Driver) -> None:
    """Play a ``conversation`` case: what is shown, in which order; also of the view as it is stored. Raises ``Mismatch``."""
    start = {**EMPTY_VIEW, **case.body.get("view", {})}
    events = json.dumps(filled(case.body["events"]))
    whole = await fold(driver, events, start)
    for seen in (whole, await fold(driver, "[]", whole["view"])):
        if seen["shown"] != case.body["shown"]:
            raise Mismatch(f"shown: expected {case.body['shown']}, got {seen['shown']}")


def compare(wanted: dict[str, Any], got: dict[str, Any]) -> None:
    """Raise ``Mismatch`` unless two views are equal to the byte in canonical form."""
    for part in sorted({*wanted, *got}):
        one, other = canonical(wanted.get(part)), canonical(got.get(part))
        if one != other:
            raise Mismatch(f"view.{part}: expected {one.decode()}, got {other.decode()}")
