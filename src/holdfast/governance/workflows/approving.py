"""What whoever is about to approve something is shown of the workflow that it concerns: one sentence, and where its page is.

It is decided here, and nowhere else, who sees what: tools and what they do, the class of data and the rate, everybody who may
look at what is to be approved; money, and the page with all the rest, whoever has the right ``spend``.
"""

from __future__ import annotations

from typing import Final, Protocol
from urllib.parse import quote

import msgspec

from holdfast.governance.store.store import Store
from holdfast.governance.workflows import journal_store
from holdfast.governance.workflows.blast import BlastRadius
from holdfast.governance.workflows.service import Workflows

UNDECLARED: Final = "This is work of no workflow that is declared: what it could do is not known."
UNSEEN: Final = "What this could do is not known: no run of it is on record yet."


class ApproverRights(Protocol):
    """What somebody may do: ``session/access.py``'s principal."""

    def may(self, verb: str, session: str) -> bool:
        """Whether a verb is granted on a session, or on all (``*``)."""


class ApprovalRadius(msgspec.Struct, frozen=True):
    """What is shown beside an approval.

    Attributes:
        workflow: that it concerns; empty where that is none, or none that is declared.
        sentence: what the workflow could do wrong, and how fast, as far as whoever asks may know.
        page: of the workflow, below the console's address; empty for whoever may not open it.
    """

    workflow: str
    sentence: str
    page: str


class RadiusBook:
    """What is shown, by what somebody is about to approve.

    Args:
        database: which has the journal.
        workflows: of the same store.
    """

    def __init__(self, database: Store, workflows: Workflows) -> None:
        self._database = database
        self._workflows = workflows

    async def of_workflow(self, tenant: str, workflow: str, rights: ApproverRights | None = None) -> ApprovalRadius:
        """For something that concerns a workflow.

        Args:
            rights: of whoever asks; None for whoever works on the store itself, and may know everything.

        Raises:
            Unavailable: of the store.
        """
        if self._workflows.current(tenant, workflow) is None:
            return ApprovalRadius("", UNDECLARED, "")
        return shown_radius(await self._workflows.blast_radius(tenant, workflow), rights)

    async def of_run(
        self, tenant: str, session: str, run: str = "", rights: ApproverRights | None = None
    ) -> ApprovalRadius:
        """For something that a run does: of its workflow, or else of that of the run above it all.

        Args:
            session: its name.
            run: empty for what no run does; then it is about whatever was begun last there.
            rights: as above.

        Raises:
            Unavailable: of the store.
        """
        found = await self._database.read(
            lambda connection: journal_store.workflows_of_run(connection, tenant, session, run)
        )
        if not found:
            return ApprovalRadius("", UNSEEN, "")
        declared = (name for name in found if self._workflows.current(tenant, name) is not None)
        return await self.of_workflow(tenant, next(declared, ""), rights)


def shown_radius(radius: BlastRadius, rights: ApproverRights | None) -> ApprovalRadius:
    """A workflow's radius as somebody may see it."""
    if rights is not None and not rights.may("spend", "*"):
        return ApprovalRadius(radius.workflow, radius.unpaid_sentence, "")
    return ApprovalRadius(radius.workflow, radius.sentence, f"#/plan/workflow/{quote(radius.workflow, safe='')}")
