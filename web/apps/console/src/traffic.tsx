// Owns rates and latencies over time, drawn by uPlot, with the same numbers as a table.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import type { RequestError } from "holdfast-look";

import { type Stats, useConsole } from "./console.js";

const POLL_MS = 1_000;
const WINDOW_S = 300; // seconds
const RATES = [["events", "events"], ["deliveries", "deliveries"], ["commits", "commits"], ["runs_ended", "runs ended"]] as const;
const LINES = ["--running", "--kelp", "--waiting", "--lost"];
const LABEL_PX = 96; // from one label of time to the next
const QUANTILES = [0.5, 0.99] as const;

interface Point {
  at: number;
  rates: number[];
  /** Milliseconds, by quantile; null while nothing was committed. */
  commit: (number | null)[];
}

export default function Traffic() {
  const operator = useConsole();
  const [points, setPoints] = useState<readonly Point[]>([]);
  const [now, setNow] = useState<Stats | null>(null);
  const [error, setError] = useState<RequestError | null>(null);
  const before = useRef<Stats | null>(null);
  useEffect(() => {
    const poll = async () => {
      try {
        const stats = await operator.request<Stats>("stats");
        const last = before.current;
        before.current = stats;
        setNow(stats);
        setError(null);
        if (last) setPoints((points) => [...points, pointOf(last, stats)].slice(-WINDOW_S));
      } catch (refusal) {
        setError(refusal as RequestError);
      }
    };
    void poll();
    const timer = setInterval(() => void poll(), POLL_MS);
    return () => clearInterval(timer);
  }, [operator]);
  const times = points.map(({ at }) => at / 1_000);
  const rates = useMemo(() => [times, ...RATES.map((_, at) => points.map((point) => point.rates[at]!))] as uPlot.AlignedData, [points]);
  const latencies = useMemo(() => [times, ...QUANTILES.map((_, at) => points.map((point) => point.commit[at] ?? null))] as uPlot.AlignedData, [points]);
  const latest = points.at(-1);
  return (
    <section class="list-page traffic">
      <header class="bar"><h1>Traffic</h1><span class="count">the last {Math.round(WINDOW_S / 60)} minutes, while this page is open</span></header>
      {error && <p class="failure" role="alert">{error.message}</p>}
      <dl class="figures">{["connections", "workers", "subscriptions", "hot_sessions", "slow_readers", "leases_lost", "commit_failures", "resets"].map((name) => (
        <div key={name}><dt>{name.replace("_", " ")}</dt><dd>{now?.stats[name]?.toLocaleString() ?? "…"}</dd></div>
      ))}</dl>
      <figure><figcaption>per second</figcaption><Chart data={rates} names={RATES.map(([, words]) => words)} unit="/s" /></figure>
      <figure><figcaption>from deciding a batch to its being durable, milliseconds</figcaption><Chart data={latencies} names={["half of them within", "99 of 100 within"]} unit=" ms" /></figure>
      <details><summary>The newest numbers as a table</summary><table class="grid"><tbody>
        {RATES.map(([name, words], at) => <tr key={name}><th>{words}</th><td>{latest ? `${latest.rates[at]!.toFixed(0)}/s` : "–"}</td></tr>)}
        {QUANTILES.map((quantile, at) => <tr key={quantile}><th>commit, {quantile * 100} %</th><td>{latest?.commit[at] != null ? `${latest.commit[at]!.toFixed(1)} ms` : "–"}</td></tr>)}
      </tbody></table></details>
    </section>
  );
}

function pointOf(before: Stats, now: Stats): Point {
  const seconds = Math.max(0.001, (now.now_ms - before.now_ms) / 1_000);
  const counts = now.commit.counts.map((count, at) => count - before.commit.counts[at]!);
  return {
    at: now.now_ms, rates: RATES.map(([name]) => Math.max(0, (now.stats[name]! - before.stats[name]!) / seconds)),
    commit: QUANTILES.map((quantile) => quantileOf(counts, now.commit.bounds_s, quantile)),
  };
}

/** From a histogram, linear within a bucket; milliseconds. */
export function quantileOf(counts: readonly number[], bounds_s: readonly (number | null)[], quantile: number): number | null {
  const all = counts.reduce((sum, count) => sum + count, 0);
  if (all <= 0) return null;
  let below = 0;
  for (let at = 0; at < counts.length; at++) {
    const count = counts[at]!;
    if (below + count >= quantile * all && count > 0) {
      const from = at ? bounds_s[at - 1] ?? 0 : 0;
      const to = bounds_s[at] ?? from * 2;
      return (from + ((quantile * all - below) / count) * (to - from)) * 1_000;
    }
    below += count;
  }
  return null;
}

/** 12:03:15, in the reader's own way. */
const timeOf = (seconds: number): string => new Date(seconds * 1_000).toLocaleTimeString([], { hour: "numeric", minute: "2-digit", second: "2-digit" });

function Chart({ data, names, unit }: { data: uPlot.AlignedData; names: readonly string[]; unit: string }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  useEffect(() => {
    const style = getComputedStyle(document.documentElement); // is asked at each drawing: light and dark may change
    const colour = (name: string) => () => style.getPropertyValue(name).trim();
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
    plot.current = new uPlot({
      width: box.current!.clientWidth, height: 220, cursor: { drag: { x: false, y: false } },
      series: [{}, ...names.map((label, at) => ({ label, stroke: colour(LINES[at]!), width: 1.5, value: (_: uPlot, value: number | null) => (value === null ? "–" : `${value.toFixed(1)}${unit}`) }))],
      padding: [12, LABEL_PX / 2, 0, 0], axes: [{ ...axis, space: LABEL_PX, size: 32, values: (_: uPlot, ticks: number[]) => ticks.map(timeOf) }, { ...axis, size: 64, values: (_: uPlot, ticks: number[]) => ticks.map((tick) => `${tick.toLocaleString()}${unit}`) }],
      scales: { x: { range: (_: uPlot, __: number, newest: number) => [(newest ?? Date.now() / 1_000) - WINDOW_S, newest ?? Date.now() / 1_000] }, y: { range: (_: uPlot, __: number, most: number) => [0, Math.max(1, (most ?? 1) * 1.1)] } },
    }, data, box.current!);
    const fit = new ResizeObserver(() => plot.current?.setSize({ width: box.current!.clientWidth, height: 220 }));
    fit.observe(box.current!);
    return () => {
      fit.disconnect();
      plot.current?.destroy();
    };
  }, []);
  useEffect(() => plot.current?.setData(data), [data]);
  return <div class="chart" ref={box} />;
}
