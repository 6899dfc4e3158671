"""Planted bugs about extensions: what one gets past, and what one leaves behind."""

from __future__ import annotations

from typing import Any

from conformance.planting import replace

from holdfast.edge.extensions import claims, extension_set, own_settings, route, static_pages
from holdfast.session import composed_policy
from holdfast.session.policy import Deny, RequireApproval
from tests.mutants.plant import mutant

QUIET = "tests/extensions/test_quiet_hours.py"
REFUSED = "tests/extensions/test_refused.py"
LIFE = "tests/extensions/test_life.py"
COMPOSED = "tests/unit/session/test_composed_policy.py"


@mutant("ACC-2", "a route of an extension asks for no verb", QUIET)
def no_verb() -> None:
    replace(route.ExtensionRoute, "_authorise", lambda self, request, principal: None)


@mutant("ACC-8", "the first policy that allows is enough", COMPOSED)
def one_allows() -> None:
    real = composed_policy.ComposedPolicy._answers

    def answers(self: Any, ask: Any) -> Any:
        found = list(real(self, ask))
        allowed = [answer for answer in found[1:] if not isinstance(answer, (Deny, RequireApproval))]
        yield from allowed or found

    replace(composed_policy.ComposedPolicy, "_answers", answers)


@mutant("CTL-6", "a policy may loosen what holds without one", COMPOSED)
def loosened() -> None:
    def init(self: Any, policies: Any) -> None:
        self._policies = tuple(policies)

    replace(composed_policy.ComposedPolicy, "__init__", init)


@mutant("ACC-8", "a hub without the policy of its extensions serves", REFUSED)
def policy_not_asked() -> None:
    replace(extension_set.ExtensionSet, "check", lambda self, named, policy: None)


@mutant("ACC-6", "the second of two extensions with one path is never asked, and nobody says so", REFUSED)
def same_path() -> None:
    replace(claims, "conflict", lambda claims: None)


@mutant("ACC-6", "a setting that nobody has changes nothing, and nobody says so", REFUSED)
def unknown_setting() -> None:
    real = own_settings.read

    def read(kind: Any, kinds: Any, environ: Any) -> Any:
        keys = own_settings.keys_of(kind)
        return real(kind, kinds, {name: value for name, value in environ.items() if name in keys})

    replace(own_settings, "read", read)


@mutant("ACC-5", "an extension's pages say where scripts come from", REFUSED)
def foreign_scripts() -> None:
    replace(static_pages, "LOOSENED", static_pages.LOOSENED | {"script-src"})


@mutant("ACC-6", "what was started before an extension that fails goes on", LIFE)
def left_running() -> None:
    real = extension_set.ExtensionSet.start

    async def start(self: Any, services: Any) -> None:
        stop, self.stop = self.stop, _nothing
        try:
            await real(self, services)
        except BaseException:
            self._started.clear()
            raise
        finally:
            self.stop = stop

    replace(extension_set.ExtensionSet, "start", start)


async def _nothing() -> None:
    """Stop nobody."""
