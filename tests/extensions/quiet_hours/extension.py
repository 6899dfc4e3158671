"""Quiet hours: while the house is closed nobody writes to an agent, and some words need a person's approval.

Beside the port it uses two seams that need none: it reads the feed under a name of its own, and it records usage.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from pydantic import Field

from holdfast.edge.config import Settings
from holdfast.edge.extensions.port import Extension, ExtensionSettings
from holdfast.edge.extensions.route import ExtensionRoute, RouteCall
from holdfast.edge.extensions.services import Services
from holdfast.edge.extensions.static_pages import ExtensionPages
from holdfast.engines.port import Notice
from holdfast.errors import HoldfastError
from holdfast.protocol import limits, wire
from holdfast.protocol.events import USAGE_RECORDED, Draft
from holdfast.session.access import Principal, full_access
from holdfast.session.policy import Allow, DefaultPolicy, Deny, Facts, Policy, RequireApproval, Verdict

CONSUMER = "quiet-hours"
RECORDER = "policy:quiet-hours"


class QuietSettings(ExtensionSettings):
    """HOLDFAST_QUIET_HOURS_…"""

    closed: bool = Field(default=False, description="Nobody writes to an agent.")
    words: tuple[str, ...] = Field(default=(), description="Words that a person has to approve.")
    links: bool = Field(default=False, description="The page may be opened by a link with a token in it.")


class Bill(msgspec.Struct, forbid_unknown_fields=True):
    """What a model provider has billed."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.NAME_CHARS)]
    input_tokens: wire.Count
    output_tokens: wire.Count


class QuietPolicy(DefaultPolicy):
    """What is not said while the house is closed, and what is not said without a person's approval."""

    def __init__(self, settings: QuietSettings) -> None:
        self._settings = settings

    def judge(self, facts: Facts, principal: Principal, command: wire.Op) -> Verdict:
        if not isinstance(command, wire.Send):
            return Allow()
        if self._settings.closed:
            return Deny("policy.denied", "the house is closed")
        found = [word for word in self._settings.words if word in command.text]
        return RequireApproval("quiet words", f"it says {found[0]}") if found else Allow()


class FeedCounter:
    """A consumer of the feed: counts notices by type, and stores how far it has read."""

    def __init__(self, services: Services) -> None:
        self._hub = services.hub
        self._fresh = services.hub.news.listen()
        self.counts: dict[str, int] = {}
        self.news = asyncio.Event()

    async def run(self) -> None:
        """Read on until it is cancelled; what was read before a restart is not read again."""
        engine = self._hub.engine
        position = next((c.position for c in await engine.consumers() if c.name == CONSUMER), None)
        if position is None:
            position = await engine.feed_end()
            await engine.advance(CONSUMER, position)
        while True:
            self._fresh.clear()
            page = await self._hub.engine.feed(position, 100)
            for notice in page.notices:
                self._count(notice)
            position = page.position
            await engine.advance(CONSUMER, position)
            self.news.set()
            if not page.notices:
                await self._fresh.wait()

    def _count(self, notice: Notice) -> None:
        type_ = str(notice.data["type"])
        self.counts[type_] = self.counts.get(type_, 0) + 1


def quiet_words(text: str) -> None:
    """Say whether a text would need an approval."""
    settings = QuietSettings(words=("launch",))
    typer.echo("needs an approval" if any(word in text for word in settings.words) else "goes through")


class QuietHours(Extension):
    """Everything at once."""

    name = "quiet_hours"
    settings_type = QuietSettings

    def __init__(self, settings: QuietSettings, server: Settings) -> None:
        super().__init__(settings, server)
        if settings.links and "HS256" not in server.algorithms:
            raise HoldfastError("config.invalid", "quiet_hours cannot make links: this server signs no tokens")
        self.counter: FeedCounter
        self._task: asyncio.Task[None] | None = None
        self.steps: list[str] = []

    @classmethod
    def commands(cls) -> Mapping[str, Callable[..., Any]]:
        return {"quiet-words": quiet_words}

    def policy(self) -> Policy | None:
        return QuietPolicy(self.settings)

    def routes(self, services: Services) -> Sequence[ExtensionRoute]:
        self._services = services
        bills = "/v1/x/quiet_hours/sessions/{session}/bills"
        return (
            ExtensionRoute("POST", bills, "Record what was billed", self.bill, "record", body=Bill, body_bytes=2_000, status=201),
            ExtensionRoute("GET", "/v1/x/quiet_hours/report", "What happened since the start", self.report),
        )  # fmt: skip

    def pages(self) -> Sequence[ExtensionPages]:
        return (
            ExtensionPages("/quiet", Path(__file__).parent / "pages", {"img-src": ("'self'", "https://img.example")}),
        )

    async def start(self, services: Services) -> None:
        self.counter = FeedCounter(services)
        self._task = asyncio.create_task(self.counter.run())
        await self.counter.news.wait()

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    async def bill(self, call: RouteCall) -> dict[str, Any]:
        """A recorder: the event is written by ``RECORDER``, whoever brought the bill."""
        session = call.request.path_params["session"]
        draft = Draft(USAGE_RECORDED, {**msgspec.to_builtins(call.body), "by": call.principal.actor})
        recorder = full_access(call.principal.tenant, RECORDER)
        return await self._services.execute(recorder, wire.Append(session=session, events=[draft]))

    async def report(self, call: RouteCall) -> dict[str, Any]:
        return {"counts": self.counter.counts}
