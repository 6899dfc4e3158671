"""The extensions of one server: checked against each other and against the server, composed, started and stopped."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Iterable, Sequence

from starlette.routing import BaseRoute

from holdfast.edge.extensions import claims
from holdfast.edge.extensions.mount import ExtensionMount
from holdfast.edge.extensions.port import NAME, Extension
from holdfast.edge.extensions.route import ExtensionRoute
from holdfast.edge.extensions.services import Services
from holdfast.errors import HoldfastError
from holdfast.protocol import limits
from holdfast.session.composed_policy import compose
from holdfast.session.policy import DEFAULT, Policy
from holdfast.visible import logger

log = logger("holdfast.edge")


class ExtensionSet:
    """Extensions in the order in which they were named.

    Args:
        extensions: each of another name. Raises ``config.invalid``.

    Attributes:
        policy: what all of them let happen; the hub of the server has to be made with it.
        routes: name and route of all of them, once ``plug`` was called.
        first: routes that share a path of the server's and come before it, likewise.
        mounted: name and application of all of them, likewise.
    """

    def __init__(self, extensions: Iterable[Extension] = ()) -> None:
        self._extensions = tuple(extensions)
        check_names(self.names)
        self.policy: Policy = compose(p for one in self._extensions if (p := one.policy()) is not None)
        self.routes: list[tuple[str, ExtensionRoute]] = []
        self.mounted: list[tuple[str, ExtensionMount]] = []
        self.first: list[BaseRoute] = []
        self._last: list[BaseRoute] = []
        self._started: list[Extension] = []

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(extension.name for extension in self._extensions)

    def of(self, name: str) -> Extension:
        """The extension of a name. Raises ``KeyError``."""
        return {extension.name: extension for extension in self._extensions}[name]

    @property
    def kinds(self) -> tuple[type[Extension], ...]:
        """Their classes."""
        return tuple(type(extension) for extension in self._extensions)

    def check(self, named: Sequence[str], policy: Policy) -> None:
        """Refuse (``config.invalid``) a server that would not have what its owner has named, or not ask its policy."""
        missing = sorted(set(named) - set(self.names))
        if missing:
            raise HoldfastError(
                "config.invalid", f"extension {missing[0]!r} is named in the settings and was not loaded"
            )
        if self.policy is not DEFAULT and policy is not self.policy:
            words = "the hub was made without the policy of its extensions, which nobody would ask"
            raise HoldfastError("config.invalid", words, fix="Hub(engine, policy=extensions.policy)")

    def plug(self, services: Services, own: Iterable[claims.PathClaim]) -> list[BaseRoute]:
        """Their routes and pages, to come after the server's own routes and before its pages.

        Args:
            services: what the extensions are given.
            own: what the server itself serves.

        Raises:
            HoldfastError: ``config.invalid`` for what cannot be served, or is served by somebody else already.
        """
        found: list[BaseRoute] = []
        claimed = list(own)
        for extension in self._extensions:
            owner = _owner(extension)
            for route in extension.routes(services):
                if (problem := route.problem()) is not None:
                    raise HoldfastError(
                        "config.invalid", f"{owner} has the route {route.method} {route.path}: {problem}"
                    )
                self.routes.append((extension.name, route))
                served = route.served_by(services.requests, functools.partial(self._is_started, extension))
                claimed += claims.claims_of(owner, [served])
                found.append(served)
            for mount in extension.mounts(services):
                if (problem := mount.problem()) is not None:
                    raise HoldfastError("config.invalid", f"{owner} mounts {mount.path}: {problem}")
                self.mounted.append((extension.name, mount))
                application = mount.served(functools.partial(self._is_started, extension))
                if mount.otherwise:
                    self._last.append(application)
                elif mount.wanted is None:
                    claimed += [claim._replace(ordered=True) for claim in claims.claims_of(owner, [application])]
                    found.append(application)
                else:  # it shares its path, and says which requests are its own: it is asked first
                    self.first.append(application)
            for pages in extension.pages():
                if (problem := pages.problem()) is not None:
                    raise HoldfastError("config.invalid", f"{owner} has pages under {pages.path}: {problem}")
                folder = pages.served()
                claimed += claims.claims_of(owner, [folder])
                found.append(folder)
        if (both := claims.conflict(claimed)) is not None:
            first, second = both
            words = (
                f"{first.owner} has {first.method} {first.path} and {second.owner} has {second.method} {second.path}"
            )
            raise HoldfastError("config.invalid", f"{words}: one request could mean both")
        return [*found, *self._last]

    def _is_started(self, extension: Extension) -> bool:
        return extension in self._started

    def check_prefix(self, prefix: str) -> None:
        """Refuse (``config.invalid``) what is not served where only paths under a prefix are, as in a router."""
        paths = [(name, route.path) for name, route in self.routes]
        paths += [(name, mount.path) for name, mount in self.mounted]
        paths += [(extension.name, pages.path) for extension in self._extensions for pages in extension.pages()]
        for name, path in paths:
            if not path.startswith(prefix):
                words = f"extension {name!r} serves {path}: here only what is under {prefix} is served"
                raise HoldfastError("config.invalid", words)

    async def start(self, services: Services) -> None:
        """Start them one after the other; when one fails, those before it are stopped. Raises what it raises, or
        ``config.invalid`` with it."""
        for extension in self._extensions:
            try:
                await extension.start(services)
            except BaseException as error:
                await self.stop()
                if isinstance(error, HoldfastError) or not isinstance(error, Exception):
                    raise
                words = f"{_owner(extension)} did not start: {type(error).__name__}: {error}"
                raise HoldfastError("config.invalid", words) from error
            self._started.append(extension)
            log.info("%s is started", _owner(extension))

    async def stop(self) -> None:
        """Stop those that were started, the last one first. One that fails, or takes too long, keeps no other running."""
        while self._started:
            extension = self._started.pop()
            try:
                async with asyncio.timeout(limits.EXTENSION_STOP_S):
                    await extension.stop()
            except TimeoutError:
                log.error("%s did not stop within %g s", _owner(extension), limits.EXTENSION_STOP_S)
            except Exception:
                log.exception("%s failed to stop", _owner(extension))


def check_names(names: Sequence[str]) -> None:
    """Refuse (``config.invalid``) what is no name, and one that is there twice."""
    for name, times in Counter(names).items():
        if not NAME.fullmatch(name):
            raise HoldfastError("config.invalid", f"{name!r:.80} is no name for an extension")
        if times > 1:
            raise HoldfastError("config.invalid", f"extension {name!r} is named twice")


def _owner(extension: Extension) -> str:
    return f"extension {extension.name!r}"
