// The list of conversations: what is unread, what runs, what waits for somebody (SUB-8).

import { element, glyph, place, say } from "./element.js";
import { WORDS } from "./runs.js";

export class Sessions {
  constructor({ list, search, empty }, { open }) {
    Object.assign(this, { list, search, empty, open });
    this.rows = new Map();
    this.nodes = new Map();
    this.current = null;
    this.loaded = false;
    search.addEventListener("input", () => this.draw());
    list.addEventListener("keydown", (event) => this.key(event));
  }

  /** From the server: rows that changed, and those that are gone. */
  received({ rows, removed }) {
    this.loaded = true;
    for (const row of rows) this.rows.set(row.session, row);
    for (const id of removed) this.rows.delete(id);
    this.draw();
  }

  select(id) {
    this.current = id;
    this.draw();
  }

  draw() {
    const wanted = this.search.value.trim().toLowerCase();
    const shown = [...this.rows.values()]
      .filter((row) => !wanted || `${row.title} ${row.card?.last?.text ?? ""}`.toLowerCase().includes(wanted))
      .sort((one, other) => other.active_ms - one.active_ms);
    place(this.list, shown.map((row) => this.row(row)));
    this.empty.hidden = shown.length > 0;
    say(this.empty, wanted ? "Nothing found." : this.loaded ? "What you ask will be kept here." : "Loading …");
  }

  row(row) {
    if (!this.nodes.has(row.session)) this.nodes.set(row.session, this.make(row.session));
    const { node, title, preview, state, when, icon } = this.nodes.get(row.session);
    const { card = {} } = row;
    const status = card.approvals ? "waiting" : card.running ? "running" : card.queued ? "queued" : card.run ?? "completed";
    const unread = row.unread && row.session !== this.current;
    node.dataset.status = status;
    node.classList.toggle("unread", unread);
    node.setAttribute("aria-current", row.session === this.current ? "page" : "false");
    say(title, row.title || "Untitled");
    say(preview, repeats(row.title, card.last?.text ?? "") ? "" : card.last?.text ?? "");
    say(when, ago(row.active_ms));
    say(state, card.approvals ? `${card.approvals} waiting` : card.taken_by ? "taken over" : ["running", "queued", "failed", "lost"].includes(status) ? WORDS[status] : unread ? "new" : "");
    if (icon.dataset.status !== status) {
      icon.dataset.status = status;
      icon.replaceChildren(glyph(status));
    }
    return node;
  }

  make(id) {
    const parts = {
      icon: element("span.icon"), title: element("span.title"), preview: element("span.preview"),
      state: element("span.status"), when: element("time"),
    };
    parts.node = element("a.row", { href: `#/${id}`, "data-session": id, onclick: (event) => {
      if (event.metaKey || event.ctrlKey) return;
      event.preventDefault();
      this.open(id);
    } }, parts.icon, element("span.lines", {}, element("span.top", {}, parts.title, parts.when), element("span.bottom", {}, parts.preview, parts.state)));
    return parts;
  }

  key(event) {
    const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const rows = [...this.list.children];
    rows[Math.max(0, Math.min(rows.length - 1, rows.indexOf(document.activeElement) + step))]?.focus();
  }
}

/** Whether a title says the same already. */
const repeats = (title, text) => text.startsWith(title.replace(/ …$/, ""));

function ago(ms) {
  const minutes = Math.floor((Date.now() - ms) / 60_000);
  if (minutes < 1) return "now";
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h`;
  return new Date(ms).toLocaleDateString([], { day: "numeric", month: "short" });
}
