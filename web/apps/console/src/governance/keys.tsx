// Owns the keys: who has one, for what, until when; creating, rotating and revoking them.

import { Button } from "holdfast-look";
import { useState } from "preact/hooks";

import { useConsole } from "../console.js";
import { type KeyRow, type OrganisationDay, routeOf } from "./api.js";
import { Answered, Needs, useAnswer } from "./answer.js";
import { Consequence, MoneyFrame, moneyAddress } from "./frame.js";
import { KeyForm, type NewKey, SecretOnce } from "./key-form.js";
import { dateIn, dayAfter } from "./period.js";
import { timeIn } from "./rows.js";
import { type Column, DataTable } from "./table.js";

const SOON_DAYS = 14;
const HOUR_S = 3_600;

export function KeysPage({ query }: { query: URLSearchParams }) {
  return (
    <MoneyFrame page="keys" title="Keys" query={query} periods={false} command={() => "holdfast keys list"} question="Which programs may call, for what, and until when?">
      {(_, organisation) => <KeyList organisation={organisation} />}
    </MoneyFrame>
  );
}

function KeyList({ organisation }: { organisation: OrganisationDay }) {
  const manages = useConsole().may("budget");
  const answer = useAnswer<{ keys: KeyRow[] }>(routeOf("keys"));
  const [creating, setCreating] = useState(false);
  const [made, setMade] = useState<NewKey | null>(null);
  const [open, setOpen] = useState<{ key: string; action: "rotate" | "revoke" } | null>(null);
  const made_ = (found: NewKey) => { setMade(found); setCreating(false); setOpen(null); answer.refresh(); };
  return (
    <>
      {made && <SecretOnce made={made} close={() => setMade(null)} />}
      {!manages ? <Needs right="budget" roles="operator or finops" to="make, rotate or revoke keys" /> : creating ? <KeyForm organisation={organisation} done={made_} cancel={() => setCreating(false)} /> : !made && <p class="row"><Button icon="plus" label="new key" kind="primary" id="new-key" onClick={() => setCreating(true)} /></p>}
      <Answered answer={answer}>{({ keys }) => <KeyTable keys={keys} organisation={organisation} manages={manages} open={open} setOpen={setOpen} made={made_} refresh={answer.refresh} />}</Answered>
    </>
  );
}

type Opened = { key: string; action: "rotate" | "revoke" } | null;

function KeyTable({ keys, organisation, manages, open, setOpen, made, refresh }: { keys: readonly KeyRow[]; organisation: OrganisationDay; manages: boolean; open: Opened; setOpen: (open: Opened) => void; made: (made: NewKey) => void; refresh: () => void }) {
  const time = timeIn(organisation.time_zone);
  const day = (ms: number | null) => (ms === null ? "never" : new Date(ms).toLocaleDateString([], { day: "numeric", month: "short", year: "numeric", ...(organisation.time_zone && { timeZone: organisation.time_zone }) }));
  const soon = keys.filter(({ state, expires_ms }) => state === "active" && dateIn(organisation.time_zone, expires_ms) <= dayAfter(organisation.day, SOON_DAYS)); // by the server's day
  const columns: Column<KeyRow>[] = [
    { name: "name", label: "key", kind: "wide", value: ({ name }) => name, cell: ({ id, name, adopted }) => <><b>{name}</b> <small>{id}{adopted ? " · adopted" : ""}</small></> }, { name: "id", label: "id", value: ({ id }) => id, hidden: true },
    { name: "state", label: "state", value: ({ state }) => state, cell: ({ state }) => <span class="key-state" data-state={state}>{state}</span> },
    { name: "workflow", label: "for", value: ({ labels }) => labels["workflow"] ?? "", cell: ({ labels }) => <>{labels["workflow"]} <small>{[labels["task"], labels["team"], labels["usage"]].filter(Boolean).join(" · ")}</small></> },
    { name: "models", label: "may ask for", value: ({ models, agents }) => [...models, ...agents.map((agent) => `agent/${agent}`)].join(" "), cell: ({ models, agents }) => [...models, ...agents.map((agent) => `agent/${agent}`)].join(", ").replace(/^\*$/, "everything") },
    { name: "used", label: "last used", value: ({ used_ms }) => (used_ms === null ? "" : new Date(used_ms).toISOString()), order: ({ used_ms }) => used_ms ?? 0, cell: ({ used_ms }) => (used_ms === null ? "never" : time(used_ms)) },
    { name: "expires", label: "good until", value: ({ expires_ms }) => new Date(expires_ms).toISOString(), order: ({ expires_ms }) => expires_ms, cell: ({ expires_ms, secrets }) => <>{day(expires_ms)}{secrets.length > 1 ? <small> · {secrets.length} secrets</small> : null}</> },
    { name: "spend", label: "spend", value: () => null, cell: ({ id }) => <a href={moneyAddress("spend", [["where", `key:${id}`], ["by", "model"]])}>spend</a> },
    { name: "actions", label: "", value: () => null, cell: ({ id, state }) => (state === "revoked" || !manages ? "" : <span class="row"><Button icon="again" label="rotate" kind="quiet" onClick={() => setOpen({ key: id, action: "rotate" })} /><Button icon="scissors" label="revoke" kind="danger" onClick={() => setOpen({ key: id, action: "revoke" })} /></span>) },
  ];
  return (
    <>
      {soon.length > 0 && <section class="attention" aria-label="What needs somebody"><ul>{soon.map(({ id, name, expires_ms }) => <li key={id}><b>{name}</b> expires on {day(expires_ms)}: its program is refused from then on. Rotate it.</li>)}</ul></section>}
      <DataTable label="Keys" columns={columns} rows={keys} file="keys" keyOf={({ id }) => id} empty="There is no key yet. Make the first one: with it a program's calls have a name and a cost."
        below={(key) => (open?.key === key.id ? <KeyAction key={open.action} row={key} action={open.action} cancel={() => { setOpen(null); refresh(); }} made={made} /> : null)} />
    </>
  );
}

function KeyAction({ row, action, cancel, made }: { row: KeyRow; action: "rotate" | "revoke"; cancel: () => void; made: (made: NewKey) => void }) {
  const operator = useConsole();
  const [overlap, setOverlap] = useState("24");
  if (action === "revoke") {
    return <Consequence danger action="revoke it" cancel={cancel} says={<>Programs that use <b>{row.name}</b> are refused at once here, and within a second by every other gateway. Calls that run already end as they would. There is no way back: they need another key.</>}
      perform={async () => {
        const { key } = await operator.request<{ key: KeyRow }>(routeOf(`keys/${encodeURIComponent(row.id)}/revoke`), "POST");
        return <><b>{key.name}</b> ({key.id}) was revoked by {key.revoked_by} at {new Date(key.revoked_ms!).toLocaleTimeString()}.</>;
      }} />;
  }
  return (
    <Consequence action="make another secret" cancel={cancel}
      says={<>{row.name} gets another secret, shown once; rows go on under its id. The former one stays good for <select value={overlap} aria-label="Overlap" onChange={({ currentTarget }) => setOverlap(currentTarget.value)}><option value="0">no time at all: it leaked</option><option value="1">an hour</option><option value="24">a day</option><option value="168">a week</option></select></>}
      perform={async () => {
        made(await operator.request<NewKey>(routeOf(`keys/${encodeURIComponent(row.id)}/rotate`), "POST", { overlap_s: Number(overlap) * HOUR_S }));
        return "";
      }} />
  );
}
