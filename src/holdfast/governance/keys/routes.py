"""The routes of the keys, below ``/v1/x/governance/keys``."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.extensions import ExtensionRoute
from holdfast.governance.actions import routes_of
from holdfast.governance.keys.actions import ACTIONS, ROOT
from holdfast.governance.keys.service import GatewayKeys


def routes(keys: GatewayKeys) -> Sequence[ExtensionRoute]:
    """One for each action."""
    return routes_of(ROOT, ACTIONS, keys)
