"""The routes of the moves: which there are, and playing one on a copy of the company's store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from holdfast.company.cheats.catalogue import BY_MOVE, MOVES
from holdfast.company.cheats.move import MovePlayed
from holdfast.company.cheats.rehearsal import rehearsing
from holdfast.edge.config import Settings
from holdfast.errors import Refused
from holdfast.extensions import Extension, ExtensionRoute, ExtensionSettings, RouteCall, Services
from holdfast.governance.extension import GovernanceExtension

ROOT: Final = "/v1/x/company/cheats"


class CheatsExtension(Extension):
    """Beside governance on a demo company's server.

    Args:
        governance: whose store is copied.
    """

    name = "cheats"

    def __init__(self, governance: GovernanceExtension, server: Settings) -> None:
        super().__init__(ExtensionSettings(), server)
        self._governance = governance
        self._playing = asyncio.Lock()

    def routes(self, services: Services) -> Sequence[ExtensionRoute]:
        """See ``Extension``."""
        return [
            ExtensionRoute("GET", ROOT, "Ways to cheat that can be tried", self._list, verb="audit"),
            ExtensionRoute("POST", ROOT + "/{name}", "Try to cheat, on a copy of the store", self._play, verb="audit"),
        ]

    async def _list(self, call: RouteCall) -> dict[str, Any]:
        return {"moves": [move.facts for move in MOVES]}

    async def _play(self, call: RouteCall) -> MovePlayed:
        name = call.request.path_params["name"]
        move = BY_MOVE.get(name)
        if move is None:
            raise Refused("gate.not_found", f"nobody cheats by {name!r:.40}: {', '.join(BY_MOVE)}")
        assert self._governance.governance is not None  # it was asked for its routes before
        async with self._playing, rehearsing(self._governance.governance.store) as rehearsal:
            return await move(rehearsal).play()
