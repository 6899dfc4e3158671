"""What an extension of a server is written with; see docs/howto/extensions.md."""

from holdfast.edge.extensions.mount import ExtensionMount
from holdfast.edge.extensions.port import Extension, ExtensionSettings
from holdfast.edge.extensions.route import ExtensionRoute, RouteCall
from holdfast.edge.extensions.services import Services
from holdfast.edge.extensions.static_pages import ExtensionPages
from holdfast.protocol import wire
from holdfast.protocol.events import Draft
from holdfast.session.access import Principal, full_access
from holdfast.session.policy import Allow, DefaultPolicy, Deny, Facts, Policy, RequireApproval, Stop

__all__ = [
    "Allow",
    "DefaultPolicy",
    "Deny",
    "Draft",
    "Extension",
    "ExtensionMount",
    "ExtensionPages",
    "ExtensionRoute",
    "ExtensionSettings",
    "Facts",
    "Policy",
    "Principal",
    "RequireApproval",
    "RouteCall",
    "Services",
    "Stop",
    "full_access",
    "wire",
]
