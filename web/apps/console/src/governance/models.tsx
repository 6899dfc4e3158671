// Owns the page on models: which one served what, what it cost, and how much of its work was accepted.

import { hueOf } from "holdfast-look";
import { useMemo } from "preact/hooks";

import type { ModelRow, RoutingReport } from "./control-api.js";
import { type Figures, routeOf, type Spend } from "./api.js";
import { Accepted } from "./acceptance.js";
import { Answered, useAnswer } from "./answer.js";
import { ShareBar } from "./bars.js";
import { exactUsd, Money, nanoOf, percent, short, Unknown } from "./figures.js";
import { MoneyFrame, moneyAddress } from "./frame.js";
import { daysFrom, type Period } from "./period.js";
import { type Column, DataTable } from "./table.js";
import { hueColour, type Line, TimeChart } from "./time-chart.js";

const LINES = 5;

export function ModelsPage({ query }: { query: URLSearchParams }) {
  const wanted = new URLSearchParams(query);
  if (!wanted.has("period")) wanted.set("period", "28d");
  return (
    <MoneyFrame page="models" title="Models" query={wanted} command={({ since, until }) => `holdfast ledger spend --since ${since} --until ${until} --by model`} question="Which model served what, for how much, and was its work accepted?">
      {(period) => <ModelsOf key={period.name} period={period} />}
    </MoneyFrame>
  );
}

function ModelsOf({ period }: { period: Period }) {
  const span: [string, string][] = [["since", period.since], ["until", period.until]];
  const served = useAnswer<Spend>(routeOf("ledger/spend", [...span, ["by", "model,workflow,task"], ["limit", "2000"]]));
  const substituted = useAnswer<Spend>(routeOf("ledger/spend", [...span, ["by", "asked,model"], ["limit", "1000"]]));
  const days = useAnswer<Spend>(routeOf("ledger/spend", [...span, ["by", "model"], ["bucket", "day"], ["limit", "5000"]]));
  const report = useAnswer<RoutingReport>(routeOf("routing/report"));
  const rows = (...where: string[]) => moneyAddress("rows", [["period", `${period.since}/${period.until}`], ...where.map((each): [string, string] => ["where", each])]);
  const work = useMemo(() => (served.data && report.data ? workOf(served.data, report.data.models) : null), [served.data, report.data]);
  const chart = useMemo(() => (days.data ? linesOf(days.data, period) : null), [days.data]);
  return (
    <>
      <Answered answer={substituted}>{(found) => <OtherServed found={found} rows={rows} />}</Answered>
      {chart && chart.days.length > 1 && chart.lines.length > 0 && <TimeChart days={chart.days} lines={chart.lines} label="USD a day, by the model that served" />}
      {work ? <><ModelTable work={work} rows={rows} period={period} /><WorkTable work={work} rows={rows} period={period} /></> : <><Answered answer={served}>{() => null}</Answered><Answered answer={report}>{() => null}</Answered></>}
      <p class="hint note">Spend is of the days above, by the model that served; outcomes are of the last 90 days, by the model that was asked for.</p>
    </>
  );
}

interface WorkOf { model: string; workflow: string; task: string; figures: Figures | null; row: ModelRow | null }

/** What was served, beside what became of it: of some work only one of both is known. */
function workOf({ groups }: Spend, models: readonly ModelRow[]): WorkOf[] {
  const key = (...parts: string[]) => parts.join("\0");
  const judged = new Map(models.map((row) => [key(row.model, row.workflow, row.task), row]));
  const found = groups.filter(({ rest }) => !rest).map(({ values: [model = "", workflow = "", task = ""], figures }): WorkOf => {
    const row = judged.get(key(model, workflow, task)) ?? null;
    judged.delete(key(model, workflow, task));
    return { model, workflow, task, figures, row };
  });
  return [...found, ...[...judged.values()].map((row): WorkOf => ({ model: row.model, workflow: row.workflow, task: row.task, figures: null, row }))];
}

function linesOf({ groups }: Spend, period: Period): { days: string[]; lines: Line[] } {
  const days = daysFrom(period.since, period.until);
  const place = new Map(days.map((day, at) => [day, at]));
  const sums = new Map<string, number[]>();
  for (const { values: [model = ""], bucket, figures, rest } of groups) {
    const name = rest ? "all others" : model || "(none)";
    if (!sums.has(name)) sums.set(name, days.map(() => 0));
    sums.get(name)![place.get(bucket) ?? 0]! += figures.billed_nano;
  }
  const total = (values: readonly number[]) => values.reduce((sum, each) => sum + each, 0);
  const sorted = [...sums].sort(([, one], [, other]) => total(other) - total(one));
  const others = sorted.slice(LINES).map(([, values]) => values);
  const lines = sorted.slice(0, LINES).map(([name, values], at): Line => ({ name, colour: hueColour(hueOf(`model:${name}`)), values, ...(at % 2 && { dash: [6, 3] }) }));
  if (others.length) lines.push({ name: "all others", colour: "var(--cancelled)", values: days.map((_, at) => others.reduce((sum, values) => sum + values[at]!, 0)), dash: [2, 3] });
  return { days, lines };
}

/** Served another than asked for, from the ledger: also without any routing document. */
function OtherServed({ found, rows }: { found: Spend; rows: (...where: string[]) => string }) {
  const others = found.groups.filter(({ values: [asked, model], rest }) => !rest && asked && model && asked !== model);
  return (
    <section class="attention" aria-label="What needs somebody">{others.length ? <ul>{others.slice(0, 5).map(({ values: [asked, model], figures }) => (
      <li key={`${asked} ${model}`}><b>{model}</b> answered where {asked} was asked for: <a href={rows(`asked:${asked}`, `model:${model}`)}>{figures.rows.toLocaleString()} {figures.rows === 1 ? "row" : "rows"}</a>, <Money nano={figures.billed_nano} estimated={figures.estimated} />. <a href={moneyAddress("routing", [["other", "yes"]])}>Decisions</a></li>
    ))}</ul> : <p>Every call was answered by the model that was asked for.</p>}</section>
  );
}

interface ModelSum { model: string; billed: number; rows: number; estimated: number; unpriced: number; output: number; places: Set<string>; n: number; accepted: number; cost: number | null }

function ModelTable({ work, rows, period }: { work: readonly WorkOf[]; rows: (...where: string[]) => string; period: Period }) {
  const sums = new Map<string, ModelSum>();
  for (const { model, workflow, figures, row } of work) {
    const sum = sums.get(model) ?? { model, billed: 0, rows: 0, estimated: 0, unpriced: 0, output: 0, places: new Set<string>(), n: 0, accepted: 0, cost: 0 };
    const accepted = nanoOf(row?.accepted_usd ?? null);
    sums.set(model, {
      ...sum, billed: sum.billed + (figures?.billed_nano ?? 0), rows: sum.rows + (figures?.rows ?? 0), estimated: sum.estimated + (figures?.estimated ?? 0), unpriced: sum.unpriced + (figures?.unpriced ?? 0), output: sum.output + (figures?.output_tokens ?? 0),
      places: figures ? sum.places.add(workflow) : sum.places, n: sum.n + (row?.n ?? 0), accepted: sum.accepted + (row?.accepted ?? 0),
      cost: row === null || row.n === 0 ? sum.cost : sum.cost === null || accepted === null ? null : sum.cost + accepted * row.accepted,
    });
  }
  const found = [...sums.values()].sort((one, other) => other.billed - one.billed);
  const total = found.reduce((sum, { billed }) => sum + billed, 0);
  const perAccepted = ({ cost, accepted }: ModelSum) => (cost === null || !accepted ? null : Math.round(cost / accepted));
  const columns: Column<ModelSum>[] = [
    { name: "model", label: "model", kind: "wide", value: ({ model }) => model || "(none)", cell: ({ model }) => (model ? <a href={moneyAddress("spend", [["period", period.name], ["where", `model:${model}`], ["by", "workflow"]])}>{model}</a> : <Unknown why="no provider said which model answered">unknown</Unknown>) },
    { name: "billed_usd", label: "billed", kind: "number", value: ({ billed }) => exactUsd(billed), order: ({ billed }) => billed, cell: ({ billed, estimated, model }) => <Money nano={billed} estimated={estimated} href={rows(`model:${model}`)} /> },
    { name: "share", label: "share", value: ({ billed }) => percent(billed, total), order: ({ billed }) => billed, cell: ({ billed }) => <span class="shared"><ShareBar part={billed} whole={found[0]?.billed ?? 1} />{percent(billed, total)}</span> },
    { name: "rows", label: "rows", kind: "number", value: (sum) => sum.rows, cell: (sum) => <><a href={rows(`model:${sum.model}`)}>{sum.rows.toLocaleString()}</a>{sum.unpriced ? <> <Unknown why="they are in no sum of money">{sum.unpriced} without a price</Unknown></> : null}</> },
    { name: "output_tokens", label: "tokens out", kind: "number", value: ({ output }) => output, cell: ({ output }) => short(output) },
    { name: "workflows", label: "served", value: ({ places }) => [...places].join(" "), cell: ({ places }) => { const names = [...places].map((name) => name || "(none)"); return names.length ? `${names.slice(0, 3).join(", ")}${names.length > 3 ? ` and ${names.length - 3} more` : ""}` : "–"; } },
    { name: "accepted", label: "accepted, 90 days", kind: "number", value: ({ accepted, n }) => (n ? accepted : null), order: ({ accepted, n }) => (n ? accepted / n : -1), cell: ({ accepted, n }) => <Accepted accepted={accepted} n={n} /> }, { name: "n", label: "n", value: ({ n }) => n, hidden: true },
    { name: "per_accepted_usd", label: "cost per accepted", kind: "number", value: (sum) => { const nano = perAccepted(sum); return nano === null ? null : exactUsd(nano); }, order: (sum) => perAccepted(sum) ?? -1, cell: (sum) => { const nano = perAccepted(sum); return nano === null ? <Unknown why={sum.n ? "nothing was accepted, or a cost is not known" : "nobody has said what became of its work"} /> : <Money nano={nano} href={moneyAddress("routing")} />; } },
  ];
  return <DataTable label="Models" columns={columns} rows={found} file={`models-${period.since}-${period.until}`} keyOf={({ model }) => model || "(none)"} empty="No model served anything in these days." />;
}

function WorkTable({ work, rows, period }: { work: readonly WorkOf[]; rows: (...where: string[]) => string; period: Period }) {
  const sorted = [...work].sort((one, other) => (other.figures?.billed_nano ?? 0) - (one.figures?.billed_nano ?? 0));
  const columns: Column<WorkOf>[] = [
    { name: "workflow", label: "workflow · task", kind: "wide", value: ({ workflow }) => workflow, cell: ({ workflow, task }) => <>{workflow || "(none)"} <small>{task}</small></> }, { name: "task", label: "task", value: ({ task }) => task, hidden: true },
    { name: "model", label: "model", value: ({ model }) => model, cell: ({ model }) => model || "(none)" },
    { name: "billed_usd", label: "billed", kind: "number", value: ({ figures }) => exactUsd(figures?.billed_nano ?? 0), order: ({ figures }) => figures?.billed_nano ?? 0, cell: ({ figures, model, workflow, task }) => (figures ? <Money nano={figures.billed_nano} estimated={figures.estimated} href={rows(`model:${model}`, `workflow:${workflow}`, `task:${task}`)} /> : <small>none in these days</small>) },
    { name: "rows", label: "rows", kind: "number", value: ({ figures }) => figures?.rows ?? 0, cell: ({ figures }) => (figures?.rows ?? 0).toLocaleString() },
    { name: "accepted", label: "accepted, 90 days", kind: "number", value: ({ row }) => (row?.n ? row.accepted : null), order: ({ row }) => (row?.n ? row.accepted / row.n : -1), cell: ({ row }) => <Accepted accepted={row?.accepted ?? 0} n={row?.n ?? 0} /> }, { name: "n", label: "n", value: ({ row }) => row?.n ?? 0, hidden: true },
    { name: "per_accepted_usd", label: "cost per accepted", kind: "number", value: ({ row }) => row?.accepted_usd ?? null, order: ({ row }) => Number(row?.accepted_usd ?? -1), cell: ({ row }) => { const nano = nanoOf(row?.accepted_usd ?? null); return nano === null ? <Unknown why={row?.n ? "nothing was accepted, or a cost is not known" : "no outcome"} /> : <Money nano={nano} href={moneyAddress("routing")} />; } },
  ];
  return <DataTable label="What each served" columns={columns} rows={sorted} file={`models-by-work-${period.since}-${period.until}`} keyOf={({ model, workflow, task }) => `${model} ${workflow} ${task}`} empty="No model served anything in these days." />;
}
