"""The report as one page."""

from __future__ import annotations

from holdfast.audit.finding import Report


def page(report: Report) -> str:
    return report.target
