// How each kind of item looks: one small class per kind, made once, updated in place as the fold changes it.

import { button, clock, element, glyph, hueOf, nameOf, say } from "./element.js";
import { Growing } from "./markdown.js";

const TEXT_STATUS = { open: "", complete: "", cut: "cut off here" };

/** What somebody said to the agents; can be edited, which branches the conversation (CTL-7). */
class Input {
  constructor(item, context) {
    this.context = context;
    this.text = element("div.text");
    this.who = element("span.actor");
    this.when = element("time");
    this.siblings = element("span.siblings");
    this.edit = button("edit", "edit", () => this.startEditing(), { kind: "quiet", title: "Edit and ask again (e)" });
    this.node = element("article.input", { tabindex: "-1", "data-id": item.id },
      element("header", {}, this.who, this.when, this.siblings, this.edit), this.text);
  }

  update(item) {
    this.item = item;
    const mine = item.actor === this.context.me();
    say(this.who, mine ? "you" : nameOf(item.actor));
    say(this.when, clock(item.ts));
    say(this.text, item.text);
    this.node.classList.toggle("operator", item.role === "operator");
    this.node.classList.toggle("mine", mine);
  }

  startEditing() {
    const area = element("textarea.editing", { rows: "3", "aria-label": "Edit the message" });
    area.value = this.item.text;
    const done = () => area.parentNode.replaceWith(this.text);
    const send = () => {
      if (area.value.trim()) this.context.edit(this.item, area.value);
      done();
    };
    area.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); send(); }
      if (event.key === "Escape") { event.preventDefault(); done(); }
      event.stopPropagation();
    });
    this.text.replaceWith(element("div.edit", {}, area, element("div.row", {},
      button("close", "keep as it was", done, { kind: "quiet" }), button("send", "ask again", send, { kind: "primary" }))));
    area.focus();
  }
}

/** What an agent writes, growing as it does, with the sources it cites. */
class Message {
  constructor(item) {
    this.text = element("div.text.prose");
    this.growing = new Growing(this.text);
    this.sources = element("ol.sources");
    this.note = element("p.cut-note");
    this.node = element("article.message", { "data-id": item.id }, this.text, this.sources, this.note);
    this.shown = 0;
  }

  update(item) {
    this.growing.show(item.text);
    this.node.dataset.status = item.status;
    const note = TEXT_STATUS[item.status] ?? "";
    this.note.hidden = !note;
    say(this.note, note);
    const sources = item.sources ?? [];
    if (sources.length < this.shown) this.sources.replaceChildren(), this.shown = 0;
    for (const source of sources.slice(this.shown)) this.sources.append(sourceNode(source));
    this.shown = sources.length;
    this.sources.hidden = !sources.length;
  }
}

function sourceNode({ title, uri, quote }) {
  const linked = /^https?:\/\//.test(uri ?? "");
  const place = linked
    ? element("a", { href: uri, target: "_blank", rel: "noopener noreferrer" }, uri)
    : element("span.uri", {}, uri ?? "");
  const head = [glyph("source"), element("span.title", {}, title || uri || "source"), place];
  if (!quote) return element("li", {}, element("span.source", {}, ...head));
  return element("li", {}, element("details", {}, element("summary.source", {}, ...head), element("q", {}, quote)));
}

class Reasoning {
  constructor() {
    this.text = element("div.text");
    this.title = element("span", {}, "thinking");
    this.node = element("details.reasoning", {}, element("summary", {}, this.title), this.text);
  }

  update(item) {
    say(this.title, item.status === "open" ? "thinking …" : "thought about it");
    say(this.text, item.text);
  }
}

/** A tool call: one line, with exact arguments and result a click away. */
class Tool {
  constructor() {
    this.head = element("span.name");
    this.status = element("span.status");
    this.args = element("pre");
    this.result = element("pre");
    this.node = element("details.tool", {}, element("summary", {}, glyph("tool"), this.head, this.status),
      element("h4", {}, "arguments"), this.args, element("h4", {}, "result"), this.result);
  }

  update(item) {
    const words = { open: "being written", called: "at work", done: item.error ? "failed" : "done", cut: "cut off" };
    say(this.head, item.name || "tool");
    say(this.status, words[item.status] ?? item.status);
    this.node.dataset.status = item.error ? "failed" : item.status;
    say(this.args, pretty(item.args));
    say(this.result, pretty(item.error ?? item.result ?? (item.blob ? `blob ${item.blob}` : "")));
  }
}

function pretty(value) {
  if (typeof value !== "string") return JSON.stringify(value, null, 2);
  try {
    return JSON.stringify(JSON.parse(value), null, 2);
  } catch {
    return value;
  }
}

class Step {
  constructor() {
    this.icon = element("span.icon");
    this.words = element("span");
    this.node = element("p.step", {}, this.icon, this.words);
  }

  update(item) {
    if (this.node.dataset.status === item.status) return;
    this.node.dataset.status = item.status;
    this.icon.replaceChildren(glyph({ open: "running", complete: "completed" }[item.status] ?? "cancelled"));
    say(this.words, item.status === "cut" ? `${item.name} (cut off)` : item.name);
  }
}

class Activity {
  constructor() {
    this.body = element("pre");
    this.title = element("span");
    this.node = element("details.activity", {}, element("summary", {}, this.title), this.body);
  }

  update(item) {
    say(this.title, item.name || "activity");
    say(this.body, pretty(item.content));
  }
}

/** The exact action an agent asks for, and the two answers (CTL-6). */
class Approval {
  constructor(item, context) {
    this.context = context;
    this.title = element("h3");
    this.args = element("dl.args");
    this.state = element("p.decision");
    this.yes = button("completed", "Approve", () => context.resolve(this.item, "approved"), { kind: "primary", key: "a" });
    this.no = button("close", "Deny", () => context.resolve(this.item, "denied"), { kind: "danger", key: "d" });
    this.buttons = element("div.row", {}, this.yes, this.no);
    this.node = element("article.approval", { tabindex: "-1", "data-id": item.id }, this.title, this.args, this.state, this.buttons);
    for (const [name, value] of Object.entries(item.args ?? {})) {
      const shown = typeof value === "string" ? value : JSON.stringify(value, null, 2);
      this.args.append(element("dt", {}, name), element("dd", {}, element("pre", { tabindex: "0" }, shown)));
    }
  }

  update(item) {
    this.item = item;
    const pending = item.status === "pending";
    const sending = pending && this.context.outbox().some((op) => op.op === "resolve" && op.approval === item.id);
    this.node.dataset.status = item.status;
    this.node.style.setProperty("--hue", hueOf(item.actor));
    this.title.replaceChildren(glyph(pending ? "waiting" : { approved: "completed", denied: "close" }[item.status] ?? "cancelled"),
      pending ? `${nameOf(item.actor)} wants to run ` : `${nameOf(item.actor)} asked to run `, element("code", {}, item.tool));
    say(this.state, sending ? "sending your answer …" : pending ? this.waits(item) : this.decided(item));
    this.buttons.hidden = !pending;
    this.yes.disabled = this.no.disabled = sending;
  }

  waits(item) {
    const left = new Date(item.deadline);
    return `Exactly this, and nothing else (${(item.hash ?? "").slice(0, 10)}). Without an answer it is ${item.default} on ${left.toLocaleDateString([], { day: "numeric", month: "long" })}.`;
  }

  decided(item) {
    const by = item.by === this.context.me() ? "you" : nameOf(item.by ?? "the deadline");
    if (item.status === "expired") return "Not decided: the run ended, or the deadline passed.";
    return `${item.status === "approved" ? "Approved" : "Denied"} by ${by}${item.note ? `: ${item.note}` : "."}`;
  }
}

/** Words put into a run while it works (CTL-4). */
class Steer {
  constructor(item, context) {
    this.context = context;
    this.words = element("q.text");
    this.state = element("span.status");
    this.again = button("send", "send as new", () => context.say(this.item.text), { kind: "quiet" });
    this.node = element("p.steer", { "data-id": item.id }, glyph("steer"), element("span.actor"), this.words, this.state, this.again);
  }

  update(item) {
    this.item = item;
    say(this.node.querySelector(".actor"), item.actor === this.context.me() ? "you steered" : `${nameOf(item.actor)} steered`);
    say(this.words, item.text);
    say(this.state, { pending: "on its way", delivered: "heard", dropped: "too late: the run had ended" }[item.status] ?? "");
    this.node.dataset.status = item.status;
    this.again.hidden = item.status !== "dropped";
  }
}

const KINDS = { reasoning: Reasoning, tool: Tool, step: Step, activity: Activity, approval: Approval, steer: Steer };

/** The node of an item, and how to keep it up to date. */
export function drawItem(item, context) {
  if (item.kind === "message") return item.turn === item.id ? new Input(item, context) : new Message(item);
  return new KINDS[item.kind](item, context);
}
