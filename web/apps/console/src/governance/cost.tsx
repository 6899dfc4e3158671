// Owns what one session cost and why: who asked whom, what was tried again, and where it waited.

import { Glyph, hueOf, StateBadge, useChanges } from "holdfast-look";
import type { RunState } from "holdfast-ai";
import { useMemo } from "preact/hooks";

import { useConsole } from "../console.js";
import { addressOf } from "../route.js";
import { type LedgerRow, routeOf } from "./api.js";
import { Answered, useAnswer } from "./answer.js";
import { type CostCall, type CostRun, costTree } from "./cost-tree.js";
import { exactUsd, Money, percent, short, usd } from "./figures.js";
import { MoneyFrame, moneyAddress, requestCommand } from "./frame.js";
import { inputOf, outputOf, sessionAddress, timeIn } from "./rows.js";
import { type Column, DataTable } from "./table.js";

export function CostPage({ id, query }: { id: string; query: URLSearchParams }) {
  const route = routeOf(`ledger/sessions/${encodeURIComponent(id)}`);
  const answer = useAnswer<{ rows: LedgerRow[]; more: boolean }>(route);
  return (
    <MoneyFrame page="cost" title="What one session cost" query={query} periods={false} command={() => requestCommand(route)} question="Who asked whom, what was tried again, and where did it wait?">
      {(_, { time_zone }) => <Answered answer={answer}>{({ rows, more }) => <CostOf id={id} rows={rows} more={more} zone={time_zone} />}</Answered>}
    </MoneyFrame>
  );
}

const NO_RUNS: ReadonlyMap<string, RunState> = new Map();

function CostOf({ id, rows, more, zone }: { id: string; rows: readonly LedgerRow[]; more: boolean; zone: string }) {
  const { client } = useConsole();
  const session = useMemo(() => (id.startsWith("erased:") ? null : client.session(id)), [client, id]);
  const changes = useChanges((changed) => session?.follow(changed) ?? (() => undefined), [session]);
  const readable = session !== null && session.status !== "closed";
  const states = readable ? session.view.runs : NO_RUNS;
  const tops = useMemo(() => costTree(rows, states), [rows, changes]);
  if (!rows.length) return <p class="nothing">No row of the ledger names the session {id}. What agents spend without the gateway is here once they report it.</p>;
  const all = tops.reduce((sum, run) => sum + run.all, 0);
  const vain = tops.reduce((sum, run) => sum + run.vain, 0);
  const idle = tops.reduce((sum, run) => sum + run.idle_ms, 0);
  const [from, to] = [Math.min(...tops.map(({ from_ms }) => from_ms).filter(Number.isFinite)), Math.max(...tops.map(({ to_ms }) => to_ms).filter(Number.isFinite))];
  const estimated = tops.reduce((sum, run) => sum + run.estimated, 0);
  const where: [string, string][] = [["period", `${rows[0]!.day}/${rows.at(-1)!.day}`], ["where", `session:${id}`]];
  return (
    <>
      <p class="row"><b class="session-name">{(readable && session.view.title) || id}</b>{readable ? <a class="button" href={addressOf("session", id)}>open the session</a> : <small>Its log was deleted, or this token may not read it; the rows stay.</small>}</p>
      <dl class="figures" aria-label="Totals">
        <div class="first"><dt>billed</dt><dd><Money nano={all} estimated={estimated} href={moneyAddress("rows", where)} /></dd></div>
        <div><dt>tried in vain</dt><dd><Money nano={vain} /> <small>{percent(vain, all)}</small></dd></div>
        <div><dt>from first to last call</dt><dd>{lasting(to - from)}</dd></div>
        <div><dt>no model worked</dt><dd>{lasting(idle)}</dd></div>
        <div><dt>calls</dt><dd><a href={moneyAddress("rows", where)}>{new Set(rows.map(({ call }) => call)).size.toLocaleString()}</a></dd></div>
      </dl>
      {more && <p class="filters">These are the first {rows.length.toLocaleString()} rows; the session has more.</p>}
      <section class="tree-of-cost" aria-label="Causes"><ul>{tops.map((run) => <RunCost key={run.run} run={run} from={from} to={to} whole={all} id={id} />)}</ul></section>
      <RowTable rows={rows} id={id} zone={zone} />
    </>
  );
}

/** 9 min 50 s. */
function lasting(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return `${(ms / 1_000).toFixed(1)} s`;
  return seconds < 3_600 ? `${Math.floor(seconds / 60)} min ${seconds % 60} s` : `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`;
}

function RunCost({ run, from, to, whole, id }: { run: CostRun; from: number; to: number; whole: number; id: string }) {
  const name = run.agent || (run.run ? "model" : "calls of no run");
  return (
    <li>
      <details open>
        <summary style={{ "--hue": String(hueOf(`agent:${name}`)) }}>
          <b class="agent">{name}</b>
          {run.run && (id.startsWith("erased:") ? <small>{run.run}</small> : <a href={sessionAddress({ session: id, run: run.run })}>{run.run.split("-")[0]}</a>)}
          {run.state && <StateBadge status={run.state.status} />}
          <span class="why">
            {run.tries > 1 && <span class="again"><Glyph name="again" />{run.tries} tries</span>}
            {run.vain > 0 && <span class="vain">{usd(run.vain)} in vain</span>}
            {run.queued_ms !== null && run.queued_ms >= 1_000 && <span><Glyph name="queued" />queued {lasting(run.queued_ms)}</span>}
            {run.idle_ms >= 1_000 && <span><Glyph name="waiting" />waited {lasting(run.idle_ms)}</span>}
          </span>
          <Money nano={run.all} estimated={run.estimated} />
          <small class="share-of">{percent(run.all, whole)}{run.runs.length > 0 && run.own !== run.all ? `, own ${usd(run.own)}` : ""}</small>
        </summary>
        <Lane run={run} from={from} to={to} />
        {run.calls.length > 0 && <ul class="calls">{run.calls.map((call) => <CallCost key={call.call} call={call} />)}</ul>}
        {run.runs.length > 0 && <ul>{run.runs.map((child) => <RunCost key={child.run} run={child} from={from} to={to} whole={whole} id={id} />)}</ul>}
      </details>
    </li>
  );
}

/** When its calls were, within the session. */
function Lane({ run, from, to }: { run: CostRun; from: number; to: number }) {
  const size = Math.max(1, to - from);
  const rows = run.calls.flatMap((call) => call.rows);
  return (
    <div class="when" role="img" aria-label={`${rows.length} attempts within ${lasting(size)}`}>{rows.map(({ id, at_ms, took_ms, outcome }) => (
      <i key={id} data-outcome={outcome} title={`${outcome}, ${lasting(took_ms)}`} style={{ left: `${(100 * (at_ms - took_ms - from)) / size}%`, width: `${Math.max(0.3, (100 * took_ms) / size)}%` }} />
    ))}</div>
  );
}

const CallCost = ({ call: { rows, nano } }: { call: CostCall }) => (
  <>{rows.map((row) => (
    <li key={row.id} data-outcome={row.outcome}>
      <a href={moneyAddress("row", [], row.id)}>{row.model || row.asked}</a>
      <span>{row.kind === "message" ? "" : `${row.kind.replaceAll("_", " ")} · `}{row.outcome}{row.reason ? `: ${row.reason}` : ""}{rows.length > 1 ? ` · attempt ${row.number} of ${rows.length}, ${usd(nano)} together` : ""}{row.run_attempt > 1 ? ` · try ${row.run_attempt}` : ""}</span>
      <small>{short(inputOf(row))} in, {short(outputOf(row))} out · {lasting(row.took_ms)}</small>
      <Money nano={row.billed_nano} basis={row.basis} />
    </li>
  ))}</>
);

function RowTable({ rows, id, zone }: { rows: readonly LedgerRow[]; id: string; zone: string }) {
  const time = timeIn(zone);
  const columns: Column<LedgerRow>[] = [
    { name: "at", label: "ended", value: ({ at_ms }) => new Date(at_ms).toISOString(), order: ({ at_ms }) => at_ms, cell: (row) => <a href={moneyAddress("row", [], row.id)}>{time(row.at_ms)}</a> },
    { name: "agent", label: "agent", value: ({ agent }) => agent, kind: "wide" }, { name: "run", label: "run", value: ({ run }) => run }, { name: "try", label: "try", value: ({ run_attempt }) => run_attempt, hidden: true }, { name: "asked_by_run", label: "asked by", value: ({ parent_run }) => parent_run },
    { name: "model", label: "model", value: ({ model }) => model }, { name: "outcome", label: "ended as", value: ({ outcome }) => outcome }, { name: "took_ms", label: "took", kind: "number", value: ({ took_ms }) => took_ms, cell: ({ took_ms }) => lasting(took_ms) },
    { name: "input_tokens", label: "in", kind: "number", value: inputOf, cell: (row) => inputOf(row).toLocaleString() }, { name: "output_tokens", label: "out", kind: "number", value: outputOf, cell: (row) => outputOf(row).toLocaleString() },
    { name: "billed_usd", label: "billed", kind: "number", value: ({ billed_nano }) => (billed_nano === null ? null : exactUsd(billed_nano)), order: ({ billed_nano }) => billed_nano ?? -1, cell: ({ billed_nano, basis }) => <Money nano={billed_nano} basis={basis} /> },
    { name: "basis", label: "basis", value: ({ basis }) => basis, hidden: true },
  ];
  return <DataTable label="Its rows" columns={columns} rows={rows} file={`cost-${id}`} keyOf={({ id: row }) => row} empty="" />;
}
