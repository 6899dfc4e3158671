"""Governance as an extension of a session server: its store, its routes, its gateway and its login on the server's port."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from holdfast.edge.config import Settings
from holdfast.errors import Refused
from holdfast.extensions import Extension, ExtensionMount, ExtensionRoute, Policy, Services
from holdfast.gateway.mounts import mounts
from holdfast.gateway.sessions import LocalSessions
from holdfast.governance import first_look
from holdfast.governance.app import Governance
from holdfast.governance.budgets import commands as budget_commands
from holdfast.governance.budgets.alerts.settings import ways_of
from holdfast.governance.budgets.braked_agents import BrakedAgents
from holdfast.governance.command import gateway
from holdfast.governance.directory import commands as directory_commands
from holdfast.governance.directory.scim.endpoint import ScimEndpoint
from holdfast.governance.inbox.commands import InboxCommands
from holdfast.governance.keys import commands as key_commands
from holdfast.governance.ledger import commands as ledger_commands
from holdfast.governance.ledger.bills import commands as bill_commands
from holdfast.governance.ledger.hub_sessions import HubRuns
from holdfast.governance.model_list import models
from holdfast.governance.opening import (
    bills_of,
    budget_desk,
    inbox_desk,
    ledger_desk,
    operations_desk,
    workflow_desk,
)
from holdfast.governance.opening import plan as opened_plan
from holdfast.governance.operations import commands as operation_commands
from holdfast.governance.operations.rules import LateRules
from holdfast.governance.organisation import commands as organisation_commands
from holdfast.governance.outcomes import commands as outcome_commands
from holdfast.governance.oversight import assembly as login
from holdfast.governance.oversight.minting import TokenMinter
from holdfast.governance.oversight.people import SignedPeople
from holdfast.governance.oversight.settings import login_config
from holdfast.governance.pricing import commands as price_commands
from holdfast.governance.rollout.commands import PlanCommands
from holdfast.governance.routing import commands as routing_commands
from holdfast.governance.settings import GovernanceSettings
from holdfast.governance.start_guard import StartGuard
from holdfast.governance.verifier import commands as verify_commands
from holdfast.governance.workflows import commands as workflow_commands
from holdfast.governance.workflows.terminal import asker_of
from holdfast.session.composed_policy import compose


class GovernanceExtension(Extension):
    """See ``governance/app.py``.

    Attributes:
        upstreams: of its gateway.
        governance: all domains, once the server has asked for their routes.
    """

    name = "governance"
    settings_type = GovernanceSettings
    settings: GovernanceSettings

    def __init__(self, settings: GovernanceSettings, server: Settings) -> None:
        super().__init__(settings, server)
        self.upstreams = settings.upstreams(server.db)
        self._login = login_config(settings)
        self.governance: Governance | None = None
        self._scim: ScimEndpoint | None = None

    @classmethod
    def commands(cls) -> Mapping[str, Callable[..., Any]]:
        """See ``Extension``."""
        ledger, workflow = ledger_commands.group(ledger_desk), workflow_commands.group(workflow_desk)
        bill_commands.add_to(ledger, bills_of)
        PlanCommands(opened_plan, workflow_desk).add_to(first_look.app)
        operation_commands.add_to(workflow, operations_desk, asker_of)
        verify_commands.add_to(first_look.app)
        return {
            "budget": budget_commands.group(budget_desk),
            "directory": directory_commands.app,
            "gateway": gateway,
            "incidents": operation_commands.incident_group(operations_desk),
            "inbox": InboxCommands(inbox_desk).group(),
            "keys": key_commands.app,
            "ledger": ledger,
            "models": models,
            "org": organisation_commands.app,
            "outcomes": outcome_commands.app,
            "plan": first_look.app,
            "prices": price_commands.app,
            "routing": routing_commands.app,
            "stop": operation_commands.stop_group(operations_desk, workflow_desk),
            "workflow": workflow,
        }

    def _of(self, services: Services) -> Governance:
        if self.governance is None:
            url = self.settings.store_url(self.server.db)
            clock = services.hub.runtime.clock
            self.governance = Governance(
                url, clock, self.upstreams, LocalSessions(services.hub), operator_tenant=self.server.operator_tenant,
                runs=HubRuns(services.hub), hub=services.hub, ways=ways_of(self.settings, clock.wall_ms, clock.monotonic),
                people=SignedPeople(services.listener.verifier),
            )  # fmt: skip
        return self.governance

    def policy(self) -> Policy | None:
        """See ``Extension``: agents that call providers themselves go no further than their budgets, and no run begins that may
        not."""
        rules = LateRules(lambda: self.governance.rules if self.governance is not None else None)
        return compose([StartGuard(rules), BrakedAgents(self, claims_of=self.claims_of)])

    def age_s(self) -> float:
        """See ``budgets.braked_agents.Exhausted``: nothing is known before the store was read."""
        return self.governance.budgets.age_s() if self.governance is not None else float("inf")

    def refusal(self, tenant: str, labels: Mapping[str, str], session: str, run: str) -> Refused | None:
        """See ``budgets.braked_agents.Exhausted``."""
        return self.governance.budgets.refusal(tenant, labels, session, run) if self.governance is not None else None

    def any_spent(self) -> bool:
        """See ``budgets.braked_agents.Exhausted``."""
        return self.governance is not None and self.governance.budgets.any_spent()

    def claims_of(self, tenant: str, labels: Mapping[str, str], agent: str) -> Mapping[str, str]:
        """See ``budgets.braked_agents.BrakedAgents``."""
        return self.governance.workflows.claims_of(tenant, labels, agent) if self.governance is not None else labels

    def routes(self, services: Services) -> Sequence[ExtensionRoute]:
        """See ``Extension``."""
        return self._of(services).routes()

    def mounts(self, services: Services) -> Sequence[ExtensionMount]:
        """See ``Extension``."""
        governance = self._of(services)
        clock = governance.clock
        self._scim = ScimEndpoint(
            governance.directory, governance.store, governance.changes, clock.wall_ms, clock.monotonic
        )
        found = [*mounts(governance.gateway), *self._scim.mounts()]
        if self._login is not None:
            minter = TokenMinter(services.secret, self.server, services.revocations)
            assert services.secret is not None, "the minter has refused a server without one"
            app = login.login_app(
                self._login, governance.store, minter, services.secret, clock.wall_ms, clock.monotonic,
                sign_ins=governance.directory,
            )  # fmt: skip
            found += login.mounts(app)
        return found

    async def start(self, services: Services) -> None:
        """See ``Extension``."""
        governance = self._of(services)
        await governance.start(services.hub.engine, services.hub.news.listen)
        services.listener.verifier.seen = governance.sign_ins.see

    async def stop(self) -> None:
        """See ``Extension``."""
        if self._scim is not None:
            self._scim.stop()
        if self.governance is not None:
            await self.governance.stop()
