// Owns the gates of a workflow: verdict, n, reason, what mends it in a verb; its evidence below it, at an address of its own.

import { Button, Glyph } from "holdfast-look";
import { useState } from "preact/hooks";

import { useConsole } from "../console.js";
import { Sentence } from "../governance/figures.js";
import type { DoorStatus, GateFacts, GateStatus, WorkflowPlan } from "./api.js";
import { Evidence } from "./evidence.js";
import { GateBadge, Since } from "./verdict.js";
import { WaiveForm, whyNotWaive } from "./waive.js";
import { ended, gateAddress, sentenceOf, several, sortedGates, timeWords, workflowAddress } from "./words.js";

interface GateListProps { plan: WorkflowPlan; facts: readonly GateFacts[]; zone: string; now: number; open: string; changed: () => void }

export function GateList({ plan, facts, zone, now, open, changed }: GateListProps) {
  const { built, unbuilt } = sortedGates(plan);
  const all = new Map(facts.map((each) => [each.gate, each]));
  const row = (gate: GateStatus) => <GateRow key={gate.gate} gate={gate} facts={all.get(gate.gate)} plan={plan} workflow={plan.workflow} doors={plan.doors} open={open === gate.gate} zone={zone} now={now} changed={changed} />;
  return (
    <>
      <ul class="gates">{built.map(row)}</ul>
      {unbuilt.length > 0 && <details class="unbuilt" open={unbuilt.some(({ gate }) => gate === open)}><summary>{several(unbuilt.length, "gate")} not built yet: unknown, and counted as unknown</summary><ul class="gates">{unbuilt.map(row)}</ul></details>}
    </>
  );
}

/** `workflow` is empty for a gate of the organisation that stands on a page of its own. */
export function GateRow({ gate, facts, plan, workflow, doors, open, zone, now, changed }: { gate: GateStatus; facts: GateFacts | undefined; plan: WorkflowPlan | null; workflow: string; doors: readonly DoorStatus[]; open: boolean; zone: string; now: number; changed: () => void }) {
  const operator = useConsole();
  const [waiving, setWaiving] = useState(false);
  const wants = gate.shown === "fail" || gate.shown === "unknown";
  const whyNot = whyNotWaive(operator, plan);
  const of = facts?.span === "organisation" ? " · of the organisation" : "";
  return (
    <li class="gate" id={`gate-${gate.gate}`} data-row data-gate={gate.gate} data-shown={gate.shown} data-open={open ? "yes" : undefined} tabIndex={-1}>
      <div class="gate-head"><GateBadge gate={gate} /><h3>{gate.gate} {facts?.title}<small>{facts?.holds.length ? ` holds ${facts.holds.join(", ")}` : ""}{of}</small></h3>
        <span class="gate-since">{gate.n > 0 && <>n = {gate.n.toLocaleString("en")} · </>}{gate.cause === "unbuilt" ? "" : <Since ms={gate.since_ms} now={now} words={(ms) => timeWords(zone, ms)} />}</span></div>
      <p>{sentenceOf(gate.reason)} {wants && gate.fix && <b class="fix"><Sentence text={ended(gate.fix)} /></b>}{gate.shown === "waived" && <> It would be <b>{gate.verdict}</b>. <a href="#/plan/waivers">The waiver</a></>}</p>
      {gate.former && <p class="hint">Under the former numbers: {gate.former}</p>}
      <div class="row gate-doors">
        {workflow ? <a class="button quiet-link" href={open ? workflowAddress(workflow) : gateAddress(gate.gate, workflow)} aria-expanded={open}><Glyph name={open ? "fold" : "right"} />{open ? "hide the evidence" : "evidence"}</a> : null}
        {wants && !whyNot && !waiving && <Button icon="over" label="waive …" class="waive" onClick={() => setWaiving(true)} />}
        {wants && whyNot && open && <span class="hint"><Sentence text={whyNot} /></span>}
      </div>
      {waiving && <WaiveForm gate={gate} doors={doors} workflow={workflow} zone={zone} now={now} changed={changed} cancel={() => setWaiving(false)} />}
      {open && <Evidence key={gate.verdict_id} gate={gate.gate} workflow={workflow} zone={zone} now={now} />}
    </li>
  );
}
