"""The demo company as an extension: it brings a command and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from holdfast.company.command import demo_enterprise
from holdfast.extensions import Extension


class CompanyDemo(Extension):
    """The command ``demo-enterprise``."""

    name = "company"

    @classmethod
    def commands(cls) -> Mapping[str, Callable[..., Any]]:
        """See ``Extension``."""
        return {"demo-enterprise": demo_enterprise}
