"""The company's server: sessions, gateway, governance and pages, on the company's clock."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import msgspec
import yaml  # type: ignore[import-untyped]

from holdfast.company.cheats.extension import CheatsExtension
from holdfast.company.clock import CompanyClock
from holdfast.company.description import Company
from holdfast.edge.app import Edge
from holdfast.edge.config import Settings
from holdfast.edge.extensions.extension_set import ExtensionSet
from holdfast.edge.server import bind, port_of, running
from holdfast.engines.address import engine_for
from holdfast.governance.app import Governance
from holdfast.governance.extension import GovernanceExtension
from holdfast.governance.settings import GovernanceSettings
from holdfast.hub.hub import Hub

DATABASE: Final = "company.db"
_DRAIN_S: Final = 2.0
_LEASE_S: Final = 120.0
"""An attempt that is lost because the machine is busy would be work that nobody planned."""


class CompanyServer(msgspec.Struct, frozen=True):
    """A running server. ``secret`` signs its tokens."""

    url: str
    edge: Edge
    governance: Governance
    secret: str

    def __repr__(self) -> str:
        return f"CompanyServer({self.url!r})"


def provider_keys(company: Company, outside: str) -> dict[str, tuple[str, str]]:
    """New keys of the providers: secret → ``(provider, name)``; one of them the gateway never gets."""
    names = {one.key: one.provider for one in company.upstreams} | {outside: "anthropic"}
    return {f"sk-local-{secrets.token_hex(16)}": (provider, name) for name, provider in names.items()}


def write_gateway(folder: Path, company: Company, providers: str, keys: Mapping[str, tuple[str, str]]) -> Path:
    """Write the gateway's settings, and the providers' keys as files that they refer to; the path of the settings."""
    by_name = {name: secret for secret, (_, name) in keys.items()}
    upstreams = []
    for one in company.upstreams:
        secret = folder / f"{one.key}.key"
        secret.touch(mode=0o600)
        secret.write_text(by_name[one.key])
        version = "" if one.shape == "anthropic" else "/v1"
        upstreams.append(
            {
                "name": one.name, "provider": one.provider, "shape": one.shape, "key": f"file:{secret}",
                "url": f"{providers}/{one.provider}{version}", "models": list(one.models), "retries": 1,
            }
        )  # fmt: skip
    path = folder / "gateway.yaml"
    path.write_text(yaml.safe_dump({"upstreams": upstreams}))
    return path


@contextlib.asynccontextmanager
async def serving(
    folder: Path, clock: CompanyClock, host: str, port: int, *, pages: bool
) -> AsyncIterator[CompanyServer]:
    """The server while the context lasts; ``gateway.yaml`` is in the folder already.

    Raises:
        HoldfastError: ``config.invalid`` when the address cannot be listened on; what store and engine raise.
    """
    settings = Settings(db=str(folder / DATABASE), host=host, port=port, drain_s=_DRAIN_S)
    sockets = bind(host, port)
    with contextlib.ExitStack() as bound:
        for sock in sockets:
            bound.enter_context(sock)
        governance = GovernanceExtension(GovernanceSettings(), settings)
        extensions = ExtensionSet([governance, CheatsExtension(governance, settings)])
        hub = Hub(engine_for(settings.db), clock=clock, lease_s=_LEASE_S, policy=extensions.policy)
        await hub.open()
        edge = Edge(hub, settings, pages=pages, extensions=extensions)
        async with running(edge, sockets) as server:
            assert governance.governance is not None and edge.secret is not None
            yield CompanyServer(f"http://127.0.0.1:{port_of(server)}", edge, governance.governance, edge.secret)
