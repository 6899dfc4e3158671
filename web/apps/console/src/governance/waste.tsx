// Owns what was paid for nothing: by kind, with the sessions that show it; what cannot be told is said, and hatched.

import { hueOf } from "holdfast-look";
import { useMemo } from "preact/hooks";

import { routeOf, type SessionWaste, type WasteAnswer, type WasteItem } from "./api.js";
import { Answered, useAnswer } from "./answer.js";
import { ShareBar } from "./bars.js";
import { exactUsd, Money, percent, Unknown, usd } from "./figures.js";
import { MoneyFrame, moneyAddress } from "./frame.js";
import type { Period } from "./period.js";
import { type Column, DataTable } from "./table.js";
import { hueColour, TimeChart } from "./time-chart.js";

const KINDS: Record<string, [name: string, fix: string]> = {
  cache: ["broken or unused caches", "Keep the beginning of prompts the same, and mark it for the cache."],
  retries: ["retries and failed calls", "See which upstream fails, and whether callers ask again what the gateway asks again already."],
  context: ["oversized contexts", "Shorten what is sent, or choose a model without a long-context price."],
  regenerated: ["answers made again", "Ask those who make them again what was wrong with the first one."],
  unread: ["answers that nobody read", "Do not write what nobody opens."],
};

const LISTED = 50; // sessions of a kind that the server names

export function WastePage({ query }: { query: URLSearchParams }) {
  const wanted = new URLSearchParams(query);
  if (!wanted.has("period")) wanted.set("period", "28d");
  return (
    <MoneyFrame page="waste" title="Waste" query={wanted} command={({ since, until }) => `holdfast ledger waste ${since}/${until}`} question="What was paid for nothing, and which sessions show it?">
      {(period) => <WasteOf key={period.name} period={period} />}
    </MoneyFrame>
  );
}

function WasteOf({ period }: { period: Period }) {
  const answer = useAnswer<WasteAnswer>(routeOf("ledger/waste", [["since", period.since], ["until", period.until]]));
  return <Answered answer={answer} rows={6}>{(found) => <WasteFound found={found} period={period} />}</Answered>;
}

function WasteFound({ found: { waste, by_day }, period }: { found: WasteAnswer; period: Period }) {
  const items = [...waste.items].sort((one, other) => (other.amount_nano ?? -1) - (one.amount_nano ?? -1));
  const most = Math.max(...items.map(({ amount_nano, unknown_nano }) => Math.max(amount_nano ?? 0, unknown_nano)), 1);
  const lines = useMemo(() => Object.entries(by_day.kinds).filter(([, values]) => values.some(Boolean)).map(([kind, values], at) => ({ name: KINDS[kind]?.[0] ?? kind, colour: hueColour(hueOf(`waste:${kind}`)), values, ...(at % 2 && { dash: [6, 3] }) })), [by_day]);
  const worst = items.find(({ amount_nano }) => amount_nano);
  const columns: Column<WasteItem>[] = [
    { name: "kind", label: "kind", kind: "wide", value: ({ kind }) => kind, cell: ({ kind }) => <a href={`#/waste?${new URLSearchParams({ period: period.name })}`} onClick={(event) => { event.preventDefault(); document.getElementById(`waste-${kind}`)?.scrollIntoView({ block: "start" }); }}>{KINDS[kind]?.[0] ?? kind}</a> },
    { name: "waste_usd", label: "for nothing", kind: "number", value: ({ amount_nano }) => (amount_nano === null ? null : exactUsd(amount_nano)), order: ({ amount_nano }) => amount_nano ?? -1, cell: ({ amount_nano, why }) => (amount_nano === null ? <Unknown why={why} /> : <Money nano={amount_nano} />) },
    { name: "bar", label: "", value: () => null, cell: ({ amount_nano, unknown_nano }) => <ShareBar part={amount_nano ?? unknown_nano} whole={most} unknown={amount_nano === null} /> },
    { name: "unknown_usd", label: "cannot be told", kind: "number", value: ({ unknown_nano }) => exactUsd(unknown_nano), order: ({ unknown_nano }) => unknown_nano, cell: ({ unknown_nano, why }) => (unknown_nano ? <Unknown why={why}>{usd(unknown_nano)}</Unknown> : "–") },
    { name: "rows", label: "rows", kind: "number", value: ({ rows }) => rows, cell: ({ rows }) => rows.toLocaleString() },
  ];
  return (
    <>
      <section class="attention" aria-label="What needs somebody">{worst ? <ul>{items.filter(({ amount_nano }) => amount_nano).slice(0, 2).map(({ kind, amount_nano }) => <li key={kind}><Money nano={amount_nano} /> in {KINDS[kind]?.[0] ?? kind}. {KINDS[kind]?.[1]}</li>)}</ul> : <p>Nothing that can be told was paid for nothing.</p>}</section>
      <dl class="figures" aria-label="Totals">
        <div class="first"><dt>for nothing, each row once</dt><dd><Money nano={waste.any_nano} /> <small>{percent(waste.any_nano, waste.cost_nano)} of what was spent</small></dd></div>
        <div><dt>spent</dt><dd><Money nano={waste.cost_nano} href={moneyAddress("rows", [["period", `${period.since}/${period.until}`]])} /></dd></div>
        {waste.unpriced > 0 && <div><dt>rows without a price</dt><dd><Unknown>{waste.unpriced.toLocaleString()}</Unknown></dd></div>}
      </dl>
      {by_day.days.length > 1 && lines.length > 0 && <TimeChart days={by_day.days} lines={lines} label="USD a day paid for nothing, by kind" />}
      <DataTable label="By kind" columns={columns} rows={items} file={`waste-${period.since}-${period.until}`} keyOf={({ kind }) => kind} empty="Nothing was spent." />
      {items.map((item) => <KindOf key={item.kind} item={item} period={period} />)}
      <Tenths tenths={waste.tenths} period={period} />
    </>
  );
}

/** Outcomes of attempts that are wasted by themselves: rows can be found by them. */
const BROKEN: readonly (readonly [string, string])[] = [["where", "outcome:failed"], ["where", "outcome:cut"], ["where", "outcome:drained"]];

/** What of a kind no session in the list shows: calls that name none, for the most part. */
function Elsewhere({ item, period }: { item: WasteItem; period: Period }) {
  const rest = (item.amount_nano ?? 0) - item.sessions.reduce((sum, { amount_nano }) => sum + amount_nano, 0);
  const rows = item.rows - item.sessions.reduce((sum, session) => sum + session.rows, 0);
  if (rest <= 0 || rows <= 0) return null;
  const href = moneyAddress("rows", [["period", `${period.since}/${period.until}`], ["where", "session:"], ...(item.kind === "retries" ? BROKEN : [])]);
  return <p class="hint elsewhere"><Money nano={rest} href={href} /> of it, in {rows === 1 ? "one row" : `${rows.toLocaleString()} rows`}, is of calls that name no session{item.sessions.length >= LISTED ? " and of sessions that show less" : ""}.</p>;
}

function KindOf({ item, period }: { item: WasteItem; period: Period }) {
  const name = KINDS[item.kind]?.[0] ?? item.kind;
  return (
    <section class="kind" id={`waste-${item.kind}`}>
      {item.amount_nano === 0 && !item.sessions.length ? <div class="data"><header><h2>{name}</h2></header><p class="calm">No session shows it.</p></div> : item.amount_nano === null ? <div class="data"><header><h2>{name}</h2></header><p class="hatched block"><b>unknown</b>: {item.why || "there is nothing to tell it from"}</p></div> : (
        <DataTable label={`Sessions that show ${name}`} columns={sessionColumns(period)} rows={item.sessions} file={`waste-${item.kind}-${period.since}-${period.until}`} keyOf={({ session }) => session || "(none)"} empty="No session shows it." />
      )}
      <Elsewhere item={item} period={period} />
      {Object.keys(item.parts).length > 1 && <p class="hint">{Object.entries(item.parts).map(([part, nano]) => `${part.replaceAll("_", " ")} ${usd(nano)}`).join(" · ")}</p>}
      {item.amount_nano !== null && item.why && <p class="hint">Of {usd(item.unknown_nano)} it cannot be told: {item.why}.</p>}
      <details><summary>What counts as this</summary><p class="hint">{item.definition}</p></details>
    </section>
  );
}

const sessionColumns = (period: Period): Column<SessionWaste>[] => [
  { name: "session", label: "session", kind: "wide", value: ({ session }) => session, cell: ({ session }) => (session ? <a href={moneyAddress("cost", [], session)}>{session}</a> : "(calls of no session)") },
  { name: "waste_usd", label: "for nothing", kind: "number", value: ({ amount_nano }) => exactUsd(amount_nano), order: ({ amount_nano }) => amount_nano, cell: ({ session, amount_nano }) => <Money nano={amount_nano} href={moneyAddress("rows", [["period", `${period.since}/${period.until}`], ["where", `session:${session}`]])} /> },
  { name: "rows", label: "rows", kind: "number", value: ({ rows }) => rows }, { name: "note", label: "how", value: ({ note }) => note },
];

/** The costliest tenth of sessions beside its share of the outcomes: of workflows and tasks, never of a person. */
function Tenths({ tenths, period }: { tenths: WasteAnswer["waste"]["tenths"]; period: Period }) {
  type Tenth = (typeof tenths)[number];
  const columns: Column<Tenth>[] = [
    { name: "workflow", label: "workflow · task", kind: "wide", value: ({ workflow }) => workflow, cell: ({ workflow, task }) => <>{workflow} <small>{task}</small></> }, { name: "task", label: "task", value: ({ task }) => task, hidden: true },
    { name: "tenth_usd", label: "the tenth costs", kind: "number", value: ({ withheld, tenth_nano }) => (withheld ? null : exactUsd(tenth_nano)), cell: ({ withheld, tenth_nano, cost_nano }) => (withheld ? <Unknown why={withheld}>withheld</Unknown> : <><Money nano={tenth_nano} /> <small>{percent(tenth_nano, cost_nano)}</small></>) },
    { name: "accepted", label: "of the accepted outcomes", kind: "number", value: ({ accepted, tenth_accepted }) => (accepted === null ? null : `${tenth_accepted}/${accepted}`), cell: ({ withheld, accepted, tenth_accepted }) => (withheld || accepted === null ? <Unknown why={withheld || "nobody recorded an outcome"}>{withheld ? "withheld" : "unknown"}</Unknown> : percent(tenth_accepted ?? 0, accepted)) },
    { name: "sessions", label: "sessions", kind: "number", value: ({ tenth, sessions }) => `${tenth}/${sessions}`, cell: ({ withheld, tenth, sessions }) => (withheld ? <small>{withheld}</small> : `${tenth} of ${sessions}`) },
    { name: "examples", label: "for example", value: ({ examples }) => examples.map(({ session }) => session).join(" "), cell: ({ examples }) => (examples.length ? examples.slice(0, 2).map(({ session }) => <a key={session} href={moneyAddress("cost", [], session)}>{session} </a>) : "–") },
  ];
  return <DataTable label="The costliest tenth of sessions" columns={columns} rows={tenths} file={`costliest-tenth-${period.since}-${period.until}`} keyOf={({ workflow, task }) => `${workflow} ${task}`} empty="No workflow has sessions in these days." />;
}
