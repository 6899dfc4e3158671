// Owns runs: all that have not ended, lost and retried first; and one session's as a tree, with leases and attempts.

import { Button, clock, hueOf, nameOf, StateBadge, StopReason } from "holdfast-look";
import { ended, type RunState, type Session } from "holdfast-ai";
import { useState } from "preact/hooks";

import { type LiveRun, useConsole, usePolled } from "./console.js";
import { addressOf } from "./route.js";
import { ago } from "./sessions.js";

const POLL_MS = 1_000;

export function RunTable() {
  const operator = useConsole();
  const { data, error, refresh } = usePolled<{ runs: LiveRun[]; all: number }>("runs", POLL_MS);
  const [status, setStatus] = useState("");
  const runs = (data?.runs ?? []).filter((run) => !status || run.status === status);
  const counts = new Map<string, number>();
  for (const run of data?.runs ?? []) counts.set(run.status, (counts.get(run.status) ?? 0) + 1);
  return (
    <section class="list-page">
      <header class="bar">
        <h1>Runs</h1><span class="count">{data?.all ?? "…"}</span>
        <div class="panes" role="group" aria-label="State">{["", "running", "queued", "waiting"].map((one) => (
          <button key={one} type="button" class="quiet" aria-pressed={status === one} onClick={() => setStatus(one)}>{one || "all"} {one ? counts.get(one) ?? 0 : ""}</button>
        ))}</div>
      </header>
      {error && <p class="failure">{error.message}</p>}
      {runs.length ? (
        <table class="grid"><thead><tr><th>agent</th><th>session</th><th>state</th><th>attempt</th><th>lease</th><th>since</th><th /></tr></thead><tbody>
          {runs.map((run) => (
            <tr key={`${run.session}/${run.run}`} data-row tabIndex={0}>
              <td><b style={{ color: `hsl(${hueOf(`agent:${run.agent}`)} var(--hue-s) var(--hue-l))` }}>{run.agent}</b> <small>{run.run}{run.parent ? ` of ${run.parent}` : ""}</small></td>
              <td><a href={addressOf("session", run.session, { pane: "runs" })}>{run.title || run.session}</a></td>
              <td><StateBadge status={run.stopping ? "stopping" : run.status} /></td>
              <td>{run.attempt || 1} of {run.attempts}{run.losses ? <b class="warn"> · {run.losses} lost</b> : null}</td>
              <td><Lease left={run.lease_left_s} whole={run.lease_s} /></td>
              <td>{ago(run.queued_ms)}</td>
              <td><Button icon="stop" label="stop" kind="danger" onClick={() => void operator.perform(async () => {
                await operator.client.session(run.session).cancel({ run: run.run, force: run.stopping });
                refresh();
              }, `${run.agent} was asked to stop.`)} /></td>
            </tr>
          ))}
        </tbody></table>
      ) : <p class="nothing">{data ? "Nothing is queued, running or waiting." : "Loading …"}</p>}
    </section>
  );
}

/** How much of a lease is left: a bar, and the seconds. */
function Lease({ left, whole }: { left: number | null; whole: number }) {
  if (left === null) return <span class="hint">–</span>;
  const share = Math.max(0, Math.min(1, left / whole));
  return <span class="lease" title={`of ${whole} s`}><meter min={0} max={1} low={0.25} value={share} />{Math.max(0, left).toFixed(0)} s</span>;
}

/** A session's runs, sub-agents below their parents. Without a session it only shows. */
export function RunTree({ session, runs }: { session: Session | null; runs: readonly RunState[] }) {
  const tops = runs.filter(({ parent }) => parent === undefined || !runs.some(({ id }) => id === parent));
  if (!tops.length) return <p class="hint">No runs yet.</p>;
  return <ul class="tree">{tops.map((run) => <Branch key={run.id} run={run} runs={runs} session={session} />)}</ul>;
}

function Branch({ run, runs, session }: { run: RunState; runs: readonly RunState[]; session: Session | null }) {
  const operator = useConsole();
  const below = runs.filter(({ parent }) => parent === run.id);
  const over = ended(run);
  return (
    <li>
      <div class="branch" data-row tabIndex={0} style={{ "--hue": String(hueOf(`agent:${run.agent}`)) }}>
        <b class="agent">{run.agent.split("/").at(-1)}</b><StateBadge status={run.cancel && !over ? "stopping" : run.status} />
        <small>{[run.id, `attempt ${run.attempt || 1} of ${run.attempts}`, run.worker && !over && `held by ${nameOf(run.worker)}`, duration(run), run.error?.message].filter(Boolean).join(" · ")}</small>
        {session !== null && !over && run.parent === undefined && <Button icon="stop" label="stop" kind="danger"
          onClick={() => void operator.perform(() => session.cancel({ run: run.id, force: run.cancel !== undefined }), `${run.agent} was asked to stop.`)} />}
      </div>
      <StopReason run={run} above={runs.find(({ id }) => id === run.parent)} />
      {run.losses?.map(({ attempt, reason, ts }) => <p key={attempt} class="loss">Attempt {attempt} was lost at {clock(ts)}: {reason}.</p>)}
      {below.length > 0 && <ul>{below.map((child) => <Branch key={child.id} run={child} runs={runs} session={session} />)}</ul>}
    </li>
  );
}

const duration = ({ started_ts, ended_ts }: RunState) => (started_ts && ended_ts ? `${((ended_ts - started_ts) / 1000).toFixed(1)} s` : "");
