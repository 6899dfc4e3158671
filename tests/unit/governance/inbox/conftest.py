"""A company with an inbox: what is computed of it, and who was told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from holdfast.governance.inbox.assembly import inbox_of
from holdfast.governance.inbox.model import Condition
from holdfast.governance.inbox.service import OwnerInbox
from holdfast.governance.messages.model import Message
from holdfast.governance.store.store import Store
from holdfast.testing import FakeClock
from tests.unit.governance.rollout.conftest import Company


class Things:
    """A source that says what a test lets it say."""

    name = "things"

    def __init__(self) -> None:
        self.found: list[Condition] = []
        self.fails = False

    async def conditions(self, tenant: str, now_ms: int, /) -> Sequence[Condition]:
        if self.fails:
            raise OSError("the disk is gone")
        return list(self.found)


class Letters:
    """A way to tell people that keeps what it was given."""

    name = "mail"

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.works = True

    async def tell(self, message: Message) -> str | None:
        if not self.works:
            return "the server is down"
        self.sent.append(message)
        return None


def thing(key: str = "a", **facts: Any) -> Condition:
    """Something to do."""
    return Condition(
        **{
            "key": key,
            "kind": "work.thing",
            "person": "ann",
            "title": f"thing {key}",
            "why": "it is so",
            "what": "Do it",
            **facts,
        }
    )


@pytest.fixture
def things() -> Things:
    return Things()


@pytest.fixture
def letters() -> Letters:
    return Letters()


@pytest.fixture
async def company(store: Store, clock: FakeClock) -> Company:
    made = Company(store, clock)
    await made.begin()
    return made


@pytest.fixture
def inbox(company: Company, things: Things, letters: Letters) -> OwnerInbox:
    """An inbox with nothing but ``things`` in it."""
    made = OwnerInbox(company.store, company.directory, company.organisation.zone, company.clock.wall_ms, [letters])
    made.sources.append(things)
    return made


@pytest.fixture
def whole(company: Company, letters: Letters) -> OwnerInbox:
    """The inbox with all its sources, and no budgets."""
    return inbox_of(
        company.store, company.organisation, company.directory, company.workflows, company.plan, lambda tenant: (),
        company.clock.wall_ms, [letters],
    )  # fmt: skip
