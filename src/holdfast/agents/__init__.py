"""Agents: the context of a run, and the worker that executes it. Knows the client only."""

from typing import TYPE_CHECKING

from holdfast.exports import exported as _exported

__all__ = [
    "ActivityOut",
    "Agent",
    "Approval",
    "Generator",
    "Holdfast",
    "Input",
    "RunContext",
    "SpawnedRun",
    "StateOut",
    "Steer",
    "StepOut",
    "SubRun",
    "TextOut",
    "Tool",
    "ToolDenied",
    "ToolFailed",
    "ToolOutcomeUnknown",
    "connect",
]

if TYPE_CHECKING:
    from holdfast.agents.approvals import Approval as Approval
    from holdfast.agents.attempt import Steer as Steer
    from holdfast.agents.errors import ToolDenied as ToolDenied
    from holdfast.agents.errors import ToolFailed as ToolFailed
    from holdfast.agents.errors import ToolOutcomeUnknown as ToolOutcomeUnknown
    from holdfast.agents.execution import Agent as Agent
    from holdfast.agents.generator import Generator as Generator
    from holdfast.agents.holdfast import Holdfast as Holdfast
    from holdfast.agents.holdfast import connect as connect
    from holdfast.agents.input import Input as Input
    from holdfast.agents.output import ActivityOut as ActivityOut
    from holdfast.agents.output import StateOut as StateOut
    from holdfast.agents.output import StepOut as StepOut
    from holdfast.agents.output import TextOut as TextOut
    from holdfast.agents.run import RunContext as RunContext
    from holdfast.agents.subruns import SpawnedRun as SpawnedRun
    from holdfast.agents.subruns import SubRun as SubRun
    from holdfast.agents.tools import Tool as Tool
else:
    __getattr__, __dir__ = _exported(
        __name__,
        {
            "ActivityOut": "holdfast.agents.output",
            "Agent": "holdfast.agents.execution",
            "Approval": "holdfast.agents.approvals",
            "Generator": "holdfast.agents.generator",
            "Holdfast": "holdfast.agents.holdfast",
            "Input": "holdfast.agents.input",
            "RunContext": "holdfast.agents.run",
            "SpawnedRun": "holdfast.agents.subruns",
            "StateOut": "holdfast.agents.output",
            "Steer": "holdfast.agents.attempt",
            "StepOut": "holdfast.agents.output",
            "SubRun": "holdfast.agents.subruns",
            "TextOut": "holdfast.agents.output",
            "Tool": "holdfast.agents.tools",
            "ToolDenied": "holdfast.agents.errors",
            "ToolFailed": "holdfast.agents.errors",
            "ToolOutcomeUnknown": "holdfast.agents.errors",
            "connect": "holdfast.agents.holdfast",
        },
    )
