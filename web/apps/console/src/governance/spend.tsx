// Owns the page on spend: what needs somebody, what changed and because of what, how much, over time, and by what.

import { hueOf } from "holdfast-look";
import { useMemo } from "preact/hooks";

import type { Spend, SpendGroup, Variance } from "./api.js";
import { routeOf } from "./api.js";
import { type Answer, Answered, useAnswer } from "./answer.js";
import { Attention } from "./attention.js";
import { ShareBar, Waterfall } from "./bars.js";
import { exactUsd, Money, percent, short, signedUsd, usd } from "./figures.js";
import { filtersOf, MoneyFrame, moneyAddress, requestCommand } from "./frame.js";
import { daysFrom, type Period, shortDay, spanWords } from "./period.js";
import { type Column, DataTable } from "./table.js";
import { hueColour, type Line, TimeChart } from "./time-chart.js";

const DIMENSIONS = [
  ["team", "team"], ["workflow", "workflow"], ["task", "task"], ["model", "model"], ["cost_centre", "cost centre"], ["usage", "seated or headless"], ["key", "key"],
  ["session", "session"], ["agent", "agent"], ["upstream", "upstream"], ["provider", "provider"], ["basis", "how it is known"], ["outcome", "how it ended"], ["source", "where it came from"], ["day", "day"],
] as const;
/** Where a click on a name leads: it is kept, and what is in it is divided by this. */
const NEXT: Record<string, string> = { team: "workflow", cost_centre: "team", workflow: "task", task: "model", model: "session", usage: "workflow", key: "session", agent: "session", upstream: "model", provider: "model", basis: "workflow", outcome: "model", source: "workflow", day: "workflow" };
const COMPARED: ReadonlySet<string> = new Set(["team", "workflow", "task", "model", "cost_centre", "usage", "key", "agent", "upstream", "provider"]);
const LINES = 5;

export function SpendPage({ query }: { query: URLSearchParams }) {
  const by = DIMENSIONS.find(([name]) => name === query.get("by"))?.[0] ?? "team";
  const filters = filtersOf(query);
  const command = ({ since, until }: Period) => (filters.length ? requestCommand(routeOf("ledger/spend", [["since", since], ["until", until], ["by", by], ...filters, ["format", "csv"]])) : `holdfast ledger spend --since ${since} --until ${until} --by ${by}`);
  return (
    <MoneyFrame page="spend" title="Spend" query={query} command={command} question="What is spent, by whom, and what changed?">
      {(period, organisation) => <SpendOf key={`${period.name} ${by} ${filters.join()}`} period={period} by={by} query={query} currency={organisation.currency} />}
    </MoneyFrame>
  );
}

function SpendOf({ period, by, query, currency }: { period: Period; by: string; query: URLSearchParams; currency: string }) {
  const filters = filtersOf(query);
  const span: [string, string][] = [["since", period.since], ["until", period.until], ...filters];
  const earlier: [string, string][] = [["since", period.before.since], ["until", period.before.until], ...filters];
  const now = useAnswer<Spend>(routeOf("ledger/spend", [...span, ["by", by], ["limit", "1000"]]));
  const before = useAnswer<Spend>(routeOf("ledger/spend", [...earlier, ["by", by], ["limit", "1000"]]));
  const rowsOf = (extra: [string, string][] = []) => moneyAddress("rows", [["period", `${period.since}/${period.until}`], ...filters, ...extra]);
  return (
    <>
      {!filters.length && <Attention period={period} />}
      <ChangeOf period={period} by={by} filtered={filters.length > 0} now={now} before={before} />
      <Answered answer={now}>{({ total }) => (
        <dl class="figures" aria-label="Totals">
          <div class="first"><dt>billed{currency && currency !== "USD" ? ` (USD; books in ${currency})` : ""}</dt><dd><Money nano={total.billed_nano} estimated={total.estimated} href={rowsOf()} /></dd></div>
          <div><dt>at list price</dt><dd><Money nano={total.list_nano} href={rowsOf()} /></dd></div>
          <div><dt>rows</dt><dd><a href={rowsOf()}>{total.rows.toLocaleString()}</a></dd></div>
          <div><dt>tokens in</dt><dd title={total.input_tokens.toLocaleString()}>{short(total.input_tokens)}</dd></div>
          <div><dt>of them from a cache</dt><dd title={total.cache_read_tokens.toLocaleString()}>{percent(total.cache_read_tokens, total.input_tokens)}</dd></div>
          <div><dt>tokens out</dt><dd title={total.output_tokens.toLocaleString()}>{short(total.output_tokens)}</dd></div>
        </dl>
      )}</Answered>
      <div class="choices"><label class="choice"><span>by</span><select id="by" value={by} onChange={({ currentTarget }) => {
        location.hash = moneyAddress("spend", [...[...query].filter(([name]) => name !== "by"), ["by", currentTarget.value]]);
      }}>{DIMENSIONS.map(([name, words]) => <option key={name} value={name}>{words}</option>)}</select></label></div>
      {by !== "session" && by !== "day" && <Answered answer={now}>{({ groups }) => <History period={period} by={by} filters={filters} largest={groups.filter(({ rest }) => !rest).slice(0, LINES).map(({ values }) => values[0]!)} />}</Answered>}
      <Answered answer={now}>{(found) => <GroupTable found={found} before={before.data} by={by} query={query} period={period} />}</Answered>
    </>
  );
}

/** Change before level: how much, because of what, and in which groups. */
function ChangeOf({ period, by, filtered, now, before }: { period: Period; by: string; filtered: boolean; now: Answer<Spend>; before: Answer<Spend> }) {
  const span = ({ since, until }: { since: string; until: string }) => `${since}/${until}`;
  const dimension = COMPARED.has(by) ? by : "team";
  const variance = useAnswer<Variance>(filtered ? "" : routeOf("ledger/variance", [["before", span(period.before)], ["after", span(period)], ["by", dimension]]));
  const found = (variance.data as unknown as { variance: Variance } | null)?.variance;
  if (now.error || !now.data || !before.data) return null;
  const [was, is] = [before.data.total.billed_nano, now.data.total.billed_nano];
  const change = is - was;
  return (
    <section class="change" aria-label="What changed">
      <p class="headline"><b data-way={change > 0 ? "up" : "down"}>{signedUsd(change)}</b> <span>{was > 0 ? `${change >= 0 ? "+" : "−"}${percent(Math.abs(change), was)} ` : ""}against {usd(was)} in the {period.days === 1 ? "day" : `${period.days} days`} before ({spanWords(period.before)})</span></p>
      {found && <div class="because">
        <Waterfall total={found.after_nano - found.before_nano} steps={[
          { name: "price", nano: found.effects.price, why: "what a unit costs" }, { name: "volume", nano: found.effects.volume, why: "how much was asked" },
          { name: "mix", nano: found.effects.mix, why: "of which models and kinds of tokens" }, { name: "cache", nano: found.effects.cache, why: "how much came from caches" },
        ]} />
        <ol class="movers" aria-label={`What moved most, by ${dimension}`}>{found.groups.slice(0, 4).map(({ name, before_nano, after_nano, effects }) => {
          const [effect, nano] = Object.entries(effects).sort(([, one], [, other]) => Math.abs(other) - Math.abs(one))[0]!;
          return <li key={name}><a href={moneyAddress("spend", [["period", period.name], ["where", `${dimension}:${name}`], ["by", NEXT[dimension] ?? "model"]])}>{name || "(none)"}</a> <Money nano={after_nano - before_nano} signed /> <small>mostly {effect} ({signedUsd(nano)})</small></li>;
        })}</ol>
      </div>}
      {found && (found.new.length > 0 || found.gone.length > 0) && <p class="hint">{found.new.length ? `New: ${found.new.join(", ")}. ` : ""}{found.gone.length ? `Gone: ${found.gone.join(", ")}.` : ""}</p>}
      {found && <details><summary>What these words mean</summary><p class="hint">{found.definition}</p></details>}
    </section>
  );
}

/** The period and the one before it, by day: the largest groups and the rest. */
function History({ period, by, filters, largest }: { period: Period; by: string; filters: [string, string][]; largest: string[] }) {
  const answer = useAnswer<Spend>(routeOf("ledger/spend", [["since", period.before.since], ["until", period.until], ...filters, ["by", by], ["bucket", "day"], ["limit", "5000"]]));
  const drawn = useMemo(() => answer.data && linesOf(answer.data, period, by, largest), [answer.data]);
  return <Answered answer={answer}>{() => <TimeChart days={drawn!.days} lines={drawn!.lines} split={period.since} label={`USD a day, by ${by.replace("_", " ")}; left of the line is what the ${period.days === 1 ? "day" : `${period.days} days`} are compared with`} />}</Answered>;
}

function linesOf(found: Spend, period: Period, by: string, largest: string[]): { days: string[]; lines: Line[] } {
  const days = daysFrom(period.before.since, period.until);
  const place = new Map(days.map((day, at) => [day, at]));
  const sums = new Map<string, number[]>([...largest, ""].map((name) => [name, days.map(() => 0)]));
  let others = false;
  for (const { values, bucket, figures, rest } of found.groups) {
    const own = !rest && largest.includes(values[0]!) ? values[0]! : "";
    others ||= rest || !largest.includes(values[0]!);
    sums.get(own)![place.get(bucket) ?? 0]! += figures.billed_nano;
  }
  const lines = largest.map((name, at): Line => ({ name: name || "(none)", colour: hueColour(hueOf(`${by}:${name}`)), values: sums.get(name)!, ...(at % 2 && { dash: [6, 3] }) }));
  if (others && !largest.includes("")) lines.push({ name: "all others", colour: "var(--cancelled)", values: sums.get("")!, dash: [2, 3] });
  return { days, lines };
}

function GroupTable({ found, before, by, query, period }: { found: Spend; before: Spend | null; by: string; query: URLSearchParams; period: Period }) {
  const filters = filtersOf(query);
  const was = new Map(before?.groups.filter(({ rest }) => !rest).map(({ values, figures }) => [values[0], figures.billed_nano]));
  const most = Math.max(...found.groups.map(({ figures }) => figures.billed_nano), 1);
  const words = DIMENSIONS.find(([name]) => name === by)![1];
  const nameOf = ({ values, rest }: SpendGroup) => (rest ? "(rest)" : values[0] || "(none)");
  const rowsOf = ({ values, rest }: SpendGroup) => (rest ? undefined : moneyAddress("rows", [["period", `${period.since}/${period.until}`], ...filters, ["where", `${by}:${values[0]}`]]));
  const open = ({ values }: SpendGroup) => (by === "session" ? moneyAddress("cost", [], values[0]) : moneyAddress("spend", [["period", period.name], ...filters, ["where", `${by}:${values[0]}`], ["by", NEXT[by] ?? "model"]]));
  const columns: Column<SpendGroup>[] = [
    { name: by, label: words, value: nameOf, cell: (group) => (group.rest || (by === "session" && !group.values[0]) ? nameOf(group) : <a href={open(group)}>{by === "day" ? shortDay(group.values[0]!) : nameOf(group)}</a>), kind: "wide" },
    { name: "billed_usd", label: "billed", kind: "number", value: ({ figures }) => exactUsd(figures.billed_nano), order: ({ figures }) => figures.billed_nano, cell: (group) => <Money nano={group.figures.billed_nano} estimated={group.figures.estimated} href={rowsOf(group)} /> },
    { name: "share", label: "share", value: ({ figures }) => percent(figures.billed_nano, found.total.billed_nano), order: ({ figures }) => figures.billed_nano, cell: ({ figures }) => <span class="shared"><ShareBar part={figures.billed_nano} whole={most} />{percent(figures.billed_nano, found.total.billed_nano)}</span> },
    { name: "change_usd", label: "change", kind: "number", value: (group) => (before && !group.rest ? exactUsd(group.figures.billed_nano - (was.get(group.values[0]) ?? 0)) : null), order: (group) => group.figures.billed_nano - (was.get(group.values[0]) ?? 0), cell: (group) => (before && !group.rest ? <Money nano={group.figures.billed_nano - (was.get(group.values[0]) ?? 0)} signed /> : "–") },
    { name: "input_tokens", label: "tokens in", kind: "number", value: ({ figures }) => figures.input_tokens, cell: ({ figures }) => <span title={figures.input_tokens.toLocaleString()}>{short(figures.input_tokens)}</span> },
    { name: "output_tokens", label: "tokens out", kind: "number", value: ({ figures }) => figures.output_tokens, cell: ({ figures }) => <span title={figures.output_tokens.toLocaleString()}>{short(figures.output_tokens)}</span> },
    { name: "rows", label: "rows", kind: "number", value: ({ figures }) => figures.rows, cell: (group) => <a href={rowsOf(group)}>{group.figures.rows.toLocaleString()}</a> },
    { name: "estimated_rows", label: "estimated", value: ({ figures }) => figures.estimated, hidden: true },
    { name: "unpriced_rows", label: "unpriced", value: ({ figures }) => figures.unpriced, hidden: true },
    { name: "list_usd", label: "list", value: ({ figures }) => exactUsd(figures.list_nano), hidden: true },
  ];
  return <DataTable label={`By ${words}`} columns={by === "day" ? columns.filter(({ name }) => name !== "change_usd") : columns} rows={found.groups} file={`spend-by-${by}-${period.since}-${period.until}`} keyOf={nameOf} empty="Nothing was spent in these days. Choose others, or point a program at the gateway: `holdfast keys create` makes its key." />;
}
