// Owns the live table of sessions: search, and filters by agent, person and workflow.

import { Glyph, nameOf, nowMs, STATE_LABELS, useChanges } from "holdfast-look";
import type { SessionRow } from "holdfast-ai";

import { useConsole, usePolled } from "./console.js";
import { addressOf, navigate } from "./route.js";
import { VirtualList } from "./virtual.js";

const POLL_MS = 1_000;
const NO_EVENTS = Array<number>(30).fill(0); // events of each second

/** What the server tells in a row's card beyond what the chat needs. */
type Card = SessionRow["card"] & { agent?: string; labels?: Record<string, string>; people?: string[] };

export function SessionTable({ query }: { query: URLSearchParams }) {
  const operator = useConsole();
  const { client } = operator;
  const all = operator.may("admin");
  const list = client.sessions(all ? { all } : {});
  useChanges((changed) => list.follow(changed), [list]);
  const { data: active } = usePolled<{ sessions: Record<string, number[]> }>(all ? "activity" : "", POLL_MS);
  const filter = { q: query.get("q") ?? "", agent: query.get("agent") ?? "", user: query.get("user") ?? "", workflow: query.get("workflow") ?? "" };
  const set = (name: keyof typeof filter, value: string) => navigate("sessions", "", withoutEmpty({ ...filter, [name]: value }));
  const rows = list.rows.filter((row) => matches(row, filter));
  const optionsOf = (of: (card: Card) => readonly (string | undefined)[]) => [...new Set(list.rows.flatMap(({ card }) => of(card as Card)))].filter(Boolean).sort() as string[];
  return (
    <section class="list-page">
      <header class="bar">
        <h1>Sessions</h1><span class="count">{rows.length === list.rows.length ? rows.length : `${rows.length} of ${list.rows.length}`}</span>
        <Choice name="agent" value={filter.agent} options={optionsOf(({ agent }) => [agent])} choose={(value) => set("agent", value)} />
        <Choice name="person" value={filter.user} options={optionsOf(({ people }) => people ?? [])} choose={(value) => set("user", value)} />
        <Choice name="workflow" value={filter.workflow} options={optionsOf(({ labels }) => [labels?.["workflow"]])} choose={(value) => set("workflow", value)} />
        {Object.values(filter).some(Boolean) && <a class="button quiet" href="#/sessions">show all</a>}
      </header>
      {rows.length
        ? <VirtualList rows={rows} height={56} label="Sessions" row={(row) => <Row key={row.session} row={row} rate={active?.sessions[row.session] ?? NO_EVENTS} />} />
        : <p class="nothing">{!list.fresh ? "Loading …" : list.rows.length ? "No session fits. Show all, or look for something else." : all ? "No sessions yet. They appear here the moment somebody creates one." : "You take part in no session."}{!all && filter.q && operator.may("read", "some") && !/\s/.test(filter.q) && <> <a href={addressOf("session", filter.q)}>Open the session called {filter.q}</a></>}</p>}
      {!all && <p class="hint">{operator.may("read", "some") ? <>These are the sessions that you take part in. All of them are listed for who has the right <code>admin</code> over all sessions (role operator); one that you may read opens by its name in the search box, or from what it cost.</> : <>Your rights are over money and read no conversation: <a href="#/spend">what is spent</a>.</>}</p>}
    </section>
  );
}

const withoutEmpty = (fields: Record<string, string>) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value));

function matches({ session, title, card }: SessionRow, { q, agent, user, workflow }: { q: string; agent: string; user: string; workflow: string }): boolean {
  const details = card as Card;
  const words = `${session} ${title} ${details.agent ?? ""} ${Object.values(details.labels ?? {}).join(" ")} ${(details.people ?? []).join(" ")} ${details.last?.text ?? ""}`.toLowerCase();
  return (!q || q.toLowerCase().split(/\s+/).every((word) => words.includes(word))) && (!agent || details.agent === agent)
    && (!user || (details.people ?? []).includes(user)) && (!workflow || details.labels?.["workflow"] === workflow);
}

function Choice({ name, value, options, choose }: { name: string; value: string; options: string[]; choose: (value: string) => void }) {
  if (!options.length && !value) return null;
  return (
    <label class="choice"><span>{name}</span>
      <select value={value} onChange={({ currentTarget }) => choose(currentTarget.value)}>
        <option value="">any</option>{[...new Set([...options, ...(value ? [value] : [])])].map((one) => <option key={one} value={one}>{nameOf(one)}</option>)}
      </select>
    </label>
  );
}

function Row({ row, rate }: { row: SessionRow; rate: readonly number[] }) {
  const card = row.card as Card;
  const status = card.approvals ? "waiting" : card.running || card.waiting ? "running" : card.queued ? "queued" : card.run ?? "completed";
  return (
    <a class="line" data-row role="listitem" href={addressOf("session", row.session)} data-status={status}>
      <span class="icon"><Glyph name={status} /></span>
      <span class="what"><b>{row.title || row.session}</b><small>{card.last?.text ?? row.session}</small></span>
      <span class="who"><b>{card.agent ?? "–"}</b><small>{(card.people ?? []).map(nameOf).join(", ")}{card.labels?.["workflow"] ? ` · ${card.labels["workflow"]}` : ""}</small></span>
      <span class="state" data-status={status}>{card.approvals ? `${card.approvals} to approve` : card.taken_by ? "taken over" : STATE_LABELS[status]}</span>
      <Spark counts={rate} />
      <span class="num"><b>{row.tail.toLocaleString()}</b><small>events</small></span>
      <time>{ago(row.active_ms)}</time>
    </a>
  );
}

const Spark = ({ counts }: { counts: readonly number[] }) => {
  const most = Math.max(5, ...counts);
  const path = counts.map((count, at) => `M${at * 3} 20v-${count ? Math.max(1.5, (count / most) * 19).toFixed(1) : "0.6"}`).join("");
  return <svg class="spark" viewBox="0 0 90 20" role="img" aria-label={`${counts.reduce((sum, count) => sum + count, 0)} events in the last half minute`}><path d={path} /></svg>;
};

export function ago(ms: number): string {
  const seconds = Math.floor((nowMs() - ms) / 1_000);
  if (seconds < 60) return "now";
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h`;
  return new Date(ms).toLocaleDateString([], { day: "numeric", month: "short" });
}
