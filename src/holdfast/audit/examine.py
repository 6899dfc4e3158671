"""One audit from first contact to findings: runs the probes, bounds each, and charges every fault once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from holdfast.audit.baseline import measure_baseline
from holdfast.audit.budget import OutOfBudget, ProbeBudget, Redactor
from holdfast.audit.endpoint import Endpoint
from holdfast.audit.finding import Contact, Finding
from holdfast.audit.lab import AuditOptions, Lab, ProbeResult, Trial, inconclusive
from holdfast.audit.probes import agents, continuity, control, resilient
from holdfast.audit.probes.probe import Probe

PROBES: Final = (*resilient.PROBES, *continuity.PROBES, *control.PROBES, *agents.PROBES)
PROBE_S: Final = 240.0
"""How long one probe may take; the time of the whole audit bounds it too."""

Progress = Callable[[str, Finding | None], None]


async def examine(
    endpoint: Endpoint,
    options: AuditOptions,
    budget: ProbeBudget,
    redactor: Redactor,
    *,
    probes: Sequence[Probe] = PROBES,
    jobs: int = 1,
    progress: Progress = lambda what, finding: None,
) -> tuple[Contact, list[Finding]]:
    """Audit an endpoint.

    Args:
        probes: which. jobs: how many at a time; those that measure the whole server run alone.
        progress: called when a probe begins, and again with its finding.

    Returns:
        How the endpoint behaved unbroken, and one finding for each probe, in their order.
    """
    lab = Lab(
        endpoint, budget, options, redactor, Contact(state="hangs", message="The endpoint was not reached in time.")
    )
    progress("first contact", None)
    try:
        async with asyncio.timeout(budget.left_s()):
            await measure_baseline(lab)
    except (TimeoutError, OutOfBudget) as error:
        lab.contact.message = str(error) or lab.contact.message
        lab.contact.state = "hangs" if lab.contact.state == "ok" else lab.contact.state
    found: dict[str, Finding] = {}
    explained: dict[str, tuple[str, ...]] = {}
    gate = asyncio.Semaphore(jobs)

    async def run_one(probe: Probe) -> None:
        async with gate:
            progress(probe.title, None)
            found[probe.id], explained[probe.id] = await _run_probe(lab, probe)
            progress(probe.title, found[probe.id])

    try:
        await asyncio.gather(*(run_one(probe) for probe in probes if not probe.alone))
        for probe in probes:
            if probe.alone:
                await run_one(probe)
    finally:
        for future in lab.shared_results.values():
            future.cancel()
        await asyncio.gather(*lab.shared_results.values(), return_exceptions=True)
    return lab.contact, charge_once([found[probe.id] for probe in probes], probes, explained)


async def _run_probe(lab: Lab, probe: Probe) -> tuple[Finding, tuple[str, ...]]:
    began = time.monotonic()
    if lab.contact.state != "ok":
        return _finding(probe, inconclusive(f"not tried: {lab.contact.message}")), ()
    trial: Trial | None = None
    try:
        async with asyncio.timeout(lab.budget.within(PROBE_S)), lab.trial() as trial:
            result = await probe.work(trial)
            for stream in trial.streams:
                if len(trial.evidence) < 2 and result.verdict != "pass":
                    trial.add_evidence("what came", stream)
    except TimeoutError:
        result = inconclusive("not finished within the time allowed")
    except OutOfBudget as error:
        result = inconclusive(f"not tried to its end: {error}")
    except Exception as error:  # a fault of the audit or its recipe, never held against the endpoint
        result = inconclusive(f"the audit could not go on: {type(error).__name__}: {error}")
    finding = _finding(probe, result)
    if result.lacks and (trial is None or not trial.timeline):
        finding.did = "looked for a way to do it: nothing had to be broken"
    finding.took_s = round(time.monotonic() - began, 3)
    finding.saw = lab.redactor.text(finding.saw)
    if trial is not None:
        finding.timeline, finding.evidence, finding.measured = trial.timeline, trial.evidence[:4], trial.measured
    return finding, result.after


def _finding(probe: Probe, result: ProbeResult) -> Finding:
    return Finding(
        id=probe.id,
        capability=probe.capability,
        title=probe.title,
        verdict=result.verdict,
        did=probe.did,
        expected=probe.expected,
        saw=result.saw,
        lacks=result.lacks,
    )


def charge_once(
    findings: list[Finding], probes: Sequence[Probe], explained: Mapping[str, tuple[str, ...]] = {}
) -> list[Finding]:
    """A failure that another failure explains is not held against the endpoint twice: it becomes inconclusive.

    A finding that the endpoint offers no way to do something stands by itself.

    Args:
        explained: by probe, what explains the failure it saw beside what always does.
    """
    failed = {finding.id for finding in findings if finding.verdict == "fail"}
    explained_by = {probe.id: (*probe.after, *explained.get(probe.id, ())) for probe in probes}
    for finding in findings:
        reasons = [id_ for id_ in explained_by[finding.id] if id_ in failed]
        if finding.verdict == "fail" and reasons and not finding.lacks:
            finding.verdict = "inconclusive"
            finding.because = reasons
            finding.saw += f" (explained by {', '.join(reasons)})"
    return findings
