"""``holdfast plan``: how every workflow stands, what to do next, and why a gate says what it says."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
import yaml  # type: ignore[import-untyped]

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.asking import (
    STORE,
    Asker,
    JsonOutput,
    ServerToken,
    ServerUrl,
    StoreUrl,
    Target,
    Tenant,
    read_file,
)
from holdfast.governance.rollout import desk
from holdfast.governance.rollout.monday import Monday
from holdfast.governance.rollout.monday_text import monday_mail
from holdfast.governance.rollout.service import Rollout
from holdfast.governance.store.store import Store
from holdfast.governance.workflows.actions import ROOT as WORKFLOWS
from holdfast.governance.workflows.terminal import OpenedWorkflows, radius_line, radius_of

MARKS: Final = {"pass": "✓", "fail": "✗", "unknown": "?", "not_applicable": "–", "waived": "w"}
"""How a verdict looks in a table; *unknown* is never empty."""
EXITS: Final = {"pass": 0, "fail": 1, "unknown": 3}
"""What ``plan check`` exits with."""
Opened = Callable[[Store, Callable[[], int]], Awaitable[Rollout]]
Workflow = Annotated[str, typer.Argument(help="Name of the workflow.", show_default=False)]
GateName = Annotated[str, typer.Argument(help="Name of the gate, such as 6.a.", show_default=False)]
Url = ServerUrl
Token = ServerToken


class PlanCommands:
    """The commands, on whichever plan ``opened`` opens, beside the workflows of the same store."""

    def __init__(self, opened: Opened, workflows: OpenedWorkflows) -> None:
        self._opened = opened
        self._workflows = workflows

    def add_to(self, app: typer.Typer) -> None:
        """Add all of them to a group."""
        for name in (
            "status",
            "next",
            "monday",
            "explain",
            "check",
            "waive",
            "waivers",
            "unwaive",
            "profile",
            "export",
            "validation",
        ):
            app.command(name)(getattr(self, f"{name}_command"))

    def _asker(
        self, ctx: typer.Context, governance: str, url: str, token: str, tenant: str, as_json: bool
    ) -> Asker[Rollout]:
        return Asker(ctx.obj, Target(governance, url, token, tenant, as_json), desk.ROOT, self._opened)

    def status_command(
        self, ctx: typer.Context,
        workflow: Annotated[str, typer.Argument(help="One workflow; all by default.")] = "",
        compute: Annotated[bool, typer.Option("--compute/--recorded", help="Compute every gate now.")] = True,
        governance: StoreUrl = STORE, url: Url = "", token: Token = "", tenant: Tenant = "default",
        as_json: JsonOutput = False,
    ) -> None:  # fmt: skip
        """Show how every workflow stands, or one with its gates."""
        asker = self._asker(ctx, governance, url, token, tenant, as_json)
        answer = asker.ask(desk.STATUS, {"workflow": workflow, "compute": "1" if compute else ""})
        if workflow and not as_json:
            for one in answer["workflows"]:
                asker.tell(answer, one["sentence"])
                asker.show(answer, ("gate", "", "says"), map(_gate_row, one["gates"]), "No gates.")
            return
        rows = [
            (one["workflow"], one["stage"] or "–", one["state"], _grid(one["gates"]), one["owner"] or "nobody")
            for one in answer["workflows"]
        ]
        asker.show(answer, ("workflow", "stage", "state", "gates 1.a to 11.b", "owner"), rows, _NOTHING)

    def next_command(
        self, ctx: typer.Context, governance: StoreUrl = STORE, url: Url = "", token: Token = "",
        tenant: Tenant = "default", as_json: JsonOutput = False,
    ) -> None:  # fmt: skip
        """Say what to do next, who, and what comes of it; what opens the most first."""
        asker = self._asker(ctx, governance, url, token, tenant, as_json)
        answer = asker.ask(desk.NEXT)
        rows = [
            (one["gate"], one["who"], _due(one["due_ms"]), one["what"], _names(one["workflows"]), one["effect"])
            for one in answer["actions"]
        ]
        asker.show(answer, ("gate", "who", "by", "what", "for", "then"), rows, "Nothing is in the way.")
        if answer["few"] and not as_json:
            asker.tell(answer, f"{answer['few']} of them open {answer['reach']} doors.")

    def monday_command(
        self, ctx: typer.Context, governance: StoreUrl = STORE, url: Url = "", token: Token = "",
        tenant: Tenant = "default", as_json: JsonOutput = False,
    ) -> None:  # fmt: skip
        """Print the page for Monday: who must do what by when, may each workflow go on, what flipped in a week."""
        asker = self._asker(ctx, governance, url, token, tenant, as_json)
        answer = asker.ask(desk.MONDAY)
        asker.tell(answer, *monday_mail(msgspec.convert(answer, Monday)).text.splitlines())

    def explain_command(
        self, ctx: typer.Context, gate: GateName,
        workflow: Annotated[str, typer.Argument(help="Of which workflow; none for a gate of the organisation.")] = "",
        governance: StoreUrl = STORE, url: Url = "", token: Token = "", tenant: Tenant = "default",
        as_json: JsonOutput = False,
    ) -> None:  # fmt: skip
        """Say why a gate says what it says: its evidence, query by query, and who has to do what."""
        asker = self._asker(ctx, governance, url, token, tenant, as_json)
        answer = asker.ask(desk.EXPLAIN, {"gate": gate, "workflow": workflow})
        found = answer["status"]
        lines = [f"Gate {gate}: {found['shown']}. {found['reason']}."]
        if found["fix"]:
            lines.append(f"{answer['who']}: {found['fix']}.")
        if answer["beside"]:
            lines.append(f"Beside it: {answer['beside']}.")
        for one in answer["evidence"]:
            lines.append(f"{one['query']}: {len(one['rows'])} rows, sha256 {one['digest'][:12]}")
            lines += [f"  {_row(row)}" for row in one["rows"][:_SHOWN]]
            if len(one["rows"]) > _SHOWN:
                lines.append(f"  and {len(one['rows']) - _SHOWN} more (--json)")
            if (door := one.get("behind", {}).get("all")) is not None:  # a server of before has none
                lines.append(f"  → {door['command']}" + (f"  ({door['note']})" if door["note"] else ""))
        asker.tell(answer, *lines)

    def check_command(
        self, ctx: typer.Context, workflow: Workflow,
        door: Annotated[str, typer.Option(help="L: launch, P: leaving the pilot, O: the organisation, R: running.")] = "L",
        governance: StoreUrl = STORE, url: Url = "", token: Token = "", tenant: Tenant = "default",
        as_json: JsonOutput = False,
    ) -> None:  # fmt: skip
        """For a pipeline: does a door open now? Exits with 0, with 1 where a gate fails, with 3 where one is unknown."""
        asker = self._asker(ctx, governance, url, token, tenant, as_json)
        answer = asker.ask(desk.CHECK, {"workflow": workflow, "door": door})
        words = f"{workflow}: the door {door} is open."
        if not answer["open"]:
            more = f", and {len(answer['why']) - 1} more" if len(answer["why"]) > 1 else ""
            words = f"{workflow}: the door {door} stays shut: {answer['why'][0]}{more}."
        asker.tell(answer, words)
        if EXITS[answer["verdict"]]:
            raise typer.Exit(EXITS[answer["verdict"]])

    def waive_command(
        self, ctx: typer.Context, gate: GateName,
        workflow: Annotated[str, typer.Argument(help="Of which workflow; none for one of the organisation.")] = "",
        reason: Annotated[str, typer.Option(help="Why.")] = "",
        days: Annotated[int, typer.Option(help="For how long; at most 30.", min=1, max=30)] = 30,
        governance: StoreUrl = STORE, url: Url = "", token: Token = "", tenant: Tenant = "default",
        as_json: JsonOutput = False,
    ) -> None:  # fmt: skip
        """Pass a gate over until a date. The sponsor or the risk officer may, owner and deputy never."""
        asker = self._asker(ctx, governance, url, token, tenant, as_json)
        radius = None
        if workflow:  # said before it is done, of what goes on although a gate does not pass
            radius = radius_of(asker.beside(WORKFLOWS, self._workflows), workflow)
        answer = asker.ask(desk.WAIVE, {}, desk.WaiveRequest(gate, reason, workflow, days))
        waiver = answer["waiver"]
        asker.tell(
            answer | {"radius": radius},
            *radius_line(radius),
            f"{waiver['id']}: gate {gate} is waived by {waiver['by']} ({waiver['office']}) until {_due(waiver['until_ms'])}.",
        )

    def waivers_command(
        self, ctx: typer.Context, governance: StoreUrl = STORE, url: Url = "", token: Token = "",
        tenant: Tenant = "default", as_json: JsonOutput = False,
    ) -> None:  # fmt: skip
        """List waivers with their age."""
        asker = self._asker(ctx, governance, url, token, tenant, as_json)
        answer = asker.ask(desk.WAIVERS)
        rows = [
            (one["id"], one["gate"], one["workflow"] or "the organisation", one["by"], f"{one['age_days']} d",
             _due(one["until_ms"]) if one["holds"] else "over", one["reason"])
            for one in answer["waivers"]
        ]  # fmt: skip
        asker.show(answer, ("waiver", "gate", "of", "by", "age", "until", "why"), rows, "Nothing is waived.")

    def unwaive_command(
        self, ctx: typer.Context,
        waiver: Annotated[str, typer.Argument(help="Its id.", show_default=False)],
        governance: StoreUrl = STORE, url: Url = "", token: Token = "", tenant: Tenant = "default",
        as_json: JsonOutput = False,
    ) -> None:  # fmt: skip
        """Take a waiver back."""
        asker = self._asker(ctx, governance, url, token, tenant, as_json)
        asker.tell(asker.ask(desk.END_WAIVER, {"waiver": waiver}), f"{waiver} holds no more.")

    def profile_command(
        self, ctx: typer.Context,
        file: Annotated[Path | None, typer.Argument(help="YAML to set: base, reason, thresholds by gate.")] = None,
        governance: StoreUrl = STORE, url: Url = "", token: Token = "", tenant: Tenant = "default",
        as_json: JsonOutput = False,
    ) -> None:  # fmt: skip
        """Show the numbers of the rules, or set them. Whoever owns a workflow does not."""
        asker = self._asker(ctx, governance, url, token, tenant, as_json)
        if file is None:
            answer = asker.ask(desk.PROFILE)
        else:
            answer = asker.ask(desk.SET_PROFILE, {}, _profile(read_file(file, limits.ORG_IMPORT_BYTES)))
        found = answer["profile"]
        rows = [(gate, name, str(value)) for gate, some in found["thresholds"].items() for name, value in some.items()]
        asker.tell(answer, f"{found['base']}, version {found['version']}")
        if not as_json:
            asker.show(answer, ("gate", "number", "is"), rows, "Nothing differs from the base.")

    def export_command(
        self, ctx: typer.Context,
        file: Annotated[Path, typer.Argument(help="Where to write it.", show_default=False)],
        governance: StoreUrl = STORE, url: Url = "", token: Token = "", tenant: Tenant = "default",
    ) -> None:  # fmt: skip
        """Write every verdict with its evidence into a file, for `holdfast plan verify`."""
        asker = self._asker(ctx, governance, url, token, tenant, False)
        answer = asker.ask(desk.EXPORT)
        file.write_bytes(msgspec.json.format(msgspec.json.encode(answer)))
        asker.tell(answer, f"{len(answer['verdicts'])} verdicts in {file}")

    def validation_command(
        self, ctx: typer.Context,
        file: Annotated[Path, typer.Argument(help="The JSON of holdfast validate, or of a load test.", show_default=False)],
        governance: StoreUrl = STORE, url: Url = "", token: Token = "", tenant: Tenant = "default",
        as_json: JsonOutput = False,
    ) -> None:  # fmt: skip
        """Put a report on record: gate 9.b goes by the newest one of the build that serves, 9.a by load tests."""
        asker = self._asker(ctx, governance, url, token, tenant, as_json)
        found = asker.ask(desk.VALIDATION, {}, read_file(file, limits.VALIDATION_BYTES))["validation"]
        if found["kind"] == "load":
            words = f"{found['unloaded_ms']} ms without load, {found['loaded_ms']} ms with it"
        else:
            words = ", ".join(f"{name} {found[name]}" for name in ("resilient", "continuity", "control"))
        asker.tell({"validation": found}, f"{found['id']}: {found['build']}: {words}.")


_NOTHING: Final = "No workflow has a manifest yet: holdfast workflow init"
_SHOWN: Final = 12


def _gate_row(gate: dict[str, Any]) -> tuple[str, str, str]:
    fix = f" {gate['fix']}." if gate["fix"] and gate["shown"] in ("fail", "unknown") else ""
    return gate["gate"], MARKS[gate["shown"]], f"{gate['shown']}: {gate['reason']}.{fix}"


def _grid(gates: Sequence[dict[str, Any]]) -> str:
    return "".join(MARKS[gate["shown"]] for gate in gates)


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:2]) + (f" +{len(names) - 2}" if len(names) > 2 else "")


def _due(at_ms: int) -> str:
    return f"{datetime.datetime.fromtimestamp(at_ms / 1_000, datetime.UTC):%Y-%m-%d}" if at_ms else "–"


def _row(row: dict[str, Any]) -> str:
    return "  ".join(f"{name}={value}" for name, value in row.items())


def _profile(data: bytes) -> desk.ProfileRequest:
    try:
        return msgspec.convert(yaml.safe_load(data), desk.ProfileRequest)
    except (yaml.YAMLError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise Refused("workflow.invalid", f"the profile: {str(error).splitlines()[0]:.200}") from None
