// Owns what is known of a workflow beside its gates: who answers for it, what it could do wrong, what changed, and its manifests.

import type { ComponentChildren } from "preact";

import { Answered, useAnswer } from "../governance/answer.js";
import { routeOf } from "../governance/api.js";
import { Unknown } from "../governance/figures.js";
import { type Column, DataTable } from "../governance/table.js";
import type { Explained, GateFlip, WorkflowPlan } from "./api.js";
import { Calm, PlanPart } from "./frame.js";
import { VerdictBadge } from "./verdict.js";
import { dayWords, ended, planAddress, sentenceOf, spanWords, timeWords, whoWords, workflowAddress } from "./words.js";
import type { BlastRadius, WorkflowChanges, WorkflowShown } from "./workflow-api.js";

const named = (workflow: string, more = ""): string => routeOf(`workflows/named/${encodeURIComponent(workflow)}${more}`);
export const useWorkflow = (workflow: string) => useAnswer<WorkflowShown>(named(workflow));

/** Owner and deputy, each with when they signed in last and when they took the role on; sponsor and payer. */
export function People({ plan, shown, zone, now }: { plan: WorkflowPlan; shown: WorkflowShown; zone: string; now: number }) {
  const owner = useAnswer<Explained>(routeOf("plan/gates/6.a", [["workflow", plan.workflow]])); // its evidence says who signed in
  const signIns = owner.data?.evidence.find(({ query }) => query === "sign_ins")?.rows ?? [];
  const signed = (name: string) => Math.max(0, ...signIns.filter(({ person }) => String(person).toLowerCase() === name.toLowerCase()).map(({ at_ms }) => Number(at_ms ?? 0)));
  const accepted = (role: string, name: string) => shown.acceptances.find((each) => each.role === role && each.person.toLowerCase() === name.toLowerCase())?.at_ms ?? 0;
  const when = (ms: number, words: string): ComponentChildren => (ms ? <span title={timeWords(zone, ms)}>{words} {spanWords(now - ms)} ago</span> : <span class="unknown">{words === "signed in" ? "no sign-in seen" : "did not accept"}</span>);
  const line = (role: string, name: string) => (
    <div key={role}><dt>{role}</dt><dd>{name ? <><b>{whoWords(name)}</b> <small>{role === "owner" || role === "deputy" ? <>{when(accepted(role, name), "accepted")} {owner.data ? when(signed(name), "signed in") : null}</> : null}</small></> : <span class="unknown">nobody</span>}</dd></div>
  );
  return (
    <>
      <dl class="way-facts people-facts">{line("owner", plan.owner)}{line("deputy", plan.deputy)}{line("sponsor", plan.sponsor)}{line("payer", plan.payer)}<div><dt>unit</dt><dd>{shown.workflow.unit ? <b>{shown.workflow.unit}</b> : <Unknown />}</dd></div></dl>
      {shown.elsewhere.length > 0 && <p class="hint note">The organisation says otherwise: {shown.elsewhere.join("; ")}.</p>}
    </>
  );
}

/** What it could do wrong, and how fast: a sentence, and its table. */
export function Blast({ blast }: { blast: BlastRadius }) {
  type Tool = BlastRadius["tools"][number];
  const columns: Column<Tool>[] = [
    { name: "tool", label: "tool", kind: "wide", value: ({ tool }) => tool, cell: ({ tool, declared }) => <>{tool}{declared ? null : <small> <b class="stops">not in the manifest</b></small>}</> },
    { name: "effect", label: "effect", value: ({ effect }) => effect, cell: ({ effect, classed }) => <>{effect === "memory" ? "reads what others left" : effect}{classed ? null : <> <Unknown why="nobody has classed it: it counts as writing">nobody classed it</Unknown></>}</> },
    { name: "limit", label: "limit", value: ({ limit }) => limit, cell: ({ limit }) => limit || "none" },
    { name: "calls", label: `calls, ${blast.days} days`, kind: "number", value: ({ calls }) => calls, cell: ({ calls }) => calls.toLocaleString("en") },
    { name: "declared", label: "declared", value: ({ declared }) => String(declared), hidden: true },
  ];
  return (
    <PlanPart title="What it could do wrong">
      <p class="blast">{ended(blast.sentence)} <a href={planAddress("runs", "", { workflow: blast.workflow })}>Its runs</a></p>
      {blast.tools.length > 0 && <DataTable label="Tools" columns={columns} rows={blast.tools} file={`tools-${blast.workflow}`} keyOf={({ tool }) => tool} empty="No tools." />}
    </PlanPart>
  );
}

/** What flipped, and what else changed of it, within a week. */
export function Changed({ workflow, flips, zone }: { workflow: string; flips: readonly GateFlip[]; zone: string }) {
  const changes = useAnswer<WorkflowChanges>(named(workflow, "/changes"));
  return (
    <PlanPart title="What changed since last week">
      {flips.length > 0 && <ul class="flips">{flips.map(({ gate, title, before, after, at_ms, reason }) => <li key={gate}><span class="flip"><VerdictBadge shown={before} /><span aria-label="then">→</span><VerdictBadge shown={after} /></span><span><a href={workflowAddress(workflow, gate)}>{gate} {title}</a>: {ended(reason)} <small>{dayWords(zone, at_ms)}</small></span></li>)}</ul>}
      <Answered answer={changes}>{({ changes: lines, unknown }) => (
        <>
          {lines.length ? <ul class="changes">{lines.map(({ area, what, before, after, at_ms, by }, at) => <li key={at}><span class="chip-word">{area}</span><span>{what}{before || after ? <>: {before ? <del>{before}</del> : "nothing"} → <ins>{after || "nothing"}</ins></> : null} <small>{[by ? whoWords(by) : "", at_ms ? dayWords(zone, at_ms) : ""].filter(Boolean).join(", ")}</small></span></li>)}</ul> : flips.length ? null : <Calm>Nothing of it changed: no gate, no model, no tool, no price, nobody.</Calm>}
          {unknown.length > 0 && <p class="hint note"><span class="unknown">not compared</span> {unknown.map(sentenceOf).join(" ")}</p>}
        </>
      )}</Answered>
    </PlanPart>
  );
}

