// The fold: how each event changes a view (PROTOCOL.md, section 6). The twin of src/holdfast/protocol/fold.py and
// view.py: both give the same canonical JSON for any events (FOLD-6), which tests/unit/page holds them to.

import { canonical } from "./canonical.js";
import { applyPatch, PatchError } from "./patch.js";

export const FOLD_VERSION = 1;
export const ENDED = new Set(["completed", "failed", "cancelled", "lost"]);
const UNSETTLED = new Set(["open", "called", "pending"]);
const STATE_BYTES = 256 << 10;
const GROWING = { message: "text", reasoning: "text", tool: "args" };

const text = (data, field) => (typeof data[field] === "string" ? data[field] : "");
const keyOf = (kind, id) => `${kind}\n${id}`;

/** Whether a value counts as "none" in a view: absent, null, or empty. */
const none = (value) => value === undefined || value === null || value === ""
  || (typeof value === "object" && Object.keys(value).length === 0);

/** Only the fields that are there. */
const some = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => !none(value)));
const pick = (data, ...fields) => some(Object.fromEntries(fields.map((field) => [field, data[field]])));
const truthy = (value) => Boolean(value) && !none(value);

/** What a person sees of one session. `apply` events in order; `export` gives the state as plain JSON. */
export class View {
  constructor() {
    this.title = "";
    this.agent = "";
    this.meta = {};
    this.state = {};
    this.items = [];
    this.runs = new Map();
    this.head = null;
    this.chosen = new Map(); // input id → the run shown as its answer
    this.branchVersion = 0;
    this.handoff = null;
    this.older = 0;
    this.byId = new Map();
    this.open = new Map();
    this.unsettled = new Map(); // run id or null → items that its end settles
    this.touched = new Set(); // items and runs changed since somebody drew them
    this.shape = 0; // changes whenever what is shown, or its order, may have changed
  }

  /** Fold one event in. False means a bad join (FOLD-3): nothing changed; ask for a snapshot. */
  apply(event) {
    const handler = Object.hasOwn(HANDLERS, event.type) ? HANDLERS[event.type] : null;
    return handler === null || handler(this, event, event.data) !== false;
  }

  /** The view as JSON data. It shares its parts with the view: encode it before the next `apply`. */
  export() {
    return {
      fold: FOLD_VERSION, title: this.title, agent: this.agent, meta: this.meta, state: this.state, items: this.items,
      runs: Object.fromEntries(this.runs),
      branch: { head: this.head, runs: Object.fromEntries(this.chosen), version: this.branchVersion },
      handoff: this.handoff, older: this.older,
    };
  }

  /** The view exported as `data`, which it takes over. Throws for another fold version (FOLD-7). */
  static load(data) {
    if (data.fold !== FOLD_VERSION) throw new Error(`view of fold version ${data.fold}; this is ${FOLD_VERSION}`);
    const view = new View();
    const { title, agent, meta, state, items, handoff, older } = data;
    Object.assign(view, { title, agent, meta, state, items, handoff, older });
    view.runs = new Map(Object.entries(data.runs));
    view.head = data.branch.head;
    view.chosen = new Map(Object.entries(data.branch.runs));
    view.branchVersion = data.branch.version;
    for (const item of items) view.index(item);
    return view;
  }

  // --- growing
  add(event, kind, id, fields) {
    const item = { kind, id, seq: event.seq, ts: event.ts, actor: event.actor, ...fields };
    if (event.run !== undefined) {
      item.run = event.run;
      if (event.attempt !== undefined) item.attempt = event.attempt;
      const run = this.runs.get(event.run);
      if (run !== undefined && "input" in run) item.turn = run.input;
    }
    this.items.push(item);
    this.index(item);
    this.shape += 1;
    return item;
  }

  index(item) {
    this.byId.set(keyOf(item.kind, item.id), item);
    this.touched.add(item);
    if (!UNSETTLED.has(item.status)) return;
    const run = item.run ?? null;
    if (!this.unsettled.has(run)) this.unsettled.set(run, []);
    this.unsettled.get(run).push(item);
    if (item.status === "open" && item.kind in GROWING) this.open.set(keyOf(item.kind, item.id), item);
  }

  find(kind, id) {
    return this.byId.get(keyOf(kind, id));
  }

  reopen(item, attempt) {
    Object.assign(item, { args: "", length: 0, status: "open" });
    if (attempt !== undefined) item.attempt = attempt;
    this.index(item);
  }

  close(kind, id, status) {
    const item = this.open.get(keyOf(kind, id));
    if (item === undefined) return;
    this.open.delete(keyOf(kind, id));
    item.status = status;
    this.touched.add(item);
  }

  /** The run ended, or an attempt was lost: nothing of it stays open (FOLD-4). */
  settle(run, pending) {
    const left = [];
    for (const item of this.unsettled.get(run) ?? []) {
      this.touched.add(item);
      if (item.status === "open" || item.status === "called") {
        this.close(item.kind, item.id, "cut");
        item.status = "cut";
      } else if (item.status === "pending" && pending) {
        item.status = item.kind === "approval" ? "expired" : "dropped";
      } else if (item.status === "pending") {
        left.push(item);
      }
    }
    if (left.length) this.unsettled.set(run, left);
    else this.unsettled.delete(run);
  }
}

// --- texts
const startText = (kind, fields) => (view, event, data) => {
  const id = text(data, "messageId");
  if (id && !view.find(kind, id)) view.add(event, kind, id, { ...fields(data), text: "", length: 0, status: "open" });
};

function startTool(view, event, data) {
  const id = text(data, "toolCallId");
  const tool = view.find("tool", id);
  if (tool !== undefined && tool.status === "cut") { // a later attempt makes the call again (RUN-4)
    view.reopen(tool, event.attempt);
  } else if (id && tool === undefined) {
    const fields = { name: text(data, "toolCallName"), args: "", length: 0, status: "open" };
    view.add(event, "tool", id, { ...fields, ...some({ message: data.parentMessageId }) });
  }
}

const delta = (kind, field) => (view, event, data) => {
  const item = typeof data[field] === "string" ? view.open.get(keyOf(kind, data[field])) : undefined;
  if (item === undefined) return true;
  if (event.offset !== undefined && event.offset !== item.length) return false;
  if (typeof data.delta === "string") {
    item[GROWING[kind]] += data.delta;
    item.length += data.delta.length;
    view.touched.add(item);
  }
  return true;
};

const close = (kind, field, status) => (view, event, data) => view.close(kind, text(data, field), status);

function toolResult(view, event, data) {
  const id = text(data, "toolCallId");
  view.close("tool", id, "called");
  const tool = view.find("tool", id);
  if (tool === undefined || tool.status === "done") return;
  tool.status = "done";
  for (const [field, value] of [["result", data.content], ["error", data.error], ["blob", data.blob]]) {
    if (value !== undefined && value !== null) tool[field] = value;
  }
  view.touched.add(tool);
}

function source(view, event, data) {
  const message = view.find("message", text(data, "messageId"));
  if (message === undefined) return;
  (message.sources ??= []).push(pick(data, "sourceId", "title", "uri", "quote", "score"));
  view.touched.add(message);
}

// --- steps, activity, state
function stepStarted(view, event, data) {
  const name = text(data, "stepName");
  view.add(event, "step", `step:${name}:${event.seq}`, { name, status: "open" });
}

function stepFinished(view, event, data) {
  const name = text(data, "stepName");
  const item = (view.unsettled.get(event.run ?? null) ?? [])
    .findLast((known) => known.kind === "step" && known.name === name && known.status === "open");
  if (item === undefined) return;
  item.status = "complete";
  view.touched.add(item);
}

function activitySnapshot(view, event, data) {
  const id = text(data, "messageId");
  const item = view.find("activity", id);
  const content = data.content ?? null;
  if (item === undefined && id) {
    view.add(event, "activity", id, { name: text(data, "activityType"), content });
  } else if (item !== undefined && data.replace !== false) {
    item.content = content;
    view.touched.add(item);
  }
}

function activityDelta(view, event, data) {
  const item = view.find("activity", text(data, "messageId"));
  if (item === undefined) return;
  item.content = patched(item.content, data.patch);
  view.touched.add(item);
}

/** The document patched, or as it was when the patch does not fit or would outgrow its bound. */
function patched(document, patch) {
  try {
    const changed = applyPatch(document, patch);
    return new TextEncoder().encode(canonical(changed)).length <= STATE_BYTES ? changed : document;
  } catch (error) {
    if (error instanceof PatchError) return document;
    throw error;
  }
}

// --- people
function input(view, event, data) {
  const id = text(data, "messageId");
  if (!id || view.find("message", id)) return;
  const said = text(data, "text");
  const role = text(data, "role") || "user";
  const optional = pick(data, "parent", "edits", "agent", "attachments");
  const fields = { role, text: said, length: said.length, status: "complete", turn: id, ...optional };
  view.add(event, "message", id, fields);
  view.head = id;
  view.branchVersion += 1;
}

function steer(view, event, data) {
  const id = text(data, "steerId");
  if (id && !view.find("steer", id)) view.add(event, "steer", id, { text: text(data, "text"), status: "pending" });
}

const steerSettled = (status) => (view, event, data) => {
  const item = view.find("steer", text(data, "steerId"));
  if (item === undefined || item.status !== "pending") return;
  item.status = status;
  view.touched.add(item);
};

function branch(view, event, data) {
  if (typeof data.input === "string") view.head = data.input;
  const run = typeof data.run === "string" ? view.runs.get(data.run) : undefined;
  if (run !== undefined && "input" in run) view.chosen.set(run.input, run.id);
  view.branchVersion += 1;
  view.shape += 1;
}

function handoff(view, event) {
  view.handoff = event.type === "handoff.taken" ? { by: event.actor, ts: event.ts } : null;
  view.shape += 1;
}

function created(view, event, data) {
  view.title = text(data, "title");
  view.agent = text(data, "agent");
  view.meta = truthy(data.meta) ? data.meta : {};
  view.shape += 1;
}

function renamed(view, event, data) {
  view.title = text(data, "title");
  view.shape += 1;
}

// --- approvals
function approval(view, event, data) {
  const id = text(data, "approvalId");
  if (!id || view.find("approval", id)) return;
  const fields = ["tool", "args", "hash", "deadline", "default"].map((field) => [field, data[field] ?? null]);
  view.add(event, "approval", id, { status: "pending", ...Object.fromEntries(fields) });
}

function approvalSettled(view, event, data) {
  const item = view.find("approval", text(data, "approvalId"));
  if (item === undefined || item.status !== "pending") return;
  const decision = text(data, "decision");
  item.status = event.type === "approval.expired" ? "expired" : decision;
  Object.assign(item, some({ decision, by: data.by, note: data.note }));
  view.touched.add(item);
}

// --- runs
function queued(view, event, data) {
  const known = view.runs.get(event.run);
  if (known !== undefined) { // queued again: a wait is over
    known.status = "queued";
    known.version += 1;
    view.touched.add(known);
    return;
  }
  if (!event.run) return;
  const optional = pick(data, "name", "input", "parent", "after");
  const run = {
    id: event.run, seq: event.seq, agent: text(data, "agent"), status: "queued", attempt: 0,
    attempts: data.attempts === undefined ? 1 : data.attempts, version: 1, queued_ts: event.ts, by: event.actor,
    ...optional,
  };
  view.runs.set(event.run, run);
  if (!("parent" in optional) && "input" in optional) view.chosen.delete(optional.input); // a new answer is shown
  view.touched.add(run);
  view.shape += 1;
}

/** A handler that changes a known run and counts its version. */
const changes = (change) => (view, event, data) => {
  const run = view.runs.get(event.run);
  if (run === undefined) return;
  change(view, event, run, data);
  run.version += 1;
  view.touched.add(run);
};

function started(view, event, run, data) {
  const attempt = data.generation === undefined ? 1 : data.generation;
  Object.assign(run, { status: "running", attempt, worker: text(data, "worker") });
  if (!("started_ts" in run)) run.started_ts = event.ts;
}

function waiting(view, event, run) {
  run.status = "waiting";
  view.settle(run.id, false);
}

function lost(view, event, run, data) {
  const attempt = data.generation === undefined ? 0 : data.generation;
  (run.losses ??= []).push({ attempt, reason: text(data, "reason"), ts: event.ts });
  run.status = "queued";
  view.settle(run.id, false);
}

function ended(view, event, run, data) {
  Object.assign(run, { status: text(data, "status"), ended_ts: event.ts, ...some({ error: data.error }) });
  view.settle(run.id, true);
}

function cancelRequested(view, event, data) {
  for (const id of Array.isArray(data.runs) ? data.runs : []) {
    const run = view.runs.get(id);
    if (run === undefined || ENDED.has(run.status)) continue;
    const receipts = run.cancel ?? { delivered: false, effective: false };
    run.cancel = { ...receipts, by: event.actor, ts: event.ts, force: truthy(data.force) };
    run.version += 1;
    view.touched.add(run);
  }
}

const receipt = (field) => (view, event, run) => {
  if ("cancel" in run) run.cancel[field] = true;
};

const HANDLERS = {
  TEXT_MESSAGE_START: startText("message", (data) => ({
    role: text(data, "role") || "assistant", ...some({ name: data.name }),
  })),
  TEXT_MESSAGE_CONTENT: delta("message", "messageId"),
  TEXT_MESSAGE_END: close("message", "messageId", "complete"),
  REASONING_MESSAGE_START: startText("reasoning", () => ({})),
  REASONING_MESSAGE_CONTENT: delta("reasoning", "messageId"),
  REASONING_MESSAGE_END: close("reasoning", "messageId", "complete"),
  TOOL_CALL_START: startTool,
  TOOL_CALL_ARGS: delta("tool", "toolCallId"),
  TOOL_CALL_END: close("tool", "toolCallId", "called"),
  TOOL_CALL_RESULT: toolResult,
  "source.cited": source,
  STEP_STARTED: stepStarted,
  STEP_FINISHED: stepFinished,
  ACTIVITY_SNAPSHOT: activitySnapshot,
  ACTIVITY_DELTA: activityDelta,
  STATE_SNAPSHOT: (view, event, data) => { view.state = data.snapshot ?? null; },
  STATE_DELTA: (view, event, data) => { view.state = patched(view.state, data.delta); },
  "input.message": input,
  "input.steer": steer,
  "steer.delivered": steerSettled("delivered"),
  "steer.dropped": steerSettled("dropped"),
  "branch.selected": branch,
  "handoff.taken": handoff,
  "handoff.returned": handoff,
  "session.created": created,
  "session.renamed": renamed,
  "approval.requested": approval,
  "approval.resolved": approvalSettled,
  "approval.expired": approvalSettled,
  "run.queued": queued,
  "run.started": changes(started),
  "run.waiting": changes(waiting),
  "run.attempt_lost": changes(lost),
  "run.ended": changes(ended),
  "cancel.requested": cancelRequested,
  "cancel.delivered": changes(receipt("delivered")),
  "cancel.effective": changes(receipt("effective")),
};
