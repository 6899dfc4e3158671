// Owns the grid for the board and for print: workflows × the eleven steps. On screen the exceptions come first.

import { useState } from "preact/hooks";

import { Glyph } from "holdfast-look";

import { Answered, useAnswer } from "../governance/answer.js";
import { routeOf } from "../governance/api.js";
import type { GateStatus, PlanStatus, Shown, WorkflowPlan } from "./api.js";
import { Calm, PlanFrame, PlanPart } from "./frame.js";
import { VerdictBadge } from "./verdict.js";
import { dayWords, ended, gateAddress, planAddress, sentenceOf, several, stepCell, type StepCell, VERDICTS, workflowAddress } from "./words.js";

const LEGEND: readonly [Shown, string][] = [["fail", "a gate of the step fails"], ["unknown", "nobody can tell: no evidence, too little, or the gate is not built yet"], ["waived", "passed over by name, until a date"], ["pass", "every gate of the step passes"], ["not_applicable", "it is about something that is not there, as computed"]];

export function GridPage() {
  const status = useAnswer<PlanStatus>(routeOf("plan"));
  const zone = status.data?.zone ?? "";
  return (
    <PlanFrame page="grid" wide title="Grid" command="holdfast plan status" question={<>Where is each workflow in the eleven steps?{status.data ? <> <b>{dayWords(zone, status.data.as_of_ms)}</b>, {zone}; profile {status.data.profile.base}, version {status.data.profile.version}.</> : null}</>}>
      <Answered answer={status} rows={8}>{(found) => <GridOf found={found} />}</Answered>
    </PlanFrame>
  );
}

function GridOf({ found: { workflows, steps, gates } }: { found: PlanStatus }) {
  const [pointed, setPointed] = useState<{ workflow: string; cell: StepCell } | null>(null);
  if (!workflows.length) return <Calm>No workflow has a manifest yet. <a href={planAddress("inventory")}>What was seen without a name</a></Calm>;
  const rows = workflows.map((plan) => {
    const own = new Map(plan.gates.map((each) => [each.gate, each]));
    return { plan, cells: steps.map(({ step }) => stepCell(step, gates, own)) };
  });
  const unbuilt = gates.filter(({ built }) => !built);
  const title = (step: number) => steps.find((each) => each.step === step)?.title ?? "";
  return (
    <>
      <Exceptions workflows={workflows} />
      <PlanPart title="Workflows by step" count={cellCounts(rows.flatMap(({ cells }) => cells))}>
        <div class="grid-scroll"><table class="plan-grid">
          <thead><tr><th scope="col">workflow</th>{steps.map(({ step, title: words }) => <th key={step} scope="col"><b>{step}</b> <span>{words}</span></th>)}</tr></thead>
          <tbody>{rows.map(({ plan, cells }) => (
            <tr key={plan.workflow} data-key={plan.workflow}><th scope="row"><a href={workflowAddress(plan.workflow)}>{plan.workflow}</a><small>{plan.state}{plan.stage ? `, stage ${plan.stage}` : ""}</small></th>
              {cells.map((cell) => {
                const point = () => setPointed({ workflow: plan.workflow, cell });
                return <td key={cell.step} data-verdict={cell.shown} data-label={`${cell.step} ${title(cell.step)}`}><a href={gateAddress(cell.gate, plan.workflow)} title={cell.says} aria-label={`${plan.workflow}, step ${cell.step} ${title(cell.step)}: ${cell.says}`} onFocus={point} onMouseEnter={point}><Glyph name={VERDICTS[cell.shown].glyph} /><span>{cell.word}</span></a></td>;
              })}
            </tr>
          ))}</tbody>
        </table></div>
        <p class="pointed plan-pointed" role="status">{pointed ? <><b>{pointed.workflow}, {pointed.cell.step} {title(pointed.cell.step)}</b> {ended(pointed.cell.says)}</> : "Point at a cell, or move into it with the keyboard: what it says stands here."}</p>
        <ul class="legend" aria-label="Legend">{LEGEND.map(([shown, words]) => <li key={shown}><VerdictBadge shown={shown} /> <small>{words}</small></li>)}</ul>
        {unbuilt.length > 0 && <p class="hint note">{several(unbuilt.length, "gate")} of {gates.length} {unbuilt.length === 1 ? "is" : "are"} not built yet: {unbuilt.map(({ gate, title: words }) => `${gate} ${words}`).join(", ")}. They are unknown in every workflow, and a step that has one is never better than unknown.</p>}
      </PlanPart>
    </>
  );
}

function cellCounts(cells: readonly StepCell[]): string {
  const count = (shown: Shown) => cells.filter((cell) => cell.shown === shown).length;
  const unbuilt = cells.filter(({ shown, unbuilt: some }) => shown === "unknown" && some > 0).length;
  return `${cells.length} cells: ${LEGEND.map(([shown]) => (count(shown) ? `${count(shown)} ${VERDICTS[shown].word}${shown === "unknown" && unbuilt ? ` (${unbuilt} for a gate that is not built yet)` : ""}` : "")).filter(Boolean).join(", ")}`;
}

/** What is red, with what to do in a verb. */
function Exceptions({ workflows }: { workflows: readonly WorkflowPlan[] }) {
  const found = workflows.flatMap((plan) => plan.gates.filter(({ shown }) => shown === "fail").map((gate): { plan: WorkflowPlan; gate: GateStatus } => ({ plan, gate })));
  const order = ({ plan, gate }: (typeof found)[number]) => (plan.missing.includes(gate.gate) ? 0 : 1); // what is in nobody's way comes last
  const once = [...found].sort((one, other) => order(one) - order(other)).filter(({ gate }, at, list) => gate.workflow || list.findIndex((other) => other.gate.gate === gate.gate) === at); // a gate of the organisation is one exception
  return (
    <PlanPart title="Red now" count={once.length || undefined}>
      {once.length ? <ul class="flips">{once.map(({ plan, gate }) => <li key={`${plan.workflow} ${gate.gate}`} data-row tabIndex={-1}><VerdictBadge shown="fail" /><span><a href={gateAddress(gate.gate, gate.workflow)}>{gate.workflow || "the organisation"}, {gate.gate}</a>: <b>{ended(gate.fix)}</b> {sentenceOf(gate.reason)}{plan.missing.includes(gate.gate) ? "" : <small> It is in the way of no door now.</small>}</span></li>)}</ul> : <Calm>No gate fails. What is unknown is in the grid.</Calm>}
    </PlanPart>
  );
}
