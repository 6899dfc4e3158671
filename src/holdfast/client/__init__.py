"""The client: one connection, many sessions. Knows the protocol only."""

from typing import TYPE_CHECKING

from holdfast.exports import exported as _exported

__all__ = [
    "Attachment",
    "Blobs",
    "Client",
    "Cursor",
    "Dialer",
    "Event",
    "Events",
    "ListCallback",
    "LiveView",
    "PresenceCallback",
    "Producer",
    "Run",
    "Session",
    "SessionList",
    "Snapshot",
    "Start",
    "Status",
    "TokenSource",
    "View",
    "ViewCallback",
]

if TYPE_CHECKING:
    from holdfast.client.blobs import Blobs as Blobs
    from holdfast.client.client import Client as Client
    from holdfast.client.connection import Status as Status
    from holdfast.client.events import Events as Events
    from holdfast.client.feed import Snapshot as Snapshot
    from holdfast.client.feed import Start as Start
    from holdfast.client.live import LiveView as LiveView
    from holdfast.client.live import ViewCallback as ViewCallback
    from holdfast.client.producer import Producer as Producer
    from holdfast.client.run import Run as Run
    from holdfast.client.session import PresenceCallback as PresenceCallback
    from holdfast.client.session import Session as Session
    from holdfast.client.token import TokenSource as TokenSource
    from holdfast.client.transport import Dialer as Dialer
    from holdfast.client.watch import ListCallback as ListCallback
    from holdfast.client.watch import SessionList as SessionList
    from holdfast.protocol.events import Event as Event
    from holdfast.protocol.fold import View as View
    from holdfast.protocol.wire import Attachment as Attachment
    from holdfast.protocol.wire import Cursor as Cursor
else:
    __getattr__, __dir__ = _exported(
        __name__,
        {
            "ViewCallback": "holdfast.client.live",
            "PresenceCallback": "holdfast.client.session",
            "ListCallback": "holdfast.client.watch",
            "Attachment": "holdfast.protocol.wire",
            "Blobs": "holdfast.client.blobs",
            "Client": "holdfast.client.client",
            "Cursor": "holdfast.protocol.wire",
            "Dialer": "holdfast.client.transport",
            "Event": "holdfast.protocol.events",
            "Events": "holdfast.client.events",
            "LiveView": "holdfast.client.live",
            "Producer": "holdfast.client.producer",
            "Run": "holdfast.client.run",
            "Session": "holdfast.client.session",
            "SessionList": "holdfast.client.watch",
            "Snapshot": "holdfast.client.feed",
            "Start": "holdfast.client.feed",
            "Status": "holdfast.client.connection",
            "TokenSource": "holdfast.client.token",
            "View": "holdfast.protocol.fold",
        },
    )
