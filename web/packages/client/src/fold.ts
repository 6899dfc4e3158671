// Owns how each event changes a view (PROTOCOL.md, section 6): one handler a type; types not in the table are skipped
// (FOLD-1). The twin of src/holdfast/protocol/fold.py: both give byte-equal canonical JSON (FOLD-6).

import { canonical } from "./canonical.js";
import { applyPatch, PatchError } from "./patch.js";
import type { Item, RunState, SessionEvent } from "./protocol.js";
import type { Entry, View } from "./view.js";

export { applyPatch, canonical, PatchError };

type Data = SessionEvent["data"];
/** Returns false for a bad join: nothing was changed. */
type Handler = (view: View, event: SessionEvent, data: Data) => unknown;
type Kind = Item["kind"];

/** Fold one event in. False means a bad join (FOLD-3): nothing changed; a snapshot is needed. */
export function apply(view: View, event: SessionEvent): boolean {
  view.version++;
  const handler = Object.hasOwn(HANDLERS, event.type) ? HANDLERS[event.type] : undefined;
  return handler?.(view, event, event.data) !== false;
}

// --- growing
const keyOf = (kind: string, id: unknown): string => `${kind}\n${String(id)}`; // as view.ts indexes items

function add(view: View, event: SessionEvent, kind: Kind, id: string, fields: Entry): void {
  const item: Entry = { kind, id, seq: event.seq, ts: event.ts, actor: event.actor, ...fields };
  if (event.run !== undefined) {
    item["run"] = event.run;
    if (event.attempt !== undefined) item["attempt"] = event.attempt;
    const run = view.runs.get(event.run);
    if (run?.input !== undefined) item["turn"] = run.input;
  }
  view.items.push(item as Item);
  view.index(item);
  view.shape++;
}

/** An open text is complete. */
function closeText(view: View, kind: string, id: string, status: string, wasKept = false): void {
  const item = view.open.get(keyOf(kind, id));
  if (!item) return;
  view.open.delete(keyOf(kind, id));
  item["status"] = status;
  if (wasKept) item["kept"] = true;
  view.touch(item);
}

/** The run ended (`pending`), waits, or lost an attempt: nothing of it stays open (FOLD-4), but a call asked about and not made since. */
function closeUnfinished(view: View, run: string, pending: boolean): void {
  const remaining: Entry[] = [];
  for (const item of view.unfinished.get(run) ?? []) {
    view.touch(item);
    if (!pending && item["status"] === "called" && ("approval" in item || "paused" in item)) {
      remaining.push(item);
    } else if (item["status"] === "open" || item["status"] === "called") {
      closeText(view, item["kind"], item["id"], "cut");
      item["status"] = "cut";
    } else if (item["status"] === "pending") {
      if (pending) item["status"] = item["kind"] === "approval" ? "expired" : "dropped";
      else remaining.push(item);
    }
  }
  if (remaining.length) view.unfinished.set(run, remaining);
  else view.unfinished.delete(run);
}

const stringField = (data: Data, field: string): string => {
  const value = data[field];
  return typeof value === "string" ? value : "";
};

/** Whether a value counts as "none" in a view: absent, null, or empty. */
const isEmpty = (value: unknown): boolean =>
  value === undefined || value === null || value === "" || (typeof value === "object" && !Object.keys(value).length);

/** Only the fields that are there. */
const withoutEmpty = (fields: Entry): Entry => Object.fromEntries(Object.entries(fields).filter(([, value]) => !isEmpty(value)));
const pick = (data: Data, ...fields: string[]): Entry =>
  withoutEmpty(Object.fromEntries(fields.map((field) => [field, data[field]])));

// --- texts
const startText = (kind: Kind, fields: (data: Data) => Entry): Handler => (view, event, data) => {
  const id = stringField(data, "messageId");
  if (id && !view.find(kind, id)) add(view, event, kind, id, { ...fields(data), text: "", length: 0, status: "open" });
};

const startTool: Handler = (view, event, data) => {
  const id = stringField(data, "toolCallId");
  const tool = view.find("tool", id);
  if (tool?.status === "cut" || tool?.status === "called") { // made again: by a later attempt, or allowed now (RUN-4)
    delete tool.approval;
    delete tool.paused;
    const unfinished = view.unfinished.get(tool.run ?? null);
    if (unfinished) view.unfinished.set(tool.run ?? null, unfinished.filter((item) => item !== tool));
    Object.assign(tool, { args: "", length: 0, status: "open" }, event.attempt === undefined ? {} : { attempt: event.attempt });
    view.index(tool);
  } else if (id && !tool) {
    const fields = { name: stringField(data, "toolCallName"), args: "", length: 0, status: "open" };
    add(view, event, "tool", id, { ...fields, ...withoutEmpty({ message: data["parentMessageId"] }) });
  }
};

/** A delta: the kind of item it grows, the field that names it, and the text that grows. */
const grow = (kind: string, field: string, target = "text"): Handler => (view, event, data) => {
  const item = typeof data[field] === "string" ? view.open.get(keyOf(kind, data[field])) : undefined;
  if (!item) return true;
  if (event.offset !== undefined && event.offset !== item["length"]) return false;
  const { delta } = data;
  if (typeof delta === "string") {
    item[target] += delta;
    item["length"] += delta.length;
    view.touch(item);
  }
  return true;
};

const close = (kind: string, field: string, status: string): Handler => (view, _, data) =>
  closeText(view, kind, stringField(data, field), status, data["kept"] === true);

const toolResult: Handler = (view, _, data) => {
  const id = stringField(data, "toolCallId");
  closeText(view, "tool", id, "called");
  const tool = view.find("tool", id);
  if (!tool || tool.status === "done") return;
  tool.status = "done";
  for (const [field, from] of [["result", "content"], ["error", "error"], ["blob", "blob"]] as const) {
    if (data[from] !== undefined && data[from] !== null) tool[field] = data[from];
  }
  view.touch(tool);
};

const sourceCited: Handler = (view, _, data) => {
  const message = view.find("message", stringField(data, "messageId"));
  if (!message) return;
  view.shape++; // how many there are is shown beside the run
  (message.sources ??= []).push(pick(data, "sourceId", "title", "uri", "quote", "score"));
  view.touch(message);
};

// --- steps, activity, state
const stepStarted: Handler = (view, event, data) => {
  const name = stringField(data, "stepName");
  add(view, event, "step", `step:${name}:${event.seq}`, { name, status: "open" });
};

const stepFinished: Handler = (view, event, data) => {
  const name = stringField(data, "stepName");
  const item = (view.unfinished.get(event.run ?? null) ?? [])
    .findLast((entry) => entry["kind"] === "step" && entry["name"] === name && entry["status"] === "open");
  if (!item) return;
  item["status"] = "complete";
  view.touch(item);
};

const activitySnapshot: Handler = (view, event, data) => {
  const id = stringField(data, "messageId");
  const item = view.find("activity", id);
  const content = data["content"] ?? null;
  if (item && data["replace"] !== false) {
    item.content = content;
    view.touch(item);
  } else if (!item && id) {
    add(view, event, "activity", id, { name: stringField(data, "activityType"), content });
  }
};

const activityDelta: Handler = (view, _, data) => {
  const item = view.find("activity", stringField(data, "messageId"));
  if (!item) return;
  item.content = patchedOrSame(item.content, data["patch"]);
  view.touch(item);
};

/** The document patched, or as it was when the patch does not fit. */
function patchedOrSame(document: unknown, patch: unknown): unknown {
  try {
    return applyPatch(document, patch);
  } catch (error) {
    if (error instanceof PatchError) return document;
    throw error;
  }
}

// --- people
const inputMessage: Handler = (view, event, data) => {
  const id = stringField(data, "messageId");
  if (!id || view.find("message", id)) return;
  const body = stringField(data, "text");
  add(view, event, "message", id, {
    role: stringField(data, "role") || "user", text: body, length: body.length, status: "complete", turn: id,
    ...pick(data, "parent", "edits", "agent", "attachments", "meta"),
  });
  view.head = id;
  view.branchVersion++;
};

const inputSteer: Handler = (view, event, data) => {
  const id = stringField(data, "steerId");
  if (id && !view.find("steer", id)) add(view, event, "steer", id, { text: stringField(data, "text"), status: "pending" });
};

const steerEnded = (status: "delivered" | "dropped"): Handler => (view, _, data) => {
  const item = view.find("steer", stringField(data, "steerId"));
  if (item?.status !== "pending") return;
  item.status = status;
  view.touch(item);
};

const branchSelected: Handler = (view, _, data) => {
  if (typeof data["input"] === "string") view.head = data["input"];
  const run = typeof data["run"] === "string" ? view.runs.get(data["run"]) : undefined;
  if (run?.input !== undefined) view.chosen.set(run.input, run.id);
  view.branchVersion++;
  view.shape++;
};

const handoffChanged: Handler = (view, event) => {
  view.handoff = event.type === "handoff.taken" ? { by: event.actor, ts: event.ts } : null;
};

const sessionCreated: Handler = (view, _, data) => {
  view.title = stringField(data, "title");
  view.agent = stringField(data, "agent");
  view.meta = data["meta"] && !isEmpty(data["meta"]) ? (data["meta"] as Entry) : {};
};

// --- approvals
/** People are asked about a tool call, also about one that a lost attempt left: it waits for them. */
const markAsked = (view: View, tool: Entry, fields: Entry): void => {
  Object.assign(tool, fields);
  view.touch(tool);
  if (tool["status"] === "cut") {
    tool["status"] = "called";
    view.index(tool);
  }
};

const toolPaused: Handler = (view, _, data) => {
  const tool = view.find("tool", stringField(data, "toolCallId"));
  if (tool?.status === "called" || tool?.status === "cut") markAsked(view, tool, { paused: stringField(data, "why") || "asks" });
};

const approvalRequested: Handler = (view, event, data) => {
  const id = stringField(data, "approvalId");
  if (!id || view.find("approval", id)) return;
  const fields = ["tool", "args", "hash", "deadline", "default"].map((field) => [field, data[field] ?? null]);
  const call = stringField(data, "toolCallId");
  const tool = view.find("tool", call);
  if (tool && tool.status !== "done") markAsked(view, tool, { approval: id });
  const { requester, rule, why, tool: name } = data;
  const purpose = data["purpose"] ?? (name === "browser.claim" || name === "browser.result" ? "call" : undefined); // as version 0.1 said it
  add(view, event, "approval", id, { status: "pending", ...Object.fromEntries(fields), ...withoutEmpty({ requester, rule, why, call, purpose }) });
};

const approvalDecided: Handler = (view, event, data) => {
  const item = view.find("approval", stringField(data, "approvalId"));
  if (item?.status !== "pending") return;
  const decision = stringField(data, "decision");
  const status = event.type === "approval.expired" ? "expired" : decision;
  Object.assign(item, { status }, withoutEmpty({ decision, by: data["by"], note: data["note"] }));
  view.touch(item);
};

// --- runs
const runQueued: Handler = (view, event, data) => {
  const id = event.run;
  if (!id) return;
  const existing = view.runs.get(id);
  if (existing) { // queued again: a wait is over
    existing.status = "queued";
    existing.version++;
    view.shape++;
    view.touch(existing);
    return;
  }
  const optional = pick(data, "name", "input", "parent", "after");
  const run: Entry = {
    id, seq: event.seq, agent: stringField(data, "agent"), status: "queued", attempt: 0,
    attempts: data["attempts"] === undefined ? 1 : data["attempts"], version: 1, queued_ts: event.ts, by: event.actor,
    ...optional,
  };
  view.runs.set(id, run as RunState);
  if (!("parent" in optional) && "input" in optional) view.chosen.delete(optional["input"]); // a new answer is shown
  view.touch(run);
  view.shape++;
};

/** A handler that changes a known run and counts its version. */
const runHandler = (change: (view: View, event: SessionEvent, run: RunState, data: Data) => unknown): Handler =>
  (view, event, data) => {
    const run = view.runs.get(event.run ?? "");
    if (!run) return;
    change(view, event, run, data);
    run.version++;
    view.shape++;
    view.touch(run);
  };

const runStarted = runHandler((_, event, run, data) => {
  const attempt = data["generation"] === undefined ? 1 : data["generation"];
  Object.assign(run, { status: "running", attempt, worker: stringField(data, "worker") });
  run.started_ts ??= event.ts;
});

const runWaiting = runHandler((view, _, run) => {
  run.status = "waiting";
  closeUnfinished(view, run.id, false);
});

const runAttemptLost = runHandler((view, event, run, data) => {
  const attempt = data["generation"] === undefined ? 0 : (data["generation"] as number);
  (run.losses ??= []).push({ attempt, reason: stringField(data, "reason"), ts: event.ts });
  run.status = "queued";
  closeUnfinished(view, run.id, false);
});

const runEnded = runHandler((view, event, run, data) => {
  Object.assign(run, { status: stringField(data, "status"), ended_ts: event.ts }, withoutEmpty({ error: data["error"] }));
  closeUnfinished(view, run.id, true);
});

const cancelRequested: Handler = (view, event, data) => {
  for (const id of Array.isArray(data["runs"]) ? (data["runs"] as unknown[]) : []) {
    const run = view.runs.get(id as string);
    if (!run || view.ended(run)) continue;
    const { delivered, effective } = run.cancel ?? { delivered: false, effective: false };
    const force = Boolean(data["force"]) && !isEmpty(data["force"]);
    run.cancel = { delivered, effective, by: event.actor, ts: event.ts, force, ...withoutEmpty({ reason: stringField(data, "reason") }) };
    run.version++;
    view.touch(run);
  }
};

const receipt = (field: "delivered" | "effective"): Handler =>
  runHandler((_, __, run) => {
    if (run.cancel) run.cancel[field] = true;
  });

const HANDLERS: Record<string, Handler> = {
  TEXT_MESSAGE_START: startText("message", (data) => ({ role: stringField(data, "role") || "assistant", ...pick(data, "name") })),
  TEXT_MESSAGE_CONTENT: grow("message", "messageId"),
  TEXT_MESSAGE_END: close("message", "messageId", "complete"),
  REASONING_MESSAGE_START: startText("reasoning", () => ({})),
  REASONING_MESSAGE_CONTENT: grow("reasoning", "messageId"),
  REASONING_MESSAGE_END: close("reasoning", "messageId", "complete"),
  TOOL_CALL_START: startTool,
  TOOL_CALL_ARGS: grow("tool", "toolCallId", "args"),
  TOOL_CALL_END: close("tool", "toolCallId", "called"),
  TOOL_CALL_RESULT: toolResult,
  "tool.paused": toolPaused,
  "source.cited": sourceCited,
  STEP_STARTED: stepStarted,
  STEP_FINISHED: stepFinished,
  ACTIVITY_SNAPSHOT: activitySnapshot,
  ACTIVITY_DELTA: activityDelta,
  STATE_SNAPSHOT: (view, _, data) => void (view.state = data["snapshot"] ?? null),
  STATE_DELTA: (view, _, data) => void (view.state = patchedOrSame(view.state, data["delta"])),
  "input.message": inputMessage,
  "input.steer": inputSteer,
  "steer.delivered": steerEnded("delivered"),
  "steer.dropped": steerEnded("dropped"),
  "branch.selected": branchSelected,
  "handoff.taken": handoffChanged,
  "handoff.returned": handoffChanged,
  "session.created": sessionCreated,
  "session.renamed": (view, _, data) => void (view.title = stringField(data, "title")),
  "approval.requested": approvalRequested,
  "approval.resolved": approvalDecided,
  "approval.expired": approvalDecided,
  "run.queued": runQueued,
  "run.started": runStarted,
  "run.waiting": runWaiting,
  "run.attempt_lost": runAttemptLost,
  "run.ended": runEnded,
  "cancel.requested": cancelRequested,
  "cancel.delivered": receipt("delivered"),
  "cancel.effective": receipt("effective"),
};
