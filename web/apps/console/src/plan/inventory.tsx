// Owns the inventory: what works, or is paid for, and belongs to no workflow, with the door to name it; and ideas with what their answers come to.

import { Answered, useAnswer } from "../governance/answer.js";
import { type OrganisationDay, routeOf } from "../governance/api.js";
import { exactUsd, Money, nanoOf, Unknown, usd } from "../governance/figures.js";
import { CopyCommand, moneyAddress, quoted } from "../governance/frame.js";
import { type Column, DataTable } from "../governance/table.js";
import type { Shown } from "./api.js";
import { PlanFrame } from "./frame.js";
import { VerdictBadge } from "./verdict.js";
import { dayWords, sentenceOf, several, whoWords, workflowAddress } from "./words.js";
import type { Idea, SeenLine } from "./workflow-api.js";

const KINDS: Record<SeenLine["kind"], string> = { caller: "caller without a key", key: "key", label: "label that names nothing", model: "model", agent: "agent", bill: "line of a bill" };
/** What nobody answered is unknown, and no verdict on the work. */
function triageLook({ verdict, failing, open }: Idea["triage"]): { shown: Shown; word: string } {
  if (verdict === "suits") return { shown: "pass", word: "suits" };
  if (verdict === "suits_with_gaps") return { shown: "not_applicable", word: "suits, with gaps" };
  return failing.length || !open.length ? { shown: "fail", word: "does not suit yet" } : { shown: "unknown", word: "not answered yet" };
}
const usdRange = (value: string): string => value.split("-").map((each) => usd(nanoOf(each) ?? 0).replace(/\.00$/, "")).join(" – ");

export function InventoryPage() {
  const seen = useAnswer<{ seen: SeenLine[] }>(routeOf("workflows/inventory"));
  const ideas = useAnswer<{ ideas: Idea[] }>(routeOf("workflows/ideas"));
  const organisation = useAnswer<OrganisationDay>(routeOf("organisation"));
  const zone = organisation.data?.time_zone ?? "";
  return (
    <PlanFrame page="inventory" title="Inventory" question="What works, or is paid for, and belongs to no workflow?" command="holdfast workflow inventory">
      <Answered answer={seen}>{({ seen: lines }) => <><Nameless lines={lines} /><SeenTable lines={lines} zone={zone} /></>}</Answered>
      <Answered answer={ideas}>{(found) => <Ideas ideas={found.ideas} zone={zone} />}</Answered>
    </PlanFrame>
  );
}

/** A call is in a line of its model and in one of its agent: so no sum over kinds is shown. */
function Nameless({ lines }: { lines: readonly SeenLine[] }) {
  const spent = lines.filter(({ spend_usd, kind }) => kind === "model" && nanoOf(spend_usd) !== null).reduce((sum, { spend_usd }) => sum + nanoOf(spend_usd)!, 0);
  const callers = lines.filter(({ kind }) => kind === "caller").length;
  return (
    <section class="attention" aria-label="What needs somebody">{lines.length ? <ul>
      {spent > 0 && <li><Money nano={spent} href={moneyAddress("spend", [["period", "28d"], ["where", "workflow:unassigned"], ["by", "model"]])} /> in 28 days belong to no workflow.</li>}
      {callers > 0 && <li>{several(callers, "caller")} came without a key that is known. <a href={moneyAddress("callers")}>See who</a></li>}
      <li>{several(lines.length, "line")} below {lines.length === 1 ? "waits" : "wait"} for a name; each says how to give it one.</li>
    </ul> : <p>Nothing was seen that belongs to no workflow.</p>}</section>
  );
}

function doorOf({ kind, name }: SeenLine): string {
  if (kind === "caller") return moneyAddress("callers");
  if (kind === "key") return moneyAddress("keys");
  if (kind === "bill") return moneyAddress("bill");
  if (kind === "label") return moneyAddress("spend", [["period", "28d"], ["where", `tag:label_workflow:${name}`]]);
  return moneyAddress("spend", [["period", "28d"], ["where", "workflow:unassigned"], ["where", `${kind}:${name}`]]);
}

function SeenTable({ lines, zone }: { lines: readonly SeenLine[]; zone: string }) {
  const columns: Column<SeenLine>[] = [
    { name: "name", label: "what", kind: "wide", value: ({ name }) => name, cell: (line) => <><a href={doorOf(line)}>{line.name || "(none)"}</a> <small>{KINDS[line.kind]}{line.detail ? `, ${line.detail}` : ""}</small></> }, { name: "kind", label: "kind", value: ({ kind }) => kind, hidden: true }, { name: "detail", label: "detail", value: ({ detail }) => detail, hidden: true },
    { name: "spend_usd", label: "28 days", kind: "number", value: ({ spend_usd }) => { const nano = nanoOf(spend_usd); return nano === null ? null : exactUsd(nano); }, order: ({ spend_usd }) => nanoOf(spend_usd) ?? -1, cell: (line) => { const nano = nanoOf(line.spend_usd); return nano === null ? <Unknown why="nobody can know it" /> : <Money nano={nano} href={doorOf(line)} />; } },
    { name: "calls", label: "calls or lines", kind: "number", value: ({ calls }) => calls, cell: ({ calls }) => calls.toLocaleString("en") },
    { name: "last", label: "seen last", value: ({ last_ms }) => (last_ms === null ? null : new Date(last_ms).toISOString()), order: ({ last_ms }) => last_ms ?? -1, cell: ({ last_ms }) => (last_ms ? dayWords(zone, last_ms) : <Unknown />) },
    { name: "next", label: "name it", kind: "wide", value: ({ next }) => next, cell: ({ next }) => (next.startsWith("holdfast ") ? <><code>{next}</code> <CopyCommand command={next} label="copy" /></> : sentenceOf(next)) },
  ];
  return <DataTable label="Seen without a workflow" columns={columns} rows={lines} file="inventory" keyOf={({ kind, name, detail }) => `${kind} ${name} ${detail}`} empty="Nothing was seen that belongs to no workflow." />;
}

function Ideas({ ideas, zone }: { ideas: readonly Idea[]; zone: string }) {
  const columns: Column<Idea>[] = [
    { name: "name", label: "idea", kind: "wide", value: ({ name }) => name, cell: ({ name, title, by, at_ms }) => <><b>{name}</b> <small>{[title, `${whoWords(by)}, ${dayWords(zone, at_ms)}`].filter(Boolean).join(" · ")}</small></> },
    { name: "triage", label: "triage", value: ({ triage: { verdict } }) => verdict, cell: ({ triage }) => <VerdictBadge {...triageLook(triage)} /> },
    { name: "says", label: "because", kind: "wide", value: ({ triage: { sentence } }) => sentence, cell: ({ triage: { sentence, warnings } }) => <>{sentenceOf(sentence)}{warnings.map((warning) => <small key={warning} class="under">{sentenceOf(warning)}</small>)}</> },
    { name: "value", label: "declared value a year, USD", kind: "number", value: ({ triage: { value } }) => value, cell: ({ triage: { value } }) => (value ? usdRange(value) : <Unknown why="nobody has declared it" />) },
    { name: "workflow", label: "next", value: ({ workflow }) => workflow, cell: ({ workflow, name }) => (workflow ? <a href={workflowAddress(workflow)}>{workflow}</a> : <><code>holdfast workflow triage {name}</code> <CopyCommand command={`holdfast workflow triage ${quoted(name)}`} label="copy" /></>) },
  ];
  return <DataTable label="Ideas" columns={columns} rows={ideas} file="ideas" keyOf={({ id }) => id} empty="No idea is on record. holdfast workflow idea NAME" />;
}
