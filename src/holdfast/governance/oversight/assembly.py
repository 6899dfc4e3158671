"""The login, put together from settings and from what the server has."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import httpx
from starlette.applications import Starlette

from holdfast.extensions import ExtensionMount
from holdfast.gateway.secrets import SecretReference
from holdfast.governance.oversight.login_app import PATH, LoginRoutes
from holdfast.governance.oversight.model import Minter, SignIns
from holdfast.governance.oversight.provider import IdentityProvider
from holdfast.governance.oversight.sealing import Seal
from holdfast.governance.oversight.service import Logins
from holdfast.governance.oversight.settings import LoginConfig
from holdfast.governance.store.store import Store


def login_app(
    config: LoginConfig,
    store: Store,
    minter: Minter,
    secret: str,
    now_ms: Callable[[], int],
    monotonic: Callable[[], float],
    transport: httpx.AsyncBaseTransport | None = None,
    sign_ins: SignIns | None = None,
) -> Starlette:
    """The application of the login, for ``mounts``.

    Args:
        config: from ``settings.login_config``.
        minter: ``minting.TokenMinter`` of the server.
        secret: the server's own, by which it seals what browsers carry.
        now_ms: the clock, Unix ms.
        monotonic: seconds that never run backwards.
        transport: how the provider is asked; for tests.
        sign_ins: is told of each login.
    """
    provider = IdentityProvider(
        config,
        f"{config.public_url}{PATH}/callback",
        SecretReference(config.client_secret, monotonic).value,
        now_ms,
        transport,
    )
    return LoginRoutes(Logins(store, config, provider, minter, Seal(secret), now_ms, sign_ins), config).app()


def mounts(app: Starlette) -> Sequence[ExtensionMount]:
    """Where a server has the login: outside the doors that ask for a token."""
    return [ExtensionMount(PATH, app), ExtensionMount(f"{PATH}/{{rest:path}}", app)]
