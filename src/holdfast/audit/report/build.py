"""From findings to a report."""

from __future__ import annotations

import datetime
import time
from typing import Any

from holdfast.audit.budget import ProbeBudget, Redactor
from holdfast.audit.endpoint import Endpoint
from holdfast.audit.finding import CAPABILITIES, Contact, Finding, Report, score_of, verdict_of
from holdfast.audit.report.before import changes
from holdfast.audit.report.diagnosis import diagnose
from holdfast.audit.report.prescription import Inputs, prescribe


def build(
    endpoint: Endpoint,
    budget: ProbeBudget,
    redactor: Redactor,
    contact: Contact,
    findings: list[Finding],
    *,
    inputs: Inputs,
    before: dict[str, Any] | None = None,
) -> Report:
    """Everything the audit says about an endpoint, without secrets."""
    of = {name: [f for f in findings if f.capability == name] for name in (*CAPABILITIES, "agents")}
    report = Report(
        capabilities={name: verdict_of(of[name]) for name in CAPABILITIES},
        multi_agent=verdict_of(of["agents"]),
        scores={name: score_of(found) for name, found in of.items()},
        probes=findings,
        contact=contact,
        target=redactor.text(endpoint.url),
        driver=endpoint.recipe.name,
        began=(
            datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=time.monotonic() - budget.began_s)
        ).isoformat(timespec="seconds"),
        took_s=round(time.monotonic() - budget.began_s, 1),
        requests=budget.used,
        inputs=inputs.stated(),
    )
    report.diagnosis = diagnose(findings)
    report.prescription = prescribe(report, endpoint.recipe, inputs)
    if before is not None:
        report.before = str(before.get("began") or "an earlier report")
        report.changed = changes(before, report)
    return report
