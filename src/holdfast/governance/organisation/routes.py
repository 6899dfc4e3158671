"""The routes of the organisation, below ``/v1/x/governance/organisation``."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.extensions import ExtensionRoute
from holdfast.governance.actions import routes_of
from holdfast.governance.organisation.actions import ACTIONS, ROOT
from holdfast.governance.organisation.service import Organisation


def routes(organisation: Organisation) -> Sequence[ExtensionRoute]:
    """One for each action."""
    return routes_of(ROOT, ACTIONS, organisation)
