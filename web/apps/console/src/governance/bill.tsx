// Owns the ledger beside a provider's bill: how much of it is explained, what remains by name, by day, and line by line.

import { Button } from "holdfast-look";
import { useMemo, useState } from "preact/hooks";

import { useConsole } from "../console.js";
import { type BillAnswer, type BillCell, routeOf } from "./api.js";
import { Answered, Needs, useAnswer } from "./answer.js";
import { ShareBar } from "./bars.js";
import { exactUsd, Money, Sentence, Unknown, usd } from "./figures.js";
import { Consequence, MoneyFrame, moneyAddress, quoted } from "./frame.js";
import { type Period, shortDay } from "./period.js";
import { type Column, DataTable } from "./table.js";
import { TimeChart } from "./time-chart.js";

/** The question of a page, as the routes take it. */
interface BillQuestion { since: string; until: string; provider: string; zone: string }

export function BillPage({ query }: { query: URLSearchParams }) {
  const wanted = new URLSearchParams(query);
  if (!wanted.has("period")) wanted.set("period", "28d");
  const command = ({ since, until }: Period) => ["holdfast ledger reconcile", query.get("provider") ? `--provider ${quoted(query.get("provider")!)}` : "", `--since ${since}`, `--until ${until}`, query.get("zone") ? `--zone ${quoted(query.get("zone")!)}` : ""].filter(Boolean).join(" ");
  return (
    <MoneyFrame page="bill" title="Ledger beside the bill" query={wanted} command={command} lastDay={-1} question="Which share of the provider's bill is explained, and what is the rest?">
      {(period) => <Providers period={period} query={wanted} />}
    </MoneyFrame>
  );
}

function Providers({ period, query }: { period: Period; query: URLSearchParams }) {
  const answer = useAnswer<{ providers: string[] }>(routeOf("ledger/bills", [["since", period.since], ["until", period.until]]));
  const zone = query.get("zone") ?? "UTC";
  const go = (name: string, value: string) => { location.hash = moneyAddress("bill", [...[...query].filter(([key]) => key !== name), [name, value]]); };
  return (
    <Answered answer={answer}>{({ providers }) => {
      const provider = query.get("provider") ?? providers[0];
      if (provider === undefined) return <p class="nothing">No bill was imported for these days. Save the provider's cost report, then: <code>holdfast ledger import REPORT</code></p>;
      return (
        <>
          <div class="choices">
            <label class="choice"><span>bill of</span><select value={provider} onChange={({ currentTarget }) => go("provider", currentTarget.value)}>{[...new Set([...providers, provider])].map((name) => <option key={name}>{name}</option>)}</select></label>
            <label class="choice"><span>its days are in</span><input type="text" list="zones" value={zone} size={14} onChange={({ currentTarget }) => go("zone", currentTarget.value)} /><datalist id="zones"><option value="UTC" /><option value="America/Los_Angeles" /><option value={Intl.DateTimeFormat().resolvedOptions().timeZone} /></datalist></label>
          </div>
          <Compared key={`${period.name} ${provider} ${zone}`} question={{ since: period.since, until: period.until, provider, zone }} />
        </>
      );
    }}</Answered>
  );
}

function Compared({ question }: { question: BillQuestion }) {
  const answer = useAnswer<BillAnswer>(routeOf("ledger/reconcile"), question);
  return <Answered answer={answer}>{(found) => <Comparison found={found} question={question} refresh={answer.refresh} />}</Answered>;
}

const VERDICTS = { pass: "explained", fail: "not explained", unknown: "cannot be told" } as const;

function Comparison({ found: { reconciliation: found, explained_ppm, by_day, meaning }, question, refresh }: { found: BillAnswer; question: BillQuestion; refresh: () => void }) {
  const days = useMemo(() => by_day.filter(({ day }) => !day.includes("/")), [by_day]);
  const lines = useMemo(() => [
    { name: "bill", colour: "var(--ink)", values: days.map(({ bill_nano }) => bill_nano) },
    { name: "ledger", colour: "var(--kelp)", values: days.map(({ ledger_nano }) => ledger_nano), dash: [6, 3] },
    { name: "difference", colour: "var(--failed)", values: days.map(({ causes }) => Object.values(causes).reduce((sum, each) => sum + each, 0)), dash: [2, 3] },
  ], [days]);
  const names = useMemo(() => days.map(({ day }) => day), [days]);
  const rowsOf = (day: string, model = "") => moneyAddress("rows", [["period", `${day.split("/")[0]}/${day.split("/").at(-1)}`], ["where", `provider:${found.provider}`], ...(model && model !== "*" ? [["where", `model:${model}`] as [string, string]] : [])]);
  return (
    <>
      <section class="attention" aria-label="What needs somebody">{found.findings.length ? <ul>{found.findings.map((finding) => (
        <li key={`${finding.cause} ${finding.what}`}><Money nano={finding.amount_nano} /> <b>{finding.cause.replaceAll("_", " ")}</b>: <Sentence text={finding.what.replace(/\.$/, "")} />{finding.certain ? "" : " (the likeliest of several causes)"}. <Sentence text={finding.fix} /> {finding.where[0] && <a href={rowsOf(finding.where[0][0], finding.where[0][1])}>its rows{finding.cells > 1 ? ` (the first of ${finding.cells} places)` : ""}</a>}</li>
      ))}</ul> : <p>Every line of the bill is in the ledger.</p>}</section>
      <Settlements found={found} question={question} refresh={refresh} />
      <dl class="figures" aria-label="Totals">
        <div class="first"><dt>of the bill is explained</dt><dd>{explained_ppm === null ? <Unknown why="there is no bill">unknown</Unknown> : <span title={`${explained_ppm} of 1,000,000`}>{(explained_ppm / 10_000).toFixed(2)} %</span>} <span class="verdict" data-verdict={found.verdict}>{VERDICTS[found.verdict]}</span></dd></div>
        <div><dt>bill</dt><dd><Money nano={found.bill_nano} basis="imported" /></dd></div>
        <div><dt>ledger</dt><dd><Money nano={found.ledger_nano} href={rowsOf(`${question.since}/${question.until}`)} /></dd></div>
        <div><dt>differences, never netted</dt><dd><Money nano={found.gap_nano} /></dd></div>
        <div><dt>of them with a name</dt><dd><Money nano={found.named_nano} /></dd></div>
      </dl>
      {found.reasons.length > 0 && <ul class="reasons">{found.reasons.map((reason) => <li key={reason}><Sentence text={reason} /></li>)}</ul>}
      {names.length > 0 && <TimeChart days={names} lines={lines} label="USD a day: the bill, the ledger, and what differs in absolute amounts" />}
      <Remainder remainder={found.remainder} meaning={meaning} />
      <CellTable cells={found.cells} rowsOf={rowsOf} file={`bill-${found.provider}-${question.since}-${question.until}`} />
    </>
  );
}

/** What is left, by name. What has no name is hatched. */
function Remainder({ remainder, meaning }: { remainder: Record<string, number>; meaning: Record<string, string> }) {
  const causes = Object.entries(remainder).sort(([, one], [, other]) => other - one);
  const most = Math.max(...causes.map(([, amount]) => amount), 1);
  const columns: Column<[string, number]>[] = [
    { name: "cause", label: "what remains", value: ([cause]) => cause, cell: ([cause]) => (cause === "unknown" ? <Unknown /> : <b>{cause.replaceAll("_", " ")}</b>) },
    { name: "meaning", label: "means", kind: "wide", value: ([cause]) => meaning[cause] ?? "" },
    { name: "amount_usd", label: "amount", kind: "number", value: ([, amount]) => exactUsd(amount), order: ([, amount]) => amount, cell: ([, amount]) => <Money nano={amount} /> },
    { name: "bar", label: "", value: () => null, cell: ([cause, amount]) => <ShareBar part={amount} whole={most} unknown={cause === "unknown"} /> },
  ];
  return <DataTable label="The remainder by name" columns={columns} rows={causes} file="remainder" keyOf={([cause]) => cause} empty="Nothing remains." />;
}

function CellTable({ cells, rowsOf, file }: { cells: readonly BillCell[]; rowsOf: (day: string, model: string) => string; file: string }) {
  const [all, setAll] = useState(false);
  const difference = ({ bill_nano, ledger_nano }: BillCell) => (bill_nano ?? 0) - (ledger_nano ?? 0);
  const shown = all ? cells : cells.filter((cell) => cell.shares.length > 0);
  const side = (nano: number | null) => (nano === null ? <Unknown why="this side has nothing at all">nothing</Unknown> : <Money nano={nano} />);
  const columns: Column<BillCell>[] = [
    { name: "day", label: "day", value: ({ day }) => day, cell: ({ day }) => day.split("/").map(shortDay).join(" – ") }, { name: "model", label: "model", kind: "wide", value: ({ model }) => model, cell: ({ model }) => (model === "*" ? "all models" : model) }, { name: "key", label: "key", value: ({ key }) => key, cell: ({ key }) => (key === "*" ? "all keys" : key) },
    { name: "bill_usd", label: "bill", kind: "number", value: ({ bill_nano }) => (bill_nano === null ? null : exactUsd(bill_nano)), order: ({ bill_nano }) => bill_nano ?? -1, cell: ({ bill_nano }) => side(bill_nano) },
    { name: "ledger_usd", label: "ledger", kind: "number", value: ({ ledger_nano }) => (ledger_nano === null ? null : exactUsd(ledger_nano)), order: ({ ledger_nano }) => ledger_nano ?? -1, cell: ({ ledger_nano, day, model }) => (ledger_nano === null ? side(null) : <Money nano={ledger_nano} href={rowsOf(day, model)} />) },
    { name: "difference_usd", label: "difference", kind: "number", value: (cell) => exactUsd(difference(cell)), order: difference, cell: (cell) => <Money nano={difference(cell)} signed /> },
    { name: "causes", label: "because", value: ({ shares }) => shares.map(({ cause }) => cause).join(" "), cell: ({ shares }) => (shares.length ? shares.map(({ cause, amount_nano }) => <span key={cause} class="cause" title={`${exactUsd(amount_nano)} USD`}>{cause === "unknown" ? <Unknown /> : cause.replaceAll("_", " ")}{shares.length > 1 ? ` ${usd(amount_nano)}` : ""}</span>) : "–") },
    { name: "rows", label: "rows", kind: "number", value: ({ rows }) => rows, cell: ({ rows, day, model }) => (rows ? <a href={rowsOf(day, model)}>{rows.toLocaleString()}</a> : 0) },
  ];
  return (
    <>
      <DataTable label={all ? "All lines" : "Lines that differ"} columns={columns} rows={shown} file={file} keyOf={({ day, model, key }) => `${day} ${model} ${key}`} empty="No line differs." />
      <p class="more"><Button icon="eye" label={all ? "only lines that differ" : `all ${cells.length.toLocaleString()} lines`} kind="quiet" onClick={() => setAll(!all)} /></p>
    </>
  );
}

function Settlements({ found, question, refresh }: { found: BillAnswer["reconciliation"]; question: BillQuestion; refresh: () => void }) {
  const operator = useConsole();
  const [open, setOpen] = useState(false);
  if (!found.settlements.length) return null;
  const change = found.settlements.reduce((sum, { amount_nano, was_nano }) => sum + amount_nano - was_nano, 0);
  if (!operator.may("budget")) return <Needs right="budget" roles="operator or finops" to={`correct ${found.settlements.length.toLocaleString()} estimated rows as the bill tells them`} />;
  if (!open) return <p class="row"><Button icon="edit" label={`correct ${found.settlements.length.toLocaleString()} estimated rows`} onClick={() => setOpen(true)} /></p>;
  return (
    <Consequence action="correct them" cancel={() => { setOpen(false); refresh(); }}
      says={<>{found.settlements.length.toLocaleString()} rows are estimates, and the bill tells what they were: together {usd(Math.abs(change))} {change < 0 ? "less" : "more"}. Each gets a row that corrects it; the estimates stay and count no more. There is no way back but another correction.</>}
      perform={async () => {
        const { settled, proposed } = await operator.request<{ settled: string[]; proposed: number }>(routeOf("ledger/settle"), "POST", question);
        return <>{settled.length.toLocaleString()} of {proposed.toLocaleString()} rows are corrected; the others were corrected by somebody meanwhile.</>;
      }} />
  );
}
