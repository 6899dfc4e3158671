"""Which model answers a call: what a router is told of a request, and an exchange that goes where the router says.

When every upstream of the routed model fails before anything was given, the model that the route names ``instead`` answers;
attempts go on counting, so that each has its row.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from msgspec import structs

from holdfast.errors import Refused, Unavailable
from holdfast.gateway.answers import CallerAnswer, Headers
from holdfast.gateway.exchange import UpstreamExchange
from holdfast.gateway.incoming import Incoming
from holdfast.gateway.port import BrakeNews, Meter, ModelCall, RequestFacts, Route, Router, Served
from holdfast.gateway.route_events import RouteEvents
from holdfast.gateway.shadow import DigestedAnswer
from holdfast.gateway.upstreams import Upstreams
from holdfast.gateway.wires import RESPONSES

_IMAGE: Final = re.compile(rb'"(?:image_url|input_image|image|input_file|file|document)"')
"""A part of a message that is no text. A text that has these letters counts as one: then a model that sees is taken."""
_TOOLS: Final = ("tools", "functions")
_ELSEWHERE: Final = ("previous_response_id", "conversation")
"""What names something that only one provider keeps."""
_DATED: Final = re.compile(r"[-@]?(?:\d{4}-?\d{2}-?\d{2}|\d{8}|latest|\d{3,4})")
"""What providers put after a name: the version of the model that the name means now."""


def facts_of(incoming: Incoming) -> RequestFacts:
    """What a router is told of a request."""
    fields = incoming.fields
    tools = any(bytes(raw) not in (b"null", b"[]") for name in _TOOLS if (raw := fields.get(name)) is not None)
    images = any(
        _IMAGE.search(memoryview(raw)) is not None
        for name in ("messages", "input")
        if (raw := fields.get(name)) is not None
    )
    elsewhere = incoming.wire is RESPONSES and any(name in fields for name in _ELSEWHERE)
    return RequestFacts(
        incoming.wire.shape, incoming.text_bytes, tools, images, replays=incoming.wire.streams and not elsewhere
    )


def is_other(names: set[str], served: str) -> bool:
    """Whether what a provider says answered is another model than any of these names: a version of one of them is not."""
    plain = served.rpartition("/")[2]
    for name in names:
        base = name.rpartition("/")[2]
        if plain == base or (plain.startswith(base) and _DATED.fullmatch(plain[len(base) :])):
            return False
    return True


class RoutedExchange(UpstreamExchange):
    """One call on its way to the model that a router chose.

    Args:
        own: where its answer goes while a shadow has the same request; told when it is over.
    """

    def __init__(
        self, upstreams: Upstreams, meter: Meter, incoming: Incoming, call: ModelCall, answer: CallerAnswer,
        now_ms: Callable[[], int], keep: Callable[[Served], None], news: Callable[[BrakeNews], None], route: Route,
        router: Router, events: RouteEvents, own: DigestedAnswer | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            upstreams.only(route.upstreams), meter, incoming, call, own or answer, now_ms, self._heard_by(keep), news
        )
        self._all = upstreams
        self._route = route
        self._router = router
        self._events = events
        self._own = own
        self._fell_back = False

    def _heard_by(self, keep: Callable[[Served], None]) -> Callable[[Served], None]:
        def hear(served: Served) -> None:
            keep(served)
            models = list(dict.fromkeys(one.model for one in served.billed if one.model))
            if served.outcome in ("failed", "refused") or not self._route.id:
                return
            names = {self._incoming.model} | {
                theirs for state in self._all.states if (theirs := state.upstream.serves(self._incoming.model))
            }
            other = any(is_other(names, model) for model in models)
            self._router.served(self._call, self._route, models, other=other, fell_back=self._fell_back)
            if other or self._fell_back:
                self._events.served(self._call, self._route, models, other=other, fell_back=self._fell_back)

        return hear

    async def run(self) -> None:
        """See ``UpstreamExchange``."""
        try:
            await self._run_or_fall_back()
        finally:
            if self._own is not None:
                self._own.over.set()

    async def _run_or_fall_back(self) -> None:
        route, answer = self._route, self._answer
        if not route.instead or route.instead == route.model:
            return await super().run()
        holding = _HeldAnswer(answer)
        self._answer = holding
        self._waits = False  # for a slot: another model may answer at once
        try:
            await super().run()
            if not holding.refused:
                return None
        except (Unavailable, Refused) as error:
            if self._left or answer.started or not _of_upstreams(error):
                raise
        self._answer = answer
        self._fell_back = self._waits = True
        self._incoming.model = route.instead
        self._call = structs.replace(self._call, model=route.instead)
        self._upstreams = self._all.only(route.instead_upstreams)
        return await super().run()


def _of_upstreams(error: Unavailable | Refused) -> bool:
    """Whether another model may do better: the store and budgets say the same of every model."""
    return error.code in ("model.unknown", "price.missing", "timeout", "server.busy") or error.code.startswith(
        "upstream."
    )


class _HeldAnswer:
    """The caller's answer, to which an upstream's failure is not given: another model is asked first."""

    def __init__(self, answer: CallerAnswer) -> None:
        self._answer = answer
        self.refused = False

    @property
    def started(self) -> bool:
        """See ``CallerAnswer``."""
        return self._answer.started

    def restart(self) -> None:
        """See ``CallerAnswer``."""
        self._answer.restart()

    async def feed(self, data: bytes, headers: Headers) -> None:
        """See ``CallerAnswer``."""
        await self._answer.feed(data, headers)

    async def end(self, headers: Headers) -> None:
        """See ``CallerAnswer``."""
        await self._answer.end(headers)

    async def fail(self, ending: bytes) -> None:
        """See ``CallerAnswer``."""
        await self._answer.fail(ending)

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """See ``CallerAnswer``."""
        if status >= 500 or status in (404, 408, 429):
            self.refused = True
        else:
            await self._answer.whole(status, headers, body)
