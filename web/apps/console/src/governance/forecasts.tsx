// Owns what is to be expected of a budget by the end of its window: the fan and its line, how often such ones were right, and when nobody can tell.

import { useMemo } from "preact/hooks";

import type { Account, BudgetForecast } from "./control-api.js";
import { routeOf, type Spend } from "./api.js";
import { Answered, useAnswer } from "./answer.js";
import { accountName, ppmWords } from "./budget-words.js";
import { exactUsd, Money, Unknown, usd } from "./figures.js";
import { moneyAddress } from "./frame.js";
import { dayAfter, daysFrom, shortDay } from "./period.js";
import { type Column, DataTable } from "./table.js";
import { type Line, TimeChart } from "./time-chart.js";

const HOPED = "8 of 10 are to be hoped for";

/** "the truth fell inside 41 of 52 times": beside every forecast. */
export function BackTestWords({ forecast: { back_test: test, days } }: { forecast: BudgetForecast }) {
  if (test === null) return <>Whether such forecasts are right is <Unknown why={`${days} days of history are too few to try it`} />: {days} days of history are too few to try it.</>;
  const line = test.error_ppm === null ? "" : ` P50 was off by ${ppmWords(test.error_ppm)} in the median, the straight line by ${ppmWords(test.naive_error_ppm)}.`;
  return <>Made again from past days for {test.horizon_days === 1 ? "one day" : `${test.horizon_days} days`} ahead, <b class="back-test">the truth fell inside {test.inside} of {test.n} times</b> ({HOPED}; {test.separate === 1 ? "one of them is" : `${test.separate} of them are`} independent).{line}</>;
}

/** One account's forecast. Its rows say what was spent until now. */
export function ForecastOf({ account }: { account: Account }) {
  const answer = useAnswer<{ forecasts: BudgetForecast[] }>(routeOf("budgets/forecast", [["budget", account.budget.id], ["limit", "500"]]));
  return (
    <section class="forecast" aria-label="Forecast">
      <h2>To the end of the window</h2>
      <Answered answer={answer}>{({ forecasts }) => {
        const found = forecasts.find((each) => each.account.subject === account.subject);
        if (!found) return <p class="hatched block"><b>unknown</b>: nothing was spent in this window yet, and there is no forecast of nothing.</p>;
        if (found.unknown) return <p class="hatched block"><b>unknown</b>: {found.unknown}.</p>;
        return <Fan forecast={found} account={account} />;
      }}</Answered>
    </section>
  );
}

interface FanDay { day: string; spent: number | null; p10: number | null; p50: number | null; p90: number | null; line: number | null }

function Fan({ forecast, account }: { forecast: BudgetForecast; account: Account }) {
  const { since, where, exact } = account.rows;
  const past = useAnswer<Spend>(exact ? routeOf("ledger/spend", [["since", since], ["until", forecast.today], ...where.map((each): [string, string] => ["where", each]), ["bucket", "day"], ["limit", "5000"]]) : "");
  const ready = !exact || past.data !== null || past.error !== null;
  const rows = useMemo(() => (ready ? daysOf(forecast, past.data) : []), [forecast, past.data, ready]);
  const drawn = useMemo(() => linesOf(rows, forecast), [rows]);
  const { p10_nano, p50_nano, p90_nano, naive_nano, over_ppm } = forecast;
  const amount = (name: keyof Omit<FanDay, "day">, label: string): Column<FanDay> => ({ name: `${name}_usd`, label, kind: "number", value: (row) => (row[name] === null ? null : exactUsd(row[name]!)), order: (row) => row[name] ?? -1, cell: (row) => (row[name] === null ? "–" : <Money nano={row[name]} />) });
  return (
    <>
      <dl class="figures">
        <div class="first"><dt>in the middle, by the end (P50)</dt><dd><Money nano={p50_nano} basis="forecast" /></dd></div>
        <div><dt>in eight of ten cases (P10–P90)</dt><dd>{usd(p10_nano ?? 0)} – {usd(p90_nano ?? 0)}</dd></div>
        <div><dt>straight line</dt><dd><Money nano={naive_nano} /></dd></div>
        <div><dt>more than the cap</dt><dd>{ppmWords(over_ppm)} <small>of cases</small></dd></div>
        <div><dt>from</dt><dd>{forecast.days} <small>days of history</small></dd></div>
      </dl>
      {ready && rows.length > 1 && <TimeChart days={drawn.days} lines={drawn.lines} band={BAND} split={forecast.today} label={`USD of this window by the end of each day${exact ? "" : "; what was spent by day is not known of this account"}${capShown(account.budget.cap_nano, p90_nano) ? "" : `; the cap, ${usd(account.budget.cap_nano)}, is above the plot`}`} />}
      <p class="hint"><BackTestWords forecast={forecast} /></p>
      {ready && <details><summary>The numbers of the plot, by day</summary><DataTable label="Forecast by day" file={`forecast-${forecast.account.budget.name}`} rows={rows} keyOf={({ day }) => day} empty="" columns={[
        { name: "day", label: "by the end of", kind: "wide", value: ({ day }) => day, cell: ({ day }) => shortDay(day) }, amount("spent", "spent"), amount("p10", "P10"), amount("p50", "P50"), amount("p90", "P90"), amount("line", "straight line"),
      ]} /></details>}
    </>
  );
}

const LEAST_PAST_DAYS = 28;
const BAND = [2, 3] as const; // P90 and P10 among the lines

/** The window's days: what was spent by the end of each that is past, and what is to come. */
function daysOf({ first_day, today, fan, left_days, naive_nano, account: { spent_nano } }: BudgetForecast, past: Spend | null): FanDay[] {
  const last = dayAfter(today, left_days - 1);
  const byDay = new Map(past?.groups.map(({ bucket, figures }) => [bucket, figures.billed_nano]));
  const todays = byDay.get(today) ?? 0;
  const begin = spent_nano - todays; // at the beginning of today
  const shown = dayAfter(today, -Math.max(LEAST_PAST_DAYS, 2 * left_days)); // a year's beginning would hide what is to come
  const since = !past ? today : first_day > shown ? first_day : shown;
  let sum = [...byDay].reduce((before, [day, nano]) => before + (day < since ? nano : 0), 0);
  return daysFrom(since, last).map((day) => {
    const at = day < today ? -1 : daysFrom(today, day).length - 1;
    sum += byDay.get(day) ?? 0;
    const ahead = at >= 0 ? fan[at] : undefined;
    const line = at < 0 || naive_nano === null ? null : Math.round(begin + ((naive_nano - begin) * (at + 1)) / left_days);
    return { day, spent: day > today ? null : day === today ? spent_nano : sum, p10: ahead?.[0] ?? null, p50: ahead?.[1] ?? null, p90: ahead?.[2] ?? null, line };
  });
}

/** A cap that is far above everything would press the rest onto the axis: then it is said in words. */
const capShown = (capNano: number, p90Nano: number | null): boolean => capNano <= 3 * (p90Nano ?? capNano);

/** What is to come begins where yesterday ended. */
function linesOf(rows: readonly FanDay[], { today, account, p90_nano }: BudgetForecast): { days: string[]; lines: Line[] } {
  const yesterday = dayAfter(today, -1);
  const ahead = (name: "p10" | "p50" | "p90" | "line") => rows.map((row) => (row.day === yesterday ? row.spent : row[name]));
  return {
    days: rows.map(({ day }) => day),
    lines: [
      { name: "spent", colour: "var(--ink)", values: rows.map(({ spent }) => spent) }, { name: "P50", colour: "var(--kelp)", values: ahead("p50") },
      { name: "P90", colour: "var(--kelp)", values: ahead("p90"), dash: [2, 3] }, { name: "P10", colour: "var(--kelp)", values: ahead("p10"), dash: [2, 3] },
      { name: "straight line", colour: "var(--waiting)", values: ahead("line"), dash: [6, 3] }, ...(capShown(account.budget.cap_nano, p90_nano) ? [{ name: "cap", colour: "var(--failed)", values: rows.map(() => account.budget.cap_nano), dash: [10, 4] }] : []),
    ],
  };
}

/** All forecasts: who is to pass the cap first. */
export function ForecastTable({ forecasts }: { forecasts: readonly BudgetForecast[] }) {
  const shown = forecasts.filter(({ account, unknown }, at) => !unknown || forecasts.findIndex((other) => other.unknown && other.account.budget.id === account.budget.id) === at); // of a budget's accounts of which nothing is known, one says so
  const sorted = shown.sort((one, other) => (other.over_ppm ?? -1) - (one.over_ppm ?? -1));
  const columns: Column<BudgetForecast>[] = [
    { name: "budget", label: "budget", kind: "wide", value: ({ account }) => accountName(account), cell: ({ account, unknown }) => <a href={moneyAddress("budgets", account.subject ? [["of", account.subject]] : [], account.budget.id)}>{unknown ? account.budget.name : accountName(account)}</a> },
    { name: "p50_usd", label: "P50", kind: "number", value: ({ p50_nano }) => (p50_nano === null ? null : exactUsd(p50_nano)), order: ({ p50_nano }) => p50_nano ?? -1, cell: ({ p50_nano, unknown }) => (p50_nano === null ? <Unknown why={unknown} /> : <Money nano={p50_nano} basis="forecast" />) },
    { name: "range", label: "P10 – P90", value: ({ p10_nano, p90_nano }) => (p10_nano === null ? null : `${exactUsd(p10_nano)}–${exactUsd(p90_nano!)}`), order: ({ p90_nano }) => p90_nano ?? -1, cell: ({ p10_nano, p90_nano, unknown }) => (p10_nano === null ? <small>{unknown}</small> : <>{usd(p10_nano)} – {usd(p90_nano!)}</>) },
    { name: "line_usd", label: "straight line", kind: "number", value: ({ naive_nano }) => (naive_nano === null ? null : exactUsd(naive_nano)), order: ({ naive_nano }) => naive_nano ?? -1, cell: ({ naive_nano }) => (naive_nano === null ? "–" : <Money nano={naive_nano} />) },
    { name: "cap_usd", label: "cap", kind: "number", value: ({ account }) => exactUsd(account.budget.cap_nano), order: ({ account }) => account.budget.cap_nano, cell: ({ account }) => <Money nano={account.budget.cap_nano} /> },
    { name: "over_ppm", label: "passes the cap", kind: "number", value: ({ over_ppm }) => over_ppm, cell: ({ over_ppm }) => (over_ppm === null ? <Unknown /> : `${ppmWords(over_ppm)} of cases`) },
    { name: "right", label: "the truth fell inside", value: ({ back_test }) => (back_test ? `${back_test.inside}/${back_test.n}` : null), cell: ({ back_test, unknown }) => (back_test ? `${back_test.inside} of ${back_test.n} times` : <Unknown why={unknown || "too few days of history to try it"} />) },
  ];
  return <DataTable label="Forecast to the window's end" columns={columns} rows={sorted} file="budget-forecasts" keyOf={({ account }) => accountName(account)} empty="No budget has a window that ends and something spent in it." />;
}
