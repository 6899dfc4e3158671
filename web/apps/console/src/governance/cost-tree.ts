// Owns the causes of a session's cost: rows become calls, calls belong to runs, runs to the runs that asked for them. Pure.

import type { RunState } from "holdfast-ai";

import type { LedgerRow } from "./api.js";

export interface CostCall {
  call: string;
  /** Attempts in order; all but the last were tried in vain. */
  rows: LedgerRow[];
  nano: number;
  /** Of it, attempts that gave nothing. */
  vain: number;
}

export interface CostRun {
  run: string;
  agent: string;
  calls: CostCall[];
  runs: CostRun[];
  /** Tries at the run; more than one when a worker was lost. */
  tries: number;
  /** Nano-USD: its own calls, and with all that it asked for. */
  own: number;
  all: number;
  /** Of all, what failed, was cut, or was done again by a later try. */
  vain: number;
  unpriced: number;
  estimated: number;
  from_ms: number;
  to_ms: number;
  /** Milliseconds in which no model worked for it or for what it asked for. */
  idle_ms: number;
  /** From being asked for to being begun; null where the session does not say. */
  queued_ms: number | null;
  state: RunState | null;
}

const VAIN: ReadonlySet<string> = new Set(["failed", "cut", "drained", "refused"]);
const beginOf = ({ at_ms, took_ms }: LedgerRow): number => at_ms - took_ms;

/** The runs that nobody in the session asked for, with all below them. `states`: the session's runs, where it can be read. */
export function costTree(rows: readonly LedgerRow[], states: ReadonlyMap<string, RunState>): CostRun[] {
  const runs = new Map<string, { rows: LedgerRow[]; parent: string; agent: string }>();
  for (const { id, parent, agent } of states.values()) runs.set(id, { rows: [], parent: parent ?? "", agent });
  for (const row of rows) {
    const own = runs.get(row.run) ?? { rows: [], parent: "", agent: "" };
    own.rows.push(row);
    own.parent ||= row.parent_run;
    own.agent ||= row.agent;
    runs.set(row.run, own);
  }
  for (const { parent } of [...runs.values()]) if (parent && !runs.has(parent)) runs.set(parent, { rows: [], parent: "", agent: "" });
  const below = new Map<string, string[]>();
  for (const [run, { parent }] of runs) below.set(parent, [...(below.get(parent) ?? []), run]);
  const seen = new Set<string>();
  const build = (run: string): CostRun => {
    seen.add(run);
    const children = run === "" ? [] : (below.get(run) ?? []).filter((child) => child !== "" && !seen.has(child)).map(build);
    return summed(run, runs.get(run)!, children, states.get(run) ?? null);
  };
  const tops = [...runs].filter(([, { parent }]) => parent === "").map(([run]) => build(run));
  for (const run of runs.keys()) if (!seen.has(run)) tops.push(build(run)); // a circle, which no session has
  return tops.filter(({ all, calls, runs: inside }) => all > 0 || calls.length > 0 || inside.length > 0).sort((one, other) => one.from_ms - other.from_ms);
}

function summed(run: string, { rows, agent }: { rows: LedgerRow[]; agent: string }, children: CostRun[], state: RunState | null): CostRun {
  const calls = new Map<string, LedgerRow[]>();
  for (const row of rows) calls.set(row.call, [...(calls.get(row.call) ?? []), row]);
  const lastTry = Math.max(...rows.map(({ run_attempt }) => run_attempt), 0);
  const isVain = (row: LedgerRow) => VAIN.has(row.outcome) || row.run_attempt < lastTry;
  const money = (of: readonly LedgerRow[]) => of.reduce((sum, { billed_nano }) => sum + (billed_nano ?? 0), 0);
  const found = [...calls].map(([call, attempts]): CostCall => ({ call, rows: attempts.sort((one, other) => one.number - other.number), nano: money(attempts), vain: money(attempts.filter(isVain)) }));
  found.sort((one, other) => beginOf(one.rows[0]!) - beginOf(other.rows[0]!));
  const busy = [...rows.map((row): [number, number] => [beginOf(row), row.at_ms]), ...children.map(({ from_ms, to_ms }): [number, number] => [from_ms, to_ms])].filter(([from]) => Number.isFinite(from)).sort(([one], [other]) => one - other);
  const [from_ms, to_ms] = [Math.min(...busy.map(([from]) => from)), Math.max(...busy.map(([, to]) => to))];
  const own = money(rows);
  const sum = (of: (child: CostRun) => number) => children.reduce((total, child) => total + of(child), 0);
  return {
    run, agent, calls: found, runs: children.sort((one, other) => one.from_ms - other.from_ms), tries: Math.max(1, lastTry), own, all: own + sum(({ all }) => all), vain: money(rows.filter(isVain)) + sum(({ vain }) => vain),
    unpriced: rows.filter(({ billed_nano }) => billed_nano === null).length + sum(({ unpriced }) => unpriced), estimated: rows.filter(({ basis }) => basis === "estimated").length + sum(({ estimated }) => estimated),
    from_ms, to_ms, idle_ms: gapsIn(busy) + sum(({ idle_ms }) => idle_ms), queued_ms: state?.started_ts === undefined ? null : state.started_ts - state.queued_ts, state,
  };
}

/** The time between spans, which are in the order in which they begin. */
function gapsIn(spans: readonly [number, number][]): number {
  let gaps = 0;
  let end = spans[0]?.[1] ?? 0;
  for (const [from, to] of spans) {
    gaps += Math.max(0, from - end);
    end = Math.max(end, to);
  }
  return gaps;
}
