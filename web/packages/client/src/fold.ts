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
function closeText(view: View, kind: string, id: string, status: string, kept = false): void {
  const item = view.open.get(keyOf(kind, id));
  if (!item) return;
  view.open.delete(keyOf(kind, id));
  item["status"] = status;
  if (kept) item["kept"] = true;
  view.touch(item);
}

/** The run ended (`pending`), waits, or lost an attempt: nothing of it stays open (FOLD-4), but a call asked about and not made since. */
function settle(view: View, run: string, pending: boolean): void {
  const left: Entry[] = [];
  for (const item of view.unsettled.get(run) ?? []) {
    view.touch(item);
    if (!pending && item["status"] === "called" && ("approval" in item || "paused" in item)) {
      left.push(item);
    } else if (item["status"] === "open" || item["status"] === "called") {
      closeText(view, item["kind"], item["id"], "cut");
      item["status"] = "cut";
    } else if (item["status"] === "pending") {
      if (pending) item["status"] = item["kind"] === "approval" ? "expired" : "dropped";
      else left.push(item);
    }
  }
  if (left.length) view.unsettled.set(run, left);
  else view.unsettled.delete(run);
}

const text = (data: Data, field: string): string => {
  const value = data[field];
  return typeof value === "string" ? value : "";
};

/** Whether a value counts as "none" in a view: absent, null, or empty. */
const none = (value: unknown): boolean =>
  value === undefined || value === null || value === "" || (typeof value === "object" && !Object.keys(value).length);

/** Only the fields that are there. */
const some = (fields: Entry): Entry => Object.fromEntries(Object.entries(fields).filter(([, value]) => !none(value)));
const pick = (data: Data, ...fields: string[]): Entry =>
  some(Object.fromEntries(fields.map((field) => [field, data[field]])));

// --- texts
const startText = (kind: Kind, fields: (data: Data) => Entry): Handler => (view, event, data) => {
  const id = text(data, "messageId");
  if (id && !view.find(kind, id)) add(view, event, kind, id, { ...fields(data), text: "", length: 0, status: "open" });
};

const startTool: Handler = (view, event, data) => {
  const id = text(data, "toolCallId");
  const tool = view.find("tool", id);
  if (tool?.status === "cut" || tool?.status === "called") { // made again: by a later attempt, or allowed now (RUN-4)
    delete tool.approval;
    delete tool.paused;
    const unsettled = view.unsettled.get(tool.run ?? null);
    if (unsettled) view.unsettled.set(tool.run ?? null, unsettled.filter((item) => item !== tool));
    Object.assign(tool, { args: "", length: 0, status: "open" }, event.attempt === undefined ? {} : { attempt: event.attempt });
    view.index(tool);
  } else if (id && !tool) {
    const fields = { name: text(data, "toolCallName"), args: "", length: 0, status: "open" };
    add(view, event, "tool", id, { ...fields, ...some({ message: data["parentMessageId"] }) });
  }
};

/** A delta: the kind of item it grows, the field that names it, and the text that grows. */
const grow = (kind: string, field: string, grown = "text"): Handler => (view, event, data) => {
  const item = typeof data[field] === "string" ? view.open.get(keyOf(kind, data[field])) : undefined;
  if (!item) return true;
  if (event.offset !== undefined && event.offset !== item["length"]) return false;
  const { delta } = data;
  if (typeof delta === "string") {
    item[grown] += delta;
    item["length"] += delta.length;
    view.touch(item);
  }
  return true;
};

const close = (kind: string, field: string, status: string): Handler => (view, _, data) =>
  closeText(view, kind, text(data, field), status, data["kept"] === true);

const toolResult: Handler = (view, _, data) => {
  const id = text(data, "toolCallId");
  closeText(view, "tool", id, "called");
  const tool = view.find("tool", id);
  if (!tool || tool.status === "done") return;
  tool.status = "done";
  for (const [field, from] of [["result", "content"], ["error", "error"], ["blob", "blob"]] as const) {
    if (data[from] !== undefined && data[from] !== null) tool[field] = data[from];
  }
  view.touch(tool);
};

const source: Handler = (view, _, data) => {
  const message = view.find("message", text(data, "messageId"));
  if (!message) return;
  view.shape++; // how many there are is shown beside the run
  (message.sources ??= []).push(pick(data, "sourceId", "title", "uri", "quote", "score"));
  view.touch(message);
};

// --- steps, activity, state
const stepStarted: Handler = (view, event, data) => {
  const name = text(data, "stepName");
  add(view, event, "step", `step:${name}:${event.seq}`, { name, status: "open" });
};

const stepFinished: Handler = (view, event, data) => {
  const name = text(data, "stepName");
  const item = (view.unsettled.get(event.run ?? null) ?? [])
    .findLast((known) => known["kind"] === "step" && known["name"] === name && known["status"] === "open");
  if (!item) return;
  item["status"] = "complete";
  view.touch(item);
};

const activitySnapshot: Handler = (view, event, data) => {
  const id = text(data, "messageId");
  const item = view.find("activity", id);
  const content = data["content"] ?? null;
  if (item && data["replace"] !== false) {
    item.content = content;
    view.touch(item);
  } else if (!item && id) {
    add(view, event, "activity", id, { name: text(data, "activityType"), content });
  }
};

const activityDelta: Handler = (view, _, data) => {
  const item = view.find("activity", text(data, "messageId"));
  if (!item) return;
  item.content = patched(item.content, data["patch"]);
  view.touch(item);
};

/** The document patched, or as it was when the patch does not fit. */
function patched(document: unknown, patch: unknown): unknown {
  try {
    return applyPatch(document, patch);
  } catch (error) {
    if (error instanceof PatchError) return document;
    throw error;
  }
}

// --- people
const input: Handler = (view, event, data) => {
  const id = text(data, "messageId");
  if (!id || view.find("message", id)) return;
  const said = text(data, "text");
  add(view, event, "message", id, {
    role: text(data, "role") || "user", text: said, length: said.length, status: "complete", turn: id,
    ...pick(data, "parent", "edits", "agent", "attachments", "meta"),
  });
  view.head = id;
  view.branchVersion++;
};

const steer: Handler = (view, event, data) => {
  const id = text(data, "steerId");
  if (id && !view.find("steer", id)) add(view, event, "steer", id, { text: text(data, "text"), status: "pending" });
};

const steerSettled = (status: "delivered" | "dropped"): Handler => (view, _, data) => {
  const item = view.find("steer", text(data, "steerId"));
  if (item?.status !== "pending") return;
  item.status = status;
  view.touch(item);
};

const branch: Handler = (view, _, data) => {
  if (typeof data["input"] === "string") view.head = data["input"];
  const run = typeof data["run"] === "string" ? view.runs.get(data["run"]) : undefined;
  if (run?.input !== undefined) view.chosen.set(run.input, run.id);
  view.branchVersion++;
  view.shape++;
};

const handoff: Handler = (view, event) => {
  view.handoff = event.type === "handoff.taken" ? { by: event.actor, ts: event.ts } : null;
};

const created: Handler = (view, _, data) => {
  view.title = text(data, "title");
  view.agent = text(data, "agent");
  view.meta = data["meta"] && !none(data["meta"]) ? (data["meta"] as Entry) : {};
};

// --- approvals
/** People are asked about a tool call, also about one that a lost attempt left: it waits for them. */
const asked = (view: View, tool: Entry, about: Entry): void => {
  Object.assign(tool, about);
  view.touch(tool);
  if (tool["status"] === "cut") {
    tool["status"] = "called";
    view.index(tool);
  }
};

const paused: Handler = (view, _, data) => {
  const tool = view.find("tool", text(data, "toolCallId"));
  if (tool?.status === "called" || tool?.status === "cut") asked(view, tool, { paused: text(data, "why") || "asks" });
};

const approval: Handler = (view, event, data) => {
  const id = text(data, "approvalId");
  if (!id || view.find("approval", id)) return;
  const fields = ["tool", "args", "hash", "deadline", "default"].map((field) => [field, data[field] ?? null]);
  const call = text(data, "toolCallId");
  const tool = view.find("tool", call);
  if (tool && tool.status !== "done") asked(view, tool, { approval: id });
  const { requester, rule, why, tool: name } = data;
  const purpose = data["purpose"] ?? (name === "browser.claim" || name === "browser.result" ? "call" : undefined); // as version 0.1 said it
  add(view, event, "approval", id, { status: "pending", ...Object.fromEntries(fields), ...some({ requester, rule, why, call, purpose }) });
};

const approvalSettled: Handler = (view, event, data) => {
  const item = view.find("approval", text(data, "approvalId"));
  if (item?.status !== "pending") return;
  const decision = text(data, "decision");
  const status = event.type === "approval.expired" ? "expired" : decision;
  Object.assign(item, { status }, some({ decision, by: data["by"], note: data["note"] }));
  view.touch(item);
};

// --- runs
const queued: Handler = (view, event, data) => {
  const id = event.run;
  if (!id) return;
  const known = view.runs.get(id);
  if (known) { // queued again: a wait is over
    known.status = "queued";
    known.version++;
    view.shape++;
    view.touch(known);
    return;
  }
  const optional = pick(data, "name", "input", "parent", "after");
  const run: Entry = {
    id, seq: event.seq, agent: text(data, "agent"), status: "queued", attempt: 0,
    attempts: data["attempts"] === undefined ? 1 : data["attempts"], version: 1, queued_ts: event.ts, by: event.actor,
    ...optional,
  };
  view.runs.set(id, run as RunState);
  if (!("parent" in optional) && "input" in optional) view.chosen.delete(optional["input"]); // a new answer is shown
  view.touch(run);
  view.shape++;
};

/** A handler that changes a known run and counts its version. */
const changes = (change: (view: View, event: SessionEvent, run: RunState, data: Data) => unknown): Handler =>
  (view, event, data) => {
    const run = view.runs.get(event.run ?? "");
    if (!run) return;
    change(view, event, run, data);
    run.version++;
    view.shape++;
    view.touch(run);
  };

const started = changes((_, event, run, data) => {
  const attempt = data["generation"] === undefined ? 1 : data["generation"];
  Object.assign(run, { status: "running", attempt, worker: text(data, "worker") });
  run.started_ts ??= event.ts;
});

const waiting = changes((view, _, run) => {
  run.status = "waiting";
  settle(view, run.id, false);
});

const attemptLost = changes((view, event, run, data) => {
  const attempt = data["generation"] === undefined ? 0 : (data["generation"] as number);
  (run.losses ??= []).push({ attempt, reason: text(data, "reason"), ts: event.ts });
  run.status = "queued";
  settle(view, run.id, false);
});

const runEnded = changes((view, event, run, data) => {
  Object.assign(run, { status: text(data, "status"), ended_ts: event.ts }, some({ error: data["error"] }));
  settle(view, run.id, true);
});

const cancelRequested: Handler = (view, event, data) => {
  for (const id of Array.isArray(data["runs"]) ? (data["runs"] as unknown[]) : []) {
    const run = view.runs.get(id as string);
    if (!run || view.ended(run)) continue;
    const { delivered, effective } = run.cancel ?? { delivered: false, effective: false };
    const force = Boolean(data["force"]) && !none(data["force"]);
    run.cancel = { delivered, effective, by: event.actor, ts: event.ts, force, ...some({ reason: text(data, "reason") }) };
    run.version++;
    view.touch(run);
  }
};

const receipt = (field: "delivered" | "effective"): Handler =>
  changes((_, __, run) => {
    if (run.cancel) run.cancel[field] = true;
  });

const HANDLERS: Record<string, Handler> = {
  TEXT_MESSAGE_START: startText("message", (data) => ({ role: text(data, "role") || "assistant", ...pick(data, "name") })),
  TEXT_MESSAGE_CONTENT: grow("message", "messageId"),
  TEXT_MESSAGE_END: close("message", "messageId", "complete"),
  REASONING_MESSAGE_START: startText("reasoning", () => ({})),
  REASONING_MESSAGE_CONTENT: grow("reasoning", "messageId"),
  REASONING_MESSAGE_END: close("reasoning", "messageId", "complete"),
  TOOL_CALL_START: startTool,
  TOOL_CALL_ARGS: grow("tool", "toolCallId", "args"),
  TOOL_CALL_END: close("tool", "toolCallId", "called"),
  TOOL_CALL_RESULT: toolResult,
  "tool.paused": paused,
  "source.cited": source,
  STEP_STARTED: stepStarted,
  STEP_FINISHED: stepFinished,
  ACTIVITY_SNAPSHOT: activitySnapshot,
  ACTIVITY_DELTA: activityDelta,
  STATE_SNAPSHOT: (view, _, data) => void (view.state = data["snapshot"] ?? null),
  STATE_DELTA: (view, _, data) => void (view.state = patched(view.state, data["delta"])),
  "input.message": input,
  "input.steer": steer,
  "steer.delivered": steerSettled("delivered"),
  "steer.dropped": steerSettled("dropped"),
  "branch.selected": branch,
  "handoff.taken": handoff,
  "handoff.returned": handoff,
  "session.created": created,
  "session.renamed": (view, _, data) => void (view.title = text(data, "title")),
  "approval.requested": approval,
  "approval.resolved": approvalSettled,
  "approval.expired": approvalSettled,
  "run.queued": queued,
  "run.started": started,
  "run.waiting": waiting,
  "run.attempt_lost": attemptLost,
  "run.ended": runEnded,
  "cancel.requested": cancelRequested,
  "cancel.delivered": receipt("delivered"),
  "cancel.effective": receipt("effective"),
};
