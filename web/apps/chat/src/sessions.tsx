// Owns the list of conversations: what is unread, what runs, what waits for somebody (SUB-8).

import { Button, Glyph, nowMs, STATE_LABELS, useChanges } from "holdfast-look";
import type { SessionRow } from "holdfast-ai";
import { useState } from "preact/hooks";

import { useChat } from "./context.js";

const LABELLED_STATES: ReadonlySet<string> = new Set(["running", "queued", "failed", "lost"]);

export function SessionSidebar({ current }: { current: string | null }) {
  const chat = useChat();
  const list = chat.client.sessions();
  const [search, setSearch] = useState("");
  useChanges((changed) => list.follow(changed), [list]);
  const query = search.trim().toLowerCase();
  const rows = list.rows.filter((row) => `${row.title} ${row.card?.last?.text ?? ""}`.toLowerCase().includes(query));
  const key = (event: KeyboardEvent) => {
    const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const links = [...(event.currentTarget as HTMLElement).children] as HTMLElement[];
    links[Math.max(0, Math.min(links.length - 1, links.indexOf(document.activeElement as HTMLElement) + step))]?.focus();
  };
  return (
    <nav id="left" aria-label="Sessions">
      <header>
        <span class="wordmark"><img src="./icon.svg" alt="" width="20" height="20" />Holdfast</span>
        <Button icon="plus" label="new" kind="quiet" id="new" title="New conversation (n)" onClick={() => chat.open(null)} />
      </header>
      <label class="search">
        <Glyph name="search" />
        <input id="search" type="search" placeholder="Search" aria-label="Search sessions" autocomplete="off" value={search}
          onInput={({ currentTarget }) => setSearch(currentTarget.value)} onKeyDown={(event) => {
            if (event.key !== "Escape" || !search) return;
            event.preventDefault();
            setSearch("");
            event.currentTarget.blur();
          }} />
        <kbd aria-hidden="true">/</kbd>
      </label>
      <div id="sessions-list" onKeyDown={key}>{rows.map((row) => <Row key={row.session} row={row} current={row.session === current} />)}</div>
      {!rows.length && <p id="sessions-empty" class="hint">{query ? "Nothing found." : list.rows.length || list.fresh ? "What you ask will be kept here." : "Loading …"}</p>}
    </nav>
  );
}

function Row({ row, current }: { row: SessionRow; current: boolean }) {
  const chat = useChat();
  const { card = {} } = row;
  const status = card.approvals ? "waiting" : card.running || card.waiting ? "running" : card.queued ? "queued" : card.run ?? "completed";
  const unread = row.unread && !current;
  const preview = card.last?.text ?? "";
  const label = card.approvals ? `${card.approvals} waiting` : card.taken_by ? "taken over" : LABELLED_STATES.has(status) ? STATE_LABELS[status] : unread ? "new" : "";
  return (
    <a class={unread ? "row unread" : "row"} href={`#/${row.session}`} data-session={row.session} data-status={status} aria-current={current ? "page" : "false"}
      onClick={(event) => {
        if (event.metaKey || event.ctrlKey) return;
        event.preventDefault();
        chat.open(row.session);
      }}>
      <span class="icon"><Glyph name={status} /></span>
      <span class="lines">
        <span class="top"><span class="title">{row.title || "Untitled"}</span><time>{ago(row.active_ms)}</time></span>
        <span class="bottom"><span class="preview">{preview.startsWith(row.title.replace(/ …$/, "")) ? "" : preview}</span><span class="status">{label}</span></span>
      </span>
    </a>
  );
}

function ago(ms: number): string {
  const minutes = Math.floor((nowMs() - ms) / 60_000);
  if (minutes < 1) return "now";
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h`;
  return new Date(ms).toLocaleDateString([], { day: "numeric", month: "short" });
}
