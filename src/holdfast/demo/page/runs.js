// A run as people see it: who works, in what state, what became of each attempt, and its sub-agents below it.

import { button, clock, element, glyph, hueOf, place, say } from "./element.js";
import { ENDED } from "./fold.js";

export const WORDS = {
  queued: "queued", running: "running", waiting: "waiting for you", completed: "completed", failed: "failed",
  cancelled: "stopped", lost: "lost",
};

const LOSSES = { "lease expired": "its worker fell silent", "worker left": "its worker went away" };

/** A run's glyph and word; never colour alone. */
export class State {
  constructor() {
    this.icon = element("span.icon");
    this.word = element("span.word");
    this.node = element("span.state", {}, this.icon, this.word);
  }

  update(run) {
    const stopping = run.cancel !== undefined && !ENDED.has(run.status);
    const status = stopping ? "stopping" : run.status;
    if (this.node.dataset.status === status) return;
    this.node.dataset.status = status;
    this.icon.replaceChildren(glyph(stopping ? "cancelled" : run.status));
    say(this.word, stopping ? "stopping" : WORDS[run.status] ?? run.status);
  }
}

/** Everything one run shows. `parts` go into the body: items, groups of sub-runs, notes. */
export class RunBlock {
  constructor(run, context, sub) {
    this.context = context;
    this.sub = sub;
    this.folded = false;
    this.state = new State();
    this.facts = element("span.facts");
    this.progress = element("span.progress");
    this.siblings = element("span.siblings");
    this.body = element(sub ? "div.body.scroll" : "div.body", sub ? { tabindex: "0" } : {});
    this.error = element("p.failure");
    this.losses = [];
    const name = element("span.agent", {}, run.agent.split("/").at(-1));
    const fold = sub ? button("fold", "fold", () => this.fold(), { kind: "quiet", "aria-expanded": "true", title: "Fold to one line" }) : null;
    this.foldButton = fold;
    this.actions = sub ? null : element("footer.actions", {},
      button("again", "answer again", () => context.regenerate(this.run), { kind: "quiet" }),
      button("copy", "copy", (event) => context.copy(this.run, event.currentTarget), { kind: "quiet" }));
    this.node = element(`section.run.${sub ? "sub" : "root"}`, { "data-run": run.id, tabindex: sub ? null : "-1", "aria-label": `${run.agent}, run ${run.id}` },
      element("header", {}, name, this.state.node, this.facts, this.progress, this.siblings, fold), this.body, this.error, this.actions);
    this.node.style.setProperty("--hue", hueOf(`agent:${run.agent}`));
  }

  fold() {
    this.folded = !this.folded;
    this.node.classList.toggle("folded", this.folded);
    this.foldButton.setAttribute("aria-expanded", String(!this.folded));
  }

  /** Of an attempt that was lost: folded once, and left to whoever wants to look. */
  supersede() {
    if (this.node.classList.contains("superseded")) return;
    this.node.classList.add("superseded");
    if (!this.folded) this.fold();
  }

  update(run, parts, progress) {
    this.run = run;
    this.node.dataset.status = run.status;
    this.state.update(run);
    say(this.facts, facts(run));
    say(this.progress, progress);
    this.error.hidden = !run.error;
    if (run.error) say(this.error, `${run.error.message || run.error.code}`);
    if (this.actions) this.actions.hidden = !ENDED.has(run.status);
    place(this.body, parts);
  }

  /** One line per attempt that was lost; made once, placed by the caller. */
  lossNode(number) {
    const loss = this.run?.losses?.[number] ?? null;
    this.losses[number] ??= element("p.loss");
    const node = this.losses[number];
    if (loss !== null && node.childNodes.length === 0) {
      node.append(glyph("lost"), `Attempt ${loss.attempt} was lost at ${clock(loss.ts)}: ${LOSSES[loss.reason] ?? loss.reason}.`);
    }
    return node;
  }
}

function facts(run) {
  const parts = [];
  if (run.losses?.length) parts.push(`attempt ${Math.max(run.attempt, run.losses.length)} of ${run.attempts}`);
  if (run.status === "queued") parts.push(run.losses?.length ? "waits for a worker to try again" : "waits for a worker");
  if (run.cancel && !ENDED.has(run.status)) parts.push(run.cancel.delivered ? "the agent has heard" : "telling the agent");
  if (run.cancel && run.status === "cancelled" && !run.cancel.delivered && run.started_ts) parts.push("ended for it: the agent did not answer");
  if (run.status === "completed" && run.started_ts && run.ended_ts) parts.push(`${((run.ended_ts - run.started_ts) / 1000).toFixed(1)} s`);
  return parts.join(" · ");
}

/** The switcher between versions: ‹ 2 / 3 ›. */
export function siblings(node, all, current, choose) {
  const at = all.indexOf(current);
  const wanted = all.length > 1 ? `${at}/${all.length}` : "";
  if (node.dataset.at === wanted) return;
  node.dataset.at = wanted;
  node.replaceChildren(...(all.length < 2 ? [] : [
    button("left", "version before", () => choose(all[at - 1]), { kind: "icon", disabled: at <= 0 }),
    element("span.count", {}, `${at + 1} / ${all.length}`),
    button("right", "version after", () => choose(all[at + 1]), { kind: "icon", disabled: at >= all.length - 1 }),
  ]));
}
