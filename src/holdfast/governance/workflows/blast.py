"""Blast radius: what a workflow could do wrong, and how fast. Pure.

It is no score: a sentence and a small table, for whoever approves something that the workflow does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from holdfast.governance.money import show
from holdfast.governance.workflows.model import DATA_CLASSES, UNCLASSED, CurrentWorkflow, ToolEffect

DAYS: Final = 28
"""Of spend and of runs that are looked at."""
_NAMED: Final = 3
"""Tools that the sentence names; the table has all."""


class BlastTool(msgspec.Struct, frozen=True):
    """A tool that the manifest names or a run called.

    Attributes:
        effect: what it counts as; ``classed``: whether somebody said so.
        declared: whether the manifest names it, under which ``limit``.
        calls: of it in the last days.
    """

    tool: str
    effect: ToolEffect
    classed: bool
    declared: bool
    limit: str
    calls: int


class BlastRadius(msgspec.Struct, frozen=True, kw_only=True):
    """What a workflow could do.

    Attributes:
        data_class: the highest class of its declared data; empty where none is declared.
        spend_nano: of ``DAYS`` days, nano-USD; ``unpriced`` rows are not in it.
        runs: in these days, test runs left out.
        sentence: all of it for people.
    """

    workflow: str
    version: str
    tools: tuple[BlastTool, ...]
    data_class: str
    sources: tuple[str, ...]
    spend_nano: int
    unpriced: int
    runs: int
    days: int
    sentence: str

    @property
    def writing(self) -> list[BlastTool]:
        """The tools that count as writing."""
        return [one for one in self.tools if one.effect == "write"]

    @property
    def unpaid_sentence(self) -> str:
        """The sentence for those who may not know what is spent: without any amount, and what is left out is not hinted at."""
        return _sentence(self.workflow, self.tools, self.data_class, self.runs, "")


def blast_radius(
    one: CurrentWorkflow, classes: Mapping[str, ToolEffect], calls: Mapping[str, int], *, runs: int, spend_nano: int,
    unpriced: int = 0,
) -> BlastRadius:  # fmt: skip
    """What a workflow could do.

    Args:
        classes: what tools were classed as.
        calls: of tools in the last ``DAYS`` days; those that no manifest names, too.
        runs: in these days.
    """
    declared = {tool.name: tool.limit for tool in one.manifest.tools} if one.manifest is not None else {}
    tools = tuple(
        BlastTool(
            name, classes.get(name, UNCLASSED), name in classes, name in declared, declared.get(name, ""),
            calls.get(name, 0),
        )
        for name in sorted(declared.keys() | calls.keys())
    )  # fmt: skip
    data = one.manifest.data if one.manifest is not None else ()
    highest = max((DATA_CLASSES.index(source.data_class) for source in data), default=-1)
    data_class = DATA_CLASSES[highest] if highest >= 0 else ""
    return BlastRadius(
        workflow=one.workflow, version=one.version, tools=tools, data_class=data_class,
        sources=tuple(source.source for source in data), spend_nano=spend_nano, unpriced=unpriced, runs=runs, days=DAYS,
        sentence=_sentence(one.workflow, tools, data_class, runs, _cost(spend_nano, unpriced)),
    )  # fmt: skip


def _cost(spend_nano: int, unpriced: int) -> str:
    beside = f", beside {unpriced:,} rows without a price" if unpriced else ""
    return f" and cost {show(spend_nano)} USD in {DAYS} days{beside}"


def _sentence(workflow: str, tools: Sequence[BlastTool], data_class: str, runs: int, cost: str) -> str:
    writing = [one for one in tools if one.effect == "write"]
    unclassed = sum(not one.classed for one in tools)
    undeclared = [one.tool for one in tools if not one.declared]
    parts = []
    if writing:
        named = ", ".join(one.tool for one in writing[:_NAMED]) + (" and more" if len(writing) > _NAMED else "")
        parts.append(f"writes with {len(writing)} tool{'s' * (len(writing) > 1)} ({named})")
    else:
        parts.append("writes with no tool" if tools else "calls no tool that is known")
    if unclassed:
        parts.append(f"{unclassed} of its tools nobody has classed")
    if undeclared:
        parts.append(f"its runs called {', '.join(undeclared[:_NAMED])}, which its manifest does not name")
    if any(one.effect == "memory" for one in tools):
        parts.append("reads what other sessions left")
    parts.append(f"reads {data_class} data" if data_class else "does not declare what data it reads")
    parts.append(f"ran {_rate(runs)}{cost}")
    return f"{workflow} " + "; ".join(parts) + "."


def _rate(runs: int) -> str:
    if runs >= DAYS:
        return f"{runs / DAYS:.1f} times a day"
    return f"{'not at all' if not runs else 'once' if runs == 1 else f'{runs} times'} in {DAYS} days"
