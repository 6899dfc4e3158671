"""Commands of extensions: those that come with Holdfast, and those of extensions that ``HOLDFAST_EXTENSIONS`` names.

An extension is imported when a command is asked for that is none of Holdfast's own, and never for one that is.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Final

import typer
from typer.core import TyperGroup

from holdfast.cli import output
from holdfast.cli.options import report_errors
from holdfast.edge.config import PREFIX
from holdfast.edge.extensions.loader import find, import_extension
from holdfast.edge.extensions.port import Extension
from holdfast.errors import HoldfastError

SHIPPED: Final = {
    "demo": "holdfast.demo.extension:Demo",
    "governance": "holdfast.governance.extension:GovernanceExtension",
    "company": "holdfast.company.extension:CompanyDemo",
}
"""Extensions that travel with the package: name to ``module:class``. Others are entry points of their distributions."""


BESIDE: Final = "beside"
"""``--governance`` without a value: the store is a file beside the log."""
_MAY_BE_ALONE: Final = {"--governance": BESIDE}
"""Options whose value may be left out, which Typer does not know: what stands for none."""


class Commands(TyperGroup):
    """The commands of ``holdfast``, and after them those of extensions."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """As ever, with a value for options that stand alone."""
        completed: list[str] = []
        for place, word in enumerate(args):
            alone = place + 1 == len(args) or args[place + 1].startswith("-")
            completed.append(f"{word}={_MAY_BE_ALONE[word]}" if word in _MAY_BE_ALONE and alone else word)
        return super().parse_args(ctx, completed)

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all; an extension that cannot be loaded ends it with a sentence."""
        return [*self.commands, *self._extended()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command by name; None where there is none."""
        own = self.commands.get(cmd_name)
        return own if own is not None else self._extended().get(cmd_name)

    def _extended(self) -> dict[str, Any]:
        with report_errors():
            kinds = [*_shipped(), *(find(name, SHIPPED) for name in named() if name not in SHIPPED)]
            return {name: _command(name, call) for name, call in commands_of(kinds, self.commands).items()}


def named() -> tuple[str, ...]:
    """The extensions that the environment names."""
    return tuple(part.strip() for part in os.environ.get(f"{PREFIX}EXTENSIONS", "").split(",") if part.strip())


def commands_of(kinds: Sequence[type[Extension]], own: Collection[str]) -> dict[str, Callable[..., Any]]:
    """The commands of extensions by name.

    Args:
        kinds: of which extensions.
        own: the names of Holdfast's own commands.

    Raises:
        HoldfastError: ``config.invalid`` for a name that is taken, naming whose it is.
    """
    found: dict[str, Callable[..., Any]] = {}
    owners = dict.fromkeys(own, "holdfast itself")
    for kind in kinds:
        for name, call in kind.commands().items():
            if name in owners:
                words = f"{owners[name]} and extension {kind.name!r} both have a command {name!r}"
                raise HoldfastError("config.invalid", words, fix="Name one of the two extensions only.")
            owners[name] = f"extension {kind.name!r}"
            found[name] = call
    return found


def _shipped() -> Iterator[type[Extension]]:
    """Those that come with the package and are there; an installation may have left them out."""
    for name, value in SHIPPED.items():
        try:
            yield import_extension(name, value)
        except HoldfastError as error:
            if not isinstance(error.__cause__, ImportError):
                raise


def _command(name: str, call: Callable[..., Any]) -> Any:
    """A function, or a group of them, as a command: what it raises on purpose is a sentence, what a function returns is
    the exit code."""
    if isinstance(call, typer.Typer):
        return _group(name, call)

    @functools.wraps(call)
    def run(*arguments: Any, **options: Any) -> None:
        with report_errors():
            code = call(*arguments, **options)
        raise typer.Exit(code if isinstance(code, int) else 0)

    alone = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)
    alone.command(name, context_settings={"obj": output})(run)
    return typer.main.get_command(alone)


def _group(name: str, app: typer.Typer) -> Any:
    """A group whose commands report as single ones do."""
    group = typer.main.get_command(app)
    group.name = name
    group.context_settings["obj"] = output  # what its commands say is said as all others say it
    for command in getattr(group, "commands", {}).values():
        _report(command)
    return group


def _report(command: Any) -> None:
    if hasattr(command, "commands"):
        for inner in command.commands.values():
            _report(inner)
        return
    invoke = command.invoke

    def reporting(context: Any) -> Any:
        with report_errors():
            code = invoke(context)
        if isinstance(code, int) and code:
            raise typer.Exit(code)
        return code

    command.invoke = reporting
