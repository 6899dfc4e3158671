"""Intake: ideas, what people answer of them, and their way to a registered workflow."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import msgspec
from sqlalchemy import Connection

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.store.store import Store
from holdfast.governance.workflows import idea_store as store
from holdfast.governance.workflows.model import CurrentWorkflow
from holdfast.governance.workflows.service import Workflows
from holdfast.governance.workflows.triage import TEMPLATE, Idea, TriageRequest, answered, triage


class Intake:
    """The ideas of a store.

    Args:
        database: the store.
        workflows: where an idea is registered.
        now_ms: the clock, Unix ms.
    """

    def __init__(self, database: Store, workflows: Workflows, now_ms: Callable[[], int]) -> None:
        self._store = database
        self._workflows = workflows
        self._now_ms = now_ms

    async def add(self, name: str, title: str, *, by: str, tenant: str = "default") -> Idea:
        """Put an idea on record. Raises ``workflow.invalid`` for a name that is taken or no name."""
        if not 1 <= len(name) <= limits.ORG_NAME_CHARS or len(title) > limits.WORKFLOW_TEXT_CHARS:
            raise Refused("workflow.invalid", f"an idea has a name of 1 to {limits.ORG_NAME_CHARS} characters")
        now_ms = self._now_ms()
        idea = Idea(
            id=f"i-{secrets.token_hex(8)}", tenant=tenant, name=name, title=title, by=by, at_ms=now_ms, changed_ms=now_ms
        )  # fmt: skip
        if not await self._store.write(lambda connection: store.add(connection, idea)):
            raise Refused("workflow.invalid", f"there is an idea {name!r} already, or {limits.IDEAS:,} of them")
        return idea

    async def answer(self, name: str, request: TriageRequest, *, by: str, tenant: str = "default") -> Idea:
        """Put answers on record, each with who and when. Raises ``workflow.not_found``, ``workflow.invalid``."""
        now_ms = self._now_ms()

        def put(connection: Connection) -> Idea:
            idea = answered(_found(store.find(connection, tenant, name), name), request, by, now_ms)
            store.put(connection, idea)
            return idea

        return await self._store.write(put)

    async def listed(self, tenant: str = "default") -> list[Idea]:
        """Ideas, the newest first."""
        return await self._store.read(lambda connection: store.page(connection, tenant))

    async def templates(self, tenant: str = "default") -> list[dict[str, int | str | None]]:
        """``{name, template}`` of every idea that somebody answered: whether its value was taken over from coding."""
        ideas, now_ms = await self.listed(tenant), self._now_ms()
        return [
            {"name": one.name, "template": int(TEMPLATE in triage(one, now_ms).warnings)}
            for one in ideas
            if one.answers
        ]

    async def register(
        self, name: str, *, by: str, tenant: str = "default", owner: str = "", unit: str = "", reason: str = ""
    ) -> tuple[Idea, CurrentWorkflow]:
        """Make a workflow of an idea, registered and without a manifest yet. Twice is once.

        Raises:
            Refused: ``workflow.not_found``; ``workflow.invalid`` for what is prohibited, and for what does not suit yet unless
                a reason is given; of ``Workflows.register``.
        """
        idea = _found(await self._store.read(lambda connection: store.find(connection, tenant, name)), name)
        result = triage(idea, self._now_ms())
        if result.risk == "prohibited":
            raise Refused("workflow.invalid", f"idea {name!r}: {result.sentence}")
        if result.verdict == "does_not_suit_yet" and not reason:
            raise Refused(
                "workflow.invalid", f"idea {name!r}: {result.sentence}",
                fix="Answer what is open, change what fails, or give a reason to register it all the same.",
            )  # fmt: skip
        made = await self._workflows.register(
            tenant, idea.name, by=by, reason=reason or result.sentence, owner=owner, unit=unit
        )
        now_ms = self._now_ms()
        done = msgspec.structs.replace(idea, state="registered", workflow=made.workflow, changed_ms=now_ms)
        if idea.state != "registered":
            await self._store.write(lambda connection: store.put(connection, done))
        return done, made


def _found(idea: Idea | None, name: str) -> Idea:
    if idea is None:
        raise Refused("workflow.not_found", f"there is no idea {name!r:.140}")
    return idea
