"""Durable sessions between AI agents and the people who use them."""

from typing import TYPE_CHECKING

from holdfast.exports import exported as _exported
from holdfast.version import __version__ as __version__

__all__ = [
    "Approval",
    "ApprovalNeeded",
    "ApprovalResolved",
    "Cursor",
    "EmbeddedHub",
    "Event",
    "Extension",
    "ExtensionPages",
    "ExtensionRoute",
    "ExtensionSettings",
    "Holdfast",
    "HoldfastError",
    "Refused",
    "RunContext",
    "RunEnded",
    "RunFenced",
    "Session",
    "SessionExists",
    "SessionNotFound",
    "Snapshot",
    "ToolDenied",
    "ToolFailed",
    "ToolOutcomeUnknown",
    "Unavailable",
    "View",
    "connect",
]

if TYPE_CHECKING:
    from holdfast.agents.approvals import Approval as Approval
    from holdfast.agents.errors import ToolDenied as ToolDenied
    from holdfast.agents.errors import ToolFailed as ToolFailed
    from holdfast.agents.errors import ToolOutcomeUnknown as ToolOutcomeUnknown
    from holdfast.agents.holdfast import Holdfast as Holdfast
    from holdfast.agents.holdfast import connect as connect
    from holdfast.agents.run import RunContext as RunContext
    from holdfast.client.feed import Snapshot as Snapshot
    from holdfast.client.session import Session as Session
    from holdfast.edge.extensions.port import Extension as Extension
    from holdfast.edge.extensions.port import ExtensionSettings as ExtensionSettings
    from holdfast.edge.extensions.route import ExtensionRoute as ExtensionRoute
    from holdfast.edge.extensions.static_pages import ExtensionPages as ExtensionPages
    from holdfast.embed import EmbeddedHub as EmbeddedHub
    from holdfast.errors import ApprovalNeeded as ApprovalNeeded
    from holdfast.errors import ApprovalResolved as ApprovalResolved
    from holdfast.errors import HoldfastError as HoldfastError
    from holdfast.errors import Refused as Refused
    from holdfast.errors import RunEnded as RunEnded
    from holdfast.errors import RunFenced as RunFenced
    from holdfast.errors import SessionExists as SessionExists
    from holdfast.errors import SessionNotFound as SessionNotFound
    from holdfast.errors import Unavailable as Unavailable
    from holdfast.protocol.events import Event as Event
    from holdfast.protocol.fold import View as View
    from holdfast.protocol.wire import Cursor as Cursor
else:
    __getattr__, __dir__ = _exported(
        __name__,
        {
            "Approval": "holdfast.agents.approvals",
            "ApprovalNeeded": "holdfast.errors",
            "ApprovalResolved": "holdfast.errors",
            "Cursor": "holdfast.protocol.wire",
            "EmbeddedHub": "holdfast.embed",
            "Event": "holdfast.protocol.events",
            "Extension": "holdfast.edge.extensions.port",
            "ExtensionPages": "holdfast.edge.extensions.static_pages",
            "ExtensionRoute": "holdfast.edge.extensions.route",
            "ExtensionSettings": "holdfast.edge.extensions.port",
            "Holdfast": "holdfast.agents.holdfast",
            "HoldfastError": "holdfast.errors",
            "Refused": "holdfast.errors",
            "RunContext": "holdfast.agents.run",
            "RunEnded": "holdfast.errors",
            "RunFenced": "holdfast.errors",
            "Session": "holdfast.client.session",
            "SessionExists": "holdfast.errors",
            "SessionNotFound": "holdfast.errors",
            "Snapshot": "holdfast.client.feed",
            "ToolDenied": "holdfast.agents.errors",
            "ToolFailed": "holdfast.agents.errors",
            "ToolOutcomeUnknown": "holdfast.agents.errors",
            "Unavailable": "holdfast.errors",
            "View": "holdfast.protocol.fold",
            "connect": "holdfast.agents.holdfast",
        },
    )
