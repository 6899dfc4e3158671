// Owns one workflow's page: may it go on and who must do what by when; then its doors, its gates with their evidence, what it costs, and where it is on its way.

import { Button } from "holdfast-look";
import { useEffect, useState } from "preact/hooks";

import { useConsole } from "../console.js";
import { Answered, useAnswer } from "../governance/answer.js";
import { routeOf } from "../governance/api.js";
import { quoted } from "../governance/frame.js";
import type { MondayFacts, PlanStatus, WorkflowPlan } from "./api.js";
import { DoorRow } from "./doors.js";
import { PlanFrame, PlanPart } from "./frame.js";
import { GateList } from "./gate-list.js";
import { StopBanner, StopButton, StopForm, useStops } from "./stop.js";
import { Versions } from "./versions.js";
import { dayWords, doorShown, ended, several, spanWords, whoWords } from "./words.js";
import { CostPerAccepted } from "./workflow-cost.js";
import { Blast, Changed, People, useWorkflow } from "./workflow-facts.js";

export function WorkflowPage({ workflow, query }: { workflow: string; query: URLSearchParams }) {
  const operator = useConsole();
  const status = useAnswer<PlanStatus>(routeOf("plan", [["workflow", workflow]]));
  const gate = query.get("gate") ?? "";
  const compute = () => operator.perform(async () => { await operator.request(routeOf("plan", [["workflow", workflow], ["compute", "1"]])); status.refresh(); }, "Every gate was computed again.");
  return (
    <PlanFrame page="workflow" title={workflow} question="May it go on, and who must do what by when?" command={`holdfast plan status ${quoted(workflow)}`} controls={<Button icon="again" label="compute now" kind="quiet" class="compute" onClick={() => void compute()} />}>
      <Answered answer={status} rows={8}>{(found) => <WorkflowOf found={found} plan={found.workflows[0]!} gate={gate} changed={status.refresh} />}</Answered>
    </PlanFrame>
  );
}

function WorkflowOf({ found, plan, gate, changed }: { found: PlanStatus; plan: WorkflowPlan; gate: string; changed: () => void }) {
  const { zone, as_of_ms: now, gates } = found;
  const shown = useWorkflow(plan.workflow);
  const [stopping, setStopping] = useState(false);
  const stops = useStops();
  const monday = useAnswer<MondayFacts>(routeOf("plan/monday"));
  const running = plan.doors.find(({ door }) => door === "R");
  const ahead = plan.doors.find(({ door }) => door === plan.next_door);
  const stands = plan.state !== "registered" && running?.shut_by.length ? "fail" : ahead ? doorShown(ahead) : "unknown";
  useEffect(() => { if (shown.data) shown.refresh(); }, [found]); // who answers for it may have changed since
  useEffect(() => { if (gate) document.getElementById(`gate-${gate}`)?.scrollIntoView({ block: "start" }); }, [gate]);
  return (
    <>
      {stops.data && <StopBanner stops={stops.data.stops} workflow={plan.workflow} zone={zone} changed={stops.refresh} />}
      <p class="the-sentence" data-stands={stands}>{ended(plan.sentence)}</p>
      <p class="standing"><span class="chip-word">{plan.state}</span><span class="chip-word">{plan.stage ? `stage ${plan.stage}` : "no stage declared"}</span><span class="chip-word" data-mode={plan.mode}>{plan.mode === "enforce" ? "enforced" : "observed: nothing is stopped"}</span>{!stopping && <span class="stop-row"><StopButton ask={() => setStopping(true)} /></span>}</p>
      {stopping && <StopForm workflow={plan.workflow} changed={stops.refresh} cancel={() => setStopping(false)} />}
      <DoorRow plan={plan} facts={gates} />
      <PlanPart title="On its way"><Way plan={plan} steps={found.steps} zone={zone} now={now} /><Answered answer={shown} rows={1}>{(facts) => <People key={plan.gates.find((each) => each.gate === "6.a")?.verdict_id} plan={plan} shown={facts} zone={zone} now={now} />}</Answered></PlanPart>
      <PlanPart title="Gates" count={gateCounts(plan)}><GateList plan={plan} facts={gates} zone={zone} now={now} open={gate} changed={changed} /></PlanPart>
      <CostPerAccepted workflow={plan.workflow} />
      <Answered answer={shown}>{(facts) => <Blast blast={facts.blast} />}</Answered>
      <Answered answer={monday}>{({ flips }) => <Changed workflow={plan.workflow} flips={flips.filter((flip) => flip.workflow === plan.workflow)} zone={zone} />}</Answered>
      {shown.data && <Versions workflow={plan.workflow} current={shown.data.workflow.version} zone={zone} changed={() => { shown.refresh(); changed(); }} />}
    </>
  );
}

function gateCounts({ gates }: WorkflowPlan): string {
  const unbuilt = gates.filter(({ cause, shown }) => cause === "unbuilt" && shown === "unknown").length;
  const count = (shown: string) => gates.filter((each) => each.shown === shown).length - (shown === "unknown" ? unbuilt : 0);
  return [...(["fail", "unknown", "waived", "pass"] as const).map((shown) => (count(shown) ? `${count(shown)} ${shown}` : "")), unbuilt ? `${unbuilt} not built yet` : ""].filter(Boolean).join(", ");
}

/** At which step, since when, with whom, and when it may be through: from what happened before, or unknown. */
function Way({ plan: { progress: { step, since_ms, days, holder, expected_ms }, next_door }, steps, zone, now }: { plan: WorkflowPlan; steps: PlanStatus["steps"]; zone: string; now: number }) {
  const title = steps.find((each) => each.step === step)?.title;
  const person = (name: string) => (name ? <b>{whoWords(name)}</b> : <span class="unknown">nobody</span>);
  return (
    <dl class="way-facts">
      <div><dt>step</dt><dd>{step ? <><b>{step}</b> {title}</> : next_door === "R" ? "through: nothing is in the way" : "nothing is in the way of its next door"}</dd></div>
      {step > 0 && <div><dt>in it</dt><dd>{since_ms ? <b>{days < 1 ? "less than a day" : several(days, "day")}</b> : <span class="unknown">unknown since when</span>}</dd></div>}
      {step > 0 && <div><dt>with</dt><dd>{person(holder)}</dd></div>}
      {step > 0 && <div><dt>expected</dt><dd>{expected_ms === null ? <span class="unknown" title="a gate in its way was passed fewer than three times here">unknown</span> : <b title={expected_ms > now ? `in ${spanWords(expected_ms - now)}` : undefined}>{dayWords(zone, expected_ms)}</b>}</dd></div>}
    </dl>
  );
}
