"""The port of extensions: what plugs into a server subclasses ``Extension``.

A server has the extensions that its owner names and no others; without any it is the whole session server. What an
extension says of itself is checked before the server serves anything: what cannot be honoured is refused with a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict

from holdfast.edge.config import Settings
from holdfast.edge.extensions.mount import ExtensionMount
from holdfast.edge.extensions.route import ExtensionRoute
from holdfast.edge.extensions.services import Services
from holdfast.edge.extensions.static_pages import ExtensionPages
from holdfast.session.policy import Policy

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
"""What an extension may be called; its settings begin with it."""


class ExtensionSettings(BaseModel):
    """Base of an extension's own settings: immutable, and without fields that nobody has defined."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Extension:
    """What plugs into a server: override what is needed, leave out the rest.

    A server makes one of each that is named, asks for the policy, the routes and the pages once, starts them in the order
    in which they are named, and stops them in reverse.

    Attributes:
        name: by which it is found and named; lower case.
        settings_type: the model of its own settings. ``HOLDFAST_<NAME>_<FIELD>`` sets a field.

    Args:
        settings: an instance of ``settings_type``.
        server: the settings of the server. One that needs what this server does not have raises ``config.invalid`` here.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type[ExtensionSettings]] = ExtensionSettings

    def __init__(self, settings: Any, server: Settings) -> None:
        self.settings = settings
        self.server = server

    @classmethod
    def commands(cls) -> Mapping[str, Callable[..., Any]]:
        """Commands of ``holdfast`` by name: functions whose signature Typer reads, or ``typer.Typer`` objects for groups
        of them. They run without a server."""
        return {}

    def policy(self) -> Policy | None:
        """What its owner lets happen, beside what tokens grant and other extensions allow: it can only narrow that."""
        return None

    def routes(self, services: Services) -> Sequence[ExtensionRoute]:
        """Routes of the REST API. Asked before ``start``; requests come after it."""
        return ()

    def mounts(self, services: Services) -> Sequence[ExtensionMount]:
        """Applications with doors of their own. Asked before ``start``; requests come after it."""
        return ()

    def pages(self) -> Sequence[ExtensionPages]:
        """Folders of pages."""
        return ()

    async def start(self, services: Services) -> None:
        """Begin what runs beside requests. The hub is open, and nobody is served yet. Whatever is raised keeps the
        server from serving; what was started before is stopped."""

    async def stop(self) -> None:
        """End it, within ``limits.EXTENSION_STOP_S``. The hub is still open; no request comes any more,
        and one that is being answered may still be. Called once after a ``start`` that returned."""
