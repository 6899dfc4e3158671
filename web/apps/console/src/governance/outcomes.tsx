// Owns the page on outcomes: what became of work, saying so, and what people do without saying anything.

import { Button } from "holdfast-look";
import { useState } from "preact/hooks";

import { useConsole } from "../console.js";
import { addressOf } from "../route.js";
import type { Outcome, RoutingReport, Together } from "./control-api.js";
import { routeOf } from "./api.js";
import { Accepted } from "./acceptance.js";
import { Answered, Needs, useAnswer } from "./answer.js";
import { callAddress, whoWords } from "./budget-words.js";
import { Unknown, UsdText } from "./figures.js";
import { Consequence, MoneyFrame, moneyAddress, quoted } from "./frame.js";
import { Live, useLive } from "./live.js";
import { timeIn } from "./rows.js";
import { type Column, DataTable } from "./table.js";

/** What may be asked of outcomes. */
const OF = ["workflow", "task", "model", "since_ms", "until_ms"] as const;
const WORDS: Record<string, string> = { since_ms: "said from", until_ms: "said until" };

export function OutcomesPage({ query }: { query: URLSearchParams }) {
  const all = query.get("all") === "yes";
  const of = OF.map((name): [string, string] => [name, query.get(name) ?? ""]).filter(([, value]) => value);
  const options = of.map(([name, value]) => ` --${name.replace("_", "-")} ${quoted(value)}`).join("");
  return (
    <MoneyFrame page="outcomes" title="Outcomes" query={query} periods={false} command={() => `holdfast outcomes list${all ? " --all" : ""}${options}`} question="What became of the work, and who says so?">
      {(_, { time_zone }) => <OutcomesOf key={of.join()} all={all} of={of} zone={time_zone} />}
    </MoneyFrame>
  );
}

function OutcomesOf({ all, of, zone }: { all: boolean; of: readonly [string, string][]; zone: string }) {
  const operator = useConsole();
  const [saying, setSaying] = useState(false);
  const listed = useLive<{ outcomes: Outcome[] }>(routeOf("outcomes", [["limit", "500"], ["superseded", all ? "yes" : ""], ...of]), true);
  const report = useAnswer<RoutingReport>(routeOf("routing/report"));
  const proxies = useAnswer<Record<string, Together>>(routeOf("outcomes/proxies"));
  return (
    <>
      <Answered answer={report}>{({ models }) => {
        const sum = (name: "n" | "accepted" | "rejected" | "escalated") => models.reduce((before, row) => before + row[name], 0);
        const unjudged = models.filter(({ n }) => n === 0).length;
        return (
          <>
            <section class="attention" aria-label="What needs somebody">{sum("n") === 0 ? <ul><li>Nobody has said what became of any work in 90 days: cost per accepted outcome is <Unknown />, and no model can be chosen by it.</li></ul> : unjudged ? <ul><li>{unjudged === 1 ? "One candidate of a route has" : `${unjudged} candidates of routes have`} no outcome yet. <a href={moneyAddress("routing")}>See which</a></li></ul> : <p>Every candidate of every route has outcomes.</p>}</section>
            <dl class="figures" aria-label="Of 90 days">
              <div class="first"><dt>accepted, 90 days</dt><dd><Accepted accepted={sum("accepted")} n={sum("n")} /></dd></div>
              <div><dt>rejected</dt><dd>{sum("rejected").toLocaleString()}</dd></div><div><dt>escalated</dt><dd>{sum("escalated").toLocaleString()}</dd></div>
              <div><dt>by model and task</dt><dd><a href={moneyAddress("routing")}>cost per accepted</a></dd></div>
            </dl>
          </>
        );
      }}</Answered>
      {!operator.may("record", "some") ? <Needs right="record" roles="operator" to="say what became of work" /> : saying ? <RecordOutcome close={() => setSaying(false)} changed={() => { listed.refresh(); report.refresh(); }} /> : <p class="row"><Button icon="plus" label="record an outcome" id="new-outcome" onClick={() => setSaying(true)} /></p>}
      {of.length > 0 && <p class="filters">only {of.map(([name, value]) => <a key={name} class="button" href={moneyAddress("outcomes", [...(all ? [["all", "yes"] as const] : []), ...of.filter(([other]) => other !== name)])} aria-label={`${name} ${value}: show others, too`}>{WORDS[name] ?? name} <b>{name.endsWith("_ms") ? timeIn(zone)(Number(value)) : value}</b> <span aria-hidden="true">×</span></a>)}</p>}
      <Live answer={listed} rows={6}>{({ outcomes }) => <OutcomeTable outcomes={outcomes} time={timeIn(zone)} />}</Live>
      <p class="hint note"><a href={moneyAddress("outcomes", all ? of : [...of, ["all", "yes"]])}>{all ? "Only those that count" : "Also those that a later word has replaced"}</a></p>
      <Answered answer={proxies}>{(found) => <Proxies proxies={found} />}</Answered>
    </>
  );
}

function OutcomeTable({ outcomes, time }: { outcomes: readonly Outcome[]; time: (ms: number) => string }) {
  const columns: Column<Outcome>[] = [
    { name: "at", label: "when", value: ({ at_ms }) => new Date(at_ms).toISOString(), order: ({ at_ms }) => at_ms, cell: ({ at_ms }) => time(at_ms) },
    { name: "outcome", label: "outcome", value: ({ verdict }) => verdict, cell: ({ verdict, counts }) => <><span class="verdict-word" data-verdict={verdict}>{verdict}</span>{counts ? null : <small> replaced</small>}</> },
    { name: "by", label: "said by", value: ({ by }) => by, cell: ({ by, kind }) => <>{whoWords(by)} <small>{kind}</small></> },
    { name: "work", label: "work", kind: "wide", value: ({ run, call }) => run || call, cell: (one) => <Work outcome={one} /> },
    { name: "session", label: "session", value: ({ session_name }) => session_name, cell: ({ session_name, session }) => (session_name ? <a href={moneyAddress("cost", [], session_name)}>{session_name}</a> : session ? <Unknown why="the session was deleted">deleted</Unknown> : "–") },
    { name: "workflow", label: "workflow · task", value: ({ workflow }) => workflow, cell: ({ workflow, task }) => <>{workflow || <Unknown why="the ledger has no row of this work">no row yet</Unknown>} <small>{task}</small></> },
    { name: "task", label: "task", value: ({ task }) => task, hidden: true },
    { name: "model", label: "model", value: ({ model }) => model || null, cell: ({ model, workflow }) => model || <Unknown why={workflow ? "work that several models did is nobody's" : "the ledger has no row of this work"}>{workflow ? "several" : "unknown"}</Unknown> },
    { name: "cost_usd", label: "cost", kind: "number", value: ({ cost_usd }) => cost_usd, order: ({ cost_usd }) => Number(cost_usd ?? -1), cell: (one) => <UsdText usd={one.cost_usd} why="the ledger has no price, or no row, of this work" {...(one.call && !one.run && { href: callAddress(one.call, one.at_ms) })} /> },
    { name: "value_usd", label: "worth", kind: "number", value: ({ value_usd }) => value_usd, order: ({ value_usd }) => Number(value_usd ?? -1), cell: ({ value_usd }) => (value_usd === null ? <small>not said</small> : <UsdText usd={value_usd} />) },
    { name: "counts", label: "counts", value: ({ counts }) => (counts ? "yes" : "no"), hidden: true }, { name: "id", label: "id", value: ({ id }) => id, hidden: true },
  ];
  return <DataTable label="Outcomes, the newest first" columns={columns} rows={outcomes} file="outcomes" keyOf={({ id }) => id} empty="No outcomes. People, checks and systems say them, never the agent whose work it is." />;
}

/** A run leads to its session at that run; a call to its rows. */
function Work({ outcome: { run, call, session_name, at_ms } }: { outcome: Outcome }) {
  const seq = /^r(\d+)/.exec(run)?.[1];
  if (run && session_name) return <a href={addressOf("session", session_name, seq ? { at: seq } : {})}>run {run}</a>;
  return run ? <>run {run}</> : <a href={callAddress(call, at_ms)}>call {call}</a>;
}

function RecordOutcome({ close, changed }: { close: () => void; changed: () => void }) {
  const operator = useConsole();
  const [fields, setFields] = useState({ outcome: "accepted", call: "", session: "", run: "", value_usd: "" });
  const set = (name: keyof typeof fields) => ({ currentTarget }: { currentTarget: HTMLInputElement | HTMLSelectElement }) => setFields((before) => ({ ...before, [name]: currentTarget.value.trim() }));
  const field = (name: "call" | "session" | "run" | "value_usd", words: string) => <label><span>{words}</span><input type="text" name={name} value={fields[name]} onInput={set(name)} /></label>;
  return (
    <Consequence says={<>
      <span class="fields"><label><span>what became of it</span><select name="outcome" value={fields.outcome} onChange={set("outcome")}><option>accepted</option><option>rejected</option><option>escalated</option></select></label>{field("call", "call (x-holdfast-call)")}{field("session", "or session")}{field("run", "and run")}{field("value_usd", "worth, USD (may stay empty)")}</span>
      <br />It is said in your name ({operator.actor || "yours"}), and counts from now on in what a model costs for each accepted outcome. A person’s word stands before a check’s; what was said before stays on record.
    </>} action="record" cancel={close} perform={async () => {
      const { outcome } = await operator.request<{ outcome: Outcome }>(routeOf("outcomes"), "POST", fields);
      changed();
      return <>{outcome.verdict} on record{outcome.model ? `: ${outcome.workflow} · ${outcome.task} by ${outcome.model}` : "; the ledger has no row of that work yet"}{outcome.counts ? "." : ". Another word of it stands."} <code>{outcome.id}</code></>;
    }} />
  );
}

const PROXIES: Record<string, string> = { edited: "the question was edited afterwards", regenerated: "the answer was asked for again" };

/** What people do without saying anything: never used for a choice, and shown with what it is worth. */
function Proxies({ proxies }: { proxies: Record<string, Together> }) {
  type Proxy = { name: string } & Together;
  const rows = Object.entries(proxies).map(([name, together]): Proxy => ({ name, ...together }));
  const columns: Column<Proxy>[] = [
    { name: "proxy", label: "what people did", kind: "wide", value: ({ name }) => name, cell: ({ name }) => PROXIES[name] ?? name },
    { name: "phi", label: "goes with not being accepted (phi)", kind: "number", value: ({ phi }) => phi, order: ({ phi }) => phi ?? -2, cell: ({ phi, n }) => (phi === null ? <Unknown why={n ? "one of the two never varies" : "no run of which both are known"} /> : `${phi >= 0 ? "+" : "−"}${Math.abs(phi).toFixed(2)}`) },
    { name: "n", label: "runs with an outcome (n)", kind: "number", value: ({ n }) => n },
  ];
  return (
    <>
      <DataTable label="Proxies" columns={columns} rows={rows} file="outcome-proxies" keyOf={({ name }) => name} empty="None." />
      <p class="hint note">+1.00 would be: always of work that was not accepted; 0: says nothing of it. They are shown, and choose nothing.</p>
    </>
  );
}
