// Owns the open connections: who reads what, who works at what, and a button that cuts.

import { Button, hueOf, nameOf } from "holdfast-look";

import { type ConnectionRow, useConsole, usePolled } from "./console.js";
import { addressOf } from "./route.js";

const POLL_MS = 1_500;
const MAX_SESSIONS = 3;

export function ConnectionTable() {
  const operator = useConsole();
  const { data, error, refresh } = usePolled<{ connections: ConnectionRow[]; all: number }>("connections", POLL_MS);
  const mine = operator.client.connection.welcome?.connection;
  const cut = (row: ConnectionRow) => operator.perform(async () => {
    await operator.request(`connections/${row.connection}`, "DELETE");
    refresh();
  }, `The connection of ${nameOf(row.actor)} was cut. It comes back by itself; no run was cancelled by that.`);
  return (
    <section class="list-page">
      <header class="bar"><h1>Connections</h1><span class="count">{data?.all ?? "…"}</span></header>
      {error && <p class="failure">{error.message}</p>}
      <table class="grid connections"><thead><tr><th>who</th><th>on</th><th>reads</th><th>works at</th><th>state</th><th /></tr></thead><tbody>
        {data?.connections.map((row) => (
          <tr key={row.connection} data-row tabIndex={0} data-connection={row.connection}>
            <td><span class="avatar" style={{ "--hue": String(hueOf(row.actor)) }}>{nameOf(row.actor).slice(0, 1)}</span> <b>{nameOf(row.actor)}</b>{row.connection === mine ? <small> this page</small> : null}</td>
            <td>{[row.surface, row.device].filter(Boolean).join(" · ") || <small>a client that says no name</small>}</td>
            <td class={row.sessions.length ? "" : "none"}>{!row.sessions.length && "–"}{row.sessions.slice(0, MAX_SESSIONS).map((id) => <a key={id} href={addressOf("session", id)} title={id}>{row.titles[id] || id}</a>)}{row.sessions.length > MAX_SESSIONS ? <small> and {row.sessions.length - MAX_SESSIONS} more</small> : null}</td>
            <td class={row.serves.length ? "" : "none"}>{row.serves.length ? <>{row.serves.join(", ")} <small>{row.runs.length} held</small></> : "–"}</td>
            <td>{row.paused ? <b class="warn">slow</b> : "open"}</td>
            <td><Button icon="scissors" label="cut" kind="danger" title="Drop it without a word, as a dead network would" onClick={() => void cut(row)} /></td>
          </tr>
        ))}
      </tbody></table>
      {data && !data.connections.length && <p class="nothing">Nobody is connected.</p>}
    </section>
  );
}
