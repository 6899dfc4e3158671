"""Who reads the feed under a name, and whether they get on: what they have not read is kept for them, however much it is.

A consumer that has left too much unread, or for too long, is overdue: the log says so once, a metric counts it, and operators
see which. It is never let go by itself; somebody has to release it. The feed is of the whole server, and so are its
consumers; nothing here says anything of what stands in it.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from holdfast.edge.listener import Listener
from holdfast.edge.operators import require_operator
from holdfast.edge.request import Requests, json_response
from holdfast.engines.port import Consumer
from holdfast.errors import HoldfastError, Refused
from holdfast.protocol import limits
from holdfast.session.access import Principal
from holdfast.visible import logger

log = logger("holdfast.edge")

COUNT: Final = "count"
AGE: Final = "age"


def overdue(consumer: Consumer, now_ms: int) -> str | None:
    """Why a consumer is overdue: the ``count`` of notices it has not read, the ``age`` of the oldest; None when it is not."""
    if consumer.unread > limits.CONSUMER_UNREAD:
        return COUNT
    if consumer.oldest_ms is not None and now_ms - consumer.oldest_ms > limits.CONSUMER_UNREAD_S * 1_000:
        return AGE
    return None


class Consumers:
    """Looks at them now and then, and lets operators look and release.

    Attributes:
        unread: notices that the slowest has not read, when they were last looked at.
        overdue: how many were overdue then.
    """

    def __init__(self, listener: Listener, requests: Requests) -> None:
        self._hub = listener.hub
        self._listener = listener
        self._requests = requests
        self._task: asyncio.Task[None] | None = None
        self._reported: set[str] = set()  # overdue, and in the log already
        self.unread = 0
        self.overdue = 0

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        return [
            Route("/v1/consumers", self.listing, methods=["GET"]),
            Route("/v1/consumers/{consumer}", self.release, methods=["DELETE"]),
        ]

    # --- looking now and then
    async def start(self) -> None:
        """Look, and go on looking."""
        with contextlib.suppress(HoldfastError):
            await self.look()
        self._task = self._hub.runtime.loop.create_task(self._run(), name="holdfast consumers")

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(limits.CONSUMERS_S)
            try:
                await self.look()
            except HoldfastError as error:
                log.warning("consumers of the feed: %s", error.code)

    async def look(self) -> list[dict[str, Any]]:
        """Every consumer as operators see it; one that became overdue is in the log from now on."""
        now_ms = self._hub.clock.wall_ms()
        found = [(consumer, overdue(consumer, now_ms)) for consumer in await self._hub.engine.consumers()]
        late = {consumer.name: consumer for consumer, why in found if why is not None}
        for name in sorted(late.keys() - self._reported):
            words = (
                "consumer %s of the feed is overdue: %d notices it has not read are kept for it; `holdfast consumers`"
            )
            log.warning(words, name, late[name].unread)
        self._reported = set(late)
        self.unread = max((consumer.unread for consumer, _ in found), default=0)
        self.overdue = len(late)
        return [
            {"consumer": consumer.name, "unread": consumer.unread, "oldest_ms": consumer.oldest_ms, "overdue": why}
            for consumer, why in found
        ]

    # --- for operators
    def _require_owner(self, request: Request) -> Principal:
        """An operator of the tenant that looks after the server: an operator of another must not let go of its words."""
        principal = require_operator(self._requests, request)
        if principal.tenant != self._listener.settings.operator_tenant:
            raise Refused(
                "auth.denied", "consumers are of the whole server; this needs an operator of HOLDFAST_OPERATOR_TENANT"
            )
        return principal

    async def listing(self, request: Request) -> Response:
        """Who reads the feed: `{consumers: [{consumer, unread, oldest_ms, overdue}], kept}`."""
        self._require_owner(request)
        return json_response({"consumers": await self.look(), "kept": limits.FEED_NOTICES})

    async def release(self, request: Request) -> Response:
        """Forget a consumer: nothing is kept for it any more, and when it comes again it may have missed something."""
        principal = self._require_owner(request)
        name = request.path_params["consumer"]
        if not await self._hub.engine.release(name):
            raise Refused("consumer.not_found", f"no consumer {name!r:.80}")
        log.warning("consumer %s of the feed was released by %s of tenant %s", name, principal.actor, principal.tenant)
        await self.look()
        return json_response({})
