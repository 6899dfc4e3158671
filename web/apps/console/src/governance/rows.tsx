// Owns the rows a figure is made of, and one row down to its tokens.

import { Button } from "holdfast-look";

import { useConsole } from "../console.js";
import { addressOf } from "../route.js";
import { type LedgerRow, routeOf, type RowPage } from "./api.js";
import { Answered, Failure, useAnswer, usePages } from "./answer.js";
import { exactUsd, Money, short, Unknown, usd } from "./figures.js";
import { filtersOf, MoneyFrame, moneyAddress, requestCommand } from "./frame.js";
import type { Period } from "./period.js";
import { type Column, DataTable } from "./table.js";

const PAGE = "200";
const INPUT = /^(input|cache)/;
const OUTPUT = /^(output|reasoning)/;

export const sumOf = (counts: Record<string, number>, of: RegExp): number => Object.entries(counts).reduce((sum, [name, count]) => sum + (of.test(name) ? count : 0), 0);
export const inputOf = ({ counts }: LedgerRow): number => sumOf(counts, INPUT);
export const outputOf = ({ counts }: LedgerRow): number => sumOf(counts, OUTPUT);

/** Seq of a run's first event: the id of a run begins with it. */
export const seqOf = (run: string): string => /^r(\d+)/.exec(run)?.[1] ?? "";

/** A session at the event where a run began; nothing for sessions that were deleted. */
export const sessionAddress = ({ session, run }: { session: string; run: string }): string => addressOf("session", session, seqOf(run) ? { at: seqOf(run) } : {});

export const timeIn = (zone: string) => (ms: number): string => new Date(ms).toLocaleString([], { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", ...(zone && { timeZone: zone }) });

export function RowsPage({ query }: { query: URLSearchParams }) {
  const filters = filtersOf(query);
  const command = ({ since, until }: Period) => requestCommand(routeOf("ledger/rows", [["since", since], ["until", until], ...filters, ["format", "csv"]]));
  return (
    <MoneyFrame page="rows" title="Rows" query={query} command={command} question="Which attempts is the figure made of?">
      {(period, { time_zone }) => <RowList key={`${period.name} ${filters.join()}`} period={period} filters={filters} zone={time_zone} />}
    </MoneyFrame>
  );
}

function RowList({ period, filters, zone }: { period: Period; filters: [string, string][]; zone: string }) {
  const operator = useConsole();
  const span: [string, string][] = [["since", period.since], ["until", period.until], ...filters];
  const { rows, page, older } = usePages<RowPage, LedgerRow>((cursor) => routeOf("ledger/rows", [...span, ["limit", PAGE], ["cursor", cursor]]), (found) => found.rows);
  const time = timeIn(zone);
  const columns: Column<LedgerRow>[] = [
    { name: "at", label: "ended", value: ({ at_ms }) => new Date(at_ms).toISOString(), order: ({ at_ms }) => at_ms, cell: (row) => <a href={moneyAddress("row", [], row.id)}>{time(row.at_ms)}</a> },
    { name: "workflow", label: "workflow · task", kind: "wide", value: ({ workflow }) => workflow, cell: ({ workflow, task, team }) => <>{workflow} <small>{[task, team].filter(Boolean).join(" · ")}</small></> },
    { name: "task", label: "task", value: ({ task }) => task, hidden: true }, { name: "team", label: "team", value: ({ team }) => team, hidden: true },
    { name: "model", label: "model", value: ({ model }) => model, cell: ({ model, asked, upstream }) => <>{model || asked} <small>{model && asked !== model ? `asked as ${asked} ` : ""}{upstream}</small></> },
    { name: "outcome", label: "ended as", value: ({ outcome }) => outcome, cell: ({ outcome, reason }) => <span class="outcome" data-outcome={outcome}>{outcome}{reason ? <small> {reason}</small> : null}</span> },
    { name: "session", label: "session", value: ({ session }) => session, cell: ({ session }) => (session ? <a href={moneyAddress("cost", [], session)}>{session}</a> : "–") },
    { name: "input_tokens", label: "in", kind: "number", value: inputOf, cell: (row) => short(inputOf(row)) },
    { name: "output_tokens", label: "out", kind: "number", value: outputOf, cell: (row) => short(outputOf(row)) },
    { name: "billed_usd", label: "billed", kind: "number", value: ({ billed_nano }) => (billed_nano === null ? null : exactUsd(billed_nano)), order: ({ billed_nano }) => billed_nano ?? -1, cell: (row) => <Money nano={row.billed_nano} basis={row.basis} href={moneyAddress("row", [], row.id)} /> },
    { name: "basis", label: "basis", value: ({ basis }) => basis, hidden: true }, { name: "id", label: "row", value: ({ id }) => id, hidden: true },
  ];
  const priced = rows.filter(({ billed_nano }) => billed_nano !== null);
  return (
    <>
      <p class="sum">{page.data && !page.data.next ? <>All {rows.length.toLocaleString()} rows; they sum to <b data-sum={exactUsd(priced.reduce((sum, { billed_nano }) => sum + billed_nano!, 0))}>{usd(priced.reduce((sum, { billed_nano }) => sum + billed_nano!, 0))}</b>{priced.length < rows.length ? ` without ${rows.length - priced.length} that have no price` : ""}.</> : `The newest ${rows.length.toLocaleString()} rows.`}
        <Button icon="down" label="all rows as CSV" kind="quiet" onClick={() => void operator.perform(() => operator.download(routeOf("ledger/rows", [...span, ["format", "csv"]]), `rows-${period.since}-${period.until}.csv`), "The rows are saved, with every field.")} />
      </p>
      {rows.length || page.data ? <DataTable label="Rows" columns={columns} rows={rows} file={`rows-${period.since}-${period.until}`} keyOf={({ id }) => id} empty="No row fits." /> : null}
      {page.error ? <Failure error={page.error} retry={page.refresh} /> : !page.data ? <Answered answer={page}>{() => null}</Answered> : page.data.next ? <p class="more"><Button icon="down" label="older rows" onClick={older} /></p> : null}
    </>
  );
}

/** One row: whose, what, its tokens by class with what each cost, what the provider said, and what replaced it. */
export function RowPageOf({ id, query }: { id: string; query: URLSearchParams }) {
  const route = routeOf(`ledger/row/${id.split("/").map(encodeURIComponent).join("/")}`);
  const answer = useAnswer<{ rows: LedgerRow[] }>(route);
  return (
    <MoneyFrame page="row" title="One row" query={query} periods={false} command={() => requestCommand(route)} question="What was this attempt, and what did each token of it cost?">
      {(_, { time_zone }) => <Answered answer={answer}>{({ rows }) => <>{rows.length > 1 && <p class="filters">Corrected {rows.length - 1 === 1 ? "once" : `${rows.length - 1} times`}: the last one counts, the others stay.</p>}{[...rows].reverse().map((row, at) => <RowDetail key={row.id} row={row} replaced={at > 0} zone={time_zone} />)}</>}</Answered>}
    </MoneyFrame>
  );
}

function RowDetail({ row, replaced, zone }: { row: LedgerRow; replaced: boolean; zone: string }) {
  const facts: [string, unknown][] = [
    ["ended", timeIn(zone)(row.at_ms)], ["took", `${(row.took_ms / 1_000).toFixed(1)} s${row.first_ms === null ? "" : `, first content after ${(row.first_ms / 1_000).toFixed(1)} s`}`], ["how", [row.outcome, row.reason].filter(Boolean).join(": ")],
    ["team", row.team], ["workflow", row.workflow], ["task", row.task], ["cost centre", row.cost_centre], ["usage", row.usage], ["person", row.person], ["key", row.key],
    ["provider", `${row.provider}${row.upstream ? ` by ${row.upstream}` : ""}`], ["model", row.asked && row.asked !== row.model ? `${row.model} (asked for ${row.asked})` : row.model], ["tier", row.tier], ["region", row.region], ["kind", row.kind],
    ["call", `${row.call}, attempt ${row.number}`], ["agent", row.agent], ["run", [row.run, row.run_attempt > 1 ? `try ${row.run_attempt}` : ""].filter(Boolean).join(", ")], ["came from", row.source],
    ["price", row.price], ["catalogue", row.catalogue], ["rate card", row.card], ["waiver", row.waiver], ...Object.entries(row.tags).map(([name, value]): [string, unknown] => [`tag ${name}`, value]),
  ];
  const classes = Object.entries(row.counts);
  const columns: Column<[string, number]>[] = [
    { name: "class", label: "class", kind: "wide", value: ([name]) => name, cell: ([name]) => name.replaceAll("_", " ") }, { name: "units", label: "units", kind: "number", value: ([, count]) => count, cell: ([, count]) => count.toLocaleString() },
    { name: "list_usd", label: "at list price", kind: "number", value: ([name]) => (row.unpriced.includes(name) ? null : exactUsd(row.parts[name] ?? 0)), cell: ([name]) => (row.unpriced.includes(name) ? <Unknown>no price</Unknown> : <Money nano={row.parts[name] ?? 0} />) },
  ];
  return (
    <article class={replaced ? "detail-row replaced" : "detail-row"}>
      <h2><code>{row.id}</code>{replaced ? " (replaced)" : ""}</h2>
      <dl class="figures">{([["list", row.list_nano], ["contracted", row.contracted_nano], ["effective", row.effective_nano], ["billed", row.billed_nano]] as const).map(([name, nano]) => <div key={name}><dt>{name}</dt><dd><Money nano={nano} basis={name === "billed" ? row.basis : "exact"} /></dd></div>)}</dl>
      {row.session && <p class="row">{!row.session.startsWith("erased:") && <a class="button" href={sessionAddress(row)}>the session at this run</a>}<a class="button" href={moneyAddress("cost", [], row.session)}>what the session cost, and why</a></p>}
      <DataTable label="Tokens" columns={columns} rows={classes} file={`row-${row.id}`} keyOf={([name]) => name} empty="It used nothing." />
      <dl class="facts">{facts.filter(([, value]) => value).map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{String(value)}</dd></div>)}</dl>
      {Object.keys(row.raw).length > 0 && <details><summary>What the provider said</summary><pre>{JSON.stringify(row.raw, null, 2)}</pre></details>}
    </article>
  );
}
