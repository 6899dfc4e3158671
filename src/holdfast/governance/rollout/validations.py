"""What was validated of a build: reports of ``holdfast validate`` and of load tests, as they are put on record. Pure."""

from __future__ import annotations

import datetime
import hashlib
from typing import Any, Final, Literal

import msgspec

from holdfast.audit.examine import PROBES
from holdfast.audit.finding import CAPABILITIES, Report, verdict_of
from holdfast.errors import Refused

ValidationKind = Literal["streaming", "load"]
FUTURE_MS: Final = 300_000
"""A report may have begun so far ahead of this clock."""


class LoadReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A load test.

    Attributes:
        load_test: 1.
        build: of the server that was tested.
        began: ISO 8601 with its zone.
        calls: seated ones, a side.
        unloaded_p99_ms, loaded_p99_ms: until the first token, without and with headless load.
    """

    load_test: int
    build: str
    began: str
    calls: int
    unloaded_p99_ms: int
    loaded_p99_ms: int


class Validation(msgspec.Struct, frozen=True, kw_only=True):
    """A report on record.

    Attributes:
        id: ``vl-`` and a hash of everything else: what was changed afterwards does not have it.
        build: of the server that was tested; ``target`` its address.
        began_ms: of the test; ``recorded_ms`` when it was put on record, ``by`` whom.
        resilient, continuity, control: as its probes say; empty for a load test. ``absent``: probes that were left out.
        calls, unloaded_ms, loaded_ms: of a load test.
    """

    id: str = ""
    tenant: str
    kind: ValidationKind
    build: str
    target: str = ""
    by: str
    began_ms: int
    recorded_ms: int
    resilient: str = ""
    continuity: str = ""
    control: str = ""
    absent: int = 0
    calls: int = 0
    unloaded_ms: int = 0
    loaded_ms: int = 0


def identity_of(record: Validation) -> str:
    """The id that a record with this content has."""
    facts: dict[str, Any] = msgspec.to_builtins(record)
    del facts["id"]
    return f"vl-{hashlib.sha256(msgspec.json.encode(facts, order='sorted')).hexdigest()[:32]}"


def validation_of(document: dict[str, Any], tenant: str, by: str, now_ms: int) -> Validation:
    """The record of a report. What its probes say counts, and not what it says of them.

    Raises:
        Refused: ``input.malformed`` for what is no such report, or one without a build, or from the future.
    """
    try:
        record = (
            _of_load(document, tenant, by, now_ms)
            if "load_test" in document
            else _of_audit(document, tenant, by, now_ms)
        )
    except (msgspec.ValidationError, ValueError) as error:
        raise Refused("input.malformed", f"the report: {error!s:.200}") from None
    if not record.build:
        fix = "Make it with holdfast validate --json FILE, of a server with governance."
        raise Refused("input.malformed", "the report does not say which build was tested", fix=fix)
    if record.began_ms > now_ms + FUTURE_MS:
        raise Refused("input.malformed", "the report is from the future")
    return msgspec.structs.replace(record, id=identity_of(record))


def _of_audit(document: dict[str, Any], tenant: str, by: str, now_ms: int) -> Validation:
    report = msgspec.convert(document, Report)
    if report.driver != "holdfast":
        raise ValueError(f"it is of {report.driver or 'nothing'}, and not of a server of Holdfast")
    wanted = {probe.id for probe in PROBES if probe.capability in CAPABILITIES}
    verdicts = {
        name: verdict_of([one for one in report.probes if one.capability == name and one.id in wanted])
        for name in CAPABILITIES
    }
    absent = len(wanted - {one.id for one in report.probes})
    return Validation(
        tenant=tenant, kind="streaming", build=report.build, target=report.target[:200], by=by, began_ms=_ms(report.began),
        recorded_ms=now_ms, absent=absent, resilient=verdicts["resilient"], continuity=verdicts["continuity"],
        control=verdicts["control"],
    )  # fmt: skip


def _of_load(document: dict[str, Any], tenant: str, by: str, now_ms: int) -> Validation:
    report = msgspec.convert(document, LoadReport)
    if min(report.calls, report.unloaded_p99_ms, report.loaded_p99_ms) < 1:
        raise ValueError("calls and times are at least 1")
    return Validation(
        tenant=tenant, kind="load", build=report.build, by=by, began_ms=_ms(report.began), recorded_ms=now_ms,
        calls=report.calls, unloaded_ms=report.unloaded_p99_ms, loaded_ms=report.loaded_p99_ms,
    )  # fmt: skip


def _ms(text: str) -> int:
    found = datetime.datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("a time without its zone")
    return int(found.timestamp() * 1_000)
