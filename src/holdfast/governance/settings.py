"""Settings of the governance half: ``HOLDFAST_GOVERNANCE_…``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import Field

from holdfast.gateway.settings import GatewaySettings
from holdfast.governance.budgets.alerts.settings import AlertSettings
from holdfast.governance.oversight.settings import LoginSettings

STORE_FILE: Final = "holdfast-governance.db"
GATEWAY_FILE: Final = "gateway.yaml"


class GovernanceSettings(LoginSettings, AlertSettings):
    """Where governance keeps what it knows, and which upstreams its gateway has; how people log in, and are told."""

    url: str = Field(
        default="",
        description="The store: a file, or `postgresql://…`. By default `holdfast-governance.db` beside the log.",
    )
    gateway: str = Field(
        default="", description="YAML file with the gateway's upstreams. By default `gateway.yaml` beside the log."
    )

    def store_url(self, beside: str) -> str:
        """The address of the store.

        Args:
            beside: the log's database.
        """
        return self.url or str(_folder(beside) / STORE_FILE)

    def upstreams(self, beside: str) -> GatewaySettings:
        """The gateway's settings; of none where no file says otherwise. Raises ``config.invalid``."""
        path = Path(self.gateway) if self.gateway else _folder(beside) / GATEWAY_FILE
        return GatewaySettings.load(path) if self.gateway or path.exists() else GatewaySettings()


def _folder(database: str) -> Path:
    return Path(".") if database.endswith("memory:") else Path(database.removeprefix("sqlite:///")).parent
