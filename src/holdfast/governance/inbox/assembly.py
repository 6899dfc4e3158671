"""The inbox of a store with all its sources."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from holdfast.governance.budgets.model import Budget
from holdfast.governance.directory.service import Directory
from holdfast.governance.inbox.service import OwnerInbox
from holdfast.governance.inbox.sources.approvals import ApprovalConditions
from holdfast.governance.inbox.sources.ideas import IdeaConditions
from holdfast.governance.inbox.sources.people import PeopleConditions
from holdfast.governance.inbox.sources.plan import PlanConditions
from holdfast.governance.inbox.sources.requests import RequestConditions
from holdfast.governance.inbox.sources.tools import ToolConditions
from holdfast.governance.inbox.sources.waivers import WaiverConditions
from holdfast.governance.inbox.sources.work import WorkConditions
from holdfast.governance.messages.outbox import Way
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.rollout.service import Rollout
from holdfast.governance.store.store import Store
from holdfast.governance.workflows.service import Workflows


def inbox_of(
    database: Store, organisation: Organisation, directory: Directory, workflows: Workflows, plan: Rollout,
    budgets: Callable[[str], Sequence[Budget]], now_ms: Callable[[], int], ways: Sequence[Way] = (),
) -> OwnerInbox:  # fmt: skip
    """The inbox.

    Args:
        budgets: those of a tenant that hold.
        ways: by which people are told.
    """
    inbox = OwnerInbox(database, directory, organisation.zone, now_ms, ways)
    inbox.sources += [
        PlanConditions(plan, directory),
        PeopleConditions(workflows, directory, lambda tenant: plan.profile(tenant).of("6.a")),
        RequestConditions(database, budgets),
        WaiverConditions(plan, directory),
        IdeaConditions(database),
        WorkConditions(database, workflows, directory),
        ToolConditions(database, workflows, directory),
        ApprovalConditions(database, workflows, directory, organisation.zone),
    ]
    return inbox
