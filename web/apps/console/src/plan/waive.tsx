// Owns passing a gate over: what it opens and what it does not is said first; a reason and a date are asked for; the receipt is shown.

import { useState } from "preact/hooks";

import { type Console, useConsole } from "../console.js";
import { routeOf } from "../governance/api.js";
import { Consequence } from "../governance/frame.js";
import { WorkflowRadius } from "../radius.js";
import type { DoorStatus, GateStatus, PlanWaiver, WorkflowPlan } from "./api.js";
import { dayWords, DAY_MS, DOORS, ofWords, opensAlone, several } from "./words.js";

const DAYS = [7, 14, 30] as const; // thirty at most

/** As the server has it: the sponsor, or whoever has the risk officer's right; owner and deputy never. */
export function whyNotWaive(operator: Console, plan: Pick<WorkflowPlan, "owner" | "deputy" | "sponsor"> | null): string {
  const me = operator.actor.replace(/^user:/, "").toLowerCase();
  if (me && [plan?.owner, plan?.deputy].some((name) => name?.toLowerCase() === me)) return "You own the workflow, or are its deputy: neither waives its gates.";
  if (operator.may("waive") || (me && plan?.sponsor.toLowerCase() === me)) return "";
  return `Only ${plan?.sponsor ? `the sponsor (${plan.sponsor}) or ` : ""}the risk officer (the right \`waive\`) passes a gate over.`;
}

export function WaiveForm({ gate, doors, workflow, zone, now, changed, cancel }: { gate: GateStatus; doors: readonly DoorStatus[]; workflow: string; zone: string; now: number; changed: () => void; cancel: () => void }) {
  const operator = useConsole();
  const [days, setDays] = useState<number>(14);
  const opens = opensAlone(gate.gate, doors);
  const says = (
    <>
      Gate {gate.gate} of {ofWords(workflow)} is passed over until <b>{dayWords(zone, now + days * DAY_MS)}</b>, in your name. It does not become green: it says <i>waived</i> everywhere, on the Monday page with its age. {opens.length ? <>It opens {opens.map((door) => DOORS[door].name.toLowerCase()).join(" and ")}: {opens.map((door) => DOORS[door].opens).join(", ")}.</> : "It opens no door by itself: other gates are in the way, too."} When the date passes and nothing was mended, the gate {gate.verdict === "fail" ? "fails" : "is unknown"} again. It may be renewed once.
      {workflow && <WorkflowRadius workflow={workflow} />}
      <label><span>for how long</span><select value={days} onChange={({ currentTarget }) => setDays(Number(currentTarget.value))}>{DAYS.map((each) => <option key={each} value={each}>{several(each, "day")}</option>)}</select></label>
    </>
  );
  return <Consequence says={says} action={`waive for ${several(days, "day")}`} danger reason="why, for whoever reads it on Monday" cancel={cancel} perform={async (reason) => {
    const { waiver } = await operator.request<{ waiver: PlanWaiver }>(routeOf("plan/waivers"), "POST", { gate: gate.gate, workflow, reason, days });
    changed();
    return <>Gate {waiver.gate} of {ofWords(waiver.workflow)} is waived by {waiver.by} ({waiver.office === "risk" ? "risk officer" : "sponsor"}) until {dayWords(zone, waiver.until_ms)}: {waiver.reason}. Receipt <code>{waiver.id}</code></>;
  }} />;
}
