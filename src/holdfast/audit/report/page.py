"""The report as one page that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

import datetime
from importlib import resources
from typing import Final

from holdfast.audit.finding import CAPABILITIES, Advice, Finding, Report
from holdfast.audit.report.diagram import diagram
from holdfast.audit.report.terminal import MARKS, NAMES, by_gravity
from holdfast.visible import visible_html as escape

MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
SAYS: Final = {
    "pass": ("passes", "pass"), "fail": ("fails", "fail"), "inconclusive": ("is left open", "are left open"),
    "not_applicable": ("was not tried", "were not tried"),
}  # fmt: skip
"""Each verdict as a verb, of one and of several."""


def page(report: Report) -> str:
    """The whole page, as HTML. Everything that came from the endpoint is escaped; nothing in it can run."""
    style = resources.files("holdfast.audit.report").joinpath("page.css").read_text(encoding="utf-8")
    rows = [name for name in (*CAPABILITIES, "agents") if name != "agents" or report.multi_agent != "not_applicable"]
    body = [_top(report, rows), _changes(report)]
    body += [_advices("Diagnosis", report.diagnosis), _advices("Prescription", report.prescription)]
    body += [_capability(report, name) for name in rows]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>Audit of {escape(report.target)}</title><style>{style}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )


def _verdict(report: Report, name: str) -> str:
    return report.multi_agent if name == "agents" else report.capabilities[name]


def _mark(verdict: str) -> str:
    return f'<span class="verdict">{MARKS[verdict][0]} {verdict.replace("_", " ")}</span>'


def _top(report: Report, rows: list[str]) -> str:
    contact = report.contact
    summary = contact.message or (
        f"{contact.answer_chars} characters in {contact.pieces} pieces and {contact.took_s:.1f} s; "
        + {True: "always the same answer", False: "a different answer each time", None: ""}[contact.deterministic]
    )
    cards = []
    for name in rows:
        score, verdict = report.scores[name], _verdict(report, name)
        tried = score.passed + score.failed + score.inconclusive
        cards.append(
            f'<a class="score {verdict}" href="#{name}"><b>{NAMES[name]}</b>{_mark(verdict)} '
            f'<span class="soft">{score.passed} of {tried}</span></a>'
        )
    return (
        f'<header><p class="soft">Audit of a chat endpoint</p><h1>{escape(report.target)}</h1>'
        f'<p class="soft">as {escape(report.driver)} · {escape(when(report.began))} · {report.requests} requests in '
        f'{report.took_s:.0f} s</p><p>{escape(summary)}</p><p class="sum">{escape(in_words(report))}</p></header><div class="scores">{"".join(cards)}</div>'
    )


def when(moment: str) -> str:
    """A moment for people, from RFC 3339: ``23 November 2026, 05:06 UTC``. Anything else stays as it is."""
    try:
        at = datetime.datetime.fromisoformat(moment).astimezone(datetime.UTC)
    except ValueError:
        return moment
    return f"{at.day} {MONTHS[at.month - 1]} {at.year}, {at:%H:%M} UTC"


def in_words(report: Report) -> str:
    """The three verdicts as a sentence or two, and how many probes passed."""
    if report.contact.state != "ok":
        return "Nothing was broken, so nothing can be said about the three capabilities."
    sentences = []
    for verdict, (one, many) in SAYS.items():
        names = [NAMES[name] for name in CAPABILITIES if report.capabilities[name] == verdict]
        if names:
            every = len(names) == len(CAPABILITIES)
            who = "All three capabilities" if every else " and ".join([names[0], *(n.lower() for n in names[1:])])
            sentences.append(f"{who} {one if len(names) == 1 else many}.")
    tried = sum(score.passed + score.failed + score.inconclusive for score in report.scores.values())
    passed = sum(score.passed for score in report.scores.values())
    return f"{' '.join(sentences)} Of {tried} probes, {passed} passed."


def _advices(title: str, advices: list[Advice]) -> str:
    if not advices:
        return ""
    parts = []
    for advice in advices:
        code = f"<pre>{escape(advice.code)}</pre>" if advice.code else ""
        links = " ".join(f'<a href="#{escape(id_)}">{escape(id_)}</a>' for id_ in advice.because[:8])
        why = f'<p class="soft">Rests on {links}</p>' if links and title == "Diagnosis" else ""
        parts.append(f'<div class="advice"><b>{escape(advice.name)}</b><p>{escape(advice.text)}</p>{code}{why}</div>')
    return f"<section><h2>{title}</h2>{''.join(parts)}</section>"


def _changes(report: Report) -> str:
    if not report.before:
        return ""
    titles = {finding.id: finding.title for finding in report.probes}
    rows = "".join(
        f'<li><a href="#{escape(c["probe"])}">{escape(titles.get(c["probe"], c["probe"]))}</a> '
        f"<span>{_verdict_mark(c['before'])} → {_verdict_mark(c['now'])}</span></li>"
        for c in report.changed
    )
    changes = f'<ul class="changes">{rows}</ul>' if rows else "<p>No probe has another verdict than then.</p>"
    return f"<section><h2>Since {escape(when(report.before))}</h2>{changes}</section>"


def _verdict_mark(verdict: str) -> str:
    shown_verdict = verdict if verdict in MARKS else "not_applicable"
    return f'<span class="{shown_verdict}">{_mark(shown_verdict)}</span>'


def _capability(report: Report, name: str) -> str:
    findings = [finding for finding in report.probes if finding.capability == name]
    return f'<section id="{name}"><h2>{NAMES[name]}</h2>{"".join(_finding(f) for f in by_gravity(findings))}</section>'


def _finding(finding: Finding) -> str:
    facts = [("Did", finding.did), ("Expected", finding.expected), ("Saw", finding.saw)]
    facts += [(name.replace("_", " "), f"{value:g}") for name, value in finding.measured.items()]
    details = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts)
    evidence = "".join(f"<pre>{escape(text)}</pre>" for text in finding.evidence)
    drawn = diagram(finding) if finding.verdict != "not_applicable" else ""
    drawn = f'<div class="wide">{drawn}</div>' if drawn else ""
    opened = " open" if finding.verdict == "fail" and not finding.lacks else ""
    return (
        f'<details class="{finding.verdict}" id="{escape(finding.id)}"{opened}><summary>{_mark(finding.verdict)}'
        f"<span>{escape(finding.title)}</span><code>{escape(finding.id)}</code></summary>"
        f'<div class="inside"><dl>{details}</dl>{drawn}{evidence}</div></details>'
    )
