"""The report in a terminal. What the endpoint said is shown as it is, and does nothing there (``visible.py``)."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from holdfast.audit.finding import CAPABILITIES, Finding, Report
from holdfast.visible import visible

MARKS: Final = {
    "pass": ("✓", "green"),
    "fail": ("✗", "red"),
    "inconclusive": ("?", "yellow"),
    "not_applicable": ("–", "bright_black"),
}
"""A verdict is never shown by colour alone."""
NAMES: Final = {
    "resilient": "Resilient delivery",
    "continuity": "Continuity across surfaces",
    "control": "Live control",
    "agents": "Multi-agent",
}
ORDER: Final = ("fail", "inconclusive", "pass", "not_applicable")


def by_gravity(findings: list[Finding]) -> list[Finding]:
    """Failures first."""
    return sorted(findings, key=lambda finding: ORDER.index(finding.verdict))


def mark(verdict: str, text: str = "") -> Text:
    """A verdict: sign, word, colour."""
    sign, colour = MARKS[verdict]
    return Text(f"{sign} {visible(text or verdict.replace('_', ' '))}", style=colour)


def show(report: Report, out: Console) -> None:
    """Print a report."""
    out.print(Text.assemble(("Audit of ", "dim"), visible(report.target), ("  as ", "dim"), visible(report.driver)))
    contact = report.contact
    if contact.state != "ok":
        out.print(
            Text.assemble(("✗ ", "red"), (contact.state.replace("_", " "), "bold"), "  ", visible(contact.message))
        )
        out.print("  Nothing was broken, so nothing can be said about the three capabilities.", style="dim")
    else:
        same = {True: "always the same answer", False: "a different answer each time", None: ""}[contact.deterministic]
        out.print(f"  {contact.answer_chars} characters in {contact.took_s:.1f} s, {same}", style="dim")
    for capability in (*CAPABILITIES, "agents") if contact.state == "ok" else ():
        findings = [finding for finding in report.probes if finding.capability == capability]
        verdict = report.multi_agent if capability == "agents" else report.capabilities[capability]
        if capability == "agents" and verdict == "not_applicable":
            continue
        score = report.scores[capability]
        tried = score.passed + score.failed + score.inconclusive
        out.print()
        out.print(
            Text.assemble((NAMES[capability], "bold"), "  ", mark(verdict), (f"  {score.passed} of {tried}", "dim"))
        )
        for finding in by_gravity(findings):
            out.print(Text.assemble("  ", mark(finding.verdict, finding.title)))
            if finding.verdict in ("fail", "inconclusive"):
                out.print(Padding(Text(visible(finding.saw), style="dim"), (0, 0, 0, 6)))
    for title, advices in (("Diagnosis", report.diagnosis), ("Prescription", report.prescription)):
        for number, advice in enumerate(advices):
            if not number:
                out.print()
                out.print(title, style="bold")
            out.print(
                Padding(
                    Text.assemble((visible(advice.name), "bold"), "  ", visible(advice.text, lines=True)), (0, 0, 0, 2)
                )
            )
            if advice.code:
                out.print(Padding(Text(visible(advice.code, lines=True), style="cyan"), (0, 0, 0, 6)))
    for change in report.changed:
        out.print(Text(visible(f"  {change['probe']}: {change['before']} → {change['now']}")))
    out.print()
    out.print(f"{report.requests} requests, {report.took_s:.0f} s", style="dim")
