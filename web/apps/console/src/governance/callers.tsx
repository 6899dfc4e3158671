// Owns who has no name yet: callers without a key that is known, and workflows that nobody described.

import { Button } from "holdfast-look";
import { useState } from "preact/hooks";

import { useConsole } from "../console.js";
import { type OrganisationDay, routeOf, type Spend, type UnknownCaller, type WorkflowRow } from "./api.js";
import { Answered, Needs, useAnswer } from "./answer.js";
import { exactUsd, Money } from "./figures.js";
import { MoneyFrame, moneyAddress } from "./frame.js";
import { KeyForm, type NewKey, SecretOnce } from "./key-form.js";
import type { Period } from "./period.js";
import { timeIn } from "./rows.js";
import { type Column, DataTable } from "./table.js";

export function CallersPage({ query }: { query: URLSearchParams }) {
  const wanted = new URLSearchParams(query);
  if (!wanted.has("period")) wanted.set("period", "28d");
  return (
    <MoneyFrame page="callers" title="Unknown callers" query={wanted} periods={false} command={() => "holdfast keys unknown"} question="Who calls without a name?">
      {(period, organisation) => <><Strangers organisation={organisation} /><Undescribed organisation={organisation} period={period} /></>}
    </MoneyFrame>
  );
}

function Strangers({ organisation }: { organisation: OrganisationDay }) {
  const answer = useAnswer<{ callers: UnknownCaller[] }>(routeOf("keys/unknown"));
  const manages = useConsole().may("budget");
  const [open, setOpen] = useState("");
  const [made, setMade] = useState<NewKey | null>(null);
  const time = timeIn(organisation.time_zone);
  const keyOf = ({ fingerprint, agent }: UnknownCaller) => `${fingerprint} ${agent}`;
  const columns: Column<UnknownCaller>[] = [
    { name: "agent", label: "program", kind: "wide", value: ({ agent }) => agent, cell: ({ agent }) => <b>{agent || "(says nothing of itself)"}</b> },
    { name: "fingerprint", label: "sends", value: ({ fingerprint }) => fingerprint, cell: ({ fingerprint }) => (fingerprint ? <code title={fingerprint}>{fingerprint.slice(0, 12)}…</code> : <small>no key at all</small>) },
    { name: "paths", label: "asks for", value: ({ paths }) => paths.join(" "), cell: ({ paths }) => paths.join(", ") }, { name: "calls", label: "calls", kind: "number", value: ({ calls }) => calls, cell: ({ calls }) => calls.toLocaleString() },
    { name: "first", label: "first", value: ({ first_ms }) => new Date(first_ms).toISOString(), hidden: true }, { name: "last", label: "last", value: ({ last_ms }) => new Date(last_ms).toISOString(), order: ({ last_ms }) => last_ms, cell: ({ last_ms }) => time(last_ms) },
    { name: "actions", label: "", value: () => null, cell: (caller) => (!manages ? "" : caller.fingerprint && !caller.fingerprint.startsWith("~") ? <Button icon="hand" label="adopt" onClick={() => setOpen(keyOf(caller))} /> : <a class="button" href={moneyAddress("keys")}>give it a key</a>) },
  ];
  return (
    <>
      {made && <SecretOnce made={made} close={() => setMade(null)} />}
      <Answered answer={answer}>{({ callers }) => (
        <DataTable label="Callers without a key that is known" columns={columns} rows={callers} file="unknown-callers" keyOf={keyOf} empty="Everybody who called had a key."
          below={(caller) => (open === keyOf(caller) ? <KeyForm organisation={organisation} fingerprint={caller.fingerprint} cancel={() => setOpen("")} done={(found) => { setMade(found); setOpen(""); answer.refresh(); }} /> : null)} />
      )}</Answered>
      {!manages && <Needs right="budget" roles="operator or finops" to="give somebody a key" />}
      <p class="hint">They were refused, so nothing was spent. What they sent is not kept, only a fingerprint of it.</p>
    </>
  );
}

/** Spend that belongs to no workflow of the organisation, by the key that brought it. */
function Undescribed({ organisation, period }: { organisation: OrganisationDay; period: Period }) {
  const workflows = useAnswer<{ workflows: WorkflowRow[] }>(routeOf("organisation/workflows"));
  const spend = useAnswer<Spend>(routeOf("ledger/spend", [["since", period.since], ["until", period.until], ["where", "workflow:unassigned"], ["by", "key"]]));
  const time = timeIn(organisation.time_zone);
  const columns: Column<WorkflowRow>[] = [
    { name: "workflow", label: "what they called it", kind: "wide", value: ({ name }) => name, cell: ({ name }) => <b>{name}</b> }, { name: "first", label: "first", value: ({ first_ms }) => new Date(first_ms).toISOString(), order: ({ first_ms }) => first_ms, cell: ({ first_ms }) => time(first_ms) }, { name: "last", label: "last", value: ({ last_ms }) => new Date(last_ms).toISOString(), order: ({ last_ms }) => last_ms, cell: ({ last_ms }) => time(last_ms) },
  ];
  return (
    <>
      <Answered answer={workflows}>{(found) => <DataTable label="Workflows that nobody described" columns={columns} rows={found.workflows.filter(({ declared }) => !declared)} file="undescribed-workflows" keyOf={({ name }) => name} empty="Every workflow that was named is described." />}</Answered>
      <Answered answer={spend}>{(found) => <DataTable label={`What belongs to no workflow, by key, ${period.days} days`} rows={found.groups} file="unassigned-by-key" keyOf={({ values }) => values[0] || "(none)"} empty="All spend belongs to a workflow." columns={[
        { name: "key", label: "key", kind: "wide", value: ({ values }) => values[0] || "(none)", cell: ({ values }) => (values[0] ? <code>{values[0]}</code> : "no key: it never passed the gateway") },
        { name: "billed_usd", label: "billed", kind: "number", value: ({ figures }) => exactUsd(figures.billed_nano), order: ({ figures }) => figures.billed_nano, cell: ({ values, figures }) => <Money nano={figures.billed_nano} estimated={figures.estimated} href={moneyAddress("rows", [["period", `${period.since}/${period.until}`], ["where", "workflow:unassigned"], ["where", `key:${values[0]}`]])} /> },
        { name: "rows", label: "rows", kind: "number", value: ({ figures }) => figures.rows },
      ]} />}</Answered>
      <p class="hint">Describe them in the organisation's file, then: <code>holdfast org import FILE --from DAY</code>. Rows that are written stay as they are.</p>
    </>
  );
}
