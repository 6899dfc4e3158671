// Owns the page on routing: what another model answered than was asked for, what a cheaper one could take over, which is being tried, and why each call went where it went.

import { Button } from "holdfast-look";
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

import { useConsole } from "../console.js";
import type { ModelRow, PeelRow, RouteDecision, RoutingDocument, RoutingReport } from "./control-api.js";
import { routeOf } from "./api.js";
import { Answered, useAnswer } from "./answer.js";
import { acceptedColumns, workAddress } from "./acceptance.js";
import { callAddress } from "./budget-words.js";
import { ExperimentList, useExperiments } from "./experiments.js";
import { Unknown, UsdText } from "./figures.js";
import { Consequence, MoneyFrame, moneyAddress } from "./frame.js";
import { Live, useLive } from "./live.js";
import { timeIn } from "./rows.js";
import { type Column, DataTable } from "./table.js";

export function RoutingPage({ query }: { query: URLSearchParams }) {
  const other = query.get("other") === "yes";
  const command = other ? "holdfast routing decisions --other" : query.get("route") ? `holdfast routing decisions --route ${query.get("route")}` : "holdfast routing report";
  return (
    <MoneyFrame page="routing" title="Routing" query={query} periods={false} command={() => command} question="Which model answers what, why, and what could a cheaper one take over without anybody missing the other?">
      {(_, { time_zone, day }) => <RoutingOf query={query} zone={time_zone} today={day} />}
    </MoneyFrame>
  );
}

function RoutingOf({ query, zone, today }: { query: URLSearchParams; zone: string; today: string }) {
  const filters: [string, string][] = [["other", query.get("other") ?? ""], ["route", query.get("route") ?? ""], ["experiment", query.get("experiment") ?? ""]];
  const report = useAnswer<RoutingReport>(routeOf("routing/report"));
  const document = useAnswer<RoutingDocument>(routeOf("routing"));
  const decisions = useLive<{ decisions: RouteDecision[] }>(routeOf("routing/decisions", [...filters, ["limit", "200"]]));
  const others = useLive<{ decisions: RouteDecision[] }>(routeOf("routing/decisions", [["other", "yes"], ["limit", "200"]]), true);
  const experiments = useExperiments();
  const time = timeIn(zone);
  const peels = report.data?.peels ?? [];
  return (
    <>
      <Needing peels={peels} others={others.data?.decisions ?? null} experiments={experiments.data?.experiments.filter(({ state }) => state === "shadow" || state === "share").length ?? 0} refused={decisions.data?.decisions.filter(({ refused }) => refused).length ?? 0} />
      <Answered answer={report}>{(found) => (
        <>
          <Peels peels={found.peels} document={document.data} changed={() => experiments.refresh()} running={new Set(experiments.data?.experiments.filter(({ state }) => state === "shadow" || state === "share").map(({ plan }) => plan.route))} />
          <Live answer={experiments}>{(all) => <ExperimentList experiments={all.experiments} time={time} today={today} changed={experiments.refresh} />}</Live>
          <CostPerAccepted rows={found.models} today={today} />
        </>
      )}</Answered>
      <Live answer={decisions}>{(found) => <Decisions decisions={found.decisions} query={query} time={time} />}</Live>
      <Answered answer={document}>{(found) => <Document found={found} time={time} />}</Answered>
    </>
  );
}

function Needing({ peels, others, experiments, refused }: { peels: readonly PeelRow[]; others: readonly RouteDecision[] | null; experiments: number; refused: number }) {
  if (others === null) return null;
  const entries: ComponentChildren[] = [];
  if (others.length) entries.push(<><b>{others.length === 200 ? "200 calls or more were" : others.length === 1 ? "One call was" : `${others.length} calls were`} answered by another model</b> than was asked for: {[...new Set(others.map(({ model, asked, served }) => `${model || asked} → ${served}`))].slice(0, 3).join(", ")}. <a href={moneyAddress("routing", [["other", "yes"]])}>See which</a></>);
  for (const peel of peels.filter(({ clears }) => clears).slice(0, 3)) entries.push(<>In {peel.workflow}{peel.task ? ` · ${peel.task}` : ""} {peel.cheaper} clears the floor of {share(peel.floor)} and would have saved <UsdText usd={peel.saved_usd} />.</>);
  if (experiments) entries.push(<>{experiments === 1 ? "One experiment runs" : `${experiments} experiments run`}; each returns by itself when the floor is missed.</>);
  if (refused) entries.push(<><b>{refused === 1 ? "One call" : `${refused} calls`}</b> of those below {refused === 1 ? "was" : "were"} refused by a rule.</>);
  return <section class="attention" aria-label="What needs somebody">{entries.length ? <ul>{entries.map((entry, at) => <li key={at}>{entry}</li>)}</ul> : <p>Nothing here needs you today: every call was answered by the model that was asked for.</p>}</section>;
}

const share = (part: number): string => `${(100 * part).toFixed(part < 0.1 || part > 0.99 ? 1 : 0)} %`;

/** What could be peeled to a cheaper model, with which confidence. */
function Peels({ peels, document, running, changed }: { peels: readonly PeelRow[]; document: RoutingDocument | null; running: ReadonlySet<string>; changed: () => void }) {
  const operator = useConsole();
  const [trying, setTrying] = useState("");
  const routeFor = ({ workflow, task, cheaper, incumbent }: PeelRow) => document?.document.routes.find((route) => route.workflow === workflow && (route.task === task || !route.task) && route.candidates.includes(cheaper) && (route.incumbent || route.candidates.at(-1)) === incumbent);
  const keyOf = ({ workflow, task, cheaper }: PeelRow) => `${workflow} ${task} ${cheaper}`;
  const columns: Column<PeelRow>[] = [
    { name: "workflow", label: "workflow · task", kind: "wide", value: ({ workflow }) => workflow, cell: ({ workflow, task }) => <>{workflow} <small>{task}</small></> }, { name: "task", label: "task", value: ({ task }) => task, hidden: true },
    { name: "incumbent", label: "from", value: ({ incumbent }) => incumbent }, { name: "cheaper", label: "to", value: ({ cheaper }) => cheaper },
    { name: "accepted", label: "accepted", kind: "number", value: ({ accepted, n }) => `${accepted}/${n}`, order: ({ accepted, n }) => (n ? accepted / n : -1), cell: ({ accepted, n }) => (n ? `${accepted} of ${n}` : <Unknown why="no outcome of it yet" />) },
    { name: "floor", label: "floor", kind: "number", value: ({ floor }) => floor, cell: ({ floor }) => share(floor) },
    { name: "confidence", label: "above it with confidence", kind: "number", value: ({ confidence }) => confidence, order: ({ confidence }) => confidence ?? -1, cell: ({ confidence, clears }) => (confidence === null ? <Unknown why="no outcome of it yet" /> : clears ? <><b>{share(confidence)}</b> <small>clears it</small></> : <><Unknown why="95 % are asked for">{share(confidence)}</Unknown> <small>inconclusive</small></>) },
    { name: "saves_usd", label: "saves each", kind: "number", value: ({ saves_usd }) => saves_usd, order: ({ saves_usd }) => Number(saves_usd), cell: ({ saves_usd }) => <UsdText usd={saves_usd} /> },
    { name: "saved_usd", label: "would have saved, 90 days", kind: "number", value: ({ saved_usd }) => saved_usd, order: ({ saved_usd }) => Number(saved_usd), cell: ({ saved_usd }) => <UsdText usd={saved_usd} /> },
    { name: "try", label: "", value: () => null, cell: (peel) => { const route = routeFor(peel); return route && !running.has(route.name) && operator.may("catalogue") ? <Button icon="running" label="try it" onClick={() => setTrying(keyOf(peel))} /> : route && running.has(route.name) ? <small>is tried</small> : null; } },
  ];
  const below = (peel: PeelRow) => {
    const route = routeFor(peel);
    if (trying !== keyOf(peel) || !route) return null;
    const name = `${peel.task || peel.workflow}-${peel.cheaper}`.replace(/[^a-z0-9_-]+/gi, "-").slice(0, 56);
    return <Consequence says={<>{peel.cheaper} is asked unseen, for one call in five of route {route.name}. Nobody is given its answers; what they cost is on the task <code>experiment:{name}-{"…"}</code>. If nine of ten come whole, one session in five gets it; it returns by itself when fewer than {share(peel.floor)} are accepted.</>} action="start" cancel={() => setTrying("")} perform={async () => {
      const { experiment } = await operator.request<{ experiment: { name: string } }>(routeOf("routing/experiments"), "POST", { name: `${name}-${Date.now().toString(36).slice(-5)}`, route: route.name, cheap: peel.cheaper });
      changed();
      return <>Experiment {experiment.name} runs, in shadow.</>;
    }} />;
  };
  return (
    <>
      <DataTable label="What a cheaper model could take over" columns={columns} rows={[...peels].sort((one, other) => Number(other.clears) - Number(one.clears) || Number(other.saved_usd) - Number(one.saved_usd))} file="peels" keyOf={keyOf} below={below} empty="Nothing yet: two models of one workflow and task need outcomes and costs to be compared." />
      {peels.length > 0 && <p class="hint note">The confidence is of one look, with the exact bound of a share. Whoever looks again and again has an experiment tell: its error rates hold however often it is looked at.</p>}
    </>
  );
}

function CostPerAccepted({ rows, today }: { rows: readonly ModelRow[]; today: string }) {
  const columns: Column<ModelRow>[] = [
    { name: "workflow", label: "workflow · task", kind: "wide", value: ({ workflow }) => workflow, cell: (row) => <><a href={workAddress(row, today)}>{row.workflow || "(none)"}</a> <small>{row.task}</small></> }, { name: "task", label: "task", value: ({ task }) => task, hidden: true },
    { name: "model", label: "model", value: ({ model }) => model, cell: ({ model }) => model || <Unknown why="work that several models did is nobody's">several models</Unknown> },
    ...acceptedColumns(today),
  ];
  return <DataTable label="Cost per accepted outcome, 90 days" columns={columns} rows={rows} file="cost-per-accepted" keyOf={({ workflow, task, model }) => `${workflow} ${task} ${model}`} empty="No outcomes in 90 days. People, checks and systems say them: holdfast outcomes record accepted --call ID" />;
}

const KINDS: Record<string, string> = { rule: "the rules leave one", choice: "by outcome", sticky: "the session's own", experiment: "drawn", asked: "named by the caller" };

function Decisions({ decisions, query, time }: { decisions: readonly RouteDecision[]; query: URLSearchParams; time: (ms: number) => string }) {
  const filtered = ["other", "route", "experiment"].filter((name) => query.get(name));
  const columns: Column<RouteDecision>[] = [
    { name: "at", label: "when", value: ({ at_ms }) => new Date(at_ms).toISOString(), order: ({ at_ms }) => at_ms, cell: ({ at_ms, call }) => <a href={callAddress(call, at_ms)} title={`call ${call}: its rows`}>{time(at_ms)}</a> },
    { name: "workflow", label: "workflow · task", kind: "wide", value: ({ workflow }) => workflow, cell: ({ workflow, task }) => <>{workflow || "(none)"} <small>{task}</small></> }, { name: "task", label: "task", value: ({ task }) => task, hidden: true },
    { name: "asked", label: "asked for", value: ({ asked }) => asked, cell: ({ asked, route }) => <>{asked} {route ? <a href={moneyAddress("routing", [["route", route]])}><small>{route}</small></a> : null}</> },
    { name: "model", label: "taken", value: ({ model, refused }) => (refused ? "refused" : model), cell: ({ model, refused }) => (refused ? <b class="wrong">refused</b> : model) },
    { name: "served", label: "answered", value: ({ served }) => served, cell: ({ served, other, fell_back, refused }) => (refused ? "–" : served ? <>{other ? <b class="wrong">{served}</b> : served}{other ? <small> another than asked for{fell_back ? ", fell back" : ""}</small> : fell_back ? <small> fell back</small> : null}</> : <Unknown why="the provider has not said which model answered">unknown</Unknown>) },
    { name: "kind", label: "how", value: ({ kind }) => kind, cell: ({ kind, propensity, experiment }) => <>{KINDS[kind] ?? kind}{propensity < 1 ? <small> p = {propensity.toFixed(2)}</small> : null}{experiment ? <> <a href={moneyAddress("routing", [["experiment", experiment]])}><small>{experiment}</small></a></> : null}</> },
    { name: "reason", label: "why", kind: "wide", value: ({ reason }) => reason }, { name: "propensity", label: "propensity", value: ({ propensity }) => propensity, hidden: true }, { name: "call", label: "call", value: ({ call }) => call, hidden: true },
  ];
  return (
    <>
      {filtered.length > 0 && <p class="filters">only decisions {filtered.map((name) => <a key={name} class="button" href={moneyAddress("routing", [...query].filter(([other]) => other !== name))} aria-label={`${name} ${query.get(name)}: show others, too`}>{name === "other" ? <b>answered by another model</b> : <>{name} <b>{query.get(name)}</b></>} <span aria-hidden="true">×</span></a>)}</p>}
      <DataTable label="Decisions, the newest first" columns={columns} rows={decisions} file="route-decisions" keyOf={({ id }) => id} empty={filtered.length ? "No decision fits." : "No decisions yet. They begin with the first routing document: holdfast routing set FILE"} />
      {!filtered.length && decisions.length > 0 && <p class="hint note"><a href={moneyAddress("routing", [["other", "yes"]])}>Only those that another model answered</a></p>}
    </>
  );
}

function Document({ found: { document: { routes, rules }, versions }, time }: { found: RoutingDocument; time: (ms: number) => string }) {
  type Line = { kind: string; name: string; concerns: string; says: string; why: string };
  const lines: Line[] = [
    ...rules.map((rule): Line => ({ kind: "rule", name: rule.name, why: rule.why, concerns: Object.entries(rule.when).map(([name, value]) => `${name} ${value}`).join(", ") || "every call", says: (["regions", "terms", "upstreams", "models"] as const).filter((name) => rule[name].length).map((name) => `${name} ${rule[name].join(", ")}`).join("; ") })),
    ...routes.map((route): Line => ({ kind: "route", name: route.name, why: "", concerns: `${route.workflow} · ${route.task || "every task"}`, says: `${route.candidates.join(" → ")}; floor ${share(route.floor)}, incumbent ${route.incumbent || route.candidates.at(-1)}` })),
  ];
  const columns: Column<Line>[] = [
    { name: "kind", label: "", value: ({ kind }) => kind }, { name: "name", label: "name", value: ({ name }) => name, cell: ({ kind, name }) => (kind === "route" ? <a href={moneyAddress("routing", [["route", name]])}>{name}</a> : name) },
    { name: "concerns", label: "concerns", value: ({ concerns }) => concerns }, { name: "says", label: "says", kind: "wide", value: ({ says }) => says }, { name: "why", label: "why", value: ({ why }) => why, cell: ({ why }) => why || "–" },
  ];
  const [last] = versions;
  return (
    <>
      <DataTable label="Rules and routes" columns={columns} rows={lines} file="routing" keyOf={({ kind, name }) => `${kind} ${name}`} empty="No routes and no rules: every call goes to the model it names. holdfast routing set FILE" />
      {last && <p class="hint note">Version {last.version}, set by {last.by}, {time(last.at_ms)}.</p>}
    </>
  );
}
