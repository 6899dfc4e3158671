// The conversation: turns in order, answers below them, sub-agents side by side, and a tail that is followed only while
// somebody is at it. Streaming touches nothing but the text that grows; the arrangement is redone when it changes.

import { answersOf, newestLeaf, siblingInputs, siblingRuns, visible } from "./branch.js";
import { element, place, say } from "./element.js";
import { drawItem } from "./items.js";
import { RunBlock, siblings } from "./runs.js";

const TAIL_PX = 40;
const OLDER_PX = 300;

export class Conversation {
  constructor({ scroller, list, below, empty }, context) {
    Object.assign(this, { scroller, list, below, empty, context });
    this.following = true;
    this.reset(null);
    scroller.addEventListener("scroll", () => this.scrolled(), { passive: true });
    below.addEventListener("click", () => this.toTail());
    const repin = new ResizeObserver(() => this.following && this.list.childElementCount > 0 && this.pin());
    repin.observe(scroller);
    repin.observe(list);
  }

  /** Show another session. */
  reset(session) {
    this.session = session;
    this.drawn = null;
    this.shape = -1;
    this.past = { items: [], runs: new Map(), older: null };
    this.fetching = false;
    this.nodes = new Map(); // key → {node, update}
    this.following = true;
    this.list.replaceChildren();
    this.below.hidden = true;
  }

  // --- drawing, once a frame
  draw() {
    const { session } = this;
    this.empty.hidden = session !== null && (session.view.items.length > 0 || this.sending().length > 0);
    if (session === null) return;
    const { view } = session;
    if (view !== this.drawn) this.adopt(view);
    const touched = view.touched;
    view.touched = new Set();
    const arrange = view.shape !== this.shape || this.outboxChanged || [...touched].some((thing) => thing.kind === undefined);
    if (!arrange && touched.size === 0) return;
    const stuck = this.cardsAtTail();
    for (const item of touched) this.nodes.get(`${item.kind}:${item.id}`)?.update(item);
    if (arrange) this.arrange(view);
    for (const card of stuck) card.scrollTop = card.scrollHeight;
    if (this.following) this.pin();
    else if (touched.size) this.newBelow();
  }

  adopt(view) {
    this.drawn = view;
    this.shape = -1;
    this.past = { items: [], runs: new Map(), older: null }; // pages are counted from the view they belong to
  }

  /** Everything known: pages fetched from history, then the view. */
  known(view) {
    if (!this.past.items.length) return { items: view.items, runs: view.runs };
    return { items: [...this.past.items, ...view.items], runs: new Map([...this.past.runs, ...view.runs]) };
  }

  arrange(view) {
    this.shape = view.shape;
    this.outboxChanged = false;
    const { items, runs } = this.known(view);
    const answers = answersOf(runs, view.chosen);
    const shown = visible(items, runs, view.head, view.chosen);
    const byRun = new Map();
    const turns = [];
    for (const item of shown) {
      if (item.kind === "message" && item.turn === item.id) turns.push(item);
      else if (item.run === undefined) turns.push(item);
      else (byRun.get(item.run) ?? byRun.set(item.run, []).get(item.run)).push(item);
    }
    const children = new Map();
    for (const run of runs.values()) {
      if (run.parent !== undefined) (children.get(run.parent) ?? children.set(run.parent, []).get(run.parent)).push(run);
    }
    const parts = [];
    for (const item of turns) {
      parts.push(this.item(item));
      const answer = item.turn === item.id ? runs.get(answers.get(item.id)) : undefined;
      if (answer !== undefined) parts.push(this.run(answer, byRun, children, runs));
      if (item.turn === item.id) this.switchers(item, answer, items, runs);
    }
    place(this.list, [...parts, ...this.sending()]);
  }

  item(item) {
    const key = `${item.kind}:${item.id}`;
    if (!this.nodes.has(key)) this.nodes.set(key, drawItem(item, this.context));
    const drawn = this.nodes.get(key);
    drawn.update(item);
    return drawn.node;
  }

  run(run, byRun, children, runs, sub = false) {
    const key = `run:${run.id}`;
    if (!this.nodes.has(key)) this.nodes.set(key, new RunBlock(run, this.context, sub));
    const block = this.nodes.get(key);
    block.run = run;
    const lost = new Set((run.losses ?? []).map(({ attempt }) => attempt));
    const parts = (byRun.get(run.id) ?? []).map((item) => {
      const node = this.item(item);
      node.classList.toggle("superseded", lost.has(item.attempt) && item.status === "cut");
      return { at: item.ts, seq: item.seq, node };
    });
    const below = children.get(run.id) ?? [];
    const lastLoss = run.losses?.at(-1)?.ts ?? 0;
    for (const child of below) {
      const node = this.run(child, byRun, children, runs, true);
      if (child.queued_ts <= lastLoss) this.nodes.get(`run:${child.id}`).supersede();
      parts.push({ at: child.queued_ts, seq: child.seq, child, node });
    }
    (run.losses ?? []).forEach((loss, number) => {
      const after = parts.filter((part) => part.at <= loss.ts).reduce((most, part) => Math.max(most, part.seq), run.seq);
      parts.push({ at: loss.ts, seq: after + 0.5, node: block.lossNode(number) });
    });
    parts.sort((one, other) => one.seq - other.seq);
    block.update(run, this.sideBySide(run, parts), sub ? progressOf(byRun.get(run.id) ?? []) : searchers(below.filter((child) => child.queued_ts > lastLoss)));
    return block.node;
  }

  /** Neighbouring sub-runs share a row. */
  sideBySide(run, parts) {
    const placed = [];
    const rows = [];
    let row = null;
    for (const { child, node } of parts) {
      if (child === undefined) {
        row = null;
        placed.push(node);
        continue;
      }
      if (row === null) {
        const key = `row:${run.id}:${child.id}`;
        if (!this.nodes.has(key)) this.nodes.set(key, { node: element("div.side-by-side"), cards: [] });
        row = this.nodes.get(key);
        row.cards = [];
        rows.push(row);
        placed.push(row.node);
      }
      row.cards.push(node);
    }
    for (const { node, cards } of rows) place(node, cards);
    return placed;
  }

  switchers(input, answer, items, runs) {
    const { select } = this.context;
    const inputs = siblingInputs(items, input);
    const drawn = this.nodes.get(`message:${input.id}`);
    siblings(drawn.siblings, inputs, input, (other) => select({ input: newestLeaf(items, other.id) }));
    if (answer === undefined) return;
    const block = this.nodes.get(`run:${answer.id}`);
    siblings(block.siblings, siblingRuns(runs, input.id), answer, (other) => select({ run: other.id }));
  }

  /** What was said and has no answer from the server yet. */
  sending() {
    const { session } = this;
    if (session === null) return [];
    return this.context.outbox()
      .filter((op) => op.session === session.id && ["send", "interrupt", "steer"].includes(op.op))
      .filter((op) => session.view.find("message", op.key) === undefined)
      .map((op) => {
        const key = `sending:${op.key}`;
        if (!this.nodes.has(key)) {
          const node = element("article.input.mine.sending", {}, element("header", {}, element("span.actor", {}, "you"), element("span.status", {}, "sending …")), element("div.text", {}, op.text));
          this.nodes.set(key, { node, update() {} });
        }
        return this.nodes.get(key).node;
      });
  }

  // --- the tail
  scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    this.following = scrollHeight - scrollTop - clientHeight < TAIL_PX;
    if (this.following) this.below.hidden = true;
    if (scrollTop < OLDER_PX) this.fetchOlder();
  }

  newBelow() {
    this.scrolled(); // there may be nothing below: what is shown can have become shorter
    this.below.hidden = this.following;
  }

  pin() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.below.hidden = true;
  }

  toTail() {
    this.following = true;
    this.pin();
  }

  cardsAtTail() {
    return [...this.list.querySelectorAll('.run.sub[data-status="running"] > .scroll')]
      .filter((card) => card.scrollHeight - card.scrollTop - card.clientHeight < TAIL_PX);
  }

  // --- older pages (SUB-5)
  async fetchOlder() {
    const { session } = this;
    const page = this.past.older ?? session?.view.older ?? 0;
    if (this.fetching || session === null || page === 0) return;
    this.fetching = true;
    try {
      const answer = await session.history(page);
      if (this.session !== session) return;
      const before = this.scroller.scrollHeight - this.scroller.scrollTop;
      this.past.items.unshift(...answer.page.items);
      this.past.runs = new Map([...Object.entries(answer.page.runs), ...this.past.runs]);
      this.past.older = answer.older;
      this.arrange(session.view);
      this.scroller.scrollTop = this.scroller.scrollHeight - before;
    } catch { // the next scroll asks again
    } finally {
      this.fetching = false;
    }
  }

  // --- the keyboard
  /** Move the focus by one turn or answer. */
  move(step) {
    const stops = [...this.list.querySelectorAll(":scope > article, :scope > section")];
    const at = stops.indexOf(document.activeElement?.closest?.("#list > *"));
    const next = stops[at < 0 ? (step > 0 ? stops.length - 1 : 0) : Math.min(stops.length - 1, Math.max(0, at + step))];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  }

  /** The approval that waits: the one in focus, else the newest. */
  waiting() {
    const pending = [...this.list.querySelectorAll('.approval[data-status="pending"]')];
    return pending.find((node) => node.contains(document.activeElement)) ?? pending.at(-1) ?? null;
  }
}

function progressOf(items) {
  const sources = items.reduce((count, item) => count + (item.sources?.length ?? 0), 0);
  return sources ? `${sources} source${sources === 1 ? "" : "s"}` : "";
}

function searchers(children) {
  const working = children.filter((run) => run.status === "running").length;
  if (!children.length) return "";
  return working ? `${working} of ${children.length} sub-agents at work` : "";
}
