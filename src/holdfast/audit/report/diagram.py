"""A probe's timeline as a sequence diagram: inline SVG that follows the page's colours."""

from __future__ import annotations

from typing import Final

from holdfast.audit.finding import Finding, Step
from holdfast.visible import visible_html as escape

COLUMN: Final = 190
ROW: Final = 34
TOP: Final = 44
LEFT: Final = 64
MAX_STEPS: Final = 40
LABEL_CHARS: Final = 44


def diagram(finding: Finding) -> str:
    """The SVG of what happened, or nothing when nothing did."""
    steps = _shown(finding.timeline)
    if not steps:
        return ""
    people = _people(steps)
    at = {name: LEFT + COLUMN // 2 + COLUMN * number for number, name in enumerate(people)}
    width, height = LEFT + COLUMN * len(people), TOP + ROW * len(steps) + 16
    parts = [
        f'<svg class="sequence" viewBox="0 0 {width} {height}" role="img" style="min-width:{min(width, 640)}px"'
        f' aria-label="{escape(finding.title)}: what happened, in order">'
    ]
    for name, x in at.items():
        parts.append(f'<text class="who" x="{x}" y="18" text-anchor="middle">{escape(name)}</text>')
        parts.append(f'<line class="life" x1="{x}" y1="28" x2="{x}" y2="{height - 6}"/>')
    parts += [_step(step, TOP + ROW * number + ROW // 2, at) for number, step in enumerate(steps)]
    return "".join(parts) + "</svg>"


def _shown(timeline: list[Step]) -> list[Step]:
    """All steps, or the first and the last of many."""
    if len(timeline) <= MAX_STEPS:
        return timeline
    half = MAX_STEPS // 2
    gap = Step(at_s=timeline[half].at_s, source="audit", target="audit", what="…")
    return [*timeline[:half], gap, *timeline[-half:]]


def _people(steps: list[Step]) -> list[str]:
    """Who takes part: clients on the left, the endpoint on the right."""
    names = list(dict.fromkeys(name for step in steps for name in (step.source, step.target)))
    outside = [name for name in names if name in ("network", "audit")]
    clients = [name for name in names if name not in ("network", "audit", "endpoint")]
    return [*clients, *outside, *(["endpoint"] if "endpoint" in names else [])]


def _step(step: Step, y: int, at: dict[str, int]) -> str:
    start, end = at[step.source], at[step.target]
    kind = "fault" if step.fault else "step"
    label = step.what if len(step.what) <= LABEL_CHARS else step.what[: LABEL_CHARS - 1] + "…"
    time = f'<text class="at" x="4" y="{y + 4}">{step.at_s:.2f} s</text>'
    if start == end:
        return f'{time}<text class="{kind}" x="{start}" y="{y}" text-anchor="middle">{escape(label)}</text>'
    head = -7 if end > start else 7
    arrow = f"M{end},{y} l{head},-4 v8 z"
    cross = ""
    if step.fault:
        middle = (start + end) // 2
        cross = f'<path class="cross" d="M{middle - 6},{y - 6} l12,12 m0,-12 l-12,12"/>'
    return (
        f'{time}<g class="{kind}"><title>{escape(step.what)}</title><line x1="{start}" y1="{y}" x2="{end}" y2="{y}"/>'
        f'<path d="{arrow}"/>{cross}'
        f'<text x="{(start + end) // 2}" y="{y - 7}" text-anchor="middle">{escape(label)}</text></g>'
    )
