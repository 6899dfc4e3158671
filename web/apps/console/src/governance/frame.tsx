// Owns the frame of a page on money: which page, which days, the command that shows the same, and what filters it.

import { Button } from "holdfast-look";
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

import { useConsole } from "../console.js";
import { type OrganisationDay, routeOf } from "./api.js";
import { Answered, useAnswer } from "./answer.js";
import { dayAfter, PERIODS, type Period, periodOf, spanWords } from "./period.js";

export const GOVERNANCE_PAGES = [["spend", "Spend"], ["budgets", "Budgets"], ["models", "Models"], ["routing", "Routing"], ["outcomes", "Outcomes"], ["bill", "Bill"], ["waste", "Waste"], ["callers", "Unknown callers"], ["keys", "Keys"], ["prices", "Prices"]] as const;

/** The address of a page on money; a name may stand in it several times. */
export function moneyAddress(page: string, query: readonly (readonly [string, string])[] = [], id = ""): string {
  const search = new URLSearchParams(query.filter(([, value]) => value !== "").map(([name, value]) => [name, value])).toString();
  return `#/${page}${id && `/${encodeURIComponent(id)}`}${search && `?${search}`}`;
}

export const filtersOf = (query: URLSearchParams): [string, string][] => query.getAll("where").map((where) => ["where", where]);

/** `team:sales` → team is sales; tags have two colons. */
export function filterWords(where: string): [name: string, value: string] {
  const parts = /^(tag:[^:]*|[^:]*):(.*)$/s.exec(where);
  return [(parts?.[1] ?? where).replace("_", " "), parts?.[2] || "(none)"];
}

/** What every page has above what it shows. `children` gets today and the period once they are known. */
export function MoneyFrame({ page, title, query, command, periods = true, lastDay = 0, question, children }: {
  page: string;
  title: string;
  query: URLSearchParams;
  command: (period: Period) => string;
  /** Whether the page is about some days. */
  periods?: boolean;
  /** The last day of periods that end now, in days from today: what is known of a day later ends before it. */
  lastDay?: number;
  /** What somebody opens it for. */
  question: string;
  children: (period: Period, organisation: OrganisationDay) => ComponentChildren;
}) {
  const organisation = useAnswer<OrganisationDay>(routeOf("organisation"));
  const today = organisation.data?.day;
  const period = today === undefined ? null : periodOf(query.get("period") ?? "7d", dayAfter(today, lastDay));
  return (
    <section class="money-page">
      <nav class="panes rooms" aria-label="Pages on money">{GOVERNANCE_PAGES.map(([name, words]) => (
        <a key={name} href={moneyAddress(name, keptBy(name, query))} aria-current={page === name ? "page" : undefined}>{words}</a>
      ))}</nav>
      <header class="bar">
        <h1>{title}</h1>
        {period && periods && <PeriodChoice page={page} query={query} period={period} />}
        {period && <CopyCommand command={command(period)} />}
        <Button icon="source" label="print" kind="quiet" class="print" onClick={() => print()} />
      </header>
      <p class="question">{question}{period && periods ? <> <b>{spanWords(period)}</b>{organisation.data?.time_zone ? `, ${organisation.data.time_zone}` : ""}.</> : null}</p>
      <Filters page={page} query={query} />
      <Answered answer={organisation}>{(found) => children(period!, found)}</Answered>
    </section>
  );
}

/** What stays in the address when somebody goes to another page on money. */
function keptBy(name: string, query: URLSearchParams): [string, string][] {
  const period: [string, string][] = query.has("period") ? [["period", query.get("period")!]] : [];
  return ["spend", "models", "bill", "waste"].includes(name) ? period : [];
}

function PeriodChoice({ page, query, period }: { page: string; query: URLSearchParams; period: Period }) {
  const change = (name: string) => {
    const rest = [...query].filter(([key]) => key !== "period" && key !== "cursor");
    location.hash = moneyAddress(page, [...rest, ["period", name]], location.hash.split("?")[0]!.split("/")[2] ?? "");
  };
  const custom = !PERIODS.some(([name]) => name === period.name);
  const edge = (label: string, value: string, chosen: (day: string) => string) => (
    <label class="choice"><span>{label}</span><input type="date" value={value} required onChange={({ currentTarget }) => currentTarget.value && change(chosen(currentTarget.value))} /></label>
  );
  return (
    <div class="period">
      <label class="choice"><span>days</span><select value={custom ? "custom" : period.name} onChange={({ currentTarget }) => change(currentTarget.value === "custom" ? `${period.since}/${period.until}` : currentTarget.value)}>
        {PERIODS.map(([name, words]) => <option key={name} value={name}>{words}</option>)}<option value="custom">from – to</option>
      </select></label>
      {custom && edge("from", period.since, (day) => `${day}/${day > period.until ? day : period.until}`)}
      {custom && edge("to", period.until, (day) => `${day < period.since ? day : period.since}/${day}`)}
    </div>
  );
}

function Filters({ page, query }: { page: string; query: URLSearchParams }) {
  const filters = query.getAll("where");
  if (!filters.length) return null;
  const others = [...query].filter(([name]) => name !== "where" && name !== "cursor");
  return (
    <p class="filters">only {filters.map((where, at) => {
      const [name, value] = filterWords(where);
      const rest = filters.filter((_, other) => other !== at).map((each): [string, string] => ["where", each]);
      return <a key={where} class="button" href={moneyAddress(page, [...others, ...rest])} aria-label={`${name} ${value}: show others, too`}>{name} <b>{value}</b> <span aria-hidden="true">×</span></a>;
    })}</p>
  );
}

/** The command line that shows the same. */
export function CopyCommand({ command, label = "copy as command" }: { command: string; label?: string }) {
  const operator = useConsole();
  const copy = () => navigator.clipboard.writeText(command).then(
    () => operator.showNotice(`Copied: ${command}`),
    () => operator.showNotice(command), // a page that is not secure may not write there: it can be read, at least
  );
  return <Button icon="copy" label={label} kind="quiet" class="command" title={command} data-command={command} onClick={() => void copy()} />;
}

/** The command for what only a route answers. The token stays out of it. */
export const requestCommand = (route: string): string => `curl -H "authorization: Bearer $HOLDFAST_TOKEN" ${quoted(`${location.origin}/v1/${route}`)}`;

/** Quoted for a shell, where that is needed. */
export const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);

/** Something with consequences: they are said before the click, a reason is asked for, and what was done is shown. */
export function Consequence({ says, action, danger = false, reason, perform, cancel }: {
  says: ComponentChildren;
  action: string;
  danger?: boolean;
  /** What the reason is called; none is asked for without it. */
  reason?: string;
  perform: (words: string) => Promise<ComponentChildren>;
  cancel: () => void;
}) {
  const [words, setWords] = useState("");
  const [busy, setBusy] = useState(false);
  const [receipt, setReceipt] = useState<ComponentChildren>(null);
  const [error, setError] = useState("");
  if (receipt !== null) return <div class="receipt" role="status"><span>{receipt}</span><Button icon="close" label="close" kind="quiet" onClick={cancel} /></div>;
  const go = async () => {
    setBusy(true);
    setError("");
    try {
      setReceipt(await perform(words.trim()));
    } catch (refusal) {
      const { message, fix } = refusal as { message: string; fix?: string };
      setError([message, fix].filter(Boolean).join(" "));
    }
    setBusy(false);
  };
  return (
    <form class="consequence" onSubmit={(event) => { event.preventDefault(); void go(); }}>
      <p>{says}</p>
      {reason !== undefined && <label><span>{reason}</span><input type="text" required minLength={3} maxLength={200} value={words} onInput={({ currentTarget }) => setWords(currentTarget.value)} /></label>}
      {error && <p class="failure" role="alert">{error}</p>}
      <div class="row"><Button icon={danger ? "stop" : "completed"} label={busy ? "…" : action} kind={danger ? "danger" : "primary"} type="submit" disabled={busy} /><Button icon="close" label="not now" kind="quiet" onClick={cancel} /></div>
    </form>
  );
}
