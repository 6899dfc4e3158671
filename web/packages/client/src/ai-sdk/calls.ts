// Owns tool calls and what allows them, as parts of a UI message, and how much of each was sent. The server's own dialect
// sends the same (src/holdfast/edge/dialects/ai_sdk/calls.py): a page may use either.
//
// An approval of a call is one part with it. The SDK sends its user's answers when every tool part of the last step is done
// or answered, so what waits for an answer has to stand in a step without anything that still goes on (`#stepParts`).

import { canonical } from "../canonical.js";
import { JSON_DEPTH, MESSAGE_DEPTH } from "../limits.js";
import { isTooDeep } from "../sendable.js";
import { ended } from "../view.js";
import type { ApprovalItem, Item, RunState, ToolItem } from "../protocol.js";

/** A chunk of a UI message stream (`UIMessageChunk` of the `ai` package, whichever version). */
export interface Chunk {
  type: string;
  [field: string]: unknown;
}

/** Versions of the SDK: 5 knows no approvals, 6 no answers to them. */
export type Version = 5 | 6 | 7;

/** A tool's arguments or result: JSON where it is JSON, else the text itself. */
export function parseJson(text: unknown): unknown {
  try {
    const value: unknown = typeof text === "string" ? JSON.parse(text) : text;
    if (isTooDeep(value, MESSAGE_DEPTH - JSON_DEPTH)) return text;
    canonical(value); // throws for what could not be sent to the SDK
    return value;
  } catch {
    return text;
  }
}

const actionOf = (run: string | undefined, tool: string, args: unknown): string => `${run}\n${tool}\n${canonical(args)}`;

/** Whether an approval is of the very action that a call is; while it is written anew, it has been. */
const isSameAction = (call: ToolItem, approval: ApprovalItem): boolean => call.name === approval.tool
  && (call.status === "open" || canonical(parseJson(call.args)) === canonical(approval.args));

/** Which of a run's tool calls and approvals were sent, and the chunks that send the rest. */
export class Calls {
  /** The run and its sub-runs. */
  runs = new Map<string, RunState>();
  /** Approvals that the SDK has answered: they are waited for no more. */
  readonly answeredApprovals = new Set<string>();
  readonly #root: string;
  readonly #version: Version;
  readonly #callStates = new Map<string, string>(); // where each call stands: open, called, cut, done
  readonly #approvalStates = new Map<string, string>(); // and each approval: pending, granted, done
  readonly #sentChars = new Map<string, number>(); // characters of arguments
  readonly #approvalParts = new Map<string, string[]>(); // of each approval, the ids of the parts that ask for it
  readonly #unboundGrants = new Map<string, string>(); // action → an approval that names no call
  readonly #boundParts = new Map<string, string>(); // a call that such an approval allowed is one part with it
  readonly #calls = new Map<string, ToolItem>();
  readonly #approvals = new Map<string, ApprovalItem>();
  readonly #approvalsByCall = new Map<string, Set<string>>(); // call → the approvals that are about it
  #stepParts = new Set<string>(); // the parts of the last step

  constructor(root: string, version: Version) {
    this.#root = root;
    this.#version = version;
  }

  get started(): boolean {
    return this.#callStates.size + this.#approvalStates.size > 0;
  }

  /** Index the items, before any of them is sent. */
  index(items: readonly Item[]): void {
    for (const item of items) {
      if (item.kind === "tool") this.#calls.set(item.id, item);
      if (item.kind !== "approval") continue;
      this.#approvals.set(item.id, item);
      const call = item.purpose !== "call" ? item.call : String(item.args["toolCallId"]);
      if (call === undefined) continue;
      if (!this.#approvalsByCall.has(call)) this.#approvalsByCall.set(call, new Set());
      this.#approvalsByCall.get(call)!.add(item.id);
    }
  }

  /** Whether people must decide about it before anything can come of it. */
  awaitsDecision(item: ApprovalItem): boolean {
    return this.#version >= 6 && item.status === "pending" && !this.answeredApprovals.has(item.id) && item.purpose !== "call";
  }

  #approvalsOf(call: ToolItem): ApprovalItem[] {
    return [...this.#approvalsByCall.get(call.id) ?? []].map((id) => this.#approvals.get(id)!);
  }

  /** A call that a browser is asked for is not cut when the worker is let go or lost: the next attempt waits on. */
  #status(call: ToolItem): ToolItem["status"] {
    const run = this.runs.get(call.run ?? "");
    return call.status === "cut" && run && !ended(run) && this.#inBrowser(call) ? "called" : call.status;
  }

  #inBrowser(call: ToolItem): boolean {
    return this.#approvalsOf(call).some((item) => item.purpose === "call"); // `serveTools` answers those
  }

  /** Whether people are asked about a call in its own part. */
  #asksInPart(call: ToolItem): boolean {
    return this.#approvalsOf(call).some(({ id, status }) => status === "pending" && this.#approvalParts.get(id)?.includes(call.id));
  }

  // --- steps
  /** Whether a call is neither done, nor its part waits for an answer. */
  #isInProgress(call: ToolItem): boolean {
    return ["open", "called"].includes(this.#status(call)) && !this.#inBrowser(call) && !this.#asksInPart(call);
  }

  #callsInProgress(): ToolItem[] {
    return [...this.#stepParts].flatMap((id) => this.#calls.get(id) ?? []).filter((call) => this.#isInProgress(call));
  }

  /** Whether a call of a run above goes on in the last step: an agent that is used as a tool has made this one. */
  #hasOpenCaller({ run }: ToolItem): boolean {
    const callers = new Set<string>();
    for (let id = this.runs.get(run ?? "")?.parent; id !== undefined; id = this.runs.get(id)?.parent) callers.add(id);
    return this.#callsInProgress().some((call) => callers.has(call.run ?? ""));
  }

  *#newStep(): Generator<Chunk> {
    this.#stepParts = new Set();
    yield { type: "start-step" }; // no finish: to the SDK that ends the texts that are open
  }

  /** The SDK is to answer now: what it is asked stands in the last step, and nothing there goes on. */
  *pause(): Generator<Chunk> {
    const pending = [...this.#approvals.values()].filter((item) => this.awaitsDecision(item));
    if (pending.length && this.#callsInProgress().length) yield* this.#newStep();
    for (const item of pending) {
      if (!this.#approvalParts.get(item.id)?.some((part) => this.#stepParts.has(part))) yield* this.#askSeparately(item);
    }
  }

  // --- calls
  #agentMetadata({ run }: Item): { providerMetadata?: unknown } {
    const agent = run !== undefined && run !== this.#root ? this.runs.get(run)?.agent : undefined;
    return agent === undefined ? {} : { providerMetadata: { holdfast: { run, agent } } };
  }

  /** What the SDK does not know of a call. */
  *call(item: ToolItem): Generator<Chunk> {
    const { id, name, args } = item;
    const status = this.#status(item);
    let state = this.#callStates.get(id);
    if (state === "done" || (state === "cut" && status === "cut")) return;
    if (state === "cut") { // a later attempt makes the call again, or has its result
      state = status === "done" || !this.#stepParts.has(id) ? "called" : undefined;
      this.#sentChars.delete(id);
    }
    const header = { toolCallId: id, toolName: name, providerExecuted: true };
    if (state === undefined) {
      const mayBeApproved = [...this.#unboundGrants.keys()].some((action) => action.startsWith(`${item.run}\n${name}\n`));
      if (mayBeApproved && status === "open") return; // its arguments say whether it is what was approved
      if (mayBeApproved && this.#bind(item)) {
        state = "called";
      } else {
        if (this.#version >= 6 && this.#hasOpenCaller(item)) yield* this.#newStep();
        this.#stepParts.add(id);
        yield { type: "tool-input-start", ...header, ...(this.#version >= 6 ? this.#agentMetadata(item) : {}) };
        state = "open";
      }
    }
    const approvals = this.#version >= 6 ? this.#approvalsOf(item).filter((approval) => isSameAction(item, approval)) : [];
    if (state === "open") {
      const inStep = this.#stepParts.has(id); // the SDK looks for the input of a call in the last step only
      const sent = this.#sentChars.get(id) ?? 0;
      this.#sentChars.set(id, args.length);
      if (inStep && args.length > sent && !approvals.length) {
        yield { type: "tool-input-delta", toolCallId: id, inputTextDelta: args.slice(sent) };
      }
      const complete = status === "called" || status === "done" || (status === "cut" && typeof parseJson(args) !== "string");
      if (approvals.length || complete) {
        state = "called";
        const input = approvals.length ? approvals[0]!.args : parseJson(args);
        if (inStep) yield { type: "tool-input-available", ...header, input, ...this.#agentMetadata(item) };
      }
    }
    this.#callStates.set(id, state);
    const allDecided = approvals.every((approval) => ["granted", "done"].includes(this.#approvalStates.get(approval.id) ?? ""));
    if ((status === "done" || status === "cut") && allDecided) {
      this.#callStates.set(id, status);
      yield outputChunk(item, this.#boundParts.get(id) ?? id);
    }
  }

  /** Whether the call is the very action that was approved; they are one part then. */
  #bind(item: ToolItem): boolean {
    const action = actionOf(item.run, item.name, parseJson(item.args));
    const approval = this.#unboundGrants.get(action);
    if (approval === undefined) return false;
    this.#unboundGrants.delete(action);
    this.#boundParts.set(item.id, approval);
    this.#approvalStates.set(approval, "done");
    return true;
  }

  // --- what allows them
  /** What the SDK does not know of an approval; of versions that know approvals. */
  *approval(item: ApprovalItem): Generator<Chunk> {
    const { id, status, decision, note, args, tool, run } = item;
    const namedCall = this.#calls.get(item.call ?? "");
    const call = namedCall && isSameAction(namedCall, item) ? namedCall : undefined;
    if (!this.#approvalStates.has(id)) {
      this.#approvalStates.set(id, "pending");
      yield* this.#ask(item, call);
    }
    if (this.#approvalStates.get(id) !== "pending" || status === "pending") return;
    const parts = this.#approvalParts.get(id)!;
    const approved = decision === "approved";
    if (this.#version >= 7) {
      yield { type: "tool-approval-response", approvalId: id, approved, ...(note ? { reason: note } : {}) };
    }
    this.#approvalStates.set(id, approved ? "granted" : "done");
    if (approved) {
      for (const part of parts.slice(1)) if (!this.#calls.has(part)) yield this.#grantOutput(item, part);
      if (item.call === undefined) this.#unboundGrants.set(actionOf(run, tool, args), id);
    } else {
      for (const part of parts) {
        if (this.#calls.has(part)) this.#callStates.set(part, "done");
        yield { type: "tool-output-denied", toolCallId: part };
      }
    }
    if (call) yield* this.call(call);
  }

  /** Ask for an approval: in the part of its call where that can be answered, else in one of its own. */
  *#ask(item: ApprovalItem, call: ToolItem | undefined): Generator<Chunk> {
    if (call) {
      yield* this.call(call);
      const othersInProgress = this.#callsInProgress().some(({ id }) => id !== call.id);
      if (this.#stepParts.has(call.id) && !this.#asksInPart(call) && !othersInProgress) {
        this.#approvalParts.set(item.id, [call.id]);
        yield { type: "tool-approval-request", approvalId: item.id, toolCallId: call.id };
        return;
      }
    }
    if (item.status === "pending" && this.#callsInProgress().length) yield* this.#newStep();
    yield* this.#askSeparately(item);
  }

  *#askSeparately(item: ApprovalItem): Generator<Chunk> {
    const parts = this.#approvalParts.get(item.id) ?? [];
    const part = parts.includes(item.id) ? `${item.id}~${parts.length}` : item.id;
    this.#approvalParts.set(item.id, [...parts, part]);
    this.#stepParts.add(part);
    const header = { toolCallId: part, toolName: item.tool, input: item.args, providerExecuted: true };
    yield { type: "tool-input-available", ...header, ...this.#agentMetadata(item) };
    yield { type: "tool-approval-request", approvalId: item.id, toolCallId: part };
  }

  #grantOutput({ by, note }: ApprovalItem, part: string): Chunk {
    return { type: "tool-output-available", toolCallId: part, output: { approved: true, by, note } };
  }

  /** The run has ended: what was allowed and not done is sent as decided, so that no part stays open. */
  *finishGrants(): Generator<Chunk> {
    for (const item of this.#approvals.values()) {
      const [part] = this.#approvalParts.get(item.id) ?? [];
      if (this.#approvalStates.get(item.id) !== "granted" || part === undefined || this.#calls.has(part)) continue;
      this.#approvalStates.set(item.id, "done");
      yield this.#grantOutput(item, part);
    }
  }
}

function outputChunk(item: ToolItem, toolCallId: string): Chunk {
  if (item.status === "cut") return { type: "tool-output-error", toolCallId, errorText: "cut before there was a result" };
  if (item.error !== undefined) {
    const error = item.error as { message?: string } | string;
    const message = typeof error === "string" ? error : error.message;
    return { type: "tool-output-error", toolCallId, errorText: message || "the tool failed" };
  }
  const output = item.blob === undefined ? parseJson(item.result ?? "") : { blob: item.blob, preview: item.result ?? "" };
  return { type: "tool-output-available", toolCallId, output };
}
