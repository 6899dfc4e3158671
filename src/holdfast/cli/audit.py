"""``holdfast audit``: score a chat endpoint by breaking its connections; and the fault proxy on its own."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import httpx
import msgspec
import typer
from msgspec import structs
from typer.core import TyperGroup

from holdfast.audit import recipe as recipes
from holdfast.audit.budget import LOOPBACK, ProbeBudget, Redactor, host_of
from holdfast.audit.detect import Detection, try_drivers
from holdfast.audit.drivers import registry
from holdfast.audit.examine import PROBES, examine
from holdfast.audit.finding import CAPABILITIES, Finding, Report
from holdfast.audit.lab import AuditOptions
from holdfast.audit.proxy import Fault, FaultProxy, Line, Script
from holdfast.audit.report import terminal
from holdfast.audit.report.before import read_before
from holdfast.audit.report.build import build
from holdfast.audit.report.page import page
from holdfast.audit.report.prescription import Inputs
from holdfast.cli import output
from holdfast.cli.options import Db, Token, Url, report_errors, token_for
from holdfast.errors import Refused


class _UrlFirst(TyperGroup):
    """``holdfast audit URL`` is ``holdfast audit run URL``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "--install-completion"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_UrlFirst, no_args_is_help=True, help="Score a chat endpoint by breaking its connections.")

NOT_AUDITED: Final = 4
"""The exit code when the endpoint could not be audited at all."""
BUILD_PATH: Final = "/v1/x/governance/plan/build"
"""Where a server says which build it is."""
Proxied = Annotated[str, typer.Argument(help="What to connect to: HOST:PORT or a URL.", show_default=False)]


@app.command("run")
def run(
    url: Annotated[str, typer.Argument(help="The chat endpoint.", show_default=False)],
    driver: Annotated[str, typer.Option(help="A driver's name, or a recipe file; guessed by default.")] = "",
    header: Annotated[list[str], typer.Option(help="Header to send, 'Name: value'; repeatable.")] = [],  # noqa: B006
    second_header: Annotated[list[str], typer.Option(help="Header of the second device.")] = [],  # noqa: B006
    agent: Annotated[str, typer.Option(help="Which agent answers, where the endpoint has several.")] = "",
    model: Annotated[str, typer.Option(help="The model's name, where the endpoint checks it.")] = "",
    token: Annotated[str, typer.Option(envvar="HOLDFAST_AUDIT_TOKEN", help="Sent as a bearer token.")] = "",
    prompt: Annotated[str, typer.Option(help="What to ask; its answer should take seconds.")] = "",
    second_prompt: Annotated[str, typer.Option(help="What to ask besides.")] = "",
    approval_prompt: Annotated[str, typer.Option(help="A prompt that makes it ask for approval.")] = "",
    agents_prompt: Annotated[str, typer.Option(help="A prompt that takes sub-agents.")] = "",
    kill_agent: Annotated[str, typer.Option(help="Shell command that kills the agent.")] = "",
    kill_orchestrator: Annotated[str, typer.Option(help="Shell command that kills the orchestrator.")] = "",
    pid: Annotated[int | None, typer.Option(help="Process whose memory to watch.")] = None,
    metrics: Annotated[str, typer.Option(help="Prometheus page that tells the server's memory.")] = "",
    inputs: Annotated[Path | None, typer.Option(help="YAML: architecture, interactions, topology, surfaces.")] = None,
    architecture: Annotated[str, typer.Option(help="How answers travel today: request_stream, websocket, …")] = "",
    interactions: Annotated[str, typer.Option(help="What people shall be able to do, comma-separated.")] = "",
    topology: Annotated[str, typer.Option(help="How agents are arranged: single, orchestrator, peers.")] = "",
    surfaces: Annotated[str, typer.Option(help="Where people are, comma-separated: web, mobile, …")] = "",
    detect_only: Annotated[bool, typer.Option("--detect", help="Only guess the driver, and say how sure.")] = False,
    only: Annotated[str, typer.Option(help="Only probes whose id begins with one of these, comma-separated.")] = "",
    jobs: Annotated[int, typer.Option(help="Probes at a time.", min=1, max=16)] = 1,
    max_requests: Annotated[int, typer.Option(help="The most requests in all.", min=1)] = 400,
    max_seconds: Annotated[float, typer.Option(help="The most time in all.", min=1)] = 900,
    answer_seconds: Annotated[float, typer.Option(help="How long one answer may take.", min=0.5)] = 60,
    ask_above: Annotated[int, typer.Option(help="Ask before more requests than this, elsewhere than here.")] = 200,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before many requests.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report as JSON.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write the report as one page.")] = None,
    before: Annotated[Path | None, typer.Option(help="An earlier report: show what changed.")] = None,
    require: Annotated[str, typer.Option(help="Fail unless these pass: resilient,continuity,control.")] = "",
) -> None:  # fmt: skip
    """Audit an endpoint: break its connections in every way, and report what broke for the people who use it."""
    if detect_only:
        detect_command(url, header, agent, model)
        return
    with report_errors():
        wanted = _required(require)
        stated = _inputs(inputs, architecture, interactions, topology, surfaces)
        options = _options(
            prompt,
            second_prompt,
            AuditOptions(
                approval_prompt=approval_prompt,
                agents_prompt=agents_prompt,
                kill_agent=kill_agent,
                kill_orchestrator=kill_orchestrator,
                pid=pid,
                metrics_url=metrics,
                second_headers=_headers(second_header),
            ),
        )
        budget = ProbeBudget(
            requests=max_requests,
            total_s=max_seconds,
            answer_s=answer_seconds,
            ask_above=ask_above,
            ask=(lambda used: True) if yes or host_of(url) in LOOPBACK else _ask,
        )
        headers = _headers(header) | ({"authorization": f"Bearer {token}"} if token else {})
        earlier = read_before(before) if before is not None else None
        report = asyncio.run(_audit(url, driver, (agent, model), headers, options, budget, only, jobs, stated, earlier))
        _write_report(report, json_file, html_file)
        _exit(report, wanted)


def _exit(report: Report, wanted: list[str]) -> None:
    """3 when something that is required does not pass; 4 when nothing could be audited, required or not."""
    if report.contact.state != "ok":
        raise typer.Exit(NOT_AUDITED)
    if any(report.capabilities[name] != "pass" for name in wanted):
        raise typer.Exit(3)


async def _audit(
    url: str,
    driver: str,
    target_names: tuple[str, str],
    headers: dict[str, str],
    options: AuditOptions,
    budget: ProbeBudget,
    only: str,
    jobs: int,
    inputs: Inputs,
    before: dict[str, Any] | None,
) -> Report:
    redactor = Redactor(
        *headers.values(), *(v.partition(" ")[2] for v in headers.values()), *options.second_headers.values()
    )
    hosts = frozenset({host_of(url)})
    recipe = registry.recipe_named(driver) if driver else await _detect(url, budget, headers, hosts, target_names)
    recipe = _with_target(recipe, *target_names)
    endpoint = registry.endpoint(url, recipe, budget, headers, hosts)
    starts = tuple(part.strip() for part in only.split(",") if part.strip())
    probes = [probe for probe in PROBES if not starts or probe.id.startswith(starts)]
    status = output.err.status("first contact")

    def progress(what: str, finding: Finding | None) -> None:
        status.update(what)
        if finding is not None and output.err.is_terminal:
            output.say(terminal.mark(finding.verdict, finding.title), to=output.err)

    try:
        with status:
            contact, findings = await examine(
                endpoint, options, budget, redactor, probes=probes, jobs=jobs, progress=progress
            )
    finally:
        await endpoint.close()
    return build(endpoint, budget, redactor, contact, findings, inputs=inputs, before=before)


async def _detect(
    url: str, budget: ProbeBudget, headers: dict[str, str], hosts: frozenset[str], target_names: tuple[str, str]
) -> recipes.Recipe:
    found = await try_drivers(url, budget, headers, hosts, agent=target_names[0], model=target_names[1])
    if not found.guesses:
        _fail_undetected(url, found)
    guess = found.guesses[0]
    output.say(f"It looks like {guess.name} ({guess.confidence:.0%} sure: {guess.why}).", style="dim", to=output.err)
    return registry.RECIPES[guess.name]


def _fail_undetected(url: str, found: Detection) -> NoReturn:
    """Report what was answered instead, or that nobody answers; end with the exit code."""
    if found.connect_error:
        output.say(f"Nobody answers at {url:.100}: {found.connect_error}")
        raise typer.Exit(NOT_AUDITED)
    output.say(f"{url:.100} answers, and like no chat that is known here.")
    drivers: dict[str, list[str]] = {}
    for refusal in found.refusals:
        drivers.setdefault(refusal.answer.strip() or "nothing", []).append(refusal.name)
    for answer, names in drivers.items():
        output.say(f"  asked as {', '.join(names)}: {answer[:300]}", wrap=False)
    if found.model_refused:
        output.say("Name a model that it has, with --model.")
    output.say("Name a --driver. Write a recipe where none fits: holdfast audit recipe text")
    raise typer.Exit(3)


def _with_target(recipe: recipes.Recipe, agent: str, model: str) -> recipes.Recipe:
    """The recipe with agent and model filled in. Holdfast needs an agent: there is no default."""
    if recipe != registry.RECIPES["holdfast"]:
        return recipe.with_target(agent, model)
    if not agent:
        raise Refused("config.invalid", "this is Holdfast: name an agent with --agent")
    return structs.replace(recipe, ask=[structs.replace(recipe.ask[0], body={"agent": agent})])


@app.command("detect")
def detect_command(
    url: Annotated[str, typer.Argument(help="The chat endpoint.", show_default=False)],
    header: Annotated[list[str], typer.Option(help="Header to send, 'Name: value'; repeatable.")] = [],  # noqa: B006
    agent: Annotated[str, typer.Option(help="Which agent to ask, where the endpoint has several.")] = "",
    model: Annotated[str, typer.Option(help="The model to ask, where the endpoint checks its name.")] = "",
) -> None:
    """Guess which driver fits, and say how sure that is; where none does, show what each was answered."""
    with report_errors():
        budget, hosts = ProbeBudget(requests=30, total_s=90), frozenset({host_of(url)})
        found = asyncio.run(try_drivers(url, budget, _headers(header), hosts, agent=agent, model=model))
        if not found.guesses:
            _fail_undetected(url, found)
        rows = [(guess.name, f"{guess.confidence:.0%}", guess.why) for guess in found.guesses]
        output.say(output.table(("driver", "sure", "because"), rows))


@app.command("recipe")
def recipe_command(
    name: Annotated[str, typer.Argument(help="A driver; lists them when left out.")] = "",
    schema: Annotated[bool, typer.Option("--schema", help="The JSON schema of recipe files.")] = False,
) -> None:
    """Print a driver's recipe, to begin one's own with."""
    with report_errors():
        if schema:
            return output.say_json(recipes.schema())
        if name:
            return output.say(output.prose(recipes.dump(registry.recipe_named(name)), indent=""), wrap=False)
        for recipe in registry.RECIPES.values():
            output.say((recipe.name, "bold"), f"  {recipe.about}")
        return None


@app.command("proxy")
def proxy_command(
    target: Proxied,
    listen: Annotated[str, typer.Option(help="Where to listen; port 0 takes a free one.")] = "127.0.0.1:0",
    fault: Annotated[list[str], typer.Option(
        help="A fault for every connection: KIND[:name=value,…], as in cut:how=fin,after_bytes=2000; repeatable."
    )] = [],  # noqa: B006
    script: Annotated[Path | None, typer.Option(help="YAML: faults by connection (connections, otherwise).")] = None,
) -> None:  # fmt: skip
    """Carry connections to a target and break them: cut, half_open, stall, trickle, delay, buffer."""
    with report_errors():
        faults = [_fault(text) for text in fault]
        plan = Script(otherwise=faults)
        if script is not None:
            plan = _read(script, Script)
        host, port = _host_port(target)
        with_host, with_port = _host_port(listen)
        asyncio.run(_proxy(FaultProxy(host, port, plan, listen_host=with_host, listen_port=with_port, opened=_opened)))


async def _proxy(proxy: FaultProxy) -> None:
    async with proxy.running():
        output.say(f"listening on 127.0.0.1:{proxy.port}", wrap=False)
        output.out.file.flush()
        await asyncio.Event().wait()


def _opened(line: Line) -> None:
    output.say(f"connection {line.number}", style="dim", to=output.err)


def _fault(text: str) -> Fault:
    kind, _, more = text.partition(":")
    fields: dict[str, Any] = {"fault": kind}
    for pair in filter(None, more.split(",")):
        name, _, value = pair.partition("=")
        fields[name] = value
    try:
        return msgspec.convert(fields, Fault, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise Refused("config.invalid", f"--fault {text}: {error}") from None


def _host_port(text: str) -> tuple[str, int]:
    host, _, port = text.split("://")[-1].split("/")[0].rpartition(":")
    if not port.isdigit():
        host, port = text.split("://")[-1].split("/")[0], "443" if text.startswith(("https", "wss")) else "80"
    return host.strip("[]") or "127.0.0.1", int(port)


def _read(path: Path, type_: type[Any]) -> Any:
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=type_)
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise Refused("config.invalid", f"{path}: {error}") from None


def _inputs(path: Path | None, architecture: str, interactions: str, topology: str, surfaces: str) -> Inputs:
    """The file's, overridden by the command line's."""
    found: dict[str, Any] = _read(path, dict[str, Any]) if path is not None else {}
    stated = {
        "architecture": architecture,
        "topology": topology,
        "interactions": [part.strip() for part in interactions.split(",") if part.strip()],
        "surfaces": [part.strip() for part in surfaces.split(",") if part.strip()],
    }
    try:
        return msgspec.convert({**found, **{name: value for name, value in stated.items() if value}}, Inputs)
    except msgspec.ValidationError as error:
        raise Refused("config.invalid", f"what was said about the architecture: {error}") from None


def _headers(lines: list[str]) -> dict[str, str]:
    found = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise Refused("config.invalid", f"--header {line!r:.40}: expected 'Name: value'")
        found[name.strip().lower()] = value.strip()
    return found


def _options(prompt: str, second: str, options: AuditOptions) -> AuditOptions:
    options.prompt = prompt or options.prompt
    options.second_prompt = second or options.second_prompt
    return options


def _required(require: str) -> list[str]:
    wanted = [name.strip() for name in require.split(",") if name.strip()]
    if unknown := set(wanted) - set(CAPABILITIES):
        raise Refused("config.invalid", f"--require {', '.join(sorted(unknown))}: expected {', '.join(CAPABILITIES)}")
    return wanted


def _ask(used: int) -> bool:
    if not sys.stdin.isatty():
        return False
    return typer.confirm(f"The audit has made {used} requests. Go on?", err=True)


def _write_report(report: Report, json_file: Path | None, html_file: Path | None) -> None:
    terminal.show(report, output.out)
    if json_file is not None:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    if html_file is not None:
        html_file.write_text(page(report), encoding="utf-8")


def validate(
    agent: Annotated[str, typer.Option(help="The agent that answers.", show_default=False)],
    prompt: Annotated[str, typer.Option(help="What to ask; its answer should take seconds.")] = "",
    second_prompt: Annotated[str, typer.Option(help="What to ask besides.")] = "",
    approval_prompt: Annotated[str, typer.Option(help="A prompt that makes it ask for approval.")] = "",
    agents_prompt: Annotated[str, typer.Option(help="A prompt that takes sub-agents.")] = "",
    kill_agent: Annotated[str, typer.Option(help="Shell command that kills the agent.")] = "",
    pid: Annotated[int | None, typer.Option(help="Process of the server, whose memory to watch.")] = None,
    require: Annotated[str, typer.Option(help="What must pass.")] = "resilient,continuity,control",
    jobs: Annotated[int, typer.Option(help="Probes at a time.", min=1, max=16)] = 2,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report as JSON.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write the report as one page.")] = None,
    before: Annotated[Path | None, typer.Option(help="An earlier report: show what changed.")] = None,
    url: Url = "http://127.0.0.1:7417", token: Token = None, db: Db = "holdfast.db",
) -> None:  # fmt: skip
    """Audit one's own Holdfast server and agent with the same probes, for release pipelines."""
    with report_errors():
        wanted = _required(require)
        options = _options(
            prompt,
            second_prompt,
            AuditOptions(
                approval_prompt=approval_prompt,
                agents_prompt=agents_prompt,
                kill_agent=kill_agent,
                pid=pid,
            ),
        )
        headers = {"authorization": f"Bearer {token_for(token, db)}"}
        earlier = read_before(before) if before is not None else None
        budget = ProbeBudget(ask=lambda used: True)
        report = asyncio.run(
            _audit(url, "holdfast", (agent, ""), headers, options, budget, "", jobs, Inputs(), earlier)
        )
        report.build = _build_of(url, headers)
        _write_report(report, json_file, html_file)
        _exit(report, wanted)


def _build_of(url: str, headers: dict[str, str]) -> str:
    """Which build a server says it is; empty where it does not, for only one with governance answers."""
    try:
        answer = httpx.get(f"{url.rstrip('/')}{BUILD_PATH}", headers=headers, timeout=10.0, trust_env=False)
        found = msgspec.json.decode(answer.content, type=dict[str, Any]) if answer.is_success else {}
    except (httpx.HTTPError, httpx.InvalidURL, msgspec.DecodeError):
        return ""
    return str(found.get("build", ""))
