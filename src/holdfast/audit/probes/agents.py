"""Multi-agent: are sub-agents seen directly, and what becomes of them when the orchestrator dies?"""

from __future__ import annotations

from typing import Final

from holdfast.audit.lab import ProbeResult, Trial, failed, inconclusive, passed, skipped, unsupported
from holdfast.audit.probes.hooks import run_hook
from holdfast.audit.probes.probe import Probe
from holdfast.audit.probes.resilient import judge_loss_shown

NO_PROMPT: Final = "no prompt that makes it call sub-agents was given (--agents-prompt)"


async def direct(trial: Trial) -> ProbeResult:
    """Whether sub-agents are seen."""
    lab = trial.lab
    if not lab.options.agents_prompt:
        return skipped(NO_PROMPT)
    tab = await trial.tab("tab A")
    stream = await trial.ask(tab, lab.options.agents_prompt)
    if lab.is_end(await trial.wait_finished(tab, stream)):
        lab.usual_chars[lab.options.agents_prompt] = len(stream.transcript.answer)
    entries = stream.transcript.of("agent")
    trial.add_evidence("what came", stream)
    if not stream.transcript.answer and not entries:
        return inconclusive("nothing was answered")
    if not entries and not lab.endpoint.recipe.sees("agent"):
        return unsupported("only the orchestrator is seen: nothing that comes here tells of sub-agents")
    if not entries:
        return failed("only the orchestrator is seen: what sub-agents do arrives when it relays it, or never")
    names = sorted({entry.by or entry.id for entry in entries})
    pieces = max(entry.pieces for entry in entries)
    if pieces < 2:
        return failed(f"{', '.join(names)} came as one piece each: their results are shown, not their work")
    return passed(f"{', '.join(names)} are seen while they work, in {pieces} pieces at most")


async def orchestrator_dies(trial: Trial) -> ProbeResult:
    """What people see of a dead orchestrator."""
    lab = trial.lab
    if not lab.options.agents_prompt:
        return skipped(NO_PROMPT)
    if not lab.options.kill_orchestrator:
        return skipped("no command that kills the orchestrator was given (--kill-orchestrator)")
    tab = await trial.tab("tab A")
    stream = await trial.ask(tab, lab.options.agents_prompt)
    if not await stream.until(lambda page: bool(page.of("agent")), lab.answer_s):
        return inconclusive("no sub-agent was seen that could outlive its orchestrator")
    trial.record("audit", "endpoint", "kills the orchestrator", fault=True)
    if (problem := await run_hook(lab.options.kill_orchestrator)) is not None:
        return inconclusive(f"the command that kills the orchestrator failed: {problem}")
    end = await trial.wait_finished(tab, stream, within_s=lab.options.lost_s)
    trial.add_evidence("after the orchestrator was killed", stream)
    if end.ending == "none":
        return failed("nothing says what became of the sub-agents: no end came")
    return await judge_loss_shown(trial, stream, end)


PROBES: Final = (
    Probe(
        "agents.direct", "agents", "Sub-agents are seen directly",
        "asked for something that takes sub-agents, and watched", "their work is seen as it happens, under their names",
        direct,
    ),
    Probe(
        "agents.orchestrator_dies", "agents", "The orchestrator dies",
        "killed the orchestrator while sub-agents worked", "the people waiting are told what became of it",
        orchestrator_dies, alone=True, after=("resilient.end_marked",),
    ),
)  # fmt: skip
